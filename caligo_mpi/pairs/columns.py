"""Measured pairs as an engine returns them, packed, and as people read them, unpacked.

Row order is global emission order: nothing is shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from . import bits
from .bits import U8

#: The four measured columns, in the order of ``Pairs.columns`` and of every checksum.
COLUMNS = ("alice_basis", "alice_outcome", "bob_basis", "bob_outcome")

Z, X = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs registered by both sides, as packed columns.

    ``columns`` is uint8 of shape ``(4, bits.nbytes(count))`` in the order of `COLUMNS`,
    little bit order, pad bits 0; bases are 0 = Z, 1 = X.  ``index`` (uint64, increasing)
    is each row's emission number, absent where no pair can be lost; an engine counts
    from 0 at its chunk's start.  ``time`` (float64, ns) is the simulated time of the row within the
    chunk's own simulation.  Clicks are emissions a side registered, seen by the other or not.
    """

    columns: U8
    count: int
    index: NDArray[np.uint64] | None = None
    time: NDArray[np.float64] | None = None
    alice_clicks: int = 0
    bob_clicks: int = 0
    duration_ns: float = 0.0

    @property
    def alice_basis(self) -> U8:
        """Packed; 0 = Z, 1 = X."""
        return self._column(0)

    @property
    def alice_outcome(self) -> U8:
        """Packed."""
        return self._column(1)

    @property
    def bob_basis(self) -> U8:
        """Packed; 0 = Z, 1 = X."""
        return self._column(2)

    @property
    def bob_outcome(self) -> U8:
        """Packed."""
        return self._column(3)

    def _column(self, number: int) -> U8:
        column: U8 = self.columns[number]
        return column

    def checksum(self) -> int:
        """XXH3-64 over the packed columns in order, then index, then time (little-endian)."""
        digest = xxhash.xxh3_64()
        for column in self.columns:
            digest.update(np.ascontiguousarray(column).data)
        if self.index is not None:
            digest.update(np.ascontiguousarray(self.index, "<u8").view(np.uint8).data)
        if self.time is not None:
            digest.update(np.ascontiguousarray(self.time, "<f8").view(np.uint8).data)
        return digest.intdigest()


class PairArrays(NamedTuple):
    """Pairs unpacked: uint8 columns of 0 and 1, one value per row; index and time where pairs have them."""

    alice_basis: U8
    alice_outcome: U8
    bob_basis: U8
    bob_outcome: U8
    index: NDArray[np.uint64] | None = None  # type: ignore[assignment]
    time: NDArray[np.float64] | None = None

    @classmethod
    def unpacked(cls, pairs: Pairs) -> PairArrays:
        """The pairs of a block, one byte per bit."""
        a_basis, a_bit, b_basis, b_bit = (
            bits.unpack(column, pairs.count) for column in pairs.columns
        )
        return cls(a_basis, a_bit, b_basis, b_bit, pairs.index, pairs.time)

    def packed(self) -> Pairs:
        """The same pairs, eight rows per byte; clicks and duration are not known any more and 0."""
        columns = (self.alice_basis, self.alice_outcome, self.bob_basis, self.bob_outcome)
        packed = np.stack([bits.pack(column) for column in columns])
        return Pairs(packed, len(self.alice_basis), self.index, self.time)
