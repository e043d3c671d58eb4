"""Rank 0 of a map: it grants, receives, and commits in order; computes when it has time left."""

from __future__ import annotations

import itertools
import pickle
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ..errors import CaligoError, EngineError
from ..pairs.bits import U8
from . import messages
from .account import Ledger
from .grants import Grants
from .inbox import Inbox
from .job import Items, Placing, Rules, Setup, Work
from .limits import HELD_BYTES
from .messages import EMPTY, Codec, Tag
from .offsets import Offsets
from .transport import Pending, Transport, wait_for
from .trouble import failure

R = TypeVar("R")

_POLL_SECONDS = 2e-4  # between two looks at messages from inside a work function
_PAUSE_SECONDS = 5e-5
#: Workers that are looked at in a turn of listening though they have said nothing new.  A turn must
#: not cost more with more ranks, and what a worker may hold follows the measured times slowly.
_LOOKS = 16


class _Released(BaseException):
    """The map ended while rank 0 was inside a work function."""


@dataclass
class _Answers:
    """What a worker has said of itself."""

    idle: bool = False  # after RECALL: nothing more is coming
    gone: bool = False  # after END


class Coordinator(Generic[R]):
    """One map as seen from rank 0.

    Positions count items; results leave position after position.
    """

    def __init__(
        self,
        transport: Transport,
        codec: Codec[R],
        rules: Rules,
        ledger: Ledger | None = None,
    ) -> None:
        self.transport = transport
        self.codec = codec
        self.rules = rules
        self.ledger = ledger or Ledger()
        self.account = self.ledger.own
        self.workers = range(1, transport.size)
        self.inbox: Inbox[R] = Inbox(transport, codec)
        self.answers = {worker: _Answers() for worker in self.workers}
        self.failures: dict[int, int] = {}  # position → how often its work raised
        self.failed: EngineError | None = None
        self.sending: list[tuple[Pending, U8]] = []
        self.next_commit = 0
        self.placing: Placing[R] | None = None  # the work function, if results want places
        self.offsets = Offsets()
        self.placed = 0  # results that were told their places and are not done
        self.level = 0  # of the stop request
        self.last_poll = 0.0
        self.news = set(self.workers)  # those that may have room for more now
        self.rounds = itertools.cycle(self.workers)

    def map(self, setup: Setup[R], items: Items) -> Generator[tuple[int, R], None, None]:
        """``(rank, work(item))`` for each item, in order; to be called once."""
        computes = self.rules.rank0_computes != "no" or self.transport.size == 1
        self.items = items
        self.grants = Grants(len(items), self.transport.size, self.rules.policy, computes=computes)
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
            self._poll()
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

    # One turn of listening; also what the work function calls on rank 0.

    def _tick(self) -> None:
        now = time.perf_counter()
        if now - self.last_poll < _POLL_SECONDS:
            return
        self._poll()
        self.last_poll = time.perf_counter()
        if self.level > 1 or self.failed:
            raise _Released

    def _poll(self) -> None:
        start = time.perf_counter()
        self._listen()
        self._receive()
        self._obey()
        if not self.level:
            self._grant_all()
        self.account.communicating += time.perf_counter() - start

    def _grant_all(self) -> None:
        """Grant to those who have reported something, and to some of the others in turn."""
        asked = self.news.union(itertools.islice(self.rounds, _LOOKS))
        self.news.clear()
        for worker in sorted(asked):
            self._grant(worker)

    def _listen(self) -> None:
        # Not any tag: that may find data that is not wanted yet, in front of what is.  And IDLE
        # first: when it is seen, all that its rank sent before can be seen, too.
        for tag in (Tag.IDLE, Tag.FAILED, Tag.SIZED, Tag.DONE):
            while envelope := self.transport.arrived(tag):
                payload = self.transport.take(envelope)
                self.account.count(len(payload))
                self._heard(tag, envelope.source, payload)
        self.sending = [(pending, data) for pending, data in self.sending if not pending.done()]

    def _heard(self, tag: Tag, source: int, payload: U8) -> None:
        self.news.add(source)
        if tag == Tag.DONE:
            found = messages.done(payload)
            self.ledger.hear(source, found.sums)
            if self.placing:
                self.placed -= len(found.positions)
            else:
                self.grants.finished(source, len(found.positions), found.seconds)
                self.grants.item_bytes = sum(found.sizes) // len(found.positions)
            if self.inbox.announce(source, found):
                self.grants.received(source, len(found.positions))
        elif tag == Tag.SIZED:
            position, size, nbytes, nanoseconds = messages.numbers_in(payload)
            self.grants.finished(source, 1, nanoseconds * 1e-9)
            self.grants.item_bytes = nbytes
            self._sized(position, size, source)
        elif tag == Tag.FAILED:
            self.grants.lost(source)
            self._failed(source, *messages.failed(payload))
        else:
            gone, sums = messages.idle(payload)
            self.ledger.hear(source, sums)
            self.answers[source].idle = True
            self.answers[source].gone = gone

    def _sized(self, position: int, size: int, source: int) -> None:
        """Tell ranks the places that are known now; rank 0's own results are written as they are committed."""
        self.offsets.sized(position, size, source)
        if self.inbox.closed:
            return
        for known, holder, before in self.offsets.known():
            if holder:
                self.placed += 1
                self._send(holder, Tag.PLACE, messages.of_numbers(known, before))

    def _receive(self) -> None:
        for nbytes in self.inbox.take(self.next_commit):
            self.account.count(nbytes)
        for source, count in self.inbox.collect():
            self.grants.received(source, count)
            self.news.add(source)

    def _obey(self) -> None:
        level = self.rules.stop()
        if level and not self.level:
            self.grants.own.clear()
            for worker in self.workers:
                self._send(worker, Tag.RECALL, EMPTY)
        self.level = max(level, self.level)

    def _nothing_more_comes(self) -> bool:
        if self.level > 1:
            return True
        nothing_here = self.inbox.is_empty and not self.placed
        return nothing_here and all(said.idle for said in self.answers.values())

    def _grant(self, worker: int) -> None:
        while (positions := self.grants.for_worker(worker)) is not None:
            self._send(worker, Tag.GRANT, messages.of_grant(positions, self.items))

    # Computing on rank 0 itself, when there is nothing to commit.

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
            self._failed(0, position, *failure(error, 0, self.transport.size))
            return
        seconds = self.account.worked(start, before)
        self.grants.measured(0, 1, seconds)
        if self.placing:
            self._sized(position, self.placing.size(result), 0)
        nbytes = 0
        if self.workers:
            nbytes = sum(part.nbytes for part in self.codec.parts(result))
        self.grants.item_bytes = nbytes
        self.inbox.put(position, 0, result, nbytes)

    def _failed(self, source: int, position: int, sentence: str, where: str) -> None:
        """Have another rank try again, or give up.

        Giving up is noted, not raised: this may be inside a work function.
        """
        sys.stderr.write(where)
        self.failures[position] = self.failures.get(position, 0) + 1
        if self.failures[position] > self.rules.retries:
            self.failed = self.failed or EngineError(sentence)
        elif not self.level:
            other = (source + 1) % self.transport.size
            self._retry(other if other or self.grants.computes else 1, position)

    def _retry(self, rank: int, position: int) -> None:
        if not rank:
            self.grants.own.appendleft(position)
            return
        self.grants.gave(rank, 1)
        self._send(rank, Tag.GRANT, messages.of_grant([position], self.items))

    # The end, and sending.

    def _end(self) -> None:
        """Send the workers back to `serve`; results behind a hole are received and dropped."""
        self.inbox.close()
        for worker in self.workers:
            self._send(worker, Tag.END, EMPTY)
        wait_for(self._is_quiet, self.transport)

    def _is_quiet(self) -> bool:
        self._listen()
        self._receive()
        busy = self.sending or not self.inbox.is_empty
        return not busy and all(said.gone for said in self.answers.values())

    def _send(self, worker: int, tag: Tag, payload: U8) -> None:
        self.sending.append((self.transport.send(worker, tag, payload), payload))
        self.account.count(payload.nbytes)
