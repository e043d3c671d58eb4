"""Plain file operations: whole writes and reads at an offset, moves that replace nothing, free space."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from .names import require_regular

_NO_HARD_LINKS = {
    errno.EPERM,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EXDEV,
    errno.EACCES,
}

_COPY_BYTES = 4 << 20


_RESUMABLE = "what was committed is kept: remove the cause and run the same command again"


@contextmanager
def disk_errors(path: Path, doing: str, *, remedy: str = _RESUMABLE) -> Iterator[None]:
    """Turn what the operating system says into one sentence."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: {doing} failed ({reason(error)}); {remedy}") from error


def reason(error: BaseException) -> str:
    """What the operating system says; HDF5 hides it in a long sentence of its own.

    >>> reason(OSError("unable to open file: name = 'x', errno = 122, error message = '…'"))
    'Disk quota exceeded'
    """
    text = " ".join(str(error).split())
    found = re.search(r"errno = (\d+)", text)
    number = int(found[1]) if found else getattr(error, "errno", None)
    return os.strerror(number) if number else text


def write_at(fd: int, data: NDArray[Any] | bytes | bytearray, offset: int) -> None:
    """Write all of ``data``; a signal or a limit of the system may cut one write short."""
    view = memoryview(_raw(data) if isinstance(data, np.ndarray) else data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def _raw(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array."""
    if not array.flags.c_contiguous:
        raise ValueError("only contiguous arrays are read and written")
    return array.reshape(-1).view(np.uint8).data


def read_at(fd: int, out: NDArray[Any], offset: int) -> None:
    """Fill ``out`` (contiguous) from the file."""
    view = _raw(out)
    while view:
        try:
            size = os.preadv(fd, [view], offset)
        except OSError as error:
            raise StoreError(
                f"{_name(fd)} cannot be read at byte {offset} ({error.strerror})"
            ) from error
        if not size:
            raise StoreError(f"{_name(fd)} is truncated: it ends before byte {offset}")
        view = view[size:]
        offset += size


def _name(fd: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return "the file"


def sync_directory(directory: Path) -> None:
    """Make names created or removed in ``directory`` survive a power failure, where the file system can."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Press a file's data to the disk."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def move_new(source: Path, target: Path) -> None:
    """Give ``source`` the name ``target``; `FileExistsError` where that name is taken.

    A hard link fails where the name exists, a rename would replace it.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(
                errno.EEXIST,
                os.strerror(errno.EEXIST),
                str(target),
            ) from None
        source.rename(target)
    else:
        source.unlink(missing_ok=True)


def set_aside(path: Path, tag: str) -> Path:
    """Rename ``path``, a regular file, to the first free ``path.tag-N``."""
    require_regular(path)
    for number in itertools.count(1):
        target = path.with_name(f"{path.name}.{tag}-{number}")
        if os.path.lexists(target) and path.samefile(target):
            # A kill came between the link and the unlink of an earlier move.
            path.unlink()
            return target
        with suppress(FileExistsError):
            move_new(path, target)
            return target
    raise AssertionError("unreachable")


def require_space(directory: Path, size: int, purpose: str) -> None:
    """Refuse before anything is written what the disk cannot hold."""
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    if size > free:
        asked = f"{size / 1e9:.3g} GB"
        there = f"{free / 1e9:.3g} GB"
        raise StoreError(
            f"{purpose} needs {asked}, {there} free in {directory}; "
            "free some space, ask for fewer pairs or choose another output directory"
        )


def file_system(folder: Path) -> str:
    """The type of the file system that holds a directory, as the kernel names it."""
    resolved = folder.resolve()
    best = -1
    kind = "an unknown file system"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        if resolved.is_relative_to(point) and len(point) >= best:
            best = len(point)
            kind = after.split()[0]
    return kind


def copy_bytes(
    source: int,
    target: int,
    *,
    at: int,
    to: int,
    size: int,
) -> None:
    """Copy ``size`` bytes from offset ``at`` of one file to offset ``to`` of another, a few MiB at a time."""
    buffer = np.empty(min(size, _COPY_BYTES), np.uint8)
    for done in range(0, size, _COPY_BYTES):
        part = buffer[: min(_COPY_BYTES, size - done)]
        read_at(source, part, at + done)
        write_at(target, part, to + done)
