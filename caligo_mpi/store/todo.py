"""What a run still has to append: damaged chunks first, then those that were never in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..machine.wording import counted
from ..pairs import ChunkList
from .layout import Layout
from .records import Committed, damaged_chunks, mark_for_redoing

# The data written last are the ones a failing machine loses.
_CHECKED_ON_RESUME = 64

# Damaged chunks that are named one by one.
_LISTED = 8


class Todo:
    """Chunks in the order in which they must come; ``next`` is the first one behind all that were appended."""

    def __init__(self, chunks: int, next_: int = 0, holes: list[range] | None = None) -> None:
        self.chunks = chunks
        self.next = next_
        self._holes = deque(holes or [])  # none is empty
        if self._holes and self._holes[-1].stop == self.next:
            last = self._holes.pop()
            self.next = last.start

    @property
    def left(self) -> ChunkList:
        """All chunks that are still to come."""
        new = range(self.next, self.chunks)
        return ChunkList([*self._holes, new])

    @property
    def gap(self) -> range:
        """The damaged neighbors that come next; empty where only new chunks are left."""
        if not self._holes:
            return range(0)
        return self._holes[0]

    @property
    def due(self) -> int:
        """The chunk that comes next."""
        if not self._holes:
            return self.next
        return self._holes[0].start

    @property
    def is_empty(self) -> bool:
        """Whether every chunk is in."""
        return not self._holes and self.next == self.chunks

    def done(self) -> None:
        """Note that the chunk that was due is in."""
        if not self._holes:
            self.next += 1
            return
        gap = self._holes.popleft()
        if len(gap) > 1:
            self._holes.appendleft(gap[1:])


def found(fd: int, layout: Layout, state: Committed) -> tuple[Todo, list[int]]:
    """What is to be done, and which of the chunks that were written last are damaged; these are marked."""
    first = max(0, state.next - _CHECKED_ON_RESUME)
    last = range(first, state.next)
    bad = list(damaged_chunks(fd, layout, last))
    for index in bad:
        mark_for_redoing(fd, layout, index)
    return remaining(layout, state, bad), bad


def remaining(layout: Layout, state: Committed, bad: Sequence[int] = ()) -> Todo:
    """What is to be done, ``bad`` chunks included."""
    chunks = len(layout.info.partition)
    holes = _undone(state, bad)
    return Todo(chunks, state.next, holes)


def damage(state: Committed, bad: list[int]) -> tuple[int, str, str]:
    """How many chunks are damaged, the first of them for people, and both in a sentence."""
    ranges = [part for part in state.broken.ranges if part.start >= state.next]
    beyond = ChunkList(ranges)
    number = len(state.holes) + len(bad) + len(beyond)
    damaged = [*_few(state.holes), *bad, *_few(beyond)]
    first = sorted(damaged)[:_LISTED]
    listed = ", ".join(map(str, first))
    if number > _LISTED:
        listed += ", …"
    chunks = counted(number, "damaged chunk")
    verb = "is" if number == 1 else "are"
    return number, listed, f"{chunks} {verb} redone: {listed}"


def _undone(state: Committed, bad: Sequence[int]) -> list[range]:
    """Chunks below ``state.next`` to be done again, in order, neighbors together."""
    single = [range(index, index + 1) for index in bad]
    parts = [*state.holes.ranges, *single]
    parts.sort(key=_start)
    joined: list[range] = []
    for part in parts:
        if joined and part.start <= joined[-1].stop:
            before = joined.pop()
            stop = max(part.stop, before.stop)
            part = range(before.start, stop)
        joined.append(part)
    return joined


def _start(part: range) -> int:
    return part.start


def _few(chunks: ChunkList) -> list[int]:
    """As many as are listed, and one more."""
    return list(chunks[: _LISTED + 1])
