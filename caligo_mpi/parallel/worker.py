"""A worker: does what rank 0 grants, and sends back the results."""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..pairs.bits import U8
from . import messages
from .account import Account, last_sums
from .job import Placing, Work
from .limits import GROUP_BYTES, INLINE_BYTES
from .messages import EMPTY, Announcement, Codec, Tag
from .transport import Pending, Transport, wait_for
from .trouble import failure


class _Released(BaseException):
    """The map ended while this rank was inside a work function."""


def serve(
    transport: Transport,
    codec: Codec[Any],
    settle: Callable[[str], object] = lambda kind: None,
) -> None:
    """Work for rank 0, map after map, until it says that there is nothing more to do.

    ``settle`` is called with what the ranks are to be bound to, when rank 0 says so.
    """
    account = Account()
    while True:
        wait_for(transport.arrived, transport)
        envelope = transport.arrived()
        assert envelope is not None
        payload = transport.take(envelope)
        account.count(payload.nbytes)
        if envelope.tag == Tag.END:
            return
        if envelope.tag == Tag.SETTLE:
            kind = payload.tobytes()
            settle(kind.decode())
            continue
        setup = pickle.loads(payload.data)
        worker = Worker(transport, codec, account)
        worker.run(setup())


class Worker:
    """One map as seen from a worker: grants waiting, results on their way."""

    def __init__(self, transport: Transport, codec: Codec[Any], account: Account) -> None:
        self.transport = transport
        self.codec = codec
        self.account = account
        self.grants: deque[list[tuple[int, int]]] = deque()
        self.sending: deque[tuple[Pending, U8]] = deque()
        self.unplaced: dict[int, Any] = {}  # position → result that waits for its place
        self.places: deque[tuple[int, int]] = deque()  # position, sizes before it
        self.recalled = self.ended = False

    def run(self, work: Work[Any]) -> None:
        """Do what is granted until the map ends, and answer that nothing more is coming."""
        self.placing = work if isinstance(work, Placing) else None
        try:
            while not self.ended:
                self._turn(work)
        except _Released:
            pass
        self._say_idle(gone=True)
        wait_for(self._has_sent, self.transport)

    def _turn(self, work: Work[Any]) -> None:
        self._listen()
        self._place()
        if self.grants:
            self._do(work, self.grants.popleft())
        elif self.recalled:
            self.recalled = False
            self._say_idle(gone=False)
        else:
            wait_for(self._has_news, self.transport)

    def _has_news(self) -> bool:
        self._listen()
        return bool(self.grants or self.places) or self.recalled or self.ended

    def _has_sent(self) -> bool:
        self._progress()
        return not self.sending

    def _do(self, work: Work[Any], grant: list[tuple[int, int]]) -> None:
        """Work on one grant, announcing results whenever they add up to something."""
        group = _Finished()
        for position, item in grant:
            start = time.perf_counter()
            try:
                result = work(item, self._tick)
                parts = self.codec.parts(result)
            except Exception as error:
                transport = self.transport
                sentence, where = failure(error, transport.rank, transport.size)
                told = messages.of_failed(position, sentence, where)
                self._send(Tag.FAILED, told)
            else:
                seconds = time.perf_counter() - start
                if self.placing:
                    self._sized(position, result, parts, seconds)
                else:
                    group.add(position, parts, seconds)
            if self.recalled:
                break
            if group.nbytes >= GROUP_BYTES:
                self._announce(group)
                group = _Finished()
        if group.positions:
            self._announce(group)

    def _sized(
        self,
        position: int,
        result: Any,
        parts: list[U8],
        seconds: float,
    ) -> None:
        """Keep a result until rank 0 says where its place is."""
        assert self.placing is not None
        self.account.credit(1, seconds)
        self.unplaced[position] = result
        told = messages.of_numbers(
            position,
            self.placing.size(result),
            sum(part.nbytes for part in parts),
            int(seconds * 1e9),
        )
        self._send(Tag.SIZED, told)

    def _place(self) -> None:
        """Finish the results whose places are known."""
        while self.places and self.placing:
            position, before = self.places.popleft()
            start = time.perf_counter()
            result = self.unplaced.pop(position)
            result = self.placing.place(result, before)
            self.account.writing += time.perf_counter() - start
            group = _Finished()
            group.add(
                position,
                self.codec.parts(result),
                seconds=0.0,
            )
            self._announce(group)

    def _announce(self, group: _Finished) -> None:
        start = time.perf_counter()
        if not self.placing:
            self.account.credit(len(group.positions), group.seconds)
        if len(group.positions) > 1 or group.nbytes < GROUP_BYTES:
            group.parts = [np.concatenate(group.parts)]
        inline = group.nbytes <= INLINE_BYTES
        pieces = [] if inline else group.parts
        announcement = Announcement(
            positions=group.positions,
            sizes=group.sizes,
            pieces=[piece.nbytes for piece in pieces],
            seconds=group.seconds,
            inline=group.parts[0] if inline else EMPTY,
            sums=self.account.sums(),
        )
        self._send(Tag.DONE, messages.of_done(announcement))
        for piece in pieces:
            self._send(Tag.DATA, piece)
        self.account.communicating += time.perf_counter() - start

    def _say_idle(self, *, gone: bool) -> None:
        sums = last_sums(self.account) if gone else self.account.sums()
        self._send(Tag.IDLE, messages.of_idle(sums, gone=gone))

    def _send(self, tag: Tag, payload: U8) -> None:
        pending = self.transport.send(0, tag, payload)
        self.sending.append((pending, payload))
        self.account.count(payload.nbytes)

    def _listen(self) -> None:
        """Take in what rank 0 says and let the sends make progress."""
        while envelope := self.transport.arrived():
            payload = self.transport.take(envelope)
            self.account.count(payload.nbytes)
            if envelope.tag == Tag.GRANT:
                self.grants.append(messages.granted(payload))
            elif envelope.tag == Tag.PLACE:
                position, before = messages.numbers_in(payload)
                self.places.append((position, before))
            elif envelope.tag == Tag.RECALL:
                self.recalled = True
                self.grants.clear()
            else:
                self.ended = True
                break  # what follows belongs to the next map
        self._progress()

    def _progress(self) -> None:
        while self.sending:
            pending, _ = self.sending[0]
            if not pending.done():
                return
            self.sending.popleft()

    def _tick(self) -> None:
        start = time.perf_counter()
        self._listen()
        heard = time.perf_counter() - start
        self.account.communicating += heard
        if self.ended:
            raise _Released
        self._place()
        # This is within the time of the running item, and no work.
        self.account.busy -= time.perf_counter() - start


@dataclass
class _Finished:
    """Results that are announced together."""

    positions: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    parts: list[U8] = field(default_factory=list)
    seconds: float = 0.0
    nbytes: int = 0

    def add(self, position: int, parts: list[U8], seconds: float) -> None:
        """Take a result in pieces that took ``seconds`` of work."""
        size = sum(part.nbytes for part in parts)
        self.positions.append(position)
        self.sizes.append(size)
        self.parts += parts
        self.seconds += seconds
        self.nbytes += size
