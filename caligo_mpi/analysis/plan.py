"""How a file is looked at: cells, parts for ranks, which rows closely, which chunks one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..store import PairsFile

#: Rows that are counted at a time: their columns stay in cache.
BLOCK_ROWS = 1 << 21

# Cells of a file, at most, and their rows at least.
_CELLS, _CELL_ROWS = 4096, 1 << 12
# Parts that ranks share, at most.
_PARTS = 64
# Rows that are looked at closely: all, or about so many in blocks over the whole file.
_CLOSE_ROWS = 1 << 28
# Chunks whose borders and beginnings are looked at, at most.
_CHUNKS = 1 << 20
# Rows of one Fourier transform, and how many transforms of a stream, at most.
_LONG_ROWS, _LONG_BLOCKS = 1 << 21, 1
# Records that are read at a time.
_RECORDS = 1 << 14


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked at, of a file of ``rows`` rows in ``chunks`` chunks.

    ``cell`` rows are counted together; every ``close``-th block of `BLOCK_ROWS` is looked at
    closely, every ``step``-th chunk one by one.  ``long`` are the first rows of the stretches of
    ``long_rows`` rows whose long lags are looked at, spread over the file.
    """

    rows: int
    chunks: int
    cell: int
    close: int
    step: int
    long: tuple[int, ...]
    long_rows: int

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return -(-self.rows // self.cell)

    @property
    def _unit(self) -> int:
        """Rows of which everything begins with a cell and with a block."""
        return max(self.cell, BLOCK_ROWS)

    @property
    def parts(self) -> int:
        """How many parts ranks share."""
        units = -(-self.rows // self._unit)
        return min(_PARTS, units)

    def part(self, number: int) -> range:
        """The rows of a part; none behind the last."""
        units = -(-self.rows // self._unit)
        first = number * units // self.parts * self._unit
        last = (number + 1) * units // self.parts * self._unit
        return range(self.rows)[first:last]


def plan_of(rows: int, chunks: int) -> Plan:
    """How to look at a file of this size.

    >>> plan = plan_of(10_000_000, 10)
    >>> plan.cell, plan.cells, plan.parts, plan.close, plan.part(1)
    (4096, 2442, 5, 1, range(2097152, 4194304))
    """
    least = max(_CELL_ROWS, -(-rows // _CELLS))
    cell = 1 << (least - 1).bit_length()
    long_rows = min(
        _LONG_ROWS,
        1 << max(rows.bit_length() - 1, 0),
    )
    blocks = max(1, min(_LONG_BLOCKS, rows // long_rows))
    room = rows - long_rows
    firsts = []
    for number in range(blocks):
        first = room * number // max(blocks - 1, 1)
        firsts.append(first // 64 * 64)
    return Plan(
        rows=rows,
        chunks=chunks,
        cell=cell,
        close=max(1, rows // _CLOSE_ROWS),
        step=-(-chunks // _CHUNKS) or 1,
        long=tuple(firsts),
        long_rows=long_rows,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """Where every ``step``-th chunk lies: its number, its first row, and how many rows it has."""

    number: NDArray[np.int64]
    row: NDArray[np.int64]
    rows: NDArray[np.int64]


def chunks_of(file: PairsFile, plan: Plan) -> Chunks:
    """The places of chunks, from the records where pairs can be lost."""
    number = np.arange(
        0,
        plan.chunks,
        plan.step,
        dtype=np.int64,
    )
    if not file.info.has_index:
        row = number * file.info.chunk_size
        return Chunks(
            number,
            row,
            np.minimum(plan.rows - row, file.info.chunk_size),
        )
    row, rows = np.empty_like(number), np.empty_like(number)
    for first in range(0, plan.chunks, _RECORDS):
        records = file.chunk_records(
            first,
            min(first + _RECORDS, plan.chunks),
        )
        some = records[-first % plan.step :: plan.step]
        at = -(-first // plan.step)
        end = at + len(some)
        row[at:end] = some["row"]
        rows[at:end] = some["rows"]
    return Chunks(number, row, rows)
