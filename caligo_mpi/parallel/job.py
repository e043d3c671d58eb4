"""What a kind of run and a map over workers agree on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..pairs.chunks import Tick

R = TypeVar("R")

#: What is to be worked on, such as chunk numbers.
Items = Sequence[int] | NDArray[np.int64]

#: Makes one item's result; calls its second argument, if there is one, every few milliseconds.
Work = Callable[[int, "Tick | None"], R]

#: Makes the work function; called once in each process.
Setup = Callable[[], Work[R]]


@runtime_checkable
class Placing(Protocol[R]):
    """A work function whose results are finished where they were made, once their place is known.

    The place of an item is what the sizes of all items before it add up to.
    """

    def __call__(self, item: int, tick: Tick | None = None, /) -> R:
        """The result, not finished."""
        ...

    def size(self, result: R) -> int:
        """How much room it takes."""
        ...

    def place(self, result: R, before: int) -> R:
        """Finish it, behind so much."""
        ...


class Map(Protocol):
    """Calls the work function that ``setup()`` makes on each item.

    Yields (rank, result) in the order of the items.  It may end early, after having been asked to
    stop; closing the generator ends it at once.
    """

    def __call__(self, setup: Setup[R], items: Items, /) -> Generator[tuple[int, R], None, None]:
        """The results."""
        ...


def go_on() -> int:
    """The level of a stop request where nobody can make one."""
    return 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How a map shares its items.

    ``policy`` is one of `schedule`; ``rank0_computes`` is ``auto`` or ``no``.  An item whose work
    raises is given to another rank ``retries`` times.  ``stop()`` is asked often: 1 means finish
    what is running, then end early; 2 means end now.
    """

    policy: str = "dynamic"
    rank0_computes: str = "auto"
    retries: int = 0
    stop: Callable[[], int] = go_on


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a chunk.

    Emissions of the whole run and of this launch, rows, and the seconds of this launch.
    """

    pairs: int
    total: int
    rows: int
    launched: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong elsewhere, for ``/faults``.

    ``rank`` is where it did, and ``chunks`` how many chunks it cost.
    """

    what: str
    rank: int = 0
    chunks: int = 0
