"""Ranks that go on when others die, rank 0 included; needs fault-tolerant MPI (ULFM, in Open MPI 5).

A simple loop beside the fast one of `mpi`: point-to-point messages only, one item at a time for each worker, and rank 0
only coordinates while there are workers.  When a worker dies, rank 0 gives its item to another one.  When
rank 0 dies, the others shrink the communicator, and its new rank 0 begins again from the file.  The last rank
works alone.  The operations are those of W. Bland et al., Int. J. High Perform. Comput. Appl. 27, 244 (2013).
"""

from __future__ import annotations

import contextlib
import heapq
import os
import pickle
import sys
import time
from collections.abc import Callable, Generator, Sequence
from enum import IntEnum
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from .mpi import MPI, WORLD, Codec, Tick, failure

R = TypeVar("R")
Work = Callable[[int, "Tick | None"], Any]
#: Told on rank 0 of each death: what happened, the rank's number at the start, how many items are redone.
Lost = Callable[[str, int, int], None]

#: Items per worker that may be granted beyond the next one in order: rank 0 holds so many results at most.
WINDOW = 2

_DEATHS = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)
_ORDER, _ANSWER, _BYTES = 1, 2, 3
_PAUSE_SECONDS = 2e-4


class _Kind(IntEnum):
    JOB, ITEM, END, READY, RESULT, FAILED, BYE = range(7)


class _StopNow(BaseException):
    """Leaves a work function after a second stop request."""


def run(
    coordinate: Callable[[Root[R]], int],
    *,
    codec: Codec[R],
    leave: Callable[[int], object],
    stop: Callable[[], int],
    lost: Lost,
) -> NoReturn:
    """Call ``coordinate`` on rank 0 while the others work for its `Root.map`, until one rank 0 has come to its end.

    ``leave`` is told the exit code that ``coordinate`` returned.  This function never returns, since MPI_Finalize
    hangs where ranks have died: it ends the process.
    """
    comm, finished = WORLD.Shrink(), False
    while not finished:
        finished = _one_round(comm, coordinate, codec, leave, stop, lost)
        before, comm = comm, comm.Shrink()
        finished = _all_agree(comm, finished)
        if comm.rank == 0 and not finished:
            old = _first_numbers(before)[0]
            lost(
                f"rank {old} was lost; rank {WORLD.rank} took over, {comm.size} of {WORLD.size} are left",
                old,
                0,
            )
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
            _serve(comm, codec, stop)
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
    return [
        int(number) for number in group.Translate_ranks(list(range(group.size)), WORLD.Get_group())
    ]


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────


def _serve(comm: MPI.Comm, codec: Codec[Any], stop: Callable[[], int]) -> None:
    """Work for rank 0 until it says that there is nothing more to do."""

    def tick() -> None:
        if stop() > 1:
            raise _StopNow

    work: Work | None = None
    order = np.empty(3, np.int64)
    while True:
        _receive(comm, order, 0, _ORDER)
        kind, position, item = order.tolist()
        if kind == _Kind.END:
            _answer(comm, _Kind.BYE)
            return
        if kind == _Kind.JOB:
            job = np.empty(item, np.uint8)
            _receive(comm, job, 0, _BYTES)
            work = pickle.loads(job.data)()
            _answer(comm, _Kind.READY)
        else:
            assert work is not None
            _answer(comm, *_done(work, codec, position, item, tick))


def _done(
    work: Work, codec: Codec[Any], position: int, item: int, tick: Tick
) -> tuple[_Kind, int, NDArray[np.uint8]]:
    """What to answer for one item."""
    try:
        return _Kind.RESULT, position, np.concatenate(codec.parts(work(item, tick)))
    except _StopNow:
        return _Kind.READY, position, np.empty(0, np.uint8)
    except Exception as error:
        return _Kind.FAILED, position, np.frombuffer(pickle.dumps(failure(error)), np.uint8)


def _answer(
    comm: MPI.Comm, kind: _Kind, position: int = 0, payload: NDArray[np.uint8] | None = None
) -> None:
    size = 0 if payload is None else payload.nbytes
    _send(comm, np.array([kind, position, size], np.int64), 0, _ANSWER)
    if payload is not None and size:
        _send(comm, payload, 0, _BYTES)


# ── rank 0 ───────────────────────────────────────────────────────────────────────────────────────────────────


class Root(Generic[R]):
    """Rank 0 of one round.  Workers are numbered as in its communicator, positions count items."""

    def __init__(
        self, comm: MPI.Comm, codec: Codec[R], stop: Callable[[], int], lost: Lost
    ) -> None:
        self.comm, self.codec, self.stop, self.lost = comm, codec, stop, lost
        self.first_numbers = _first_numbers(comm)
        self.live = set(range(1, comm.size))
        self.idle: set[int] = set()
        self.released: set[int] = set()
        self.held: dict[int, int] = {}  # worker → position
        self.again: list[int] = []  # a heap of positions to be given out once more
        self.failures: dict[int, list[int]] = {}  # position → workers where it raised
        self.ready: dict[int, tuple[int, R]] = {}
        self.next_grant = self.next_commit = self.retries = 0
        self.answer = np.empty(3, np.int64)
        self.listening: MPI.Request | None = None
        self.ending = False

    def map(
        self,
        setup: Callable[[], Work],
        items: Sequence[int] | NDArray[np.int64],
        *,
        retries: int = 0,
    ) -> Generator[tuple[int, R], None, None]:
        """``(rank, work(item))`` for each item, in the order of ``items``; to be called once.

        An item whose work raises is given to another rank ``retries`` times; then the map ends with an `EngineError`.
        """
        self.retries = retries
        job = np.frombuffer(pickle.dumps(setup), np.uint8)
        for worker in sorted(self.live):
            self._tell(worker, _Kind.JOB, 0, job.nbytes, job)
        while self.next_commit < len(items):
            level = self.stop()
            if level > 1 or (level and not self.held and self.next_commit not in self.ready):
                return
            if not level:
                self._grant(items)
            if self.next_commit in self.ready:
                yield self.ready.pop(self.next_commit)
                self.next_commit += 1
            elif self.live:
                self._listen()
            else:
                yield from self._alone(setup(), items)

    def release(self) -> None:
        """Send the workers home; what they still had is dropped."""
        self.ending = True
        for worker in sorted(self.live):
            self._tell(worker, _Kind.END)
        while self.live - self.released:
            self._listen()
        if self.listening is not None:
            self.listening.Cancel()

    def _grant(self, items: Sequence[int] | NDArray[np.int64]) -> None:
        while self.idle:
            fresh = self.next_grant < min(len(items), self.next_commit + WINDOW * len(self.live))
            if not self.again and not fresh:
                return
            position = self.again[0] if self.again else self.next_grant
            tried = self.failures.get(position, [])
            worker = min(self.idle, key=tried.count)
            if self.again:
                heapq.heappop(self.again)
            else:
                self.next_grant += 1
            self.idle.discard(worker)
            self.held[worker] = position
            self._tell(worker, _Kind.ITEM, position, int(items[position]))

    def _alone(
        self, work: Work, items: Sequence[int] | NDArray[np.int64]
    ) -> Generator[tuple[int, R], None, None]:
        """The rest, on the last rank."""

        def tick() -> None:
            if self.stop() > 1:
                raise _StopNow

        while self.next_commit < len(items) and not self.stop():
            if self.next_commit not in self.ready:
                try:
                    self.ready[self.next_commit] = (
                        WORLD.rank,
                        work(int(items[self.next_commit]), tick),
                    )
                except _StopNow:
                    return
                except Exception as error:
                    self._failed(0, self.next_commit, *failure(error))
                    continue
            yield self.ready.pop(self.next_commit)
            self.next_commit += 1

    def _failed(self, worker: int, position: int, sentence: str, where: str) -> None:
        sys.stderr.write(where)
        self.failures.setdefault(position, []).append(worker)
        if len(self.failures[position]) > self.retries:
            raise EngineError(sentence)

    # Messages.

    def _listen(self) -> None:
        """Take one answer, or wait a moment; learn of deaths."""
        status = MPI.Status()
        try:
            if self.listening is None:
                self.listening = self.comm.Irecv([self.answer, MPI.BYTE], MPI.ANY_SOURCE, _ANSWER)
            if not self.listening.Test(status):
                time.sleep(_PAUSE_SECONDS)
                return
            self.listening = None
            kind, position, size = self.answer.tolist()
            payload = np.empty(size, np.uint8)
            if size:
                _receive(self.comm, payload, status.Get_source(), _BYTES)
        except MPI.Exception as error:
            self._mourn(error)
        else:
            self._heard(status.Get_source(), _Kind(kind), position, payload)

    def _heard(self, worker: int, kind: _Kind, position: int, payload: NDArray[np.uint8]) -> None:
        self.held.pop(worker, None)
        if kind == _Kind.BYE:
            self.released.add(worker)
            return
        self.idle.add(worker)
        if self.ending:
            return
        if kind == _Kind.RESULT:
            self.ready[position] = self.first_numbers[worker], self.codec.whole(payload)
        elif kind == _Kind.FAILED:
            self._failed(worker, position, *pickle.loads(payload.data))
            heapq.heappush(self.again, position)

    def _tell(
        self,
        worker: int,
        kind: _Kind,
        position: int = 0,
        item: int = 0,
        payload: NDArray[np.uint8] | None = None,
    ) -> None:
        try:
            _send(self.comm, np.array([kind, position, item], np.int64), worker, _ORDER)
            if payload is not None:
                _send(self.comm, payload, worker, _BYTES)
        except MPI.Exception as error:
            self._mourn(error)

    def _mourn(self, error: MPI.Exception) -> None:
        """Find out who died, and have their items done by others."""
        if error.Get_error_class() not in _DEATHS or error.Get_error_class() == MPI.ERR_REVOKED:
            raise error
        if error.Get_error_class() == MPI.ERR_PROC_FAILED:
            self.listening = None  # else the receive stays open, and may still match
        self.comm.Ack_failed()
        failed = self.comm.Get_failed()
        numbers = failed.Translate_ranks(list(range(failed.size)), self.comm.Get_group())
        for worker in self.live.intersection(numbers):
            self.live.discard(worker)
            self.idle.discard(worker)
            position = self.held.pop(worker, None)
            if position is not None:
                heapq.heappush(self.again, position)
            number = self.first_numbers[worker]
            self.lost(
                f"rank {number} was lost; the others went on", number, int(position is not None)
            )


# Rank 0 and workers wait by asking, not inside MPI: a rank blocked there runs no signal handler.


def _receive(comm: MPI.Comm, buffer: NDArray[Any], source: int, tag: int) -> None:
    _wait(comm.Irecv([buffer, MPI.BYTE], source, tag))


def _send(comm: MPI.Comm, buffer: NDArray[Any], target: int, tag: int) -> None:
    _wait(comm.Isend([buffer, MPI.BYTE], target, tag))


def _wait(request: MPI.Request) -> None:
    while not request.Test():
        time.sleep(_PAUSE_SECONDS)
