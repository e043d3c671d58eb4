"""What every kind of run is to the places where it can be executed, and what it tells meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..config.run import MpiConfig
from ..errors import DONE
from ..launch.supervise import State
from ..parallel.account import Ledger
from ..parallel.job import Fault, Map, Progress, Rules


class Observer:
    """Told what happens in a run; this one keeps silent.

    ``code`` is the exit code of a run that is complete; who judges something sets another one.
    ``faults`` are what went wrong elsewhere and is to be recorded in the run's file: whoever learns
    of one appends it, also while the run goes on; the run takes it out.  ``ledger`` is what ranks do
    with their time, as the run's map notes it.
    """

    def __init__(self) -> None:
        self.faults: deque[Fault] = deque()
        self.code = DONE
        self.ledger = Ledger()

    def say(self, message: str) -> None:
        """A sentence for people."""

    def progress(self, where: Progress) -> None:
        """Another item is in."""

    def result(self, summary: Any) -> None:
        """How the run ended: what `Job.run` made of it."""


class Meter:
    """Counts what a launch adds to the ``before`` pairs of ``total`` that earlier ones had done."""

    def __init__(self, *, before: int, total: int) -> None:
        self.before = before
        self.total = total
        self.launched = 0
        self.begin = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of this launch."""
        return time.perf_counter() - self.begin

    def add(self, pairs: int, rows: int | None = None) -> Progress:
        """So many pairs more; ``rows`` there are by now, as many as pairs unless given."""
        self.launched += pairs
        done = self.before + self.launched
        rows = done if rows is None else rows
        return Progress(done, max(1, self.total), rows, max(1, self.launched), self.seconds)


@dataclass(frozen=True, slots=True)
class Protection:
    """What is done when ranks die: launches after the first, and whether the others go on."""

    restarts: int = 100
    survive: bool = False


class Job(Protocol):
    """A run that can be executed here, on our ranks, or on ranks that are launched for it."""

    @property
    def noun(self) -> str:
        """What one of its items is called."""
        ...

    @property
    def hint(self) -> str:
        """What helps where there are few items; may be empty."""
        ...

    @property
    def path(self) -> Path:
        """The file that it makes."""
        ...

    @property
    def arguments(self) -> list[str]:
        """The command line of the ranks."""
        ...

    @property
    def forced(self) -> bool:
        """Whether files of other runs are set aside."""
        ...

    @property
    def rules(self) -> Rules:
        """How its items are shared, but for ``stop``."""
        ...

    @property
    def protection(self) -> Protection:
        """What is done when ranks die."""
        ...

    @property
    def mpi(self) -> MpiConfig:
        """How many ranks it wants, and what of them."""
        ...

    def __len__(self) -> int:
        """How many items there are."""
        ...

    def preflight(self) -> None:
        """Raise now, having touched nothing, what `run` would raise at its start."""
        ...

    def is_complete(self) -> bool:
        """Whether the file is finished."""
        ...

    def state(self) -> State:
        """What the file holds so far."""
        ...

    def run(
        self, map_: Map, launch: Mapping[str, object], observer: Observer, *, force: bool
    ) -> bool:
        """Do it with this map; ``launch`` is noted in the file.  Returns whether it is complete."""
        ...
