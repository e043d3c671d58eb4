"""From (count, seed) to pairs with simulated times, in either mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import SequenceConfig
from ...errors import EnvironmentProblem
from ...pairs import ColumnSpec, Pairs, Tick, bits
from ...pairs.domains import SEQUENCE
from ..draws import bases_of, chances, child, misread
from .closed_form import PS_PER_NS, expected
from .environment import probe

if TYPE_CHECKING:
    from .photons import Clicks

Bits = NDArray[np.uint8]

ATTEMPTS = ColumnSpec(
    "attempts", "u4", description="attempts of the link up to and with the one that made the pair"
)
BELL_STATE = ColumnSpec(
    "bell_state",
    "u1",
    description="Bell state that the link reported, before its correction to phi+",
    flags={0: "phi+", 1: "psi+", 2: "psi-", 3: "phi-"},
)

# Children of a chunk's domain: the simulator's, then each party's private ones.  The numbers are
# part of the stream.
_SIMULATOR, _ALICE_BASES, _BOB_BASES, _ALICE_READOUT, _BOB_READOUT, _ALICE_COIN, _BOB_COIN = range(
    7
)


class SequenceEngine:
    """Pairs from a SeQUeNCe simulation: one timeline, seeded anew, for every chunk.

    With memories, a row's ``time`` (ns) is when both sides could measure it, and `columns` tell of
    its attempts.  With photons, rows are the pulses that both sides detected, by their ``index``.
    """

    name = "sequence"
    stream_version = 1
    has_time = True

    def __init__(self, config: SequenceConfig, thresholds: dict[str, object] | None = None) -> None:
        self._config = config
        self.thresholds: dict[str, object] = {}
        self.expected = expected(config)
        self.has_index = config.mode == "spdc"
        self.columns = () if self.has_index else (ATTEMPTS, BELL_STATE)

    def sample(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> Pairs:
        """Simulate ``count`` pairs, or pulses; ``tick`` is called after each attempt or block of pulses.

        Raises `EnvironmentProblem` with the remedy where SeQUeNCe cannot run.
        """
        if problem := probe():
            raise EnvironmentProblem(problem)
        seed = child(seed, SEQUENCE)
        bases = (
            bases_of(self._config.alice, child(seed, _ALICE_BASES), count),
            bases_of(self._config.bob, child(seed, _BOB_BASES), count),
        )
        if self._config.mode == "spdc":
            return self._photons(bases, seed, tick)
        return self._memories(bases, seed, tick)

    def _memories(
        self,
        bases: tuple[Bits, Bits],
        seed: np.random.SeedSequence,
        tick: Tick | None,
    ) -> Pairs:
        from .memories import simulate
        from .simulator import settled

        with settled(child(seed, _SIMULATOR)) as seeds:
            found = simulate(self._config, bases, seeds, tick)
        count = len(bases[0])
        time = found.times / PS_PER_NS
        attempts = np.minimum(found.attempts, (1 << 32) - 1)
        outcomes = (found.alice, found.bob)
        return Pairs(
            self._recorded(seed, bases, outcomes),
            count,
            time=time,
            alice_clicks=count,
            bob_clicks=count,
            duration_ns=float(time[-1]) if count else 0.0,
            extra={
                ATTEMPTS.name: attempts.astype(np.uint32),
                BELL_STATE.name: found.states,
            },
        )

    def _photons(
        self,
        bases: tuple[Bits, Bits],
        seed: np.random.SeedSequence,
        tick: Tick | None,
    ) -> Pairs:
        from .photons import simulate
        from .simulator import settled

        with settled(child(seed, _SIMULATOR)) as seeds:
            sides = simulate(self._config, bases, seeds, tick)
        pulses = len(bases[0])
        alice = _registered(sides[0], pulses, child(seed, _ALICE_COIN))
        bob = _registered(sides[1], pulses, child(seed, _BOB_COIN))
        index = np.flatnonzero(alice.clicked & bob.clicked)
        assert self._config.source is not None
        period = round(self._config.source.period_ns * PS_PER_NS)
        later = np.maximum(alice.time[index], bob.time[index])
        chosen = (bases[0][index], bases[1][index])
        outcomes = (alice.bit[index], bob.bit[index])
        return Pairs(
            self._recorded(seed, chosen, outcomes),
            len(index),
            index=index.astype(np.uint64),
            time=(index * period + later) / PS_PER_NS,
            alice_clicks=int(alice.clicked.sum()),
            bob_clicks=int(bob.clicked.sum()),
            duration_ns=pulses * period / PS_PER_NS,
        )

    def _recorded(
        self,
        seed: np.random.SeedSequence,
        bases: tuple[Bits, Bits],
        outcomes: tuple[Bits, Bits],
    ) -> Bits:
        """The packed columns, after read-out."""
        config = self._config
        read_a = misread(config.alice, child(seed, _ALICE_READOUT), outcomes[0])
        read_b = misread(config.bob, child(seed, _BOB_READOUT), outcomes[1])
        columns = (bases[0], read_a, bases[1], read_b)
        packed = [bits.pack(column) for column in columns]
        return np.stack(packed)


class _Side(NamedTuple):
    """One side's pulses: whether it clicked, the bit, and the last click's time in its period (ps)."""

    clicked: NDArray[np.bool_]
    bit: Bits
    time: NDArray[np.int64]


def _registered(clicks: Clicks, pulses: int, coin: np.random.SeedSequence) -> _Side:
    """A bit for each pulse with a click; where both detectors clicked it is a random one."""
    by_detector = np.zeros((2, pulses), np.bool_)
    by_detector[clicks.bit, clicks.pulse] = True
    time = np.zeros(pulses, np.int64)
    time[clicks.pulse] = clicks.time  # in order, so the last one stays
    tossed = chances(coin, pulses, 0.5)
    of_0, of_1 = by_detector
    bit = np.where(of_0 & of_1, tossed, of_1)
    clicked = of_0 | of_1
    return _Side(clicked, bit.view(np.uint8), time)
