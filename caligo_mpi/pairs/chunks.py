"""How a run is cut into chunks, and what one chunk hands on.

A chunk's bits depend on (seed, chunk index, engine parameters) alone: every chunk has its own
``SeedSequence``, and a shorter chunk is a prefix of a longer one with the same index.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, chain
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from . import bits
from .bits import U8
from .columns import Pairs

#: Called every few milliseconds from inside long work; it may raise, to end the work.
Tick = Callable[[], None]


class Sink(Protocol):
    """Takes a chunk's blocks while it is simulated, in memory that it lends."""

    def lend(self, words: int) -> NDArray[np.uint64]:
        """Memory for the next block, of shape (4, words); may wait for some."""
        ...

    def take(self, block: NDArray[np.uint64], first: int) -> None:
        """The lent memory holds words of the four packed columns, from word ``first`` of each on."""
        ...


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
        key = (self.index,)
        return np.random.SeedSequence(seed, spawn_key=key)


class Partition(Sequence[Chunk]):
    """The chunks of ``pairs`` emissions, made when asked for: a run may have millions.

    >>> list(Partition(20, 8))
    [Chunk(index=0, start=0, count=8), Chunk(index=1, start=8, count=8), Chunk(index=2, start=16, count=4)]
    """

    def __init__(self, pairs: int, chunk_size: int) -> None:
        self.pairs = pairs
        self.chunk_size = chunk_size

    def __len__(self) -> int:
        return -(-self.pairs // self.chunk_size)

    @overload
    def __getitem__(self, item: int) -> Chunk: ...
    @overload
    def __getitem__(self, item: slice) -> list[Chunk]: ...
    def __getitem__(self, item: int | slice) -> Chunk | list[Chunk]:
        """Chunk ``item``; `IndexError` outside the partition."""
        numbers = range(len(self))
        if isinstance(item, slice):
            return [self[i] for i in numbers[item]]
        i = numbers[item]
        start = i * self.chunk_size
        left = self.pairs - start
        return Chunk(i, start, min(self.chunk_size, left))

    def __iter__(self) -> Iterator[Chunk]:
        return map(self.__getitem__, range(len(self)))


class ChunkList(Sequence[int]):
    """Chunk numbers as ranges one after the other: a hundred million of them take a few bytes.

    >>> some = ChunkList([range(2, 4), range(7, 7), range(9, 12)])
    >>> len(some), some[0], some[-1], list(some[1:4]), some
    (5, 2, 11, [3, 9, 10], ChunkList([range(2, 4), range(9, 12)]))
    """

    def __init__(self, ranges: Iterable[range]) -> None:
        self.ranges = [part for part in ranges if part]
        lengths = map(len, self.ranges)
        self._ends = list(accumulate(lengths))

    def __len__(self) -> int:
        if not self._ends:
            return 0
        return self._ends[-1]

    @overload
    def __getitem__(self, item: int) -> int: ...
    @overload
    def __getitem__(self, item: slice) -> ChunkList: ...
    def __getitem__(self, item: int | slice) -> int | ChunkList:
        """A number; `IndexError` beyond the last.  A slice has the step 1."""
        positions = range(len(self))
        if isinstance(item, slice):
            return self._part(positions[item])
        position = positions[item]
        number = bisect_right(self._ends, position)
        part = self.ranges[number]
        before_end = position - self._ends[number]
        return part[before_end]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.ranges)

    def __repr__(self) -> str:
        return f"ChunkList({self.ranges})"

    def _part(self, positions: range) -> ChunkList:
        """The numbers at some positions that follow each other."""
        found = []
        at = 0
        for part in self.ranges:
            first = max(0, positions.start - at)
            stop = max(0, positions.stop - at)
            found.append(part[first:stop])
            at += len(part)
        return ChunkList(found)


#: One row of the file's ``/chunks`` table.  ``checksum`` covers the chunk's columns, ``record_checksum``
#: this record up to itself; ``row`` and what follows ``seconds`` is filled in by whoever commits the chunk.
CHUNK_DTYPE = np.dtype(
    [
        ("index", "<u8"),
        ("start", "<u8"),
        ("count", "<u8"),
        ("row", "<u8"),
        ("rows", "<u8"),
        ("sifted_z", "<u8"),
        ("errors_z", "<u8"),
        ("sifted_x", "<u8"),
        ("errors_x", "<u8"),
        ("alice_clicks", "<u8"),
        ("bob_clicks", "<u8"),
        ("duration_ns", "<f8"),
        ("seconds", "<f8"),
        ("run", "<u4"),
        ("rank", "<u4"),
        ("attempt", "<u4"),
        ("done", "<u4"),
        ("checksum", "<u8"),
        ("record_checksum", "<u8"),
    ]
)
#: What a record counts in its chunk's rows, and with its emissions; these add up over chunks.
ROW_COUNTS = (
    "rows",
    "sifted_z",
    "errors_z",
    "sifted_x",
    "errors_x",
    "alice_clicks",
    "bob_clicks",
)
CHUNK_COUNTS = ("count", *ROW_COUNTS)


class Where(IntEnum):
    """Where the columns of a chunk on its way to the file are."""

    NOWHERE = 0  # they can be simulated again
    CARRIED = 1
    WRITTEN = 2  # in the file, from the row that the record says


@dataclass(frozen=True, slots=True, eq=False)
class ChunkResult:
    """A simulated chunk on its way to the file: its ``/chunks`` record (shape (1,), `CHUNK_DTYPE`) and its pairs.

    ``pairs`` is None where the columns are nowhere, since they can be simulated again, and where they were written;
    ``pairs.index`` is global here.  ``edges`` are then the bits in bytes that the chunk may share with its neighbors,
    which were not written: uint8 of shape (columns of bits, 2), the byte it begins in and the byte it ends in.
    ``parts`` and ``whole`` turn it into bytes and back for the way between ranks: record, `Where` and the size of
    what follows: edges, or the four columns, names and types of those beside them, and these, each padded to 8 bytes.
    """

    record: NDArray[np.void]
    pairs: Pairs | None
    edges: U8 | None = None

    @property
    def where(self) -> Where:
        """Where its columns are."""
        if self.pairs is not None:
            return Where.CARRIED
        return Where.NOWHERE if self.edges is None else Where.WRITTEN

    def parts(self) -> list[U8]:
        """Views of the result's memory, to be sent one after the other."""
        record = self.record.view(np.uint8).ravel()
        pairs = self.pairs
        if pairs is None:
            edges = _NO_BYTES if self.edges is None else self.edges.ravel()
            head = _head(self.where, len(edges))
            whole = np.concatenate([record, head, edges, _padding(edges)])
            return [whole]
        beside = pairs.beside
        columns = np.ascontiguousarray(pairs.columns).reshape(-1)
        names = _names(beside)
        head = _head(Where.CARRIED, len(names))
        parts = [np.concatenate([record, head]), columns]
        if len(columns) & 7:
            parts.append(_padding(columns))
        if not beside:
            return parts
        parts += [names, _padding(names)]
        for values in beside.values():
            part = np.ascontiguousarray(values).view(np.uint8)
            parts += [part, _padding(part)]
        return parts

    @classmethod
    def whole(cls, buffer: U8) -> ChunkResult:
        """The result whose parts stand in ``buffer``; its arrays are views of it."""
        take = _Taker(buffer)
        record = take(CHUNK_DTYPE.itemsize).view(CHUNK_DTYPE)
        head = take(8).view(np.uint32)
        where, size = head.tolist()
        if where == Where.NOWHERE:
            return cls(record, None)
        if where == Where.WRITTEN:
            edges = take(size).reshape(-1, 2)
            return cls(record, None, edges)
        return cls(record, _taken_pairs(take, record[0], size))


def _taken_pairs(take: _Taker, record: np.void, size: int) -> Pairs:
    """The pairs that stand next; names and types of the columns beside the four take ``size`` bytes."""
    rows = int(record["rows"])
    columns = take(4 * bits.nbytes(rows)).reshape(4, -1)
    names = take(size)
    kinds = json.loads(names.tobytes()) if size else []
    beside = {}
    for name, text in kinds:
        kind = np.dtype(text)
        part = take(rows * kind.itemsize)
        beside[name] = part.view(kind)
    return Pairs(
        columns,
        rows,
        index=beside.pop("index", None),
        time=beside.pop("time", None),
        alice_clicks=int(record["alice_clicks"]),
        bob_clicks=int(record["bob_clicks"]),
        duration_ns=float(record["duration_ns"]),
        extra=beside,
    )


_ZEROS = np.zeros(8, np.uint8)
_NO_BYTES = _ZEROS[:0]


def _names(beside: Mapping[str, NDArray[Any]]) -> U8:
    """Names and types of columns as text."""
    if not beside:
        return _NO_BYTES
    kinds = [[name, values.dtype.str] for name, values in beside.items()]
    text = json.dumps(kinds)
    return np.frombuffer(text.encode(), np.uint8)


def _padding(part: U8) -> U8:
    """What fills a part up to whole words."""
    return _ZEROS[: -len(part) & 7]


def _head(where: Where, size: int) -> U8:
    head = np.array([where, size], np.uint32)
    return head.view(np.uint8)


class _Taker:
    """Parts of a buffer one after the other; each begins at a multiple of 8 bytes."""

    def __init__(self, buffer: U8) -> None:
        self._buffer = buffer
        self._at = 0

    def __call__(self, size: int) -> U8:
        end = self._at + size
        part = self._buffer[self._at : end]
        self._at = end + (-size & 7)
        return part
