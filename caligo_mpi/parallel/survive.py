"""Ranks that go on when others die, rank 0 included.  Needs fault-tolerant MPI (Open MPI 5).

This is a simple loop beside the fast one of `mpi`.  It sends point-to-point messages only, gives
each worker one item at a time, and rank 0 only coordinates while there are workers.  When a
worker dies, rank 0 gives its item to another one.  When rank 0 dies, the others shrink the
communicator, and its new rank 0 begins again from the file.  The last rank works alone.  The
operations are those of W. Bland et al., Int. J. High Perform. Comput. Appl. 27, 244 (2013).
"""

from __future__ import annotations

import contextlib
import heapq
import os
import pickle
import sys
import time
from collections.abc import Callable, Generator
from typing import Any, NoReturn, TypeVar

import numpy as np

from .job import Items, Rules, Setup, Work
from .messages import Codec
from .mpi import MPI, WORLD
from .offsets import Offsets
from .survive_round import DEATHS, Lost, Round, first_numbers_of
from .survive_worker import Kind, StopNow, serve
from .trouble import failure

R = TypeVar("R")
#: Items per worker that may be granted beyond the next one in order: rank 0 holds at most so many
#: results.
WINDOW = 2

_DEFAULT = Rules()


def run(
    coordinate: Callable[[Root[R]], int],
    *,
    codec: Codec[R],
    leave: Callable[[int], object],
    stop: Callable[[], int],
    lost: Lost,
) -> NoReturn:
    """Call ``coordinate`` on rank 0 while the others work for its `Root.map`.

    This is repeated on the ranks that are left until a rank 0 has come to its end.  ``leave`` is
    told the exit code that ``coordinate`` returned.  The function never returns but ends the
    process, since MPI_Finalize hangs where ranks have died.
    """
    comm = WORLD.Shrink()
    finished = False
    while not finished:
        finished = _one_round(
            comm,
            coordinate,
            codec,
            leave,
            stop,
            lost,
        )
        before = comm
        comm = before.Shrink()
        finished = _all_agree(comm, finished)
        if comm.rank == 0 and not finished:
            old = first_numbers_of(before)[0]
            left = f"{comm.size} of {WORLD.size} are left"
            what = f"rank {old} was lost; rank {WORLD.rank} took over, {left}"
            lost(what, old, 0)
    _exit(comm)


def _one_round(
    comm: MPI.Comm,
    coordinate: Callable[[Root[R]], int],
    codec: Codec[R],
    leave: Callable[[int], object],
    stop: Callable[[], int],
    lost: Lost,
) -> bool:
    """Whether this rank came to the end of it, rather than learn that rank 0 is dead."""
    try:
        if comm.rank:
            serve(comm, codec, stop)
        else:
            root = Root(comm, codec, stop, lost)
            leave(coordinate(root))
            root.release()
    except MPI.Exception as error:
        if error.Get_error_class() not in DEATHS:
            raise
        comm.Revoke()
        return False
    return True


def _all_agree(comm: MPI.Comm, finished: bool) -> bool:
    """Whether all ranks have finished; no where another one dies meanwhile."""
    try:
        return bool(comm.Agree(int(finished)))
    except MPI.Exception:
        return False


def _exit(comm: MPI.Comm) -> NoReturn:
    with contextlib.suppress(MPI.Exception):  # the last deaths are of no interest
        comm.Shrink().Barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


# ── rank 0 ───────────────────────────────────────────────────────────────────────────────────────


class Root(Round[R]):
    """Rank 0 of one round: it gives out items and hands on their results in order."""

    def map(
        self,
        setup: Setup[R],
        items: Items,
        rules: Rules = _DEFAULT,
    ) -> Generator[tuple[int, R], None, None]:
        """``(rank, work(item))`` for each item, in the order of ``items``.

        To be called again only after all items of the call before.

        Of the ``rules`` only ``retries`` count here.  Raises `EngineError` for an item that
        failed more often than that.
        """
        self.retries = rules.retries
        self._begin(setup)
        while self.next_commit < len(items):
            level = self.stop()
            is_ready = self.next_commit in self.ready
            nothing_comes = not self.held and not is_ready
            if level > 1 or (level and nothing_comes):
                return
            if not level:
                self._grant(items)
            if is_ready:
                start = time.perf_counter()
                yield self.ready.pop(self.next_commit)
                self.account.writing += time.perf_counter() - start
                self.next_commit += 1
            elif self.live:
                self._listen()
            else:
                yield from self._alone(setup(), items)

    def _begin(self, setup: Setup[R]) -> None:
        """Forget the call before, and have the workers make their work functions."""
        self.next_grant = self.next_commit = 0
        self.failures.clear()
        self.idle.clear()
        self.offsets = Offsets()
        job = np.frombuffer(pickle.dumps(setup), np.uint8)
        for worker in sorted(self.live):
            self.starting[worker] = self.starting.get(worker, 0) + 1
            self._tell(
                worker,
                Kind.JOB,
                position=0,
                item=job.nbytes,
                payload=job,
            )

    def release(self) -> None:
        """Send the workers home; what they still had is dropped."""
        self.ending = True
        for worker in sorted(self.live):
            self._tell(worker, Kind.END)
        while self.live - self.released:
            self._listen()
        if self.listening is not None:
            self.listening.Cancel()

    def _grant(self, items: Items) -> None:
        """Give every idle worker an item, if there are any to be given out."""
        while self.idle:
            limit = self.next_commit + WINDOW * len(self.live)
            if self.again:
                position = heapq.heappop(self.again)
            elif self.next_grant < min(len(items), limit):
                position = self.next_grant
                self.next_grant += 1
            else:
                return
            tried = self.failures.get(position, [])
            worker = min(self.idle, key=tried.count)
            self.idle.discard(worker)
            self.held[worker] = position
            self._tell(
                worker,
                Kind.ITEM,
                position,
                int(items[position]),
            )

    def _alone(self, work: Work[Any], items: Items) -> Generator[tuple[int, R], None, None]:
        """The rest, on the last rank."""

        def tick() -> None:
            if self.stop() > 1:
                raise StopNow

        while self.next_commit < len(items) and not self.stop():
            position = self.next_commit
            if position not in self.ready:
                start = time.perf_counter()
                before = self.account.elsewhere
                try:
                    result = work(int(items[position]), tick)
                except StopNow:
                    return
                except Exception as error:
                    sentence, where = failure(error, WORLD.rank, WORLD.size)
                    self._failed(0, position, sentence, where)
                    continue
                self.account.worked(start, before)
                self.ready[position] = WORLD.rank, result
            start = time.perf_counter()
            yield self.ready.pop(position)
            self.account.writing += time.perf_counter() - start
            self.next_commit += 1
