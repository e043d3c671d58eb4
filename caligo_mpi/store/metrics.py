"""The table of what ranks did with their time: a row per launch and rank, each under a checksum of its own.

Rows are written over and over while a launch goes on.  One that a kill cut in the middle does not have its checksum
and is left out, and the table is under none of the file's other checksums: it says nothing about pairs.
"""

from __future__ import annotations

import time

import numpy as np
import xxhash
from numpy.typing import NDArray

from .files import read_at, write_at

Rows = NDArray[np.void]

#: Rows of ``/metrics`` in new files.
METRICS_ROWS = 2048

#: One row: a rank of a launch, or the last ``ranks`` of it together where the table has no room for one row each.
#: Times are seconds, ``updated`` is since 1970; memory is bytes.
METRICS_DTYPE = np.dtype(
    [
        ("run", "<u4"),
        ("rank", "<u4"),
        ("ranks", "<u4"),
        ("reserved", "<u4"),
        ("updated", "<f8"),
        ("seconds", "<f8"),
        ("busy", "<f8"),
        ("idle", "<f8"),
        ("communicating", "<f8"),
        ("writing", "<f8"),
        ("chunks", "<u8"),
        ("messages", "<u8"),
        ("bytes", "<u8"),
        ("peak_memory", "<u8"),
        ("efficiency", "<f8"),
        ("balance", "<f8"),
        ("host", "S32"),
        ("cores", "S32"),
        ("row_checksum", "<u8"),
    ]
)

_SUMMED = ("seconds", "busy", "idle", "communicating", "writing", "chunks", "messages", "bytes")
_CHECKED_BYTES = METRICS_DTYPE.itemsize - 8


def share(ranks: int, *, used: int, rows: int = METRICS_ROWS) -> int:
    """Rows for a launch of so many ranks: at most half of those left, so that later launches have some, too.

    >>> share(4, used=0), share(5000, used=0), share(64, used=2038), share(4, used=2048)
    (4, 1024, 5, 0)
    """
    left = rows - used
    return min(ranks, -(-left // 2))


def fold(rows: Rows, most: int) -> Rows:
    """At most so many rows: the last one stands for all ranks that have none of their own."""
    if len(rows) <= most:
        return rows
    kept = rows[:most].copy()
    if not most:
        return kept
    rest = rows[most - 1 :]
    last = kept[-1:]
    for name in _SUMMED:
        last[name] = rest[name].sum()
    last["ranks"] = rest["ranks"].sum()
    last["peak_memory"] = rest["peak_memory"].max()
    last["efficiency"] = last["busy"] / np.maximum(last["seconds"], 1e-9)
    last["balance"] = rest["balance"].mean()
    return kept


def write_metrics(
    fd: int,
    place: int,
    rows: Rows,
    *,
    run: int,
    first: int,
) -> None:
    """Write the rows of one launch, which is ``run``, from row ``first`` of the table that is at ``place``."""
    if not len(rows):
        return
    rows = rows.copy()
    rows["run"] = run
    rows["updated"] = time.time()
    for row in rows:
        row["row_checksum"] = _sum(row)
    write_at(fd, rows, place + first * METRICS_DTYPE.itemsize)


def read_metrics(fd: int, place: int, rows: int) -> Rows:
    """The rows that are whole, by launch and rank."""
    table = _read(fd, place, rows)
    used = table[: _used(table)]
    whole = np.array([row["row_checksum"] == _sum(row) for row in used], bool)
    found: Rows = used[whole]
    return found


def used_rows(fd: int, place: int, rows: int) -> int:
    """Rows up to the last one in use, whole or not."""
    return _used(_read(fd, place, rows))


def _read(fd: int, place: int, rows: int) -> Rows:
    table = np.empty(rows, METRICS_DTYPE)
    read_at(fd, table, place)
    return table


def _used(table: Rows) -> int:
    is_used = (table["ranks"] != 0) | (table["row_checksum"] != 0)
    taken = np.flatnonzero(is_used)
    return int(taken[-1]) + 1 if len(taken) else 0


def _sum(row: np.void) -> int:
    covered = row.tobytes()[:_CHECKED_BYTES]
    return xxhash.xxh3_64_intdigest(covered)
