"""Processes of one launch: found by a mark in their environment, ended by id, never left behind.

A launcher of MPI puts its ranks into process groups and sessions of their own, so a group is not
enough to end them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1

_SEGMENTS = ("sm_segment.", "mpich_shm_")


def dying_with_parent(parent: int | None = None) -> Callable[[], None]:
    """A function that has the kernel kill the calling process when its parent dies.

    It may be called after a fork; given the id of the ``parent`` that forks, it also ends a process
    whose parent died between the fork and this call.
    """
    libc = ctypes.CDLL(None)

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return bind


def first_words(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    most: int,
    seconds: float,
) -> str | None:
    """The first bytes that a command prints, as text.

    Returns None if it is still at it after so many seconds.
    """
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    with process:
        assert process.stdout is not None
        said = process.stdout.read(most)
        is_late = not timer.is_alive()
        timer.cancel()
        process.kill()  # one that says more than this would wait for a reader for ever
    return None if is_late else said.decode(errors="replace")


def marked(name: str, value: str) -> Iterator[int]:
    """Ids of the processes on this host that were started with ``name=value`` in their environment."""
    mark = f"{name}={value}".encode()
    for entry in Path("/proc").iterdir():
        # A process may end while we look; those of other users cannot be ours.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def end_marked(name: str, value: str, *, patience: float = 5.0) -> int:
    """SIGKILL these processes, and wait until they are gone; returns how many there were.

    One that the kernel cannot end within ``patience`` seconds (its disk does not answer) is left to it.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + patience
    while (found := set(marked(name, value))) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended |= found
        time.sleep(0.01)
    return len(ended)


def any_stopped(name: str, value: str) -> bool:
    """Whether one of these processes was stopped by a signal."""
    for pid in marked(name, value):
        with contextlib.suppress(OSError):
            about = Path(f"/proc/{pid}/stat").read_text()
            _, _, fields = about.rpartition(")")  # a program's name may hold anything
            if fields.split()[0] == "T":
                return True
    return False


def mpi_segments(pids: Iterable[int]) -> set[Path]:
    """Files in shared memory by which Open MPI or MPICH connects these processes.

    Ranks that are killed leave them behind.
    """
    found: set[Path] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text()
            for line in maps.splitlines():
                path = line.partition("/dev/shm/")[2]
                if path.startswith(_SEGMENTS) and "/" not in path:
                    found.add(Path("/dev/shm", path))
    return {path for path in found if path.exists()}
