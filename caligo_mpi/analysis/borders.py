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
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)

Rows = NDArray[np.int64]


def borders_of(file: PairsFile, chunks: Chunks) -> tuple[Rows, ...]:
    """The first rows of all windows to be looked at, in order, for each of `sums.BORDERS`."""
    some = chunks.rows >= WINDOW
    begin = chunks.row[some]
    end = begin + chunks.rows[some]
    longest = int(chunks.rows.max(initial=0))
    inner = [np.zeros(0, np.int64)]
    for bound in engine_bounds(file.info, longest):
        inner.append(begin[end - begin >= bound + WINDOW] + bound)
    bounds = np.sort(np.concatenate(inner))
    return begin, end - WINDOW, bounds, bounds - WINDOW


class Windows:
    """Collects the windows of one part of a file, block after block."""

    def __init__(self, borders: Sequence[Rows], part: range) -> None:
        edges = np.arange(part.start, part.stop, BLOCK_ROWS)
        self.borders = borders
        self._cuts = [_cuts(border, edges) for border in borders]
        self._found: list[list[list[Words]]] = [[] for _ in BORDERS]
        self._begins: list[Rows] = []

    def take(self, block: Block, row: int, number: int, *, close: bool) -> None:
        """Take those of block ``number``, which begins at ``row``.

        Where it is not looked at closely, the engine's blocks are left out.
        """
        for kind, border in enumerate(self.borders[: None if close else 2]):
            first, last = self._cuts[kind][number]
            if first < last:
                rows = border[first:last]
                self._found[kind].append(windows_at(block, rows - row))
                if kind == 0:
                    self._begins.append(rows)

    def add_to(self, sums: Sums, chunks: Chunks) -> None:
        """Count what was taken."""
        for kind, found in enumerate(self._found):
            if not found:
                continue
            columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
            sums.borders[kind] += _outcomes(columns)
            if kind == 0:
                begins = np.concatenate(self._begins)
                which = np.searchsorted(chunks.row, begins, side="right") - 1
                numbers = chunks.number[which].astype(np.uint64)
                sums.marks = np.stack([numbers, fingerprints(columns)], axis=1)


def _cuts(border: Rows, edges: Rows) -> list[tuple[int, int]]:
    """For each block, which of the sorted windows lie in it as a whole."""
    firsts = np.searchsorted(border, edges)
    lasts = np.searchsorted(border, edges + BLOCK_ROWS - WINDOW, side="right")
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def windows_at(block: Block, rows: NDArray[np.int64]) -> list[Words]:
    """The 64 rows from each of ``rows`` on, a word per column."""
    word = rows >> 6
    shift = (rows & 63).astype(np.uint64)
    if not shift.any():
        return [column[word] for column in block]
    after = np.minimum(word + 1, len(block[0]) - 1)
    windows = []
    for column in block:
        # A shift by 64 is void, so it is taken in two steps.
        high = (column[after] << (np.uint64(63) - shift)) << np.uint64(1)
        windows.append(column[word] >> shift | high)
    return windows


def fingerprints(windows: list[Words]) -> Words:
    """A word for each window, equal for equal rows; 64 rows have far more randomness than that."""
    mixed = np.zeros(len(windows[0]), np.uint64)
    for column, factor in zip(windows, _MIX, strict=True):
        mixed = (mixed ^ column) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _outcomes(windows: list[Words]) -> counting.Counts:
    """The 16 outcomes of all rows of the windows."""
    if not len(windows[0]):
        return np.zeros(16, np.int64)
    a_basis, a_bit, b_basis, b_bit = (np.ascontiguousarray(column) for column in windows)
    joint = counting.joint_counts((a_basis, a_bit, b_basis, b_bit), len(a_basis), None)[0]
    return counting.outcome_counts(joint, WINDOW * len(a_basis))
