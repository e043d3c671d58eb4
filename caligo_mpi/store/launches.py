"""The tables of launches and faults: who wrote to a file, and what went wrong."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import read_at, write_at
from .layout import FAULT_DTYPE, OVERFLOW_DTYPE, RUN_DTYPE, TABLE_ROWS, TABLES, Layout
from .metrics import METRICS_DTYPE, fold, read_metrics, share, used_rows, write_metrics


def read_table(fd: int, layout: Layout, name: str) -> NDArray[Any]:
    """The used rows of ``/runs`` or ``/faults``."""
    kind, mark = TABLES[name]
    table = np.empty(TABLE_ROWS, kind)
    read_at(fd, table, layout.offsets[name])
    used = np.count_nonzero(table[mark])
    return table[:used]


def metrics_of(fd: int, layout: Layout) -> NDArray[np.void]:
    """The rows of ``/metrics``; none in files of older formats."""
    if not layout.info.metrics:
        return np.zeros(0, METRICS_DTYPE)
    return read_metrics(fd, layout.offsets["metrics"], layout.info.metrics)


class Launches:
    """A launch's row of ``/runs``, which is ``number``, and what it adds to ``/faults``."""

    def __init__(self, fd: int, layout: Layout, launch: Mapping[str, object]) -> None:
        self._fd = fd
        self._layout = layout
        self._row = _run_row(launch)
        self.number = self._add("runs", self._row)
        self._metrics: tuple[int, int] | None = None  # first row of this launch, and how many

    def moved(self, fd: int, layout: Layout) -> None:
        """The file was copied to a larger one."""
        self._fd = fd
        self._layout = layout

    @property
    def ranks(self) -> int:
        """How many processes the launch has."""
        return int(self._row["ranks"][0])

    @property
    def mark(self) -> tuple[int, bytes] | None:
        """Where the file has this launch's id, and the id; None where the table is full."""
        if self.number >= TABLE_ROWS:
            return None
        fields = RUN_DTYPE.fields
        assert fields is not None
        _, offset, *_ = fields["id"]
        own = self._row["id"]
        return self._place + offset, own.tobytes()

    @property
    def _place(self) -> int:
        """Where the file has this launch's row."""
        return self._layout.offsets["runs"] + self.number * RUN_DTYPE.itemsize

    def note_commit(self) -> None:
        """Say that something was committed now."""
        self._row["last_commit"] = time.time()
        if self.number < TABLE_ROWS:
            write_at(self._fd, self._row, self._place)

    def fault(
        self,
        what: str,
        *,
        rank: int,
        host: str,
        chunks: int,
    ) -> None:
        """Add a row to ``/faults``: what went wrong, where, and how many chunks are redone for it."""
        row = np.zeros(1, FAULT_DTYPE)
        row["time"] = time.time()
        row["run"] = self.number
        row["rank"] = rank
        row["chunks"] = chunks
        row["host"] = _text(host or socket.gethostname(), 64)
        row["what"] = _text(what, 256)
        self._add("faults", row)

    def metrics(self, rows: NDArray[np.void]) -> None:
        """Write what ranks did so far over what they had done before; not in files without room for it."""
        there = self._layout.info.metrics
        if not there:
            return
        place = self._layout.offsets["metrics"]
        if self._metrics is None:
            used = used_rows(self._fd, place, there)
            most = share(self.ranks, used=used, rows=there)
            self._metrics = (used, most)
        first, most = self._metrics
        write_metrics(
            self._fd,
            place,
            fold(rows, most),
            run=self.number,
            first=first,
        )

    def _add(self, name: str, row: NDArray[Any]) -> int:
        """Write the next row of a table and give its number; a full table only counts."""
        offsets = self._layout.offsets
        table = read_table(self._fd, self._layout, name)
        used = len(table)
        if used < TABLE_ROWS:
            place = offsets[name] + used * row.dtype.itemsize
            write_at(self._fd, row, place)
            return used
        overflow = np.zeros(1, OVERFLOW_DTYPE)
        place = offsets["overflow"]
        read_at(self._fd, overflow, place)
        overflow[name] += 1
        write_at(self._fd, overflow, place)
        too_many = int(overflow[name][0])
        return used + too_many - 1


def _run_row(launch: Mapping[str, object]) -> NDArray[Any]:
    """A row of ``/runs``; what it has no field for goes into ``software``, as much as fits."""
    row = np.zeros(1, RUN_DTYPE)
    now = time.time()
    row["started"] = now
    row["last_commit"] = now
    host = launch.get("host", socket.gethostname())
    row["ranks"] = launch.get("ranks", 1)
    row["pid"] = launch.get("pid", os.getpid())
    row["id"] = _text(launch["id"], 40)
    row["host"] = _text(host, 64)
    row["job"] = _text(launch.get("job", ""), 32)
    row["mpi"] = _text(launch.get("mpi", ""), 64)
    row["software"] = _rest(launch)
    return row


def _rest(launch: Mapping[str, object]) -> bytes:
    """What a row has no field for, as JSON: as much of it as fits."""
    fields = RUN_DTYPE.names or ()
    rest = {key: value for key, value in launch.items() if key not in fields}
    while True:
        text = json.dumps(rest, default=str)
        raw = text.encode()
        if len(raw) <= 512:
            return raw
        rest.popitem()


def _text(value: object, size: int) -> bytes:
    """At most ``size`` bytes of UTF-8, cut between characters."""
    raw = str(value).encode()
    text = raw[:size].decode(errors="ignore")
    return text.encode()
