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

from functools import cache, lru_cache, partial
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..pairs import Tick
from ..pairs.bits import U8, require_bits
from .cascade_pass import I64, Oracle, Pass
from .cascade_plain import Differences
from .types import Reconciled

#: ``original``: four passes from blocks of ⌈0.73/Q⌉, each pass's twice as long.
#: ``low-leak``: blocks of a power of two, then halves of the frame, and every parity ever told is
#: kept in use (Martinez-Mateo et al., Quantum Inf. Comput. 15:453, 2015).
VARIANTS = ("original", "low-leak")

#: Frames handled together by `reconcile`: enough to fill the vectors, little enough for the caches.
_TOGETHER = 128

#: Frames between two ticks where Cascade is compiled.
_AT_ONCE = 16

#: Compiled, frames are first taken through this many passes: where no error is left, what others would tell is known.
_STAGES = (3, 6)

#: For fewer bits compiled code is not even loaded: that takes half a second.
_COMPILE_BITS = 400_000


def block_sizes(n: int, qber: float, variant: str = "original") -> list[int]:
    """Block length of every pass for frames of ``n`` bits.

    >>> block_sizes(10_000, 0.05), block_sizes(10_000, 0.05, "low-leak")[:4]
    ([15, 30, 60, 120], [16, 256, 4096, 5000])
    """
    if variant not in VARIANTS:
        choices = ", ".join(VARIANTS)
        raise ConfigError(f"variant={variant!r} is not a Cascade variant; choose one of {choices}")
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
    way = _in_stages if compiled else _plain_way
    n = bob.shape[1]
    sizes = block_sizes(n, qber, variant)
    keep = variant != "original"
    left, told = way(alice ^ bob, sizes, seed=seed, keep=keep, tick=tick)
    left ^= alice
    leaks, messages, corrections = told
    ok = corrections <= n
    frames = map(
        Reconciled,
        left,
        leaks.tolist(),
        messages.tolist(),
        ok.tolist(),
    )
    return list(frames)


def _in_stages(
    differs: U8,
    sizes: list[int],
    *,
    seed: int,
    keep: bool,
    tick: Tick,
) -> tuple[U8, I64]:
    """The same as `_compiled_way`, sooner: few frames are taken through all passes."""
    frames, n = differs.shape
    left = np.empty_like(differs)
    told = np.empty((3, frames), np.int64)
    wrong = np.ones(frames, bool)
    known = 0
    permutations = np.empty((2, len(sizes), n), np.int64)
    stages = [few for few in _STAGES if few < len(sizes)]
    for passes in (*stages, len(sizes)):
        for step in range(known, passes):
            order, place = permutations[:, step]
            order[:] = _permutation(n, seed, step)
            place[order] = np.arange(n)
        known = passes
        left[wrong], found = _compiled_way(
            differs[wrong],
            sizes[:passes],
            permutations[:, :passes],
            keep=keep,
            tick=tick,
        )
        told[:, wrong] = found + _if_all_is_right(n, sizes[passes:])
        wrong = np.asarray(left.any(axis=1))
        if not wrong.any():
            break
    return left, told


def _if_all_is_right(n: int, sizes: list[int]) -> I64:
    """Parities told, messages and corrections of further passes in a frame without errors: a column."""
    told = [-(-n // size) - 1 for size in sizes]
    asked = sum(parities > 0 for parities in told)
    counts = np.array([sum(told), 2 * asked, 0])
    return counts[:, None]


def _plain_way(
    differs: U8,
    sizes: list[int],
    *,
    seed: int,
    keep: bool,
    tick: Tick,
) -> tuple[U8, I64]:
    """What is left of the differences; parities told, messages and corrections (3, frames)."""
    left = np.empty_like(differs)
    frames, n = differs.shape
    told = np.empty((3, frames), np.int64)
    for first in range(0, frames, _TOGETHER):
        rows = slice(first, first + _TOGETHER)
        bob = Differences(
            differs[rows],
            sizes,
            partial(_permutation, n, seed),
            keep=keep,
        )
        bob.correct(tick)
        told[:, rows] = bob.leak_bits, bob.messages, bob.corrections
        left[rows] = bob.bits
    return left, told


def _compiled_way(
    differs: U8,
    sizes: list[int],
    permutations: I64,
    *,
    keep: bool,
    tick: Tick,
) -> tuple[U8, I64]:
    """The same as `_plain_way`, by the passes' permutations and their inverses (2, passes, n)."""
    from . import cascade_compiled

    frames = len(differs)
    blocks = np.array(sizes)
    left = differs.copy()
    told = np.empty((3, frames), np.int64)
    for first in range(0, frames, _AT_ONCE):
        tick()
        rows = slice(first, first + _AT_ONCE)
        told[:, rows] = cascade_compiled.correct(left[rows], permutations, blocks, keep=keep)
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
    bob = _Bob(received, seed=seed, keep=variant != "original")
    for size in block_sizes(bob.n, qber, variant):
        tick()
        bob.take_pass(alice, size)
    return bob.bits, bob.corrections <= bob.n


class _Bob:
    """Bob's frames as far as he has corrected them, how many bits of each he did, and his passes so far."""

    def __init__(self, received: U8, *, seed: int, keep: bool) -> None:
        frames, self.n = received.shape
        self.bits = received.copy()
        self.corrections = np.zeros(frames, np.int64)
        self._seed = seed
        self._keep = keep
        self._passes: list[Pass] = []

    def take_pass(self, alice: Oracle, size: int) -> None:
        """One more pass, with blocks of ``size``, and all that it finds in earlier ones."""
        step = len(self._passes)
        order = _permutation(self.n, self._seed, step)
        alice.open_pass(order)
        latest = Pass(
            step,
            self.bits,
            order,
            size,
            keep=self._keep,
        )
        latest.compare_blocks(alice)
        self._passes.append(latest)
        while odd := [each for each in self._passes if each.pending]:
            earliest = odd[0]
            frame, bit = earliest.search(alice)
            self._correct(frame, bit)

    def _correct(self, frame: I64, bit: I64) -> None:
        frames = len(self.bits)
        self.corrections += np.bincount(frame, minlength=frames)
        # Contradictory answers would go on for ever.
        sane = self.corrections[frame] <= self.n
        frame = frame[sane]
        bit = bit[sane]
        self.bits[frame, bit] ^= 1
        for each in self._passes:
            each.flip(frame, bit)


@lru_cache(maxsize=4)  # of frames that are gone on with
def _permutation(n: int, seed: int, step: int) -> I64:
    """The same permutation on every machine: the order of raw 64-bit words; none in pass 0."""
    if step == 0:
        return np.arange(n)
    entropy = np.random.SeedSequence(seed, spawn_key=(step,))
    source = np.random.PCG64(entropy)
    words = np.asarray(source.random_raw(n))
    return _order(words)


def _order(words: NDArray[np.uint64]) -> I64:
    """Where the words are from the smallest to the largest; of equal ones the first comes first."""
    width = (len(words) - 1).bit_length()
    low = np.uint64((1 << width) - 1)
    # Sorted with their places in their low bits: sooner than places are by their words.
    placed = np.arange(len(words), dtype=np.uint64)
    placed |= words & ~low
    placed.sort()
    high = placed >> np.uint64(width)
    if (high[1:] > high[:-1]).all():
        placed &= low
        return placed.astype(np.int64)
    return np.argsort(words, kind="stable")


def _power_of_two_above(x: float) -> int:
    power = 1
    while power < x:
        power *= 2
    return power
