"""The whole exchange inside one simulation: pairs one at a time, then messages over sockets.

Bob commits to his bases and bits, and both wait.  Then bases are announced, Alice tests a random
part of the rows with equal bases against the commitment, and says whether they go on.  This mode
validates the path that generates pairs first and talks afterwards; for long runs use that one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import NetsquidConfig, SequentialConfig
from ...errors import EngineError
from ...pairs import Pairs, bits
from ..draws import child
from . import simulator
from .engine import (
    ALICE_TEST,
    BOB_NONCES,
    SIMULATOR,
    STREAM_VERSION,
    Bits,
    domain,
    measured_bases,
    recorded,
)
from .programs import share
from .simulator import ALICE, BOB, clock

Positions = NDArray[np.int64]
Talk = Generator[Any, None, None]

_HASH = _NONCE = 32  # bytes
_PROCEED, _STOP = b"\x01", b"\x00"


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """One message over the classical link; times in simulated ns."""

    sender: str
    what: str
    bits: int
    sent_ns: float
    received_ns: float


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One line of the event log."""

    time_ns: float
    party: str
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class SequentialResult:
    """What a run of the protocol in the simulator gave, seen from outside.

    ``tested`` are the rows used up by the test, and ``errors`` how many of them differed.
    ``abort`` says why Alice stops; it is None where the parties go on.
    """

    pairs: Pairs
    transcript: tuple[TimedMessage, ...]
    trace: tuple[TraceEvent, ...]
    tested: Positions
    errors: int
    abort: str | None


@dataclass(frozen=True, slots=True)
class TimingBarrier:
    """Keeps a message back until a moment of simulated time (ns)."""

    opens_ns: float

    def wait(self) -> Talk:
        """Block the program that yields from this until the barrier is open."""
        yield from simulator.wait(self.opens_ns - clock())

    def require_open(self, what: str) -> None:
        """Refuse ``what`` before the moment."""
        now = clock()
        if now < self.opens_ns:
            opens = f"the timing barrier opens at {self.opens_ns:g} ns"
            raise EngineError(f"{what} at {now:g} ns refused: {opens}; wait")


def run_sequential(
    config: NetsquidConfig,
    protocol: SequentialConfig,
    *,
    pairs: int,
    seed: np.random.SeedSequence,
    stream_version: int = STREAM_VERSION,
) -> SequentialResult:
    """Generate ``pairs`` pairs one at a time and run the protocol on them, all in one simulation.

    The same ``seed`` gives the same bases, and without classical latency the same pairs, as
    `NetsquidEngine.sample` with one pair held.  Raises `EngineError` where the simulation ends
    before both programs have.
    """
    simulator.require()
    seed = domain(seed, stream_version)
    log = _Log()
    alice = _Side(ALICE, config=config, protocol=protocol, count=pairs, seed=seed, log=log)
    bob = _Side(BOB, config=config, protocol=protocol, count=pairs, seed=seed, log=log)
    nodes = simulator.network(config, hold=1, latency_ns=protocol.classical_latency_ns)
    programs = {
        ALICE: _Program(alice, _alice),
        BOB: _Program(bob, _bob),
    }
    with simulator.seeded(child(seed, SIMULATOR), config.formalism):
        simulator.run(nodes, programs)
        end = clock()
    if not (alice.finished and bob.finished):
        raise EngineError(
            f"NetSquid stopped at {end:g} ns before Alice and Bob had finished; see the trace"
        )
    return SequentialResult(
        pairs=_measured(alice, bob, end),
        transcript=tuple(log.messages()),
        trace=tuple(log.trace),
        tested=alice.tested,
        errors=alice.errors,
        abort=alice.abort,
    )


def _measured(alice: _Side, bob: _Side, end_ns: float) -> Pairs:
    """What both sides recorded; a pair is there when the slower side has measured it."""
    count = len(alice.bases)
    columns = (alice.bases, alice.bits, bob.bases, bob.bits)
    packed = [bits.pack(column) for column in columns]
    return Pairs(
        columns=np.stack(packed),
        count=count,
        time=np.maximum(alice.times, bob.times),
        alice_clicks=count,
        bob_clicks=count,
        duration_ns=end_ns,
    )


@dataclass(slots=True)
class _Log:
    """What an observer of both sides writes down."""

    trace: list[TraceEvent] = field(default_factory=list)
    sent: list[tuple[str, str, int, float]] = field(default_factory=list)
    received: dict[str, list[float]] = field(default_factory=lambda: {ALICE: [], BOB: []})

    def note(self, party: str, what: str) -> None:
        event = TraceEvent(clock(), party, what)
        self.trace.append(event)

    def messages(self) -> Iterator[TimedMessage]:
        """All messages in the order in which they were sent.

        Each direction is first in, first out, so the n-th message sent is the n-th received.
        """
        arrivals = {
            ALICE: iter(self.received[BOB]),
            BOB: iter(self.received[ALICE]),
        }
        for sender, what, size, sent in self.sent:
            received = next(arrivals[sender])
            yield TimedMessage(
                sender,
                what,
                bits=size,
                sent_ns=sent,
                received_ns=received,
            )


class _Side:
    """One party's own data and its end of the classical channel."""

    def __init__(
        self,
        name: str,
        *,
        config: NetsquidConfig,
        protocol: SequentialConfig,
        count: int,
        seed: np.random.SeedSequence,
        log: _Log,
    ) -> None:
        self.name = name
        self.peer = BOB if name == ALICE else ALICE
        self.config = config
        self.protocol = protocol
        self.seed = seed
        self.bases = measured_bases(config, seed, name, count)
        self.bits = np.zeros(count, np.uint8)
        self.times = np.zeros(count)
        self.tested: Positions = np.zeros(0, np.int64)
        self.errors = 0
        self.abort: str | None = None
        self.finished = False
        self._log = log

    def note(self, what: str) -> None:
        self._log.note(self.name, what)

    def send(
        self,
        context: Any,
        what: str,
        payload: bytes,
    ) -> None:
        self.note(f"sends {what}")
        size = 8 * len(payload)
        self._log.sent.append((self.name, what, size, clock()))
        message = simulator.message(what, payload)
        socket = context.csockets[self.peer]
        socket.send_structured(message)

    def receive(self, context: Any, what: str) -> Generator[Any, None, bytes]:
        socket = context.csockets[self.peer]
        arrived = yield from socket.recv_structured()
        self._log.received[self.name].append(clock())
        if arrived.header != what:
            raise EngineError(f"{self.name} received {arrived.header!r} and expected {what!r}")
        self.note(f"receives {what}")
        return bytes(arrived.payload)

    def measure_pairs(self, context: Any) -> Talk:
        creates = self.name == ALICE
        for row, basis in enumerate(self.bases.tolist()):
            [bit] = yield from share(context, self.peer, [basis], creates=creates)
            self.bits[row] = bit
            self.times[row] = clock()
            self.note(f"measures pair {row} in {'ZX'[basis]}")
        self.bits = recorded(
            self.config,
            self.seed,
            self.name,
            self.bits,
        )


class _Program:
    """A side's part of the protocol in the form that SquidASM runs."""

    def __init__(self, side: _Side, part: Callable[[_Side, Any], Talk]) -> None:
        self._side = side
        self._part = part

    @property
    def meta(self) -> Any:
        return simulator.meta(
            self._side.name,
            self._side.peer,
            hold=1,
            talks=True,
        )

    def run(self, context: Any) -> Generator[Any, None, dict[str, Any]]:
        yield from self._part(self._side, context)
        self._side.finished = True
        return {}


def _alice(side: _Side, context: Any) -> Talk:
    """Alice's part: she waits out the barrier, tests Bob, and says whether they go on."""
    yield from side.measure_pairs(context)
    barrier = TimingBarrier(clock() + side.protocol.delta_t_ns)
    commitment = yield from side.receive(context, "commitment")
    yield from barrier.wait()
    barrier.require_open("Alice's announcement of her bases")
    side.send(context, "bases", _packed(side.bases))
    announced = yield from side.receive(context, "bases")
    theirs = _unpack(announced, len(side.bases))
    side.tested = _test_rows(side, theirs)
    rows = side.tested.astype("<u4")
    side.send(context, "test rows", rows.tobytes())
    opening = yield from side.receive(context, "opening")
    side.abort = _judge(side, theirs, commitment, opening)
    side.note(side.abort or "goes on")
    verdict = _STOP if side.abort else _PROCEED
    side.send(context, "verdict", verdict)


def _bob(side: _Side, context: Any) -> Talk:
    """Bob's part: he commits to all of his rows, and opens those that Alice wants to test."""
    yield from side.measure_pairs(context)
    nonces = _nonces(side.seed, len(side.bases))
    leaves = _leaves(nonces, side.bases, side.bits)
    side.send(context, "commitment", _commitment(leaves))
    yield from side.receive(context, "bases")
    side.send(context, "bases", _packed(side.bases))
    wanted = yield from side.receive(context, "test rows")
    rows = np.frombuffer(wanted, "<u4").astype(np.int64)
    opened = np.concatenate([nonces[rows], side.bits[rows, None]], axis=1)
    side.send(context, "opening", leaves.tobytes() + opened.tobytes())
    verdict = yield from side.receive(context, "verdict")
    side.note("goes on" if verdict == _PROCEED else "stops")


def _test_rows(side: _Side, theirs: Bits) -> Positions:
    """A random part of the rows with equal bases, drawn only now that Bob is committed."""
    equal = np.flatnonzero(side.bases == theirs)
    size = int(np.ceil(side.protocol.test_fraction * len(equal)))
    private = child(side.seed, ALICE_TEST)
    generator = np.random.PCG64(private)
    keys = generator.random_raw(len(equal))
    order = np.argsort(keys, kind="stable")
    drawn = equal[order[:size]]
    return np.sort(drawn)


def _judge(
    side: _Side,
    theirs: Bits,
    commitment: bytes,
    opening: bytes,
) -> str | None:
    """Check what Bob opened against his commitment, count errors, and say why to stop."""
    rows = side.tested
    if not len(rows):
        return "no row with equal bases to test: raise pairs"
    leaves_end = len(side.bases) * _HASH
    told = np.frombuffer(opening, np.uint8)
    leaves = told[:leaves_end].reshape(-1, _HASH)
    opened = told[leaves_end:].reshape(len(rows), _NONCE + 1)
    nonces = opened[:, :_NONCE]
    outcomes = opened[:, _NONCE]
    claimed = _leaves(nonces, theirs[rows], outcomes, rows)
    committed = _commitment(leaves) == commitment
    if not committed or not np.array_equal(leaves[rows], claimed):
        return "Bob's opening does not match his commitment"
    wrong = outcomes != side.bits[rows]
    side.errors = int(np.count_nonzero(wrong))
    limit = side.protocol.qber_limit
    if side.errors > limit * len(rows):
        rate = side.errors / len(rows)
        return f"QBER {rate:.4f} of {len(rows)} tested rows is above qber_limit={limit:g}"
    return None


def _leaves(
    nonces: Bits,
    bases: Bits,
    outcomes: Bits,
    rows: Positions | None = None,
) -> Bits:
    """SHA-256 of (row, nonce, basis, bit) for each row; the private nonce hides the two bits."""
    numbers = range(len(bases)) if rows is None else rows.tolist()
    digests = bytearray()
    for row, nonce, basis, bit in zip(numbers, nonces, bases, outcomes, strict=True):
        number = row.to_bytes(8, "little")
        hidden = bytes((int(basis), int(bit)))
        content = number + nonce.tobytes() + hidden
        digests += hashlib.sha256(content).digest()
    leaves = np.frombuffer(bytes(digests), np.uint8)
    return leaves.reshape(-1, _HASH)


def _commitment(leaves: Bits) -> bytes:
    return hashlib.sha256(leaves.tobytes()).digest()


def _nonces(seed: np.random.SeedSequence, count: int) -> Bits:
    """Bob's private randomness, uint8 of shape (count, 32)."""
    private = child(seed, BOB_NONCES)
    generator = np.random.PCG64(private)
    words = generator.random_raw(count * _NONCE // 8)
    octets = words.astype("<u8").view(np.uint8)
    return octets.reshape(count, _NONCE)


def _packed(values: Bits) -> bytes:
    return bits.pack(values).tobytes()


def _unpack(payload: bytes, count: int) -> Bits:
    return bits.unpack(np.frombuffer(payload, np.uint8), count)
