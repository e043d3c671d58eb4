"""Reading pairs files, finished or running: whole chunks are checked as they are read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..pairs import ColumnSpec, PairArrays, Pairs, Tally, bits, tally
from ..pairs.bits import U8
from ..pairs.stopping import DECISION_DTYPE
from . import layout as layouts
from .again import Again, Simulator, writable
from .files import read_at
from .frames import Frames
from .layout import TABLE_ROWS, TABLES, Layout, RunInfo, place
from .names import input_name
from .records import (
    SPAN_ROWS,
    Records,
    batches,
    bit_columns,
    damaged,
    read_numbers,
    read_records,
    read_rows,
    scan,
    spans,
    table_digest,
)

_BLOCK_ROWS = 1 << 22
_CACHED_ROWS = 1 << 16
_HASH_BYTES = 1 << 22
_RESTORE = "restore the file from a copy or generate it anew"
_RESUME = "resume the run to redo it"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an open file: ``column[a:b]`` is an array (uint8 0 and 1 for bits), ``column[i]`` one value.

    ``name``, ``dtype``, ``unit``, ``description`` and ``flags`` (value to meaning) say what it holds.
    Slices come straight from the disk; only `PairsFile.blocks` and `read_pairs` verify checksums.  Where the file keeps
    records only, the chunks that hold them are simulated again, and verified.
    """

    rows: int
    read: Callable[[int, int], NDArray[Any]]
    spec: ColumnSpec

    @property
    def name(self) -> str:
        """Its name in the file."""
        return self.spec.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values that are read; uint8 for bits."""
        return self.spec.shown

    @property
    def unit(self) -> str:
        """Its physical unit; empty where it has none."""
        return self.spec.unit

    @property
    def description(self) -> str:
        """What it is, in words."""
        return self.spec.description

    @property
    def flags(self) -> Mapping[int, str]:
        """What each value means; empty where values are numbers."""
        return self.spec.flags

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, item: int | slice) -> Any:
        """Read one row or a slice of rows."""
        if not isinstance(item, slice):
            row = range(self.rows)[item]
            return self.read(row, row + 1)[0]
        wanted = range(self.rows)[item]
        if not wanted:
            return self.read(0, 0)
        low = min(wanted)
        values = self.read(low, max(wanted) + 1)
        return values[wanted.start - low :: wanted.step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole column in memory."""
        return np.asarray(self[:], dtype)


class PairsFile(Frames):
    """An open pairs file, finished, or partial: then its committed beginning.  A context manager.

    ``rows`` are the rows that can be read, ``complete`` says whether they are all.  Where it keeps records only,
    ``simulator`` gives the columns.
    """

    def __init__(
        self, path: Path, layout: Layout, fd: int, simulator: Simulator | None = None
    ) -> None:
        self._again = Again(path, layout, fd, simulator)
        self.path, self._layout, self._fd = path, layout, fd
        self.info: RunInfo = layout.info
        self.data_digest = layout.data_digest
        self.complete = bool(layout.data_digest)
        self._chunks, self.rows = len(layout.info.partition), layout.rows
        if not self.complete:
            state = scan(fd, layout)
            self._chunks = state.holes[0] if state.holes else state.next
            self.rows = self._first_row(self._chunks)

    def __enter__(self) -> PairsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays valid."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def pairs(self) -> int:
        """Emissions of the whole run."""
        return self.info.pairs

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return cast("dict[str, Any]", json.loads(self.info.config))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.info.seed

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self.info.engine

    @property
    def digest(self) -> str:
        """Of the configuration: of everything that changes bits."""
        return self.info.config_digest

    @property
    def outcome_counts(self) -> NDArray[np.uint64] | None:
        """Counts by Alice's basis, Bob's basis, Alice's and Bob's outcome, shape (2, 2, 2, 2); law, not bits.

        None in files of pairs.
        """
        if not self.info.is_law:
            return None
        return np.array(self.info.outcome_counts, np.uint64).reshape(2, 2, 2, 2)

    @property
    def chunks(self) -> Records:
        """The records of the readable chunks (`pairs.CHUNK_DTYPE`), all in memory."""
        return read_records(self._fd, self._layout, 0, self._chunks)

    def chunk_records(self, start: int, stop: int) -> Records:
        """The records of the readable chunks ``start`` to ``stop``: a run may have more than memory holds."""
        wanted = range(self._chunks)[start:stop]
        return read_records(self._fd, self._layout, wanted.start, max(wanted.start, wanted.stop))

    @property
    def chunk_count(self) -> int:
        """How many chunks can be read."""
        return self._chunks

    def total(self, name: str) -> float:
        """The sum of a column of `chunks`, some records at a time; a float holds it exactly up to 2^53."""
        parts = batches(self._fd, self._layout, range(self._chunks))
        return math.fsum(float(records[name].sum()) for _, records in parts)

    @property
    def runs(self) -> NDArray[Any]:
        """One row per launch that wrote to the file."""
        return read_table(self._fd, self._layout, "runs")

    @property
    def faults(self) -> NDArray[Any]:
        """One row per fault."""
        return read_table(self._fd, self._layout, "faults")

    @property
    def decisions(self) -> NDArray[np.void]:
        """How the interval narrowed in a run with ``until``, a row per decision (`stopping.DECISION_DTYPE`).

        Empty before the run has stopped, and in other files.
        """
        rows = np.zeros(self.info.decisions, DECISION_DTYPE)
        if len(rows):
            read_at(self._fd, rows, self._layout.offsets["decisions"])
        return rows

    @property
    def until(self) -> dict[str, Any] | None:
        """By which goal the run stopped, where, and the estimate; None before, and in other files."""
        return cast("dict[str, Any]", json.loads(self.info.until)) if self.info.until else None

    @property
    def columns(self) -> dict[str, Column]:
        """All columns by name, those that the engine declares included, in the order of every checksum."""
        return {spec.name: self._column(spec) for spec in self.info.table}

    def __getitem__(self, name: str) -> Column:
        """The column of this name; `KeyError` where the file has none."""
        for spec in self.info.table:
            if spec.name == name:
                return self._column(spec)
        known = ", ".join(spec.name for spec in self.info.table)
        raise KeyError(f"{self.path} has no column {name!r}; it has {known}")

    @property
    def alice_basis(self) -> Column:
        """0 = Z, 1 = X."""
        return self["alice_basis"]

    @property
    def alice_outcome(self) -> Column:
        """Alice's measured bit."""
        return self["alice_outcome"]

    @property
    def bob_basis(self) -> Column:
        """0 = Z, 1 = X."""
        return self["bob_basis"]

    @property
    def bob_outcome(self) -> Column:
        """Bob's measured bit."""
        return self["bob_outcome"]

    @property
    def index(self) -> Column | None:
        """Emission number of each row (uint64); None where no pair can be lost and it is the row's own number."""
        return self.columns.get("index")

    @property
    def time(self) -> Column | None:
        """Simulated time within the row's chunk (float64, ns); None where the engine does not simulate time."""
        return self.columns.get("time")

    def packed(self, name: str, start: int = 0, stop: int | None = None) -> U8:
        """Rows ``start`` to ``stop`` of a column of bits, eight per byte from bit 0, pad bits 0; not verified."""
        spec = self[name].spec
        if not spec.is_bit:
            raise ValueError(f"column {name} holds no bits; read file[{name!r}][{start}:{stop}]")
        start, stop = self._limits(start, stop)
        if not self.info.has_columns:
            number = [column.name for column in self.info.table if column.is_bit].index(name)
            parts = ((part.packed[number], part.count) for part in self._simulated(start, stop))
            return np.concatenate([np.empty(0, np.uint8), *bits.joined(parts)])
        raw = np.empty(bits.nbytes((start & 7) + stop - start), np.uint8)
        read_at(self._fd, raw, self._layout.offsets[place(spec)] + (start >> 3))
        return bits.extract(raw, start & 7, stop - start)

    def blocks(
        self,
        rows: int = _BLOCK_ROWS,
        *,
        start: int = 0,
        stop: int | None = None,
        verify: bool = True,
        reuse: bool = False,
    ) -> Iterator[Pairs]:
        """Rows ``start`` to ``stop`` as packed `Pairs` of ``rows`` rows each, the last one shorter.

        With ``verify`` whole chunks are read and `StoreError` names the first damaged one before any of its rows.
        With ``reuse`` a block's columns are valid only until the next one, which is faster.
        """
        if rows < 1:
            raise ValueError(f"rows={rows} must be at least 1")
        start, stop = self._limits(start, stop)
        # Small blocks in a buffer of their size stay in the processor's cache.
        span = rows if reuse and _CACHED_ROWS <= rows < SPAN_ROWS else SPAN_ROWS
        pieces = self._pieces(start, stop, verify=verify, reuse=reuse, span=span)
        return _regroup(pieces, rows)

    def tally(self, *, verify: bool = True) -> Tally:
        """Sift and count errors over all rows, on the packed columns.

        Without ``verify`` the counts of a file that keeps records only are those of its records.  Counts drawn from
        their law are as they are.
        """
        if self.info.is_law or (not verify and not self.info.has_columns):
            return Tally(*(int(self.total(field.name)) for field in fields(Tally)))
        pieces = self._pieces(0, self.rows, verify=verify, reuse=True)
        if not self.info.has_columns:
            pieces = self._simulated(0, self.rows)
        return sum((tally(piece.columns, piece.count) for piece in pieces), Tally())

    def digest_fits(self) -> bool:
        """Whether the records of a finished file are those its data digest was made of; reads no pairs."""
        return self.complete and table_digest(self._fd, self._layout) == self.data_digest

    def _column(self, spec: ColumnSpec) -> Column:
        def read(start: int, stop: int) -> NDArray[Any]:
            if spec.is_bit:
                packed = self.packed(spec.name, start, stop)
                return bits.unpack(packed, stop - start)
            if not self.info.has_columns:
                found = [part.beside[spec.name] for part in self._simulated(start, stop)]
                return np.concatenate([np.empty(0, spec.kind), *found])
            return read_numbers(self._fd, self._layout, spec, start, stop - start)

        return Column(self.rows, read, spec)

    def _limits(self, start: int, stop: int | None) -> tuple[int, int]:
        wanted = range(self.rows)[start:stop]
        return wanted.start, max(wanted.start, wanted.stop)

    def _pieces(
        self, start: int, stop: int, *, verify: bool, reuse: bool = False, span: int = SPAN_ROWS
    ) -> Iterator[Pairs]:
        """Rows ``start`` to ``stop`` in pieces as they are read, of ``span`` rows where none are verified.

        With ``reuse`` each is valid until the next one.
        """
        if not self.info.has_columns:
            yield from map(writable, self._simulated(start, stop))
        elif not verify:
            rows = range(start, stop, span)
            yield from _unverified(self._fd, self._layout, rows, reuse=reuse)
        elif start < stop:
            chunks = range(self._chunk_of(start), self._chunk_of(stop - 1) + 1)
            for records, pairs in self._verified(chunks, reuse=reuse):
                row = int(records["row"][0])
                yield pairs.part(max(0, start - row), min(pairs.count, stop - row))

    def _simulated(self, start: int, stop: int) -> Iterator[Pairs]:
        """The same where the file keeps records only."""
        if start < stop:
            chunks = range(self._chunk_of(start), self._chunk_of(stop - 1) + 1)
            for row, pairs in self._again.pieces(chunks):
                yield pairs.part(max(0, start - row), min(pairs.count, stop - row))

    def _verified(self, chunks: range, *, reuse: bool) -> Iterator[tuple[Records, Pairs]]:
        due = chunks.start
        for records, pairs in spans(self._fd, self._layout, chunks, reuse=reuse):
            if int(records["index"][0]) != due:
                break
            for position in damaged(records, pairs):
                what = _stored_otherwise(records[position])
                raise _damage(self, due + position, what)
            due += len(records)
            yield records, pairs
        if due != chunks.stop:
            raise _damage(self, due, "its record does not have its checksum")

    def _chunk_of(self, row: int) -> int:
        """The chunk that holds ``row``: the last one that begins at or before it and is not empty there."""
        if not self.info.has_index:
            return row // self.info.chunk_size
        low, high = 0, self._chunks
        while high - low > 1:
            middle = (low + high) // 2
            if self._first_row(middle) <= row:
                low = middle
            else:
                high = middle
        return low

    def _first_row(self, chunk: int) -> int:
        """The row at which ``chunk`` begins; the number of rows for the one behind the last."""
        if chunk == 0:
            return 0
        before = read_records(self._fd, self._layout, chunk - 1, chunk)[0]
        return int(before["row"] + before["rows"])


def _unverified(fd: int, layout: Layout, rows: range, *, reuse: bool) -> Iterator[Pairs]:
    """The rows as they are on the disk, a step at a time; with ``reuse`` all pieces share one buffer."""
    buffer: U8 | None = None
    if reuse:
        # A byte more would do; with a word more every column begins at a whole word.
        size = bits.nbytes(rows.step) // 8 * 8 + 16
        buffer = np.empty((bit_columns(layout), size), np.uint8)
    for row in rows:
        count = min(rows.step, rows.stop - row)
        yield read_rows(fd, layout, row, count, buffer=buffer)


def _damage(file: PairsFile, chunk: int, what: str) -> StoreError:
    remedy = _RESTORE if file.complete else _RESUME
    return StoreError(f"{file.path}: chunk {chunk} is damaged ({what}); {remedy}")


def _stored_otherwise(record: Any) -> str:
    first = int(record["row"])
    stop = first + int(record["rows"])
    return f"rows {first} to {stop} do not have the stored checksum"


def _regroup(pieces: Iterator[Pairs], rows: int) -> Iterator[Pairs]:
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


def open_pairs(path: str | os.PathLike[str], *, simulator: Simulator | None = None) -> PairsFile:
    """Open a pairs file to read; a partial one under its own name (``.part``), while its run goes on or not.

    ``simulator`` gives the columns of a file that keeps records only; `caligo_mpi.open_pairs` has one.
    Raises `StoreError` where the file is missing, not a pairs file, truncated, or of another major version.
    """
    path = input_name(path)
    fd, layout = layouts.read_open(path)
    try:
        return PairsFile(path, layout, fd, simulator)
    except BaseException:
        os.close(fd)
        raise


def read_pairs(
    path: str | os.PathLike[str],
    start: int = 0,
    stop: int | None = None,
    *,
    verify: bool = True,
    simulator: Simulator | None = None,
) -> PairArrays:
    """Rows ``start`` to ``stop`` as plain arrays; one byte per bit, so 1e9 rows take 4 GB.

    With ``verify`` the chunks that hold them are read whole and `StoreError` names a damaged one; ``simulator`` is as
    for `open_pairs`.
    """
    with open_pairs(path, simulator=simulator) as file:
        start, stop = file._limits(start, stop)
        columns = {spec.name: np.empty(stop - start, spec.shown) for spec in file.info.table}
        at = 0
        for block in file.blocks(start=start, stop=stop, verify=verify):
            end = at + block.count
            for name, values in PairArrays.unpacked(block).named().items():
                columns[name][at:end] = values
            at = end
    return PairArrays.of(columns)


def pairs_hash(path: str | os.PathLike[str], *, simulator: Simulator | None = None) -> str:
    """SHA-256 over the rows' raw bytes in ``/pairs``, column after column: a second identity, without records."""
    digest = hashlib.sha256()
    with open_pairs(path, simulator=simulator) as file:
        for name, column in file.columns.items():
            is_bit = column.spec.is_bit
            step = 8 * _HASH_BYTES if is_bit else _HASH_BYTES
            for start in range(0, file.rows, step):
                stop = min(file.rows, start + step)
                values = file.packed(name, start, stop) if is_bit else column[start:stop]
                digest.update(values.data)
    return digest.hexdigest()


def read_table(fd: int, layout: Layout, name: str) -> NDArray[Any]:
    """The used rows of ``/runs`` or ``/faults``."""
    kind, mark = TABLES[name]
    table = np.empty(TABLE_ROWS, kind)
    read_at(fd, table, layout.offsets[name])
    return table[: np.count_nonzero(table[mark])]
