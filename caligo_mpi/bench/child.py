"""One run in a process of its own: started fresh, watched, measured, and ended with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..launch import processes
from ..machine import environment

#: Marks the processes of a run, so that those are found which left its group.
MARK = "CALIGO_BENCH_RUN"

_SAMPLE_SECONDS = 0.02
_MOST_SAMPLE_SECONDS = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512


@dataclass(frozen=True)
class Limits:
    """A run may take so many seconds, and so many bytes with all of its processes."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what it took.

    ``code`` is its exit code, negative the number of the signal that ended it.  ``limit`` names
    the limit that it reached: "timeout", "memory" or nothing.
    """

    code: int
    limit: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int


class Child:
    """A process with everything it starts.  `poll` has to be called often: it is the watch, too."""

    def __init__(self, command: Sequence[str], folder: Path, limits: Limits) -> None:
        self._mark = uuid.uuid4().hex
        self._limits = limits
        self._peak = 0
        self._limit = ""
        env = environment.fresh(**{MARK: self._mark})
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self._started = self._sampled = time.perf_counter()
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=processes.dying_with_parent(os.getpid()),
            )

    def poll(self) -> Ended | None:
        """None while it runs; then how it ended, once."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        now = time.perf_counter()
        if not pid:
            self._watch(now)
            return None
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        # What it left behind does not go on beside the next run.
        processes.end_marked(MARK, self._mark)
        return Ended(
            code=code,
            limit=self._limit,
            seconds=now - self._started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=max(self._peak, usage.ru_maxrss * 1024),
            written_bytes=usage.ru_oublock * _BLOCK,
        )

    def end(self) -> None:
        """SIGKILL for it and everything that it started; `poll` tells then that it is over."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        processes.end_marked(MARK, self._mark)

    def _watch(self, now: float) -> None:
        age = now - self._started
        # Seldom in a long run: each look takes a moment.
        pause = min(max(_SAMPLE_SECONDS, age / 50), _MOST_SAMPLE_SECONDS)
        if now - self._sampled < pause:
            return
        self._sampled = now
        self._peak = max(self._peak, memory_of(self._process.pid))
        if self._peak > self._limits.bytes:
            self._limit = "memory"
        elif age > self._limits.seconds:
            self._limit = "timeout"
        if self._limit:
            self.end()


def memory_of(pid: int) -> int:
    """Bytes in memory of a process and all below it; what several share counts once."""
    pids = [pid, *_below(pid)]
    if len(pids) == 1:
        return _resident(pid)
    return sum(map(_proportional, pids))


def _below(pid: int) -> Iterator[int]:
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            text = (task / "children").read_text()
            children += map(int, text.split())
    for child in children:
        yield child
        yield from _below(child)


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/statm").read_text()
        pages = text.split()[1]
        return int(pages) * _PAGE
    return 0


def _proportional(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        for line in lines:
            if line.startswith("Pss:"):
                kib = line.split()[1]
                return int(kib) * 1024
    return _resident(pid)
