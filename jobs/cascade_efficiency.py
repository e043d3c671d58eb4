"""Measure Cascade: efficiency f = leak / (n·h(Q)), frame errors and speed, printed as a table.

    python jobs/cascade_efficiency.py --keys 20000
"""

from __future__ import annotations

import argparse
import time
from math import log2

import numpy as np

from caligo_mpi.protocol import cascade

TOGETHER = 250


def measure(variant: str, qber: float, *, n: int, keys: int, seed: int) -> tuple[float, int, float]:
    """Mean f over the keys, wrong keys, and Mbit/s of the fastest batch."""
    rng = np.random.default_rng([seed, round(qber * 1e6)])
    leak = wrong = 0
    fastest = np.inf
    for batch in range(keys // TOGETHER):
        alice = rng.integers(0, 2, (TOGETHER, n), np.uint8)
        bob = alice ^ (rng.random((TOGETHER, n), np.float32) < qber).view(np.uint8)
        oracle = cascade.Oracle(alice)
        begin = time.perf_counter()
        bits, _ = cascade.correct(oracle, bob, qber=qber, seed=seed + batch, variant=variant)
        fastest = min(fastest, time.perf_counter() - begin)
        leak += int(oracle.leak_bits.sum())
        wrong += int((bits != alice).any(axis=1).sum())
    entropy = -qber * log2(qber) - (1 - qber) * log2(1 - qber)
    return leak / (keys * n * entropy), wrong, TOGETHER * n / fastest / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=2000, help=f"a multiple of {TOGETHER}")
    parser.add_argument("-n", type=int, default=10_000, help="bits per key")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    keys = max(args.keys // TOGETHER, 1) * TOGETHER
    print("| variant | Q | f | wrong keys | Mbit/s |\n|---|---|---|---|---|")
    for variant in cascade.VARIANTS:
        for qber in (0.01, 0.02, 0.05, 0.10):
            f, wrong, speed = measure(variant, qber, n=args.n, keys=keys, seed=args.seed)
            print(f"| {variant} | {qber:.2f} | {f:.4f} | {wrong} / {keys} | {speed:.0f} |", flush=True)


if __name__ == "__main__":
    main()
