"""What an engine returns, and how a run is cut into chunks.

Two rules carry the design.  Row order is global emission order: nothing is
shuffled.  A chunk's bits depend on (seed, chunk index, engine parameters) alone:
every chunk has its own ``SeedSequence``, and a shorter chunk is a prefix of a
longer one with the same index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

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
        a_basis, a_bit, b_basis, b_bit = (bits.unpack(column, pairs.count) for column in pairs.columns)
        return cls(a_basis, a_bit, b_basis, b_bit, pairs.index, pairs.time)

    def packed(self) -> Pairs:
        """The same pairs, eight rows per byte; clicks and duration are not known any more and 0."""
        columns = (self.alice_basis, self.alice_outcome, self.bob_basis, self.bob_outcome)
        packed = np.stack([bits.pack(column) for column in columns])
        return Pairs(packed, len(self.alice_basis), self.index, self.time)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The emissions ``start`` to ``start + count``, sampled from one random stream."""

    index: int
    start: int
    count: int

    def seed_sequence(self, seed: int) -> np.random.SeedSequence:
        """Child ``index`` of the run's seed, as ``SeedSequence(seed).spawn(n)[index]`` gives it for any n > index.

        >>> a = Chunk(2, 0, 8).seed_sequence(7)
        >>> b = np.random.SeedSequence(7).spawn(3)[2]
        >>> bool((a.generate_state(4) == b.generate_state(4)).all())
        True
        """
        return np.random.SeedSequence(seed, spawn_key=(self.index,))


class Partition(Sequence[Chunk]):
    """The chunks of ``pairs`` emissions, made when asked for: a run may have millions.

    >>> list(Partition(20, 8))
    [Chunk(index=0, start=0, count=8), Chunk(index=1, start=8, count=8), Chunk(index=2, start=16, count=4)]
    """

    def __init__(self, pairs: int, chunk_size: int) -> None:
        self.pairs, self.chunk_size = pairs, chunk_size

    def __len__(self) -> int:
        return -(-self.pairs // self.chunk_size)

    @overload
    def __getitem__(self, item: int) -> Chunk: ...
    @overload
    def __getitem__(self, item: slice) -> list[Chunk]: ...
    def __getitem__(self, item: int | slice) -> Chunk | list[Chunk]:
        """Chunk ``item``; `IndexError` outside the partition."""
        if isinstance(item, slice):
            return [self[i] for i in range(len(self))[item]]
        i = range(len(self))[item]
        start = i * self.chunk_size
        return Chunk(i, start, min(self.chunk_size, self.pairs - start))

    def __iter__(self) -> Iterator[Chunk]:
        return map(self.__getitem__, range(len(self)))


#: One row of the file's ``/chunks`` table.  ``checksum`` covers the chunk's columns, ``record_checksum``
#: this record up to itself; ``row`` and what follows ``seconds`` is filled in by whoever commits the chunk.
CHUNK_DTYPE = np.dtype(
    [
        ("index", "<u8"), ("start", "<u8"), ("count", "<u8"), ("row", "<u8"), ("rows", "<u8"),
        ("sifted_z", "<u8"), ("errors_z", "<u8"), ("sifted_x", "<u8"), ("errors_x", "<u8"),
        ("alice_clicks", "<u8"), ("bob_clicks", "<u8"), ("duration_ns", "<f8"), ("seconds", "<f8"),
        ("run", "<u4"), ("rank", "<u4"), ("attempt", "<u4"), ("done", "<u4"),
        ("checksum", "<u8"), ("record_checksum", "<u8"),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ChunkResult:
    """A simulated chunk on its way to the file: its ``/chunks`` record (shape (1,), `CHUNK_DTYPE`) and its pairs.

    ``pairs.index`` is global here.  ``parts`` and ``whole`` turn it into bytes and back for the way between ranks:
    record, flags, columns, index, time, each padded to 8 bytes.
    """

    record: NDArray[np.void]
    pairs: Pairs

    def parts(self) -> list[U8]:
        """Views of the result's memory, to be sent one after the other."""
        pairs = self.pairs
        flags = np.array([pairs.index is not None, pairs.time is not None], np.uint32)
        head = np.concatenate([self.record.view(np.uint8).ravel(), flags.view(np.uint8)])
        parts = [head, np.ascontiguousarray(pairs.columns).reshape(-1)]
        if pairs.columns.size & 7:
            parts.append(np.zeros(-pairs.columns.size & 7, np.uint8))
        parts += [column.view(np.uint8) for column in (pairs.index, pairs.time) if column is not None]
        return parts

    @classmethod
    def whole(cls, buffer: U8) -> ChunkResult:
        """The result whose parts stand in ``buffer``; its arrays are views of it."""
        record = buffer[: CHUNK_DTYPE.itemsize].view(CHUNK_DTYPE)
        has_index, has_time = buffer[CHUNK_DTYPE.itemsize :][:8].view(np.uint32).tolist()
        rows = int(record["rows"][0])
        start = CHUNK_DTYPE.itemsize + 8
        columns = buffer[start : start + 4 * bits.nbytes(rows)].reshape(4, -1)
        start += columns.size + (-columns.size & 7)
        index = buffer[start : start + 8 * rows].view(np.uint64) if has_index else None
        start += 8 * rows if has_index else 0
        time = buffer[start : start + 8 * rows].view(np.float64) if has_time else None
        clicks = int(record["alice_clicks"][0]), int(record["bob_clicks"][0])
        return cls(record, Pairs(columns, rows, index, time, *clicks, duration_ns=float(record["duration_ns"][0])))


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


_BLOCK = 1 << 16  # bytes of each column counted at a time: four columns and temporaries stay in cache


def tally(columns: U8, count: int) -> Tally:
    """Sift and count errors on packed ``columns`` (4, nbytes(count)) without unpacking.

    >>> a_basis, a_bit, b_basis, b_bit = [0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0]
    >>> tally(np.stack([bits.pack(np.array(c)) for c in (a_basis, a_bit, b_basis, b_bit)]), 4)
    Tally(sifted_z=1, errors_z=1, sifted_x=2, errors_x=1)
    """
    either_x = sifted_x = errors_z = errors_x = 0
    size = bits.nbytes(count)
    for start in range(0, size, _BLOCK):
        a_basis, a_bit, b_basis, b_bit = (_words(column[start : min(start + _BLOCK, size)]) for column in columns)
        union = a_basis | b_basis
        both = a_basis & b_basis
        differs = a_bit ^ b_bit
        either_x += bits.count_ones(union)
        sifted_x += bits.count_ones(both)
        errors_x += bits.count_ones(both & differs)
        errors_z += bits.count_ones(differs & ~union)
    return Tally(count - either_x, errors_z, sifted_x, errors_x)


def _words(packed: U8) -> NDArray[np.uint64]:
    """The bytes as 64-bit words, zero-padded where they do not fill the last one."""
    if len(packed) & 7:
        packed = np.concatenate([packed, np.zeros(-len(packed) & 7, np.uint8)])
    return packed.view(np.uint64)
