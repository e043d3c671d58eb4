"""The rows at borders of chunks and of the engine's blocks, and at the beginnings of chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..store import PairsFile
from . import counting
from .counting import Block, Words
from .law import engine_bounds
from .plan import BLOCK_ROWS, Chunks
from .sums import BORDERS, Sums

#: Rows of a border, and of a chunk's beginning that its fingerprint is of.
WINDOW = 64
# Odd factors that mix the four columns of a window into one word.
_MIX = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0xD6E8FEB86659FD93,
)

Rows = NDArray[np.int64]


def borders_of(file: PairsFile, chunks: Chunks) -> tuple[Rows, ...]:
    """The first rows of all windows to be looked at, in order, for each of `sums.BORDERS`."""
    some = chunks.rows >= WINDOW
    begin = chunks.row[some]
    rows = chunks.rows[some]
    longest = int(chunks.rows.max(initial=0))
    inner = [np.zeros(0, np.int64)]
    for bound in engine_bounds(file.info, longest):
        has_it = rows >= bound + WINDOW
        inner.append(begin[has_it] + bound)
    bounds = np.sort(np.concatenate(inner))
    ends = begin + rows - WINDOW
    return begin, ends, bounds, bounds - WINDOW


class Windows:
    """Collects the windows of one part of a file, block after block."""

    def __init__(self, borders: Sequence[Rows], part: range) -> None:
        edges = np.arange(part.start, part.stop, BLOCK_ROWS)
        self.borders = borders
        self._cuts = [_cuts(border, edges) for border in borders]
        self._found: list[list[list[Words]]] = [[] for _ in BORDERS]
        self._begins: list[Rows] = []

    def take(
        self,
        block: Block,
        row: int,
        number: int,
        *,
        close: bool,
    ) -> None:
        """Take those of block ``number``, which begins at ``row``.

        Where it is not looked at closely, the engine's blocks are left out.
        """
        kinds = len(self.borders) if close else 2
        for kind in range(kinds):
            first, last = self._cuts[kind][number]
            if first == last:
                continue
            rows = self.borders[kind][first:last]
            windows = windows_at(block, rows - row)
            self._found[kind].append(windows)
            if kind == 0:
                self._begins.append(rows)

    def add_to(self, sums: Sums, chunks: Chunks) -> None:
        """Count what was taken."""
        for kind, found in enumerate(self._found):
            if not found:
                continue
            by_column = zip(*found, strict=True)
            columns = [np.concatenate(parts) for parts in by_column]
            sums.borders[kind] += _outcomes(columns)
            if kind == 0:
                sums.marks = self._marks(columns, chunks)

    def _marks(self, columns: list[Words], chunks: Chunks) -> Words:
        """Numbers of the chunks that begin here, and fingerprints of their first rows."""
        begins = np.concatenate(self._begins)
        which = np.searchsorted(chunks.row, begins, side="right") - 1
        numbers = chunks.number[which].astype(np.uint64)
        prints = fingerprints(columns)
        return np.stack([numbers, prints], axis=1)


def _cuts(border: Rows, edges: Rows) -> list[tuple[int, int]]:
    """For each block, which of the sorted windows lie in it as a whole."""
    last_begins = edges + BLOCK_ROWS - WINDOW
    firsts = np.searchsorted(border, edges)
    lasts = np.searchsorted(border, last_begins, side="right")
    lasts = np.maximum(firsts, lasts)
    cuts = np.stack([firsts, lasts], axis=1)
    return [(first, last) for first, last in cuts.tolist()]


def windows_at(block: Block, rows: NDArray[np.int64]) -> list[Words]:
    """The 64 rows from each of ``rows`` on, a word per column."""
    word = rows >> 6
    shift = (rows & 63).astype(np.uint64)
    if not shift.any():
        return [column[word] for column in block]
    last = len(block[0]) - 1
    after = np.minimum(word + 1, last)
    # A shift by 64 is void, so it is taken in two steps.
    almost = np.uint64(63) - shift
    windows = []
    for column in block:
        low = column[word] >> shift
        high = column[after] << almost << np.uint64(1)
        windows.append(low | high)
    return windows


def fingerprints(windows: list[Words]) -> Words:
    """A word for each window, equal for equal rows; 64 rows have far more randomness than that."""
    mixed = np.zeros(len(windows[0]), np.uint64)
    for column, factor in zip(windows, _MIX, strict=True):
        mixed ^= column
        mixed *= np.uint64(factor)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _outcomes(windows: list[Words]) -> counting.Counts:
    """The 16 outcomes of all rows of the windows."""
    words = len(windows[0])
    if not words:
        return np.zeros(16, np.int64)
    a_basis, a_bit, b_basis, b_bit = windows
    block = (a_basis, a_bit, b_basis, b_bit)
    (joint,) = counting.joint_counts(block, words, None)
    return counting.outcome_counts(joint, WINDOW * words)
