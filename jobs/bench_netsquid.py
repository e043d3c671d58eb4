"""What the NetSquid engine costs in Python, measured on the stand-in (or on NetSquid, where it is).

    tests/netsquid_env.sh python jobs/bench_netsquid.py

Processor time, best of several, all in one run: the ratios hold on a busy machine, the milliseconds are its own.
"""

import resource
import sys
from pathlib import Path
from time import process_time

import numpy as np

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.netsquid import simulator
from caligo_mpi.engines.netsquid.simulator import ALICE, BOB

LINK = {"fidelity": 0.9, "cycle_time_ns": 1000.0}
CONFIG = NetsquidConfig.model_validate({"name": "netsquid", "link": LINK})
SEED = np.random.SeedSequence(1)
HOLD = 10


class Bare:
    """The shortest SDK program: ten pairs per request, H by a coin, measure, flush; 100 pairs per run."""

    def __init__(self, name, peer):
        self.name, self.peer, self.coins, self.bits = name, peer, np.random.default_rng(1), []

    @property
    def meta(self):
        return simulator.meta(self.name, self.peer, hold=HOLD)

    def run(self, context):
        socket = context.epr_sockets[self.peer]
        for _ in range(100 // HOLD):
            qubits = (
                socket.create_keep(number=HOLD)
                if self.name == ALICE
                else socket.recv_keep(number=HOLD)
            )
            outcomes = []
            for qubit, coin in zip(qubits, self.coins.integers(0, 2, HOLD), strict=True):
                if coin:
                    qubit.H()
                outcomes.append(qubit.measure())
            yield from context.connection.flush()
            self.bits += [int(outcome) for outcome in outcomes]
        return {}


def bare_loop(pairs):
    with simulator.seeded(SEED, "dm"):
        nodes = simulator.network(CONFIG, hold=HOLD)
        simulator.run(nodes, {ALICE: Bare(ALICE, BOB), BOB: Bare(BOB, ALICE)}, pairs // 100)


def per_pair(function, pairs, chunks=1):
    """Milliseconds of processor time per pair."""
    start = process_time()
    for _ in range(chunks):
        function(pairs)
    return (process_time() - start) * 1e3 / (pairs * chunks)


def resident():
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main():
    engine = make_engine(CONFIG)
    rows = []

    def sample(pairs):
        engine.sample(pairs, SEED)

    sample(200)
    for chunk in range(50):
        engine.sample(200, np.random.SeedSequence(1, spawn_key=(chunk,)))
        if chunk == 4:
            few = resident()
    rows.append(("memory after 50 chunks over after 5", resident() / few, 1.05))

    bare, ours = zip(
        *((per_pair(bare_loop, 1000), per_pair(sample, 1000)) for _ in range(5)), strict=True
    )
    print(f"{engine.name}: {min(ours):.3f} ms per pair, both nodes; bare loop {min(bare):.3f} ms")
    rows.append(("cost per pair over the bare loop", min(ours) / min(bare), 1.3))

    short, long = zip(
        *((per_pair(sample, 200, 25), per_pair(sample, 5000)) for _ in range(3)), strict=True
    )
    rows.append(("cost per pair, chunk of 5,000 over chunk of 200", min(long) / min(short), 1.15))

    for what, ratio, bar in rows:
        print(f"{'ok ' if ratio <= bar else 'NOT'}  {what}: {ratio:.3f} (bar {bar})")
    return 0 if all(ratio <= bar for _, ratio, bar in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
