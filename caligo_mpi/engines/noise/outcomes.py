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

from ...pairs import bits
from ...pairs.bits import U8
from .. import Tick
from .tables import ONE, Raw, Table, Words, compile_table

_FIRST, _FULL = (
    1 << 6,
    1 << 13,
)  # words per plane: the first block, and the largest, which stays in cache


@dataclass(frozen=True, slots=True)
class Law:
    """What both sides record, as probabilities in units of 2^-64.

    ``*_x``: a side measures in X.  ``flip_*``: equal bases, unequal bits.  ``*_fall_*``: then a side's
    1 becomes 0 where it measured in that basis; if negative, its 0 becomes 1.
    """

    alice_x: int
    bob_x: int
    flip_z: int
    flip_x: int
    alice_fall_z: int
    alice_fall_x: int
    bob_fall_z: int
    bob_fall_x: int


def sample_records(law: Law, count: int, raw: Raw, tick: Tick) -> U8:
    """Packed columns of ``count`` records, (4, nbytes(count)); a shorter draw is a prefix of a longer one."""
    columns = np.empty((4, bits.nbytes(count)), np.uint8)
    for first, words in _blocks(count):
        part = columns[:, 8 * first : 8 * (first + words)]
        for column, plane in zip(part, _draw_block(law, words, raw), strict=True):
            column[:] = plane.view(np.uint8)[: len(column)]
        tick()
    bits.clear_padding(columns, count)
    return columns


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    """(first word, words) of each block, by a schedule that does not know ``count``."""
    first, end = 0, _FIRST
    while 64 * first < count:
        yield first, end - first
        first, end = end, min(8 * end, (end // _FULL + 1) * _FULL)


def _draw_block(law: Law, words: int, raw: Raw) -> tuple[Words, Words, Words, Words]:
    a_basis = _toss(law.alice_x, words, raw)
    b_basis = _toss(law.bob_x, words, raw)
    a_bit = raw(words)
    b_bit = a_basis ^ b_basis
    b_bit &= raw(words)  # unequal bases: unrelated bits
    b_bit ^= a_bit
    b_bit ^= _toss_by_basis(law.flip_z, law.flip_x, a_basis, raw)
    _fall(a_bit, a_basis, (law.alice_fall_z, law.alice_fall_x), raw)
    _fall(b_bit, b_basis, (law.bob_fall_z, law.bob_fall_x), raw)
    return a_basis, a_bit, b_basis, b_bit


def _fall(bit: Words, basis: Words, by_basis: tuple[int, int], raw: Raw) -> None:
    """Flip bits, in place, one way only: from 1 to 0 where the probability is positive, else from 0 to 1."""
    z, x = by_basis
    if z > 0 or x > 0:
        bit &= ~_toss_by_basis(max(z, 0), max(x, 0), basis, raw)
    if z < 0 or x < 0:
        bit |= _toss_by_basis(max(-z, 0), max(-x, 0), basis, raw)


def _toss_by_basis(z: int, x: int, basis: Words, raw: Raw) -> Words:
    """Independent bits, 1 with probability ``z`` where the basis is Z and ``x`` where it is X."""
    plane = _toss(z, len(basis), raw)
    if x == z:
        return plane
    other = _toss(x, len(basis), raw)
    other ^= plane
    other &= basis
    plane ^= other
    return plane


def _toss(probability: int, words: int, raw: Raw) -> Words:
    """A plane of independent bits, each 1 with this probability."""
    if probability == ONE >> 1:
        return raw(words)
    if probability in (0, ONE):
        return np.full(words, probability and ONE - 1, np.uint64)
    return _byte_table(probability).draw(8 * words, raw).view(np.uint64)


@lru_cache(maxsize=64)
def _byte_table(probability: int) -> Table:
    """Eight independent bits at a time."""
    by_ones = [probability**ones * (ONE - probability) ** (8 - ones) for ones in range(9)]
    return compile_table(
        np.arange(256, dtype=np.uint8), [by_ones[byte.bit_count()] for byte in range(256)]
    )
