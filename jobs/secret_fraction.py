"""Pairs to keys for many seeds: Alice's key against Bob's, and its length against the formula.

``python jobs/secret_fraction.py --seeds 20`` simulates 1e7 Werner pairs of fidelity 0.97 per seed, distills them with
the configuration named by ``--config``, and compares the share of secret bits among the sifted ones with

    Σ over blocks  n·[1 − h(Q + μ) − f·h(Q)] − log2(2 / (ε_sec²·ε_cor)),   μ = √[(n+k)/(n·k) · (k+1)/k · ln(4/ε_sec)]

(Tomamichel et al. 2012), where Q = 2(1 − F)/3 is the true error rate, not the observed one, n and k are what the
configured shares make of half of the pairs, and f is the measured leak per n·h(Q).
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

from caligo_mpi import load_protocol, parse_config
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.store.keys import Keys, verify_keys


def entropy(q: float) -> float:
    return -q * math.log2(q) - (1 - q) * math.log2(1 - q)


def formula(pairs: int, blocks: int, qber: float, leak: float, config) -> float:
    """Secret bits per sifted bit; ``leak`` is per n·h(Q)."""
    sifted = pairs / 2 / blocks
    k = config.test_fraction * sifted
    n = sifted - k
    secrecy, correctness = config.epsilon_sec / blocks, config.epsilon_cor / blocks
    margin = math.sqrt((n + k) / (n * k) * (k + 1) / k * math.log(4 / secrecy))
    length = n * (1 - entropy(qber + margin) - leak * entropy(qber)) - math.log2(
        2 / (secrecy**2 * correctness)
    )
    return length / sifted


def measured_f(keys: Keys, qber: float) -> float:
    """Bits told in reconciling and verifying, per n·h(Q)."""
    return float(
        keys.blocks["leak_bits"].sum() / (keys.blocks["reconciled_bits"].sum() * entropy(qber))
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--pairs", type=float, default=1e7)
    parser.add_argument("--fidelity", type=float, default=0.97)
    parser.add_argument("--config", default=str(Path(__file__).parents[1] / "configs/bbm92.yaml"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the protocol"
    )
    args = parser.parse_args()
    qber, worst, equal = 2 * (1 - args.fidelity) / 3, 0.0, True
    for seed in range(1, args.seeds + 1):
        engine = {"name": "noise", "link": {"fidelity": args.fidelity}}
        run = parse_config({"pairs": args.pairs, "seed": seed, "engine": engine})
        protocol = load_protocol(args.config, [f"seed={seed}", *args.set])
        with tempfile.TemporaryDirectory() as folder:
            generate(run, Path(folder, "run.h5"))
            done = distill(prepare(Path(folder, "run.h5"), protocol), Path(folder, "keys.h5"))
            found = verify_keys(done.path)
        assert done.keys is not None
        f = measured_f(done.keys, qber)
        share = done.keys.key_bits / done.keys.blocks["sifted"].sum()
        due = formula(run.pairs, done.info.blocks, qber, f, protocol)
        worst, equal = (
            max(worst, abs(share / due - 1)),
            equal and found.ok and done.keys.key_bits > 0,
        )
        print(
            f"seed {seed:2}: {done.info.blocks} blocks, key {done.keys.key_bits:,} bits, "
            f"{'equal' if found.ok else 'DIFFERENT'}, f = {f:.4f}, "
            f"secret share {share:.4f}, formula {due:.4f} ({share / due - 1:+.2%}), {done.seconds:.1f} s",
            flush=True,
        )
    print(f"keys {'all equal' if equal else 'NOT ALL EQUAL'}, largest deviation {worst:.2%}")
    return 0 if equal and worst < 0.03 else 1


if __name__ == "__main__":
    sys.exit(main())
