"""Results on their way to rank 0, and those that wait there for their turn."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from ..pairs.bits import U8
from .limits import HELD_BYTES
from .messages import Announcement, Codec, Tag
from .transport import Pending, Transport

R = TypeVar("R")


@dataclass(order=True)
class _Group:
    """Results that a worker has announced, in the order of their first position."""

    first: int
    source: int
    found: Announcement = field(compare=False)
    buffer: U8 | None = field(default=None, compare=False)
    requests: list[Pending] = field(default_factory=list, compare=False)

    @property
    def nbytes(self) -> int:
        return sum(self.found.sizes)


class Inbox(Generic[R]):
    """Receives announced results, lowest position first, within `HELD_BYTES`."""

    def __init__(self, transport: Transport, codec: Codec[R]) -> None:
        self.transport = transport
        self.codec = codec
        self.announced: list[_Group] = []  # a heap
        self.receiving: list[_Group] = []
        self.ready: dict[int, tuple[int, R, int]] = {}  # position → rank, result, bytes
        self.held = 0
        self.closed = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is announced or being received."""
        return not self.announced and not self.receiving

    def announce(self, source: int, found: Announcement) -> bool:
        """Note what a worker has finished; True if the results came along and are ready."""
        group = _Group(found.positions[0], source, found)
        if found.pieces:
            heapq.heappush(self.announced, group)
            return False
        group.buffer = found.inline
        self.held += len(found.inline)
        self._unpack(group)
        return True

    def put(
        self,
        position: int,
        rank: int,
        result: R,
        nbytes: int,
    ) -> None:
        """A result that was made here."""
        self.ready[position] = (rank, result, nbytes)
        self.held += nbytes

    def close(self) -> None:
        """Forget what is ready; what still comes is received and dropped."""
        self.closed = True
        self.ready.clear()

    def take(self, next_position: int) -> list[int]:
        """Begin to receive: always the next position in order, others while there is room.

        Returns the bytes of each message that is received.
        """
        messages: list[int] = []
        while self.announced and self._has_room(self.announced[0], next_position):
            group = heapq.heappop(self.announced)
            group.buffer = np.empty(group.nbytes, np.uint8)
            self.held += group.nbytes
            self._receive(group, group.buffer)
            self.receiving.append(group)
            messages += group.found.pieces
        return messages

    def collect(self) -> list[tuple[int, int]]:
        """(rank, items) of each group that has come in since the last call."""
        arrived = [group for group in self.receiving if _all_done(group.requests)]
        counts = []
        for group in arrived:
            self.receiving.remove(group)
            self._unpack(group)
            counts.append((group.source, len(group.found.positions)))
        return counts

    def _has_room(self, group: _Group, next_position: int) -> bool:
        is_next = group.first == next_position
        return is_next or self.closed or self.held + group.nbytes <= HELD_BYTES

    def _receive(self, group: _Group, buffer: U8) -> None:
        offset = 0
        for nbytes in group.found.pieces:
            piece = buffer[offset : offset + nbytes]
            pending = self.transport.receive(group.source, Tag.DATA, piece)
            group.requests.append(pending)
            offset += nbytes

    def _unpack(self, group: _Group) -> None:
        if self.closed:
            return
        assert group.buffer is not None
        offset = 0
        found = group.found
        for position, nbytes in zip(found.positions, found.sizes, strict=True):
            part = group.buffer[offset : offset + nbytes]
            result = self.codec.whole(part)
            self.ready[position] = (group.source, result, nbytes)
            offset += nbytes


def _all_done(requests: list[Pending]) -> bool:
    while requests and requests[-1].done():
        requests.pop()
    return not requests
