"""A partial pairs file that this process holds, and what waits to be committed to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..pairs import CHUNK_DTYPE
from .files import disk_errors, write_at
from .launches import Launches
from .layout import Layout
from .output import Output
from .records import Records, end_of
from .rows import RowWriter
from .todo import Todo

if TYPE_CHECKING:
    from typing_extensions import Self

Durability = Literal["flush", "fsync"]

# What a crash may cost: so much data, so much time since the last commit, so much computing.
_COMMIT_BYTES = 32 << 20
_COMMIT_SECONDS = 0.25


class Pending:
    """The records of appended chunks since the last commit; ``records`` are their bytes."""

    def __init__(self) -> None:
        self.records = bytearray()
        self._bytes = 0
        self._seconds = 0.0
        self._since = time.monotonic()

    def add(self, record: Records, size: int) -> None:
        """One more, of a chunk of ``size`` bytes."""
        self.records += record.tobytes()
        self._bytes += size
        self._seconds += float(record["seconds"])

    @property
    def is_due(self) -> bool:
        """Whether a crash would cost more than it should."""
        waited = time.monotonic() - self._since
        return self._bytes >= _COMMIT_BYTES or max(self._seconds, waited) >= _COMMIT_SECONDS


class Held:
    """The file, its lock and its commits: rows first, then the records that say so.

    After a failure nothing more is written to it.
    """

    _launches: Launches

    def __init__(self, output: Output, layout: Layout, *, durability: Durability) -> None:
        self.path = output.path
        self.info = layout.info
        self.messages = output.messages
        self._output = output
        self._part = output.part
        self._layout = layout
        self._sync = durability == "fsync"
        self._fd = os.open(self._part, os.O_RDWR)
        self._failed = False
        self._todo = Todo(len(layout.info.partition))
        self._writer = RowWriter(self._fd, layout, 0)
        self._pending = Pending()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        # What is wrong was raised already; a second failure must not hide it.
        with suppress(StoreError):
            self.close()

    @property
    def rows(self) -> int:
        """Rows up to the last appended chunk."""
        return self._writer.row

    @property
    def ranks(self) -> int:
        """Processes of this launch."""
        return self._launches.ranks

    def commit(self) -> None:
        """Make all appended chunks durable; free where there is nothing to do."""
        records = self._pending.records
        if not records:
            return
        with self._writing():
            self._output.check()
            self._writer.flush()
            self._press()
            first = self._todo.next * CHUNK_DTYPE.itemsize - len(records)
            write_at(self._fd, records, self._layout.offsets["chunks"] + first)
            self._launches.note_commit()
            self._press()
        self._pending = Pending()

    def record_fault(
        self,
        what: str,
        *,
        rank: int = 0,
        host: str = "",
        chunks: int = 0,
    ) -> None:
        """Add a row to ``/faults``; ``chunks`` is how many are redone for it."""
        with self._writing():
            self._launches.fault(
                what,
                rank=rank,
                host=host,
                chunks=chunks,
            )

    def record_metrics(self, rows: NDArray[np.void]) -> None:
        """Say what the ranks of this launch have done so far, in ``/metrics``: rows of `METRICS_DTYPE`."""
        with self._writing():
            self._launches.metrics(rows)

    def close(self) -> None:
        """Commit what was appended and release the file; a partial file stays and can be resumed."""
        if self._fd < 0:
            return
        try:
            if not self._failed:
                self.commit()
        finally:
            os.close(self._fd)
            self._fd = -1
            self._output.release()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """After a failure nothing more is written: what is in memory may be half an append."""
        if self._failed or self._fd < 0:
            raise StoreError(f"{self._part} is closed or failed before; open it again")
        try:
            with disk_errors(self._part, "writing"):
                yield
        except BaseException:
            self._failed = True
            raise

    def _begin_rows(self) -> None:
        end = end_of(self._fd, self._layout, self._todo.next - 1)
        self._writer = RowWriter(self._fd, self._layout, end)

    def _press(self) -> None:
        if self._sync:
            os.fsync(self._fd)
