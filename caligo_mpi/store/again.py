"""Columns that a file does not keep: its chunks are simulated again, and held against their records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import StoreError
from ..pairs import COLUMNS, ColumnSpec, Pairs, bits
from .info import RunInfo
from .layout import Layout
from .records import SPAN_ROWS, Records, batches, intact

#: Gives a chunk's pairs, with global emission numbers, from its number.
Simulate = Callable[[int], Pairs]

#: Makes that function for the run of a file; called when the first column is read.
Simulator = Callable[[RunInfo], Simulate]


class Again:
    """The chunks of one open file, simulated where they are asked for; the last one is kept."""

    def __init__(
        self,
        path: Path,
        layout: Layout,
        fd: int,
        simulator: Simulator | None,
    ) -> None:
        self._path = path
        self._layout = layout
        self._fd = fd
        self._simulator = simulator
        self._simulate: Simulate | None = None
        self._last: tuple[int, Pairs] | None = None

    def pieces(self, chunks: range) -> Iterator[tuple[int, Pairs]]:
        """First row and rows of these chunks, small ones together.

        Raises `StoreError` where there are only counts, a record is damaged, or a chunk comes out otherwise
        than it says.
        """
        info = self._layout.info
        require_bits(self._path, info, to="be read")
        some: list[Pairs] = []
        row = rows = 0
        for record in self._records(chunks):
            count = int(record["rows"])
            if not count:
                continue
            if some and rows + count > SPAN_ROWS:
                yield row, _joined(some, info.table)
                some = []
                rows = 0
            if not some:
                row = int(record["row"])
            some.append(self._chunk(record))
            rows += count
        if some:
            yield row, _joined(some, info.table)

    def _records(self, chunks: range) -> Iterator[Records]:
        for first, records in batches(self._fd, self._layout, chunks):
            good = intact(records, first, self._layout)
            for position, is_good in enumerate(good.tolist()):
                if not is_good:
                    raise StoreError(
                        f"{self._path}: chunk {first + position} is damaged (its record does not have its checksum); "
                        "restore the file from a copy or generate it anew"
                    )
                yield records[position]

    def _chunk(self, record: Records) -> Pairs:
        index = int(record["index"])
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        pairs = self._simulated(index)
        if not is_of(pairs, record):
            raise StoreError(
                f"{self._path}: chunk {index} was simulated again and does not have the checksum of its record; "
                "read it with the versions in its software_dependencies, or generate it anew"
            )
        self._last = index, _read_only(pairs)
        return pairs

    def _simulated(self, index: int) -> Pairs:
        if self._simulator is None:
            raise StoreError(
                f"{self._path} keeps records only (output.keep={self._layout.info.keep}); "
                "read it with caligo_mpi.open_pairs, which simulates its chunks again"
            )
        if self._simulate is None:
            self._simulate = self._simulator(self._layout.info)
        return self._simulate(index)


def is_of(pairs: Pairs, record: Records) -> bool:
    """Whether these are the pairs that a chunk's record was made of."""
    rows = int(record["rows"])
    checksum = int(record["checksum"])
    return pairs.count == rows and pairs.checksum() == checksum


def require_bits(path: Path, info: RunInfo, *, to: str) -> None:
    """Raise `StoreError` where a file has counts from their law only, and so no pairs to ``be read``."""
    if info.is_law:
        raise StoreError(
            f"{path} holds counts drawn from their law, not bits (output.keep=counts), so there are no pairs to {to}; "
            "generate them with output.keep=records or pairs"
        )


def _read_only(pairs: Pairs) -> Pairs:
    """The same pairs: whoever gets a view of them must not change what others will read."""
    for array in (pairs.columns, *pairs.beside.values()):
        array.flags.writeable = False
    return pairs


def writable(pairs: Pairs) -> Pairs:
    """A copy for whoever gets the rows: it is theirs to change, and compiled functions take no others."""
    beside = {name: values.copy() for name, values in pairs.beside.items()}
    return Pairs.of_beside(pairs.columns.copy(), pairs.count, beside)


def _joined(parts: list[Pairs], table: Sequence[ColumnSpec]) -> Pairs:
    """The rows of chunks one after the other."""
    if len(parts) == 1:
        return parts[0]
    counts = [part.count for part in parts]
    packed = [part.packed for part in parts]
    columns = []
    for column in zip(*packed, strict=True):
        whole = list(bits.joined(zip(column, counts, strict=True)))
        columns.append(np.concatenate(whole))
    named = [part.beside for part in parts]
    numbers = {}
    for spec in table[len(COLUMNS) :]:
        if not spec.is_bit:
            numbers[spec.name] = np.concatenate([values[spec.name] for values in named])
    return Pairs.of_table(
        table,
        np.stack(columns),
        sum(counts),
        numbers,
    )
