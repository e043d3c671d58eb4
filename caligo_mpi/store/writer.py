"""`PairStore`: the one writer of a pairs file.

It writes raw bytes at the offsets that `layout` laid out.  The order of a commit is: rows, then
(with ``durability="fsync"``) the disk, then the records that say so.  A record therefore never stands
before its rows, and a kill at any moment loses only what was not yet committed.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..pairs import CHUNK_DTYPE, COLUMNS, ChunkList, ChunkResult, Pairs, bits
from ..terminal.wording import counted, so_far
from .files import disk_errors, read_at, write_at
from .layout import FAULT_DTYPE, OVERFLOW_DTYPE, RUN_DTYPE, TABLE_ROWS, Layout, RunInfo
from .output import Output
from .prepare import PairsKind, extend, prepare
from .publish import Stopped, publish
from .reader import read_table
from .records import (
    Committed,
    Records,
    batches,
    damaged_chunks,
    mark_for_redoing,
    read_records,
    scan,
    seal,
    write_record,
)
from .rows import RowWriter

Durability = Literal["flush", "fsync"]

# What a crash may cost: so much data, so much time since the last commit, so much computing.
_COMMIT_BYTES = 32 << 20
_COMMIT_SECONDS = 0.25

# The data written last are the ones a failing machine loses.
_CHECKED_ON_RESUME = 64

# Damaged chunks that are named one by one.
_LISTED = 8


class PairStore:
    """A run's file while it is written; exactly one process may hold it.

    ``messages`` says what was found and done, one sentence each; ``rows`` counts what was appended.  Chunks come
    in the order of `todo`.  An append becomes durable with the next commit: every few chunks by itself, or `commit`.
    """

    def __init__(self, output: Output, layout: Layout, *, durability: Durability) -> None:
        self.path, self.info = output.path, layout.info
        self.messages = output.messages
        self._output, self._part, self._layout = output, output.part, layout
        self._sync = durability == "fsync"
        self._fd = os.open(self._part, os.O_RDWR)
        self._failed = False
        self._run, self._launch = 0, np.zeros(1, RUN_DTYPE)
        self._holes: deque[range] = deque()  # none is empty
        self._next = 0
        self._writer = RowWriter(self._fd, layout, 0)
        self._records = bytearray()
        self._pending_bytes, self._pending_seconds, self._committed_at = 0, 0.0, time.monotonic()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        info: RunInfo,
        *,
        launch: Mapping[str, object],
        durability: Durability = "flush",
        force: bool = False,
    ) -> PairStore:
        """Create the partial file of ``path``, or resume, extend or repair the one that is there.

        ``launch`` describes this launch for ``/runs`` and the lock: ``id, ranks, host, pid, job, mpi``, each
        optional, and anything else as ``software``.  ``force`` sets another run's files aside instead of refusing;
        nothing is deleted.  Raises `StoreError`, having changed nothing, where the file is another run's, complete,
        locked, or does not fit on the disk.
        """
        launch = {"id": uuid.uuid4().hex, **launch}
        output = Output.claim(path, PairsKind(info), launch=launch, force=force)
        try:
            with disk_errors(output.path, "opening the output"):
                layout = prepare(output, info)
                store = cls(output, layout, durability=durability)
        except BaseException:
            output.release()
            raise
        try:
            store._resume(launch)
        except BaseException:
            with suppress(StoreError):
                store.close()
            raise
        return store

    def __enter__(self) -> PairStore:
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
    def thresholds(self) -> dict[str, object]:
        """The thresholds stored when the run began: every launch decides by them, whatever its machine computes."""
        return dict(self.info.thresholds)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk was appended."""
        return not self._holes and self._next == len(self.info.partition)

    @property
    def todo(self) -> ChunkList:
        """The chunks still to be appended, in the order in which they must come."""
        return ChunkList([*self._holes, range(self._next, len(self.info.partition))])

    @property
    def ready(self) -> int:
        """The first chunk that is not in: all below it are."""
        return self._holes[0].start if self._holes else self._next

    @property
    def is_whole(self) -> bool:
        """Whether no chunk is missing before the last one that is in."""
        return not self._holes

    def records(self, start: int, stop: int) -> Iterator[Records]:
        """The records of the chunks ``start`` to ``stop``, which are in, some at a time."""
        self.commit()
        for _, found in batches(self._fd, self._layout, range(start, stop)):
            yield found

    def grow(self, pairs: int) -> None:
        """Make room for so many emissions, once every chunk that there was room for is in.

        Raises `StoreError`, and leaves the file as it is, where the disk cannot hold them.
        """
        self.commit()
        with self._writing():
            self._output.check()
            larger = replace(self.info, pairs=pairs)
            layout, _ = extend(self._output, self._part, self._layout, larger)
            os.close(self._fd)
            self._fd = os.open(self._part, os.O_RDWR)
            self._layout, self.info = layout, layout.info
            state = scan(self._fd, layout)
            self._next, self._holes = state.next, deque(_undone(state, []))
            self._writer = RowWriter(self._fd, layout, self._end_of(self._next - 1))

    def append(self, result: ChunkResult, *, rank: int) -> None:
        """Take the next chunk of `todo`; `StoreError` where the disk fails or the chunk cannot be this run's."""
        record = _single(result.record)
        self._require_fit(record, result.pairs)
        record["run"], record["rank"], record["done"] = self._run, rank, 1
        with self._writing():
            if self._holes:
                self._redo(record, result.pairs)
            else:
                self._add(record, result.pairs)
            if self._is_due():
                self.commit()

    def commit(self) -> None:
        """Make all appended chunks durable; free where there is nothing to do."""
        if not self._records:
            return
        with self._writing():
            self._output.check()
            self._writer.flush()
            self._press()
            first = self._next - len(self._records) // CHUNK_DTYPE.itemsize
            write_at(
                self._fd,
                self._records,
                self._layout.offsets["chunks"] + first * CHUNK_DTYPE.itemsize,
            )
            self._note_commit()
            self._press()
        self._records.clear()
        self._pending_bytes, self._pending_seconds, self._committed_at = 0, 0.0, time.monotonic()

    def record_fault(self, what: str, *, rank: int = 0, host: str = "", chunks: int = 0) -> None:
        """Add a row to ``/faults``; ``chunks`` is how many are redone for it."""
        row = np.zeros(1, FAULT_DTYPE)
        row["time"], row["run"], row["rank"], row["chunks"] = time.time(), self._run, rank, chunks
        row["host"], row["what"] = _text(host or socket.gethostname(), 64), _text(what, 256)
        with self._writing():
            self._add_row("faults", row)

    def finish(self, stopped: Stopped | None = None) -> Path:
        """Publish the file under its final name, once every chunk is in; may be called again after a kill.

        A run that ``stopped`` before has all chunks up to there.
        """
        self.commit()
        if not stopped and not self.is_complete:
            raise StoreError(
                f"{self._part}: {counted(len(self.todo), 'chunk')} missing; run the same command again"
            )
        with self._writing():
            publish(self._output, self._layout, self._fd, stopped)
        self.close()
        return self.path

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

    def _resume(self, launch: Mapping[str, object]) -> None:
        """Find what is committed and intact, and leave the rest in `todo`."""
        with self._writing():
            state = scan(self._fd, self._layout)
            last = range(max(0, state.next - _CHECKED_ON_RESUME), state.next)
            bad = list(damaged_chunks(self._fd, self._layout, last))
            for index in bad:
                mark_for_redoing(self._fd, self._layout, index)
            self._next = state.next
            self._holes.extend(_undone(state, bad))
            if self._holes and self._holes[-1].stop == self._next:
                self._next = self._holes.pop().start
            self._writer = RowWriter(self._fd, self._layout, self._end_of(self._next - 1))
            self._launch = _run_row(launch)
            self._run = self._add_row("runs", self._launch)
            self._report(state, bad)

    def _report(self, state: Committed, bad: list[int]) -> None:
        chunks = len(self.info.partition)
        if state.next:
            kept = chunks - len(self.todo)
            self.messages.append(f"resuming {self._part}: {so_far(kept, chunks, 'chunk')}")
        beyond = ChunkList(part for part in state.broken.ranges if part.start >= state.next)
        damaged = sorted([*_few(state.holes), *bad, *_few(beyond)])
        if damaged:
            number = len(state.holes) + len(bad) + len(beyond)
            listed = ", ".join(map(str, damaged[:_LISTED])) + (", …" if number > _LISTED else "")
            again = f"{counted(number, 'damaged chunk')} {'is' if number == 1 else 'are'} redone"
            self.messages.append(f"{again}: {listed}")
            self.record_fault(f"damaged chunks found on opening: {listed}", chunks=number)

    def _require_fit(self, record: Records, pairs: Pairs | None) -> None:
        """A result that does not belong here is a mistake of the program or of an engine."""
        info = self.info
        index, rows = int(record["index"]), int(record["rows"])
        next_ = self._holes[0].start if self._holes else self._next
        if index != next_:
            raise ValueError(
                f"chunk={index} came where chunk {next_} is due; chunks are appended in the order of todo"
            )
        chunk = info.partition[index]
        if (int(record["start"]), int(record["count"])) != (chunk.start, chunk.count):
            raise ValueError(
                f"chunk={index} has start={record['start']} count={record['count']}; it must be {chunk}"
            )
        if rows > chunk.count or not (info.has_index or rows == chunk.count):
            raise ValueError(f"chunk={index} has rows={rows} and {chunk.count} emissions")
        if (pairs is not None) != info.has_columns:
            raise ValueError(
                f"chunk={index} comes with columns={pairs is not None}; the file has keep={info.keep}"
            )
        if pairs is not None:
            self._require_columns(index, rows, pairs)

    def _require_columns(self, index: int, rows: int, pairs: Pairs) -> None:
        """The columns must be those that the file has, and as long as the record says."""
        info = self.info
        if pairs.count != rows:
            raise ValueError(f"chunk={index} has {pairs.count} pairs and rows={rows}")
        if pairs.columns.shape != (len(COLUMNS), bits.nbytes(rows)):
            raise ValueError(
                f"chunk={index} has columns of shape {pairs.columns.shape} for {rows} pairs"
            )
        beside = {name: (v.dtype, len(v)) for name, v in pairs.beside.items()}
        due = {column.name: (column.kind, rows) for column in info.table[len(COLUMNS) :]}
        if beside != due:
            raise ValueError(
                f"chunk={index} has beside its bits {beside}, which does not fit the file's {due}"
            )

    def _add(self, record: Records, pairs: Pairs | None) -> None:
        row, rows = self._writer.row, int(record["rows"])
        if row + rows > self._layout.capacity:
            raise StoreError(
                f"{self._part} has room for {self._layout.capacity} rows and chunk {self._next} exceeds it: the engine "
                f"registers more pairs than its coincidence={self.info.coincidence:.6g} announces"
            )
        if pairs is None:
            self._writer.skip(rows)
        else:
            self._writer.add(pairs)
            self._pending_bytes += pairs.columns.nbytes
        record["row"] = row
        seal(record)
        self._records += record.tobytes()
        self._next += 1
        self._pending_seconds += float(record["seconds"])

    def _redo(self, record: Records, pairs: Pairs | None) -> None:
        """Write a damaged chunk anew where it stood, and commit it at once."""
        gap = self._holes[0]
        index = gap.start
        row = self._end_of(index - 1)
        old, following = read_records(self._fd, self._layout, index, index + 2)
        end = row + int(record["rows"])
        if len(gap) == 1 and end != int(following["row"]):
            raise StoreError(
                f"{self._part}: chunk {index} was redone and its rows end at {end}, not at "
                f"{int(following['row'])}: the engine does not reproduce its own pairs; choose another output"
            )
        self._output.check()
        if pairs is not None:
            self._writer.rewrite(pairs, row)
        self._press()
        record["row"], record["attempt"] = row, int(old["attempt"]) + 1
        write_record(self._fd, self._layout, record)
        self._press()
        self._holes.popleft()
        if len(gap) > 1:
            self._holes.appendleft(gap[1:])

    def _is_due(self) -> bool:
        return (
            self._pending_bytes >= _COMMIT_BYTES
            or self._pending_seconds >= _COMMIT_SECONDS
            or time.monotonic() - self._committed_at >= _COMMIT_SECONDS
        )

    def _end_of(self, index: int) -> int:
        """The row behind a committed chunk; 0 before the first."""
        if index < 0:
            return 0
        record = read_records(self._fd, self._layout, index, index + 1)[0]
        return int(record["row"] + record["rows"])

    def _press(self) -> None:
        if self._sync:
            os.fsync(self._fd)

    def _note_commit(self) -> None:
        self._launch["last_commit"] = time.time()
        if self._run < TABLE_ROWS:
            write_at(
                self._fd,
                self._launch,
                self._layout.offsets["runs"] + self._run * RUN_DTYPE.itemsize,
            )

    def _add_row(self, name: str, row: NDArray[Any]) -> int:
        """Write the next row of ``/runs`` or ``/faults`` and give its number; a full table only counts."""
        used = len(read_table(self._fd, self._layout, name))
        if used < TABLE_ROWS:
            write_at(self._fd, row, self._layout.offsets[name] + used * row.dtype.itemsize)
            return used
        overflow = np.zeros(1, OVERFLOW_DTYPE)
        read_at(self._fd, overflow, self._layout.offsets["overflow"])
        overflow[name] += 1
        write_at(self._fd, overflow, self._layout.offsets["overflow"])
        return used + int(overflow[name][0]) - 1


def _undone(state: Committed, bad: list[int]) -> list[range]:
    """Chunks below ``state.next`` to be done again, in order, neighbors together."""
    parts = sorted([*state.holes.ranges, *(range(index, index + 1) for index in bad)], key=_start)
    joined: list[range] = []
    for part in parts:
        if joined and part.start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(part.stop, joined[-1].stop))
        else:
            joined.append(part)
    return joined


def _start(part: range) -> int:
    return part.start


def _few(chunks: ChunkList) -> list[int]:
    """As many as are listed, and one more."""
    return list(chunks[: _LISTED + 1])


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


def _single(record: NDArray[np.void]) -> Records:
    """A copy of one record as an array without axes."""
    return np.frombuffer(bytearray(record.tobytes()), CHUNK_DTYPE).reshape(())


def _text(value: object, size: int) -> bytes:
    """At most ``size`` bytes of UTF-8, cut between characters."""
    return str(value).encode()[:size].decode(errors="ignore").encode()
