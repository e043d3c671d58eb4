"""Several directories of one sweep, or of sweeps of equal base, as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import StoreError
from ...store.files import disk_errors
from ...store.sweep_data import Row, SweepRows, same_results
from ...store.sweep_file import read_sweep_file
from ...store.sweep_store import SweepStore, require_place, require_same_sweep
from ..job import Observer
from .reading import FILE
from .results import Listed, Table, write_results
from .summary import SweepSummary


def merge(
    directories: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    observer: Observer | None = None,
) -> SweepSummary:
    """Put the finished points of several sweeps of equal base into a directory of its own.

    Raises `StoreError` for sweeps of another base, naming the difference, and for points that two
    of them have with other results.  Pairs files stay where they are.
    """
    observer = observer or Observer()
    target = Path(output)
    folders = [Path(folder) for folder in directories]
    found = [read_sweep_file(folder / FILE) for folder in folders]
    first = found[0].info
    rows: dict[str, Row] = {}
    points: dict[str, str] = {}
    for folder, some in zip(folders, found, strict=True):
        require_same_sweep(folder, some.info, first)
        _take(rows, some, folder)
        points |= dict(some.points)
    _make_place(target, folders)
    listed, numbered = _numbered(points, rows)
    info = replace(first, axes=[list(axis) for axis in first.axes])
    table = Table.of(info, listed, rows)
    with SweepStore.open(target / FILE, info, launch={}) as store:
        _require_no_others(store, rows, target)
        write_results(target, table, store=store, observer=observer)
        store.finish(numbered)
    complete = len(numbered) == len(listed)
    return SweepSummary(
        target,
        table,
        launched=0,
        seconds=0.0,
        complete=complete,
    )


def _make_place(target: Path, folders: list[Path]) -> None:
    """Make the directory of the result, which is none of those that are merged."""
    if target.exists() and any(map(target.samefile, folders)):
        raise StoreError(f"{target} is one of the sweeps that are merged; choose another directory")
    require_place(target)
    with disk_errors(target, "making the directory", remedy="choose another place for it"):
        target.mkdir(exist_ok=True)


def _numbered(points: dict[str, str], rows: dict[str, Row]) -> tuple[list[Listed], list[Row]]:
    """The points as a table lists them, and the rows of those that are finished."""
    listed = []
    numbered = []
    for number, (key, parameters) in enumerate(points.items()):
        listed.append((number, key, parameters))
        if key in rows:
            numbered.append({**rows[key], "number": number})
    return listed, numbered


def _require_no_others(store: SweepStore, rows: dict[str, Row], target: Path) -> None:
    if not store.found.rows.keys() <= rows.keys():
        raise StoreError(
            f"{target} has points of its own already; name it among the directories and "
            "choose another one for the result"
        )


def _take(rows: dict[str, Row], some: SweepRows, folder: Path) -> None:
    for key, row in some.rows.items():
        if row["state"] != "done":
            continue
        if key in rows and not same_results(rows[key], row):
            raise StoreError(
                f"{folder} has other results of the point {row['parameters']} than a directory "
                "before it: one of them was made with another release; leave one out"
            )
        rows.setdefault(key, row)
