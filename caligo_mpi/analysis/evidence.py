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

#: Numbers of outcomes: Alice's basis, her bit, Bob's basis, his bit.
_NUMBER = np.arange(16)
A_BASIS, A_BIT, B_BASIS, B_BIT = (_NUMBER >> place & 1 == 1 for place in (3, 2, 1, 0))
SIFTED = A_BASIS == B_BASIS
UNEQUAL = A_BIT != B_BIT
SIFTED_Z, SIFTED_X = SIFTED & ~A_BASIS, SIFTED & A_BASIS
ERRORS_Z, ERRORS_X = SIFTED_Z & UNEQUAL, SIFTED_X & UNEQUAL


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
        rows = np.full(len(self.sums.joint), self.plan.cell, np.int64)
        if len(rows):
            rows[-1] = self.plan.rows - self.plan.cell * (len(rows) - 1)
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
        first = cell * self.plan.cell
        return first, min(first + self.plan.cell, self.plan.rows)

    def chunks_of(self, rows: tuple[int, int]) -> tuple[int, int]:
        """The first and the last chunk that have some of these rows."""
        if not self.has_index:
            return rows[0] // self.chunk_size, max(rows[1] - 1, rows[0]) // self.chunk_size
        first, last = np.searchsorted(self.chunks.row, [rows[0], rows[1] - 1], side="right") - 1
        number = self.chunks.number
        return int(number[max(first, 0)]), int(number[max(last, 0)])

    def place(self, rows: tuple[int, int]) -> str:
        """Rows and their chunks in words."""
        first, last = self.chunks_of(rows)
        chunk = f"chunk {first}" if first == last else f"chunks {first} to {last}"
        return f"{chunk}, rows {rows[0]:,} to {rows[1]:,}"
