"""Ranks: a map over them, and what keeps one failed rank from hanging the rest.  The only module that imports mpi4py.

Rank 0 coordinates, commits and computes; the others serve.  All messages are between rank 0 and one worker:

=========  ======  ==================================================================================
tag        way     content
=========  ======  ==================================================================================
JOB        0 → w   how to make the work function (pickled, once per map)
GRANT      0 → w   positions in the list of items, to be worked on in this order
RECALL     0 → w   finish the running item, forget the rest
END        0 → w   drop everything; the map is over
DONE       w → 0   positions, sizes and seconds of finished items; small results travel inside
DATA       w → 0   the bytes of the results just announced, where they are not small
IDLE       w → 0   answer to RECALL and END: nothing more is coming
FAILED     w → 0   a position whose work raised, and the traceback; rank 0 gives it to another rank, or up
=========  ======  ==================================================================================

Results leave the map in the order of the items.  What bounds memory: a rank holds at most `IN_FLIGHT` grants or
`FLIGHT_BYTES` that rank 0 has not received, and rank 0 receives only the next item or up to `HELD_BYTES`; a worker's
larger results stay where they are (a rendezvous send) until then.  No rank ever waits inside a blocking call: that
would make it deaf to signals.
"""

from __future__ import annotations

import contextlib
import heapq
import pickle
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, Protocol, TypeVar

import mpi4py
import numpy as np
from numpy.typing import NDArray

from ..errors import CaligoError, EngineError, EnvironmentProblem
from . import schedule

mpi4py.rc.threads = False
from mpi4py import MPI as MPI  # noqa: E402

WORLD = MPI.COMM_WORLD

#: Grants a rank may hold whose results rank 0 has not received.
IN_FLIGHT = 8
#: Results rank 0 keeps before their turn.
HELD_BYTES = 32 << 20
#: Results of one worker that rank 0 has not received, beyond two items.
FLIGHT_BYTES = 32 << 20
#: Results up to this size travel inside the DONE message.
INLINE_BYTES = 32 << 10
#: A worker announces finished results at least when they add up to this; smaller ones are copied together.
GROUP_BYTES = 1 << 20

R = TypeVar("R")
Tick = Callable[[], None]


class Codec(Protocol[R]):
    """How a result becomes bytes and back; ``parts`` may be views, nothing is copied twice."""

    def parts(self, result: R) -> list[NDArray[np.uint8]]:
        """The result as consecutive pieces of bytes."""
        ...

    def whole(self, buffer: NDArray[np.uint8]) -> R:
        """The result from its bytes; may keep views of ``buffer``."""
        ...


@dataclass
class Traffic:
    """Messages and bytes that crossed between rank 0 and the workers during a map."""

    messages: int = 0
    bytes: int = 0


class _Tag(IntEnum):
    JOB, GRANT, RECALL, END, DONE, DATA, IDLE, FAILED = range(1, 9)


class _Released(BaseException):
    """The map ended while this rank was inside a work function."""


def rank() -> int:
    """The rank of this process."""
    return int(WORLD.rank)


def size() -> int:
    """How many ranks there are."""
    return int(WORLD.size)


def check_size(asked: int) -> None:
    """Refuse to run as separate copies: a launcher of another MPI starts N processes of size 1, and exits with 0."""
    if WORLD.size != asked:
        library = MPI.Get_library_version().split(",")[0].split("\n")[0]
        raise EnvironmentProblem(
            f"ranks={asked} were asked for but MPI reports a world of {WORLD.size}: the launcher does not belong to "
            f"the MPI library that mpi4py loaded ({library}); use the mpirun of that library"
        )


def library() -> str:
    """Name and version of the MPI library in use, on one line."""
    text = MPI.Get_library_version().strip("\0 \n")
    return " ".join(text.replace("\t", " ").split("\n")[0].split(",")[0].split())


@contextlib.contextmanager
def abort_on_error(note: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Take the whole job down when one rank fails, with its traceback, instead of leaving the others waiting.

    ``note`` is called first, unless the failure is MPI's own: that may only tell of another rank's death.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, MPI.Exception):
            note()
        if WORLD.size == 1:
            raise
        sys.stderr.write(failure(error)[1])
        sys.stderr.flush()
        WORLD.Abort(1)


def failure(error: BaseException) -> tuple[str, str]:
    """What a rank tells of an exception: the sentence, and where it came from."""
    lines = "".join(traceback.format_exception(error))
    return str(
        error
    ), f"rank {WORLD.rank} of {WORLD.size} on {socket.gethostname()} failed:\n{lines}"


def release_workers() -> None:
    """Let the other ranks leave `serve`; called by rank 0 when there is nothing more to map."""
    for worker in range(1, WORLD.size):
        WORLD.Send([b"", MPI.BYTE], worker, _Tag.END)


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────


def serve(codec: Codec[Any]) -> None:
    """Work for rank 0 until it says that there is nothing more to do."""
    status = MPI.Status()
    while True:
        _wait_for(lambda: WORLD.Iprobe(0, MPI.ANY_TAG, status))
        payload = _receive(0, status)
        if status.Get_tag() == _Tag.END:
            return
        _Worker(codec).run(pickle.loads(payload.data)())


class _Worker:
    """One map as seen from a worker: grants waiting, results on their way."""

    def __init__(self, codec: Codec[Any]) -> None:
        self.codec = codec
        self.grants: deque[list[tuple[int, int]]] = deque()
        self.sending: deque[tuple[MPI.Request, Any]] = deque()
        self.recalled = self.ended = False

    def run(self, work: Callable[[int, Tick | None], Any]) -> None:
        try:
            while not self.ended:
                self.listen()
                if self.grants:
                    self.do(work, self.grants.popleft())
                elif self.recalled:
                    self.recalled = False
                    self.send(_Tag.IDLE, np.zeros(1, np.uint8))
                else:
                    _wait_for(self.has_news)
        except _Released:
            pass
        self.send(_Tag.IDLE, np.ones(1, np.uint8))
        _wait_for(self.has_sent)

    def has_news(self) -> bool:
        self.listen()
        return bool(self.grants) or self.recalled or self.ended

    def has_sent(self) -> bool:
        self.progress()
        return not self.sending

    def do(self, work: Callable[[int, Tick | None], Any], grant: list[tuple[int, int]]) -> None:
        """Work on one grant, announcing results whenever they add up to something."""
        group = _Outgoing()
        for position, item in grant:
            start = time.perf_counter()
            try:
                group.add(position, self.codec.parts(work(item, self.tick)), start)
            except Exception as error:
                self.send(
                    _Tag.FAILED, np.frombuffer(pickle.dumps((position, *failure(error))), np.uint8)
                )
            if self.recalled:
                break
            if group.nbytes >= GROUP_BYTES:
                self.announce(group)
                group = _Outgoing()
        if group.positions:
            self.announce(group)

    def announce(self, group: _Outgoing) -> None:
        inline = group.nbytes <= INLINE_BYTES
        if len(group.positions) > 1 or group.nbytes < GROUP_BYTES:
            group.parts = [np.concatenate(group.parts)]
        pieces = [] if inline else [part.nbytes for part in group.parts]
        numbers = [len(group.positions), int(group.seconds * 1e9), len(pieces)]
        header = np.array([*numbers, *group.positions, *group.sizes, *pieces], np.int64).view(
            np.uint8
        )
        self.send(_Tag.DONE, np.concatenate([header, group.parts[0]]) if inline else header)
        for part in [] if inline else group.parts:
            self.send(_Tag.DATA, part)

    def send(self, tag: _Tag, payload: NDArray[Any]) -> None:
        self.sending.append((WORLD.Isend([payload, MPI.BYTE], 0, tag), payload))

    def listen(self) -> None:
        """Take in what rank 0 says and let the sends make progress."""
        status = MPI.Status()
        while WORLD.Iprobe(0, MPI.ANY_TAG, status):
            payload = _receive(0, status)
            tag = status.Get_tag()
            if tag == _Tag.GRANT:
                pairs = np.frombuffer(payload, np.int64).reshape(-1, 2)
                self.grants.append([(int(p), int(i)) for p, i in pairs])
            elif tag == _Tag.RECALL:
                self.recalled = True
                self.grants.clear()
            else:
                self.ended = True
                break  # what follows belongs to the next map
        self.progress()

    def progress(self) -> None:
        while self.sending and self.sending[0][0].Test():
            self.sending.popleft()

    def tick(self) -> None:
        self.listen()
        if self.ended:
            raise _Released


@dataclass
class _Outgoing:
    """Finished results that are announced together."""

    positions: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    parts: list[NDArray[np.uint8]] = field(default_factory=list)
    seconds: float = 0.0
    nbytes: int = 0

    def add(self, position: int, parts: list[NDArray[np.uint8]], start: float) -> None:
        """Take a result whose work began at ``start``."""
        size = sum(part.nbytes for part in parts)
        self.positions.append(position)
        self.sizes.append(size)
        self.parts += parts
        self.seconds += time.perf_counter() - start
        self.nbytes += size


# ── rank 0 ───────────────────────────────────────────────────────────────────────────────────────────────────


def map_over_ranks(
    setup: Callable[[], Callable[[int, Tick | None], R]],
    items: Sequence[int] | NDArray[np.int64],
    *,
    codec: Codec[R],
    policy: str = "dynamic",
    rank0_computes: str = "auto",
    retries: int = 0,
    stop: Callable[[], int] = lambda: 0,
    traffic: Traffic | None = None,
) -> Generator[tuple[int, R], None, None]:
    """``(rank, work(item))`` for each item, in the order of ``items``, computed on all ranks.

    ``setup`` is pickled, sent to every rank once and gives the work function there.  ``stop()`` is asked often:
    1 means finish what is running, then end early; 2 means end now.  Closing the iterator ends the map at once.
    An item whose work raises is given to another rank ``retries`` times; then the map ends with an `EngineError`.
    To be called on rank 0 while the other ranks `serve`.
    """
    return _Coordinator(
        setup, items, codec, policy, rank0_computes, retries, stop, traffic or Traffic()
    ).results()


@dataclass(order=True)
class _Incoming(Generic[R]):
    """Results that a worker has announced."""

    first: int
    positions: list[int] = field(compare=False)
    sizes: list[int] = field(compare=False)
    source: int = field(compare=False)
    buffer: NDArray[np.uint8] | None = field(default=None, compare=False)
    pieces: list[int] = field(default_factory=list, compare=False)
    requests: list[MPI.Request] = field(default_factory=list, compare=False)


@dataclass
class _Rank:
    """What rank 0 knows about a rank."""

    granted: int = 0  # items granted and not yet finished
    flying: int = 0  # items granted and not yet received
    cursor: int = 0  # next own position (static only)
    rate: float = 0.0  # items per second, recent
    idle: bool = False  # has answered a RECALL
    gone: bool = False  # has answered END


class _Coordinator(Generic[R]):
    """One map as seen from rank 0.  Positions count items; rank 0 commits position after position."""

    def __init__(
        self,
        setup: Callable[[], Callable[[int, Tick | None], R]],
        items: Sequence[int] | NDArray[np.int64],
        codec: Codec[R],
        policy: str,
        rank0_computes: str,
        retries: int,
        stop: Callable[[], int],
        traffic: Traffic,
    ) -> None:
        self.setup, self.items, self.codec, self.policy = setup, items, codec, policy
        self.retries, self.stop, self.traffic = retries, stop, traffic
        self.failures: dict[int, int] = {}
        self.failed: EngineError | None = None
        self.computes = rank0_computes != "no" or WORLD.size == 1
        self.ranks = [_Rank(cursor=r) for r in range(WORLD.size)]
        self.shared = WORLD.size if self.computes else WORLD.size - 1
        if not self.computes:
            for r, state in enumerate(self.ranks):
                state.cursor = r - 1
        self.next_grant = self.next_commit = 0
        self.seconds = 0.0  # per item, recent
        self.item_bytes = 0  # the same
        self.own: deque[int] = deque()
        self.announced: list[_Incoming[R]] = []  # a heap: lowest position first
        self.receiving: list[_Incoming[R]] = []
        self.ready: dict[int, tuple[int, R, int]] = {}
        self.held = 0
        self.level = 0
        self.last_poll = 0.0
        self.sending: list[tuple[MPI.Request, Any]] = []
        self.ending = False

    def results(self) -> Generator[tuple[int, R], None, None]:
        job = pickle.dumps(self.setup)
        for worker in range(1, WORLD.size):
            self._send(worker, _Tag.JOB, np.frombuffer(job, np.uint8))
        try:
            work = self.setup()
            while self.next_commit < len(self.items):
                self.poll()
                if self.failed:
                    break
                while self.next_commit in self.ready and self.level < 2:
                    source, result, nbytes = self.ready.pop(self.next_commit)
                    self.next_commit += 1
                    yield source, result
                    self.held -= nbytes
                    self.tick()
                if self.level and self._nothing_more_comes():
                    break
                if not self.level and self._may_compute():
                    self._compute(work)
                else:
                    time.sleep(5e-5)
        except _Released:
            pass
        except (GeneratorExit, CaligoError):
            self._end()
            raise
        # Any other exception is a bug, which takes the job down without waiting for anybody.
        self._end()
        if self.failed:
            raise self.failed

    # One turn of listening; also what the work function calls on rank 0.

    def poll(self) -> None:
        self._listen()
        self._take()
        self._collect()
        self._obey()
        if not self.level:
            for worker in range(1, WORLD.size):
                self._grant(worker)

    def _listen(self) -> None:
        # Not ANY_TAG: that may find data that is not wanted yet, in front of what is.  And IDLE first: when it is seen,
        # all that its rank sent before can be seen, too.
        status = MPI.Status()
        for tag in (_Tag.IDLE, _Tag.FAILED, _Tag.DONE):
            while WORLD.Iprobe(MPI.ANY_SOURCE, tag, status):
                source = status.Get_source()
                self._heard(tag, source, self._receive(source, status))
        self.sending = [(request, data) for request, data in self.sending if not request.Test()]

    def _heard(self, tag: _Tag, source: int, payload: NDArray[np.uint8]) -> None:
        state = self.ranks[source]
        if tag == _Tag.DONE:
            self._announced(source, payload)
        elif tag == _Tag.FAILED:
            state.granted -= 1
            state.flying -= 1
            self._failed(source, *pickle.loads(payload.data))
        else:
            state.idle, state.gone = True, bool(payload[0])

    def tick(self) -> None:
        now = time.perf_counter()
        if now - self.last_poll < 2e-4:
            return
        self.poll()
        self.last_poll = time.perf_counter()
        if self.level > 1 or self.failed:
            raise _Released

    def _obey(self) -> None:
        level = self.stop()
        if level and not self.level:
            self.own.clear()
            for worker in range(1, WORLD.size):
                self._send(worker, _Tag.RECALL, np.empty(0, np.uint8))
        self.level = max(level, self.level)

    def _nothing_more_comes(self) -> bool:
        if self.level > 1:
            return True
        quiet = all(state.idle for state in self.ranks[1:])
        return quiet and not self.announced and not self.receiving

    # Granting.

    def _grant(self, worker: int) -> None:
        state = self.ranks[worker]
        share = self._share(worker)
        least = schedule.quantum(self.seconds)
        while left := self._left(state):
            ahead = schedule.looks_ahead(self.policy, left=left, ranks=self.shared, share=share)
            room = self._room(least) - state.flying
            if state.granted > (least if ahead else 0) or room <= 0:
                return
            size = schedule.grant_size(
                self.policy, left=left, ranks=self.shared, least=least, share=share
            )
            positions = self._positions(state, min(size, IN_FLIGHT // 2 * least, room))
            state.granted += len(positions)
            state.flying += len(positions)
            pairs = np.array([(p, self.items[p]) for p in positions], np.int64)
            self._send(worker, _Tag.GRANT, pairs.view(np.uint8).ravel())

    def _room(self, least: int) -> int:
        """Items that a worker may have been granted and not delivered."""
        by_size = FLIGHT_BYTES // self.item_bytes if self.item_bytes else 1
        return min(IN_FLIGHT * least, max(2, by_size))

    def _left(self, state: _Rank) -> int:
        if self.policy == "static":
            return len(range(state.cursor, len(self.items), self.shared))
        return len(self.items) - self.next_grant

    def _positions(self, state: _Rank, size: int) -> range:
        if self.policy == "static":
            stop = min(state.cursor + size * self.shared, len(self.items))
            positions = range(state.cursor, stop, self.shared)
            state.cursor += len(positions) * self.shared
            return positions
        first, self.next_grant = self.next_grant, min(self.next_grant + size, len(self.items))
        return range(first, self.next_grant)

    def _share(self, worker: int) -> float | None:
        rates = [state.rate for state in (self.ranks if self.computes else self.ranks[1:])]
        return self.ranks[worker].rate / sum(rates) if all(rates) else None

    def _measured(self, worker: int, count: int, seconds: float) -> None:
        each = max(seconds, 1e-9) / count
        self.seconds = each if not self.seconds else 0.8 * self.seconds + 0.2 * each
        state = self.ranks[worker]
        state.rate = 1 / each if not state.rate else 0.7 * state.rate + 0.3 / each

    # Computing on rank 0 itself, when there is nothing to commit.

    def _may_compute(self) -> bool:
        if not self.computes:
            return False
        if not self.own and (left := self._left(self.ranks[0])):
            least = schedule.quantum(self.seconds)
            size = schedule.grant_size(
                self.policy, left=left, ranks=self.shared, least=least, share=self._share(0)
            )
            self.own.extend(self._positions(self.ranks[0], min(size, least)))
        return bool(self.own) and (self.held < HELD_BYTES or self.own[0] == self.next_commit)

    def _compute(self, work: Callable[[int, Tick | None], R]) -> None:
        position = self.own.popleft()
        start = time.perf_counter()
        try:
            result = work(int(self.items[position]), self.tick)
        except Exception as error:
            self._failed(0, position, *failure(error))
            return
        self._measured(0, 1, time.perf_counter() - start)
        nbytes = sum(part.nbytes for part in self.codec.parts(result)) if WORLD.size > 1 else 0
        self.item_bytes = nbytes
        self.ready[position] = (0, result, nbytes)
        self.held += nbytes

    def _failed(self, source: int, position: int, sentence: str, where: str) -> None:
        """Have another rank try again, or give up; not by raising here, which may be inside a work function."""
        sys.stderr.write(where)
        self.failures[position] = self.failures.get(position, 0) + 1
        if self.failures[position] > self.retries:
            self.failed = self.failed or EngineError(sentence)
        elif not self.level:
            other = (source + 1) % WORLD.size
            self._retry(other if other or self.computes else 1, position)

    def _retry(self, rank: int, position: int) -> None:
        if not rank:
            self.own.appendleft(position)
            return
        self.ranks[rank].granted += 1
        self.ranks[rank].flying += 1
        self._send(
            rank, _Tag.GRANT, np.array([position, self.items[position]], np.int64).view(np.uint8)
        )

    # Receiving.

    def _announced(self, source: int, payload: NDArray[np.uint8]) -> None:
        n, nanoseconds, n_pieces = np.frombuffer(payload, np.int64, 3).tolist()
        numbers = np.frombuffer(payload, np.int64, 2 * n + n_pieces, 24).tolist()
        positions, sizes, pieces = numbers[:n], numbers[n : 2 * n], numbers[2 * n :]
        self._measured(source, n, nanoseconds * 1e-9)
        self.item_bytes = sum(sizes) // n
        self.ranks[source].granted -= n
        group: _Incoming[R] = _Incoming(positions[0], positions, sizes, source, pieces=pieces)
        if pieces:
            heapq.heappush(self.announced, group)
            return
        group.buffer = payload[8 * (3 + 2 * n) :]
        self.held += len(group.buffer)
        self._received(group)

    def _take(self) -> None:
        """Start receiving the lowest announced results: always the next to be committed, others while there is room."""
        while self.announced:
            group = self.announced[0]
            if (
                group.first != self.next_commit
                and self.held + sum(group.sizes) > HELD_BYTES
                and not self.ending
            ):
                return
            heapq.heappop(self.announced)
            group.buffer = np.empty(sum(group.sizes), np.uint8)
            self.held += len(group.buffer)
            offset = 0
            for piece in group.pieces:
                part = group.buffer[offset : offset + piece]
                group.requests.append(WORLD.Irecv([part, MPI.BYTE], group.source, _Tag.DATA))
                offset += piece
                self._count(piece)
            self.receiving.append(group)

    def _collect(self) -> None:
        arrived = [group for group in self.receiving if MPI.Request.Testall(group.requests)]
        for group in arrived:
            self.receiving.remove(group)
            self._received(group)

    def _received(self, group: _Incoming[R]) -> None:
        assert group.buffer is not None
        self.ranks[group.source].flying -= len(group.positions)
        offset = 0
        for position, nbytes in zip(group.positions, group.sizes, strict=True):
            if not self.ending:
                result = self.codec.whole(group.buffer[offset : offset + nbytes])
                self.ready[position] = (group.source, result, nbytes)
            offset += nbytes

    def _end(self) -> None:
        """Send the workers back to `serve`; what they had finished behind a hole is received and dropped."""
        self.ending = True
        for worker in range(1, WORLD.size):
            self._send(worker, _Tag.END, np.empty(0, np.uint8))
        self.ready.clear()

        def quiet() -> bool:
            self._listen()
            self._take()
            self._collect()
            busy = self.announced or self.receiving or self.sending
            return not busy and all(state.gone for state in self.ranks[1:])

        _wait_for(quiet)

    # Messages.

    def _send(self, worker: int, tag: _Tag, payload: NDArray[Any]) -> None:
        self.sending.append((WORLD.Isend([payload, MPI.BYTE], worker, tag), payload))
        self._count(payload.nbytes)

    def _receive(self, source: int, status: MPI.Status) -> NDArray[np.uint8]:
        payload = _receive(source, status)
        self._count(payload.nbytes)
        return payload

    def _count(self, nbytes: int) -> None:
        self.traffic.messages += 1
        self.traffic.bytes += nbytes


def _receive(source: int, status: MPI.Status) -> NDArray[np.uint8]:
    """A message that has been probed."""
    buffer = np.empty(status.Get_count(MPI.BYTE), np.uint8)
    WORLD.Recv([buffer, MPI.BYTE], source, status.Get_tag())
    return buffer


def _wait_for(condition: Callable[[], Any]) -> None:
    """Poll until ``condition()`` holds, sleeping in between: briefly at first, so that short waits stay short."""
    pause = 1e-5
    while not condition():
        time.sleep(pause)
        pause = min(pause * 1.5, 1e-3)
