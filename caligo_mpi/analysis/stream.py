"""One pass over a part of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pairs import Pairs, Tick
from ..store import PairsFile
from . import counting
from .counting import Block, Words, compiled_functions
from .law import engine_bounds
from .plan import BLOCK_ROWS, Chunks, Plan, chunks_of
from .sums import GAP_BITS, Sums

#: Rows of a border, and of a chunk's beginning that its fingerprint is of.
WINDOW = 64
# Odd factors that mix the four columns of a window into one word.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An open file, how to look at it, where its chunks are.

    ``borders`` are the first rows of all windows to be looked at, for each of `sums.BORDERS`.
    """

    file: PairsFile
    plan: Plan
    chunks: Chunks
    borders: Sequence[NDArray[np.int64]]


def source_of(file: PairsFile, plan: Plan) -> Source:
    """The source of an open file."""
    chunks = chunks_of(file, plan)
    some = chunks.rows >= WINDOW
    begin = chunks.row[some]
    end = begin + chunks.rows[some]
    longest = int(chunks.rows.max(initial=0))
    inner = [np.zeros(0, np.int64)]
    for bound in engine_bounds(file.info, longest):
        inner.append(begin[end - begin >= bound + WINDOW] + bound)
    bounds = np.sort(np.concatenate(inner))
    return Source(file, plan, chunks, (begin, end - WINDOW, bounds, bounds - WINDOW))


def count_part(source: Source, number: int, tick: Tick) -> Sums:
    """Count all rows of a part."""
    plan, file = source.plan, source.file
    part = plan.part(number)
    sums = Sums(first_cell=part.start // plan.cell)
    cell_words = min(plan.cell, BLOCK_ROWS) // 64
    joints = []
    row = part.start
    blocks = file.blocks(BLOCK_ROWS, start=part.start, stop=part.stop, verify=False, reuse=True)
    for pairs in blocks:
        block = words_of(pairs)
        joints.append(counting.joint_counts(block, cell_words, compiled_functions()))
        close = row // BLOCK_ROWS % plan.close == 0
        if close:
            _look_closely(block, pairs.count, sums)
        _look_at_borders(source, block, range(row, row + pairs.count), sums, close=close)
        _look_at_places(source, pairs, row, sums, close=close)
        row += pairs.count
        tick()
    sums.joint = _cells(np.concatenate(joints), plan)
    return sums


def words_of(pairs: Pairs) -> Block:
    """The columns as 64-bit words, views where they are words already; the last one ends in zeros."""
    size = -(-pairs.count // 64) * 8
    columns = [_words(column, size) for column in pairs.columns]
    a_basis, a_bit, b_basis, b_bit = columns
    return a_basis, a_bit, b_basis, b_bit


def _words(column: NDArray[np.uint8], size: int) -> Words:
    aligned = column.ctypes.data % 8 == 0 and column.flags.c_contiguous
    if len(column) == size and aligned:
        return column.view(np.uint64)
    whole = np.zeros(size, np.uint8)
    whole[: len(column)] = column
    return whole.view(np.uint64)


def _cells(joint: counting.Counts, plan: Plan) -> counting.Counts:
    """Counts of blocks as counts of cells, where these are longer."""
    blocks = max(1, plan.cell // BLOCK_ROWS)
    firsts = np.arange(0, len(joint), blocks)
    return np.add.reduceat(joint, firsts, axis=0)


def _look_closely(block: Block, rows: int, sums: Sums) -> None:
    """Positions and lags, in the block's whole words."""
    whole = rows // 64
    if whole < 2:
        return
    a_basis, a_bit, b_basis, b_bit = (column[:whole] for column in block)
    whole_words = (a_basis, a_bit, b_basis, b_bit)
    sums.look(counting.close_look(whole_words, compiled_functions()))


# ── chunks ───────────────────────────────────────────────────────────────────────────────────────


def _look_at_borders(source: Source, block: Block, rows: range, sums: Sums, *, close: bool) -> None:
    """Outcomes at the borders of chunks and of the engine's blocks, and fingerprints of chunks."""
    kinds = source.borders if close else source.borders[:2]
    inside = []
    for border in kinds:
        last = rows.stop - WINDOW + 1
        inside.append(slice(*np.searchsorted(border, [rows.start, last]).tolist()))
    wanted = [border[part] for border, part in zip(kinds, inside, strict=True)]
    if not sum(map(len, wanted)):
        return
    windows = windows_at(block, np.concatenate(wanted) - rows.start)
    first = 0
    for kind, places in enumerate(wanted):
        own = [column[first : first + len(places)] for column in windows]
        sums.borders[kind] += _outcomes(own)
        if kind == 0:
            which = np.searchsorted(source.chunks.row, places, side="right") - 1
            numbers = source.chunks.number[which].astype(np.uint64)
            marks = np.stack([numbers, fingerprints(own)], axis=1)
            sums.marks = np.concatenate([sums.marks, marks])
        first += len(places)


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


# ── emissions and times ──────────────────────────────────────────────────────────────────────────


def _look_at_places(source: Source, pairs: Pairs, row: int, sums: Sums, *, close: bool) -> None:
    """Whether emissions and times are in order, and the distances between emissions."""
    if pairs.index is not None:
        index = pairs.index
        if row and source.file.index is not None:
            index = np.concatenate([source.file.index[row - 1 : row], index])
        _look_at_index(index, row - (len(index) - pairs.count), sums, close=close)
    if pairs.time is not None:
        _look_at_time(source, pairs.time, row, sums)


def _look_at_index(index: Words, row: int, sums: Sums, *, close: bool) -> None:
    rises = index[1:] > index[:-1]
    if sums.disorder < 0 and not rises.all():
        sums.disorder = row + 1 + int(np.argmin(rises))
    if not close:
        return
    gaps = (index[1:] - index[:-1])[rises]
    _, bits = np.frexp(gaps.astype(np.float64))
    sums.gaps += np.bincount(np.clip(bits - 1, 0, GAP_BITS - 1), minlength=GAP_BITS)


def _look_at_time(source: Source, time: NDArray[np.float64], row: int, sums: Sums) -> None:
    if sums.early >= 0:
        return
    if row and source.file.time is not None:
        time = np.concatenate([source.file.time[row - 1 : row], time])
        row -= 1
    falls = np.flatnonzero(~(time[1:] >= time[:-1])) + row + 1
    strange = np.flatnonzero(~np.isfinite(time)) + row
    chunks = source.chunks
    begun = chunks.row[np.minimum(np.searchsorted(chunks.row, falls), len(chunks.row) - 1)]
    if source.plan.step == 1:
        falls = falls[begun != falls]
    elif len(falls) <= source.plan.chunks:
        falls = falls[:0]
    late = np.concatenate([falls, strange])
    if len(late):
        sums.early = int(late.min())
