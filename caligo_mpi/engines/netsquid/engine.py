"""From (count, seed) to pairs with simulated times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...config import NetsquidConfig
from ...errors import EngineError
from ...pairs import Pairs, Tick, bits
from ...pairs.domains import NETSQUID
from ..draws import bases_of, child, misread
from . import simulator
from .closed_form import expected
from .environment import is_stand_in
from .heralds import declared, reported
from .programs import Party
from .simulator import ALICE, BOB

Bits = NDArray[np.uint8]

#: Pairs per program run.  What a netqasm connection keeps grows with its use, so it is kept short.
_PAIRS_PER_RUN = 100
_HOLD = 10

#: Raised whenever the same configuration would give other bits; older streams can be gone on with.
STREAM_VERSION = 2

# Children of a chunk's `domain`: the simulator's, then each party's private ones.  The numbers
# are part of the stream.
SIMULATOR, ALICE_BASES, BOB_BASES, ALICE_READOUT, BOB_READOUT, ALICE_TEST, BOB_NONCES = range(7)


def default_hold(config: NetsquidConfig) -> int:
    """How many pairs are held at once where the configuration does not say.

    Many for speed, but one where idle qubits decohere or the link is heralded.
    """
    decoheres = config.device.T1_ns > 0 or config.device.T2_ns > 0
    is_heralded = config.link.type.startswith("heralded")
    return 1 if decoheres or is_heralded else _HOLD


class NetsquidEngine:
    """Pairs from a SquidASM simulation, reset and seeded anew for every chunk.

    A row's ``time`` (ns) is when both sides had measured it; pairs held together share it.
    Further columns are those of `heralds`.
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
        self.columns = declared(config, self._hold)

    def sample(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> Pairs:
        """Simulate ``count`` pairs; ``tick`` is called after every request for pairs.

        Raises `EngineError` where NetSquid stops early.
        """
        simulator.require()
        seed = domain(seed, self.stream_version)
        requests = -(-count // self._hold)
        alice, bob = self._simulate(requests, seed, tick)
        columns = []
        for party, name in ((alice, ALICE), (bob, BOB)):
            outcomes = np.array(party.outcomes, np.uint8)
            columns += [party.bases, recorded(self._config, seed, name, outcomes)]
        done = np.maximum(alice.times, bob.times)
        time = np.repeat(done, self._hold)[:count]
        extra = reported(self._config, self.columns, alice, bob)
        packed = [bits.pack(column[:count]) for column in columns]
        return Pairs(
            columns=np.stack(packed),
            count=count,
            time=time,
            alice_clicks=count,
            bob_clicks=count,
            duration_ns=float(time[-1]) if count else 0.0,
            extra={name: values[:count] for name, values in extra.items()},
        )

    def _simulate(
        self,
        requests: int,
        seed: np.random.SeedSequence,
        tick: Tick | None,
    ) -> tuple[Party, Party]:
        """Both sides after ``requests`` requests for pairs.

        Requests are simulated whole: then a shorter chunk is a prefix of a longer one.
        """
        config = self._config
        hold = self._hold
        count = requests * hold
        rounds = max(1, _PAIRS_PER_RUN // hold)
        bases_a = measured_bases(config, seed, ALICE, count)
        bases_b = measured_bases(config, seed, BOB, count)
        alice = Party(ALICE, bases=bases_a, hold=hold, rounds=rounds, done=tick)
        bob = Party(BOB, bases=bases_b, hold=hold, rounds=rounds)
        runs = -(-requests // rounds)
        with simulator.seeded(child(seed, SIMULATOR), config.formalism):
            nodes = simulator.network(config, hold=hold)
            simulator.run(nodes, {ALICE: alice, BOB: bob}, runs)
        measured_a = len(alice.outcomes)
        measured_b = len(bob.outcomes)
        if not measured_a == measured_b == count:
            raise EngineError(
                f"NetSquid stopped with {measured_a} pairs measured by Alice and {measured_b} "
                f"by Bob of {count}: find out what differs on this machine with "
                "caligo-mpi engines --accept netsquid"
            )
        return alice, bob


def domain(seed: np.random.SeedSequence, version: int = STREAM_VERSION) -> np.random.SeedSequence:
    """The seed that this engine's streams of a chunk descend from.

    Stream version 1 took the chunk's own seed, whose children other consumers use, too.
    """
    return seed if version == 1 else child(seed, NETSQUID)


def measured_bases(
    config: NetsquidConfig,
    seed: np.random.SeedSequence,
    party: str,
    count: int,
) -> Bits:
    """The bases that ``party`` measures in, 0 = Z and 1 = X."""
    if party == ALICE:
        number = ALICE_BASES
        side = config.alice
    else:
        number = BOB_BASES
        side = config.bob
    return bases_of(side, child(seed, number), count)


def recorded(
    config: NetsquidConfig,
    seed: np.random.SeedSequence,
    party: str,
    outcomes: Bits,
) -> Bits:
    """What the detectors of ``party`` make of ``outcomes``.

    SquidASM has no read-out error, so it is added here.
    """
    if party == ALICE:
        number = ALICE_READOUT
        side = config.alice
    else:
        number = BOB_READOUT
        side = config.bob
    return misread(side, child(seed, number), outcomes)
