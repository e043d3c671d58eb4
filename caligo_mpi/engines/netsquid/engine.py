"""From (count, seed) to pairs with simulated times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...config import NetsquidConfig
from ...errors import EngineError
from ...pairs import Pairs, bits
from ...pairs.domains import NETSQUID
from .. import Tick
from . import simulator
from .closed_form import expected, read_errors
from .environment import is_stand_in
from .programs import Party
from .simulator import ALICE, BOB

Bits = NDArray[np.uint8]

#: Pairs per program run: what a netqasm connection keeps grows with its use, so connections stay short.
_PAIRS_PER_RUN = 100
_HOLD = 10

#: Raised whenever the same configuration would give other bits; older streams can be gone on with.
STREAM_VERSION = 2

# Children of a chunk's `domain`: the simulator's, then each party's private ones.  The numbers are part of the stream.
SIMULATOR, ALICE_BASES, BOB_BASES, ALICE_READOUT, BOB_READOUT, ALICE_TEST, BOB_NONCES = range(7)


def default_hold(config: NetsquidConfig) -> int:
    """Pairs held at once: many for speed, but one where idle qubits decohere or the link is heralded."""
    decoheres = config.device.T1_ns > 0 or config.device.T2_ns > 0
    return 1 if decoheres or config.link.type.startswith("heralded") else _HOLD


class NetsquidEngine:
    """Pairs from a SquidASM simulation, reset and seeded anew for every chunk.

    A row's ``time`` (ns) is when both sides had measured it; pairs held together share it.
    """

    stream_version = STREAM_VERSION
    older_streams = (1,)
    has_index = False
    has_time = True

    def __init__(
        self,
        config: NetsquidConfig,
        thresholds: dict[str, object] | None = None,
        stream_version: int = STREAM_VERSION,
    ) -> None:
        self._config = config
        self.stream_version = stream_version
        self._hold = config.hold or default_hold(config)
        self.name = "netsquid (stand-in)" if is_stand_in() else "netsquid"
        self.thresholds: dict[str, object] = {}
        self.expected = expected(config, self._hold)

    def sample(
        self, count: int, seed: np.random.SeedSequence, *, tick: Tick | None = None
    ) -> Pairs:
        """Simulate ``count`` pairs; ``tick`` is called after every request for pairs."""
        simulator.require()
        seed = domain(seed, self.stream_version)
        alice, bob = self._simulate(-(-count // self._hold), seed, tick)
        columns = [
            column
            for party, name in ((alice, ALICE), (bob, BOB))
            for column in (
                party.bases,
                recorded(self._config, seed, name, np.array(party.outcomes, np.uint8)),
            )
        ]
        time = np.repeat(np.maximum(alice.times, bob.times), self._hold)[:count]
        return Pairs(
            columns=np.stack([bits.pack(column[:count]) for column in columns]),
            count=count,
            time=time,
            alice_clicks=count,
            bob_clicks=count,
            duration_ns=float(time[-1]) if count else 0.0,
        )

    def _simulate(
        self, requests: int, seed: np.random.SeedSequence, tick: Tick | None
    ) -> tuple[Party, Party]:
        """Whole requests only: then a shorter chunk is a prefix of a longer one."""
        count, rounds = requests * self._hold, max(1, _PAIRS_PER_RUN // self._hold)
        alice, bob = (
            Party(
                name=name, peer=peer, creates=name == ALICE, hold=self._hold, rounds=rounds,
                bases=measured_bases(self._config, seed, name, count), done=tick if name == ALICE else None,
            )
            for name, peer in ((ALICE, BOB), (BOB, ALICE))
        )  # fmt: skip
        with simulator.seeded(child(seed, SIMULATOR), self._config.formalism):
            nodes = simulator.network(self._config, hold=self._hold)
            simulator.run(nodes, {ALICE: alice, BOB: bob}, -(-requests // rounds))
        if not len(alice.outcomes) == len(bob.outcomes) == count:
            raise EngineError(
                f"NetSquid stopped with {len(alice.outcomes)} pairs measured by Alice and {len(bob.outcomes)} by Bob "
                f"of {count}: find out what differs on this machine with caligo-mpi engines --accept netsquid"
            )
        return alice, bob


def domain(seed: np.random.SeedSequence, version: int = STREAM_VERSION) -> np.random.SeedSequence:
    """Where this engine's streams of a chunk come from; version 1 has the keys that other consumers use, too."""
    return seed if version == 1 else child(seed, NETSQUID)


def child(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """What ``seed.spawn`` would give, without changing ``seed``.

    >>> seed = np.random.SeedSequence(7)
    >>> bool((child(seed, 1).generate_state(4) == seed.spawn(2)[1].generate_state(4)).all())
    True
    """
    return np.random.SeedSequence(
        seed.entropy, spawn_key=(*seed.spawn_key, number), pool_size=seed.pool_size
    )


def measured_bases(
    config: NetsquidConfig, seed: np.random.SeedSequence, party: str, count: int
) -> Bits:
    """The bases that ``party`` measures in, 0 = Z and 1 = X."""
    number, side = (ALICE_BASES, config.alice) if party == ALICE else (BOB_BASES, config.bob)
    return _chances(child(seed, number), count, side.basis_bias).view(np.uint8)


def recorded(
    config: NetsquidConfig, seed: np.random.SeedSequence, party: str, outcomes: Bits
) -> Bits:
    """What the detectors of ``party`` make of ``outcomes``: SquidASM has no read-out error, so it is added here."""
    number, side = (ALICE_READOUT, config.alice) if party == ALICE else (BOB_READOUT, config.bob)
    p0, p1 = read_errors(side)
    flips = [_chances(child(seed, number), len(outcomes), p).view(np.uint8) for p in (p0, p1)]
    return outcomes ^ np.where(outcomes, flips[1], flips[0])


def _chances(seed: np.random.SeedSequence, count: int, probability: float) -> NDArray[np.bool_]:
    """Independent events; a shorter array is a prefix of a longer one."""
    words = np.random.PCG64(seed).random_raw(count) >> np.uint64(11)
    return words < np.uint64(int(probability * (1 << 53)))
