"""The partial file of a keys file: a journal of opaque records with a checksum each.

A torn record at its end is what a kill may cost.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import xxhash

from ..errors import StoreError
from .keys_data import KeysInfo
from .metadata import Damaged, open_file

MAGIC = b"caligo-keys partial file, version 1\n"
_RECORD = struct.Struct("<QQ")  # length and XXH3-64 of the payload that follows


def is_partial(path: Path) -> bool:
    """Whether ``path`` is such a journal; what cannot be read is not."""
    try:
        fd = open_file(path)
    except StoreError:
        return False
    try:
        return os.pread(fd, len(MAGIC), 0) == MAGIC
    except OSError:
        return False
    finally:
        os.close(fd)


class TornHeader(Damaged):
    """A partial file that does not even say whose it is."""


def append(fd: int, record: bytes) -> tuple[int, int]:
    """Add a record at the end and press it to the disk; where it is."""
    end = os.lseek(fd, 0, os.SEEK_END)
    append_all(fd, [record])
    return end + _RECORD.size, len(record)


def append_all(fd: int, records: Iterable[bytes]) -> None:
    """Add records at the end and press them to the disk."""
    framed = b"".join(map(_framed, records))
    view = memoryview(framed)
    while view:
        written = os.write(fd, view)
        view = view[written:]
    os.fsync(fd)


def _framed(record: bytes) -> bytes:
    checksum = xxhash.xxh3_64_intdigest(record)
    return _RECORD.pack(len(record), checksum) + record


@dataclass(frozen=True, slots=True)
class Journal:
    """A partial file: whose it is, where its whole records are (offset and length), and where they end."""

    info: KeysInfo
    places: list[tuple[int, int]]
    end: int


def read_journal(path: Path) -> Journal:
    """Check a partial file, one record at a time."""
    fd = open_file(path)
    try:
        return _read(fd, path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    finally:
        os.close(fd)


def whole_records(fd: int, magic: bytes) -> tuple[list[tuple[int, int]], int]:
    """Where the whole records of a file that begins with ``magic`` are (offset and length), and where they end."""
    places: list[tuple[int, int]] = []
    end = len(magic)
    if os.pread(fd, len(magic), 0) != magic:
        return places, end
    size = os.fstat(fd).st_size
    while size >= end + _RECORD.size:
        head = os.pread(fd, _RECORD.size, end)
        length, checksum = _RECORD.unpack(head)
        start = end + _RECORD.size
        if start + length > size:
            break
        record = record_at(fd, (start, length))
        if len(record) < length or xxhash.xxh3_64_intdigest(record) != checksum:
            break
        places.append((start, length))
        end = start + length
    return places, end


def _read(fd: int, path: Path) -> Journal:
    places, end = whole_records(fd, MAGIC)
    if not places:
        raise TornHeader(f"{path} is not a partial keys file, or damaged at its beginning")
    try:
        text = record_at(fd, places[0])
        info = KeysInfo(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise TornHeader(f"{path} is not a partial keys file of this format ({error})") from error
    return Journal(info, places[1:], end)


def record_at(fd: int, place: tuple[int, int]) -> bytes:
    """The record at an offset, of a length."""
    start, length = place
    pieces = []
    while length and (piece := os.pread(fd, length, start)):
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return b"".join(pieces)
