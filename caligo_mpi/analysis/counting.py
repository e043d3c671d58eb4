"""Counts of packed rows, by numpy, or compiled where numba is installed: the same numbers.

A block is four arrays of 64-bit words: Alice's bases and bits, Bob's bases and bits; row i is bit
i % 64 of word i // 64.  The fifth stream is derived: errors, rows with equal bases and unequal bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..pairs import COLUMNS
from ..pairs.bits import count_ones

if TYPE_CHECKING:
    from types import ModuleType

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]
Block = tuple[Words, Words, Words, Words]

#: The streams whose positions and lags are counted.
STREAMS = (*COLUMNS, "errors")
# Loading numba takes as long as counting so many rows without it.
_MANY_ROWS = 1 << 26
#: Lags that are counted on packed words.
LAGS = (1, 2, 3, 4, 5, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Close:
    """What a close look at a block counts.

    ``ones`` (5, 64): ones of each stream at each position of the word.  Over all rows but the last
    word's, i being one of them: ``differ`` (5, lags) rows that differ from the one a lag later,
    ``first`` (5,) ones at i, ``second`` (5, lags) ones at i + lag.  ``rows`` are those of ``ones``,
    ``compared`` those of the rest.
    """

    ones: Counts
    differ: Counts
    first: Counts
    second: Counts
    rows: int
    compared: int


def errors_of(block: Block) -> Words:
    """Rows with equal bases and unequal bits."""
    a_basis, a_bit, b_basis, b_bit = block
    unequal = a_bit ^ b_bit
    sifted = ~(a_basis ^ b_basis)
    return unequal & sifted


def joint_counts(block: Block, words: int, compiled: ModuleType | None) -> Counts:
    """In each cell of so many words: rows at which all columns of a subset are 1.

    ``compiled`` is `compiled_functions`.  Subset m has Alice's basis if m & 8, her bit if m & 4, Bob's
    basis if m & 2, his bit if m & 1; the shape is (cells, 16), and subset 0 is left 0.
    """
    cells = -(-len(block[0]) // words)
    found = np.zeros((cells, 16), np.int64)
    if compiled is not None:
        compiled.joint(*block, words, found)
        return found
    for cell in range(cells):
        first = cell * words
        columns = [column[first : first + words] for column in block]
        _joint_of_cell(columns, found[cell])
    return found


def _joint_of_cell(columns: list[Words], found: Counts) -> None:
    """The same for one cell, by numpy."""
    all_ones: dict[int, Words] = {}
    for subset in range(1, 16):
        lowest = subset & -subset
        column = columns[3 - lowest.bit_length() + 1]
        rest = subset ^ lowest
        if rest:
            column = column & all_ones[rest]
        all_ones[subset] = column
        found[subset] = count_ones(column)


def outcome_counts(joint: Counts, rows: Counts | int) -> Counts:
    """The counts of the 16 outcomes, from those of `joint_counts`, of so many rows (last axis: 16).

    >>> joint = np.zeros(16, np.int64)
    >>> joint[[1, 2, 3]] = 5, 4, 3
    >>> outcome_counts(joint, 10)[:4].tolist()
    [4, 2, 1, 3]
    """
    counts = joint.copy()
    counts[..., 0] = rows
    numbers = np.arange(16)
    for place in (1, 2, 4, 8):
        without = numbers[numbers & place == 0]
        counts[..., without] -= counts[..., without | place]
    return counts


def close_look(block: Block, compiled: ModuleType | None) -> Close:
    """Positions and lags of a block of whole words, at least two of them."""
    streams = (*block, errors_of(block))
    words = len(block[0])
    ones = np.zeros((len(STREAMS), 64), np.int64)
    differ = np.zeros((len(STREAMS), len(LAGS)), np.int64)
    for number, stream in enumerate(streams):
        if compiled is not None:
            compiled.positions(stream, ones[number])
            compiled.lags(stream, differ[number])
        else:
            _positions(stream, ones[number])
            _lags(stream, differ[number])
    first = ones.sum(axis=1)
    second = np.zeros_like(differ)
    for number, stream in enumerate(streams):
        first[number] -= count_ones(stream[-1:])
        second[number] = _second(int(first[number]), stream)
    return Close(
        ones=ones,
        differ=differ,
        first=first,
        second=second,
        rows=64 * words,
        compared=64 * (words - 1),
    )


def _second(first: int, stream: Words) -> list[int]:
    """Ones among the later rows of the compared ones, for each lag."""
    head = int(stream[0])
    last = int(stream[-1])
    found = []
    for lag in LAGS:
        mask = (1 << lag) - 1
        left_out = (head & mask).bit_count()
        added = (last & mask).bit_count()
        found.append(first - left_out + added)
    return found


def _positions(stream: Words, found: Counts) -> None:
    octets = stream.view(np.uint8)
    bits = np.unpackbits(octets, bitorder="little")
    words = bits.reshape(-1, 64)
    found += words.sum(axis=0, dtype=np.int64)


def _lags(stream: Words, found: Counts) -> None:
    here = stream[:-1]
    there = stream[1:]
    for number, lag in enumerate(LAGS):
        later = here >> np.uint64(lag)
        later |= there << np.uint64(64 - lag)
        later ^= here
        found[number] += count_ones(later)


def compiled_for(rows: int) -> ModuleType | None:
    """The compiled functions, where there are so many rows that loading numba pays."""
    return compiled_functions() if rows >= _MANY_ROWS else None


@functools.cache
def compiled_functions() -> ModuleType | None:
    """The compiled functions, or None where numba is not installed; both count the same."""
    try:
        from . import compiled
    except ImportError:
        return None
    return compiled
