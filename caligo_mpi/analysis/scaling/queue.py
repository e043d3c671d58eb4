"""Closed forms: what no schedule can exceed, and a station that many ranks share."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .costs import Costs, Workload


@dataclass(frozen=True, slots=True)
class Bounds:
    """Chunks per second that each part of the machine could finish if nothing else took time."""

    ranks: float
    rank0: float
    file_system: float
    processors: float

    @property
    def least(self) -> float:
        """Chunks per second that cannot be exceeded."""
        return min(self.ranks, self.rank0, self.file_system, self.processors)

    @property
    def name(self) -> str:
        """The field that holds everything else back."""
        found = asdict(self)
        return min(found, key=lambda part: found[part])


def bounds(workload: Workload, costs: Costs, ranks: int) -> Bounds:
    """The asymptotic bounds of a run on ``ranks`` ranks (Denning and Buzen 1978)."""
    own = workload.seconds + workload.written / costs.write
    through_rank0 = 1 / costs.transfer + 1 / costs.write
    rank0 = costs.commit + workload.carried * through_rank0
    shared = workload.nbytes / costs.file_system
    everywhere = rank0 + workload.carried / costs.send
    return Bounds(
        ranks=_rate(own / ranks),
        rank0=_rate(rank0),
        file_system=_rate(shared),
        processors=_rate(everywhere / costs.cores if costs.cores else 0.0),
    )


def _rate(seconds: float) -> float:
    return 1 / seconds if seconds else float("inf")


def finite_source(ranks: int, think: float, service: float) -> float:
    """Throughput of ``ranks`` ranks that compute and then use one station, both exponentially long.

    ``think`` and ``service`` are mean seconds.  Exact mean value analysis of the closed network
    (Reiser and Lavenberg 1980), which is the machine repair model.  Returns jobs per second.

    >>> finite_source(1, 3.0, 1.0)
    0.25
    >>> round(finite_source(1000, 3.0, 1.0), 6)
    1.0
    """
    waiting = 0.0
    rate = 0.0
    for customers in range(1, ranks + 1):
        response = service * (1 + waiting)
        rate = customers / (think + response)
        waiting = rate * response
    return rate
