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
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from .account import Ledger, Sums
from .job import Items, Rules, Setup, Work
from .messages import Codec
from .mpi import MPI, WORLD
from .offsets import Offsets
from .survive_worker import (
    ANSWER,
    BYTES,
    NO_PLACE,
    ORDER,
    PAUSE_SECONDS,
    Kind,
    StopNow,
    receive,
    send,
    serve,
)
from .trouble import failure

R = TypeVar("R")
#: Called on rank 0 for each death: what happened, the rank's number at the start, and how many
#: items are done again.
Lost = Callable[[str, int, int], None]

#: Items per worker that may be granted beyond the next one in order: rank 0 holds at most so many
#: results.
WINDOW = 2

_DEFAULT = Rules()

_DEATHS = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)


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
        finished = _one_round(comm, coordinate, codec, leave, stop, lost)
        before = comm
        comm = before.Shrink()
        finished = _all_agree(comm, finished)
        if comm.rank == 0 and not finished:
            old = _first_numbers(before)[0]
            left = f"{comm.size} of {WORLD.size} are left"
            lost(f"rank {old} was lost; rank {WORLD.rank} took over, {left}", old, 0)
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
        if error.Get_error_class() not in _DEATHS:
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


def _first_numbers(comm: MPI.Comm) -> list[int]:
    """The numbers that the ranks of ``comm`` had at the start."""
    group = comm.Get_group()
    ranks = list(range(group.size))
    numbers = group.Translate_ranks(ranks, WORLD.Get_group())
    return [int(number) for number in numbers]


# ── rank 0 ───────────────────────────────────────────────────────────────────────────────────────


class Root(Generic[R]):
    """Rank 0 of one round.  Workers are numbered as in its communicator, positions count items."""

    def __init__(
        self, comm: MPI.Comm, codec: Codec[R], stop: Callable[[], int], lost: Lost
    ) -> None:
        self.comm = comm
        self.codec = codec
        self.stop = stop
        self.lost = lost
        self.first_numbers = _first_numbers(comm)
        self.live = set(range(1, comm.size))
        self.idle: set[int] = set()
        self.starting: dict[int, int] = {}  # worker → jobs that it has not yet said to be ready for
        self.released: set[int] = set()
        self.held: dict[int, int] = {}  # worker → position
        self.again: list[int] = []  # a heap of positions to be given out once more
        self.offsets = Offsets()
        self.unplaced: dict[
            int, int
        ] = {}  # worker → position whose result waits for its place there
        self.failures: dict[int, list[int]] = {}  # position → workers where it raised
        self.ready: dict[int, tuple[int, R]] = {}
        self.next_grant = 0
        self.next_commit = 0
        self.retries = 0
        self.answer = np.empty(3 + len(Sums._fields), np.int64)
        self.ledger = Ledger(WORLD.rank)
        self.account = self.ledger.own
        self.listening: MPI.Request | None = None
        self.ending = False

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
        self.next_grant = self.next_commit = 0
        self.failures.clear()
        self.idle.clear()
        self.offsets = Offsets()
        job = np.frombuffer(pickle.dumps(setup), np.uint8)
        for worker in sorted(self.live):
            self.starting[worker] = self.starting.get(worker, 0) + 1
            self._tell(worker, Kind.JOB, 0, job.nbytes, job)
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
            self._tell(worker, Kind.ITEM, position, int(items[position]))

    def _alone(self, work: Work[Any], items: Items) -> Generator[tuple[int, R], None, None]:
        """The rest, on the last rank."""

        def tick() -> None:
            if self.stop() > 1:
                raise StopNow

        while self.next_commit < len(items) and not self.stop():
            position = self.next_commit
            if position not in self.ready:
                start, before = time.perf_counter(), self.account.elsewhere
                try:
                    result = work(int(items[position]), tick)
                except StopNow:
                    return
                except Exception as error:
                    self._failed(0, position, *failure(error, WORLD.rank, WORLD.size))
                    continue
                self.account.worked(start, before)
                self.ready[position] = WORLD.rank, result
            start = time.perf_counter()
            yield self.ready.pop(position)
            self.account.writing += time.perf_counter() - start
            self.next_commit += 1

    def _failed(self, worker: int, position: int, sentence: str, where: str) -> None:
        """Print the traceback, and give up once the item has failed too often."""
        sys.stderr.write(where)
        workers = self.failures.setdefault(position, [])
        workers.append(worker)
        if len(workers) > self.retries:
            raise EngineError(sentence)

    # Messages.

    def _listen(self) -> None:
        """Take one answer, or wait a moment; learn of deaths."""
        status = MPI.Status()
        try:
            if self.listening is None:
                self.listening = self.comm.Irecv([self.answer, MPI.BYTE], MPI.ANY_SOURCE, ANSWER)
            if not self.listening.Test(status):
                time.sleep(PAUSE_SECONDS)
                return
            self.listening = None
            start = time.perf_counter()
            kind, position, size, *sums = self.answer.tolist()
            payload = np.empty(size, np.uint8)
            if size:
                receive(self.comm, payload, status.Get_source(), BYTES)
            self.account.communicating += time.perf_counter() - start
            self.account.count(self.answer.nbytes + size)
        except MPI.Exception as error:
            self._mourn(error)
        else:
            worker = status.Get_source()
            self.ledger.hear(self.first_numbers[worker], Sums(*sums))
            self._heard(worker, Kind(kind), position, payload)

    def _heard(self, worker: int, kind: Kind, position: int, payload: NDArray[np.uint8]) -> None:
        """Act on a worker's answer."""
        if kind == Kind.SIZED:
            if self.ending or self.starting[worker]:
                self.held.pop(worker, None)
            else:
                self._sized(worker, position, int(payload.view(np.int64)[0]))
            return
        if kind == Kind.READY and self.starting[worker]:
            self.starting[worker] -= 1
        else:
            self.held.pop(worker, None)
        if kind == Kind.BYE:
            self.released.add(worker)
            return
        if self.starting[worker]:
            return
        self.idle.add(worker)
        if self.ending:
            return
        if kind == Kind.RESULT:
            result = self.codec.whole(payload)
            self.ready[position] = self.first_numbers[worker], result
        elif kind == Kind.FAILED:
            self._failed(worker, position, *pickle.loads(payload.data))
            self._repeat(position)

    def _sized(self, worker: int, position: int, size: int) -> None:
        """Tell workers the places of their results, as far as they are known now."""
        self.unplaced[worker] = position
        if position < self.offsets.next or self.again:
            # Done before by one that died, or what comes before it has to wait for a worker, such as this one.
            self._place(worker, NO_PLACE)
        if position < self.offsets.next:
            return
        self.offsets.sized(position, size, worker)
        for known, holder, before in self.offsets.known():
            if self.unplaced.get(holder) == known:
                self._place(holder, before)

    def _place(self, worker: int, before: int) -> None:
        position = self.unplaced.pop(worker)
        self._tell(worker, Kind.PLACE, position, before)

    def _repeat(self, position: int) -> None:
        """Have an item done once more; nobody waits for its size meanwhile."""
        heapq.heappush(self.again, position)
        for worker in sorted(self.unplaced):
            self._place(worker, NO_PLACE)

    def _tell(
        self,
        worker: int,
        kind: Kind,
        position: int = 0,
        item: int = 0,
        payload: NDArray[np.uint8] | None = None,
    ) -> None:
        start = time.perf_counter()
        order = np.array([kind, position, item], np.int64)
        self.account.count(order.nbytes)
        try:
            send(self.comm, order, worker, ORDER)
            if payload is not None:
                send(self.comm, payload, worker, BYTES)
        except MPI.Exception as error:
            self._mourn(error)
        self.account.communicating += time.perf_counter() - start

    def _mourn(self, error: MPI.Exception) -> None:
        """Find out who died, and have their items done by others."""
        kind = error.Get_error_class()
        if kind not in _DEATHS or kind == MPI.ERR_REVOKED:
            raise error
        if kind == MPI.ERR_PROC_FAILED:
            self.listening = None  # else the receive stays open, and may still match
        self.comm.Ack_failed()
        failed = self.comm.Get_failed()
        ranks = list(range(failed.size))
        dead = failed.Translate_ranks(ranks, self.comm.Get_group())
        for worker in self.live.intersection(dead):
            if worker not in self.live:
                continue  # noticed meanwhile, in a message to another one
            self.live.discard(worker)
            self.idle.discard(worker)
            self.unplaced.pop(worker, None)
            redone = 0
            if worker in self.held:
                self._repeat(self.held.pop(worker))
                redone = 1
            number = self.first_numbers[worker]
            self.lost(f"rank {number} was lost; the others went on", number, redone)
