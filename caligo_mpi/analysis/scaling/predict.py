"""From a played run to what a user asks: how long, how efficient, held back by what."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .costs import Costs, Workload
from .events import Play, Played
from .queue import bounds

#: Chunks that are played at the most; a longer run goes on at the rate of the second half.
_PLAYED = 10_000
_PLAYED_PER_RANK = 40


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run would do on ``ranks`` ranks.

    ``seconds`` is its time from the command to the finished file, ``rate`` the chunks per second
    once ranks are busy.  ``efficiency`` is the time that ``ranks`` ranks need for the work alone
    over the time that they take, the start left out; ``of_limit`` is the same where a file system
    that is too slow for them counts as work.  ``limit`` names what holds the run back
    (``ranks``, ``rank0``, ``file_system``, ``processors``), ``rank0_busy`` is the part of the time in which rank 0
    serves the others.
    """

    ranks: int
    seconds: float
    rate: float
    efficiency: float
    of_limit: float
    rank0_busy: float
    limit: str


def predict(
    workload: Workload, costs: Costs | None = None, *, ranks: int, policy: str = "adaptive"
) -> Prediction:
    """Play a run of ``workload`` on ``ranks`` ranks and say what came of it."""
    costs = costs or Costs()

    def play(chunks: int) -> Played:
        part = replace(workload, chunks=chunks)
        return Play(part, costs, ranks, policy).run()

    most = max(_PLAYED, _PLAYED_PER_RANK * ranks)
    chunks = min(workload.chunks, most)
    played = play(chunks)
    seconds = played.seconds
    rate = chunks / max(seconds, 1e-12)
    if chunks < workload.chunks:
        half = chunks // 2
        rate = (chunks - half) / (seconds - play(half).seconds)
        seconds += (workload.chunks - chunks) / rate
    found = bounds(workload, costs, ranks)
    work = workload.seconds * workload.chunks / ranks
    storage = workload.nbytes * workload.chunks / costs.file_system
    return Prediction(
        ranks=ranks,
        seconds=costs.start + seconds,
        rate=rate,
        efficiency=work / seconds if seconds else 1.0,
        of_limit=max(work, storage) / seconds if seconds else 1.0,
        rank0_busy=played.serving / played.seconds if played.seconds else 0.0,
        limit=found.name,
    )
