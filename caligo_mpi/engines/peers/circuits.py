"""What simulators of circuits share: the experiment as a list of channels, and pairs in their order.

A circuit has fixed bases, so that there are four.  Pairs choose bases at random, each of the four
simulates the pairs that chose its bases, and the outcomes go where those pairs stand: a table of
counts would not be data of pairs.  All of it is done for whole blocks, so that a shorter sample is
the beginning of a longer one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ...pairs import Pairs, Tick, bits
from ...pairs.domains import PEERS
from .. import link, version
from ..noise.model import describe, expected_rates

if TYPE_CHECKING:
    from ...config import LinkConfig, PeerConfig, SideConfig
    from ...config.peers import HandmadeConfig

Bits = NDArray[np.uint8]

_PACKED_AT_ONCE = 1 << 16


class Device(NamedTuple):
    """One side's channels, in the order in which its qubit meets them.

    ``relaxation`` is γ of amplitude damping and ``dephasing`` the probability of Z in memory.
    ``gate`` is the weight of I/2 after the H gate of an X measurement; then come the read-out's errors.
    """

    relaxation: float
    dephasing: float
    gate: float
    read1_given0: float
    read0_given1: float

    @property
    def flip(self) -> float:
        """The read-out's error where it is symmetric."""
        return self.read1_given0

    @property
    def damping(self) -> tuple[float, float]:
        """(p, γ) of the generalized amplitude damping that does to a measured bit what the read-out does."""
        total = self.read1_given0 + self.read0_given1
        if not total:
            return 1.0, total
        return self.read0_given1 / total, total


class Experiment(NamedTuple):
    """The pair's noise on Bob's half, either ``mixed`` (weight of I/2) or ``pauli``; two devices."""

    mixed: float | None
    pauli: tuple[float, float, float]
    alice: Device
    bob: Device


def experiment(config: PeerConfig) -> Experiment:
    """The configuration as channels."""
    mixed = _mixed(config.link)
    pauli = config.link.pauli or (0.0, 0.0, 0.0)
    return Experiment(
        mixed,
        pauli,
        _device(config.alice),
        _device(config.bob),
    )


def _mixed(config: LinkConfig) -> float | None:
    if config.pauli is not None:
        return None
    if config.prob_max_mixed is not None:
        return config.prob_max_mixed
    fidelity = 1.0 if config.fidelity is None else config.fidelity
    return link.mixed_from_fidelity(fidelity)


def _device(side: SideConfig) -> Device:
    """Pure dephasing is what T2 has beyond relaxation: exp(−t/T2) = √(1−γ)·(1 − 2·P(Z))."""
    left = link.decay(side.storage_time_ns, side.T1_ns)
    coherence = link.decay(side.storage_time_ns, side.T2_ns)
    pure = min(coherence / left**0.5, 1.0) if left else 0.0
    flip = side.readout_flip or 0.0
    return Device(
        relaxation=1 - left,
        dephasing=(1 - pure) / 2,
        gate=side.gate_depolarizing,
        read1_given0=side.p_read1_given0 or flip,
        read0_given1=side.p_read0_given1 or flip,
    )


class Packed:
    """Rows of 0 and 1 on their way into packed columns; what exceeds ``count`` is left out."""

    def __init__(self, count: int) -> None:
        self.columns = np.empty((4, bits.nbytes(count)), np.uint8)
        self._left = count
        self._at = 0
        self._waiting: list[Bits] = []
        self._held = 0

    def add(self, rows: Bits) -> None:
        """More rows (4, n); they are packed once there are many."""
        fitting = rows[:, : self._left - self._held]
        self._waiting.append(fitting)
        self._held += fitting.shape[1]
        if self._held >= min(_PACKED_AT_ONCE, self._left):
            self._pack()

    def _pack(self) -> None:
        rows = np.concatenate(self._waiting, axis=1)
        is_all = self._held == self._left
        whole = self._held if is_all else self._held & ~7
        packed = np.packbits(rows[:, :whole], axis=1, bitorder="little")
        end = self._at + packed.shape[1]
        self.columns[:, self._at : end] = packed
        self._at = end
        self._left -= whole
        self._held -= whole
        self._waiting = [rows[:, whole:]] if self._held else []


class BlockEngine:
    """An engine that makes pairs block by block, each from a seed of its own.

    Subclasses define `outcomes`.
    """

    stream_version = 1
    has_index = False
    has_time = False
    #: Pairs that are simulated at once.
    block: int

    def __init__(
        self, config: PeerConfig | HandmadeConfig, thresholds: dict[str, object] | None = None
    ) -> None:
        release = version(config.name)
        self.name = f"{config.name} {release}" if release else config.name
        noise = config.as_noise()
        self.expected = expected_rates(noise, describe(noise))
        self.thresholds: dict[str, object] = {}
        self._bias = (config.alice.basis_bias, config.bob.basis_bias)

    def sample(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> Pairs:
        """Simulate ``count`` emissions; ``tick`` is called before each block."""
        packed = Packed(count)
        for rows in self.blocks(count, seed, tick):
            packed.add(rows)
        return Pairs(packed.columns, count, alice_clicks=count, bob_clicks=count)

    def blocks(
        self,
        count: int,
        seed: np.random.SeedSequence,
        tick: Tick | None,
    ) -> Any:
        """Rows (4, block) of each block in turn, whole ones."""
        blocks = -(-count // self.block)
        for number in range(blocks):
            if tick:
                tick()
            rng = np.random.default_rng(block_seed(seed, number))
            yield self.rows(rng)

    def rows(self, rng: np.random.Generator) -> Bits:
        """Alice's basis and outcome, Bob's basis and outcome: uint8 of shape (4, block)."""
        raise NotImplementedError


def block_seed(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """The seed of a block, in a domain of its own."""
    key = (*seed.spawn_key, PEERS, number)
    return np.random.SeedSequence(seed.entropy, spawn_key=key)


class CircuitEngine(BlockEngine):
    """An engine of four circuits; subclasses say how one is made and run."""

    block: int = 1 << 16
    #: Seeds that the simulator takes are below this.
    seeds: ClassVar[int] = 1 << 31

    def __init__(self, config: PeerConfig, thresholds: dict[str, object] | None = None) -> None:
        super().__init__(config, thresholds)
        found = experiment(config)
        self._circuits = {}
        for a, b in itertools.product((0, 1), repeat=2):
            self._circuits[a, b] = self.circuit(found, a, b)

    def circuit(
        self,
        found: Experiment,
        alice_basis: int,
        bob_basis: int,
    ) -> object:
        """The experiment with these bases (0 = Z, 1 = X)."""
        raise NotImplementedError

    def shots(
        self,
        circuit: Any,
        count: int,
        seed: int,
    ) -> Bits:
        """Outcomes of ``count`` runs of a circuit: uint8 of shape (2, count), Alice's first."""
        raise NotImplementedError

    def rows(self, rng: np.random.Generator) -> Bits:
        """A block; see `BlockEngine.rows`."""
        rows = np.empty((4, self.block), np.uint8)
        for row, bias in zip((0, 2), self._bias, strict=True):
            rows[row] = draw_bases(rng, self.block, bias)
        both = 2 * rows[0] + rows[2]
        for (a, b), circuit in self._circuits.items():
            seed = int(rng.integers(self.seeds))
            here = np.flatnonzero(both == 2 * a + b)
            if len(here):
                outcomes = self.shots(circuit, len(here), seed)
                rows[1::2, here] = outcomes
        return rows


def draw_bases(rng: np.random.Generator, count: int, bias: float) -> Bits:
    """Random bases, X with probability ``bias``."""
    if bias == 0.5:
        return rng.integers(0, 2, count, dtype=np.uint8)
    in_x = rng.random(count) < bias
    return cast(Bits, in_x.view(np.uint8))
