"""The partial file of a keys file: a journal of opaque records with a checksum each.

A torn record at its end is what a kill may cost.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import xxhash

from ..errors import StoreError
from .keys_data import KeysInfo
from .metadata import open_file

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


class TornHeader(StoreError):
    """A partial file that does not even say whose it is."""


def append(fd: int, record: bytes) -> None:
    """Add a record and press it to the disk."""
    view = memoryview(_RECORD.pack(len(record), xxhash.xxh3_64_intdigest(record)) + record)
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


def read_journal(path: Path) -> tuple[KeysInfo, list[bytes], int]:
    """Header, whole records, and the byte behind the last of them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    records: list[bytes] = []
    end = len(MAGIC)
    while len(data) >= end + _RECORD.size and data.startswith(MAGIC):
        length, checksum = _RECORD.unpack_from(data, end)
        start = end + _RECORD.size
        record = data[start : start + length]
        if len(record) < length or xxhash.xxh3_64_intdigest(record) != checksum:
            break
        records.append(record)
        end = start + length
    if not records:
        raise TornHeader(f"{path} is not a partial keys file, or damaged at its beginning")
    try:
        return KeysInfo(**json.loads(records[0])), records[1:], end
    except (ValueError, TypeError) as error:
        raise TornHeader(f"{path} is not a partial keys file of this format ({error})") from error
