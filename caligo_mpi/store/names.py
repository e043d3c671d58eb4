"""Names of files, looked at before anything is opened: one sentence for what cannot be one, and whose a file is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import StoreError
from ..machine.environment import shown

# Bytes that Linux allows in a path, with the zero at its end, and in a name where the file system does not say.
_PATH_MAX, _NAME_MAX = 4096, 255
# The longest ending that a name is given while its file is made or set aside.
_ENDING = len(".part.damaged-99")

_HDF5 = b"\x89HDF\r\n\x1a\n"
_JOURNALS = (b"caligo-keys partial file", b"caligo-sweep partial file")
#: Beginning of the names of our formats, which stand in every file of ours near its beginning or its end.
_FORMATS = (b"caligo-pairs", b"caligo-keys", b"caligo-sweep")
_NEAR = 1 << 20


class AlreadyComplete(StoreError):
    """What was asked for is there, finished: raised once the lock is held, so that nobody is writing it any more."""


def part_path(path: Path) -> Path:
    """The partial file of ``path``."""
    return path.with_name(path.name + ".part")


def aside_path(path: Path) -> Path:
    """Where a file is made before it gets the name ``path``."""
    return path.with_name(path.name + ".tmp")


def input_name(path: str | os.PathLike[str]) -> Path:
    """The path of a file to be read; `StoreError` where no file can have it.

    A symbolic link that leads nowhere yet stands for its target, whose partial file is beside that.
    """
    found = _checked(path)
    if found.is_symlink():
        found = _checked(_target(found))
    _require_file(found, "name a file")
    return found


def existing(path: Path) -> Path:
    """The file itself, or its partial file where only that is there."""
    part = part_path(path)
    return part if part.exists() and not path.exists() else path


def output_name(path: str | os.PathLike[str]) -> Path:
    """The path of a file to be written, through symbolic links; `StoreError` where it is no name of a file.

    What is there already is left to others to judge, unless it is no regular file.
    """
    found = _checked(path, room=_ENDING)
    if found.is_symlink():
        found = _checked(_target(found), room=_ENDING)
    _require_file(found, "choose another output")
    return found


def final_path(path: Path) -> Path:
    """The output that ``path`` is, or that it is the partial file of.

    >>> final_path(Path("run.h5.part")), final_path(Path(".part"))
    (PosixPath('run.h5'), PosixPath('.part'))
    """
    return path.with_name(path.name.removesuffix(".part") or path.name)


def is_ours(path: Path) -> bool:
    """Whether ``path`` is a regular file, no link, that was written by this package, as far as its bytes tell."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(_NEAR)
            file.seek(max(0, found.st_size - _NEAR))
            tail = file.read(_NEAR)
    except OSError:
        return False
    if head.startswith(_JOURNALS):
        return True
    near = head + tail
    return head.startswith(_HDF5) and any(name in near for name in _FORMATS)


def not_overwritten(path: Path) -> str:
    """What to do about a file that stands where another is to be written."""
    remedy = "move it away, it is not of this program"
    if is_ours(path):
        remedy = "set it aside with --force"
    return f"it is not overwritten: choose another output or {remedy}"


def require_ours(path: Path) -> None:
    """Only what this package has written is ever renamed."""
    if not is_ours(path):
        raise StoreError(
            f"{_named(path)} was not written by this program and is left alone; {_ELSEWHERE}"
        )


def require_regular(path: Path) -> None:
    """The same for a name that is ours, whatever stands in the file."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise StoreError(f"{_named(path)} is no regular file and is left alone; {_ELSEWHERE}")


def remove_leftover(path: Path) -> None:
    """Remove what a killed launch may have left at ``path``, a file in the making; never a file of somebody else."""
    try:
        require_regular(path)
        with path.open("rb") as file:
            head = file.read(max(map(len, _JOURNALS)))
    except FileNotFoundError:
        return
    beginnings = [beginning[: len(head)] for beginning in (_HDF5, *_JOURNALS)]
    is_begun = any(head.startswith(beginning) for beginning in beginnings)
    is_empty = not any(head)  # a power failure may leave zeros
    if not is_begun and not is_empty:
        raise StoreError(
            f"{_named(path)} is in the way and was not written by this program; {_ELSEWHERE}"
        )
    path.unlink(missing_ok=True)


_ELSEWHERE = "move it away or choose another output"


def _checked(path: str | os.PathLike[str], *, room: int = 0) -> Path:
    text = os.fspath(path)
    if not text:
        raise StoreError("the name of a file is empty; give it one")
    try:
        raw = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise StoreError(
            f"{_named(text)} cannot be a file's name here ({error.reason} in {error.encoding})"
        ) from None
    if b"\0" in raw:
        raise StoreError(f"{_named(text)} cannot be a file's name: it holds a zero byte")
    found = Path(text)
    _require_short(found, raw, room)
    kind = _kind(found)
    names_directory = found.name in ("", "..") or text.endswith(os.sep)
    if names_directory or (kind is not None and stat.S_ISDIR(kind)):
        # An input is there already; an output can be called anything.
        there = [] if room else sorted(found.glob("*.h5"))
        example = _named(there[0] if there else found / "run.h5")
        raise StoreError(f"{_named(text)} is a directory; name a file in it, such as {example}")
    return found


def _require_short(path: Path, raw: bytes, room: int) -> None:
    ending = f" with the {room} more that its partial file takes" if room else ""
    if len(raw) + room >= _PATH_MAX:
        size = f"{len(raw)} bytes,{ending} too many"
        raise StoreError(f"{_named(path)} has {size} for a path: at most {_PATH_MAX - 1}")
    length = len(os.fsencode(path.name))
    try:
        most = os.pathconf(path.parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        most = _NAME_MAX
    if length + room > most:
        size = f"{length} bytes,{ending} too many"
        raise StoreError(f"{_named(path)} has a name of {size}: at most {most}; shorten it")


def _require_file(path: Path, remedy: str) -> None:
    """Nothing there, or a regular file: opening a pipe would wait for its other end for ever."""
    kind = _kind(path)
    if kind is not None and not stat.S_ISREG(kind):
        raise StoreError(f"{_named(path)} is no regular file; {remedy}")


def _target(link: Path) -> Path:
    target = Path(os.path.realpath(link))
    if target.is_symlink():
        raise StoreError(
            f"{_named(link)} is a symbolic link that leads back to itself; name a file"
        )
    return target


def _kind(path: Path) -> int | None:
    """The mode of what is there; None where nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if path.is_symlink():
            return None  # one that leads nowhere
        raise StoreError(f"{_named(path)} cannot be looked at ({error.strerror})") from error


def _named(path: str | Path) -> str:
    return shown(os.fspath(path), most=200)
