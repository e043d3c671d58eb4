"""Ranks that write their chunks' columns into the partial file themselves.

Where each column begins is fixed when the file is made, and no HDF5 handle is open while a run goes on, so any
process may write raw bytes there.  Two never write the same byte: a rank writes the whole bytes of its chunk, and
rank 0 those in which a chunk begins or ends in the middle, when it commits the chunk.  What is written before its
record is never looked at, and comes out the same when it is written again.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..pairs import ChunkResult, ColumnSpec, Pairs, bits
from ..pairs.bits import U8
from ..pairs.table import as_bytes
from .files import write_at


@dataclass(frozen=True, slots=True)
class Places:
    """Where in the partial file a launch's chunks go; sent to every rank.

    ``launch`` are bytes of the file that only this launch has written, and where.  Chunks from ``begin`` on are written
    by their ranks; the first of them begins at ``row``.  With ``sync`` each is on the disk before its rank says so.
    """

    part: Path
    launch: tuple[int, bytes]
    columns: tuple[tuple[ColumnSpec, int], ...]
    capacity: int
    begin: int
    row: int
    sync: bool

    def open(self) -> ColumnWriter | None:
        """The file, to be written to; None where it cannot be opened here, or is another one."""
        try:
            fd = os.open(self.part, os.O_RDWR)
        except OSError:
            return None
        writer = ColumnWriter(fd, self)
        return writer if writer.is_right() else None


class ColumnWriter:
    """One rank's writing into the columns of the partial file."""

    def __init__(self, fd: int, places: Places) -> None:
        self._fd, self._places = fd, places
        weakref.finalize(self, os.close, fd)
        self._bits = [start for column, start in places.columns if column.is_bit]
        self._numbers = [(c, start) for c, start in places.columns if not c.is_bit]

    def is_right(self) -> bool:
        """Whether this is the file that rank 0 has open, and not one of the same name on another disk."""
        start, expected = self._places.launch
        try:
            return os.pread(self._fd, len(expected), start) == expected
        except OSError:
            return False

    def write(self, result: ChunkResult, row: int) -> ChunkResult:
        """Write a chunk's columns from ``row`` on; the result then says that they are there.

        What cannot be written is returned as it is, for rank 0 to try, and to say what is wrong.
        """
        pairs = result.pairs
        if pairs is None or row + pairs.count > self._places.capacity:
            return result
        try:
            edges = self._write_bits(pairs, row)
            for column, start in self._numbers:
                values = as_bytes(pairs.beside[column.name])
                write_at(self._fd, values, start + column.kind.itemsize * row)
            if self._places.sync:
                os.fdatasync(self._fd)
        except OSError:
            return result
        record = result.record.copy()
        record["row"] = row
        return ChunkResult(record, None, edges)

    def _write_bits(self, pairs: Pairs, row: int) -> U8:
        """Write whole bytes; returns the bits in the others."""
        edges = np.zeros((len(self._bits), 2), np.uint8)
        if not pairs.count:
            return edges
        lead, end = row & 7, row + pairs.count
        size = bits.nbytes(lead + pairs.count)
        moved = bits.shift_in(pairs.packed, lead)[:, :size]
        first, last = int(lead > 0), size - int(end & 7 > 0)
        if first:
            edges[:, 0] = moved[:, 0]
        if last >= first and last < size:
            edges[:, 1] = moved[:, -1]
        for start, column in zip(self._bits, moved, strict=True):
            whole = np.ascontiguousarray(column[first:last])
            write_at(self._fd, whole, start + (row >> 3) + first)
        return edges
