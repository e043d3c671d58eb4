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
    return table[: np.count_nonzero(table[mark])]


def metrics_of(fd: int, layout: Layout) -> NDArray[np.void]:
    """The rows of ``/metrics``; none in files of older formats."""
    if not layout.info.metrics:
        return np.zeros(0, METRICS_DTYPE)
    return read_metrics(fd, layout.offsets["metrics"], layout.info.metrics)


class Launches:
    """A launch's row of ``/runs``, which is ``number``, and what it adds to ``/faults``."""

    def __init__(self, fd: int, layout: Layout, launch: Mapping[str, object]) -> None:
        self._fd, self._layout = fd, layout
        self._row = _run_row(launch)
        self.number = self._add("runs", self._row)
        self._metrics: tuple[int, int] | None = None  # first row of this launch, and how many

    def moved(self, fd: int, layout: Layout) -> None:
        """The file was copied to a larger one."""
        self._fd, self._layout = fd, layout

    @property
    def ranks(self) -> int:
        """Processes of the launch."""
        return int(self._row["ranks"][0])

    @property
    def mark(self) -> tuple[int, bytes] | None:
        """Where the file has this launch's id, and the id; None where the table is full."""
        if self.number >= TABLE_ROWS:
            return None
        row = self._layout.offsets["runs"] + self.number * RUN_DTYPE.itemsize
        fields = RUN_DTYPE.fields
        assert fields is not None
        return row + fields["id"][1], self._row["id"].tobytes()

    def note_commit(self) -> None:
        """Say that something was committed now."""
        self._row["last_commit"] = time.time()
        if self.number < TABLE_ROWS:
            place = self._layout.offsets["runs"] + self.number * RUN_DTYPE.itemsize
            write_at(self._fd, self._row, place)

    def fault(self, what: str, *, rank: int, host: str, chunks: int) -> None:
        """Add a row to ``/faults``."""
        row = np.zeros(1, FAULT_DTYPE)
        row["time"], row["run"], row["rank"], row["chunks"] = time.time(), self.number, rank, chunks
        row["host"], row["what"] = _text(host or socket.gethostname(), 64), _text(what, 256)
        self._add("faults", row)

    def metrics(self, rows: NDArray[np.void]) -> None:
        """Write what ranks did so far over what they had done before; not in files without room for it."""
        if not self._layout.info.metrics:
            return
        place = self._layout.offsets["metrics"]
        if self._metrics is None:
            there = self._layout.info.metrics
            used = used_rows(self._fd, place, there)
            ranks = int(self._row["ranks"][0])
            self._metrics = used, share(ranks, used=used, rows=there)
        first, most = self._metrics
        write_metrics(self._fd, place, fold(rows, most), run=self.number, first=first)

    def _add(self, name: str, row: NDArray[Any]) -> int:
        """Write the next row of a table and give its number; a full table only counts."""
        used = len(read_table(self._fd, self._layout, name))
        if used < TABLE_ROWS:
            write_at(self._fd, row, self._layout.offsets[name] + used * row.dtype.itemsize)
            return used
        overflow = np.zeros(1, OVERFLOW_DTYPE)
        read_at(self._fd, overflow, self._layout.offsets["overflow"])
        overflow[name] += 1
        write_at(self._fd, overflow, self._layout.offsets["overflow"])
        return used + int(overflow[name][0]) - 1


def _run_row(launch: Mapping[str, object]) -> NDArray[Any]:
    """A row of ``/runs``; what it has no field for goes into ``software``, as much as fits."""
    row = np.zeros(1, RUN_DTYPE)
    row["started"] = row["last_commit"] = time.time()
    row["ranks"], row["pid"] = launch.get("ranks", 1), launch.get("pid", os.getpid())
    row["id"], row["host"] = (
        _text(launch["id"], 40),
        _text(launch.get("host", socket.gethostname()), 64),
    )
    row["job"], row["mpi"] = _text(launch.get("job", ""), 32), _text(launch.get("mpi", ""), 64)
    rest = {key: value for key, value in launch.items() if key not in (RUN_DTYPE.names or ())}
    while len(text := json.dumps(rest, default=str).encode()) > 512:
        rest.popitem()
    row["software"] = text
    return row


def _text(value: object, size: int) -> bytes:
    """At most ``size`` bytes of UTF-8, cut between characters."""
    return str(value).encode()[:size].decode(errors="ignore").encode()
