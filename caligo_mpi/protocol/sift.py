"""Sifting: keep the rows where both measured in the same basis.

Each party calls `sift` with its own columns and the bases the other one announced.
Everything stays packed; nothing is unpacked on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..pairs import Pairs, bits
from ..pairs.bits import U8
from .types import Sifted

U64 = NDArray[np.uint64]
_WORDS = 16384  # words compressed at a time: the temporaries stay in cache
#: For a smaller mask compiled code is not even loaded: that takes half a second.
_COMPILE_BYTES = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one party knows by itself: packed bases and outcomes of ``count`` rows.

    ``index`` are the rows' emission numbers.  They are public, as both parties must name the same
    emissions, and absent where no pair can be lost.
    """

    basis: U8
    outcome: U8
    count: int
    index: NDArray[np.uint64] | None = None


def sides(pairs: Pairs) -> tuple[Side, Side]:
    """Alice's and Bob's own columns."""
    alice = Side(
        pairs.alice_basis,
        pairs.alice_outcome,
        pairs.count,
        pairs.index,
    )
    bob = Side(
        pairs.bob_basis,
        pairs.bob_outcome,
        pairs.count,
        pairs.index,
    )
    return alice, bob


def rows(pairs: Pairs, start: int, count: int) -> Pairs:
    """``count`` rows of ``pairs`` from row ``start`` on ; clicks and duration stay those of the whole."""
    stop = start + count
    if start < 0 or stop > pairs.count:
        raise ValueError(f"rows {start} to {stop} are not within the {pairs.count} rows there are")
    part = pairs.part(start, stop)
    return replace(
        part,
        alice_clicks=pairs.alice_clicks,
        bob_clicks=pairs.bob_clicks,
        duration_ns=pairs.duration_ns,
    )


def equal_bases(own: U8, announced: U8, count: int) -> U8:
    """Packed mask of the rows whose bases agree; pad bits 0."""
    mask = ~(own ^ announced)
    bits.clear_padding(mask, count)
    return mask


def sift(own: Side, announced: U8) -> Sifted:
    """One party's outcomes at the rows where the ``announced`` (packed) bases equal its own.

    >>> own = Side(bits.pack(np.array([0, 1, 1, 0])), bits.pack(np.array([1, 1, 0, 1])), 4)
    >>> kept = sift(own, bits.pack(np.array([0, 1, 0, 1])))
    >>> kept.count, bits.unpack(kept.bits, 2).tolist(), bits.unpack(kept.basis, 2).tolist()
    (2, [1, 1], [0, 1])
    """
    if len(announced) != len(own.basis):
        told = len(announced)
        raise ValueError(f"{told} bytes of bases announced for {own.count} rows")
    mask = equal_bases(own.basis, announced, own.count)
    columns = own.outcome, own.basis
    (outcome, basis), count = select(columns, mask)
    index = None
    if own.index is not None:
        is_kept = bits.unpack(mask, own.count)
        index = own.index[is_kept.view(bool)]
    return Sifted(outcome, basis, count, index)


def select(columns: tuple[U8, ...], mask: U8) -> tuple[list[U8], int]:
    """The bits of each packed column where the packed ``mask`` is 1, packed anew; and how many there are.

    The same as `bits.select`, several times faster.
    """
    total = bits.count_ones(mask)
    words = (total >> 6) + 2
    out = np.zeros((len(columns), words), np.uint64)
    pext = _pext() if len(mask) >= _COMPILE_BYTES else None
    if pext is not None:
        keep = _words(mask)
        for column, row in zip(columns, out, strict=True):
            pext.gather(_words(column), keep, row)
    else:
        _gather(columns, mask, out)
    low_first = out.astype("<u8", copy=False)
    packed = low_first.view(np.uint8)
    size = bits.nbytes(total)
    return list(packed[:, :size]), total


@cache
def _pext() -> ModuleType | None:
    """The compiled way, where numba is installed and the CPU is made for it."""
    try:
        from . import pext
    except ImportError:
        return None
    return pext


def _gather(columns: tuple[U8, ...], mask: U8, out: U64) -> None:
    """Compress words in six steps (Warren, Hacker's Delight, 2nd ed., section 7–4), then join them end to end."""
    done = 0
    step = 8 * _WORDS  # bytes
    for start in range(0, len(mask), step):
        part = slice(start, start + step)
        keep = _words(mask[part])
        words = [_words(column[part]) for column in columns]
        dense = _compress(words, keep)
        done = _join(dense, keep, out, done)


def _words(packed: U8) -> U64:
    """Little-endian 64-bit words, zero-padded; row i is bit i % 64 of word i // 64 on any machine."""
    missing = -len(packed) & 7
    if missing:
        padding = np.zeros(missing, np.uint8)
        packed = np.concatenate([packed, padding])
    dense = np.ascontiguousarray(packed)
    words = dense.view("<u8")
    return np.require(words, np.uint64, "A")


def _compress(words: list[U64], mask: U64) -> list[U64]:
    """In each word, move the bits chosen by ``mask`` to the low end, in order."""
    one = np.uint64(1)
    words = [word & mask for word in words]
    gaps = ~mask << one  # whether the number of zeros below each bit is odd, once prefixed
    for step in range(6):
        parity = gaps ^ (gaps << one)
        for shift in (2, 4, 8, 16, 32):
            parity ^= parity << np.uint64(shift)
        move = parity & mask
        distance = np.uint64(1 << step)
        moved = move >> distance
        mask = (mask ^ move) | moved
        for i, word in enumerate(words):
            moving = word & move
            moved = moving >> distance
            words[i] = (word ^ moving) | moved
        gaps &= ~parity
    return words


def _join(
    dense: list[U64],
    mask: U64,
    out: U64,
    done: int,
) -> int:
    """Write each word's ``popcount(mask)`` low bits behind the ``done`` bits already in ``out``; the new total."""
    counts = _popcount(mask)
    ends = done + np.cumsum(counts)
    begins = ends - counts
    target = begins >> 6
    used = begins & 63
    shift = used.astype(np.uint64)
    is_first = np.diff(target, prepend=-1) > 0
    first = np.flatnonzero(is_first)
    targets = target[first]
    for word, row in zip(dense, out, strict=True):
        low = word << shift
        # A shift by 64 is void, so it is done in two.
        rest = word >> np.uint64(1)
        high = rest >> (np.uint64(63) - shift)
        row[targets] |= np.bitwise_or.reduceat(low, first)
        row[targets + 1] |= np.bitwise_or.reduceat(high, first)
    return int(ends[-1])


def _popcount(words: U64) -> NDArray[np.int64]:
    counts: NDArray[np.int64]
    if hasattr(np, "bitwise_count"):
        counts = np.bitwise_count(words).astype(np.int64)
    else:
        word_bytes = words.view(np.uint8).reshape(-1, 8)
        word_bits = np.unpackbits(word_bytes, axis=1)
        counts = word_bits.sum(axis=1, dtype=np.int64)
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """The plain arrays other post-processing codes take: uint8 outcomes and bases, int64 emission numbers."""

    alice_outcome: U8
    alice_basis: U8
    bob_outcome: U8
    bob_basis: U8
    index: NDArray[np.int64]


def as_arrays(pairs: Pairs) -> Arrays:
    """Unpack ``pairs``, one element per row."""
    columns = [bits.unpack(column, pairs.count) for column in pairs.columns]
    alice_basis, alice_outcome, bob_basis, bob_outcome = columns
    index = np.arange(pairs.count) if pairs.index is None else pairs.index
    return Arrays(
        alice_outcome,
        alice_basis,
        bob_outcome,
        bob_basis,
        index.astype(np.int64),
    )
