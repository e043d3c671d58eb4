"""The whole exchange inside one simulation: pairs one at a time, then messages over SquidASM's sockets.

Bob commits to his bases and bits; both wait; then bases are announced, Alice tests a random part
of the rows with equal bases against the commitment, and says whether they go on.  It validates the
path that generates pairs first and talks afterwards; for long runs use that one.
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
from . import simulator
from .engine import (
    ALICE_TEST,
    BOB_NONCES,
    SIMULATOR,
    STREAM_VERSION,
    Bits,
    child,
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

    ``tested`` are the rows used up by the test, ``errors`` how many of them differed.  ``abort`` says why
    there is nothing to go on with; None if there is.
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
        if (now := clock()) < self.opens_ns:
            raise EngineError(
                f"{what} at {now:g} ns refused: the timing barrier opens at {self.opens_ns:g} ns; wait"
            )


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
    `NetsquidEngine.sample` with one pair held.
    """
    simulator.require()
    seed, log = domain(seed, stream_version), _Log()
    alice, bob = (
        _Side(
            name=name, peer=peer, config=config, protocol=protocol, count=pairs, seed=seed, log=log
        )
        for name, peer in ((ALICE, BOB), (BOB, ALICE))
    )
    nodes = simulator.network(config, hold=1, latency_ns=protocol.classical_latency_ns)
    programs = {ALICE: _Program(alice, _alice), BOB: _Program(bob, _bob)}
    with simulator.seeded(child(seed, SIMULATOR), config.formalism):
        simulator.run(nodes, programs)
        end = clock()
    if not (alice.finished and bob.finished):
        raise EngineError(
            f"NetSquid stopped at {end:g} ns before Alice and Bob had finished; see the trace"
        )
    columns = np.stack([bits.pack(c) for side in (alice, bob) for c in (side.bases, side.bits)])
    return SequentialResult(
        pairs=Pairs(
            columns=columns, count=pairs, time=np.maximum(alice.times, bob.times),
            alice_clicks=pairs, bob_clicks=pairs, duration_ns=end,
        ),
        transcript=tuple(log.messages()),
        trace=tuple(log.trace),
        tested=alice.tested,
        errors=alice.errors,
        abort=alice.abort,
    )  # fmt: skip


@dataclass(slots=True)
class _Log:
    """What an observer of both sides writes down."""

    trace: list[TraceEvent] = field(default_factory=list)
    sent: list[tuple[str, str, int, float]] = field(default_factory=list)
    received: dict[str, list[float]] = field(default_factory=lambda: {ALICE: [], BOB: []})

    def note(self, party: str, what: str) -> None:
        self.trace.append(TraceEvent(clock(), party, what))

    def messages(self) -> Iterator[TimedMessage]:
        """Each direction is first in, first out, so the n-th message sent is the n-th received."""
        arrivals = {ALICE: iter(self.received[BOB]), BOB: iter(self.received[ALICE])}
        for sender, what, size, sent in self.sent:
            yield TimedMessage(sender, what, size, sent, next(arrivals[sender]))


class _Side:
    """One party's own data and its end of the classical channel."""

    def __init__(
        self, *, name: str, peer: str, config: NetsquidConfig, protocol: SequentialConfig, count: int,
        seed: np.random.SeedSequence, log: _Log,
    ) -> None:  # fmt: skip
        self.name, self.peer, self.config, self.protocol, self.seed = (
            name,
            peer,
            config,
            protocol,
            seed,
        )
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

    def send(self, context: Any, what: str, payload: bytes) -> None:
        self.note(f"sends {what}")
        self._log.sent.append((self.name, what, 8 * len(payload), clock()))
        context.csockets[self.peer].send_structured(simulator.message(what, payload))

    def receive(self, context: Any, what: str) -> Generator[Any, None, bytes]:
        arrived = yield from context.csockets[self.peer].recv_structured()
        self._log.received[self.name].append(clock())
        if arrived.header != what:
            raise EngineError(f"{self.name} received {arrived.header!r} and expected {what!r}")
        self.note(f"receives {what}")
        return bytes(arrived.payload)

    def measure_pairs(self, context: Any) -> Talk:
        for row, basis in enumerate(self.bases.tolist()):
            [self.bits[row]] = yield from share(
                context, self.peer, [basis], creates=self.name == ALICE
            )
            self.times[row] = clock()
            self.note(f"measures pair {row} in {'ZX'[basis]}")
        self.bits = recorded(self.config, self.seed, self.name, self.bits)


class _Program:
    """A side's part of the protocol in the form that SquidASM runs."""

    def __init__(self, side: _Side, part: Callable[[_Side, Any], Talk]) -> None:
        self._side, self._part = side, part

    @property
    def meta(self) -> Any:
        return simulator.meta(self._side.name, self._side.peer, hold=1, talks=True)

    def run(self, context: Any) -> Generator[Any, None, dict[str, Any]]:
        yield from self._part(self._side, context)
        self._side.finished = True
        return {}


def _alice(side: _Side, context: Any) -> Talk:
    yield from side.measure_pairs(context)
    barrier = TimingBarrier(clock() + side.protocol.delta_t_ns)
    commitment = yield from side.receive(context, "commitment")
    yield from barrier.wait()
    barrier.require_open("Alice's announcement of her bases")
    side.send(context, "bases", bits.pack(side.bases).tobytes())
    theirs = _unpack((yield from side.receive(context, "bases")), len(side.bases))
    side.tested = _test_rows(side, theirs)
    side.send(context, "test rows", side.tested.astype("<u4").tobytes())
    opening = yield from side.receive(context, "opening")
    side.abort = _judge(side, theirs, commitment, opening)
    side.note(side.abort or "goes on")
    side.send(context, "verdict", _STOP if side.abort else _PROCEED)


def _bob(side: _Side, context: Any) -> Talk:
    yield from side.measure_pairs(context)
    nonces = _nonces(side.seed, len(side.bases))
    leaves = _leaves(nonces, side.bases, side.bits)
    side.send(context, "commitment", hashlib.sha256(leaves.tobytes()).digest())
    yield from side.receive(context, "bases")
    side.send(context, "bases", bits.pack(side.bases).tobytes())
    rows = np.frombuffer((yield from side.receive(context, "test rows")), "<u4").astype(np.int64)
    opened = np.concatenate([nonces[rows], side.bits[rows, None]], axis=1)
    side.send(context, "opening", leaves.tobytes() + opened.tobytes())
    verdict = yield from side.receive(context, "verdict")
    side.note("goes on" if verdict == _PROCEED else "stops")


def _test_rows(side: _Side, theirs: Bits) -> Positions:
    """A random part of the rows with equal bases, drawn only now that Bob is committed."""
    equal = np.flatnonzero(side.bases == theirs)
    size = int(np.ceil(side.protocol.test_fraction * len(equal)))
    order = np.argsort(
        np.random.PCG64(child(side.seed, ALICE_TEST)).random_raw(len(equal)), kind="stable"
    )
    return np.sort(equal[order[:size]])


def _judge(side: _Side, theirs: Bits, commitment: bytes, opening: bytes) -> str | None:
    """Check what Bob opened against his commitment, count errors, and say why to stop."""
    rows, count = side.tested, len(side.bases)
    if not len(rows):
        return "no row with equal bases to test: raise pairs"
    leaves = np.frombuffer(opening[: count * _HASH], np.uint8).reshape(count, _HASH)
    opened = np.frombuffer(opening[count * _HASH :], np.uint8).reshape(len(rows), _NONCE + 1)
    claimed = _leaves(opened[:, :_NONCE], theirs[rows], opened[:, _NONCE], rows)
    if hashlib.sha256(leaves.tobytes()).digest() != commitment or not np.array_equal(
        leaves[rows], claimed
    ):
        return "Bob's opening does not match his commitment"
    side.errors = int(np.count_nonzero(opened[:, _NONCE] != side.bits[rows]))
    if side.errors > side.protocol.qber_limit * len(rows):
        rate, limit = side.errors / len(rows), side.protocol.qber_limit
        return f"QBER {rate:.4f} of {len(rows)} tested rows is above qber_limit={limit:g}"
    return None


def _leaves(nonces: Bits, bases: Bits, outcomes: Bits, rows: Positions | None = None) -> Bits:
    """SHA-256 of (row, nonce, basis, bit) for each row; the private nonce hides the two bits."""
    numbers = range(len(bases)) if rows is None else rows.tolist()
    digests = b"".join(
        hashlib.sha256(
            row.to_bytes(8, "little") + nonce.tobytes() + bytes((int(basis), int(bit)))
        ).digest()
        for row, nonce, basis, bit in zip(numbers, nonces, bases, outcomes, strict=True)
    )
    return np.frombuffer(digests, np.uint8).reshape(-1, _HASH)


def _nonces(seed: np.random.SeedSequence, count: int) -> Bits:
    words = np.random.PCG64(child(seed, BOB_NONCES)).random_raw(count * _NONCE // 8)
    return words.astype("<u8").view(np.uint8).reshape(count, _NONCE)


def _unpack(payload: bytes, count: int) -> Bits:
    return bits.unpack(np.frombuffer(payload, np.uint8), count)
