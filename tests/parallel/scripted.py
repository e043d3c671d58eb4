"""Workers in memory, for tests of the coordinator without MPI.

A `Network` plays all ranks but 0.  Its workers do what a script says: how many pauses of rank 0 an
item takes, which items fail, who answers late.  Everything is deterministic.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from caligo_mpi.parallel import messages
from caligo_mpi.parallel.account import Sums
from caligo_mpi.parallel.messages import EMPTY, Announcement, Tag
from caligo_mpi.parallel.transport import Envelope


class Numbers:
    """Codec of results that are arrays of bytes."""

    @staticmethod
    def parts(result):
        return [result]

    @staticmethod
    def whole(buffer):
        return buffer.copy()


class Done:
    """A message that is through at once."""

    def done(self):
        return True


@dataclass
class Arriving:
    """A receive that ends when the network says so."""

    network: Network
    source: int
    buffer: np.ndarray

    def done(self):
        data = self.network.data[self.source]
        if self.buffer is not None and data and not self.network.withheld:
            self.buffer[:] = data.popleft()
            self.buffer = None
        return self.buffer is None


@dataclass
class Player:
    """A worker as its script has it."""

    grants: deque = field(default_factory=deque)  # (position, item)
    busy: int = 0  # pauses until the running item is done
    running: tuple[int, int] | None = None
    ended: bool = False


@dataclass
class Network:
    """The transport of rank 0, and all the other ranks.

    ``pauses(worker, item)`` is how long an item takes, ``fails(worker, item)`` whether it raises
    there, ``nbytes(item)`` the size of its result; results above ``inline`` follow as data.
    """

    size: int
    pauses: Callable[[int, int], int] = lambda worker, item: 1
    fails: Callable[[int, int], bool] = lambda worker, item: False
    nbytes: Callable[[int], int] = lambda item: 8
    inline: int = 1 << 10
    withheld: bool = False
    rank: int = 0
    clock: int = 0

    def __post_init__(self):
        self.players = {worker: Player() for worker in range(1, self.size)}
        self.inbox = deque()
        self.data = {worker: deque() for worker in self.players}
        self.granted = []  # (worker, positions), in order
        self.sent = []  # (worker, tag), in order
        self.outstanding = dict.fromkeys(self.players, 0)
        self.most_outstanding = 0
        self.most_receiving = 0

    # What the coordinator asks of a transport.

    def send(self, target, tag, payload):
        self.sent.append((target, Tag(tag)))
        player = self.players[target]
        if tag == Tag.JOB:
            pickle.loads(payload.data)
        elif tag == Tag.GRANT:
            grant = messages.granted(payload)
            self.granted.append((target, [position for position, _ in grant]))
            player.grants.extend(grant)
            self.outstanding[target] += len(grant)
            self.most_outstanding = max(self.most_outstanding, *self.outstanding.values())
        elif tag == Tag.RECALL:
            player.grants.clear()
            if player.running is None:
                self._answer(target, Tag.IDLE, messages.of_idle(Sums(), gone=False))
            else:
                player.running = (*player.running, "recalled")
        else:
            player.ended = True
            player.grants.clear()
            player.running = None
            self._answer(target, Tag.IDLE, messages.of_idle(Sums(), gone=True))
        return Done()

    def arrived(self, tag=None):
        for source, found, payload in self.inbox:
            if tag is None or found == tag:
                return Envelope(source, found, len(payload))
        return None

    def take(self, envelope):
        for number, (source, tag, payload) in enumerate(self.inbox):
            if (source, tag) == (envelope.source, envelope.tag):
                del self.inbox[number]
                return payload
        raise AssertionError("nothing to take")

    def receive(self, source, tag, buffer):
        assert tag == Tag.DATA
        return Arriving(self, source, buffer)

    def pause(self, seconds):
        self.clock += 1
        for worker, player in self.players.items():
            self._turn(worker, player)

    # What the workers do.

    def _turn(self, worker, player):
        if player.running is None and player.grants:
            player.running = player.grants.popleft()
            player.busy = self.pauses(worker, player.running[1])
        if player.running is None:
            return
        player.busy -= 1
        if player.busy <= 0:
            position, item, *recalled = player.running
            player.running = None
            self._finish(worker, position, item)
            if recalled:
                self._answer(worker, Tag.IDLE, messages.of_idle(Sums(), gone=False))

    def _finish(self, worker, position, item):
        self.outstanding[worker] -= 1
        if self.fails(worker, item):
            text = f"item {item} failed on {worker}"
            self._answer(worker, Tag.FAILED, messages.of_failed(position, text, ""))
            return
        result = np.full(self.nbytes(item), item % 251, np.uint8)
        inline = len(result) <= self.inline
        found = Announcement(
            [position],
            [len(result)],
            [] if inline else [len(result)],
            self.pauses(worker, item) * 1e-2,
            result if inline else EMPTY,
        )
        self._answer(worker, Tag.DONE, messages.of_done(found))
        if not inline:
            self.data[worker].append(result)

    def _answer(self, worker, tag, payload):
        self.inbox.append((worker, tag, payload))
