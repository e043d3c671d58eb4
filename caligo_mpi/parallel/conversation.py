"""What rank 0 of a map hears from its workers, and what it tells them."""

from __future__ import annotations

import itertools
import sys
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import EngineError
from ..pairs.bits import U8
from . import messages
from .account import Ledger
from .grants import Grants
from .inbox import Inbox
from .job import Items, Placing, Rules
from .limits import LOOKS
from .messages import EMPTY, Announcement, Codec, Tag
from .offsets import Offsets
from .transport import Pending, Transport, wait_for

R = TypeVar("R")

#: What is listened for, in this order.  Not any tag: that may find data that is not wanted yet, in front
#: of what is.  And IDLE first: when it is seen, all that its rank sent before can be seen, too.
_HEARD = (Tag.IDLE, Tag.FAILED, Tag.SIZED, Tag.DONE)


@dataclass
class _Answers:
    """What a worker has said of itself."""

    idle: bool = False  # after RECALL: nothing more is coming
    gone: bool = False  # after END


class Conversation(Generic[R]):
    """The messages of one map as rank 0 sees them, and what is known by them.

    Positions count items.  ``items`` and ``grants`` are there once the map has begun.
    """

    items: Items
    grants: Grants

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
        self.grants.committed = self.next_commit
        asked = self.news.union(itertools.islice(self.rounds, LOOKS))
        self.news.clear()
        for worker in sorted(asked):
            self._grant(worker)

    def _listen(self) -> None:
        for tag in _HEARD:
            while envelope := self.transport.arrived(tag):
                payload = self.transport.take(envelope)
                self.account.count(len(payload))
                self._heard(tag, envelope.source, payload)
        self.sending = [(pending, data) for pending, data in self.sending if not pending.done()]

    def _heard(self, tag: Tag, source: int, payload: U8) -> None:
        self.news.add(source)
        if tag == Tag.DONE:
            self._finished(source, messages.done(payload))
        elif tag == Tag.SIZED:
            position, size, nbytes, nanoseconds = messages.numbers_in(payload)
            self.grants.finished(source, 1, nanoseconds * 1e-9)
            self.grants.item_bytes = nbytes
            self._sized(position, size, source)
        elif tag == Tag.FAILED:
            self.grants.lost(source)
            position, sentence, where = messages.failed(payload)
            self._failed(
                source,
                position,
                sentence,
                where,
            )
        else:
            gone, sums = messages.idle(payload)
            self.ledger.hear(source, sums)
            answers = self.answers[source]
            answers.idle = True
            answers.gone = gone

    def _finished(self, source: int, found: Announcement) -> None:
        """Note what a worker has finished; what is not inside its message comes later."""
        count = len(found.positions)
        self.ledger.hear(source, found.sums)
        if self.placing:
            self.placed -= count
        else:
            self.grants.finished(source, count, found.seconds)
            self.grants.item_bytes = sum(found.sizes) // count
        if self.inbox.announce(source, found):
            self.grants.received(source, count)

    def _sized(self, position: int, size: int, source: int) -> None:
        """Tell ranks the places that are known now; rank 0's own results are written as they are committed."""
        self.offsets.sized(position, size, source)
        if self.inbox.closed:
            return
        for known, holder, before in self.offsets.known():
            if holder:
                self.placed += 1
                told = messages.of_numbers(known, before)
                self._send(holder, Tag.PLACE, told)

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

    def _grant(self, worker: int) -> None:
        while (positions := self.grants.for_worker(worker)) is not None:
            grant = messages.of_grant(positions, self.items)
            self._send(worker, Tag.GRANT, grant)

    def _failed(
        self,
        source: int,
        position: int,
        sentence: str,
        where: str,
    ) -> None:
        """Have another rank try again, or give up.

        Giving up is noted, not raised: this may be inside a work function.
        """
        sys.stderr.write(where)
        failures = self.failures.get(position, 0) + 1
        self.failures[position] = failures
        if failures > self.rules.retries:
            self.failed = self.failed or EngineError(sentence)
        elif not self.level:
            other = (source + 1) % self.transport.size
            if not other and not self.grants.computes:
                other = 1
            self._retry(other, position)

    def _retry(self, rank: int, position: int) -> None:
        if not rank:
            self.grants.own.appendleft(position)
            return
        self.grants.gave(rank, 1)
        grant = messages.of_grant([position], self.items)
        self._send(rank, Tag.GRANT, grant)

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
        pending = self.transport.send(worker, tag, payload)
        self.sending.append((pending, payload))
        self.account.count(payload.nbytes)
