"""Measured pairs as an engine returns them, packed, and as people read them, unpacked.

Row order is global emission order: nothing is shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..errors import ConfigError
from . import bits
from .bits import U8
from .checks import breach_of_arrays

#: The four measured columns, in the order of ``Pairs.columns`` and of every checksum.
COLUMNS = ("alice_basis", "alice_outcome", "bob_basis", "bob_outcome")

Z, X = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs registered by both sides, as packed columns.

    ``columns`` is uint8 of shape ``(4, bits.nbytes(count))`` in the order of `COLUMNS`, in little
    bit order with pad bits 0; bases are 0 = Z, 1 = X.  ``index`` (uint64, increasing) is each
    row's emission number, counted by an engine from 0 at its chunk's start; it is None where no
    pair can be lost.  ``time`` (float64, ns) is when the row was measured within the chunk's own
    simulation.  Clicks are emissions that a side registered, whether the other did or not.
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
            index = np.ascontiguousarray(self.index, "<u8")
            digest.update(index.view(np.uint8).data)
        if self.time is not None:
            time = np.ascontiguousarray(self.time, "<f8")
            digest.update(time.view(np.uint8).data)
        return digest.intdigest()


class PairArrays(NamedTuple):
    """Pairs unpacked: uint8 columns of 0 and 1, one value per row.

    ``index`` and ``time`` are as in `Pairs`, None where pairs have none.
    """

    alice_basis: U8
    alice_outcome: U8
    bob_basis: U8
    bob_outcome: U8
    index: NDArray[np.uint64] | None = None  # type: ignore[assignment]
    time: NDArray[np.float64] | None = None

    @classmethod
    def unpacked(cls, pairs: Pairs) -> PairArrays:
        """The pairs of a block, one byte per bit."""
        unpacked = [bits.unpack(column, pairs.count) for column in pairs.columns]
        a_basis, a_bit, b_basis, b_bit = unpacked
        return cls(a_basis, a_bit, b_basis, b_bit, pairs.index, pairs.time)

    def packed(self) -> Pairs:
        """The same pairs, eight rows per byte; clicks and duration are not known and set to 0.

        Raises `ConfigError` where these are no pairs: it names the column, the row and the value.
        """
        sentence = breach_of_arrays(self)
        if sentence:
            raise ConfigError(f"these arrays are no pairs: {sentence}")
        columns = (self.alice_basis, self.alice_outcome, self.bob_basis, self.bob_outcome)
        packed = np.stack([bits.pack(column) for column in columns])
        index = self.index
        time = self.time
        if index is not None:
            index = np.asarray(index).astype(np.uint64, copy=False)
        if time is not None:
            time = np.asarray(time).astype(np.float64, copy=False)
        return Pairs(packed, len(self.alice_basis), index, time)
