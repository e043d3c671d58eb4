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
from numpy.typing import NDArray

from .. import bits
from ..bits import U8
from . import Tick
from ._tables import ONE, Raw, Table, Words, compile_table

_FIRST, _FULL = 1 << 6, 1 << 13  # words per plane: the first block, and the largest, which stays in cache


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
    largest = max((words for _, words in _blocks(count)), default=0)
    planes = np.empty((6, largest), np.uint64)
    index = np.empty(8 * largest, np.intp)
    for first, words in _blocks(count):
        _draw_block(law, raw, planes[:, :words], index)
        part = columns[:, 8 * first : 8 * (first + words)]
        part[:] = planes[:4, :words].view(np.uint8)[:, : part.shape[1]]
        tick()
    bits.clear_padding(columns, count)
    return columns


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    """(first word, words) of each block, by a schedule that does not know ``count``."""
    first, end = 0, _FIRST
    while 64 * first < count:
        yield first, end - first
        first, end = end, min(8 * end, (end // _FULL + 1) * _FULL)


def _draw_block(law: Law, raw: Raw, planes: NDArray[np.uint64], index: NDArray[np.intp]) -> None:
    a_basis, a_bit, b_basis, b_bit, plane, spare = planes
    _toss(law.alice_x, raw, a_basis, index)
    _toss(law.bob_x, raw, b_basis, index)
    a_bit[:] = raw(len(a_bit))
    np.bitwise_xor(a_basis, b_basis, out=b_bit)
    b_bit &= raw(len(b_bit))  # unequal bases: unrelated bits
    b_bit ^= a_bit
    _toss_by_basis(law.flip_z, law.flip_x, raw, (a_basis, plane, spare), index)
    b_bit ^= plane
    _fall(law.alice_fall_z, law.alice_fall_x, raw, (a_basis, a_bit, plane, spare), index)
    _fall(law.bob_fall_z, law.bob_fall_x, raw, (b_basis, b_bit, plane, spare), index)


def _fall(z: int, x: int, raw: Raw, planes: tuple[Words, Words, Words, Words], index: NDArray[np.intp]) -> None:
    """One side's one-sided flips: planes are its basis, its bit, and two to spoil."""
    basis, bit, plane, spare = planes
    if z > 0 or x > 0:
        _toss_by_basis(max(z, 0), max(x, 0), raw, (basis, plane, spare), index)
        bit &= ~plane
    if z < 0 or x < 0:
        _toss_by_basis(max(-z, 0), max(-x, 0), raw, (basis, plane, spare), index)
        bit |= plane


def _toss_by_basis(z: int, x: int, raw: Raw, planes: tuple[Words, Words, Words], index: NDArray[np.intp]) -> None:
    """Fill the second plane with bits of probability ``z``, or ``x`` where the first one is 1; spoils the third."""
    basis, plane, spare = planes
    _toss(z, raw, plane, index)
    if x != z:
        _toss(x, raw, spare, index)
        spare ^= plane
        spare &= basis
        plane ^= spare


def _toss(probability: int, raw: Raw, plane: Words, index: NDArray[np.intp]) -> None:
    """Fill a plane with independent bits, each 1 with this probability."""
    if probability == ONE >> 1:
        plane[:] = raw(len(plane))
    elif 0 < probability < ONE:
        _byte_table(probability).draw(raw, plane.view(np.uint8), index)
    else:
        plane.fill(probability and np.iinfo(np.uint64).max)


@lru_cache(maxsize=64)
def _byte_table(probability: int) -> Table:
    """Eight independent bits at a time."""
    by_ones = [probability**ones * (ONE - probability) ** (8 - ones) for ones in range(9)]
    return compile_table(np.arange(256, dtype=np.uint8), [by_ones[byte.bit_count()] for byte in range(256)])
