"""Cascade: interactive reconciliation by parities, many frames in lock-step.

Brassard and Salvail, "Secret-key reconciliation by public discussion", EUROCRYPT '93.
In every pass both sides cut a permutation of the frame into blocks and compare parities;
an odd block holds an error, which a binary search finds.  Each correction makes blocks of
earlier passes odd, which are searched in turn until none is left.

Alice's bits live in an `Oracle` that answers parity questions and counts the answers: Bob's
side, `correct`, sees nothing else of hers.  A frame's result depends on its own bits, the
error rate, the variant and the seed, never on the frames beside it.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..pairs import Tick
from ..pairs.bits import U8, require_bits
from .types import Reconciled

I64 = NDArray[np.int64]

#: ``original``: four passes from blocks of ⌈0.73/Q⌉, each pass's twice as long.
#: ``low-leak``: blocks of a power of two, then halves of the frame, and every parity ever told is
#: kept in use (Martinez-Mateo et al., Quantum Inf. Comput. 15:453, 2015).
VARIANTS = ("original", "low-leak")

#: Frames handled together by `reconcile`: enough to fill the vectors, little enough for the caches.
_TOGETHER = 128

#: Frames between two ticks where Cascade is compiled.
_AT_ONCE = 16

#: Frames are first taken through this many passes: where no error is left, what others would tell is known.
_STAGES = (3, 6)

#: For fewer bits compiled code is not even loaded: that takes half a second.
_COMPILE_BITS = 400_000

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

    def parities(self, step: int, frame: I64, start: I64, stop: I64) -> U8:
        """Parities of the bits ``start`` to ``stop`` of the given frames, in the order of pass ``step``."""
        told = np.bincount(frame, minlength=len(self.leak_bits))
        self.leak_bits += told
        self.messages += 2 * (told > 0)
        return _range_parities(self._prefix[step], frame, start, stop)


def block_sizes(n: int, qber: float, variant: str = "original") -> list[int]:
    """Block length of every pass for frames of ``n`` bits.

    >>> block_sizes(10_000, 0.05), block_sizes(10_000, 0.05, "low-leak")[:4]
    ([15, 30, 60, 120], [16, 256, 4096, 5000])
    """
    if variant not in VARIANTS:
        raise ConfigError(
            f"variant={variant!r} is not a Cascade variant; choose one of {', '.join(VARIANTS)}"
        )
    if not 0 <= qber < 0.5:
        raise ConfigError(f"qber={qber} must lie in [0, 0.5): Cascade cannot reconcile beyond")
    half = (n + 1) // 2
    sizes_of = _original_sizes if variant == "original" else _low_leak_sizes
    wanted = sizes_of(n, qber)
    return [min(size, half) for size in wanted]


def _original_sizes(n: int, qber: float) -> list[int]:
    expected_errors = qber * n
    first = n if expected_errors < 1 else -int(-0.73 // qber)
    return [first << step for step in range(4)]


def _low_leak_sizes(n: int, qber: float) -> list[int]:
    expected_errors = qber * n
    ideal = n if expected_errors < 1 else 1 / (qber * sqrt(2))
    first = _power_of_two_above(ideal)
    second = _power_of_two_above(sqrt(4096 * first))
    halves = [n] * 11
    return [first, second, 4096, *halves]


def reconcile(
    alice: U8,
    bob: U8,
    *,
    qber: float,
    seed: int,
    variant: str = "original",
    tick: Tick = lambda: None,
) -> list[Reconciled]:
    """Both sides of Cascade on frames (frames, n): what Bob holds afterwards, frame by frame.

    ``qber`` is the expected share of errors: one too high costs parities; one too low does too, and four
    passes of ``original`` may then leave errors.  ``seed`` draws the permutations, which both sides know
    and all frames share.  ``tick`` is called before every pass.

    >>> bob = np.zeros((1, 1000), np.uint8)
    >>> alice = bob.copy(); alice[0, [5, 77, 500]] = 1
    >>> result, = reconcile(alice, bob, qber=0.003, seed=1)
    >>> bool((result.bits == alice[0]).all()), result.ok
    (True, True)
    """
    require_bits(alice=alice, bob=bob)
    compiled = bob.size >= _COMPILE_BITS and _can_compile()
    way = _compiled_way if compiled else _plain_way
    sizes = block_sizes(bob.shape[1], qber, variant)
    keep = variant != "original"
    bits = bob.copy()
    told = np.zeros((3, len(bob)), np.int64)
    wrong = np.ones(len(bob), bool)
    for passes in (*(few for few in _STAGES if few < len(sizes)), len(sizes)):
        if not wrong.any():
            break
        some = alice[wrong], bob[wrong]
        bits[wrong], found = way(*some, sizes[:passes], seed=seed, keep=keep, tick=tick)
        told[:, wrong] = found + _if_all_is_right(bob.shape[1], sizes[passes:])
        wrong &= (bits != alice).any(axis=1)
    leaks, messages, corrections = told
    ok = corrections <= bob.shape[1]
    return list(map(Reconciled, bits, leaks.tolist(), messages.tolist(), ok.tolist()))


def _if_all_is_right(n: int, sizes: list[int]) -> I64:
    """Parities told, messages and corrections of further passes in a frame without errors: a column."""
    told = [-(-n // size) - 1 for size in sizes]
    counts = sum(told), sum(2 for parities in told if parities), 0
    return np.array(counts)[:, None]


def _plain_way(
    alice: U8, bob: U8, sizes: list[int], *, seed: int, keep: bool, tick: Tick
) -> tuple[U8, I64]:
    """Both sides, for frames together: Bob's bits; parities told, messages, corrections (3, frames)."""
    bits = np.empty_like(bob)
    told = np.empty((3, len(bob)), np.int64)
    for first in range(0, len(bob), _TOGETHER):
        rows = slice(first, first + _TOGETHER)
        oracle = Oracle(alice[rows])
        found = _correct(oracle, bob[rows], sizes, seed=seed, keep=keep, tick=tick)
        bits[rows], corrections = found
        told[:, rows] = oracle.leak_bits, oracle.messages, corrections
    return bits, told


def _compiled_way(
    alice: U8, bob: U8, sizes: list[int], *, seed: int, keep: bool, tick: Tick
) -> tuple[U8, I64]:
    """The same bits, questions and answers as by `_plain_way`."""
    from . import cascade_compiled

    n = bob.shape[1]
    orders = np.stack([_permutation(n, seed, step) for step in range(len(sizes))])
    left = alice ^ bob
    told = np.empty((3, len(bob)), np.int64)
    for first in range(0, len(bob), _AT_ONCE):
        tick()
        rows = slice(first, first + _AT_ONCE)
        told[:, rows] = cascade_compiled.correct(left[rows], orders, np.array(sizes), keep=keep)
    left ^= alice
    return left, told


@cache
def _can_compile() -> bool:
    """Whether the compiled way is there: numba is installed."""
    try:
        from . import cascade_compiled  # noqa: F401
    except ImportError:
        return False
    return True


def correct(
    alice: Oracle,
    received: U8,
    *,
    qber: float,
    seed: int,
    variant: str = "original",
    tick: Tick = lambda: None,
) -> tuple[U8, NDArray[np.bool_]]:
    """Bob's side: his ``received`` frames (frames, n) corrected by asking Alice for parities.

    The second result is False where her answers contradict each other.  Memory: about 1 MB per
    frame of 10,000 bits with ``low-leak``, 0.3 MB with ``original``.
    """
    sizes = block_sizes(received.shape[1], qber, variant)
    keep = variant != "original"
    bits, corrections = _correct(alice, received, sizes, seed=seed, keep=keep, tick=tick)
    return bits, corrections <= received.shape[1]


def _correct(
    alice: Oracle, received: U8, sizes: list[int], *, seed: int, keep: bool, tick: Tick
) -> tuple[U8, I64]:
    """Passes of these ``sizes``: Bob's bits, and how many corrections he made in each frame."""
    bits = received.copy()
    frames, n = bits.shape
    corrections = np.zeros(frames, np.int64)
    passes: list[_Pass] = []
    for step, size in enumerate(sizes):
        tick()
        order = _permutation(n, seed, step)
        alice.open_pass(order)
        latest = _Pass(step, bits, order, size, keep=keep)
        latest.compare_blocks(alice)
        passes.append(latest)
        while (odd := next((p for p in passes if p.pending), None)) is not None:
            frame, bit = odd.search(alice)
            corrections += np.bincount(frame, minlength=frames)
            # Contradictory answers would go on for ever.
            sane = corrections[frame] <= n
            frame = frame[sane]
            bit = bit[sane]
            bits[frame, bit] ^= 1
            for each in passes:
                each.flip(frame, bit)
    return bits, corrections


class _Pass:
    """One pass on Bob's side: for each frame a forest of intervals, one binary tree per block.

    The node ``h`` of a block has the children 2h and 2h + 1, so ``h`` is 1 for the whole block.  ``odd``
    counts, modulo 256, flips in an interval since the pass began; its lowest bit is the difference to Alice's
    parity once that is known.  With ``keep`` the intervals seen in searches stay known.
    """

    def __init__(self, step: int, bits: U8, order: I64, size: int, *, keep: bool) -> None:
        frames, n = bits.shape
        self.step, self.keep = step, keep
        self.order = order
        self.prefix = _prefix_parities(bits, order)
        self.start, self.stop, self.leaf = _intervals(n, size)
        self.leaf_of_bit = np.empty(n, np.int64)
        self.leaf_of_bit[order] = self.leaf
        self.blocks = -(-n // size)
        self.depth = (len(self.start) // self.blocks).bit_length() - 2
        self.nodes = len(self.start)
        self.odd: U8 = np.zeros(frames * self.nodes, np.uint8)
        self.known: NDArray[np.bool_] = np.zeros(frames * self.nodes if keep else 0, bool)
        self.pending: list[I64] = []

    def compare_blocks(self, alice: Oracle) -> None:
        """Ask for the parity of every block; after the first pass the last one follows from the others."""
        told = self.blocks - (self.step > 0)
        frames = len(self.odd) // self.nodes
        root = np.arange(self.blocks) * (self.nodes // self.blocks) + 1
        first_node = np.arange(frames)[:, None] * self.nodes
        node = (first_node + root).ravel()
        differs = np.zeros((frames, self.blocks), np.uint8)
        if told:
            asked = node.reshape(frames, -1)[:, :told].ravel()
            differs[:, :told] = self._ask(alice, asked).reshape(frames, -1)
        if self.step:
            differs[:, -1] = np.bitwise_xor.reduce(differs[:, :-1], axis=1)
        self.odd[node] = differs.ravel()
        if self.keep:
            self.known[node] = True
        is_odd = differs.ravel() == 1
        self._await(node[is_odd])

    def search(self, alice: Oracle) -> tuple[I64, I64]:
        """Find one error in each interval that is odd: frame and bit of each."""
        node = np.sort(np.concatenate(self.pending))
        self.pending = []
        is_first = np.diff(node, prepend=-1) > 0
        node = node[is_first]
        is_odd = self.odd[node] & 1 == 1
        node = node[is_odd]
        found = []
        while len(node):
            place = node % self.nodes
            length = self.stop[place] - self.start[place]
            single = length == 1
            found.append(node[single])
            node = self._halve(alice, node[~single])
        node = np.concatenate([*found, node])
        frame, place = np.divmod(node, self.nodes)
        return frame, self.order[self.start[place]]

    def flip(self, frame: I64, bit: I64) -> None:
        """Take note of corrected bits; the smallest known interval around each may have become odd."""
        leaf = frame * self.nodes + self.leaf_of_bit[bit]
        size = self.nodes // self.blocks
        heap = leaf % size
        base = leaf - heap
        # The node h has the ancestors h >> 1, h >> 2, …: one row per level, the leaf first.
        level = np.arange(self.depth + 1)[:, None]
        path = base + (heap >> level)
        np.add.at(self.odd, path.ravel(), np.uint8(1))
        if self.keep:
            deepest = np.argmax(self.known[path], axis=0)
            self._await(path[deepest, np.arange(len(leaf))])
        else:
            self._await(path[-1])

    def _halve(self, alice: Oracle, node: I64) -> I64:
        """The odd child of each odd node, by asking for the left one."""
        size = self.nodes // self.blocks
        left = node + node % size
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
        differs = answer ^ _range_parities(self.prefix, frame, start, stop)
        differs ^= self.odd[node] & np.uint8(1)
        return differs

    def _await(self, node: I64) -> None:
        is_odd = self.odd[node] & 1 == 1
        node = node[is_odd]
        if len(node):
            self.pending.append(node)


def _prefix_parities(bits: U8, order: I64) -> U8:
    """Parity of the first 0, 1, …, n bits of each row in the given order: (frames, at least n + 1)."""
    frames, n = bits.shape
    words = np.zeros((frames, n // 8 + 1), "<u8")
    words.view(np.uint8)[:, :n] = np.take(bits, order, axis=1)
    # Byte i becomes how many of the bytes 0 to i are 1: at most 8, so nothing is carried.
    words *= _EACH_BYTE
    ends = np.cumsum(words >> np.uint64(56), axis=1)
    words <<= np.uint64(8)
    odd_before = ends[:, :-1] & np.uint64(1)
    words[:, 1:] += odd_before * _EACH_BYTE
    words &= _EACH_BYTE
    return words.view(np.uint8)


def _range_parities(prefix: U8, frame: I64, start: I64, stop: I64) -> U8:
    row = frame * prefix.shape[1]
    flat = prefix.ravel()
    out: U8 = flat[row + start] ^ flat[row + stop]
    return out


@lru_cache(maxsize=1)  # most passes of ``low-leak`` have the same
def _intervals(n: int, size: int) -> tuple[I64, I64, I64]:
    """Start and stop of every node of every block, and the leaf of every position.

    Node h = 2**level + i of a block of k bits covers its bits ⌊i·k/2**level⌋ up to the next such bound, so
    halves differ by one bit at most, whatever k is.
    """
    first = np.arange(0, n, size, dtype=np.int64)
    length = np.minimum(size, n - first)
    depth = (size - 1).bit_length()
    leaves = 1 << depth
    unused = first[:, None]  # h = 0 is no node
    starts = [unused]
    stops = [unused]
    for level in range(depth + 1):
        bound = np.arange((1 << level) + 1) * length[:, None] >> level
        bound += first[:, None]
        starts.append(bound[:, :-1])
        stops.append(bound[:, 1:])
    start = np.concatenate(starts, axis=1)
    stop = np.concatenate(stops, axis=1)
    is_used = stop > start
    used_leaves = np.flatnonzero(is_used[:, leaves:])
    block, leaf = np.divmod(used_leaves, leaves)
    leaf_node = block * (2 * leaves) + leaves + leaf
    return start.ravel(), stop.ravel(), leaf_node


@lru_cache(maxsize=4)  # of frames that are gone on with
def _permutation(n: int, seed: int, step: int) -> I64:
    """The same permutation on every machine: the order of raw 64-bit words; none in pass 0."""
    if step == 0:
        return np.arange(n)
    entropy = np.random.SeedSequence(seed, spawn_key=(step,))
    words = np.asarray(np.random.PCG64(entropy).random_raw(n))
    order = np.argsort(words)
    ordered = words[order]
    # Sorting algorithms differ in equal words only, which are as good as never there.
    all_differ = (ordered[1:] > ordered[:-1]).all()
    if all_differ:
        return order
    # A stable sort is slower.
    return np.argsort(words, kind="stable")


def _power_of_two_above(x: float) -> int:
    power = 1
    while power < x:
        power *= 2
    return power
