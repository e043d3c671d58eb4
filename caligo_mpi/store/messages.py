"""The parts of HDF5 object headers that files of ours have: types, shapes, places, links, attributes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Of an attribute.
Value = str | int | float | list[int] | list[float]

UNDEFINED = (1 << 64) - 1
_MOST_MEMBERS = 64

# Of IEEE floats: offset, bits, and where exponent and mantissa stand and end, and the exponent's bias.
_FLOATS = {4: (0, 32, 23, 8, 0, 23, 127), 8: (0, 64, 52, 11, 0, 52, 1023)}

_MASK = 0xFFFFFFFF


class Broken(ValueError):
    """The metadata are damaged: a checksum does not fit, or what stands there cannot be."""


class Unknown(Exception):
    """The metadata may be in order, but they are not arranged as we write them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A contiguous dataset: its type, its shape, its first byte in the file."""

    kind: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    attributes: dict[str, Value]

    @property
    def size(self) -> int:
        """How many bytes its data take."""
        return self.kind.itemsize * math.prod(self.shape)


class Reader:
    """Bytes taken one after the other; taking more than there are is `Broken`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes were not taken yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes; `Broken` where there are fewer."""
        if size > self.left:
            raise Broken("a header message ends too early")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def unpack(self, form: str) -> tuple[int, ...]:
        """The next integers, laid out as `struct` says it."""
        size = struct.calcsize(form)
        return struct.unpack(form, self.take(size))

    def number(self, width: int) -> int:
        """The next unsigned integer of ``width`` bytes."""
        raw = self.take(width)
        return int.from_bytes(raw, "little")

    def name(self) -> str:
        """The next text that ends with a zero byte."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise Broken("a name in a header message does not end")
        text = self.take(end - self._at)
        self.take(1)
        return _text(text)


def lookup3(data: bytes) -> int:
    """Bob Jenkins's hash of 2006 (``hashlittle`` with initial value 0), HDF5's checksum of metadata.

    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    start = (0xDEADBEEF + len(data)) & _MASK
    if not data:
        return start
    padded = data + b"\0" * (-len(data) % 12)
    count = len(padded) // 4
    words: tuple[int, ...] = struct.unpack(f"<{count}I", padded)
    a, b, c = _mixed(words[:-3], start)
    a = a + words[-3] & _MASK
    b = b + words[-2] & _MASK
    c = c + words[-1] & _MASK
    for turn in (14, 11, 25, 16, 4, 14, 24):
        turned = b << turn & _MASK | b >> 32 - turn
        a, b, c = b, (c ^ b) - turned & _MASK, a
    return b


def _mixed(words: Sequence[int], start: int) -> tuple[int, int, int]:
    """The state of `lookup3` after all words but the last three; written out, since it takes most of the time."""
    mask = _MASK
    a = b = c = start
    for at in range(0, len(words), 3):
        a = a + words[at]
        b = b + words[at + 1]
        c = c + words[at + 2] & mask
        turned = c << 4 & mask | c >> 28
        a = (a - c & mask) ^ turned
        c = c + b & mask
        turned = a << 6 & mask | a >> 26
        b = (b - a & mask) ^ turned
        a = a + c & mask
        turned = b << 8 & mask | b >> 24
        c = (c - b & mask) ^ turned
        b = b + a & mask
        turned = c << 16 & mask | c >> 16
        a = (a - c & mask) ^ turned
        c = c + b & mask
        turned = a << 19 & mask | a >> 13
        b = (b - a & mask) ^ turned
        a = a + c & mask
        turned = b << 4 & mask | b >> 28
        c = (c - b & mask) ^ turned
        b = b + a & mask
    return a, b, c


def require_no_heap(body: bytes | None, *, flags: int, index_bytes: int) -> None:
    """Links or attributes that are kept outside of the header are not as we write them."""
    if body is None:
        return
    reader = Reader(body)
    version, bits = reader.unpack("<BB")
    if version != 0 or bits & flags:
        raise Unknown("it tracks the order of names")
    if bits & 1:
        reader.take(index_bytes)
    if reader.unpack("<QQ") != (UNDEFINED, UNDEFINED):
        raise Unknown("names are kept in a heap")


def link(reader: Reader) -> tuple[str, int]:
    """A member's name and address; soft and external links are `Unknown`."""
    version, flags = reader.unpack("<BB")
    kind = 0
    if flags & 0x08:
        kind = reader.number(1)
    if flags & 0x04:
        reader.take(8)
    if flags & 0x10:
        reader.take(1)
    width = 1 << (flags & 3)
    length = reader.number(width)
    name = _text(reader.take(length))
    if version != 1 or kind != 0:
        raise Unknown(f"{name!r} is no hard link")
    if not name or "/" in name:
        raise Broken(f"{name!r} is no name")
    return name, reader.number(8)


def dataspace(reader: Reader) -> tuple[int, ...]:
    """The shape; one that may grow is `Unknown`."""
    version, rank, flags, kind = reader.unpack("<BBBB")
    if version != 2 or kind > 1 or rank > 2:
        raise Unknown("it has a shape that we do not write")
    shape = reader.unpack(f"<{rank}Q")
    if flags & 1 and reader.unpack(f"<{rank}Q") != shape:
        raise Unknown("it has a dataset that may grow")
    return shape


def datatype(reader: Reader, depth: int = 0) -> np.dtype[Any]:
    """The type as numpy's: little-endian integers and floats, text of fixed length, tables of these."""
    head, low, high, _, size = reader.unpack("<BBBBI")
    form = head & 15
    version = head >> 4
    found: np.dtype[Any] | None = None
    if form == 0:
        found = _integer(reader, low, size)
    elif form == 1:
        found = _float(reader, low, size)
    elif form == 3 and 0 < size < 1 << 24:
        found = np.dtype(f"S{size}")
    elif form == 6 and version == 3 and depth == 0:
        members = low | high << 8
        found = _table(reader, members=members, size=size)
    if found is None:
        raise Unknown(f"it has a type of class {form} and {size} bytes")
    return found


def _integer(reader: Reader, low: int, size: int) -> np.dtype[Any] | None:
    if low & ~0x08 or size not in (1, 2, 4, 8):
        return None
    if reader.unpack("<HH") != (0, 8 * size):
        return None
    sign = "i" if low & 0x08 else "u"
    return np.dtype(f"<{sign}{size}")


def _float(reader: Reader, low: int, size: int) -> np.dtype[Any] | None:
    if size not in _FLOATS or low & 0x41:
        return None
    if reader.unpack("<HHBBBBI") != _FLOATS[size]:
        return None
    return np.dtype(f"<f{size}")


def _table(reader: Reader, *, members: int, size: int) -> np.dtype[Any]:
    if not 0 < members <= _MOST_MEMBERS or size >= 1 << 24:
        raise Unknown(f"it has a table of {members} columns")
    width = (size.bit_length() + 7) // 8
    names = []
    formats = []
    offsets = []
    end = 0
    for _ in range(members):
        names.append(reader.name())
        offset = reader.number(width)
        kind = datatype(reader, 1)
        if offset != end:
            raise Unknown("it has a table with gaps")
        offsets.append(offset)
        formats.append(kind)
        end += kind.itemsize
    if end != size or len(set(names)) != members or not all(names):
        raise Broken(f"the columns of a table take {end} bytes of {size}")
    return np.dtype(
        {
            "names": names,
            "formats": formats,
            "offsets": offsets,
            "itemsize": size,
        }
    )


def layout(
    reader: Reader,
    kind: np.dtype[Any],
    shape: tuple[int, ...],
    file_size: int,
) -> int:
    """The first byte of a contiguous dataset; what is compressed, in pieces, or elsewhere is `Unknown`."""
    version, form = reader.unpack("<BB")
    if version not in (3, 4) or form != 1:
        raise Unknown("it has a dataset that is not contiguous")
    address, stored = reader.unpack("<QQ")
    size = kind.itemsize * math.prod(shape)
    if stored != size and (stored or address != UNDEFINED):
        raise Broken(f"a dataset of {size} bytes has {stored} bytes in the file")
    if not size:
        return 0
    if address == UNDEFINED:
        raise Broken(f"a dataset of {size} bytes has no data in the file")
    if address + size > file_size:
        raise Broken(
            f"it is truncated: a dataset of {size} bytes does not fit into {file_size} bytes"
        )
    return address


def attribute(reader: Reader) -> tuple[str, Value]:
    """An attribute's name and value."""
    version, flags, name_size, type_size, space_size = reader.unpack("<BBHHH")
    if version != 3 or flags:
        raise Unknown(f"it has attributes of version {version}")
    reader.take(1)
    name_part = Reader(reader.take(name_size))
    type_part = Reader(reader.take(type_size))
    space_part = Reader(reader.take(space_size))
    name = name_part.name()
    kind = datatype(type_part)
    shape = dataspace(space_part)
    size = kind.itemsize * math.prod(shape)
    raw = reader.take(size)
    if kind.kind == "S" and not shape:
        text = raw.rstrip(b"\0")
        return name, _text(text)
    if kind.kind not in "iuf" or len(shape) > 1:
        raise Unknown(f"its attribute {name} has a type that we do not write")
    values = np.frombuffer(raw, kind)
    value: Value = values.reshape(shape).tolist()
    return name, value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        begin = data[:40]
        raise Broken(f"{begin!r} is no text") from None
