"""`PairStore`: the one writer of a pairs file.

It writes raw bytes at the offsets that `layout` laid out.  The order of a commit is: rows, then
(with ``durability="fsync"``) the disk, then the records that say so.  A record therefore never stands
before its rows, and a kill at any moment loses only what was not yet committed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..machine.wording import counted, so_far
from ..pairs import CHUNK_DTYPE, COLUMNS, ChunkList, ChunkResult, bits
from ..pairs.chunks import Where
from .direct import Places
from .files import disk_errors
from .fit import require_fit
from .held import Durability, Held
from .info import RunInfo
from .launches import Launches
from .layout import Layout, place
from .output import Output
from .prepare import PairsKind, extend, prepare
from .publish import Stopped, publish
from .records import (
    Committed,
    Records,
    batches,
    end_of,
    read_records,
    scan,
    seal,
    write_record,
)
from .todo import damage, found, remaining


class PairStore(Held):
    """A run's file while it is written; exactly one process may hold it.

    ``messages`` says what was found and done, one sentence each; ``rows`` counts what was appended.  Chunks come
    in the order of `todo`.  An append becomes durable with the next commit: every few chunks by itself, or `commit`.
    """

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
                store = cls(output, prepare(output, info), durability=durability)
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

    @property
    def thresholds(self) -> dict[str, object]:
        """The thresholds stored when the run began: every launch decides by them, whatever its machine computes."""
        return dict(self.info.thresholds)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk was appended."""
        return self._todo.is_empty

    @property
    def todo(self) -> ChunkList:
        """The chunks still to be appended, in the order in which they must come."""
        return self._todo.left

    @property
    def ready(self) -> int:
        """The first chunk that is not in: all below it are."""
        return self._todo.due

    @property
    def is_whole(self) -> bool:
        """Whether no chunk is missing before the last one that is in."""
        return not self._todo.gap

    def records(self, start: int, stop: int) -> Iterator[Records]:
        """The records of the chunks ``start`` to ``stop``, which are in, some at a time."""
        self.commit()
        for _, some in batches(self._fd, self._layout, range(start, stop)):
            yield some

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
            self._layout = layout
            self.info = layout.info
            self._launches.moved(self._fd, layout)
            self._todo = remaining(layout, scan(self._fd, layout))
            self._begin_rows()

    def places(self, *, sync: bool) -> Places | None:
        """Where ranks may write the chunks to come; None where the file has no columns, or no row for this launch.

        With ``sync`` they press each chunk to the disk.
        """
        launch = self._launches.mark
        if not self.info.has_columns or launch is None:
            return None
        layout = self._layout
        columns = [(column, layout.offsets[place(column)]) for column in self.info.stored]
        return Places(
            part=self._part.absolute(),
            launch=launch,
            columns=tuple(columns),
            capacity=layout.capacity,
            begin=self._todo.next,
            row=self._writer.row,
            sync=sync,
        )

    def append(self, result: ChunkResult, *, rank: int) -> None:
        """Take the next chunk of `todo`; `StoreError` where the disk fails or the chunk cannot be this run's."""
        record = _single(result.record)
        require_fit(self.info, self._todo.due, record, result)
        record["run"] = self._launches.number
        record["rank"] = rank
        record["done"] = 1
        with self._writing():
            if self._todo.gap:
                self._redo(record, result)
            else:
                self._add(record, result)
            if self._pending.is_due:
                self.commit()

    def finish(self, stopped: Stopped | None = None) -> Path:
        """Publish the file under its final name, once every chunk is in; may be called again after a kill.

        A run that ``stopped`` before has all chunks up to there.
        """
        self.commit()
        if not stopped and not self.is_complete:
            missing = counted(len(self.todo), "chunk")
            raise StoreError(f"{self._part}: {missing} missing; run the same command again")
        with self._writing():
            publish(self._output, self._layout, self._fd, stopped)
        self.close()
        return self.path

    def _resume(self, launch: Mapping[str, object]) -> None:
        """Find what is committed and intact, and leave the rest in `todo`."""
        with self._writing():
            state = scan(self._fd, self._layout)
            self._todo, bad = found(self._fd, self._layout, state)
            self._begin_rows()
            self._launches = Launches(self._fd, self._layout, launch)
            self._report(state, bad)

    def _report(self, state: Committed, bad: list[int]) -> None:
        if state.next:
            chunks = self._todo.chunks
            kept = so_far(chunks - len(self.todo), chunks, "chunk")
            self.messages.append(f"resuming {self._part}: {kept}")
        number, listed, sentence = damage(state, bad)
        if number:
            self.messages.append(sentence)
            self.record_fault(f"damaged chunks found on opening: {listed}", chunks=number)

    def _add(self, record: Records, result: ChunkResult) -> None:
        row = self._writer.row
        rows = int(record["rows"])
        if row + rows > self._layout.capacity:
            raise _too_many(self._part, self._layout, self._todo.next)
        size = 0
        if result.pairs is not None:
            size = result.pairs.columns.nbytes
            self._writer.add(result.pairs)
        elif result.edges is not None:
            size = len(COLUMNS) * bits.nbytes(rows)
            _require_row(self._todo.next, int(record["row"]), row)
            self._writer.add_written(rows, result.edges)
        else:
            self._writer.skip(rows)
        record["row"] = row
        seal(record)
        self._pending.add(record, size)
        self._todo.done()

    def _redo(self, record: Records, result: ChunkResult) -> None:
        """Write a damaged chunk anew where it stood, and commit it at once."""
        index = self._todo.due
        if result.where is Where.WRITTEN:
            raise ValueError(f"chunk={index} is redone; only rank 0 writes over what was there")
        row = end_of(self._fd, self._layout, index - 1)
        old, following = read_records(self._fd, self._layout, index, index + 2)
        if len(self._todo.gap) == 1:
            end = row + int(record["rows"])
            due = int(following["row"])
            _require_end(self._part, index, end, due)
        self._output.check()
        if result.pairs is not None:
            self._writer.rewrite(result.pairs, row)
        self._press()
        record["row"] = row
        record["attempt"] = int(old["attempt"]) + 1
        write_record(self._fd, self._layout, record)
        self._press()
        self._todo.done()


def _too_many(part: Path, layout: Layout, index: int) -> StoreError:
    return StoreError(
        f"{part} has room for {layout.capacity} rows and chunk {index} exceeds it: "
        f"the engine registers more pairs than its coincidence={layout.info.coincidence:.6g} announces"
    )


def _require_row(index: int, row: int, due: int) -> None:
    """A chunk that its rank has written stands where the one before it ends."""
    if row != due:
        raise ValueError(f"chunk={index} was written from row {row} on, and row {due} is due")


def _require_end(
    part: Path,
    index: int,
    end: int,
    due: int,
) -> None:
    """A chunk that is redone has as many rows as it had."""
    if end != due:
        raise StoreError(
            f"{part}: chunk {index} was redone and its rows end at {end}, not at {due}: "
            "the engine does not reproduce its own pairs; choose another output"
        )


def _single(record: NDArray[np.void]) -> Records:
    """A copy of one record as an array without axes."""
    copied = bytearray(record.tobytes())
    return np.frombuffer(copied, CHUNK_DTYPE).reshape(())
