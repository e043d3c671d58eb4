"""One pass of Cascade: Alice, who answers questions about parities, and the intervals in which Bob searches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8

I64 = NDArray[np.int64]

_EACH_BYTE = np.uint64(0x0101010101010101)


class Oracle:
    """Alice's side: answers parity questions about her frames and counts what the answers tell.

    ``frames`` has shape (frames, n), 0 and 1.  Per frame, ``leak_bits`` counts every parity bit
    told and ``messages`` the questions and answers that concerned it.
    """

    def __init__(self, frames: U8) -> None:
        self._frames = frames
        self._prefix: list[U8] = []
        self.leak_bits: I64 = np.zeros(len(frames), np.int64)
        self.messages: I64 = np.zeros(len(frames), np.int64)

    def open_pass(self, order: I64) -> None:
        """Take up the next pass: questions about it count positions in ``order``."""
        self._prefix.append(_prefix_parities(self._frames, order))

    def parities(
        self,
        step: int,
        frame: I64,
        start: I64,
        stop: I64,
    ) -> U8:
        """Parities of the bits ``start`` to ``stop`` of the given frames, in the order of pass ``step``."""
        self._count(frame)
        return _range_parities(self._prefix[step], frame, start, stop)

    def _count(self, frame: I64) -> None:
        told = np.bincount(frame, minlength=len(self.leak_bits))
        self.leak_bits += told
        self.messages += 2 * (told > 0)


class Pass:
    """One pass on Bob's side: for each frame a forest of intervals, one binary tree per block.

    The node ``h`` of a block has the children 2h and 2h + 1, so ``h`` is 1 for the whole block.  ``odd``
    counts, modulo 256, flips in an interval since the pass began; its lowest bit is the difference to Alice's
    parity once that is known.  With ``keep`` the intervals seen in searches stay known.  Each frame has ``nodes``,
    ``of_block`` in each block; those of all frames stand in one row.
    """

    def __init__(
        self,
        step: int,
        bits: U8,
        order: I64,
        size: int,
        *,
        keep: bool,
    ) -> None:
        frames, n = bits.shape
        self.step = step
        self.keep = keep
        self.order = order
        self.prefix = _prefix_parities(bits, order)
        self.start, self.stop, leaf = intervals(n, size)
        self.leaf_of_bit = np.empty(n, np.int64)
        self.leaf_of_bit[order] = leaf
        self.blocks = -(-n // size)
        self.nodes = len(self.start)
        self.of_block = self.nodes // self.blocks
        self.depth = self.of_block.bit_length() - 2
        of_all = frames * self.nodes
        self.odd: U8 = np.zeros(of_all, np.uint8)
        self.known: NDArray[np.bool_] = np.zeros(of_all if keep else 0, bool)
        self.pending: list[I64] = []

    def compare_blocks(self, alice: Oracle) -> None:
        """Ask for the parity of every block; after the first pass the last one follows from the others."""
        told = self.blocks - (self.step > 0)
        frames = len(self.odd) // self.nodes
        root = np.arange(self.blocks) * self.of_block + 1
        first_node = np.arange(frames) * self.nodes
        roots = first_node[:, None] + root
        differs = np.zeros((frames, self.blocks), np.uint8)
        if told:
            asked = roots[:, :told]
            found = self._ask(alice, asked.ravel())
            differs[:, :told] = found.reshape(frames, told)
        if self.step:
            others = differs[:, :-1]
            differs[:, -1] = np.bitwise_xor.reduce(others, axis=1)
        node = roots.ravel()
        self.odd[node] = differs.ravel()
        if self.keep:
            self.known[node] = True
        self._await(node)

    def search(self, alice: Oracle) -> tuple[I64, I64]:
        """Find one error in each interval that is odd: frame and bit of each."""
        waiting = np.concatenate(self.pending)
        self.pending = []
        waiting.sort()
        is_first = np.diff(waiting, prepend=-1) > 0
        node = self._odd_ones(waiting[is_first])
        found = []
        while len(node):
            place = node % self.nodes
            length = self.stop[place] - self.start[place]
            single = length == 1
            found.append(node[single])
            node = self._halve(alice, node[~single])
        node = np.concatenate([*found, node])
        frame, place = np.divmod(node, self.nodes)
        position = self.start[place]
        return frame, self.order[position]

    def flip(self, frame: I64, bit: I64) -> None:
        """Take note of corrected bits; the smallest known interval around each may have become odd."""
        leaf = frame * self.nodes + self.leaf_of_bit[bit]
        heap = leaf % self.of_block
        base = leaf - heap
        # The node h has the ancestors h >> 1, h >> 2, …: one row per level, the leaf first.
        level = np.arange(self.depth + 1)
        path = base + (heap >> level[:, None])
        np.add.at(self.odd, path.ravel(), np.uint8(1))
        smallest = path[-1]
        if self.keep:
            known = self.known[path]
            deepest = np.argmax(known, axis=0)
            smallest = path[deepest, np.arange(len(leaf))]
        self._await(smallest)

    def _halve(self, alice: Oracle, node: I64) -> I64:
        """The odd child of each odd node, by asking for the left one."""
        left = node + node % self.of_block
        differs = self._ask(alice, left)
        if self.keep:
            right = left + 1
            self.odd[left] = differs
            self.odd[right] = 1 - differs
            self.known[left] = True
            self.known[right] = True
        odd: I64 = left + 1 - differs
        return odd

    def _ask(self, alice: Oracle, node: I64) -> U8:
        """Alice's parity xor Bob's present one, for each node."""
        frame, place = np.divmod(node, self.nodes)
        start = self.start[place]
        stop = self.stop[place]
        answer = alice.parities(self.step, frame, start, stop)
        own = _range_parities(self.prefix, frame, start, stop)
        flipped = self.odd[node] & np.uint8(1)
        return answer ^ own ^ flipped

    def _await(self, node: I64) -> None:
        odd = self._odd_ones(node)
        if len(odd):
            self.pending.append(odd)

    def _odd_ones(self, node: I64) -> I64:
        is_odd = self.odd[node] & 1 == 1
        odd: I64 = node[is_odd]
        return odd


def _prefix_parities(bits: U8, order: I64) -> U8:
    """Parity of the first 0, 1, …, n bits of each row in the given order: (frames, at least n + 1)."""
    frames, n = bits.shape
    words = np.zeros((frames, n // 8 + 1), "<u8")
    as_bytes = words.view(np.uint8)
    as_bytes[:, :n] = np.take(bits, order, axis=1)
    # Byte i becomes how many of the bytes 0 to i are 1: at most 8, so nothing is carried.
    words *= _EACH_BYTE
    ends = np.cumsum(words >> np.uint64(56), axis=1)
    words <<= np.uint64(8)
    odd_before = ends[:, :-1] & np.uint64(1)
    words[:, 1:] += odd_before * _EACH_BYTE
    words &= _EACH_BYTE
    return as_bytes


def _range_parities(
    prefix: U8,
    frame: I64,
    start: I64,
    stop: I64,
) -> U8:
    row = frame * prefix.shape[1]
    flat = prefix.ravel()
    out: U8 = flat[row + start] ^ flat[row + stop]
    return out


@lru_cache(maxsize=1)  # most passes of ``low-leak`` have the same
def intervals(n: int, size: int) -> tuple[I64, I64, I64]:
    """Start and stop of every node of every block, and the leaf of every position.

    Node h = 2**level + i of a block of k bits covers its bits ⌊i·k/2**level⌋ up to the next such bound, so
    halves differ by one bit at most, whatever k is.
    """
    first = np.arange(0, n, size, dtype=np.int64)[:, None]
    length = np.minimum(size, n - first)
    depth = (size - 1).bit_length()
    leaves = 1 << depth
    starts = [first]  # h = 0 is no node
    stops = [first]
    for level in range(depth + 1):
        parts = 1 << level
        bound = first + (np.arange(parts + 1) * length >> level)
        starts.append(bound[:, :-1])
        stops.append(bound[:, 1:])
    start = np.concatenate(starts, axis=1)
    stop = np.concatenate(stops, axis=1)
    is_used = stop > start
    used_leaves = np.flatnonzero(is_used[:, leaves:])
    block, leaf = np.divmod(used_leaves, leaves)
    leaf_node = block * (2 * leaves) + leaves + leaf
    return start.ravel(), stop.ravel(), leaf_node
