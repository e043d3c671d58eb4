"""Rank 0 of a map: it grants, receives, and commits in order; computes when it has time left."""

from __future__ import annotations

import pickle
import time
from collections.abc import Generator
from typing import TypeVar

import numpy as np

from ..errors import CaligoError
from .conversation import Conversation
from .grants import Grants
from .job import Items, Placing, Setup, Work
from .limits import HELD_BYTES
from .messages import Tag
from .trouble import failure

R = TypeVar("R")

_POLL_SECONDS = 2e-4  # between two looks at messages from inside a work function
_PAUSE_SECONDS = 5e-5


class _Released(BaseException):
    """The map ended while rank 0 was inside a work function."""


class Coordinator(Conversation[R]):
    """One map as seen from rank 0.

    Positions count items; results leave position after position.
    """

    def map(self, setup: Setup[R], items: Items) -> Generator[tuple[int, R], None, None]:
        """``(rank, work(item))`` for each item, in order; to be called once."""
        ranks = self.transport.size
        self.items = items
        self.grants = Grants(
            len(items),
            ranks,
            self.rules.policy,
            computes=ranks == 1 or self.rules.rank0_computes != "no",
        )
        job = np.frombuffer(pickle.dumps(setup), np.uint8)
        for worker in self.workers:
            self._send(worker, Tag.JOB, job)
        try:
            yield from self._results(setup())
        except _Released:
            pass
        except (GeneratorExit, CaligoError):
            self._end()
            raise
        # Any other exception is a bug, which takes the job down without waiting for anybody.
        self._end()
        if self.failed:
            raise self.failed

    def _results(self, work: Work[R]) -> Generator[tuple[int, R], None, None]:
        self.placing = work if isinstance(work, Placing) else None
        while self.next_commit < len(self.items):
            self._look()
            if self.failed:
                return
            yield from self._in_order()
            if self.level and self._nothing_more_comes():
                return
            position = None if self.level else self._own_position()
            if position is None:
                self.transport.pause(_PAUSE_SECONDS)
            else:
                self._compute(work, position)

    def _in_order(self) -> Generator[tuple[int, R], None, None]:
        """The results whose turn has come."""
        while self.next_commit in self.inbox.ready and self.level < 2:
            source, result, nbytes = self.inbox.ready.pop(self.next_commit)
            self.next_commit += 1
            start = time.perf_counter()
            yield source, result
            self.account.writing += time.perf_counter() - start
            self.inbox.held -= nbytes
            self._tick()

    def _tick(self) -> None:
        now = time.perf_counter()
        if now - self.last_poll < _POLL_SECONDS:
            return
        self._poll()
        self.last_poll = time.perf_counter()
        if self.level > 1 or self.failed:
            raise _Released

    def _look(self) -> None:
        """The same between work functions, where looking in vain is being idle."""
        account = self.account
        messages = account.messages
        communicating = account.communicating
        self._poll()
        if account.messages == messages:
            account.communicating = communicating

    def _nothing_more_comes(self) -> bool:
        if self.level > 1:
            return True
        nothing_here = self.inbox.is_empty and not self.placed
        workers = self.answers.values()
        return nothing_here and all(said.idle for said in workers)

    def _own_position(self) -> int | None:
        position = self.grants.for_itself()
        has_room = self.inbox.held < HELD_BYTES or position == self.next_commit
        return position if has_room else None

    def _compute(self, work: Work[R], position: int) -> None:
        self.grants.own.popleft()
        before = self.account.elsewhere
        start = time.perf_counter()
        try:
            result = work(int(self.items[position]), self._tick)
        except Exception as error:
            sentence, where = failure(error, 0, self.transport.size)
            self._failed(0, position, sentence, where)
            return
        seconds = self.account.worked(start, before)
        self.grants.measured(0, 1, seconds)
        if self.placing:
            size = self.placing.size(result)
            self._sized(position, size, source=0)
        nbytes = 0
        if self.workers:
            parts = self.codec.parts(result)
            nbytes = sum(part.nbytes for part in parts)
        self.grants.item_bytes = nbytes
        self.inbox.put(
            position,
            rank=0,
            result=result,
            nbytes=nbytes,
        )
