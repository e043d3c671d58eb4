"""A worker among ranks that may outlive others, and how messages cross between it and rank 0 (`survive`)."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.chunks import Tick
from .account import Account
from .job import Placing, Work
from .messages import Codec
from .mpi import MPI, WORLD
from .trouble import failure

ORDER, ANSWER, BYTES = 1, 2, 3
PAUSE_SECONDS = 2e-4

#: Instead of a place: the result is to be sent as it is.
NO_PLACE = -1


class Kind(IntEnum):
    """What a message is."""

    JOB, ITEM, END, READY, RESULT, FAILED, BYE, SIZED, PLACE = range(9)


class StopNow(BaseException):
    """Leaves a work function after a second stop request."""


def serve(comm: MPI.Comm, codec: Codec[Any], stop: Callable[[], int]) -> None:
    """Work for rank 0 until it says that there is nothing more to do."""

    def tick() -> None:
        if stop() > 1:
            raise StopNow

    work: Work[Any] | None = None
    unplaced: Any = None  # a result that waits for its place
    order = np.empty(3, np.int64)
    account = Account()
    while True:
        receive(comm, order, 0, ORDER)
        kind, position, item = order.tolist()
        if kind == Kind.END:
            _answer(comm, account, Kind.BYE)
            return
        if kind == Kind.JOB:
            job = np.empty(item, np.uint8)
            receive(comm, job, 0, BYTES)
            work = pickle.loads(job.data)()
            _answer(comm, account, Kind.READY)
        elif kind == Kind.PLACE:
            if isinstance(work, Placing) and item != NO_PLACE:
                unplaced = _place(work, unplaced, item, account)
            _answer(
                comm,
                account,
                Kind.RESULT,
                position,
                np.concatenate(codec.parts(unplaced)),
            )
            unplaced = None
        else:
            assert work is not None
            start, before = time.perf_counter(), account.elsewhere
            kind, found = _done(work, item, tick)
            account.worked(start, before)
            if kind == Kind.SIZED:
                assert isinstance(work, Placing)
                unplaced = found
                found = np.array([work.size(found)], np.int64).view(np.uint8)
            elif kind == Kind.RESULT:
                found = np.concatenate(codec.parts(found))
            _answer(comm, account, kind, position, found)


def _place(
    work: Placing[Any],
    result: Any,
    before: int,
    account: Account,
) -> Any:
    """Write a result at its place, behind ``before`` rows; what is left of it to be told."""
    start = time.perf_counter()
    placed = work.place(result, before)
    account.writing += time.perf_counter() - start
    return placed


def _done(work: Work[Any], item: int, tick: Tick) -> tuple[Kind, Any]:
    """Work on one item: what came of it, and the result, or what else is to be said."""
    try:
        result = work(item, tick)
        return Kind.SIZED if isinstance(work, Placing) else Kind.RESULT, result
    except StopNow:
        return Kind.READY, np.empty(0, np.uint8)
    except Exception as error:
        words = pickle.dumps(failure(error, WORLD.rank, WORLD.size))
        return Kind.FAILED, np.frombuffer(words, np.uint8)


def _answer(
    comm: MPI.Comm,
    account: Account,
    kind: Kind,
    position: int = 0,
    payload: NDArray[np.uint8] | None = None,
) -> None:
    start = time.perf_counter()
    size = 0 if payload is None else payload.nbytes
    head = np.array([kind, position, size, *account.sums()], np.int64)
    account.count(head.nbytes + size)
    send(comm, head, 0, ANSWER)
    if payload is not None and size:
        send(comm, payload, 0, BYTES)
    account.communicating += time.perf_counter() - start


# Rank 0 and workers wait by asking, not inside MPI: a rank blocked there runs no signal handler.


def receive(
    comm: MPI.Comm,
    buffer: NDArray[Any],
    source: int,
    tag: int,
) -> None:
    """Fill the buffer with a message."""
    _wait(comm.Irecv([buffer, MPI.BYTE], source, tag))


def send(
    comm: MPI.Comm,
    buffer: NDArray[Any],
    target: int,
    tag: int,
) -> None:
    """Send the buffer, until it may be changed again."""
    _wait(comm.Isend([buffer, MPI.BYTE], target, tag))


def _wait(request: MPI.Request) -> None:
    while not request.Test():
        time.sleep(PAUSE_SECONDS)
