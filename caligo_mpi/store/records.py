"""Chunk records and the rows behind them: what is committed, what is intact."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..pairs import CHUNK_DTYPE, ChunkList, ColumnSpec, Pairs, bits
from ..pairs.bits import U8
from .files import read_at, write_at
from .info import RunInfo
from .layout import Layout, place

Records = NDArray[np.void]

# Records read at a time: a run may have ten million, and half a MiB stays in cache.
_BATCH = 4096
_SEALED = CHUNK_DTYPE.itemsize - 8


#: Rows of chunks read together; a longer chunk is read alone.
SPAN_ROWS = 1 << 23


def seal(record: Records) -> None:
    """Set the checksum of one record, over all that stands before it in the record."""
    covered = record.tobytes()[:_SEALED]
    record["record_checksum"] = xxhash.xxh3_64_intdigest(covered)


def read_records(
    fd: int,
    layout: Layout,
    start: int,
    stop: int,
) -> Records:
    """Records ``start`` to ``stop`` as they are in the file."""
    records = np.empty(stop - start, CHUNK_DTYPE)
    read_at(fd, records, _place_of(layout, start))
    return records


def _place_of(layout: Layout, index: int) -> int:
    """The byte at which a chunk's record begins."""
    return layout.offsets["chunks"] + index * CHUNK_DTYPE.itemsize


def end_of(fd: int, layout: Layout, index: int) -> int:
    """The row behind a committed chunk; 0 before the first."""
    if index < 0:
        return 0
    record = read_records(fd, layout, index, index + 1)[0]
    return int(record["row"] + record["rows"])


def batches(fd: int, layout: Layout, chunks: range) -> Iterator[tuple[int, Records]]:
    """The records of ``chunks``, some at a time, each batch with its first index."""
    for start in chunks[::_BATCH]:
        stop = min(start + _BATCH, chunks.stop)
        yield start, read_records(fd, layout, start, stop)


def recorded(fd: int, layout: Layout, chunks: range) -> Iterator[tuple[int, Records]]:
    """As `batches`, without what was never written."""
    for part in _written(fd, layout, chunks):
        yield from batches(fd, layout, part)


def sealed(records: Records) -> NDArray[np.bool_]:
    """Which records carry their own checksum."""
    view = records.view(np.uint8).data
    digest = xxhash.xxh3_64_intdigest
    starts = range(0, len(view), CHUNK_DTYPE.itemsize)
    sums = [digest(view[at : at + _SEALED]) for at in starts]
    computed = np.array(sums, np.uint64)
    same: NDArray[np.bool_] = computed == records["record_checksum"]
    return same


def intact(records: Records, first: int, layout: Layout) -> NDArray[np.bool_]:
    """Which records are committed and fit their place; ``first`` is the index of the first one."""
    good = _fitting(records, first, layout)
    good[good] = sealed(records[good])
    # A record that does not begin where an intact one ends is not to be trusted either.
    ends = records["row"] + records["rows"]
    follows = records["row"][1:] == ends[:-1]
    good[1:] &= ~good[:-1] | follows
    return good


def _fitting(records: Records, first: int, layout: Layout) -> NDArray[np.bool_]:
    """Which records say what can be at their place."""
    info = layout.info
    size = np.uint64(info.chunk_size)
    index = np.arange(first, first + len(records), dtype=np.uint64)
    start = index * size
    left = np.uint64(info.pairs) - start
    count = np.minimum(size, left)
    row = records["row"]
    rows = records["rows"]
    good: NDArray[np.bool_] = records["done"] == 1
    good &= records["index"] == index
    good &= records["start"] == start
    good &= records["count"] == count
    good &= rows <= count
    good &= row + rows <= np.uint64(layout.capacity)
    if not info.has_index:
        good &= row == start
        good &= rows == count
    return good


@dataclass(frozen=True, slots=True)
class Committed:
    """How far a file is: all chunks below ``next`` except ``holes``; ``rows`` is the end of the last one.

    ``broken`` are the chunks whose records are neither empty nor intact nor marked for redoing.
    """

    next: int
    holes: ChunkList
    rows: int
    broken: ChunkList


def scan(fd: int, layout: Layout, stop: int | None = None) -> Committed:
    """Check every record of the file, or those below ``stop``.

    What was never written is not read: a run of many chunks that has just begun is opened at once.
    """
    every = range(len(layout.info.partition))[:stop]
    missing: list[range] = []
    broken: list[range] = []
    after = rows = reached = 0
    for part in _written(fd, layout, every):
        missing.append(range(reached, part.start))
        reached = part.stop
        for first, records in batches(fd, layout, part):
            good = intact(records, first, layout)
            missing += _ranges(~good, first)
            broken += _ranges(_broken(records, good), first)
            if good.any():
                positions = np.flatnonzero(good)
                position = int(positions[-1])
                last = records[position]
                after = first + position + 1
                rows = int(last["row"] + last["rows"])
    holes = (range(part.start, min(part.stop, after)) for part in missing)
    return Committed(
        next=after,
        holes=ChunkList(holes),
        rows=rows,
        broken=ChunkList(broken),
    )


def _broken(records: Records, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which records that are not good were neither never written nor marked for redoing."""
    suspect: NDArray[np.bool_] = ~good & (records["record_checksum"] != 0)
    suspect[suspect] = ~sealed(records[suspect])
    return suspect


def _ranges(flags: NDArray[np.bool_], first: int) -> list[range]:
    """Where the flags are set, counted from ``first``."""
    steps = np.diff(flags.astype(np.int8), prepend=0, append=0)
    edges = np.flatnonzero(steps) + first
    pairs = edges.reshape(-1, 2).tolist()
    return [range(begin, end) for begin, end in pairs]


def _written(fd: int, layout: Layout, chunks: range) -> Iterator[range]:
    """The parts of ``chunks`` whose records may have been written.

    A file has holes where nothing was; where a file system does not tell, all of it counts as data.
    """
    size = CHUNK_DTYPE.itemsize
    base = _place_of(layout, 0)
    end = _place_of(layout, chunks.stop)
    first = chunks.start
    while first < chunks.stop:
        extent = _data_from(fd, base + first * size, end)
        if extent is None:
            return
        begin, stop = extent
        below = (begin - base) // size
        above = -(-(stop - base) // size)
        first = max(first, below)
        last = min(chunks.stop, above)
        yield range(first, last)
        first = last


def _data_from(fd: int, at: int, end: int) -> tuple[int, int] | None:
    """The first bytes from ``at`` to ``end`` that a file system keeps; None if there are none."""
    try:
        begin = os.lseek(fd, at, os.SEEK_DATA)
        stop = os.lseek(fd, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        return at, end
    if begin >= end:
        return None
    return begin, min(stop, end)


def read_rows(
    fd: int,
    layout: Layout,
    row: int,
    count: int,
    *,
    buffer: U8 | None = None,
) -> Pairs:
    """Rows ``row`` to ``row + count``, packed from bit 0.

    With ``buffer`` (columns of bits by enough bytes) the columns may be views of it, valid until it is used again.
    """
    lead = row & 7
    size = bits.nbytes(lead + count)
    if buffer is None:
        shape = (bit_columns(layout), size)
        buffer = np.empty(shape, np.uint8)
    raw = buffer[:, :size]
    numbers = {}
    bit_rows = iter(raw)
    for column in layout.info.table:
        if column.is_bit:
            start = layout.offsets[place(column)]
            read_at(fd, next(bit_rows), start + (row >> 3))
        else:
            numbers[column.name] = read_numbers(fd, layout, column, row, count)
    if lead or count & 7:
        raw = np.stack([bits.extract(column, lead, count) for column in raw])
    return Pairs.of_table(layout.info.table, raw, count, numbers)


def read_numbers(
    fd: int,
    layout: Layout,
    column: ColumnSpec,
    row: int,
    count: int,
) -> NDArray[Any]:
    """Rows ``row`` to ``row + count`` of a column of numbers."""
    values = np.empty(count, column.kind)
    start = layout.offsets[place(column)]
    read_at(fd, values, start + column.kind.itemsize * row)
    return values


def expect_rows(fd: int, layout: Layout, row: int, count: int) -> None:
    """Have the system fetch these rows from the disk while others are worked on, where it can."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return
    for column in layout.info.table:
        bits_per_row = 1 if column.is_bit else 8 * column.kind.itemsize
        start = layout.offsets[place(column)] + row * bits_per_row // 8
        size = bits.nbytes(count * bits_per_row) + 1
        with contextlib.suppress(OSError):
            advise(fd, start, size, os.POSIX_FADV_WILLNEED)


def bit_columns(layout: Layout) -> int:
    """How many columns of bits a file has."""
    return sum(column.is_bit for column in layout.info.table)


def spans(
    fd: int,
    layout: Layout,
    chunks: range,
    *,
    reuse: bool = False,
) -> Iterator[tuple[Records, Pairs]]:
    """The rows of the intact chunks among ``chunks``: neighbors together, up to `SPAN_ROWS` rows or one chunk.

    With ``reuse`` a span's columns are valid only until the next one.
    """
    columns = bit_columns(layout)
    buffer: U8 | None = None
    for first, records in batches(fd, layout, chunks):
        good = intact(records, first, layout)
        for group in _groups(records, good):
            row = int(group["row"][0])
            rows = int(group["rows"].sum())
            size = bits.nbytes(rows + 7)
            if reuse and (buffer is None or size > buffer.shape[1]):
                buffer = np.empty((columns, size), np.uint8)
            yield group, read_rows(fd, layout, row, rows, buffer=buffer)


def _groups(records: Records, good: NDArray[np.bool_]) -> Iterator[Records]:
    """Runs of good records, each of at most `SPAN_ROWS` rows or one chunk."""
    for run in _ranges(good, 0):
        begin = run.start
        while begin < run.stop:
            rows = records["rows"][begin : run.stop]
            total = np.cumsum(rows)
            fitting = np.searchsorted(total, SPAN_ROWS, side="right")
            size = max(1, int(fitting))
            yield records[begin : begin + size]
            begin += size


def damaged(records: Records, pairs: Pairs) -> list[int]:
    """Positions in ``records`` whose rows do not have their checksum; ``pairs`` holds the rows of all of them."""
    ends = np.cumsum(records["rows"], dtype=np.int64).tolist()
    sums = records["checksum"].tolist()
    found = []
    start = 0
    for position, end in enumerate(ends):
        part = pairs.part(start, end)
        if part.checksum() != sums[position]:
            found.append(position)
        start = end
    return found


def damaged_chunks(fd: int, layout: Layout, chunks: range) -> Iterator[int]:
    """Read the intact chunks among ``chunks`` and give those whose data do not have their checksum.

    None are where the file has no columns.
    """
    if not layout.info.has_columns:
        return
    for records, pairs in spans(fd, layout, chunks, reuse=True):
        for position in damaged(records, pairs):
            yield int(records["index"][position])


def data_digest(config_digest: str, checksums: Iterable[NDArray[np.uint64]]) -> str:
    """SHA-256 over the configuration's digest and the chunk checksums in order: the identity of a run's data."""
    digest = hashlib.sha256(config_digest.encode())
    for part in checksums:
        little = np.ascontiguousarray(part, "<u8")
        digest.update(little.tobytes())
    return digest.hexdigest()


def table_digest(fd: int, layout: Layout, stop: int | None = None) -> str:
    """`data_digest` of the file's records, or of those below ``stop``."""
    info: RunInfo = layout.info
    every = range(len(info.partition))[:stop]
    checksums = (records["checksum"] for _, records in batches(fd, layout, every))
    return data_digest(info.config_digest, checksums)


def write_record(fd: int, layout: Layout, record: Records) -> None:
    """Seal one record and write it to its place."""
    seal(record)
    index = int(record["index"])
    at = _place_of(layout, index)
    write_at(fd, record.tobytes(), at)


def mark_for_redoing(fd: int, layout: Layout, index: int) -> None:
    """Take back that chunk ``index`` is done, so that no later launch has to find its damage again."""
    record = read_records(fd, layout, index, index + 1)
    record["done"] = 0
    write_record(fd, layout, record[0])
