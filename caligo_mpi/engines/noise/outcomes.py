"""Records of registered pairs on packed planes: one plane per column, 64 pairs to a word.

Everything a side does to its bit by itself is a symmetric flip, folded into the pair's own
flip probability, and a one-sided one (`link.Channel`), so a record takes two basis bits, one
outcome bit, one bit for unequal bases, and a rare flip per basis; then the rare falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...pairs import Tick, bits
from ...pairs.bits import U8
from .tables import ONE, Raw, Table, Words, compile_table

# Words per plane: the first block, and the largest, which stays in cache.
_FIRST = 1 << 6
FULL = 1 << 13


@dataclass(frozen=True, slots=True)
class Law:
    """What both sides record, as probabilities in units of 2^-64.

    ``*_x``: a side measures in X.  ``flip_*``: with equal bases the bits are unequal.
    ``*_fall_*``: a side that measured in that basis then records 0 for 1; a negative number says
    that it records 1 for 0.
    """

    alice_x: int
    bob_x: int
    flip_z: int
    flip_x: int
    alice_fall_z: int
    alice_fall_x: int
    bob_fall_z: int
    bob_fall_x: int


def sample_records(
    law: Law,
    count: int,
    raw: Raw,
    tick: Tick,
) -> U8:
    """Packed columns of ``count`` records, uint8 of shape (4, nbytes(count)).

    A shorter draw is a prefix of a longer one.  ``tick`` is called after each block.
    """
    columns = np.empty((4, bits.nbytes(count)), np.uint8)
    for first, words in blocks(count):
        part = columns[:, 8 * first : 8 * (first + words)]
        planes = _draw_block(law, words, raw)
        for column, plane in zip(part, planes, strict=True):
            column[:] = plane.view(np.uint8)[: len(column)]
        tick()
    bits.clear_padding(columns, count)
    return columns


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """(first word, words) of each block, by a schedule that does not know ``count``."""
    first = 0
    end = _FIRST
    while 64 * first < count:
        yield first, end - first
        longer = 8 * end
        next_full = (end // FULL + 1) * FULL
        first = end
        end = min(longer, next_full)


def _draw_block(law: Law, words: int, raw: Raw) -> tuple[Words, Words, Words, Words]:
    """Alice's bases and bits, then Bob's, for 64·``words`` records; draws in a fixed order."""
    a_basis = toss(law.alice_x, words, raw)
    b_basis = toss(law.bob_x, words, raw)
    a_bit = raw(words)
    b_bit = a_basis ^ b_basis
    b_bit &= raw(words)  # unequal bases: unrelated bits
    b_bit ^= a_bit
    b_bit ^= toss_by_basis(law.flip_z, law.flip_x, a_basis, raw)
    fall(
        a_bit,
        a_basis,
        (law.alice_fall_z, law.alice_fall_x),
        raw,
    )
    fall(
        b_bit,
        b_basis,
        (law.bob_fall_z, law.bob_fall_x),
        raw,
    )
    return a_basis, a_bit, b_basis, b_bit


def fall(
    bit: Words,
    basis: Words,
    by_basis: tuple[int, int],
    raw: Raw,
) -> None:
    """Flip bits, in place, one way only.

    A positive probability takes 1 to 0, a negative one 0 to 1.
    """
    z, x = by_basis
    if z > 0 or x > 0:
        fallen = toss_by_basis(
            max(z, 0),
            max(x, 0),
            basis,
            raw,
        )
        bit &= ~fallen
    if z < 0 or x < 0:
        risen = toss_by_basis(
            max(-z, 0),
            max(-x, 0),
            basis,
            raw,
        )
        bit |= risen


def toss_by_basis(
    z: int,
    x: int,
    basis: Words,
    raw: Raw,
) -> Words:
    """Independent bits, 1 with probability ``z`` where the basis is Z and ``x`` where it is X."""
    plane = toss(z, len(basis), raw)
    if x == z:
        return plane
    other = toss(x, len(basis), raw)
    other ^= plane
    other &= basis
    plane ^= other
    return plane


def toss(probability: int, words: int, raw: Raw) -> Words:
    """A plane of independent bits, each 1 with this probability."""
    if probability == ONE >> 1:
        return raw(words)
    if probability == 0:
        return np.zeros(words, np.uint64)
    if probability == ONE:
        return np.full(words, ONE - 1, np.uint64)
    eights = byte_table(probability).draw(8 * words, raw)
    return eights.view(np.uint64)


@lru_cache(maxsize=64)
def byte_table(probability: int) -> Table:
    """Eight independent bits at a time."""
    against = ONE - probability
    by_ones = [probability**ones * against ** (8 - ones) for ones in range(9)]
    weights = [by_ones[byte.bit_count()] for byte in range(256)]
    return compile_table(np.arange(256, dtype=np.uint8), weights)
