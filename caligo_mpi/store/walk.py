"""Reading the metadata of an HDF5 file as we write them, without HDF5: nothing is believed that has no checksum.

Written after the HDF5 file format specification, version 3.0, and only for what `hdf5.create` makes HDF5 write:
a superblock of version 2 or 3, object headers of version 2, their links and attributes in the headers themselves,
contiguous datasets.  Whatever else stands in a file is `Unknown`; a checksum that does not fit is `Broken`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
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
_MOST_BYTES, _MOST_OBJECTS, _MOST_CHUNKS, _MOST_DEPTH = 4 << 20, 64, 1024, 2

_NIL, _SPACE, _LINK_INFO, _TYPE, _FILL, _LINK, _LAYOUT = 0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x08
_GROUP_INFO, _ATTRIBUTE, _CONTINUATION, _TIME, _ATTRIBUTE_INFO, _REFERENCES = (
    0x0A,
    0x0C,
    0x10,
    0x12,
    0x15,
    0x16,
)
_KNOWN = {
    _NIL, _SPACE, _LINK_INFO, _TYPE, _FILL, _LINK, _LAYOUT,
    _GROUP_INFO, _ATTRIBUTE, _CONTINUATION, _TIME, _ATTRIBUTE_INFO, _REFERENCES,
}  # fmt: skip


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
        if isinstance(node, Group):
            waiting += [
                (f"{path}/{name}".lstrip("/"), place, depth + 1)
                for name, place in node.links.items()
            ]
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
    if lookup3(block[:44]) != int.from_bytes(block[44:], "little"):
        raise Broken("its superblock does not have its checksum")
    offsets, lengths, _, base, extension, end, root = struct.unpack_from("<BBBQQQQ", block, 9)
    if (offsets, lengths, base, extension) != (8, 8, 0, UNDEFINED):
        raise Unknown("its superblock is not as we write it")
    if end > file.size:
        raise Broken(f"it is truncated: {file.size} bytes of {end}")
    return int(root)


def _node(file: _File, address: int) -> Group | Place:
    """The object whose header is at ``address``."""
    messages = list(_messages(file, address))
    kinds = [kind for kind, _ in messages]
    bodies = {kind: body for kind, body in messages if kind not in (_ATTRIBUTE, _LINK)}
    if strange := set(kinds) - _KNOWN:
        raise Unknown(f"it has header messages of type {min(strange)}")
    require_no_heap(bodies.get(_ATTRIBUTE_INFO), flags=0x02, index_bytes=2)
    attributes = dict(attribute(Reader(body)) for kind, body in messages if kind == _ATTRIBUTE)
    if len(attributes) != kinds.count(_ATTRIBUTE):
        raise Broken("an attribute is there twice")
    if _LAYOUT not in kinds:
        if _LINK_INFO not in kinds:
            raise Unknown("it has an object that is neither a group nor a dataset")
        require_no_heap(bodies[_LINK_INFO], flags=0x02, index_bytes=8)
        links = dict(link(Reader(body)) for kind, body in messages if kind == _LINK)
        if len(links) != kinds.count(_LINK):
            raise Broken("a name is there twice")
        return Group(attributes, links)
    if _TYPE not in kinds or _SPACE not in kinds:
        raise Broken("a dataset has no type or no shape")
    kind, shape = datatype(Reader(bodies[_TYPE])), dataspace(Reader(bodies[_SPACE]))
    offset = layout(Reader(bodies[_LAYOUT]), kind, shape, file.size)
    return Place(kind, shape, offset, attributes)


def _messages(file: _File, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of every message of an object header, its continuations included."""
    start = file.read(address, 6)
    if start[:4] != b"OHDR":
        if start[0] == 1 and start[1] == 0:
            raise Unknown("its object headers are of version 1")
        raise Broken(f"there is no object header at byte {address}")
    flags = start[5]
    skip = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
    width = 1 << (flags & 3)
    size = int.from_bytes(file.read(address + skip, width), "little")
    block = _checked(file, address, skip + width + size + 4)
    waiting, chunks = [block[skip + width : -4]], 0
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
    if lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
        raise Broken(f"the object header at byte {offset} does not have its checksum")
    return block
