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
    borders = borders_of(file, chunks)
    return Source(file, plan, chunks, borders)


def no_tick() -> None:
    """Nobody waits to hear of progress."""


def count_part(source: Source, number: int, tick: Tick) -> Sums:
    """Count all rows of a part, while a disk fetches those of the next one."""
    plan, file = source.plan, source.file
    rows = plan.part(number)
    following = plan.part(number + 1)
    file.expect(following.start, following.stop)
    sums = Sums(first_cell=rows.start // plan.cell)
    cell_words = min(plan.cell, BLOCK_ROWS) // 64
    joints = []
    compiled = compiled_for(plan.rows)
    row = rows.start
    windows = Windows(source.borders, rows)
    blocks = file.blocks(
        BLOCK_ROWS,
        start=row,
        stop=rows.stop,
        verify=False,
        reuse=True,
    )
    for block_number, pairs in enumerate(blocks):
        block = words_of(pairs)
        joints.append(counting.joint_counts(block, cell_words, compiled))
        close = row // BLOCK_ROWS % plan.close == 0
        if close:
            _look_closely(block, pairs.count, sums, compiled)
        windows.take(block, row, block_number, close=close)
        _look_at_places(
            source,
            pairs,
            row,
            sums,
            close=close,
        )
        row += pairs.count
        tick()
    windows.add_to(sums, source.chunks)
    sums.joint = _cells(np.concatenate(joints), plan)
    return sums


def words_of(pairs: Pairs) -> Block:
    """The columns as 64-bit words, views where they are words already; the last one ends in zeros."""
    size = -(-pairs.count // 64) * 8
    columns = pairs.columns
    if columns.shape[1] != size or columns.strides[0] % 8:
        columns = np.zeros((len(pairs.columns), size), np.uint8)
        columns[:, : pairs.columns.shape[1]] = pairs.columns
    words = columns.view(np.uint64)
    if not words.flags.aligned:
        words = words.copy()
    a_basis, a_bit, b_basis, b_bit = words
    return a_basis, a_bit, b_basis, b_bit


def _cells(joint: counting.Counts, plan: Plan) -> counting.Counts:
    """Counts of blocks as counts of cells, where these are longer."""
    blocks = max(1, plan.cell // BLOCK_ROWS)
    firsts = np.arange(0, len(joint), blocks)
    return np.add.reduceat(joint, firsts, axis=0)


def _look_closely(
    block: Block,
    rows: int,
    sums: Sums,
    compiled: ModuleType | None,
) -> None:
    """Positions and lags, in the block's whole words."""
    whole = rows // 64
    if whole < 2:
        return
    a_basis, a_bit, b_basis, b_bit = (column[:whole] for column in block)
    whole_words = (a_basis, a_bit, b_basis, b_bit)
    sums.look(counting.close_look(whole_words, compiled))


# ── emissions and times ──────────────────────────────────────────────────────────────────────────


def _look_at_places(
    source: Source,
    pairs: Pairs,
    row: int,
    sums: Sums,
    *,
    close: bool,
) -> None:
    """Whether emissions and times are in order, and the distances between emissions."""
    if pairs.index is not None:
        index = pairs.index
        if row and source.file.index is not None:
            before = source.file.index[row - 1 : row]
            index = np.concatenate([before, index])
        first = row - (len(index) - pairs.count)
        _look_at_index(
            index,
            first,
            sums,
            close=close,
        )
    if pairs.time is not None:
        _look_at_time(
            source,
            pairs.time,
            row,
            sums,
        )


def _look_at_index(
    index: Words,
    row: int,
    sums: Sums,
    *,
    close: bool,
) -> None:
    rises = index[1:] > index[:-1]
    if sums.disorder < 0 and not rises.all():
        sums.disorder = row + 1 + int(np.argmin(rises))
    if not close:
        return
    gaps = (index[1:] - index[:-1])[rises]
    _, bits = np.frexp(gaps.astype(np.float64))
    bits = np.clip(bits - 1, 0, GAP_BITS - 1)
    sums.gaps += np.bincount(bits, minlength=GAP_BITS)


def _look_at_time(
    source: Source,
    time: NDArray[np.float64],
    row: int,
    sums: Sums,
) -> None:
    if sums.early >= 0:
        return
    if row and source.file.time is not None:
        before = source.file.time[row - 1 : row]
        time = np.concatenate([before, time])
        row -= 1
    falls = np.flatnonzero(~(time[1:] >= time[:-1])) + row + 1
    strange = np.flatnonzero(~np.isfinite(time)) + row
    chunks = source.chunks
    place = np.searchsorted(chunks.row, falls)
    last = len(chunks.row) - 1
    begun = chunks.row[np.minimum(place, last)]
    if source.plan.step == 1:
        falls = falls[begun != falls]
    elif len(falls) <= source.plan.chunks:
        falls = falls[:0]
    late = np.concatenate([falls, strange])
    if len(late):
        sums.early = int(late.min())
