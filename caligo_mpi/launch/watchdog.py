"""Tells a launch that hangs from one that is slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .. import store
from ..errors import StoreError
from ..machine import environment

#: Seconds of silence that are always allowed; the watchdog's other limits are multiples of it.
_SILENCE_SECONDS = 30.0

#: How often the launcher looks at its ranks and their files.
LOOK_SECONDS = 0.05


class Watchdog:
    """Tells a run that hangs from one that is slow, by the silence of its files.

    Silence is counted while this process is awake, by a monotonic clock: a stopped job or a
    sleeping machine is not taken for a hang.  All limits follow from one number of seconds
    (`WATCHDOG`) and from the chunk times that the file records.
    """

    def __init__(
        self,
        path: Path,
        exit_file: Path,
        *,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self.exit_file = exit_file
        self.is_stopped = is_stopped
        self.unit = environment.seconds(environment.WATCHDOG, _SILENCE_SECONDS)
        self.begun = False
        self.said = False
        self.silence = 0.0
        self.limit = 0.0
        self.woken = time.monotonic()
        self.seen = self._traces()

    def look(self, *, hurry: bool = False) -> str:
        """A sentence if the launch is to be given up, else nothing."""
        now = time.monotonic()
        self.silence += min(now - self.woken, 1.0)
        self.woken = now
        traces = self._traces()
        if traces != self.seen:
            self.begun = True
            self.said = traces[-1] != self.seen[-1]
            self.seen = traces
            self.silence = 0.0
            self.limit = 0.0
        if self.said or hurry:
            return self._complaint(self.unit / 3)
        if self.silence > self.unit and not self.limit:
            self.limit = self._allowed()
        return self._complaint(self.limit or self.unit)

    def _complaint(self, limit: float) -> str:
        if self.silence <= limit:
            return ""
        return f"nothing was written for {self.silence:.0f} s"

    def _allowed(self) -> float:
        """Seconds of silence that this run may keep.

        In that time it can make a few chunks on every rank, or read the whole file.
        """
        if self.is_stopped():
            return self.unit
        if not self.begun:
            return 10 * self.unit
        try:
            status = store.status(self.path)
            size = status.path.stat().st_size
        except (StoreError, OSError):
            return 10 * self.unit
        chunks = 20 * status.slowest if status.chunks_done else 60 * self.unit
        reading = size / 50e6
        return max(self.unit, chunks) + reading

    def _traces(self) -> tuple[tuple[int, int] | None, ...]:
        """What tells whether something was written; the exit file comes last."""
        files = (*store.working_files(self.path), self.path, self.exit_file)
        return tuple(map(_trace, files))


def _trace(path: Path) -> tuple[int, int] | None:
    """A file's identity and the time of its last change (ns); None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
