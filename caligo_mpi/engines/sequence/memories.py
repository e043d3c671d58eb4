"""Mode ``barrett_kok``: two memories whose photons meet in a station halfway, pair after pair."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sequence.components.circuit import Circuit
from sequence.components.memory import Memory
from sequence.components.optical_channel import ClassicalChannel, QuantumChannel
from sequence.entanglement_management.generation import EntanglementGenerationA
from sequence.kernel.event import Event
from sequence.kernel.process import Process
from sequence.kernel.timeline import Timeline
from sequence.topology.node import BSMNode, Node

from ...config import SequenceConfig
from ...config.sequence import SequenceLinkConfig
from ...errors import EngineError
from ...pairs import Tick
from .closed_form import Timing, busy, timing
from .idling import Idling
from .simulator import ALICE, BOB, MIDDLE

_METERS_PER_KM = 1000
_NEVER_BLIND_HZ = 1e12  # one click per picosecond: a detector has no dead time
_EVERY_PICOSECOND_HZ = 1e12  # photons leave when they are due: channels do not round to slots
_SAME, _DIFFERENT = 1, 2  # Ψ⁺ by one detector twice, Ψ⁻ by both: as the column bell_state says


class Heralded(NamedTuple):
    """All pairs of a chunk: outcomes of both in memory, times (ps), attempts, Bell states."""

    alice: NDArray[np.uint8]
    bob: NDArray[np.uint8]
    times: NDArray[np.int64]
    attempts: NDArray[np.int64]
    states: NDArray[np.uint8]


def simulate(
    config: SequenceConfig,
    bases: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    seeds: list[int],
    tick: Tick | None,
) -> Heralded:
    """As many pairs as there are bases; ``tick`` is called after each attempt."""
    session = _Session(config, bases, seeds, tick)
    session.run()
    columns = zip(*session.pairs, strict=True)
    kinds = (np.uint8, np.uint8, np.int64, np.int64, np.uint8)
    typed = zip(columns, kinds, strict=True)
    arrays = [np.array(column, kind) for column, kind in typed]
    return Heralded(*arrays)


def _measurement(*, in_x: bool) -> Circuit:
    circuit = Circuit(1)
    if in_x:
        circuit.h(0)
    circuit.measure(0)
    return circuit


_MEASURE = (_measurement(in_x=False), _measurement(in_x=True))


class _Party(Node):  # type: ignore[misc]
    """A node with one memory; the session plays its resource manager."""

    def __init__(
        self,
        name: str,
        session: _Session,
        seed: int,
        link: SequenceLinkConfig,
    ) -> None:
        super().__init__(name, session.timeline, seed=seed)
        self.resource_manager = session
        memory = {
            "fidelity": link.fidelity,
            "frequency": 0,  # excited whenever the protocol asks
            "efficiency": 1 - link.p_loss_init,
            "coherence_time": -1,  # does not expire
            "wavelength": 1550,
        }
        self.memory = Memory(f"{name}.memory", session.timeline, **memory)
        self.memory.add_receiver(self)
        self.add_component(self.memory)

    def get(self, photon: Any, **where: Any) -> None:
        """The memory's photon goes into the fiber."""
        self.send_qubit(where["dst"], photon)


class _Fiber(QuantumChannel):  # type: ignore[misc]
    """A channel whose photons arrive in the detectors' windows."""

    way = 0

    def init(self) -> None:
        """The channel's own preparation, which would take light's way for the delay."""
        super().init()
        self.delay = self.way


class _Session:
    """Attempt after attempt until there are enough pairs."""

    def __init__(
        self,
        config: SequenceConfig,
        bases: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        seeds: list[int],
        tick: Tick | None,
    ) -> None:
        assert config.link is not None
        self.timeline = Timeline()
        self.pairs: list[tuple[int, int, int, int, int]] = []
        self._link = config.link
        self._timing = timing(config.link)
        self._bases = [side.tolist() for side in bases]
        self._measured = np.random.default_rng(seeds[3])
        self._idling = Idling(config, seeds[4]) if Idling.needed(config) else None
        self._busy = busy(config, self._timing)
        self._tick = tick
        self._told: dict[str, tuple[str, Any]] = {}
        self._attempts = self._attempts_in_all = 0
        self._parties = [
            _Party(name, self, seed, config.link)
            for name, seed in zip((ALICE, BOB), seeds, strict=False)
        ]
        connect(
            self.timeline,
            self._parties,
            config.link,
            self._timing,
            seeds[2],
        )

    def run(self) -> None:
        """Simulate until the last pair is measured."""
        if self._bases[0]:
            self.timeline.init()
            self._next_attempt(self._timing.after)
            self.timeline.run()

    def _next_attempt(self, time: int) -> None:
        process = Process(self, "attempt", [])
        event = Event(time, process)
        self.timeline.schedule(event)

    def attempt(self) -> None:
        """Both nodes start Barrett–Kok anew."""
        self._attempts += 1
        self._attempts_in_all += 1
        alice, bob = self._parties
        for mine, other in ((alice, bob), (bob, alice)):
            protocol = EntanglementGenerationA.create(
                mine,
                f"{mine.name}.pair",
                MIDDLE,
                other.name,
                mine.memory,
            )
            protocol.set_others(f"{other.name}.pair", other.name, [other.memory.name])
            mine.protocols.append(protocol)
        for party in self._parties:
            party.protocols[0].start()

    def update(
        self,
        protocol: Any,
        memory: Any,
        state: str,
    ) -> None:
        """A node's protocol is over: it goes at once, as it would fail on a click that comes late."""
        protocol.owner.protocols.clear()
        self._told[protocol.owner.name] = (state, protocol)
        if len(self._told) == 1:
            soon = self.timeline.now() + 1
            process = Process(self, "agree", [self._attempts_in_all])
            event = Event(soon, process)
            self.timeline.schedule(event)
        if len(self._told) == len(self._parties):
            self._conclude()

    def agree(self, attempt: int) -> None:
        """Both nodes are through with an attempt at one time, or one would wait for the other forever."""
        if self._told and attempt == self._attempts_in_all:
            [name] = self._told
            raise EngineError(
                f"only {name} knows the end of attempt {attempt}: SeQUeNCe's nodes disagree about a "
                "click; find out what differs with caligo-mpi engines --accept sequence"
            )

    def _conclude(self) -> None:
        states = {state for state, _ in self._told.values()}
        _, protocol = self._told[ALICE]
        self._told.clear()
        now = self.timeline.now()
        if states == {"ENTANGLED"}:
            self._measure(protocol.bsm_res, now)
            now += self._busy
        if self._tick is not None:
            self._tick()
        if len(self.pairs) < len(self._bases[0]):
            self._next_attempt(now)
        else:
            self.timeline.stop()

    def _measure(self, clicks: list[int], now: int) -> None:
        row = len(self.pairs)
        bases = [side[row] for side in self._bases]
        keys = [party.memory.qstate_key for party in self._parties]
        manager = self.timeline.quantum_manager
        if self._idling is not None:
            alice, bob = self._idling.measure(manager, keys, bases)
        else:
            alice, bob = (
                manager.run_circuit(_MEASURE[basis], [key], self._measured.random())[key]
                for basis, key in zip(bases, keys, strict=True)
            )
        state = _SAME if clicks[0] == clicks[1] else _DIFFERENT
        time = now - self._timing.after + self._busy
        pair = alice, bob, time, self._attempts, state
        self.pairs.append(pair)
        self._attempts = 0


def connect(
    timeline: Any,
    parties: list[Any],
    link: SequenceLinkConfig,
    found: Timing,
    seed: int,
) -> None:
    """The station and all fibers."""
    names = [party.name for party in parties]
    middle = BSMNode(MIDDLE, timeline, names, seed=seed)
    [station] = middle.get_components_by_type("SingleAtomBSM")
    for name, value in {
        "efficiency": link.detector_efficiency,
        "dark_count": link.dark_count_rate_hz,
        "count_rate": _NEVER_BLIND_HZ,
        "time_resolution": found.window,
    }.items():
        station.update_detectors_params(name, value)
    meters = link.length_km / 2 * _METERS_PER_KM
    attenuation = link.attenuation_db_per_km / _METERS_PER_KM
    for party in parties:
        fiber = _Fiber(
            f"{party.name}.fiber",
            timeline,
            attenuation=attenuation,
            distance=meters,
            frequency=_EVERY_PICOSECOND_HZ,
        )
        fiber.set_ends(party, MIDDLE)
        fiber.way = found.photon
        _wires(timeline, party, middle, found.told)
    alice, bob = parties
    _wires(timeline, alice, bob, found.between)


def _wires(
    timeline: Any,
    one: Any,
    other: Any,
    delay: int,
) -> None:
    """Classical channels both ways."""
    for sender, receiver in ((one, other), (other, one)):
        name = f"{sender.name}.{receiver.name}"
        channel = ClassicalChannel(name, timeline, 0, delay)
        channel.set_ends(sender, receiver.name)
