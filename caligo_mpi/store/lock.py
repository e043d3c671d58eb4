"""One writer per file: a lock file that names its owner.

``flock`` decides where the file system has it: the kernel (or the NFS server) frees the lock of
a dead process, so a lock is never left behind.  Elsewhere the owner's host, pid and job decide.
Where ``flock`` does not reach other hosts, two launches may both hold it: the later one's name is
then in the file, and the earlier one stops itself at its next commit.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError

# A killed process can take a moment to go; a relaunch comes within 0.3 s.
_PATIENCE_S = 2.0

# How every lock file begins.
_BEGINNING = b'{"id": '

# A file server frees the locks of a host that went down when its lease ends (NFS 4: 90 s).
_LEASE_S = 120.0


@dataclass(frozen=True, slots=True)
class Lock:
    """A held lock: its file, our descriptor of it, and what we wrote in it."""

    path: Path
    fd: int
    owner: bytes
    #: Who held it before without releasing it; empty if nobody did.
    taken_from: str


def lock_path(path: Path) -> Path:
    """The name of the lock file that belongs to a pairs file."""
    return path.with_name(path.name + ".lock")


def acquire(path: Path, launch: Mapping[str, object], *, patience: float = _PATIENCE_S) -> Lock:
    """Lock the pairs file ``path`` or raise `StoreError` that shows the owner."""
    deadline = time.monotonic() + patience
    while True:
        fd = _opened(lock_path(path))
        try:
            before = _content(fd, lock_path(path))
            if _try_lock(fd, before, launch):
                if _is_current(fd, lock_path(path)):
                    return _sign(path, fd, before, launch)
            elif time.monotonic() > deadline + (
                _LEASE_S if _is_earlier_launch(before, launch) else 0.0
            ):
                raise StoreError(
                    f"{path} is being written by {describe(before)}; wait for that run, end it, "
                    f"or, if it is dead for certain, remove {lock_path(path)}"
                )
            else:
                time.sleep(0.05)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _opened(path: Path) -> int:
    """A descriptor of the lock file, which is made where there is none; a link is never followed."""
    try:
        # A pipe would keep us waiting for its other end.
        return os.open(
            path,
            os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            0o666,
        )
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        raise _not_ours(path) from None


def _content(fd: int, path: Path) -> bytes:
    """What the lock file holds; `StoreError` where somebody else has written it."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise _not_ours(path)
    content = os.read(fd, 4096)
    # A kill may have left it empty, a power failure cut or full of zeros.
    if any(content) and not content.startswith(_BEGINNING[: len(content)]):
        raise _not_ours(path)
    return content


def _not_ours(path: Path) -> StoreError:
    return StoreError(
        f"{path} is no lock file of this program and is left alone; move it away or choose another output"
    )


def check(lock: Lock) -> None:
    """Raise `StoreError` unless the lock file still names us."""
    try:
        current = lock.path.read_bytes()
    except FileNotFoundError:
        current = b""
    if current != lock.owner:
        raise StoreError(
            f"{lock.path} no longer names this launch but {describe(current)}; this launch stops, nothing is lost"
        )


def release(lock: Lock) -> None:
    """Remove the lock file if it is still ours, and let go."""
    with suppress(OSError, StoreError):
        check(lock)
        lock.path.unlink()
    os.close(lock.fd)


def owner(path: Path) -> str:
    """Who is writing the pairs file ``path``, as far as can be told without touching the lock; empty if nobody."""
    try:
        fd = os.open(lock_path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        content = _content(fd, lock_path(path))
    except (StoreError, OSError):
        return ""
    finally:
        os.close(fd)
    return "" if not any(content) or _is_dead(content) else describe(content)


def describe(content: bytes) -> str:
    """A lock file's content for people."""
    fields = _fields(content)
    if not fields:
        return "an unknown launch"
    where = f"host {fields.get('host')}, pid {fields.get('pid')}"
    if fields.get("job"):
        where += f", job {fields['job']}"
    return f"launch {fields.get('id')} ({where})"


def _try_lock(fd: int, before: bytes, launch: Mapping[str, object]) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no flock on this file system
        return not before or _is_dead(before) or _is_earlier_launch(before, launch)
    return True


def _is_earlier_launch(before: bytes, launch: Mapping[str, object]) -> bool:
    """Whether the owner is our own batch job on another host: it runs once, so that launch has ended."""
    fields = _fields(before)
    return (
        bool(launch.get("job"))
        and fields.get("job") == launch["job"]
        and fields.get("host") != socket.gethostname()
    )


def _is_current(fd: int, path: Path) -> bool:
    """Whether the file behind ``fd`` still has this name: its owner may have removed it while we waited."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _sign(
    path: Path,
    fd: int,
    before: bytes,
    launch: Mapping[str, object],
) -> Lock:
    fields = {
        "id": launch["id"],
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": launch.get("job", ""),
    }
    owner = json.dumps(fields).encode()
    os.ftruncate(fd, 0)
    os.pwrite(fd, owner, 0)
    former = describe(before) if before else ""
    return Lock(lock_path(path), fd, owner, former)


def _fields(content: bytes) -> dict[str, object]:
    try:
        fields = json.loads(content)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _is_dead(content: bytes) -> bool:
    fields = _fields(content)
    pid = fields.get("pid")
    if fields.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
