"""Cascade in numpy, both sides at once: all frames and all passes in one row of trees.

What is asked and answered depends only on where the two frames differ, so the differences are all that is looked at.
Questions, answers and corrections are those of `cascade.correct`, one for one.  The trees hold the parity of every
interval, known or not, so a question is one look-up; frames do not wait for each other's passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..pairs import Tick
from ..pairs.bits import U8
from .cascade_pass import I64, intervals

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]

_KNOWN = np.int8(1)
#: Added once more, it is gone: nothing is carried.
_ODD = np.int8(-128)


class _Shape(NamedTuple):
    """The trees of a pass over n bits: a binary tree per block, of root 1, the node h's children 2h, 2h + 1."""

    depth: int
    right: I32  # by node: the right child; a single bit is its own left one
    level: I32
    start: I32
    roots: I64
    heap: I64  # by position: its leaf in its block's tree …
    base: I64  # … and where that tree begins


class Differences:
    """Frames (frames, n) of differences as far as they are corrected, and what was told about each so far.

    ``leak_bits``, ``messages`` and ``corrections`` are counted as `Oracle` and `correct` count them.  ``sizes`` are
    the blocks of all passes, ``order_of`` gives their permutations.
    """

    def __init__(
        self,
        bits: U8,
        sizes: Sequence[int],
        order_of: Callable[[int], I64],
        *,
        keep: bool,
    ) -> None:
        frames, self.n = bits.shape
        self.bits = bits.copy()
        self.leak_bits: I64 = np.zeros(frames, np.int64)
        self.messages: I64 = np.zeros(frames, np.int64)
        self.corrections: I64 = np.zeros(frames, np.int64)
        self._sizes = sizes
        self._order_of = order_of
        self._keep = keep
        # By frame: the passes begun, and whether there may be errors left for another.
        self._begun: I64 = np.zeros(frames, np.int64)
        self._goes_on = np.ones(frames, bool)
        self._trees = _Trees(frames, self.n, sizes)

    def correct(self, tick: Tick) -> None:
        """Take every frame through all passes, or until it has no error left; what the others tell is counted, too."""
        told = np.array([-(-self.n // size) for size in self._sizes])
        told[1:] -= 1  # after the first pass the last block's parity follows from the others'
        self.leak_bits += told.sum()
        self.messages += 2 * np.count_nonzero(told)
        rounds: list[tuple[I64, I32]] = []
        waiting: I64 = np.zeros(0, np.int64)
        idle = self._idle(waiting)
        while len(waiting) or len(idle):
            tick()
            waiting = np.concatenate([waiting, *self._begin(idle)])
            if len(waiting):
                waiting = self._correct_some(waiting, rounds)
            idle = self._idle(waiting)
        self._count(rounds)

    def _correct_some(self, waiting: I64, rounds: list[tuple[I64, I32]]) -> I64:
        """Correct an error of each frame's earliest odd nodes: those that wait then."""
        waiting, nodes, step, frame = self._next(waiting)
        bit, told = self._trees.search(nodes, step, frame)
        rounds.append((frame, told))
        self.bits[frame, bit] ^= 1
        # All passes that the frames have begun, a place for each bit and pass.
        begun = self._begun.take(frame)
        starts = begun.cumsum() - begun
        passes = np.arange(begun.sum()) - np.repeat(starts, begun)
        path = self._trees.flip(passes, np.repeat(frame, begun), np.repeat(bit, begun))
        if self._keep:
            own = starts + step
            self._trees.learn(path[:, own])
        smallest = self._trees.smallest_known(path)
        return np.concatenate([waiting, self._trees.odd_ones(smallest)])

    def _idle(self, waiting: I64) -> I64:
        """Frames whose next pass is due: of those with errors left, the ones with no node that waits."""
        is_idle = self._goes_on & (self._begun < len(self._sizes))
        if len(waiting):
            _, frame = self._trees.owner(waiting)
            is_idle[frame] = False
        idle = np.flatnonzero(is_idle)
        has_errors = self.bits[idle].any(axis=1)
        self._goes_on[idle] = has_errors
        return idle[has_errors]

    def _begin(self, frames: I64) -> list[I64]:
        """Take up these frames' next passes: the roots that are odd."""
        steps = self._begun[frames]
        found = []
        for step in sorted(set(steps.tolist())):
            if step == self._trees.planted:
                self._trees.plant(self._order_of(step))
            some = frames[steps == step]
            errors = np.flatnonzero(self.bits[some].view(bool))
            number, wrong = np.divmod(errors, self.n)
            self._trees.flip(np.full(len(wrong), step), some.take(number), wrong)
            found.append(self._trees.odd_roots(step, some))
        self._begun[frames] += 1
        return found

    def _next(self, waiting: I64) -> tuple[I64, I64, I64, I64]:
        """Of the nodes that wait: those left for later; and of each frame's earliest pass those that are odd still.

        With these come their passes and frames.
        """
        waiting = np.sort(waiting)
        repeated = waiting[1:] == waiting[:-1]
        if repeated.any():
            waiting = waiting[np.append(True, ~repeated)]
        step, frame = self._trees.owner(waiting)
        chosen = self._trees.are_odd(waiting)
        later = waiting[:0]
        if step[0] < step[-1]:
            earliest = np.empty(len(self.bits), np.int64)
            # Nodes come by pass: of several numbers for one place the last stays, here the first pass.
            earliest[frame[::-1]] = step[::-1]
            is_now = step == earliest[frame]
            later = waiting[~is_now]
            chosen &= is_now
        return later, waiting[chosen], step[chosen], frame[chosen]

    def _count(self, rounds: list[tuple[I64, I32]]) -> None:
        """Add up the parities told of nodes in several rounds, each a frame's nodes side by side."""
        frames = len(self.bits)
        most = np.zeros((len(rounds), frames), np.int32)
        for of_round, (frame, told) in zip(most, rounds, strict=True):
            self.corrections += np.bincount(frame, minlength=frames)
            np.add.at(self.leak_bits, frame, told.astype(np.int64))
            np.maximum.at(of_round, frame, told)
        self.messages += 2 * most.sum(axis=0)


class _Trees:
    """The trees of all passes over all frames; memory is touched for those passes only that are ``planted``."""

    def __init__(self, frames: int, n: int, sizes: Sequence[int]) -> None:
        self.planted = 0
        self._frames = frames
        self._n = n
        self._sizes = sizes
        self._depths: I64 = np.zeros(len(sizes), np.int64)
        # By pass: a frame's nodes, and those of all passes before.
        self._counts: I64 = np.array([_nodes(n, size) for size in sizes])
        self._first: I64 = np.cumsum(self._counts) - self._counts
        nodes = int(self._counts.sum())
        # By pass, frame and node: 1 where both know the parity, and the sign bit where it is odd.
        self._state: I8 = np.zeros(frames * nodes, np.int8)
        # By pass and node: the right child, the level, the bit that it begins with.
        self._tables: I32 = np.empty((3, nodes), np.int32)
        # By pass and bit: the leaf in its tree, and where that begins.
        self._leaves: I64 = np.empty((len(sizes), 2, n), np.int64)

    def plant(self, order: I64) -> None:
        """Set up the next pass, in this ``order``."""
        step = self.planted
        shape = _shape(self._n, self._sizes[step])
        first = self._first[step]
        nodes = slice(first, first + self._counts[step])
        right, level, bit = self._tables[:, nodes]
        np.add(shape.right, first, out=right, casting="unsafe")
        level[:] = shape.level
        np.take(order, shape.start, out=bit, mode="clip")
        heap, base = self._leaves[step]
        heap[order] = shape.heap
        base[order] = shape.base + first
        self._depths[step] = shape.depth
        self.planted += 1

    def odd_roots(self, step: int, frames: I64) -> I64:
        """The odd roots of these frames' trees in a pass; the parities of all are known from now on."""
        roots = _shape(self._n, self._sizes[step]).roots + self._first[step]
        all_roots: I64 = (self._rows(step, frames)[:, None] + roots).ravel()
        self._state[all_roots] |= _KNOWN
        return self.odd_ones(all_roots)

    def owner(self, nodes: I64) -> tuple[I64, I64]:
        """Pass and frame of every node."""
        begins = self._first * self._frames
        step = np.searchsorted(begins, nodes, side="right") - 1
        frame = (nodes - begins[step]) // self._counts[step]
        return step, frame

    def search(self, nodes: I64, step: I64, frame: I64) -> tuple[I32, I32]:
        """Find one error in each of these odd nodes: its bit, and the parities told."""
        right_of, level, bits = self._tables
        rows = self._rows(step, frame)
        place = nodes - rows
        above = level.take(place)
        below = self._depths[step] - above
        lefts = rows - 1
        for _ in range(below.max(initial=0)):
            right = right_of.take(place)
            differs = self._state.take(lefts + right)
            differs >>= 7
            place = right + differs
        told = level.take(place) - above
        return bits.take(place), told

    def flip(self, step: I64, frame: I64, bit: I64 | I32) -> I64:
        """Flip the parities around these bits, each in a pass of its own: nodes (levels, bits)."""
        heap, base = self._leaves[step, :, bit].T
        # The node h has the ancestors h >> 1, h >> 2, …; beyond the root comes 0, which is no node.
        level = np.arange(self._depths[: step.max(initial=0) + 1].max() + 1)
        path: I64 = heap >> level[:, None]
        path += base + self._rows(step, frame)
        np.add.at(self._state, path.ravel(), _ODD)
        return path

    def learn(self, path: I64) -> None:
        """After a search, the parities of all nodes around a bit are known, and so are those of their siblings.

        Of those above the node that was searched they are so already, and those below a single bit's are its own.
        """
        self._state[path] |= _KNOWN
        self._state[path ^ 1] |= _KNOWN

    def smallest_known(self, path: I64) -> I64:
        """In each pass the smallest known node around each bit: the block's root, where no others are kept."""
        known = self._state.take(path) & _KNOWN
        deepest = known.argmax(axis=0)
        smallest: I64 = path[deepest, np.arange(len(deepest))]
        return smallest

    def are_odd(self, nodes: I64) -> NDArray[np.bool_]:
        odd: NDArray[np.bool_] = self._state.take(nodes) < 0
        return odd

    def odd_ones(self, nodes: I64) -> I64:
        odd: I64 = nodes[self.are_odd(nodes)]
        return odd

    def _rows(self, step: int | I64, frame: I64) -> I64:
        """Where a frame's nodes in a pass are beyond those of the tables."""
        before = self._first[step] * (self._frames - 1)
        rows: I64 = before + frame * self._counts[step]
        return rows


def _nodes(n: int, size: int) -> int:
    """Of all blocks of a frame, those that are no nodes included."""
    blocks = -(-n // size)
    return blocks * (2 << (size - 1).bit_length())


@lru_cache(maxsize=4)
def _shape(n: int, size: int) -> _Shape:
    start, stop, leaf = intervals(n, size)
    blocks = -(-n // size)
    depth = (size - 1).bit_length()
    of_block = 2 << depth
    node = np.arange(len(start))
    heap = node % of_block
    level_of = np.zeros(of_block, np.int32)
    for level in range(depth + 1):
        level_of[1 << level : 2 << level] = level
    is_single = stop - start <= 1
    right = np.where(is_single, node, node + heap) + 1
    leaf_heap = leaf % of_block
    return _Shape(
        depth,
        right.astype(np.int32),
        level_of[heap],
        start.astype(np.int32),
        np.arange(blocks) * of_block + 1,
        leaf_heap,
        leaf - leaf_heap,
    )
