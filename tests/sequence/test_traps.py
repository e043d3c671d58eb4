"""Where SeQUeNCe is not as one would think; docs/sequence.md has a line for each.

Each test shows what SeQUeNCe does by itself, so that a release that does otherwise is noticed,
and what the engine does.
"""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest
from sequence_settings import DARK, DECLARED, LOSSY, STORED, engine_of, memories, sample_of

from caligo_mpi.config import parse_config
from caligo_mpi.engines.sequence import probe
from caligo_mpi.errors import ConfigError, EngineError
from caligo_mpi.pairs import bits

if probe():
    pytest.skip("runs in the environment of tests/sequence_env.sh", allow_module_level=True)

import stim
from sequence.components.light_source import SPDCSource
from sequence.components.optical_channel import QuantumChannel
from sequence.constants import (
    BARRET_KOK,
    BELL_DIAGONAL_STATE_FORMALISM,
    KET_VECTOR_FORMALISM,
    SINGLE_HERALDED,
)
from sequence.entanglement_management.generation import (
    BarretKokA,
    EntanglementGenerationA,
    EntanglementGenerationB,
    EntanglementGenerationMessage,
    GenerationMsgType,
    SingleHeraldedA,
)
from sequence.kernel.quantum_manager import QuantumManager
from sequence.kernel.quantum_manager.stabilizer import QuantumManagerStabilizer
from sequence.kernel.timeline import Timeline
from sequence.topology.node import Node

from caligo_mpi.engines.sequence import memories as mode
from caligo_mpi.engines.sequence.simulator import settled


@pytest.fixture
def formalism():
    """Sets the class attributes of a formalism and a protocol, and takes them back."""

    def settle(state: str, protocol: str) -> None:
        QuantumManager.set_global_manager_formalism(state)
        for kind in (EntanglementGenerationA, EntanglementGenerationB):
            kind.set_global_type(protocol)

    yield settle
    settle(KET_VECTOR_FORMALISM, BARRET_KOK)


def a_protocol(kind, timeline):
    """One side's protocol, whose photons were due at 1000 ps, and what it told its node."""
    node = Node("alice", timeline)
    told = []
    memory = mode.Memory("alice.memory", timeline, 0.95, 0, 1.0, -1, 1550)
    node.add_component(memory)
    node.resource_manager = type("Told", (), {"update": lambda self, *news: told.append(news)})()
    protocol = kind(node, "alice.pair", "middle", "bob", memory)
    protocol.set_others("bob.pair", "bob", ["bob.memory"])
    protocol.expected_time = 1000
    node.protocols.append(protocol)
    return protocol, told


def a_click(protocol, detector):
    return EntanglementGenerationMessage(
        GenerationMsgType.MEAS_RES,
        None,
        protocol.protocol_type,
        detector=detector,
        time=1000,
        resolution=100,
    )


def test_1_the_single_heralded_protocol_believes_dark_counts(formalism):
    """A click of each detector, whatever made it, gives a pair of the declared fidelity: so it is refused."""
    formalism(BELL_DIAGONAL_STATE_FORMALISM, SINGLE_HERALDED)
    timeline = Timeline()
    protocol, told = a_protocol(SingleHeraldedA, timeline)
    other = mode.Memory("bob.memory", timeline, 0.95, 0, 1.0, -1, 1550)
    assert other.qstate_key not in timeline.quantum_manager.states
    protocol.ent_round = 1
    for detector in (0, 1):  # two dark counts: no photon was ever sent
        protocol.received_message("middle", a_click(protocol, detector))
    assert protocol.update_memory()
    [(_, memory, state)] = told
    assert (state, memory.fidelity) == ("ENTANGLED", 0.95)
    assert max(timeline.quantum_manager.get(memory.qstate_key).state) == pytest.approx(0.95)
    with pytest.raises(ConfigError, match=r"mode=\"single_heralded\": is refused: .*dark counts"):
        parse_config({"pairs": 8, "seed": 1, "engine": {**DECLARED, "mode": "single_heralded"}})


def test_2_fidelity_is_declared_not_computed():
    """Pairs of dark counts alone are without correlation, and the memories say 0.97: rates are measured."""
    section = {**DARK, "link": {**DARK["link"], "fidelity": 0.97}}
    config = engine_of(section)._config
    bases = (np.zeros(20, np.uint8),) * 2
    with settled(np.random.SeedSequence(1)) as seeds:
        session = mode._Session(config, bases, seeds, None)
        session.run()
    assert [party.memory.fidelity for party in session._parties] == [0.97, 0.97]
    assert engine_of(section).expected.qber_x == pytest.approx(0.5)


def test_3_a_click_told_late_breaks_a_protocol_that_is_over():
    """In round 3 there is no place for it; the engine takes a protocol away when it is over."""
    protocol, _ = a_protocol(BarretKokA, Timeline())
    protocol.ent_round = 3
    with pytest.raises(IndexError):
        protocol.received_message("middle", a_click(protocol, 0))
    assert sample_of(LOSSY, 40).count == 40  # hundreds of dark counts come at any time


def test_4_polarization_noise_fails_on_entangled_photons():
    """One photon's noise takes the other's state away: no configuration has it."""
    timeline = Timeline()
    node, far = Node("source", timeline, seed=1), Node("far", timeline, seed=2)
    arrived = []
    far.receive_qubit = lambda source, photon: arrived.append(photon)
    fiber = QuantumChannel("fiber", timeline, 0.0, 0.0, polarization_fidelity=0.0)
    fiber.set_ends(node, "far")
    source = SPDCSource("source.spdc", timeline, mean_photon_num=3, encoding_type=mode_of_photons())
    node.add_component(source)
    port = type("Port", (), {"get": lambda self, photon: node.send_qubit("far", photon)})()
    source.add_receiver(port)
    source.add_receiver(type("Kept", (), {"get": lambda self, photon: arrived.append(photon)})())
    timeline.init()
    source.emit([(0.5**0.5, 0.5**0.5)])
    timeline.run()
    noisy = [photon.quantum_state for photon in arrived if len(photon.quantum_state.state) == 2]
    assert noisy
    with pytest.raises((ValueError, IndexError)):
        noisy[0].measure(mode_of_photons()["bases"][0], np.random.default_rng(1))
    section = {**DECLARED, "link": {**DECLARED["link"], "polarization_fidelity": 0.9}}
    with pytest.raises(ConfigError, match=r"polarization_fidelity=0\.9: unknown key"):
        parse_config({"pairs": 8, "seed": 1, "engine": section})


def mode_of_photons():
    from sequence.utils.encoding import polarization

    return polarization


def test_5_formalism_and_protocol_are_class_attributes(formalism):
    """Whatever the process simulated before, a chunk is the same, and the process is as it was."""
    before = sample_of(LOSSY, 30).checksum()
    formalism(BELL_DIAGONAL_STATE_FORMALISM, SINGLE_HERALDED)
    assert type(Timeline().quantum_manager).__name__ == "QuantumManagerBellDiagonal"
    assert sample_of(LOSSY, 30).checksum() == before
    assert QuantumManager.get_active_formalism() == BELL_DIAGONAL_STATE_FORMALISM
    assert EntanglementGenerationA.get_global_type() == SINGLE_HERALDED


def test_6_memory_does_not_grow_with_the_chunks():
    """A chunk has a timeline of its own, which goes with it."""
    engine = engine_of(LOSSY)

    def things(chunk):
        engine.sample(16, np.random.SeedSequence(1, spawn_key=(chunk,)))
        gc.collect()
        return sum(1 for thing in gc.get_objects() if is_of_sequence(type(thing)))

    first, *later = [things(chunk) for chunk in range(5)]
    assert max(later) <= 1.2 * first  # one timeline's, the last one's


def is_of_sequence(kind):
    return str(getattr(kind, "__module__", "")).startswith("sequence.")


def test_7_the_stabilizer_manager_forgets_its_seed():
    """Its circuits copy the simulator with a seed of the system's: the engine measures on its own."""

    def measured():
        manager = QuantumManagerStabilizer(seed=5)
        found = []
        for _ in range(64):
            key = manager.new()
            found.append(manager.run_circuit(stim.Circuit("H 0\nM 0"), [key])[key])
        return found

    assert measured() != measured()  # equal by chance once in 2^64
    assert sample_of(STORED, 40).checksum() == sample_of(STORED, 40).checksum()


def test_8_channels_round_the_time_of_departure_to_slots():
    """And up twice where a slot is more than half over: the engine has slots of a picosecond."""
    channel = QuantumChannel("fiber", Timeline(), 0.0, 0.0, frequency=1e9)
    assert [channel.time_to_timebin(time, 1e9) for time in (1000, 1400, 1600)] == [1, 2, 3]
    assert channel.time_to_timebin(1600, 1e12) == 1600


def test_10_two_photons_do_not_bunch():
    """Both photons of a round take detectors at random: two clicks of different detectors, half of the time."""
    config = engine_of(DECLARED)._config
    clicks = []
    with settled(np.random.SeedSequence(4)) as seeds:
        session = mode._Session(config, (np.zeros(300, np.uint8),) * 2, seeds, None)
        [station] = session.timeline.get_entity_by_name("middle").components.values()
        station.attach(type("Seen", (), {"bsm_update": lambda self, _, i: clicks.append(i)})())
        session.run()
    times = np.array([click["time"] for click in clicks])
    _, rounds = np.unique(times, return_counts=True)
    assert set(rounds) == {1, 2}


def test_9_nodes_that_know_of_a_click_at_different_times_disagree():
    """A click told between the two moments counts for one node alone: the engine notices, and has no such moment."""
    protocol, _ = a_protocol(BarretKokA, Timeline())
    protocol.ent_round, protocol.expected_time = 1, -1  # not agreed upon yet
    protocol.received_message("middle", a_click(protocol, 0))
    assert protocol.bsm_res == [-1, -1]
    protocol.expected_time = 1000
    protocol.received_message("middle", a_click(protocol, 0))
    assert protocol.bsm_res == [0, -1]
    config = engine_of(DECLARED)._config
    with settled(np.random.SeedSequence(1)) as seeds:
        session = mode._Session(config, (np.zeros(5, np.uint8),) * 2, seeds, None)
        session.timeline.schedule(
            mode.Event(1, mode.Process(session, "update", [one_of(session), None, "RAW"]))
        )
        with pytest.raises(EngineError, match="only alice knows the end of attempt 0"):
            session.run()


def one_of(session):
    """What the session takes for Alice's protocol."""
    return type("Protocol", (), {"owner": session._parties[0]})()


def test_nothing_is_drawn_from_generators_that_nobody_seeded():
    """Entities without an owner would draw from a new one: all of ours have one, so a chunk repeats."""
    for section in (LOSSY, STORED):
        assert (
            sample_of(section, 25, chunk=3).checksum() == sample_of(section, 25, chunk=3).checksum()
        )


def test_the_global_generators_are_given_back():
    import random

    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    drawn = (random.random(), np.random.random())  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    sample_of(LOSSY, 10)
    assert (random.random(), np.random.random()) == drawn  # noqa: NPY002


def test_matching_bases_agree_on_a_perfect_link():
    pairs = sample_of(memories(), 200)
    columns = [bits.unpack(column, 200) for column in pairs.columns]
    same = columns[0] == columns[2]
    assert np.array_equal(columns[1][same], columns[3][same])
    assert "sequence" in sys.modules
