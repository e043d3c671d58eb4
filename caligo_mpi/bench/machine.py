"""The machine that a bench was run on: what it is, and how fast memory and disk are beside it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

_COPY_BYTES = 64 << 20
_DISK_BYTES = 32 << 20
_TIMES = 3


def describe(folder: Path) -> dict[str, Any]:
    """Processor, memory and load; speeds of memory and of the disk that ``folder`` is on, in bytes per second."""
    machine = os.uname()
    return {
        "system": f"{machine.sysname} {machine.release} {machine.machine}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory_bytes": memory("MemTotal"),
        "memory_available_bytes": memory("MemAvailable"),
        "copy_bytes_per_second": _copy_speed(),
        "disk_bytes_per_second": _disk_speed(folder),
        "load": load(),
    }


def load() -> float:
    """Processes that were running or waiting in the last minute."""
    return round(os.getloadavg()[0], 2)


def memory(name: str) -> int:
    """A line of /proc/meminfo in bytes, 0 where there is none."""
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        for line in lines:
            if line.startswith(f"{name}:"):
                kib = line.split()[1]
                return int(kib) * 1024
    return 0


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        for line in lines:
            if line.startswith("model name"):
                _, _, name = line.partition(":")
                return name.strip()
    return os.uname().machine


def _caches() -> dict[str, str]:
    """Sizes of the first core's caches by level and kind."""
    found = {}
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    with suppress(OSError):
        for index in sorted(folder.glob("index*")):
            level = _word(index / "level")
            kind = _word(index / "type")
            size = _word(index / "size")
            found[f"L{level} {kind.lower()}"] = size
    return found


def _word(path: Path) -> str:
    return path.read_text().strip()


def _copy_speed() -> float:
    """The best of a few copies of an array that no cache holds."""
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(_TIMES):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds = time.perf_counter() - start
        best = min(best, seconds)
    return _COPY_BYTES / best


def _disk_speed(folder: Path) -> float | None:
    """One write that is forced to disk; None where it cannot be made."""
    path = folder / "disk-speed.tmp"
    try:
        start = time.perf_counter()
        with path.open("wb") as file:
            mib = os.urandom(1 << 20)
            file.write(mib * (_DISK_BYTES >> 20))
            file.flush()
            os.fsync(file.fileno())
        seconds = time.perf_counter() - start
        return _DISK_BYTES / seconds
    except OSError:
        return None
    finally:
        path.unlink(missing_ok=True)
