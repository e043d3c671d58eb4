"""Reading pairs files, finished or running: whole chunks are checked as they are read."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs import ColumnSpec, PairArrays, Pairs, Tally, bits, tally
from ..pairs.bits import U8
from . import layout as layouts
from .about import About
from .again import Simulator
from .closing import Closing
from .column import Column
from .files import read_at
from .frames import Frames
from .layout import Layout, place
from .names import input_name
from .pieces import Pieces, regroup
from .records import (
    SPAN_ROWS,
    expect_rows,
    read_numbers,
    table_digest,
)

_BLOCK_ROWS = 1 << 22
_CACHED_ROWS = 1 << 16
_HASH_BYTES = 1 << 22


class PairsFile(About, Frames, Closing):
    """An open pairs file, finished, or partial: then its committed beginning.  A context manager.

    ``rows`` are the rows that can be read, ``complete`` says whether they are all.  Where it keeps records only,
    ``simulator`` gives the columns.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        fd: int,
        simulator: Simulator | None = None,
    ) -> None:
        self._pieces = Pieces(path, layout, fd, simulator)
        self._simulator = simulator
        self._layout = layout
        self._fd = fd
        self.path = path
        self.info = layout.info
        self.data_digest = layout.data_digest
        self.complete = bool(layout.data_digest)
        self.rows = self._pieces.rows

    def close(self) -> None:
        """Close the file; what was read stays valid."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def reopened(self) -> PairsFile:
        """The file of this name opened anew; what it says about itself is read again only if it is not as it was."""
        fd, layout = layouts.reopen(self.path, self._layout)
        return _opened(self.path, layout, fd, self._simulator)

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
        """The basis that Alice measured in: 0 = Z, 1 = X."""
        return self["alice_basis"]

    @property
    def alice_outcome(self) -> Column:
        """The bit that Alice measured."""
        return self["alice_outcome"]

    @property
    def bob_basis(self) -> Column:
        """The basis that Bob measured in: 0 = Z, 1 = X."""
        return self["bob_basis"]

    @property
    def bob_outcome(self) -> Column:
        """The bit that Bob measured."""
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
            return self._pieces.simulated_bits(spec, start, stop)
        lead = start & 7
        count = stop - start
        raw = np.empty(bits.nbytes(lead + count), np.uint8)
        first = self._layout.offsets[place(spec)]
        read_at(self._fd, raw, first + (start >> 3))
        return bits.extract(raw, lead, count)

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
        pieces = self._pieces.pieces(
            start,
            stop,
            verify=verify,
            reuse=reuse,
            span=span,
        )
        return regroup(pieces, rows)

    def expect(self, start: int, stop: int) -> None:
        """Say that these rows will be read soon: a disk fetches them while the program does other things."""
        start, stop = self._limits(start, stop)
        if self.info.has_columns:
            expect_rows(self._fd, self._layout, start, stop - start)

    def tally(self, *, verify: bool = True) -> Tally:
        """Sift and count errors over all rows, on the packed columns.

        Without ``verify`` the counts of a file that keeps records only are those of its records.  Counts drawn from
        their law are as they are.
        """
        if self.info.is_law or (not verify and not self.info.has_columns):
            counts = [int(self.total(field.name)) for field in fields(Tally)]
            return Tally(*counts)
        pieces = self._pieces.pieces(0, self.rows, verify=verify, reuse=True)
        if not self.info.has_columns:
            pieces = self._pieces.simulated(0, self.rows)
        found = Tally()
        for piece in pieces:
            found += tally(piece.columns, piece.count)
        return found

    def digest_fits(self) -> bool:
        """Whether the records of a finished file are those its data digest was made of; reads no pairs."""
        return self.complete and table_digest(self._fd, self._layout) == self.data_digest

    def _column(self, spec: ColumnSpec) -> Column:
        return Column(self.rows, functools.partial(self._values, spec), spec)

    def _values(self, spec: ColumnSpec, start: int, stop: int) -> NDArray[Any]:
        count = stop - start
        if spec.is_bit:
            packed = self.packed(spec.name, start, stop)
            return bits.unpack(packed, count)
        if not self.info.has_columns:
            return self._pieces.simulated_numbers(spec, start, stop)
        return read_numbers(
            self._fd,
            self._layout,
            spec,
            start,
            count,
        )

    def _limits(self, start: int, stop: int | None) -> tuple[int, int]:
        wanted = range(self.rows)[start:stop]
        return wanted.start, max(wanted.start, wanted.stop)


def open_pairs(path: str | os.PathLike[str], *, simulator: Simulator | None = None) -> PairsFile:
    """Open a pairs file to read; a partial one under its own name (``.part``), while its run goes on or not.

    ``simulator`` gives the columns of a file that keeps records only; `caligo_mpi.open_pairs` has one.
    Raises `StoreError` where the file is missing, not a pairs file, truncated, or of another major version.
    """
    path = input_name(path)
    fd, layout = layouts.read_open(path)
    return _opened(path, layout, fd, simulator)


def _opened(
    path: Path,
    layout: Layout,
    fd: int,
    simulator: Simulator | None,
) -> PairsFile:
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
        columns = {}
        for spec in file.info.table:
            columns[spec.name] = np.empty(stop - start, spec.shown)
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
