"""Reading the metadata of an HDF5 file as we write them, without HDF5: nothing is believed that has no checksum.

Written after the HDF5 file format specification, version 3.0, and only for what `hdf5.create` makes HDF5 write:
a superblock of version 2 or 3, object headers of version 2, their links and attributes in the headers themselves,
contiguous datasets.  Whatever else stands in a file is `Unknown`; a checksum that does not fit is `Broken`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .messages import (
    UNDEFINED,
    Broken,
    Place,
    Reader,
    Unknown,
    Value,
    attribute,
    dataspace,
    datatype,
    layout,
    link,
    lookup3,
    require_no_heap,
)

__all__ = ["Broken", "Group", "Place", "Unknown", "walk"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# A file of ours has at most a dozen objects with some kB of headers.
_MOST_BYTES = 4 << 20
_MOST_OBJECTS = 64
_MOST_CHUNKS = 1024
_MOST_DEPTH = 2

# Types of header messages.
_NIL = 0x00
_SPACE = 0x01
_LINK_INFO = 0x02
_TYPE = 0x03
_FILL = 0x05
_LINK = 0x06
_LAYOUT = 0x08
_GROUP_INFO = 0x0A
_ATTRIBUTE = 0x0C
_CONTINUATION = 0x10
_TIME = 0x12
_ATTRIBUTE_INFO = 0x15
_REFERENCES = 0x16
_KNOWN = {
    _NIL,
    _SPACE,
    _LINK_INFO,
    _TYPE,
    _FILL,
    _LINK,
    _LAYOUT,
    _GROUP_INFO,
    _ATTRIBUTE,
    _CONTINUATION,
    _TIME,
    _ATTRIBUTE_INFO,
    _REFERENCES,
}


@dataclass(frozen=True, slots=True)
class Group:
    """A group's attributes, and the addresses of its members."""

    attributes: dict[str, Value]
    links: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _File:
    """The file behind a descriptor, read within its bounds and within what metadata may take."""

    fd: int
    size: int
    note: Callable[[range], object]
    left: int = _MOST_BYTES

    def read(self, offset: int, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise Unknown("its metadata are larger than those of files as we write them")
        if offset < 0 or offset + size > self.size:
            raise Broken(
                f"it is truncated, or its metadata point outside: byte {offset + size} of {self.size}"
            )
        data = os.pread(self.fd, size, offset)
        if len(data) != size:
            raise Broken(f"it is truncated: it ends before byte {offset + size}")
        self.note(range(offset, offset + size))
        return data


def walk(fd: int, note: Callable[[range], object] = lambda read: None) -> dict[str, Group | Place]:
    """Every object of the file by its path, the root under the empty name; ``note`` is told which bytes were read.

    Raises `Broken` and `Unknown`.
    """
    file = _File(fd, os.fstat(fd).st_size, note)
    found: dict[str, Group | Place] = {}
    seen: set[int] = set()
    waiting = [("", _root(file), 0)]
    while waiting:
        path, address, depth = waiting.pop()
        if address in seen or len(seen) >= _MOST_OBJECTS or depth > _MOST_DEPTH:
            raise Unknown("its groups are not arranged as we write them")
        seen.add(address)
        node = _node(file, address)
        found[path] = node
        if not isinstance(node, Group):
            continue
        for name, place in node.links.items():
            below = f"{path}/{name}".lstrip("/")
            waiting.append((below, place, depth + 1))
    if not isinstance(found[""], Group):
        raise Broken("its root is no group")
    return found


def _root(file: _File) -> int:
    """The address of the root group."""
    if file.size < 8 or file.read(0, 8) != _SIGNATURE:
        raise Broken("it does not begin with the signature of HDF5 files")
    (version,) = file.read(8, 1)
    if version not in (2, 3):
        # Older superblocks have no checksum: a flipped version cannot be told from an old file.
        raise Unknown(f"its superblock has version {version}")
    block = file.read(0, 48)
    if not _has_checksum(block):
        raise Broken("its superblock does not have its checksum")
    values = struct.unpack_from("<BBBQQQQ", block, 9)
    offsets, lengths, _, base, extension, end, root = values
    if (offsets, lengths, base, extension) != (8, 8, 0, UNDEFINED):
        raise Unknown("its superblock is not as we write it")
    if end > file.size:
        raise Broken(f"it is truncated: {file.size} bytes of {end}")
    return int(root)


def _node(file: _File, address: int) -> Group | Place:
    """The object whose header is at ``address``."""
    bodies: dict[int, list[bytes]] = {}
    for kind, body in _messages(file, address):
        bodies.setdefault(kind, []).append(body)
    if strange := set(bodies) - _KNOWN:
        raise Unknown(f"it has header messages of type {min(strange)}")
    require_no_heap(_last(bodies, _ATTRIBUTE_INFO), flags=0x02, index_bytes=2)
    attributes: dict[str, Value] = {}
    for body in bodies.get(_ATTRIBUTE, []):
        name, value = attribute(Reader(body))
        if name in attributes:
            raise Broken("an attribute is there twice")
        attributes[name] = value
    if _LAYOUT in bodies:
        return _place(file, bodies, attributes)
    if _LINK_INFO not in bodies:
        raise Unknown("it has an object that is neither a group nor a dataset")
    require_no_heap(_last(bodies, _LINK_INFO), flags=0x02, index_bytes=8)
    links: dict[str, int] = {}
    for body in bodies.get(_LINK, []):
        name, place = link(Reader(body))
        if name in links:
            raise Broken("a name is there twice")
        links[name] = place
    return Group(attributes, links)


def _messages(file: _File, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of every message of an object header, its continuations included."""
    flags, first = _header(file, address)
    waiting = [first]
    chunks = 0
    head = 6 if flags & 0x04 else 4
    while waiting:
        reader = Reader(waiting.pop(0))
        chunks += 1
        if chunks > _MOST_CHUNKS:
            raise Unknown("its object headers are in more pieces than we write")
        while reader.left >= head:
            kind, length, bits = reader.unpack("<BHB")
            reader.take(head - 4)
            body = reader.take(length)
            if kind == _CONTINUATION:
                offset, length = struct.unpack("<QQ", body)
                waiting.append(_continuation(file, offset, length))
            elif kind != _NIL:
                if bits & 0x02:
                    raise Unknown("it has shared header messages")
                yield kind, body


def _header(file: _File, address: int) -> tuple[int, bytes]:
    """An object header's flags and its first messages."""
    start = file.read(address, 6)
    if start[:4] != b"OHDR":
        if start[0] == 1 and start[1] == 0:
            raise Unknown("its object headers are of version 1")
        raise Broken(f"there is no object header at byte {address}")
    flags = start[5]
    skip = 6
    if flags & 0x20:
        skip += 16  # times
    if flags & 0x10:
        skip += 4  # when attributes go into a heap
    width = 1 << (flags & 3)
    raw = file.read(address + skip, width)
    size = int.from_bytes(raw, "little")
    begin = skip + width
    block = _checked(file, address, begin + size + 4)
    return flags, block[begin:-4]


def _place(
    file: _File,
    bodies: Mapping[int, list[bytes]],
    attributes: dict[str, Value],
) -> Place:
    """The dataset of which these are the header messages."""
    if _TYPE not in bodies or _SPACE not in bodies:
        raise Broken("a dataset has no type or no shape")
    of_type = Reader(bodies[_TYPE][-1])
    of_space = Reader(bodies[_SPACE][-1])
    of_layout = Reader(bodies[_LAYOUT][-1])
    kind = datatype(of_type)
    shape = dataspace(of_space)
    offset = layout(of_layout, kind, shape, file.size)
    return Place(kind, shape, offset, attributes)


def _last(bodies: Mapping[int, list[bytes]], kind: int) -> bytes | None:
    """The last message of a type; None where there is none."""
    found = bodies.get(kind)
    if not found:
        return None
    return found[-1]


def _continuation(file: _File, offset: int, length: int) -> bytes:
    block = _checked(file, offset, length)
    if block[:4] != b"OCHK":
        raise Broken(f"there is no part of an object header at byte {offset}")
    return block[4:-4]


def _checked(file: _File, offset: int, size: int) -> bytes:
    """A block that ends with its checksum."""
    if size < 8:
        raise Broken(f"an object header of {size} bytes is too short")
    block = file.read(offset, size)
    if not _has_checksum(block):
        raise Broken(f"the object header at byte {offset} does not have its checksum")
    return block


def _has_checksum(block: bytes) -> bool:
    """Whether the last four bytes are the checksum of those before them."""
    noted = int.from_bytes(block[-4:], "little")
    return lookup3(block[:-4]) == noted
