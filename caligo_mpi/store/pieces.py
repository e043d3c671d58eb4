"""The rows of an open pairs file, in the pieces in which they are read, verified or simulated again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..pairs import ColumnSpec, Pairs, bits
from ..pairs.bits import U8
from .again import Again, Simulator, writable
from .layout import Layout
from .records import (
    SPAN_ROWS,
    Records,
    bit_columns,
    damaged,
    end_of,
    read_rows,
    scan,
    spans,
)

_RESTORE = "restore the file from a copy or generate it anew"
_RESUME = "resume the run to redo it"


class Pieces:
    """The readable chunks of one open file: ``chunks`` of them, with ``rows`` rows."""

    def __init__(
        self,
        path: Path,
        layout: Layout,
        fd: int,
        simulator: Simulator | None = None,
    ) -> None:
        self._path = path
        self._layout = layout
        self._fd = fd
        self._again = Again(path, layout, fd, simulator)
        self.chunks = len(layout.info.partition)
        self.rows = layout.rows
        if not layout.data_digest:
            state = scan(fd, layout)
            self.chunks = state.holes[0] if state.holes else state.next
            self.rows = self.first_row(self.chunks)

    def pieces(
        self,
        start: int,
        stop: int,
        *,
        verify: bool,
        reuse: bool = False,
        span: int = SPAN_ROWS,
    ) -> Iterator[Pairs]:
        """Rows ``start`` to ``stop`` in pieces as they are read, of ``span`` rows where none are verified.

        With ``reuse`` each is valid until the next one.
        """
        if not self._layout.info.has_columns:
            yield from map(writable, self.simulated(start, stop))
        elif not verify:
            rows = range(start, stop, span)
            yield from _unverified(
                self._fd,
                self._layout,
                rows,
                reuse=reuse,
            )
        elif start < stop:
            chunks = self._chunks_of(start, stop)
            for records, pairs in self._verified(chunks, reuse=reuse):
                row = int(records["row"][0])
                yield _between(pairs, start - row, stop - row)

    def simulated(self, start: int, stop: int) -> Iterator[Pairs]:
        """The same where the file keeps records only."""
        if start < stop:
            chunks = self._chunks_of(start, stop)
            for row, pairs in self._again.pieces(chunks):
                yield _between(pairs, start - row, stop - row)

    def _chunks_of(self, start: int, stop: int) -> range:
        """The chunks that hold the rows ``start`` to ``stop``."""
        first = self._chunk_of(start)
        last = self._chunk_of(stop - 1)
        return range(first, last + 1)

    def simulated_bits(self, spec: ColumnSpec, start: int, stop: int) -> U8:
        """A column of bits, packed from bit 0."""
        packed = [column for column in self._layout.info.table if column.is_bit]
        number = packed.index(spec)
        simulated = self.simulated(start, stop)
        parts = ((part.packed[number], part.count) for part in simulated)
        nothing = np.empty(0, np.uint8)
        return np.concatenate([nothing, *bits.joined(parts)])

    def simulated_numbers(self, spec: ColumnSpec, start: int, stop: int) -> NDArray[Any]:
        """A column of numbers, one value per row."""
        found = [np.empty(0, spec.kind)]
        for part in self.simulated(start, stop):
            found.append(part.beside[spec.name])
        return np.concatenate(found)

    def _verified(self, chunks: range, *, reuse: bool) -> Iterator[tuple[Records, Pairs]]:
        due = chunks.start
        found = spans(self._fd, self._layout, chunks, reuse=reuse)
        for records, pairs in found:
            if int(records["index"][0]) != due:
                break
            for position in damaged(records, pairs):
                what = _stored_otherwise(records[position])
                raise self._damage(due + position, what)
            due += len(records)
            yield records, pairs
        if due != chunks.stop:
            raise self._damage(due, "its record does not have its checksum")

    def _chunk_of(self, row: int) -> int:
        """The chunk that holds ``row``: the last one that begins at or before it and is not empty there."""
        if not self._layout.info.has_index:
            return row // self._layout.info.chunk_size
        low = 0
        high = self.chunks
        while high - low > 1:
            middle = (low + high) // 2
            if self.first_row(middle) <= row:
                low = middle
            else:
                high = middle
        return low

    def first_row(self, chunk: int) -> int:
        """The row at which ``chunk`` begins; the number of rows for the one behind the last."""
        return end_of(self._fd, self._layout, chunk - 1)

    def _damage(self, chunk: int, what: str) -> StoreError:
        remedy = _RESTORE if self._layout.data_digest else _RESUME
        return StoreError(f"{self._path}: chunk {chunk} is damaged ({what}); {remedy}")


def _between(pairs: Pairs, start: int, stop: int) -> Pairs:
    """Those of the rows that are from ``start`` to ``stop``, which may reach beyond them."""
    return pairs.part(max(0, start), min(pairs.count, stop))


def _unverified(
    fd: int,
    layout: Layout,
    rows: range,
    *,
    reuse: bool,
) -> Iterator[Pairs]:
    """The rows as they are on the disk, a step at a time; with ``reuse`` all pieces share one buffer."""
    buffer: U8 | None = None
    if reuse:
        # A byte more would do; with a word more every column begins at a whole word.
        size = bits.nbytes(rows.step) // 8 * 8 + 16
        buffer = np.empty((bit_columns(layout), size), np.uint8)
    for row in rows:
        count = min(rows.step, rows.stop - row)
        yield read_rows(fd, layout, row, count, buffer=buffer)


def _stored_otherwise(record: Any) -> str:
    first = int(record["row"])
    stop = first + int(record["rows"])
    return f"rows {first} to {stop} do not have the stored checksum"


def regroup(pieces: Iterator[Pairs], rows: int) -> Iterator[Pairs]:
    """The same rows in blocks of ``rows``."""
    rest: Pairs | None = None
    for piece in pieces:
        begin = 0
        if rest is not None:
            begin = min(rows - rest.count, piece.count)
            rest = rest.followed_by(piece.part(0, begin))
            if rest.count < rows:
                continue
            yield rest
        end = begin + (piece.count - begin) // rows * rows
        for at in range(begin, end, rows):
            yield piece.part(at, at + rows)
        rest = _kept(piece.part(end, piece.count)) if end < piece.count else None
    if rest is not None:
        yield rest


def _kept(pairs: Pairs) -> Pairs:
    """The same rows, also when the buffer that they were read into is used again."""
    return replace(pairs, columns=pairs.columns.copy())
