"""The layout of a pairs file: its datasets and attributes, made once and read back.

Everything is contiguous and allocated when the file is created, so a run writes raw bytes at
known offsets: HDF5 metadata of a running file never changes, and no HDF5 handle is open that
a kill or a full disk could leave half-written.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash

from .._version import __version__
from ..pairs import CHUNK_DTYPE, COLUMNS, Partition
from ..pairs.bits import nbytes
from .files import disk_errors
from .hdf5 import Damaged, opened

FORMAT = "caligo-pairs"
FORMAT_VERSION = (1, 0)

#: Rows of ``/runs`` and ``/faults``; what does not fit is only counted, in ``/overflow``.
TABLE_ROWS = 1024

#: One row of ``/runs``: a launch that wrote to the file.  Times are seconds since 1970, ``software`` is JSON.
RUN_DTYPE = np.dtype(
    [
        ("started", "<f8"), ("last_commit", "<f8"), ("ranks", "<u4"), ("pid", "<u4"),
        ("id", "S40"), ("host", "S64"), ("job", "S32"), ("mpi", "S64"), ("software", "S512"),
    ]
)  # fmt: skip

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

# Object headers of HDF5 1.8 carry checksums, so that damaged metadata is noticed; newer ones mark a
# file as open for writing and would refuse it after a SIGKILL.
_LIBVER = ("v108", "v108")


# The attributes under the header's checksum.
_CHECKED = (
    "format", "pairs", "chunk_size", "seed", "engine", "stream_version", "config", "config_digest", "thresholds"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a pairs file says about its run.

    ``engine`` is the engine's name for provenance, ``config`` the resolved configuration as JSON,
    ``config_digest`` covers everything that changes bits; ``coincidence`` is the expected number of rows
    per emission (1 where no pair can be lost), ``software`` maps dependencies to versions and more,
    ``notes`` are further attributes of the file (written, not read back).
    """

    pairs: int
    chunk_size: int
    seed: int
    engine: str
    stream_version: int
    config: str
    config_digest: str
    thresholds: Mapping[str, object] = field(default_factory=dict)
    has_index: bool = False
    has_time: bool = False
    coincidence: float = 1.0
    software: Mapping[str, object] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def partition(self) -> Partition:
        """The run's chunks."""
        return Partition(self.pairs, self.chunk_size)

    @property
    def capacity(self) -> int:
        """Rows to make room for: all pairs, or where pairs can be lost the mean plus 10 sigma and 64."""
        if not self.has_index:
            return self.pairs
        mean = self.pairs * self.coincidence
        return min(
            self.pairs, math.ceil(mean + 10 * math.sqrt(mean * max(0.0, 1 - self.coincidence))) + 64
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything is in one file.

    ``offsets`` maps dataset names to bytes; ``data_digest`` is empty until the last chunk is in.
    """

    info: RunInfo
    capacity: int
    rows: int
    data_digest: str
    created: str
    offsets: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes from the file's beginning to the end of its last dataset."""
        return max(
            self.offsets[name] + kind.itemsize * n
            for name, (kind, n) in _datasets(self.info, self.capacity)
        )


def _datasets(info: RunInfo, capacity: int) -> list[tuple[str, tuple[np.dtype[Any], int]]]:
    """Name, type and length of every dataset, in the order of the file."""
    u1 = np.dtype("u1")
    tables = [
        ("chunks", (CHUNK_DTYPE, len(info.partition))),
        ("runs", (RUN_DTYPE, TABLE_ROWS)),
        ("faults", (FAULT_DTYPE, TABLE_ROWS)),
        ("overflow", (OVERFLOW_DTYPE, 1)),
    ]
    columns = [(f"pairs/{name}", (u1, nbytes(capacity))) for name in COLUMNS]
    index = [("pairs/index", (np.dtype("<u8"), capacity))] if info.has_index else []
    time = [("pairs/time", (np.dtype("<f8"), capacity))] if info.has_time else []
    return tables + columns + index + time


def file_size(info: RunInfo, capacity: int) -> int:
    """Bytes of a file with this layout, headers estimated."""
    data = sum(kind.itemsize * n for _, (kind, n) in _datasets(info, capacity))
    return data + len(info.config) + len(json.dumps(dict(info.thresholds))) + 65536


def create(
    path: Path, info: RunInfo, *, capacity: int, rows: int = 0, data_digest: str = ""
) -> Layout:
    """Make the file: all of its metadata, its data one hole in the disk until written."""
    with (
        disk_errors(path, "creating the file"),
        h5py.File(
            path,
            "w-",
            libver=_LIBVER,
            locking=False,
            alignment_threshold=1 << 16,
            alignment_interval=1 << 12,
        ) as file,
    ):
        for name, value in _attributes(info).items():
            file.attrs[name] = value
        file.attrs["rows"] = np.uint64(rows)
        file.attrs.create("data_digest", np.bytes_(data_digest.encode()), dtype="S64")
        for name, (kind, length) in _datasets(info, capacity):
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            dataset = file.create_dataset(name, (length,), kind, dcpl=plan)
            dataset.attrs.update(_describe(name))
        file.attrs["header_checksum"] = np.uint64(_header_checksum(file))
    return read(path)


def _attributes(info: RunInfo) -> dict[str, object]:
    seed = np.uint64(info.seed) if info.seed < 1 << 64 else str(info.seed)
    return {
        "format": FORMAT,
        "format_version": np.array(FORMAT_VERSION, "<i4"),
        "creator": "caligo-mpi",
        "creator_version": __version__,
        "file_time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "software_dependencies": json.dumps(dict(info.software)),
        "config": info.config,
        "config_digest": info.config_digest,
        "seed": seed,
        "engine": info.engine,
        "stream_version": np.int64(info.stream_version),
        "thresholds": json.dumps(dict(info.thresholds)),
        "pairs": np.uint64(info.pairs),
        "chunk_size": np.uint64(info.chunk_size),
        "coincidence": np.float64(info.coincidence),
        **info.notes,
    }


def _header_checksum(file: h5py.File) -> int:
    """XXH3-64 over the attributes that decide bits and over where the data are: HDF5 protects only some of that."""
    places = [file[name].id.get_offset() for name in ("chunks", "runs", "faults", "overflow")]
    places += [file["pairs"][name].id.get_offset() for name in sorted(file["pairs"])]
    return xxhash.xxh3_64_intdigest(
        repr([str(file.attrs[name]) for name in _CHECKED] + places).encode()
    )


def _describe(name: str) -> dict[str, object]:
    """What a reader without this package needs to know about a dataset."""
    column = name.rpartition("/")[2]
    if column in COLUMNS:
        return {
            "encoding": "bit-packed, little bit order: row i is bit i % 8 of byte i // 8",
            "flag_values": np.array([0, 1], "u1"),
            "flag_meanings": "Z X" if column.endswith("basis") else "0 1",
            "unpack": "numpy.unpackbits(dataset[:], count=file.attrs['rows'], bitorder='little')",
        }
    if name == "pairs/index":
        return {"long_name": "global emission number of the row"}
    if name == "pairs/time":
        return {
            "units": "ns",
            "long_name": "simulated time within the simulation of the row's chunk",
        }
    return {}


def read(path: Path) -> Layout:
    """Read a file's metadata; `Damaged` where it cannot be read or is not in order."""
    with opened(path, holds="pairs", format=FORMAT, version=FORMAT_VERSION) as file:
        layout = _parse(file)
    if path.stat().st_size < layout.size:
        raise Damaged(f"{path} is truncated: {path.stat().st_size} bytes of {layout.size}")
    return layout


def _parse(file: h5py.File) -> Layout:
    attrs = file.attrs
    if int(attrs["header_checksum"]) != _header_checksum(file):
        raise ValueError("its attributes do not have their checksum")
    info = RunInfo(
        pairs=int(attrs["pairs"]),
        chunk_size=int(attrs["chunk_size"]),
        seed=int(attrs["seed"]),
        engine=str(attrs["engine"]),
        stream_version=int(attrs["stream_version"]),
        config=str(attrs["config"]),
        config_digest=str(attrs["config_digest"]),
        thresholds=json.loads(attrs["thresholds"]),
        has_index="index" in file["pairs"],
        has_time="time" in file["pairs"],
        coincidence=float(attrs["coincidence"]),
        software=json.loads(attrs["software_dependencies"]),
    )
    rows, digest = int(attrs["rows"]), bytes(attrs["data_digest"]).decode()
    capacity = int(file["pairs/index"].shape[0]) if info.has_index else info.pairs
    return Layout(
        info=info,
        capacity=capacity,
        rows=rows,
        data_digest=digest,
        created=str(attrs["file_time"]),
        offsets={
            name: _offset(file, name, kind, n) for name, (kind, n) in _datasets(info, capacity)
        },
    )


def _offset(file: h5py.File, name: str, kind: np.dtype[Any], length: int) -> int:
    dataset = file[name]
    if dataset.shape != (length,) or dataset.dtype != kind:
        raise ValueError(
            f"/{name} has shape {dataset.shape} and type {dataset.dtype}, not ({length},) and {kind}"
        )
    offset = dataset.id.get_offset()
    if offset is None and length:
        raise ValueError(f"/{name} is not contiguous")
    return int(offset or 0)


def complete(path: Path, *, rows: int, data_digest: str) -> None:
    """Write the attributes that are known last, over placeholders of the same size."""
    with (
        disk_errors(path, "writing the final attributes"),
        h5py.File(path, "r+", libver=_LIBVER, locking=False) as file,
    ):
        file.attrs.modify("rows", np.uint64(rows))
        file.attrs.modify("data_digest", np.bytes_(data_digest.encode()))
