"""A run played event by event, with the schedule's own rules and a clock that costs nothing.

Rank 0 listens, commits in order and grants as `caligo_mpi.parallel.coordinator` does; what it
grants is decided by the same `Grants`.  Only the work is replaced, by times that are drawn.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ...parallel.grants import Grants
from ...parallel.limits import GROUP_BYTES, HELD_BYTES, INLINE_BYTES, LOOKS
from .costs import Costs, Workload
from .processors import speed, waiting

_SEED = 20
#: Seconds of chunks that are drawn at a time.
_DRAWN = 4096


@dataclass
class Played:
    """What came of a run: its ``seconds``, and how long ranks computed and rank 0 was busy for others."""

    seconds: float
    computing: float
    serving: float


#: When, in which order, what happens, to whom.
_Event = tuple[float, int, str, int]
#: From whom, which positions are finished, how long they took.
_Message = tuple[int, list[int], float]


@dataclass
class _Worker:
    """A rank: positions it was granted, those it has finished and not announced."""

    queue: deque[int] = field(default_factory=deque)
    finished: list[int] = field(default_factory=list)
    ends: set[int] = field(default_factory=set)  # positions that end a grant
    spent: float = 0.0  # seconds of the finished ones
    working: bool = False


@dataclass
class _Own:
    """The chunk that rank 0 computes itself, between messages."""

    position: int | None = None
    left: float = 0.0  # seconds
    start: float = 0.0  # when it was begun or gone on with
    version: int = 0  # which of its ends counts


class _Durations:
    """Seconds of one chunk after another: gamma distributed around ``mean``, or all the same."""

    def __init__(self, mean: float, spread: float) -> None:
        self.mean = mean
        self.spread = spread
        self.random = np.random.default_rng(_SEED)
        self.drawn: list[float] = []

    def next(self) -> float:
        if not self.mean or not self.spread:
            return self.mean
        if not self.drawn:
            shape = self.spread**-2
            scale = self.mean / shape
            times = self.random.gamma(shape, scale, _DRAWN)
            self.drawn = times.tolist()
        return self.drawn.pop()


def _turn(workload: Workload, costs: Costs, ranks: int) -> float:
    """Seconds between two chunks of a worker that has been granted both."""
    sending = workload.carried / costs.send
    if not costs.cores:
        return costs.turn + sending
    looking = costs.look / max(costs.tick + costs.look, 1e-12)
    return costs.turn * waiting(costs.cores, ranks * looking)


class _Results:
    """Results on their way from those who made them into the file, as rank 0 takes them in.

    ``next_commit`` is the position whose turn it is, ``news`` are the ranks that may have room for
    more now.  ``received`` are the seconds that taking in what came last takes rank 0, ``sent`` those that sending
    it took others.
    """

    def __init__(self, workload: Workload, costs: Costs, grants: Grants) -> None:
        self.workload = workload
        self.costs = costs
        self.grants = grants
        self.ready: dict[int, int] = {}  # position → the rank whose result waits for its turn
        self.held: set[int] = set()  # those of them that rank 0 has received
        self.news: set[int] = set()
        self.next_commit = 0
        self.sent = 0.0
        self.received = 0.0

    def heard(self, source: int, positions: list[int], seconds: float) -> None:
        """A worker says that these are finished."""
        self.news.add(source)
        self.grants.finished(source, len(positions), seconds)
        self.grants.item_bytes = int(self.workload.carried)
        self.ready.update(dict.fromkeys(positions, source))
        if self._is_inline:
            self.grants.received(source, len(positions))
            return
        room = int(HELD_BYTES // self.workload.carried) - len(self.held)
        for position in positions[: max(0, room)]:
            self.held.add(position)
            self._receive(source)

    def _receive(self, source: int) -> None:
        """Receive a result that does not travel inside its message."""
        self.grants.received(source, 1)
        self.news.add(source)
        self.received += self.workload.carried / self.costs.transfer
        self.sent += self.workload.carried / self.costs.send

    @property
    def _is_inline(self) -> bool:
        return self.workload.carried <= INLINE_BYTES

    def commit(self) -> float:
        """Put what is in order into the file; the seconds that takes."""
        each = self.costs.commit + self.workload.carried / self.costs.write
        first = self.next_commit
        while self.next_commit in self.ready:
            source = self.ready.pop(self.next_commit)
            if self.next_commit in self.held:
                self.held.discard(self.next_commit)
            elif source and not self._is_inline:
                self._receive(source)
            self.next_commit += 1
        return (self.next_commit - first) * each


class Play:
    """One run of ``workload`` on ``ranks`` ranks under ``policy``; `run` it once."""

    def __init__(self, workload: Workload, costs: Costs, ranks: int, policy: str) -> None:
        self.workload = workload
        self.costs = costs
        self.ranks = ranks
        self.grants = Grants(workload.chunks, ranks, policy, computes=True)
        self.workers = [_Worker() for _ in range(ranks)]
        self.durations = _Durations(workload.seconds, workload.spread)
        self.events: list[_Event] = []
        self.counter = 0
        self.mailbox: list[_Message] = []
        self.results = _Results(workload, costs, self.grants)
        self.rounds = itertools.cycle(range(1, ranks))
        self.listening = False  # a turn of listening is due
        self.busy_until = 0.0  # rank 0, with what others sent
        self.own = _Own()
        self.disk_free = 0.0
        self.computing = self.serving = 0.0
        self.turn = _turn(workload, costs, ranks)

    def run(self) -> Played:
        """Play until everything is committed."""
        now = 0.0
        for worker in range(1, self.ranks):
            self._grant(worker, now)
        self._compute_own(now)
        while self.results.next_commit < self.workload.chunks:
            now, _, what, who = heapq.heappop(self.events)
            if what == "computed":
                self._at(self._written(now), "finished", who)
            elif what == "finished":
                self._finished(who, now)
            elif what == "arrived":
                self._granted(who, now)
            elif what == "own" and who == self.own.version:
                self._own_finished(now)
            elif what == "listen":
                self._listen(now)
            elif what == "free":
                self._free(now)
        return Played(max(now, self.busy_until), self.computing, self.serving)

    def _at(self, time: float, what: str, who: int) -> None:
        self.counter += 1
        heapq.heappush(self.events, (time, self.counter, what, who))

    # Workers.

    def _granted(self, number: int, now: float) -> None:
        worker = self.workers[number]
        if worker.queue and not worker.working:
            self._start(number, now)

    def _start(self, number: int, now: float) -> None:
        """Begin to compute the next chunk."""
        worker = self.workers[number]
        seconds = self.durations.next()
        worker.working = True
        worker.spent += seconds
        self.computing += seconds
        seconds += self.turn
        self._at(now + seconds, "computed", number)

    def _written(self, begin: float) -> float:
        """When a rank that begins to write its chunk is done; all share the file system in turn."""
        nbytes = self.workload.written
        if not nbytes:
            return begin
        turn = max(self.disk_free, begin)
        self.disk_free = turn + nbytes / self.costs.file_system
        alone = begin + nbytes / self.costs.write
        return max(self.disk_free, alone)

    def _finished(self, number: int, now: float) -> None:
        worker = self.workers[number]
        position = worker.queue.popleft()
        worker.finished.append(position)
        worker.working = False
        group = len(worker.finished) * self.workload.carried
        if position in worker.ends or group >= GROUP_BYTES:
            worker.ends.discard(position)
            self._announce(number, now)
        if worker.queue:
            self._start(number, now)

    def _announce(self, number: int, now: float) -> None:
        worker = self.workers[number]
        self.mailbox.append((number, worker.finished, worker.spent))
        worker.finished = []
        worker.spent = 0.0
        heard = now + self.costs.latency
        if self.own.position is not None:
            heard += self.costs.tick / 2
        self._listen_at(heard)

    # Rank 0.

    def _listen_at(self, time: float) -> None:
        """Have rank 0 listen then, or when it is free; one turn takes in all that has come."""
        if not self.listening:
            self.listening = True
            self._at(max(time, self.busy_until), "listen", 0)

    def _listen(self, now: float) -> None:
        """Take in all that has arrived, commit what is in order, grant."""
        self.listening = False
        if now < self.busy_until:
            self._listen_at(now)
            return
        self._interrupt(now)
        self.results.received = self.costs.message * len(self.mailbox)
        for source, positions, seconds in self.mailbox:
            self.results.heard(source, positions, seconds)
        self.mailbox.clear()
        spent = self.results.commit()
        self._served(now, spent + self.results.received)
        self._grant_all()
        self._go_on()

    def _grant_all(self) -> None:
        """Grant to those who have said something or whose results were received, and to some others in turn."""
        self.grants.committed = self.results.next_commit
        asked = self.results.news.union(itertools.islice(self.rounds, LOOKS))
        for worker in sorted(asked):
            self._grant(worker, self.busy_until)
        self.results.news.clear()

    def _served(self, now: float, seconds: float) -> None:
        """Have rank 0 be busy; for longer where others send and look on the cores that it shares."""
        costs = self.costs
        if costs.cores and seconds:
            wanting = 1 + self.results.sent / seconds
            seconds /= speed(costs.cores, wanting, self.ranks - 1, costs.look, costs.tick)
            # What is heard and received inside a chunk that sleeps does not make it longer.
            self.own.left -= self.results.received
        self.results.sent = self.results.received = 0.0
        self.busy_until = now + seconds
        self.serving += seconds

    def _grant(self, worker: int, now: float) -> None:
        if not worker:
            return  # rank 0 grants itself elsewhere
        granted = self.workers[worker]
        arrival = now + self.costs.latency
        while (positions := self.grants.for_worker(worker)) is not None:
            granted.queue.extend(positions)
            granted.ends.add(positions[-1])
            self._at(arrival, "arrived", worker)

    # Chunks of rank 0 itself, which messages interrupt.

    def _interrupt(self, now: float) -> None:
        own = self.own
        if own.position is not None:
            own.left -= max(0.0, now - own.start)
            own.version += 1

    def _go_on(self) -> None:
        """Go on with the own chunk; begin one only if nobody has said something meanwhile."""
        if self.own.position is not None:
            self._compute_own(self.busy_until)
        else:
            self._at(self.busy_until, "free", 0)

    def _free(self, now: float) -> None:
        if self.own.position is None and not self.listening:
            self._compute_own(now)

    def _compute_own(self, now: float) -> None:
        """Begin a chunk of rank 0's own, or go on with it."""
        own = self.own
        if own.position is None:
            own.position = self.grants.for_itself()
            if own.position is None:
                return
            self.grants.own.popleft()
            own.left = self.durations.next()
            self.computing += own.left
        own.version += 1
        own.start = now
        end = now + max(0.0, own.left)
        self._at(end, "own", own.version)

    def _own_finished(self, now: float) -> None:
        assert self.own.position is not None
        self.results.ready[self.own.position] = 0
        self.own.position = None
        self.grants.measured(0, 1, max(self.workload.seconds, 1e-9))
        spent = self.results.commit()
        if self.workload.written:
            spent += self._written(now) - now
        self._served(now, spent + self.results.received)
        self._grant_all()
        self._go_on()
