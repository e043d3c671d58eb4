"""Cascade compiled by numba: both sides at once, frame by frame.

What is asked and answered depends only on where the two frames differ, so the difference is all that is looked at.
Questions, answers and corrections are those of `cascade.correct`, one for one.  Importing this raises `ImportError`
without numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..machine.jit import compiler, helper
from ..pairs.bits import U8

I64 = NDArray[np.int64]

_jit = compiler(__file__)

_ONE = np.uint64(1)
# A node's flags: its parity differs, this is known, it waits to be searched.
_ODD = np.uint8(1)
_KNOWN = np.uint8(2)
_WAITS = np.uint8(4)


def correct(
    differs: U8,
    permutations: I64,
    sizes: I64,
    *,
    keep: bool,
) -> tuple[I64, I64, I64]:
    """Clear the ``differs`` (frames, n) that Cascade corrects, in place: parities told, messages, corrections by frame.

    ``permutations`` (2, passes, n) are those of the passes and their inverses, ``sizes`` their blocks.
    """
    counts = np.zeros((3, len(differs)), np.int64)
    orders, places = permutations
    _correct(differs, orders, places, sizes, keep, counts)
    told, messages, corrections = counts
    return told, messages, corrections


class _Passes(NamedTuple):
    """The passes over one frame, each a row of these arrays; the last two are for all passes together."""

    orders: Any
    places: Any  # where in a pass's order each bit is
    sizes: Any
    depths: Any  # levels of a block's tree
    words: Any  # the differences in a pass's order, a bit each
    ahead: Any  # the parity of all words before
    trees: Any  # the flags of every node of every block
    pending: Any  # the nodes that wait …
    waiting: Any  # … and how many they are
    bits: Any  # those just corrected
    leaves: Any  # where they are in a pass's trees


class _Pass(NamedTuple):
    """One of them: ``n`` bits in blocks of ``size``, each with a tree of ``depth`` levels."""

    n: int
    size: int
    depth: int
    order: Any
    places: Any
    words: Any
    ahead: Any
    tree: Any
    pending: Any


@helper
def _depth(size: int) -> int:
    depth = 0
    while (1 << depth) < size:
        depth += 1
    return depth


@helper
def _prepare(orders: Any, places: Any, sizes: Any) -> _Passes:
    """Room for everything about a frame."""
    passes, n = orders.shape
    depths = np.empty(passes, np.int64)
    nodes = 0
    for step in range(passes):
        size = sizes[step]
        depths[step] = _depth(size)
        blocks = (n + size - 1) // size
        nodes = max(nodes, blocks * (2 << depths[step]))
    words = (n >> 6) + 1
    return _Passes(
        orders,
        places,
        sizes,
        depths,
        np.empty((passes, words), np.uint64),
        np.empty((passes, words), np.uint8),
        np.empty((passes, nodes), np.uint8),
        np.empty((passes, nodes), np.int64),
        np.empty(passes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
    )


@helper
def _pass(passes: _Passes, step: int) -> _Pass:
    return _Pass(
        passes.orders.shape[1],
        passes.sizes[step],
        passes.depths[step],
        passes.orders[step],
        passes.places[step],
        passes.words[step],
        passes.ahead[step],
        passes.trees[step],
        passes.pending[step],
    )


@helper
def _bounds(one: _Pass, node: int) -> Any:
    """First bit and the one after the last of a node."""
    block = node >> (one.depth + 1)
    heap = node & ((2 << one.depth) - 1)
    level = 0
    while (heap >> (level + 1)) > 0:
        level += 1
    first = block * one.size
    length = min(one.size, one.n - first)
    i = heap - (1 << level)
    start = (i * length) >> level
    stop = ((i + 1) * length) >> level
    return first + start, first + stop


@helper
def _leaf(one: _Pass, place: int) -> int:
    block = place // one.size
    first = block * one.size
    length = min(one.size, one.n - first)
    scaled = (place - first + 1) << one.depth
    i = (scaled + length - 1) // length - 1
    tree = block << (one.depth + 1)
    return tree + (1 << one.depth) + i


@helper
def _is_odd(bits: Any) -> Any:
    """The parity of a word."""
    for shift in (32, 16, 8, 4, 2, 1):
        bits ^= bits >> np.uint64(shift)
    return np.uint8(bits & _ONE)


@helper
def _below(words: Any, place: int) -> Any:
    """The bits before a place that are in the same word."""
    bit = _ONE << np.uint64(place & 63)
    return words[place >> 6] & (bit - _ONE)


@helper
def _parity(one: _Pass, start: int, stop: int) -> Any:
    """Of the differences from ``start`` to ``stop``."""
    bits = _below(one.words, start) ^ _below(one.words, stop)
    return _is_odd(bits) ^ one.ahead[start >> 6] ^ one.ahead[stop >> 6]


@helper
def _open(one: _Pass, differs: Any) -> None:
    """Take down the differences in a pass's order."""
    one.words[:] = 0
    for bit in range(len(differs)):
        if differs[bit]:
            place = one.places[bit]
            one.words[place >> 6] |= _ONE << np.uint64(place & 63)
    parity = np.uint8(0)
    for i in range(len(one.words)):
        one.ahead[i] = parity
        parity ^= _is_odd(one.words[i])


@helper
def _compare(one: _Pass, all_told: bool, counts: Any) -> int:
    """Compare the parities of all blocks, the last of which follows from the others; how many are odd."""
    blocks = (one.n + one.size - 1) // one.size
    told = blocks if all_told else blocks - 1
    _count(counts, told)
    odd = 0
    others = np.uint8(0)
    for block in range(blocks):
        differs = others
        if block < told:
            start = block * one.size
            stop = min(one.n, start + one.size)
            differs = _parity(one, start, stop)
            others ^= differs
        node = (block << (one.depth + 1)) + 1
        one.tree[node] = _KNOWN | differs
        if differs:
            one.tree[node] |= _WAITS
            one.pending[odd] = node
            odd += 1
    return odd


@helper
def _count(counts: Any, told: int) -> None:
    """So many parities are told: a question and an answer, if there are any."""
    counts[0] += told
    counts[1] += 2 if told else 0


@helper
def _still_odd(one: _Pass, waiting: int) -> Any:
    """Those of the nodes that wait that are odd still; none waits any more."""
    left = 0
    for i in range(waiting):
        node = one.pending[i]
        one.tree[node] &= ~_WAITS
        if one.tree[node] & _ODD:
            one.pending[left] = node
            left += 1
    return one.pending[:left]


@helper
def _search(
    one: _Pass,
    active: Any,
    keep: bool,
    counts: Any,
) -> None:
    """Halve the ``active`` nodes until each is one bit, whose place takes the node's."""
    left = _set_aside(one, active, len(active))
    while left:
        _count(counts, left)
        for i in range(left):
            heap = active[i] & ((2 << one.depth) - 1)
            child = active[i] + heap
            start, stop = _bounds(one, child)
            differs = _parity(one, start, stop) ^ (one.tree[child] & _ODD)
            active[i] = child + 1 - differs
        if keep:
            for i in range(left):
                child = active[i]
                sibling = child ^ 1
                one.tree[child] = (one.tree[child] & _WAITS) | _KNOWN | _ODD
                one.tree[sibling] = (one.tree[sibling] & _WAITS) | _KNOWN
        left = _set_aside(one, active, left)


@helper
def _set_aside(one: _Pass, active: Any, left: int) -> int:
    """Put the places of single bits behind the nodes that are searched on; how many those are."""
    i = 0
    while i < left:
        start, stop = _bounds(one, active[i])
        if stop - start == 1:
            left -= 1
            active[i] = active[left]
            active[left] = start
        else:
            i += 1
    return left


@helper
def _turn(
    differs: Any,
    order: Any,
    found: Any,
    turned: Any,
) -> None:
    """Correct the bits at the places ``found`` in a pass's order; ``turned`` are their numbers."""
    for i in range(len(found)):
        turned[i] = order[found[i]]
        found[i] = 1 - differs[turned[i]]
    for i in range(len(found)):
        differs[turned[i]] = found[i]


@helper
def _notice(
    one: _Pass,
    bits: Any,
    leaves: Any,
    waiting: int,
    keep: bool,
) -> int:
    """Flip the parities around corrected bits, then let the odd ones wait; how many nodes wait."""
    for i in range(len(bits)):
        leaves[i] = _leaf(one, one.places[bits[i]])
        _flip(leaves[i], one.depth, one.tree)
    for i in range(len(bits)):
        node = _smallest_known(leaves[i], one.depth, one.tree, keep)
        if one.tree[node] & (_ODD | _WAITS) == _ODD:
            one.tree[node] |= _WAITS
            one.pending[waiting] = node
            waiting += 1
    return waiting


@helper
def _flip(leaf: int, depth: int, tree: Any) -> None:
    """Flip the parities of a leaf and of all nodes above it."""
    heap = leaf & ((2 << depth) - 1)
    base = leaf - heap
    while heap:
        tree[base + heap] ^= _ODD
        heap >>= 1


@helper
def _smallest_known(
    leaf: int,
    depth: int,
    tree: Any,
    keep: bool,
) -> int:
    """The smallest interval around a bit whose parity is known: the block, where no others are kept."""
    heap = leaf & ((2 << depth) - 1)
    base = leaf - heap
    if not keep:
        return base + 1
    while heap > 1 and not tree[base + heap] & _KNOWN:
        heap >>= 1
    return base + heap


@helper
def _correct_frame(
    differs: Any,
    passes: _Passes,
    step: int,
    keep: bool,
    counts: Any,
) -> None:
    """Search what waits, in the earliest pass first, until nothing does in the passes up to ``step``."""
    at = 0
    while at <= step:
        if not passes.waiting[at]:
            at += 1
            continue
        one = _pass(passes, at)
        odd = _still_odd(one, passes.waiting[at])
        passes.waiting[at] = 0
        _search(one, odd, keep, counts)
        counts[2] += len(odd)
        if counts[2] <= one.n:  # contradictory answers would go on for ever
            bits = passes.bits[: len(odd)]
            _turn(differs, one.order, odd, bits)
            for each in range(step + 1):
                waiting = passes.waiting[each]
                passes.waiting[each] = _notice(
                    _pass(passes, each),
                    bits,
                    passes.leaves,
                    waiting,
                    keep,
                )
        at = 0


@_jit("void(uint8[:,::1], int64[:,::1], int64[:,::1], int64[::1], boolean, int64[:,::1])")
def _correct(
    differs: Any,
    orders: Any,
    places: Any,
    sizes: Any,
    keep: Any,
    counts: Any,
) -> None:
    passes = _prepare(orders, places, sizes)
    of_frame = np.empty(3, np.int64)
    for frame in range(len(differs)):
        of_frame[:] = 0
        for step in range(len(sizes)):
            one = _pass(passes, step)
            one.tree[:] = 0
            _open(one, differs[frame])
            passes.waiting[step] = _compare(one, step == 0, of_frame)
            _correct_frame(differs[frame], passes, step, keep, of_frame)
        counts[:, frame] = of_frame
