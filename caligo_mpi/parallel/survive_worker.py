"""A worker among ranks that may outlive others, and how messages cross between it and rank 0 (`survive`)."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8
from .account import Account
from .job import Placing, Work
from .messages import EMPTY, Codec, of_numbers
from .mpi import MPI, WORLD
from .trouble import failure

ORDER, ANSWER, BYTES = 1, 2, 3
PAUSE_SECONDS = 2e-4

#: Instead of a place: the result is to be sent as it is.
NO_PLACE = -1


class Kind(IntEnum):
    """What a message is."""

    JOB = 0
    ITEM = 1
    END = 2
    READY = 3
    RESULT = 4
    FAILED = 5
    BYE = 6
    SIZED = 7
    PLACE = 8


class StopNow(BaseException):
    """Leaves a work function after a second stop request."""


def serve(comm: MPI.Comm, codec: Codec[Any], stop: Callable[[], int]) -> None:
    """Work for rank 0 until it says that there is nothing more to do."""
    worker = _Worker(comm, codec, stop)
    order = np.empty(3, np.int64)
    while True:
        receive(comm, order, 0, ORDER)
        kind, position, number = order.tolist()
        if kind == Kind.END:
            worker.answer(Kind.BYE)
            return
        if kind == Kind.JOB:
            worker.begin(nbytes=number)
        elif kind == Kind.PLACE:
            worker.finish(position, before=number)
        else:
            worker.do(position, item=number)


class _Worker:
    """What rank 0 orders, on another rank; positions are told back as they came."""

    def __init__(self, comm: MPI.Comm, codec: Codec[Any], stop: Callable[[], int]) -> None:
        self.comm = comm
        self.codec = codec
        self.stop = stop
        self.account = Account()
        self.work: Work[Any] | None = None
        self.unplaced: Any = None  # a result that waits for its place

    def begin(self, nbytes: int) -> None:
        """Make the work function of a map, whose job is of so many bytes."""
        job = np.empty(nbytes, np.uint8)
        receive(self.comm, job, 0, BYTES)
        setup = pickle.loads(job.data)
        self.work = setup()
        self.answer(Kind.READY)

    def do(self, position: int, item: int) -> None:
        """Work on an item, and send the result, or its size where it is to have a place."""
        start = time.perf_counter()
        before = self.account.elsewhere
        kind, found = self._done(item)
        self.account.worked(start, before)
        if kind == Kind.SIZED:
            assert isinstance(self.work, Placing)
            self.unplaced = found
            found = of_numbers(self.work.size(found))
        elif kind == Kind.RESULT:
            found = np.concatenate(self.codec.parts(found))
        self.answer(kind, position, found)

    def finish(self, position: int, before: int) -> None:
        """Write the result at its place, behind ``before`` rows if there is one, and send what is left of it."""
        if isinstance(self.work, Placing) and before != NO_PLACE:
            start = time.perf_counter()
            self.unplaced = self.work.place(self.unplaced, before)
            self.account.writing += time.perf_counter() - start
        payload = np.concatenate(self.codec.parts(self.unplaced))
        self.answer(Kind.RESULT, position, payload)
        self.unplaced = None

    def answer(self, kind: Kind, position: int = 0, payload: U8 = EMPTY) -> None:
        """Send an answer, with the account up to now, and what belongs to it."""
        start = time.perf_counter()
        size = payload.nbytes
        sums = self.account.sums()
        head = np.array([kind, position, size, *sums], np.int64)
        self.account.count(head.nbytes + size)
        send(self.comm, head, 0, ANSWER)
        if size:
            send(self.comm, payload, 0, BYTES)
        self.account.communicating += time.perf_counter() - start

    def _done(self, item: int) -> tuple[Kind, Any]:
        """Work on one item: what came of it, and the result, or what else is to be said."""
        assert self.work is not None
        try:
            result = self.work(item, self._tick)
        except StopNow:
            return Kind.READY, EMPTY
        except Exception as error:
            words = pickle.dumps(failure(error, WORLD.rank, WORLD.size))
            return Kind.FAILED, np.frombuffer(words, np.uint8)
        if isinstance(self.work, Placing):
            return Kind.SIZED, result
        return Kind.RESULT, result

    def _tick(self) -> None:
        if self.stop() > 1:
            raise StopNow


# Rank 0 and workers wait by asking, not inside MPI: a rank blocked there runs no signal handler.


def receive(
    comm: MPI.Comm,
    buffer: NDArray[Any],
    source: int,
    tag: int,
) -> None:
    """Fill the buffer with a message."""
    message = [buffer, MPI.BYTE]
    _wait(comm.Irecv(message, source, tag))


def send(
    comm: MPI.Comm,
    buffer: NDArray[Any],
    target: int,
    tag: int,
) -> None:
    """Send the buffer, until it may be changed again."""
    message = [buffer, MPI.BYTE]
    _wait(comm.Isend(message, target, tag))


def _wait(request: MPI.Request) -> None:
    while not request.Test():
        time.sleep(PAUSE_SECONDS)
