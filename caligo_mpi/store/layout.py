"""The layout of a pairs file: its datasets and attributes, made once and read back.

Everything is contiguous and allocated when the file is created, so a run writes raw bytes at
known offsets: HDF5 metadata of a running file never changes, and no HDF5 handle is open that
a kill or a full disk could leave half-written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from ..config import RunConfig
from ..pairs import CHUNK_DTYPE, ColumnSpec
from ..pairs import table as columns
from ..pairs.stopping import DECISION_DTYPE
from . import hdf5
from .attributes import FORMAT, FORMAT_VERSION, attributes_of, info_of
from .files import disk_errors
from .info import RunInfo
from .messages import Value
from .metadata import Damaged, Metadata, checked_metadata, checksum, damage_said, open_file
from .metrics import METRICS_DTYPE

#: Rows of ``/runs`` and ``/faults``; what does not fit is only counted, in ``/overflow``.
TABLE_ROWS = 1024

#: One row of ``/runs``: a launch that wrote to the file.  Times are seconds since 1970, ``software`` is JSON.
RUN_DTYPE = np.dtype(
    [
        ("started", "<f8"),
        ("last_commit", "<f8"),
        ("ranks", "<u4"),
        ("pid", "<u4"),
        ("id", "S40"),
        ("host", "S64"),
        ("job", "S32"),
        ("mpi", "S64"),
        ("software", "S512"),
    ]
)

#: One row of ``/faults``: something that went wrong, and how many chunks were redone for it.
FAULT_DTYPE = np.dtype(
    [
        ("time", "<f8"),
        ("run", "<u4"),
        ("rank", "<u4"),
        ("chunks", "<u8"),
        ("host", "S64"),
        ("what", "S256"),
    ]
)

OVERFLOW_DTYPE = np.dtype([("runs", "<u8"), ("faults", "<u8")])

#: The tables of launches and faults, each with the field that is never 0 in a used row.
TABLES = {"runs": (RUN_DTYPE, "started"), "faults": (FAULT_DTYPE, "time")}

# The attributes under the header's checksum.
_CHECKED = (
    "format", "pairs", "chunk_size", "seed", "engine", "stream_version", "config", "config_digest", "thresholds"
)  # fmt: skip

_CHECKED_IF_THERE = ("keep", "columns", "declared", "outcome_counts", "until")

#: What tells a file from another, and from itself before it was written to.
Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything is in one file.

    ``offsets`` maps dataset names to bytes; ``data_digest`` is empty until the last chunk is in.  ``moved`` says that
    another tool wrote the same contents to other places: such a file is read, and never extended.  ``stamp`` is that of
    the file when this was read.
    """

    info: RunInfo
    capacity: int
    rows: int
    data_digest: str
    created: str
    offsets: Mapping[str, int]
    metadata: Metadata
    moved: bool
    stamp: Stamp = field(compare=False)

    @property
    def size(self) -> int:
        """Bytes from the file's beginning to the end of its last dataset."""
        ends = []
        for name, (kind, length) in _datasets(self.info, self.capacity):
            ends.append(self.offsets[name] + kind.itemsize * length)
        return max(ends)


def _datasets(info: RunInfo, capacity: int) -> list[tuple[str, tuple[np.dtype[Any], int]]]:
    """Name, type and length of every dataset, in the order of the file."""
    found = [
        ("chunks", (CHUNK_DTYPE, len(info.partition))),
        ("runs", (RUN_DTYPE, TABLE_ROWS)),
        ("faults", (FAULT_DTYPE, TABLE_ROWS)),
        ("overflow", (OVERFLOW_DTYPE, 1)),
    ]
    if info.decisions:
        found.append(("decisions", (DECISION_DTYPE, info.decisions)))
    if info.metrics:
        found.append(("metrics", (METRICS_DTYPE, info.metrics)))
    for column in info.stored:
        length = column.items(capacity)
        found.append((place(column), (column.shown, length)))
    return found


def place(column: ColumnSpec) -> str:
    """The name of a column's dataset; declared columns have a group of their own.

    HDF5 keeps up to eight members of a group in its checksummed header, and more of them in a heap.

    >>> place(columns.INDEX), place(ColumnSpec("attempts", "u4"))
    ('pairs/index', 'extra/attempts')
    """
    group = "pairs" if column.name in columns.RESERVED else "extra"
    return f"{group}/{column.name}"


def file_size(info: RunInfo, capacity: int) -> int:
    """Bytes of a file with this layout, headers estimated."""
    size = 65536
    for _, (kind, length) in _datasets(info, capacity):
        size += kind.itemsize * length
    thresholds = json.dumps(dict(info.thresholds))
    return size + len(info.config) + len(thresholds)


def full_size(info: RunInfo, rows: int) -> int:
    """Bytes of the file of this run with ``rows`` rows, if all of its columns are kept."""
    return file_size(replace(info, keep="pairs"), rows)


def create(path: Path, info: RunInfo, *, capacity: int) -> Layout:
    """Make the file: all of its metadata, its data one hole in the disk until written."""
    attributes = attributes_of(info)
    size = file_size(info, capacity)
    with disk_errors(path, "creating the file"), hdf5.create(path, size=size) as file:
        hdf5.describe(file, attributes)
        file.attrs.create("data_digest", np.bytes_(b""), dtype="S64")
        places = {}
        for name, (kind, length) in _datasets(info, capacity):
            dataset = hdf5.create_early(file, name, kind, (length,))
            places[name] = dataset.id.get_offset()
        for column in info.stored:
            dataset = file[place(column)]
            hdf5.describe(dataset, column.attributes())
        header = _header_checksum(attributes, places)
        file.attrs["header_checksum"] = np.uint64(header)
    return read(path)


def _tables(places: Mapping[str, object]) -> list[str]:
    """The small tables that a file has."""
    names = ["runs", "faults", "overflow"]
    if "decisions" in places:
        names.append("decisions")
    return names


def _header_checksum(attributes: Mapping[str, object], places: Mapping[str, int | None]) -> int:
    """XXH3-64 over the attributes that decide bits and over where the data are.

    A dataset without data has no place: None.
    """
    there = [name for name in _CHECKED_IF_THERE if name in attributes]
    said = [str(attributes[name]) for name in (*_CHECKED, *there)]
    rows = [name for name in places if name.startswith(("pairs/", "extra/"))]
    datasets = [
        "chunks",
        *_tables(places),
        *sorted(rows),
    ]
    ordered = [places[name] for name in datasets]
    covered = repr(said + ordered)
    return xxhash.xxh3_64_intdigest(covered.encode())


def read(path: Path) -> Layout:
    """Read a file's metadata; `Damaged` where they cannot be read or are not in order."""
    fd, layout = read_open(path)
    os.close(fd)
    return layout


def read_open(path: Path) -> tuple[int, Layout]:
    """The same, and the file's descriptor, open for reading: whoever has it reads the file that was looked at."""
    fd = open_file(path)
    try:
        stamp = _stamp(fd)
        with damage_said(path, holds="pairs"):
            metadata = checked_metadata(
                fd,
                path,
                format=FORMAT,
                version=FORMAT_VERSION,
            )
            layout = _parse(metadata, fd, stamp)
        size = os.fstat(fd).st_size
        if size < layout.size:
            raise Damaged(f"{path} is truncated: {size} bytes of {layout.size}")
    except BaseException:
        os.close(fd)
        raise
    return fd, layout


def reopen(path: Path, known: Layout) -> tuple[int, Layout]:
    """`read_open` of a file that had the layout ``known``: read again only if it was written to, or is another."""
    fd = open_file(path)
    if _stamp(fd) == known.stamp:
        return fd, known
    os.close(fd)
    return read_open(path)


def _stamp(fd: int) -> Stamp:
    state = os.fstat(fd)
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _parse(metadata: Metadata, fd: int, stamp: Stamp) -> Layout:
    info = info_of(metadata)
    rows = metadata.number("rows")
    digest = metadata.text("data_digest")
    capacity = info.pairs
    if info.has_index and info.has_columns:
        capacity = metadata.places["pairs/index"].shape[0]
    lacks_rows = digest and not info.has_index and rows != info.pairs
    if info.chunk_size < 1 or rows > capacity or lacks_rows:
        raise ValueError(
            f"it says rows={rows} and chunk_size={info.chunk_size} for pairs={info.pairs}"
        )
    offsets = {}
    for name, (kind, length) in _datasets(info, capacity):
        offsets[name] = _offset(metadata, name, kind, length)
    return Layout(
        info=info,
        capacity=capacity,
        rows=rows,
        data_digest=digest,
        created=metadata.text("file_time"),
        offsets=offsets,
        metadata=metadata,
        moved=_is_moved(metadata, info, fd),
        stamp=stamp,
    )


def _offset(
    metadata: Metadata,
    name: str,
    kind: np.dtype[Any],
    length: int,
) -> int:
    place = metadata.places[name]
    if place.shape != (length,) or place.kind != kind:
        raise ValueError(
            f"/{name} has shape {place.shape} and type {place.kind}, not ({length},) and {kind}"
        )
    return place.offset


def _is_moved(metadata: Metadata, info: RunInfo, fd: int) -> bool:
    """Whether the data are elsewhere than they were written; `ValueError` where the attributes are not as written."""
    places = {}
    for name, place in metadata.places.items():
        places[name] = place.offset or None
    sum_here = _header_checksum(metadata.attributes, places)
    if metadata.number("header_checksum") == sum_here:
        return False
    is_finished = bool(metadata.attributes["data_digest"])
    if not is_finished or not _attributes_fit(metadata, info, fd):
        raise ValueError("its attributes do not have their checksum")
    return True


def _attributes_fit(metadata: Metadata, info: RunInfo, fd: int) -> bool:
    """Whether the attributes of a finished file are as written, wherever its data are."""
    if metadata.minor:
        return bool(checksum_fits(metadata, fd))
    # Format 1.0 has no checksum that does not depend on places.
    config = RunConfig.from_json(info.config)
    return config.digest(info.stream_version) == info.config_digest


def checksum_fits(metadata: Metadata, fd: int) -> bool | None:
    """Whether all attributes, ``/runs``, ``/faults`` are as they were in the end; None in format 1.0."""
    if not metadata.minor:
        return None
    noted = metadata.number("file_checksum")
    return noted == _file_checksum(metadata, fd)


def _file_checksum(metadata: Metadata, fd: int) -> int:
    return checksum(
        metadata,
        fd,
        _tables(metadata.places),
        leave_out="file_checksum",
    )


def complete(path: Path, *, rows: int, data_digest: str) -> None:
    """Write the attributes that are known last, over placeholders of the same size."""
    fd, layout = read_open(path)
    try:
        metadata = layout.metadata
        known: dict[str, Value] = {"rows": rows, "data_digest": data_digest}
        attributes = {**metadata.attributes, **known}
        final = replace(metadata, attributes=attributes)
        sum_ = _file_checksum(final, fd)
    finally:
        os.close(fd)
    with disk_errors(path, "writing the final attributes"), hdf5.change(path) as file:
        file.attrs.modify("rows", np.uint64(rows))
        file.attrs.modify("data_digest", np.bytes_(data_digest.encode()))
        if metadata.minor:
            file.attrs.modify("file_checksum", np.uint64(sum_))
