"""Measured pairs as an engine returns them, packed, and as people read them, unpacked.

Row order is global emission order: nothing is shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..errors import ConfigError
from . import bits
from .bits import U8
from .checks import breach_of_arrays
from .table import BITS, ColumnSpec, as_bytes

#: The four measured columns, in the order of ``Pairs.columns`` and of every checksum.
COLUMNS = tuple(column.name for column in BITS)

Extra = Mapping[str, NDArray[Any]]
_NOTHING: Extra = MappingProxyType({})

Z, X = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs registered by both sides, as packed columns.

    ``columns`` is uint8 of shape ``(4, bits.nbytes(count))`` in the order of `COLUMNS`, in little
    bit order with pad bits 0; bases are 0 = Z, 1 = X.  ``index`` (uint64, increasing) is each
    row's emission number, counted by an engine from 0 at its chunk's start; it is None where no
    pair can be lost.  ``time`` (float64, ns) is when the row was measured within the chunk's own
    simulation.  Clicks are emissions that a side registered, whether the other did or not.
    ``extra`` maps the names of columns that the engine declares to arrays of one value per row, in
    the order of the declaration: bool for bits, else of the declared type.
    """

    columns: U8
    count: int
    index: NDArray[np.uint64] | None = None
    time: NDArray[np.float64] | None = None
    alice_clicks: int = 0
    bob_clicks: int = 0
    duration_ns: float = 0.0
    extra: Extra = field(default_factory=dict)

    @property
    def alice_basis(self) -> U8:
        """Alice's bases, eight pairs per byte; 0 = Z, 1 = X."""
        return self._column(0)

    @property
    def alice_outcome(self) -> U8:
        """Alice's bits, eight pairs per byte."""
        return self._column(1)

    @property
    def bob_basis(self) -> U8:
        """Bob's bases, eight pairs per byte; 0 = Z, 1 = X."""
        return self._column(2)

    @property
    def bob_outcome(self) -> U8:
        """Bob's bits, eight pairs per byte."""
        return self._column(3)

    def _column(self, number: int) -> U8:
        column: U8 = self.columns[number]
        return column

    @property
    def beside(self) -> dict[str, NDArray[Any]]:
        """The columns beside the four by name, one value per row, in the order of the table."""
        found: dict[str, NDArray[Any]] = {}
        if self.index is not None:
            found["index"] = self.index
        if self.time is not None:
            found["time"] = self.time
        found.update(self.extra)
        return found

    @property
    def packed(self) -> U8:
        """All columns of bits as the file holds them: the four, then those that are declared."""
        declared = []
        for values in self.extra.values():
            if values.dtype == np.bool_:
                declared.append(bits.pack(values))
        if not declared:
            return self.columns
        return np.vstack([self.columns, *declared])

    @classmethod
    def of_table(
        cls,
        table: Sequence[ColumnSpec],
        packed: U8,
        count: int,
        numbers: Extra,
    ) -> Pairs:
        """Rows from all their columns of bits, packed as by `packed`, and from the others by name."""
        beside = dict(numbers)
        if len(packed) > len(COLUMNS):
            beside = {}
            declared = iter(packed[len(COLUMNS) :])
            for column in table[len(COLUMNS) :]:
                name = column.name
                if column.is_bit:
                    values = bits.unpack(next(declared), count)
                    beside[name] = values.view(np.bool_)
                else:
                    beside[name] = numbers[name]
        return cls.of_beside(packed[: len(COLUMNS)], count, beside)

    @classmethod
    def of_beside(cls, columns: U8, count: int, beside: dict[str, NDArray[Any]]) -> Pairs:
        """Rows from the four packed columns, and from those beside them by name."""
        index = beside.pop("index", None)
        time = beside.pop("time", None)
        return cls(
            columns,
            count,
            index,
            time,
            extra=beside,
        )

    def part(self, start: int, stop: int) -> Pairs:
        """Rows ``start`` to ``stop``, packed from bit 0; views where no bit has to move.

        Clicks and duration belong to the whole and are 0.
        """
        count = stop - start
        ends_in_byte = not stop & 7 or stop == self.count
        if not start & 7 and ends_in_byte:
            first = start >> 3
            end = bits.nbytes(stop)
            columns = self.columns[:, first:end]
        else:
            moved = [bits.extract(column, start, count) for column in self.columns]
            columns = np.stack(moved)
        beside = {}
        for name, values in self.beside.items():
            beside[name] = values[start:stop]
        return self.of_beside(columns, count, beside)

    def followed_by(self, other: Pairs) -> Pairs:
        """These rows and those of ``other``, which has the same columns."""
        whole = self.count >> 3
        lead = self.count & 7
        last: U8 | int = 0
        if lead:
            last = self.columns[:, whole]
        moved = bits.shift_in(other.columns, lead, last)
        columns = np.concatenate([self.columns[:, :whole], moved], axis=1)
        count = self.count + other.count
        size = bits.nbytes(count)
        theirs = other.beside
        beside = {}
        for name, own in self.beside.items():
            beside[name] = np.concatenate([own, theirs[name]])
        return self.of_beside(columns[:, :size], count, beside)

    def checksum(self) -> int:
        """XXH3-64 over the four packed columns, index, time, declared columns, in the order of the table."""
        digest = xxhash.xxh3_64()
        for column in self.columns:
            digest.update(np.ascontiguousarray(column).data)
        for values in self.beside.values():
            digest.update(as_bytes(values).data)
        return digest.intdigest()


class _Arrays(NamedTuple):
    alice_basis: U8
    alice_outcome: U8
    bob_basis: U8
    bob_outcome: U8
    index: NDArray[np.uint64] | None = None  # type: ignore[assignment]
    time: NDArray[np.float64] | None = None


class PairArrays(_Arrays):
    """Pairs unpacked: uint8 columns of 0 and 1, one value per row.

    ``index`` and ``time`` are as in `Pairs`, None where pairs have none.  ``extra`` maps the names of
    declared columns to their values (uint8 for bits); it is no item of the tuple, which has six.
    """

    extra: Extra = _NOTHING

    def _replace(self, **changes: Any) -> PairArrays:
        """The same pairs with other columns; ``extra``, declared ones by name, is one of them."""
        extra = changes.pop("extra", self.extra)
        arrays = super()._replace(**changes)
        if extra:
            arrays.extra = extra
        return arrays

    @classmethod
    def of(cls, columns: Extra) -> PairArrays:
        """Pairs from all of their columns by name; those that no pair has otherwise are declared ones."""
        own: dict[str, Any] = {}
        extra: dict[str, NDArray[Any]] = {}
        for name, values in columns.items():
            part = own if name in cls._fields else extra
            part[name] = values
        arrays = cls(**own)
        if extra:
            arrays.extra = extra
        return arrays

    @classmethod
    def unpacked(cls, pairs: Pairs) -> PairArrays:
        """The pairs of a block, one byte per bit."""
        found: dict[str, NDArray[Any]] = {}
        for name, column in zip(COLUMNS, pairs.columns, strict=True):
            found[name] = bits.unpack(column, pairs.count)
        for name, values in pairs.beside.items():
            found[name] = values.view(np.uint8) if values.dtype == np.bool_ else values
        return cls.of(found)

    def named(self) -> dict[str, NDArray[Any]]:
        """All columns that are there by name, in the order of the table."""
        found = {}
        for name, values in self._asdict().items():
            if values is not None:
                found[name] = values
        found.update(self.extra)
        return found

    def packed(self) -> Pairs:
        """The same pairs, eight rows per byte, without declared columns; clicks and duration are set to 0.

        Raises `ConfigError` where these are no pairs: it names the column, the row and the value.
        """
        sentence = breach_of_arrays(self)
        if sentence:
            raise ConfigError(f"these arrays are no pairs: {sentence}")
        columns = (
            self.alice_basis,
            self.alice_outcome,
            self.bob_basis,
            self.bob_outcome,
        )
        packed = [bits.pack(column) for column in columns]
        index = self.index
        time = self.time
        if index is not None:
            index = np.asarray(index).astype(np.uint64, copy=False)
        if time is not None:
            time = np.asarray(time).astype(np.float64, copy=False)
        return Pairs(
            np.stack(packed),
            len(self.alice_basis),
            index,
            time,
        )
