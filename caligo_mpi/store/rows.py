"""Writing rows: at the end of the columns, at any bit offset, or over damaged ones."""

from __future__ import annotations

import numpy as np

from ..pairs import CHUNK_DTYPE, ColumnSpec, Pairs, bits
from ..pairs.bits import U8
from ..pairs.table import as_bytes
from .files import copy_bytes, read_at, write_at
from .layout import FAULT_DTYPE, OVERFLOW_DTYPE, RUN_DTYPE, TABLE_ROWS, Layout, place
from .metrics import METRICS_DTYPE

# Small chunks are gathered: a write of 128 KiB costs little more than one of 128 bytes.
_STAGE_ROWS = 1 << 20


class RowWriter:
    """The end of a file's columns; ``row`` is the next row.  What was added is in the file after `flush`."""

    def __init__(self, fd: int, layout: Layout, row: int) -> None:
        self.row = row
        self._fd = fd
        self._bits: list[int] = []
        self._numbers: list[tuple[ColumnSpec, int]] = []
        for column in layout.info.stored:
            start = layout.offsets[place(column)]
            if column.is_bit:
                self._bits.append(start)
            else:
                self._numbers.append((column, start))
        stage_bytes = bits.nbytes(_STAGE_ROWS) + 1
        self._stage = np.zeros((len(self._bits), stage_bytes), np.uint8)
        self._staged: list[Pairs] = []
        self._stage_row = row
        # The bits of the last, partly filled byte of each column; the next append writes that byte again.
        self._last = self._no_bits()
        if row & 7 and layout.info.has_columns:
            self._last = self._bytes_at(row >> 3)

    def skip(self, rows: int) -> None:
        """Count rows of a file without columns."""
        self.row += rows

    def add(self, pairs: Pairs) -> None:
        """Append rows; small ones are gathered in memory."""
        end = self.row + pairs.count
        stage_end = (self._stage_row & ~7) + _STAGE_ROWS
        if end > stage_end:
            self.flush()
        lead = self.row & 7
        size = bits.nbytes(lead + pairs.count)
        shifted = bits.shift_in(pairs.packed, lead, self._last)
        shifted = shifted[:, :size]
        if pairs.count > _STAGE_ROWS - 8:
            self._write(shifted, self.row)
            self._write_numbers([pairs], self.row)
            self._stage_row = end
        else:
            at = (self.row >> 3) - (self._stage_row >> 3)
            self._stage[:, at : at + size] = shifted
            self._staged.append(pairs)
        self.row = end
        self._last = self._no_bits()
        if end & 7:
            self._last = shifted[:, -1].copy()

    def add_written(self, rows: int, edges: U8) -> None:
        """Append rows that their rank has written, but for the ``edges``: see `ChunkResult`."""
        if not rows:
            return
        self.flush()
        lead = self.row & 7
        end = self.row + rows
        last = edges[:, 1]
        if lead:
            kept = np.uint8((1 << lead) - 1)
            first = self._last & kept | edges[:, 0]
            self._write(first[:, None], self.row)
            if end >> 3 == self.row >> 3:
                last = first
        self._last = self._no_bits()
        if end & 7:
            self._write(last[:, None], end)
            self._last = last.copy()
        self.row = self._stage_row = end

    def flush(self) -> None:
        """Hand everything added to the operating system."""
        if self._staged:
            size = bits.nbytes(self.row) - (self._stage_row >> 3)
            self._write(self._stage[:, :size], self._stage_row)
            self._write_numbers(self._staged, self._stage_row)
            self._staged.clear()
        self._stage_row = self.row

    def rewrite(self, pairs: Pairs, row: int) -> None:
        """Write rows where they stood; their neighbors' bits in shared bytes stay."""
        if pairs.count:
            bytes_ = self._with_neighbors(pairs, row)
            self._write(bytes_, row)
            self._write_numbers([pairs], row)
        if self.row & 7:
            self._last = self._bytes_at(self.row >> 3)

    def _with_neighbors(self, pairs: Pairs, row: int) -> U8:
        """The bytes of rows that stand from ``row`` on, with the file's bits before and behind them."""
        end = row + pairs.count
        lead = row & 7
        size = bits.nbytes(lead + pairs.count)
        before = self._bytes_at(row >> 3)
        shifted = bits.shift_in(pairs.packed, lead, before).copy()
        shifted = shifted[:, :size]
        used = end & 7
        if used:
            above = np.uint8(0xFF & -1 << used)
            behind = self._bytes_at(end >> 3)
            shifted[:, -1] |= behind & above
        return shifted

    def _bytes_at(self, byte: int) -> U8:
        found = np.empty((len(self._bits), 1), np.uint8)
        for start, byte_of in zip(self._bits, found, strict=True):
            read_at(self._fd, byte_of, start + byte)
        return found[:, 0]

    def _write(self, columns: U8, row: int) -> None:
        byte = row >> 3
        for start, column in zip(self._bits, columns, strict=True):
            whole = np.ascontiguousarray(column)
            write_at(self._fd, whole, start + byte)

    def _write_numbers(self, parts: list[Pairs], row: int) -> None:
        """Write the columns that are no bits."""
        if not self._numbers:
            return
        named = [part.beside for part in parts]
        for column, start in self._numbers:
            columns = [values[column.name] for values in named]
            values = np.concatenate(columns)
            at = start + column.kind.itemsize * row
            write_at(self._fd, as_bytes(values), at)

    def _no_bits(self) -> U8:
        return np.zeros(len(self._bits), np.uint8)


def copy_rows(
    source: int,
    layout: Layout,
    target: int,
    to: Layout,
    rows: int,
) -> None:
    """Copy the first ``rows`` rows of one file to another, the pad bits behind them cleared.

    There is nothing to do where the files have no columns.
    """
    for column in layout.info.stored:
        old = layout.offsets[place(column)]
        new = to.offsets[place(column)]
        size = column.items(rows) * column.shown.itemsize
        copy_bytes(
            source,
            target,
            at=old,
            to=new,
            size=size,
        )
        if column.is_bit and rows & 7:
            last = np.empty(1, np.uint8)
            at = new + (rows >> 3)
            read_at(target, last, at)
            bits.clear_padding(last, rows & 7)
            write_at(target, last, at)


def copy_tables(
    source: int,
    layout: Layout,
    target: int,
    to: Layout,
    chunks: int,
) -> None:
    """Copy the first ``chunks`` records and the tables of launches, faults and ranks."""
    sizes = {
        "chunks": chunks * CHUNK_DTYPE.itemsize,
        "runs": TABLE_ROWS * RUN_DTYPE.itemsize,
        "faults": TABLE_ROWS * FAULT_DTYPE.itemsize,
        "overflow": OVERFLOW_DTYPE.itemsize,
    }
    if 0 < layout.info.metrics <= to.info.metrics:
        sizes["metrics"] = layout.info.metrics * METRICS_DTYPE.itemsize
    for name, size in sizes.items():
        copy_bytes(
            source,
            target,
            at=layout.offsets[name],
            to=to.offsets[name],
            size=size,
        )
