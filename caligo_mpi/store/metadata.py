"""What stands in a file of ours beside its data, as plain values: attributes, and where which dataset is.

Nothing that reads a file hands it to HDF5, since damaged metadata can hang or kill a process in there.  A file as we
write them is read by `walk`, which checks every byte it believes.  What it does not know (files of format 1.0,
files that another tool rewrote) is read by `probe`, in a child process with limits.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..errors import StoreError
from .files import read_at
from .messages import Broken, Place, Unknown, Value
from .names import part_path
from .probe import probe
from .walk import Group, walk

#: Text longer than this is split: no attribute of HDF5's object headers holds more than 64 KiB.
TEXT_BYTES = 60_000

_PIECE_BYTES = 4 << 20


class Damaged(StoreError):
    """Not a file of ours, or one whose metadata cannot be read."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """A file's root attributes, datasets and their attributes.

    ``ours`` says that the file is laid out as we write files, with every byte of its metadata under a checksum;
    ``described`` maps the names of groups and datasets to their attributes.
    """

    attributes: Mapping[str, Value]
    places: Mapping[str, Place]
    described: Mapping[str, Mapping[str, Value]]
    ours: bool

    @property
    def minor(self) -> int:
        """The minor format version."""
        version = self.attributes["format_version"]
        return int(version[1]) if isinstance(version, list) else 0

    def text(self, name: str) -> str:
        """An attribute that is text; `ValueError` where it is something else."""
        value = self.attributes[name]
        if not isinstance(value, str):
            raise ValueError(f"its attribute {name} is no text")
        return value

    def number(self, name: str) -> int:
        """An attribute that is an integer, or its digits."""
        value = self.attributes[name]
        if isinstance(value, list):
            raise ValueError(f"its attribute {name} is no number")
        return int(value)

    def real(self, name: str) -> float:
        """An attribute that is a finite number."""
        value = self.attributes[name]
        if isinstance(value, list) or not math.isfinite(float(value)):
            raise ValueError(f"its attribute {name} is no number")
        return float(value)


def checksum(
    metadata: Metadata,
    fd: int,
    tables: list[str],
    *,
    leave_out: str,
) -> int:
    """XXH3-64 over every attribute of every object but ``leave_out``, and over the bytes of some datasets."""
    found = xxhash.xxh3_64()
    owners = {"": metadata.attributes, **metadata.described}
    for owner in sorted(owners):
        attributes = owners[owner]
        for name in sorted(attributes):
            if name == leave_out:
                continue
            line = f"{owner}:{name}={attributes[name]!r}\n"
            found.update(line.encode())
    for name in tables:
        found.update(f"{name}\n".encode())
        for piece in dataset_pieces(metadata, fd, name):
            found.update(piece.data)
    return found.intdigest()


def read_dataset(metadata: Metadata, fd: int, name: str) -> NDArray[Any]:
    """A whole dataset; it was made sure that the file is large enough for it."""
    place = metadata.places[name]
    values = np.empty(place.shape, place.kind)
    if values.nbytes:
        read_at(fd, values, place.offset)
    return values


def dataset_pieces(metadata: Metadata, fd: int, name: str) -> Iterator[NDArray[np.uint8]]:
    """The bytes of a dataset, some at a time."""
    place = metadata.places[name]
    size = place.kind.itemsize * math.prod(place.shape)
    for start in range(0, size, _PIECE_BYTES):
        piece = np.empty(min(_PIECE_BYTES, size - start), np.uint8)
        read_at(fd, piece, place.offset + start)
        yield piece


@contextmanager
def opened(
    path: Path,
    *,
    holds: str,
    format: str,
    version: tuple[int, int],
) -> Iterator[tuple[int, Metadata]]:
    """The file's descriptor, open for reading, and its metadata; ``holds`` says for people what such files hold.

    Raises `StoreError` where it is missing, cannot be read or has another format, and `Damaged` for what is wrong
    with its contents.
    """
    fd = open_file(path)
    try:
        with damage_said(path, holds=holds):
            metadata = checked_metadata(
                fd,
                path,
                format=format,
                version=version,
            )
            yield fd, metadata
    finally:
        os.close(fd)


@contextmanager
def damage_said(path: Path, *, holds: str) -> Iterator[None]:
    """Turn what comes of contents that cannot be into `Damaged`."""
    try:
        yield
    except StoreError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise Damaged(f"{path} is not an HDF5 file with {holds}, or damaged ({text})") from error


def checked_metadata(
    fd: int,
    path: Path,
    *,
    format: str,
    version: tuple[int, int],
) -> Metadata:
    """The metadata of the file behind ``fd``, if it has our format and major version."""
    metadata = read_metadata(fd, path)
    _require_format(path, metadata, format, version)
    return metadata


def open_file(path: Path) -> int:
    """Open a regular file for reading; `StoreError` says what stands in the way."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for its writer
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise StoreError(_missing(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise StoreError(f"{path} cannot be read ({reason})") from error
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    kind = "not a regular file"
    if stat.S_ISDIR(mode):
        kind = os.strerror(errno.EISDIR)
    raise StoreError(f"{path} cannot be read ({kind})")


def _missing(path: Path) -> str:
    part = part_path(path)
    if not part.exists():
        return f"{path} does not exist"
    return f"{path} does not exist, but {part} does: its run is not finished; run its command again"


# Files of other layouts that this process has probed already, with what came of it: a probe takes half a second.
_PROBED: dict[tuple[int, ...], Metadata | str] = {}
_PROBED_MOST = 64


def read_metadata(fd: int, path: Path) -> Metadata:
    """The metadata of the file behind ``fd``; `Broken` where they are damaged."""
    try:
        found = walk(fd)
    except Unknown as unknown:
        return _probed(fd, path, unknown)
    root = found.pop("")
    places = {}
    described = {}
    for name, node in found.items():
        described[name] = _joined(node.attributes)
        if isinstance(node, Place):
            places[name] = node
    return Metadata(
        attributes=_joined(root.attributes),
        places=places,
        described=described,
        ours=isinstance(root, Group),
    )


def _probed(fd: int, path: Path, unknown: Unknown) -> Metadata:
    state = os.fstat(fd)
    head = xxhash.xxh3_64_intdigest(os.pread(fd, 1 << 16, 0))
    key = (
        state.st_dev,
        state.st_ino,
        state.st_size,
        state.st_mtime_ns,
        head,
    )
    if key not in _PROBED:
        if len(_PROBED) >= _PROBED_MOST:
            _PROBED.clear()
        _PROBED[key] = _newly_probed(fd, path, unknown)
    known = _PROBED[key]
    if isinstance(known, str):
        raise Broken(known)
    return known


def _newly_probed(fd: int, path: Path, unknown: Unknown) -> Metadata | str:
    """What the child process found, or what is wrong with the file."""
    try:
        found = probe(fd, path, str(unknown))
    except Broken as error:
        return str(error)
    described = {name: _joined(attributes) for name, attributes in found.described.items()}
    root = described.pop("")
    return Metadata(
        root,
        found.places,
        described,
        ours=False,
    )


def _joined(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """The attributes with the pieces of long texts put together."""
    whole = dict(attributes)
    for name, value in attributes.items():
        number = 1
        while isinstance(value, str):
            rest = whole.pop(f"{name}.{number}", None)
            if not isinstance(rest, str):
                break
            value += rest
            whole[name] = value
            number += 1
    return whole


def pieces(name: str, text: str) -> dict[str, bytes]:
    """A text as attributes: one of its name, and for what is longer than `TEXT_BYTES` more, numbered from 1.

    >>> {name: len(value) for name, value in pieces("config", "x" * 130_000).items()}
    {'config': 60000, 'config.1': 60000, 'config.2': 10000}
    """
    found: dict[str, bytes] = {}
    while text or not found:
        length = TEXT_BYTES if text.isascii() else TEXT_BYTES // 4
        key = f"{name}.{len(found)}" if found else name
        found[key] = text[:length].encode()
        text = text[length:]
    return found


#: What there is of each format, for people.
_NAMED = {
    "caligo-pairs": "a file of pairs",
    "caligo-keys": "a file of keys",
    "caligo-sweep": "the directory of a sweep",
}


def _require_format(
    path: Path,
    metadata: Metadata,
    format: str,
    version: tuple[int, int],
) -> None:
    found = metadata.attributes.get("format")
    if found is None:
        raise ValueError("it has no attribute 'format'")
    if found != format:
        raise StoreError(
            f"{path} has format={found!r}; this reader knows {format!r}: name {_NAMED[format]}"
        )
    numbers = metadata.attributes["format_version"]
    if not isinstance(numbers, list) or len(numbers) != 2:
        raise ValueError(f"its format_version is {numbers!r}")
    major, minor = numbers
    if major != version[0]:
        raise StoreError(
            f"{path} has format_version={major}.{minor}; "
            f"this reader knows {version[0]}.x: use another release"
        )
