"""The parts of HDF5 object headers that files of ours have: types, shapes, places, links, attributes."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Of an attribute.
Value = str | int | float | list[int] | list[float]

UNDEFINED = (1 << 64) - 1
_MOST_MEMBERS = 64

# Of IEEE floats: offset, bits, and where exponent and mantissa stand and end, and the exponent's bias.
_FLOATS = {4: (0, 32, 23, 8, 0, 23, 127), 8: (0, 64, 52, 11, 0, 52, 1023)}


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
        """Bytes of its data."""
        return self.kind.itemsize * math.prod(self.shape)


class Reader:
    """Bytes taken one after the other; taking more than there are is `Broken`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size > self.left:
            raise Broken("a header message ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def unpack(self, form: str) -> tuple[int, ...]:
        """The next integers."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def number(self, width: int) -> int:
        """The next unsigned integer of ``width`` bytes."""
        return int.from_bytes(self.take(width), "little")

    def name(self) -> str:
        """The next text that ends with a zero byte."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise Broken("a name in a header message does not end")
        return _text(self.take(end + 1 - self._at)[:-1])


def lookup3(data: bytes) -> int:
    """Bob Jenkins's hash of 2006 (``hashlittle`` with initial value 0), HDF5's checksum of metadata.

    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    mask = 0xFFFFFFFF
    a = b = c = (0xDEADBEEF + len(data)) & mask
    if not data:
        return c
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data + b"\0" * (-len(data) % 12))
    last = len(words) - 3
    for at in range(0, last, 3):
        a, b, c = a + words[at], b + words[at + 1], (c + words[at + 2]) & mask
        a = (a - c & mask) ^ (c << 4 & mask | c >> 28)
        c = c + b & mask
        b = (b - a & mask) ^ (a << 6 & mask | a >> 26)
        a = a + c & mask
        c = (c - b & mask) ^ (b << 8 & mask | b >> 24)
        b = b + a & mask
        a = (a - c & mask) ^ (c << 16 & mask | c >> 16)
        c = c + b & mask
        b = (b - a & mask) ^ (a << 19 & mask | a >> 13)
        a = a + c & mask
        c = (c - b & mask) ^ (b << 4 & mask | b >> 28)
        b = b + a & mask
    a, b, c = a + words[last] & mask, b + words[last + 1] & mask, c + words[last + 2] & mask
    c = (c ^ b) - (b << 14 & mask | b >> 18) & mask
    a = (a ^ c) - (c << 11 & mask | c >> 21) & mask
    b = (b ^ a) - (a << 25 & mask | a >> 7) & mask
    c = (c ^ b) - (b << 16 & mask | b >> 16) & mask
    a = (a ^ c) - (c << 4 & mask | c >> 28) & mask
    b = (b ^ a) - (a << 14 & mask | a >> 18) & mask
    return int((c ^ b) - (b << 24 & mask | b >> 8) & mask)


def require_no_heap(body: bytes | None, *, flags: int, index_bytes: int) -> None:
    """Links or attributes that are kept outside of the header are not as we write them."""
    if body is None:
        return
    reader = Reader(body)
    version, bits = reader.unpack("<BB")
    if version != 0 or bits & flags:
        raise Unknown("it tracks the order of names")
    reader.take(index_bytes * (bits & 1))
    if reader.unpack("<QQ") != (UNDEFINED, UNDEFINED):
        raise Unknown("names are kept in a heap")


def link(reader: Reader) -> tuple[str, int]:
    """A member's name and address; soft and external links are `Unknown`."""
    version, flags = reader.unpack("<BB")
    kind = reader.number(1) if flags & 0x08 else 0
    reader.take(8 * bool(flags & 0x04))
    reader.take(bool(flags & 0x10))
    name = _text(reader.take(reader.number(1 << (flags & 3))))
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
    form, version = head & 15, head >> 4
    if (
        form == 0
        and not low & ~0x08
        and size in (1, 2, 4, 8)
        and reader.unpack("<HH") == (0, 8 * size)
    ):
        return np.dtype(f"<{'i' if low & 0x08 else 'u'}{size}")
    is_float = form == 1 and size in _FLOATS and not low & 0x41
    if is_float and reader.unpack("<HHBBBBI") == _FLOATS[size]:
        return np.dtype(f"<f{size}")
    if form == 3 and 0 < size < 1 << 24:
        return np.dtype(f"S{size}")
    if form == 6 and version == 3 and depth == 0:
        return _table(reader, members=low | high << 8, size=size)
    raise Unknown(f"it has a type of class {form} and {size} bytes")


def _table(reader: Reader, *, members: int, size: int) -> np.dtype[Any]:
    if not 0 < members <= _MOST_MEMBERS or size >= 1 << 24:
        raise Unknown(f"it has a table of {members} columns")
    width = (size.bit_length() + 7) // 8
    names, offsets, formats, end = [], [], [], 0
    for _ in range(members):
        names.append(reader.name())
        offsets.append(reader.number(width))
        formats.append(datatype(reader, 1))
        if offsets[-1] != end:
            raise Unknown("it has a table with gaps")
        end += formats[-1].itemsize
    if end != size or len(set(names)) != members or not all(names):
        raise Broken(f"the columns of a table take {end} bytes of {size}")
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


def layout(reader: Reader, kind: np.dtype[Any], shape: tuple[int, ...], file_size: int) -> int:
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
    name = Reader(reader.take(name_size)).name()
    kind = datatype(Reader(reader.take(type_size)))
    shape = dataspace(Reader(reader.take(space_size)))
    raw = reader.take(kind.itemsize * math.prod(shape))
    if kind.kind == "S" and not shape:
        return name, _text(raw.rstrip(b"\0"))
    if kind.kind not in "iuf" or len(shape) > 1:
        raise Unknown(f"its attribute {name} has a type that we do not write")
    value: Value = np.frombuffer(raw, kind).reshape(shape).tolist()
    return name, value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Broken(f"{data[:40]!r} is no text") from None
