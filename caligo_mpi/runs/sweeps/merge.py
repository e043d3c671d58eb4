"""Several directories of one sweep, or of sweeps of equal base, as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import StoreError
from ...store.sweep_data import Row, SweepRows, same_results
from ...store.sweep_file import read_sweep_file
from ...store.sweep_store import SweepStore, require_same_sweep
from ..job import Observer
from .results import Table, write_results
from .summary import SweepSummary

FILE = "sweep.h5"


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
    found = [(Path(folder), read_sweep_file(Path(folder) / FILE)) for folder in directories]
    start = found[0][1]
    rows: dict[str, Row] = {}
    points: dict[str, str] = {}
    for folder, some in found:
        require_same_sweep(folder, some.info, start.info)
        _take(rows, some, folder)
        points |= dict(some.points)
    if target.exists() and any(target.samefile(folder) for folder, _ in found):
        raise StoreError(f"{target} is one of the sweeps that are merged; choose another directory")
    target.mkdir(exist_ok=True)
    listed = [(number, key, parameters) for number, (key, parameters) in enumerate(points.items())]
    numbered = [{**rows[key], "number": number} for number, key, _ in listed if key in rows]
    info = replace(start.info, axes=[list(axis) for axis in start.info.axes])
    table = Table.of(info, listed, rows)
    with SweepStore.open(target / FILE, info, launch={}) as store:
        if not store.found.rows.keys() <= rows.keys():
            raise StoreError(
                f"{target} has points of its own already; name it among the directories and "
                "choose another one for the result"
            )
        write_results(target, table, store=store, observer=observer)
        store.finish(numbered)
    complete = len(numbered) == len(listed)
    return SweepSummary(target, table, 0, 0.0, complete)


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
