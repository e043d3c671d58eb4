"""Ranks that write their chunks' columns into the partial file themselves.

Where each column begins is fixed when the file is made, and no HDF5 handle is open while a run goes on, so any
process may write raw bytes there.  Two never write the same byte: a rank writes the whole bytes of its chunk, and
rank 0 those in which a chunk begins or ends in the middle, when it commits the chunk.  What is written before its
record is never looked at, and comes out the same when it is written again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..pairs import ChunkResult, ColumnSpec, Pairs, bits
from ..pairs.bits import U8
from ..pairs.table import as_bytes
from .files import write_at
from .stream import BlockWriter, Stream


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
        self._fd = fd
        self._places = places
        self._blocks = BlockWriter(fd)
        self._bits = [start for column, start in places.columns if column.is_bit]
        self._numbers = [place for place in places.columns if not place[0].is_bit]

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
        if pairs is None or not self.fits(row, pairs.count):
            return result
        try:
            edges = self._write_bits(pairs, row)
            self._write_numbers(pairs, row)
            self.sync()
        except OSError:
            return result
        return _written(result, row, edges)

    def _write_numbers(self, pairs: Pairs, row: int) -> None:
        if not self._numbers:
            return
        beside = pairs.beside
        for column, start in self._numbers:
            values = as_bytes(beside[column.name])
            at = start + column.kind.itemsize * row
            write_at(self._fd, values, at)

    def stream(self, row: int) -> Stream:
        """What writes a lossless chunk from ``row`` on, the first of a byte, while it is simulated."""
        return Stream(self._blocks, [start + (row >> 3) for start in self._bits])

    def finish(self, result: ChunkResult, row: int) -> ChunkResult | None:
        """The record of a chunk that a stream has written, once that is where it is to be; None if it cannot be."""
        try:
            self.sync()
        except OSError:
            return None
        edges = np.zeros((len(self._bits), 2), np.uint8)
        return _written(result, row, edges)

    def sync(self) -> None:
        """Press everything to the disk, where that is wanted."""
        if self._places.sync:
            os.fdatasync(self._fd)

    def fits(self, row: int, rows: int) -> bool:
        """Whether there is room for the rows."""
        return row + rows <= self._places.capacity

    def _write_bits(self, pairs: Pairs, row: int) -> U8:
        """Write whole bytes; returns the bits in the others."""
        edges = np.zeros((len(self._bits), 2), np.uint8)
        if not pairs.count:
            return edges
        lead = row & 7
        end = row + pairs.count
        size = bits.nbytes(lead + pairs.count)
        moved = bits.shift_in(pairs.packed, lead)
        moved = moved[:, :size]
        first = 1 if lead else 0
        last = size - 1 if end & 7 else size
        if first:
            edges[:, 0] = moved[:, 0]
        if first <= last < size:
            edges[:, 1] = moved[:, -1]
        at = (row >> 3) + first
        for start, column in zip(self._bits, moved, strict=True):
            whole = np.ascontiguousarray(column[first:last])
            write_at(self._fd, whole, start + at)
        return edges


def _written(result: ChunkResult, row: int, edges: U8) -> ChunkResult:
    record = result.record.copy()
    record["row"] = row
    return ChunkResult(record, None, edges)
