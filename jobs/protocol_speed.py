"""Measure the protocol's steps on one core, printed as a table; each figure is the best of several runs.

python jobs/protocol_speed.py

Where a speed is promised, the bar stands beside the figure; exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from caligo_mpi.config.protocol import Bbm92Config
from caligo_mpi.pairs import Pairs, bits, tally
from caligo_mpi.protocol import cascade, ldpc
from caligo_mpi.protocol.amplify import amplify, seed_bits
from caligo_mpi.protocol.commit import Rows, commit, open_rows, opens
from caligo_mpi.protocol.draw import BOB, stream
from caligo_mpi.protocol.estimate import estimate
from caligo_mpi.protocol.run import run_protocol
from caligo_mpi.protocol.sift import equal_bases, sides, sift
from caligo_mpi.protocol.types import QberEstimate
from caligo_mpi.protocol.verify import draw_tag_key, tag


def best(work: Callable[[], object], *, repeat: int) -> float:
    """Seconds of a core that the fastest of ``repeat`` runs takes, after one that compiles and warms up."""
    work()
    taken = []
    for _ in range(repeat):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def random_pairs(count: int, *, qber: float) -> Pairs:
    """Pairs with the same QBER in both bases."""
    rng = np.random.default_rng(1)
    columns = rng.integers(0, 256, (4, bits.nbytes(count)), np.uint8)
    wrong = bits.pack(rng.random(count, np.float32) < qber)
    same = equal_bases(columns[0], columns[2], count)
    columns[3] = (columns[1] ^ wrong) & same | columns[3] & ~same
    return Pairs(columns, count)


def sift_and_estimate(pairs: Pairs) -> QberEstimate:
    """Both parties' key bits, packed, and the QBER of all of them."""
    alice, bob = sides(pairs)
    of_alice, of_bob = sift(alice, bob.basis), sift(bob, alice.basis)
    return estimate(of_bob.bits, of_alice.bits, of_bob.count)


def report(name: str, speed: float, unit: str, *, bar: float = 0.0) -> bool:
    """Print a line; whether the bar, if there is one, is reached."""
    ok = speed >= bar
    verdict = f"  (bar: {bar:g}{'' if ok else ', MISSED'})" if bar else ""
    print(f"{name:36} {speed:8.2f} {unit}{verdict}", flush=True)
    return ok


def sifting(repeat: int) -> bool:
    few = random_pairs(1 << 22, qber=0.02)
    many = Pairs(np.tile(few.columns, 64), 64 * few.count)
    counting = best(lambda: tally(many.columns, many.count), repeat=repeat)
    compiled = best(lambda: sift_and_estimate(many), repeat=repeat)
    plain = best(lambda: sift_and_estimate(few), repeat=repeat)
    ok = report("sift and count errors", many.count / counting / 1e9, "G pairs/s", bar=5)
    ok &= report(
        "sift to key bits, estimate: 2.7e8", many.count / compiled / 1e9, "G pairs/s", bar=5
    )
    report("the same: 4e6 pairs", few.count / plain / 1e9, "G pairs/s")
    return ok


def reconciling(repeat: int) -> bool:
    """Frames as long as a configuration's default, at Q = 5 %."""
    rng = np.random.default_rng(3)
    alice = rng.integers(0, 2, (100, 20_000), np.uint8)
    bob = alice ^ (rng.random(alice.shape, np.float32) < 0.05).view(np.uint8)
    methods: dict[str, Callable[[], object]] = {
        "Cascade": lambda: cascade.reconcile(alice, bob, qber=0.05, seed=1),
        "Cascade, low leak": lambda: cascade.reconcile(
            alice, bob, qber=0.05, seed=1, variant="low-leak"
        ),
        "LDPC": lambda: ldpc.reconcile(alice, bob, qber=0.05),
        "LDPC, blind": lambda: ldpc.reconcile_blind(
            alice, bob, qber=0.05, source=np.random.PCG64(1)
        ),
    }
    ok = True
    for name, method in methods.items():
        ok &= report(
            f"{name}, Q = 5 %", alice.size / 1e6 / best(method, repeat=repeat), "Mbit/s", bar=1
        )
    return ok


def hashing(repeat: int) -> bool:
    rng = np.random.default_rng(2)
    keys = rng.integers(0, 2, (2, 1_000_000), np.uint8)
    key = keys[0]
    seed = rng.integers(0, 2, seed_bits(1_000_000, 700_000), np.uint8)
    by = draw_tag_key(stream(1, 0, BOB), 64)
    one = 1 / best(lambda: amplify(key, seed, 700_000), repeat=repeat)
    both = 1 / best(lambda: amplify(keys, seed, 700_000), repeat=repeat)
    ok = report("Toeplitz hash, 1e6 to 7e5 bits", one, "Mbit/s", bar=5)
    ok &= report("the same for both parties, of each", both, "Mbit/s", bar=60)
    report("tag of 1e6 bits", 1 / best(lambda: tag(key, by), repeat=repeat), "Mbit/s")

    rows = Rows(np.arange(500_000, dtype=np.uint64), key[:500_000], key[500_000:])
    build = best(lambda: commit(rows, session=bytes(16), source=stream(1, 0, BOB)), repeat=repeat)
    made = commit(rows, session=bytes(16), source=stream(1, 0, BOB))
    opening = open_rows(made, rows, np.arange(0, 500_000, 10))
    check = best(lambda: opens(made.root, opening, count=500_000, session=bytes(16)), repeat=repeat)
    report("Merkle tree of 5e5 leaves", 0.5 / build, "M leaves/s")
    report("check a tenth of them opened", 0.05 / check, "M leaves/s")
    return ok


def whole(repeat: int) -> None:
    few = random_pairs(2_000_000, qber=0.02)
    for name in ("cascade", "cascade-low-leak", "ldpc"):
        config = Bbm92Config(mode="bbm92", seed=1, reconciliation=name)
        report(
            f"bbm92, {name}, Q = 2 %",
            2 / best(partial(run_protocol, few, config), repeat=repeat),
            "M pairs/s",
        )


def main() -> int:
    """Print one line per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    ok = sifting(repeat)
    ok &= reconciling(repeat)
    ok &= hashing(repeat)
    whole(repeat)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
