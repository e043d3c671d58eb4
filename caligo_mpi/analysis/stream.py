"""One pass over a part of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..pairs import Pairs, Tick
from ..store import PairsFile
from . import counting
from .borders import Windows, borders_of
from .counting import Block, Words, compiled_for
from .plan import BLOCK_ROWS, Chunks, Plan, chunks_of
from .sums import GAP_BITS, Sums


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
    return Source(file, plan, chunks, borders_of(file, chunks))


def count_part(source: Source, number: int, tick: Tick) -> Sums:
    """Count all rows of a part."""
    plan, file = source.plan, source.file
    part = plan.part(number)
    sums = Sums(first_cell=part.start // plan.cell)
    cell_words = min(plan.cell, BLOCK_ROWS) // 64
    joints = []
    compiled = compiled_for(plan.rows)
    row = part.start
    windows = Windows(source.borders, part)
    blocks = file.blocks(BLOCK_ROWS, start=part.start, stop=part.stop, verify=False, reuse=True)
    for pairs in blocks:
        block = words_of(pairs)
        joints.append(counting.joint_counts(block, cell_words, compiled))
        close = row // BLOCK_ROWS % plan.close == 0
        if close:
            _look_closely(block, pairs.count, sums, compiled)
        number = (row - part.start) // BLOCK_ROWS
        windows.take(block, row, number, close=close)
        _look_at_places(source, pairs, row, sums, close=close)
        row += pairs.count
        tick()
    windows.add_to(sums, source.chunks)
    sums.joint = _cells(np.concatenate(joints), plan)
    return sums


def words_of(pairs: Pairs) -> Block:
    """The columns as 64-bit words, views where they are words already; the last one ends in zeros."""
    size = -(-pairs.count // 64) * 8
    columns = [_words(column, size) for column in pairs.columns]
    a_basis, a_bit, b_basis, b_bit = columns
    return a_basis, a_bit, b_basis, b_bit


def _words(column: NDArray[np.uint8], size: int) -> Words:
    if len(column) == size and column.flags.c_contiguous:
        words = column.view(np.uint64)
        if words.flags.aligned:
            return words
    whole = np.zeros(size, np.uint8)
    whole[: len(column)] = column
    return whole.view(np.uint64)


def _cells(joint: counting.Counts, plan: Plan) -> counting.Counts:
    """Counts of blocks as counts of cells, where these are longer."""
    blocks = max(1, plan.cell // BLOCK_ROWS)
    firsts = np.arange(0, len(joint), blocks)
    return np.add.reduceat(joint, firsts, axis=0)


def _look_closely(block: Block, rows: int, sums: Sums, compiled: ModuleType | None) -> None:
    """Positions and lags, in the block's whole words."""
    whole = rows // 64
    if whole < 2:
        return
    a_basis, a_bit, b_basis, b_bit = (column[:whole] for column in block)
    whole_words = (a_basis, a_bit, b_basis, b_bit)
    sums.look(counting.close_look(whole_words, compiled))


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
