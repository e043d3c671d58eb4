"""The file system that the output is to be on: kind, room, locks, writing speed."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ...machine.wording import quantity
from ...store import file_system
from .findings import Finding, failure, ok, warning

#: Written by each rank to measure speed: long enough for a disk, short enough for a person.
PROBE_BYTES = 32 << 20

#: File systems that several hosts share; locks on them may be missing.
_SHARED = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb", "panfs", "orangefs", "fuse")

#: Below this a run of some hundred million pairs does not fit.
_LITTLE_BYTES = 1 << 30


def look_at(folder: Path) -> Iterator[Finding]:
    """What can be told about a directory without other ranks."""
    what = "output"
    if not folder.is_dir():
        remedy = "create it or name another with -o"
        yield failure(what, f"{folder} is not a directory", remedy)
        return
    kind = file_system(folder)
    shared = kind.startswith(_SHARED)
    told = f"{folder} is on {kind}"
    if shared:
        told += ", which hosts share"
    yield ok(what, told)
    yield _room(folder)
    try:
        yield _locks(folder, kind)
    except OSError as error:
        told = f"{folder} cannot be written ({error.strerror})"
        yield failure("writing", told, "choose another output directory")


def _room(folder: Path) -> Finding:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    # Four packed columns: half a byte per pair.
    told = f"{quantity(free)}B free, enough for {quantity(2 * free)} pairs of a lossless run"
    if free < _LITTLE_BYTES:
        return warning("room", told, "free some space or choose another output directory")
    return ok("room", told)


def _locks(folder: Path, kind: str) -> Finding:
    """Whether files can be locked there, as HDF5 does."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            told = f"{kind} has no file locks ({error.strerror})"
            remedy = "export HDF5_USE_FILE_LOCKING=FALSE (caligo-mpi has a lock of its own)"
            return warning("locks", told, remedy)
    return ok("locks", "files can be locked")


def writing_speed(folder: Path) -> float:
    """Bytes per second of one writer, down to the disk; 0 where nothing can be written."""
    block = os.urandom(1 << 20)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            begin = time.perf_counter()
            for _ in range(PROBE_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - begin
            return PROBE_BYTES / seconds
    except OSError:
        return 0.0
