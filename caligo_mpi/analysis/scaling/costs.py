"""What a run costs: numbers of a machine, and numbers of the run itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ...errors import ConfigError


@dataclass(frozen=True, slots=True)
class Costs:
    """What messages, grants and writing take on a machine; seconds, and bytes per second.

    ``latency``: one way of a small message.  ``message``: rank 0's time for a message that
    announces results, the grant that follows included.  ``commit``: rank 0's time to put one
    chunk's record into the file.  ``tick``: how long a rank may be deaf while it computes.
    ``transfer``: bytes per second that rank 0 can receive.  ``send``: bytes per second that a rank
    can send; over a cable it copies them.  ``write``: bytes per second that one process can write.
    ``file_system``: what all ranks together can write.  ``start``: from the command to the first grant.

    ``cores``: how many processors all ranks share for all this, while their chunks need none, as
    chunks that sleep; 0 where each rank has its own, on which it sends when it does not compute.
    ``look``: what a look at messages takes a rank of a shared processor, every ``tick``.  ``turn``:
    a rank's time from the end of a chunk to the begin of the next one that it was granted.

    The defaults are what ``python jobs/scaling.py measure`` found on one host with two cores and a
    file system in memory, but for ``tick``, which is the coordinator's own, and ``start``, a guess.
    """

    latency: float = 1e-6
    message: float = 57e-6
    commit: float = 17e-6
    tick: float = 2e-4
    transfer: float = 3.4e9
    send: float = 20e9
    write: float = 2.8e9
    file_system: float = 2.8e9
    start: float = 1.0
    cores: float = 0.0
    look: float = 3e-5
    turn: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            is_number = 0 <= value < float("inf")
            is_zero_rate = name in _RATES and value == 0
            if not is_number or is_zero_rate:
                raise ConfigError(f"costs.{name}={value!r} must be a number above 0")

    @classmethod
    def read(cls, path: Path) -> Costs:
        """The costs in a JSON file as ``jobs/scaling.py measure`` prints it.  Raises `ConfigError`."""
        try:
            text = path.read_text(encoding="utf-8")
            found = json.loads(text)
            numbers = {name: float(value) for name, value in found.items()}
            return cls(**numbers)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"costs={path} cannot be read as measured costs: {error}") from error


_RATES = ("transfer", "send", "write", "file_system")


@dataclass(frozen=True, slots=True)
class Workload:
    """A run to be played: ``chunks`` of ``seconds`` each, which leave ``nbytes`` in the file.

    ``spread`` is the standard deviation of a chunk's time over its mean.  ``writers`` says who
    writes: rank 0 (``gather``), every rank (``direct``), or nobody (``none``: records are all
    that is kept).
    """

    chunks: int
    seconds: float
    nbytes: float = 0.0
    spread: float = 0.0
    writers: Literal["gather", "direct", "none"] = "gather"

    def __post_init__(self) -> None:
        if self.chunks < 1:
            raise ConfigError(f"chunks={self.chunks} must be at least 1")
        for name in ("seconds", "nbytes", "spread"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name}={value!r} must be a number of at least 0")

    @property
    def carried(self) -> float:
        """Bytes of a chunk that cross to rank 0 besides its record."""
        return self.nbytes if self.writers == "gather" else 0.0

    @property
    def written(self) -> float:
        """Bytes of a chunk that the rank which made it writes itself."""
        return self.nbytes if self.writers == "direct" else 0.0
