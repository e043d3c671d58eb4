"""The finished file of a sweep: written once, read back whole.  docs/sweeps.md specifies the format."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import StoreError
from . import hdf5
from .files import disk_errors
from .keys_data import table
from .metadata import Metadata, checksum, opened, read_dataset
from .names import input_name, part_path
from .sweep_data import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    UNNAMED,
    Row,
    SweepInfo,
    SweepRows,
    blank_row,
)
from .sweep_journal import TornSweep, is_partial_sweep, read_sweep_journal


def write_sweep(path: Path, info: SweepInfo, rows: Iterable[Row]) -> None:
    """Make the HDF5 file; ``path`` must be free."""
    every = list(rows)
    columns = {}
    for name, kind in COLUMNS.items():
        columns[name] = (kind, [row[name] for row in every])
    with disk_errors(path, "writing the sweep"):
        with hdf5.create(path) as file:
            hdf5.describe(file, _attributes(info))
            file.create_dataset("points", data=table(columns))
        with _opened(path) as (fd, metadata):
            value = _checksum(metadata, fd)
        with hdf5.change(path) as file:
            file.attrs.modify("checksum", np.uint64(value))


def _opened(path: Path) -> AbstractContextManager[tuple[int, Metadata]]:
    return opened(
        path,
        holds="a sweep",
        format=FORMAT,
        version=FORMAT_VERSION,
    )


def read_sweep_file(path: str | os.PathLike[str]) -> SweepRows:
    """What is in a sweep's finished file, or in its partial file where that is there.

    Raises `StoreError` where there is none, or where it is damaged.
    """
    path = input_name(path)
    part = part_path(path)
    if part.exists() or is_partial_sweep(path):
        try:
            return read_sweep_journal(part if part.exists() else path)[0]
        except TornSweep:
            if not path.exists():
                raise
    return read_finished(path)


def read_finished(path: Path) -> SweepRows:
    """What is in a finished file; `StoreError` where it is damaged."""
    with _opened(path) as (fd, metadata):
        if _checksum(metadata, fd) != metadata.number("checksum"):
            raise StoreError(
                f"{path} is damaged (its checksum does not fit); "
                "restore it from a copy, or set it aside with --force and run the sweep again"
            )
        info = SweepInfo(
            identity=metadata.text("identity"),
            axes=json.loads(metadata.text("axes")),
            settings=json.loads(metadata.text("settings")),
            software=json.loads(metadata.text("software_dependencies")),
        )
        points = read_dataset(metadata, fd, "points")
    rows = _rows(points)
    named = [(row["key"], row["parameters"]) for row in rows if row["number"] < UNNAMED]
    by_key = {row["key"]: row for row in rows}
    return SweepRows(info, by_key, points=named)


def _rows(points: NDArray[Any]) -> list[Row]:
    """The rows of a table; columns may be newer than the file."""
    there = [name for name in COLUMNS if name in (points.dtype.names or ())]
    columns = []
    for name in there:
        values = points[name].tolist()
        if COLUMNS[name] is str:
            values = [text.decode() for text in values]
        columns.append(values)
    rows = []
    for values in zip(*columns, strict=True):
        known = dict(zip(there, values, strict=True))
        rows.append({**blank_row(), **known})
    return rows


def _attributes(info: SweepInfo) -> dict[str, object]:
    return {
        "format": FORMAT,
        "format_version": np.array(FORMAT_VERSION, "<i4"),
        "creator": "caligo-mpi",
        "creator_version": __version__,
        "file_time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "software_dependencies": json.dumps(dict(info.software)),
        "identity": info.identity,
        "axes": json.dumps(info.axes),
        "settings": json.dumps(dict(info.settings)),
        "checksum": np.uint64(0),
    }


def _checksum(metadata: Metadata, fd: int) -> int:
    return checksum(
        metadata,
        fd,
        ["points"],
        leave_out="checksum",
    )
