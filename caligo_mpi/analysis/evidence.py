"""All that was counted of a file, in the forms in which checks need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .counting import Counts, outcome_counts
from .law import Law
from .long import LongLags
from .plan import Chunks, Plan
from .shifted import Shifted
from .sums import Sums
from .table import Table

# Numbers of outcomes: Alice's basis, her bit, Bob's basis, his bit.
_NUMBER = np.arange(16)
A_BASIS = _NUMBER & 8 > 0
A_BIT = _NUMBER & 4 > 0
B_BASIS = _NUMBER & 2 > 0
B_BIT = _NUMBER & 1 > 0
#: Which outcomes are sifted, which bits of them differ.
SIFTED = A_BASIS == B_BASIS
UNEQUAL = A_BIT != B_BIT
SIFTED_Z = SIFTED & ~A_BASIS
SIFTED_X = SIFTED & A_BASIS
ERRORS_Z = SIFTED_Z & UNEQUAL
ERRORS_X = SIFTED_X & UNEQUAL


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was counted, and the law that it is held against.

    ``long`` are the streams' long lags, ``shifted`` is the comparison of chunks; both may be missing.
    """

    plan: Plan
    chunk_size: int
    engine: str
    law: Law
    chunks: Chunks
    sums: Sums
    table: Table
    long: Sequence[LongLags] = ()
    shifted: Shifted | None = None
    has_index: bool = False
    has_time: bool = False

    @cached_property
    def cell_rows(self) -> Counts:
        """Rows of each cell."""
        cells = len(self.sums.joint)
        each = self.plan.cell
        rows = np.full(cells, each, np.int64)
        if cells:
            rows[-1] = self.plan.rows - each * (cells - 1)
        return rows

    @cached_property
    def cells(self) -> Counts:
        """Counts of the 16 outcomes in each cell."""
        return outcome_counts(self.sums.joint, self.cell_rows)

    @cached_property
    def outcomes(self) -> Counts:
        """Counts of the 16 outcomes."""
        sums: Counts = self.cells.sum(axis=0)
        return sums

    def count(self, which: NDArray[np.bool_]) -> int:
        """Rows with one of these outcomes."""
        return int(self.outcomes[which].sum())

    def along(self, which: NDArray[np.bool_]) -> Counts:
        """The same in each cell."""
        found: Counts = self.cells[:, which].sum(axis=1)
        return found

    def rows_of_cell(self, cell: int) -> tuple[int, int]:
        """Its first row, and the one behind its last."""
        rows = self.plan.cell
        first = cell * rows
        return first, min(first + rows, self.plan.rows)

    def chunks_of(self, rows: tuple[int, int]) -> tuple[int, int]:
        """The first and the last chunk that have some of these rows."""
        first, stop = rows
        if not self.has_index:
            last = max(stop - 1, first)
            return first // self.chunk_size, last // self.chunk_size
        ends = [first, stop - 1]
        places = np.searchsorted(self.chunks.row, ends, side="right") - 1
        low, high = self.chunks.number[np.maximum(places, 0)]
        return int(low), int(high)

    def place(self, rows: tuple[int, int]) -> str:
        """Rows and their chunks in words."""
        first, last = self.chunks_of(rows)
        begin, stop = rows
        chunks = f"chunk {first}"
        if last != first:
            chunks = f"chunks {first} to {last}"
        return f"{chunks}, rows {begin:,} to {stop:,}"
