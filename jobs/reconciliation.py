"""Measure reconciliation: efficiency f = leak / (n·h(Q)), failures and speed, printed as a table.

python jobs/reconciliation.py cascade cascade-low-leak -n 10000 --keys 20000
python jobs/reconciliation.py ldpc ldpc-blind -n 3600 --keys 20000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from math import log2

import numpy as np

from caligo_mpi.pairs.bits import U8
from caligo_mpi.protocol import cascade, ldpc
from caligo_mpi.protocol.types import Reconciled

Method = Callable[[U8, U8, float, int], list[Reconciled]]

METHODS: dict[str, Method] = {
    "cascade": lambda a, b, q, seed: cascade.reconcile(a, b, qber=q, seed=seed),
    "cascade-low-leak": lambda a, b, q, seed: cascade.reconcile(
        a, b, qber=q, seed=seed, variant="low-leak"
    ),
    "ldpc": lambda a, b, q, _: ldpc.reconcile(a, b, qber=q),
    "ldpc-blind": lambda a, b, q, seed: ldpc.reconcile_blind(
        a, b, qber=q, source=np.random.PCG64(seed)
    ),
}


def measure(method: Method, qber: float, *, n: int, keys: int, batch: int, seed: int) -> str:
    """Mean f, keys that came out wrong, messages per key, and Mbit/s of the fastest batch."""
    rng = np.random.default_rng([seed, round(qber * 1e6)])
    leak = wrong = messages = 0
    fastest = np.inf
    for done in range(0, keys, batch):
        alice = rng.integers(0, 2, (batch, n), np.uint8)
        bob = alice ^ (rng.random((batch, n), np.float32) < qber).view(np.uint8)
        begin = time.perf_counter()
        results = method(alice, bob, qber, seed + done)
        fastest = min(fastest, time.perf_counter() - begin)
        leak += sum(result.leak_bits for result in results)
        messages += sum(result.messages for result in results)
        wrong += sum(
            bool((result.bits != own).any()) for result, own in zip(results, alice, strict=True)
        )
    f = leak / (keys * n * (-qber * log2(qber) - (1 - qber) * log2(1 - qber)))
    return f"{f:.4f} | {wrong} / {keys} | {messages / keys:.0f} | {batch * n / fastest / 1e6:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="+", choices=METHODS)
    parser.add_argument("-n", type=int, default=10_000, help="bits per key")
    parser.add_argument("--qber", type=float, nargs="+", default=[0.01, 0.02, 0.05, 0.10])
    parser.add_argument("--keys", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=250, help="keys at a time; must divide KEYS")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.keys % args.batch:
        parser.error(f"--keys {args.keys} is not a multiple of --batch {args.batch}")
    print("| method | Q | f | wrong keys | messages | Mbit/s |\n|---|---|---|---|---|---|")
    for name in args.methods:
        for qber in args.qber:
            row = measure(
                METHODS[name], qber, n=args.n, keys=args.keys, batch=args.batch, seed=args.seed
            )
            print(f"| {name} | {qber:.3f} | {row} |", flush=True)


if __name__ == "__main__":
    main()
