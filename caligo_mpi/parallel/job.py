"""What a kind of run and a map over ranks agree on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..engines import Tick
from ..pairs import ChunkResult

R = TypeVar("R")

Items = Sequence[int] | NDArray[np.int64]

Work = Callable[[int, "Tick | None"], ChunkResult]

#: Calls the work function that ``setup()`` makes on each item; yields (rank, result) in the order of the items.
#: It may end early, after having been asked to stop.
Map = Callable[[Callable[[], Work], Items], Generator[tuple[int, ChunkResult], None, None]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a chunk: emissions of the whole run and of this launch, and its seconds so far."""

    pairs: int
    total: int
    rows: int
    launched: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong elsewhere, to be recorded in ``/faults``: its rank, and how many chunks it cost."""

    what: str
    rank: int = 0
    chunks: int = 0
