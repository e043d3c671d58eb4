"""Sifted pairs and errors, counted on packed columns."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..machine.wording import counted
from . import bits
from .bits import U8


@dataclass(frozen=True, slots=True)
class Tally:
    """Sifted pairs (equal bases) and errors (unequal outcomes among them), per basis."""

    sifted_z: int = 0
    errors_z: int = 0
    sifted_x: int = 0
    errors_x: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.sifted_z + other.sifted_z,
            self.errors_z + other.errors_z,
            self.sifted_x + other.sifted_x,
            self.errors_x + other.errors_x,
        )


@dataclass(frozen=True, slots=True)
class Summed:
    """What a record says of pairs that are not kept: their `tally`, and `Pairs.checksum` of them."""

    tally: Tally
    checksum: int


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How often each outcome came, drawn from its law: no pairs stand behind it.

    ``counts`` are sixteen, by Alice's basis, Bob's basis, Alice's outcome, Bob's outcome, the last
    one changing fastest; their sum is ``rows``.  ``emissions`` are all of the run.  Clicks are
    emissions that a side registered, whether the other did or not.
    """

    counts: tuple[int, ...]
    emissions: int
    alice_clicks: int
    bob_clicks: int

    def __add__(self, other: OutcomeCounts) -> OutcomeCounts:
        return OutcomeCounts(
            counts=tuple(map(operator.add, self.counts, other.counts)),
            emissions=self.emissions + other.emissions,
            alice_clicks=self.alice_clicks + other.alice_clicks,
            bob_clicks=self.bob_clicks + other.bob_clicks,
        )

    @property
    def rows(self) -> int:
        """Pairs registered by both sides."""
        return sum(self.counts)

    @property
    def tally(self) -> Tally:
        """Sifted pairs and errors, per basis."""
        z = self.counts[:4]
        x = self.counts[12:]
        return Tally(
            sifted_z=sum(z),
            errors_z=z[1] + z[2],
            sifted_x=sum(x),
            errors_x=x[1] + x[2],
        )

    def table(self) -> NDArray[np.uint64]:
        """The counts as an array of shape (2, 2, 2, 2)."""
        table = np.array(self.counts, np.uint64)
        return table.reshape(2, 2, 2, 2)


# Bytes of each column counted at a time: four columns and temporaries stay in cache.
_BLOCK = 1 << 16


# A run may have millions of chunks of so few bytes.
_SMALL = 256


def tally(columns: U8, count: int) -> Tally:
    """Sift and count errors on packed ``columns`` (4, nbytes(count)) without unpacking.

    >>> a_basis, a_bit, b_basis, b_bit = [0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0]
    >>> tally(np.stack([bits.pack(np.array(c)) for c in (a_basis, a_bit, b_basis, b_bit)]), 4)
    Tally(sifted_z=1, errors_z=1, sifted_x=2, errors_x=1)
    """
    size = bits.nbytes(count)
    _require_packed(columns, count, size)
    if size <= _SMALL:
        return _small_tally(columns, count)
    either_x = sifted_x = errors_z = errors_x = 0
    for start in range(0, size, _BLOCK):
        block = columns[:, start : start + _BLOCK]
        a_basis, a_bit, b_basis, b_bit = map(_words, block)
        union = a_basis | b_basis
        both = a_basis & b_basis
        differs = a_bit ^ b_bit
        either_x += bits.count_ones(union)
        sifted_x += bits.count_ones(both)
        errors_x += bits.count_ones(both & differs)
        errors_z += bits.count_ones(differs & ~union)
    return Tally(
        count - either_x,
        errors_z,
        sifted_x,
        errors_x,
    )


def _require_packed(columns: U8, count: int, size: int) -> None:
    """Raise `ConfigError` for columns of another type or shape, and for bits beyond the last row."""
    if columns.dtype != np.uint8 or columns.shape != (4, size):
        found = f"{columns.dtype} {columns.shape}"
        rows = counted(count, "row")
        due = f"{rows} make packed uint8 {(4, size)}"
        raise ConfigError(f"columns are {found}; {due}")
    used = count & 7
    if not used:
        return
    padding = columns[:, -1] >> np.uint8(used)
    if padding.any():
        rows = counted(count, "row")
        raise ConfigError(f"columns have bits beyond their {rows}; pad bits are 0")


def _small_tally(columns: U8, count: int) -> Tally:
    """The same by Python's integers, which are faster for a few bytes."""
    numbers = [int.from_bytes(column.tobytes(), "little") for column in columns]
    a_basis, a_bit, b_basis, b_bit = numbers
    union = a_basis | b_basis
    both = a_basis & b_basis
    differs = a_bit ^ b_bit
    return Tally(
        sifted_z=count - union.bit_count(),
        errors_z=(differs & ~union).bit_count(),
        sifted_x=both.bit_count(),
        errors_x=(both & differs).bit_count(),
    )


def _words(packed: U8) -> NDArray[np.uint64]:
    """The bytes as 64-bit words, zero-padded where they do not fill the last one."""
    missing = -len(packed) & 7
    if missing:
        padding = np.zeros(missing, np.uint8)
        packed = np.concatenate([packed, padding])
    return packed.view(np.uint64)
