"""Cascade compiled by numba: both sides at once, frame by frame.

What is asked and answered depends only on where the two frames differ, so the difference is all that is looked at.
Questions, answers and corrections are those of `cascade.correct`, one for one.  Importing this raises `ImportError`
without numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..machine.jit import compiler, helper
from ..pairs.bits import U8

I64 = NDArray[np.int64]

_jit = compiler(__file__)

# A node's flags: its parity differs, this is known, it waits to be searched.
_ODD, _KNOWN, _WAITS = np.uint8(1), np.uint8(2), np.uint8(4)


def correct(differs: U8, orders: I64, sizes: I64, *, keep: bool) -> tuple[I64, I64, I64]:
    """Clear the ``differs`` (frames, n) that Cascade corrects, in place: parities told, messages, corrections by frame.

    ``orders`` (passes, n) are the passes' permutations, ``sizes`` their blocks.
    """
    counts = np.zeros((3, len(differs)), np.int64)
    places = np.empty_like(orders)
    for order, place in zip(orders, places, strict=True):
        place[order] = np.arange(len(order))
    _correct(differs, orders, places, sizes, keep, counts)
    return counts[0], counts[1], counts[2]


@helper
def _depth(size: int) -> int:
    depth = 0
    while (1 << depth) < size:
        depth += 1
    return depth


@helper
def _bounds(node: int, n: int, size: int, depth: int) -> Any:
    """First bit and the one after the last of a node."""
    block, heap = node >> (depth + 1), node & ((2 << depth) - 1)
    level = 0
    while (heap >> (level + 1)) > 0:
        level += 1
    first = block * size
    length = min(size, n - first)
    i = heap - (1 << level)
    return first + ((i * length) >> level), first + (((i + 1) * length) >> level)


@helper
def _leaf(place: int, n: int, size: int, depth: int) -> int:
    block = place // size
    first = block * size
    length = min(size, n - first)
    i = (((place - first + 1) << depth) + length - 1) // length - 1
    return (block << (depth + 1)) + (1 << depth) + i


@helper
def _parity(words: Any, ahead: Any, start: int, stop: int) -> Any:
    """Of the differences from ``start`` to ``stop``."""
    low = words[start >> 6] & ((np.uint64(1) << np.uint64(start & 63)) - np.uint64(1))
    high = words[stop >> 6] & ((np.uint64(1) << np.uint64(stop & 63)) - np.uint64(1))
    bits = low ^ high
    for shift in (32, 16, 8, 4, 2, 1):
        bits ^= bits >> np.uint64(shift)
    return np.uint8(bits & np.uint64(1)) ^ ahead[start >> 6] ^ ahead[stop >> 6]


@helper
def _open(differs: Any, places: Any, words: Any, ahead: Any) -> None:
    """Take down the differences in a pass's order: a bit each, and the parity of all words before."""
    words[:] = 0
    for bit in range(len(differs)):
        if differs[bit]:
            words[places[bit] >> 6] |= np.uint64(1) << np.uint64(places[bit] & 63)
    parity = np.uint8(0)
    for i in range(len(words)):
        ahead[i] = parity
        bits = words[i]
        for shift in (32, 16, 8, 4, 2, 1):
            bits ^= bits >> np.uint64(shift)
        parity ^= np.uint8(bits & np.uint64(1))


@helper
def _compare(
    step: int, n: int, size: int, words: Any, ahead: Any, tree: Any, pending: Any, counts: Any
) -> int:
    """Compare the parities of all blocks; how many are odd."""
    depth, blocks = _depth(size), (n + size - 1) // size
    told = blocks - (1 if step else 0)
    counts[0] += told
    counts[1] += 2 if told else 0
    odd, others = 0, np.uint8(0)
    for block in range(blocks):
        differs = others
        if block < told:
            differs = _parity(words, ahead, block * size, min(n, (block + 1) * size))
            others ^= differs
        node = (block << (depth + 1)) + 1
        tree[node] = _KNOWN | differs
        if differs:
            tree[node] |= _WAITS
            pending[odd] = node
            odd += 1
    return odd


@helper
def _still_odd(tree: Any, active: Any, count: int) -> int:
    """Keep those of the first ``count`` ``active`` nodes that are odd still; how many there are."""
    left = 0
    for i in range(count):
        tree[active[i]] &= ~_WAITS
        if tree[active[i]] & _ODD:
            active[left] = active[i]
            left += 1
    return left


@helper
def _search(
    n: int, size: int, words: Any, ahead: Any, tree: Any, active: Any, keep: bool, counts: Any
) -> None:
    """Halve the ``active`` nodes until each is one bit, whose place takes the node's."""
    depth = _depth(size)
    left = len(active)  # nodes below are still searched, those from there on are done
    while left:
        i = 0
        while i < left:
            start, end = _bounds(active[i], n, size, depth)
            if end - start == 1:
                left -= 1
                active[i] = active[left]
                active[left] = start
            else:
                i += 1
        counts[0] += left
        counts[1] += 2 if left else 0
        for i in range(left):
            heap = active[i] & ((2 << depth) - 1)
            child = active[i] + heap
            start, end = _bounds(child, n, size, depth)
            differs = _parity(words, ahead, start, end) ^ (tree[child] & _ODD)
            active[i] = child + 1 - differs
        for i in range(left):
            if keep:
                child, sibling = active[i], active[i] ^ 1
                tree[child] = (tree[child] & _WAITS) | _KNOWN | _ODD
                tree[sibling] = (tree[sibling] & _WAITS) | _KNOWN


@helper
def _turn(differs: Any, order: Any, found: Any, turned: Any) -> None:
    """Correct the bits at the places ``found`` in a pass's order; ``turned`` are their numbers."""
    for i in range(len(found)):
        turned[i] = order[found[i]]
        found[i] = 1 - differs[turned[i]]
    for i in range(len(found)):
        differs[turned[i]] = found[i]


@helper
def _find_leaves(bits: Any, places: Any, n: int, size: int, leaves: Any) -> None:
    """The leaves of these bits in a pass's trees."""
    depth = _depth(size)
    for i in range(len(bits)):
        leaves[i] = _leaf(places[bits[i]], n, size, depth)


@helper
def _notice(leaves: Any, depth: int, tree: Any, pending: Any, waiting: int, keep: bool) -> int:
    """Flip the parities around corrected bits, then let the odd ones wait; how many nodes wait."""
    for leaf in leaves:
        _flip(leaf, depth, tree)
    for leaf in leaves:
        node = _smallest_known(leaf, depth, tree, keep)
        if tree[node] & (_ODD | _WAITS) == _ODD:
            tree[node] |= _WAITS
            pending[waiting] = node
            waiting += 1
    return waiting


@helper
def _flip(leaf: int, depth: int, tree: Any) -> None:
    """Flip the parities of a leaf and of all nodes above it."""
    base, heap = leaf >> (depth + 1) << (depth + 1), leaf & ((2 << depth) - 1)
    while heap:
        tree[base + heap] ^= _ODD
        heap >>= 1


@helper
def _smallest_known(leaf: int, depth: int, tree: Any, keep: bool) -> int:
    """The smallest interval around a bit whose parity is known: the block, where no others are kept."""
    base, heap = leaf >> (depth + 1) << (depth + 1), leaf & ((2 << depth) - 1)
    if not keep:
        heap = 1
    while heap > 1 and not tree[base + heap] & _KNOWN:
        heap >>= 1
    return base + heap


@_jit("void(uint8[:,::1], int64[:,::1], int64[:,::1], int64[::1], boolean, int64[:,::1])")
def _correct(differs: Any, orders: Any, places: Any, sizes: Any, keep: Any, counts: Any) -> None:
    n, passes = orders.shape[1], len(sizes)
    nodes = 0
    for size in sizes:
        nodes = max(nodes, (n + size - 1) // size * (2 << _depth(size)))
    tree = np.empty((passes, nodes), np.uint8)
    pending = np.empty((passes, nodes), np.int64)
    waiting = np.empty(passes, np.int64)
    words = np.empty((passes, (n >> 6) + 1), np.uint64)
    ahead = np.empty((passes, (n >> 6) + 1), np.uint8)
    turned, leaves = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    told = np.empty(3, np.int64)
    for frame in range(len(differs)):
        told[:] = 0
        for step in range(passes):
            tree[step] = 0
            _open(differs[frame], places[step], words[step], ahead[step])
            waiting[step] = _compare(
                step, n, sizes[step], words[step], ahead[step], tree[step], pending[step], told
            )
            at = 0
            while at <= step:
                if not waiting[at]:
                    at += 1
                    continue
                odd = pending[at, : _still_odd(tree[at], pending[at], waiting[at])]
                _search(n, sizes[at], words[at], ahead[at], tree[at], odd, keep, told)
                waiting[at] = 0
                told[2] += len(odd)
                if told[2] <= n:  # contradictory answers would go on for ever
                    bits = turned[: len(odd)]
                    _turn(differs[frame], orders[at], odd, bits)
                    for each in range(step + 1):
                        size, found = sizes[each], leaves[: len(odd)]
                        _find_leaves(bits, places[each], n, size, found)
                        waiting[each] = _notice(
                            found, _depth(size), tree[each], pending[each], waiting[each], keep
                        )
                at = 0
        counts[:, frame] = told
