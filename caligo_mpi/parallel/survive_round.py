"""What rank 0 hears from ranks that may die, and what it tells them."""

from __future__ import annotations

import heapq
import pickle
import sys
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from .account import Ledger, Sums
from .messages import Codec, numbers_in
from .mpi import MPI, WORLD
from .offsets import Offsets
from .survive_worker import (
    ANSWER,
    BYTES,
    NO_PLACE,
    ORDER,
    PAUSE_SECONDS,
    Kind,
    receive,
    send,
)

R = TypeVar("R")
#: Called on rank 0 for each death: what happened, the rank's number at the start, and how many
#: items are done again.
Lost = Callable[[str, int, int], None]

#: What an MPI call says where a rank has died.
DEATHS = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)


class Round(Generic[R]):
    """The messages of one round as rank 0 sees them: who lives, who has what, what is to be done once more.

    Workers are numbered as in the round's communicator, positions count items.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        codec: Codec[R],
        stop: Callable[[], int],
        lost: Lost,
    ) -> None:
        self.comm = comm
        self.codec = codec
        self.stop = stop
        self.lost = lost
        self.first_numbers = first_numbers_of(comm)
        self.live = set(range(1, comm.size))
        self.idle: set[int] = set()
        self.starting: dict[int, int] = {}  # worker → jobs that it has not yet said to be ready for
        self.released: set[int] = set()
        self.held: dict[int, int] = {}  # worker → position
        self.again: list[int] = []  # a heap of positions to be given out once more
        self.offsets = Offsets()
        self.unplaced: dict[int, int] = {}  # worker → position of a result that waits for its place
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

    def _failed(
        self,
        worker: int,
        position: int,
        sentence: str,
        where: str,
    ) -> None:
        """Print the traceback, and give up once the item has failed too often."""
        sys.stderr.write(where)
        workers = self.failures.setdefault(position, [])
        workers.append(worker)
        if len(workers) > self.retries:
            raise EngineError(sentence)

    def _listen(self) -> None:
        """Take one answer, or wait a moment; learn of deaths."""
        status = MPI.Status()
        try:
            if self.listening is None:
                message = [self.answer, MPI.BYTE]
                self.listening = self.comm.Irecv(message, MPI.ANY_SOURCE, ANSWER)
            if not self.listening.Test(status):
                time.sleep(PAUSE_SECONDS)
                return
            self.listening = None
            worker = status.Get_source()
            start = time.perf_counter()
            kind, position, size, *sums = self.answer.tolist()
            payload = np.empty(size, np.uint8)
            if size:
                receive(
                    self.comm,
                    payload,
                    worker,
                    BYTES,
                )
            self.account.communicating += time.perf_counter() - start
            self.account.count(self.answer.nbytes + size)
        except MPI.Exception as error:
            self._mourn(error)
        else:
            number = self.first_numbers[worker]
            self.ledger.hear(number, Sums(*sums))
            self._heard(
                worker,
                Kind(kind),
                position,
                payload,
            )

    def _heard(
        self,
        worker: int,
        kind: Kind,
        position: int,
        payload: NDArray[np.uint8],
    ) -> None:
        """Act on a worker's answer."""
        if kind == Kind.SIZED:
            if self.ending or self.starting[worker]:
                self.held.pop(worker, None)
            else:
                (size,) = numbers_in(payload)
                self._sized(worker, position, size)
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
            sentence, where = pickle.loads(payload.data)
            self._failed(
                worker,
                position,
                sentence,
                where,
            )
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
        if kind not in DEATHS or kind == MPI.ERR_REVOKED:
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
                position = self.held.pop(worker)
                self._repeat(position)
                redone = 1
            number = self.first_numbers[worker]
            what = f"rank {number} was lost; the others went on"
            self.lost(what, number, redone)


def first_numbers_of(comm: MPI.Comm) -> list[int]:
    """The numbers that the ranks of ``comm`` had at the start."""
    group = comm.Get_group()
    ranks = list(range(group.size))
    numbers = group.Translate_ranks(ranks, WORLD.Get_group())
    return [int(number) for number in numbers]
