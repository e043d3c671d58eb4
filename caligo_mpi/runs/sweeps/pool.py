"""The items of all points in one pool: chunks of pairs first, blocks of keys later."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ...pairs import ChunkList


@dataclass(frozen=True, slots=True)
class Pool:
    """Items of several tasks, one task after the other; ``sizes`` are how many each one has.

    >>> pool = Pool.of([3, 2])
    >>> pool.locate(4), list(pool.items([[range(1, 3)], [range(0, 2)]]))
    ((1, 1), [1, 2, 3, 4])
    """

    ends: tuple[int, ...]

    @classmethod
    def of(cls, sizes: Sequence[int]) -> Pool:
        """A pool of tasks with so many items."""
        ends = tuple(accumulate(sizes))
        return cls(ends)

    def locate(self, item: int) -> tuple[int, int]:
        """The task of an item, and the item's number within it."""
        task = bisect_right(self.ends, item)
        start = self.ends[task - 1] if task else 0
        return task, item - start

    def items(self, todo: Sequence[Sequence[range]]) -> ChunkList:
        """The items that are to be done: ranges of numbers within each task."""
        starts = [0, *self.ends]
        items = []
        for start, parts in zip(starts, todo, strict=False):
            for part in parts:
                items.append(range(start + part.start, start + part.stop))
        return ChunkList(items)
