"""What this package adds to SeQUeNCe's own cost, and whether memory grows over chunks.

    tests/sequence_env.sh python jobs/bench_sequence.py

Processor time, best of several, in turns: the ratio holds on a busy machine, the milliseconds are its own.
"""

import gc
import resource
import sys
from time import process_time

import numpy as np
from sequence.components.circuit import Circuit
from sequence.components.memory import Memory
from sequence.components.optical_channel import ClassicalChannel, QuantumChannel
from sequence.entanglement_management.generation import EntanglementGenerationA
from sequence.kernel.event import Event
from sequence.kernel.process import Process
from sequence.kernel.timeline import Timeline
from sequence.topology.node import BSMNode, Node

from caligo_mpi.config import SequenceConfig
from caligo_mpi.engines import make_engine

PAIRS, ROUNDS, CHUNKS = 150, 4, 40
LINK = {"length_km": 5.0, "detector_efficiency": 0.9}
SECTION = {"name": "sequence", "mode": "barrett_kok", "link": LINK}


class Party(Node):
    def __init__(self, name, timeline, seed, loop):
        super().__init__(name, timeline, seed=seed)
        self.resource_manager = loop
        self.memory = Memory(f"{name}.memory", timeline, 1.0, 0, 1.0, -1, 1550)
        self.memory.add_receiver(self)
        self.add_component(self.memory)

    def get(self, photon, **where):
        self.send_qubit(where["dst"], photon)


class Bare:
    """The shortest program for the same experiment: attempts, bases by a coin, outcomes in a list."""

    def __init__(self, pairs):
        self.timeline, self.pairs, self.rows, self.states = Timeline(), pairs, [], []
        self.rng = np.random.default_rng(1)
        self.circuits = [Circuit(1), Circuit(1)]
        self.circuits[1].h(0)
        for circuit in self.circuits:
            circuit.measure(0)
        self.parties = [
            Party(name, self.timeline, seed, self) for seed, name in enumerate(("a", "b"))
        ]
        middle = BSMNode("m", self.timeline, ["a", "b"], seed=3)
        [station] = middle.get_components_by_type("SingleAtomBSM")
        station.update_detectors_params("efficiency", LINK["detector_efficiency"])
        meters = 500 * LINK["length_km"]
        for party in self.parties:
            fiber = QuantumChannel(f"{party.name}.q", self.timeline, 0.0002, meters)
            fiber.set_ends(party, "m")
        for x in (*self.parties, middle):
            for y in (*self.parties, middle):
                if x is not y:
                    delay = round(meters / 2e-4)
                    channel = ClassicalChannel(x.name + y.name, self.timeline, 0, delay)
                    channel.set_ends(x, y.name)
        self.timeline.init()
        self.attempt()
        self.timeline.run()

    def attempt(self):
        a, b = self.parties
        for mine, other in ((a, b), (b, a)):
            one = EntanglementGenerationA.create(mine, mine.name, "m", other.name, mine.memory)
            one.set_others(other.name, other.name, [other.memory.name])
            mine.protocols.append(one)
        a.protocols[0].start()
        b.protocols[0].start()

    def update(self, protocol, memory, state):
        protocol.owner.protocols.clear()
        self.states.append(state)
        if len(self.states) < 2:
            return
        if self.states == ["ENTANGLED"] * 2:
            manager = self.timeline.quantum_manager
            keys = [party.memory.qstate_key for party in self.parties]
            row = []
            for key, coin in zip(keys, self.rng.integers(0, 2, 2), strict=True):
                row += [
                    coin,
                    manager.run_circuit(self.circuits[coin], [key], self.rng.random())[key],
                ]
            self.rows.append((*row, self.timeline.now()))
        self.states.clear()
        if len(self.rows) < self.pairs:
            self.timeline.schedule(Event(self.timeline.now(), Process(self, "attempt", [])))
        else:
            self.timeline.stop()


def spent(function):
    gc.collect()
    start = process_time()
    function()
    return (process_time() - start) / PAIRS * 1e3


def main():
    engine = make_engine(SequenceConfig.model_validate(SECTION))

    def chunk(number):
        return engine.sample(PAIRS, np.random.SeedSequence(1, spawn_key=(number,)))

    chunk(0)
    bare, ours = [], []
    for number in range(ROUNDS):
        bare.append(spent(lambda: Bare(PAIRS)))
        ours.append(spent(lambda number=number: chunk(number)))
    ratio = min(ours) / min(bare)
    print(f"bare loop {min(bare):.3f} ms/pair, engine {min(ours):.3f}: x {ratio:.3f} (at most 1.3)")
    small = make_engine(SequenceConfig.model_validate({**SECTION, "link": {"length_km": 0.0}}))
    kept = []
    for number in range(CHUNKS):
        small.sample(24, np.random.SeedSequence(2, spawn_key=(number,)))
        kept.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    first, last = kept[CHUNKS // 4], kept[-1]
    print(f"most memory after {CHUNKS // 4} chunks {first:.1f} MiB, after {CHUNKS}: {last:.1f} MiB")
    return 0 if ratio <= 1.3 and last - first < 2 else 1


if __name__ == "__main__":
    sys.exit(main())
