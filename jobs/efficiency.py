"""f over Q for every way to reconcile, as `bbm92` pays it: with tags, and lost frames counted as told.

    python jobs/efficiency.py                                      # a table, 2e6 pairs for each point
    python jobs/efficiency.py --pairs 1e7 --methods ldpc --qber 0.01 0.05
    python jobs/efficiency.py --pairs 1e7 --block-size 1e7         # in one block: Q is known better
    python jobs/efficiency.py --figure docs/reconciliation.svg     # and the figure of the documentation

f is all that was told in reconciling and verifying, over n·h(Q) with the true error rate Q; pairs are Werner states.
"""

from __future__ import annotations

import argparse
import time
from math import log2
from pathlib import Path

from caligo_mpi import generate_pairs, parse_config
from caligo_mpi.protocol.run import run_protocol

METHODS = ("ldpc", "ldpc-blind", "cascade", "cascade-low-leak")
RATES = (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08)

Curve = list[tuple[float, float]]


def entropy(q: float) -> float:
    return -q * log2(q) - (1 - q) * log2(1 - q)


def measure(
    method: str, qber: float, *, pairs: float, seed: int, block_size: float
) -> tuple[float, str]:
    """f, and a row of the table."""
    engine = {"name": "noise", "link": {"fidelity": 1 - 1.5 * qber}}
    made = generate_pairs(parse_config({"pairs": pairs, "seed": seed, "engine": engine}))
    begin = time.perf_counter()
    protocol = {"mode": "bbm92", "seed": seed, "reconciliation": method}
    keys = run_protocol(made, {**protocol, "block_size": int(block_size)})
    spent = time.perf_counter() - begin
    told = sum(block.leak_bits for block in keys.blocks)
    bits = sum(block.reconciled_bits for block in keys.blocks)
    frames = sum(block.frames for block in keys.blocks)
    lost = sum(block.failed_frames for block in keys.blocks)
    sent = sum(m.count for b in keys.blocks for m in b.messages if method in m.what)
    equal = "equal" if keys.alice.tobytes() == keys.bob.tobytes() else "DIFFERENT"
    f = told / (bits * entropy(qber)) if bits else float("nan")
    row = f"| {method} | {100 * qber:g} % | {f:.3f} | {lost} / {frames} | {sent / max(frames, 1):.0f} "
    return f, row + f"| {bits / spent / 1e6:.1f} | {equal} |"


def draw(curves: dict[str, Curve], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for method, curve in curves.items():
        rates, found = zip(*curve, strict=True)
        axes.plot([100 * q for q in rates], found, "o-", label=method, markersize=4)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.text(8, 1.003, "n·h(Q)", ha="right", va="bottom")
    axes.set(xlabel="error rate Q in %", ylabel="f, with tags and lost frames")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--qber", nargs="+", type=float, default=RATES)
    parser.add_argument("--pairs", type=float, default=2e6)
    parser.add_argument("--block-size", type=float, default=2e6, help="pairs per block")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figure", type=Path, help="SVG file to write")
    args = parser.parse_args()
    print("| method | Q | f | lost frames | messages per frame | Mbit/s | keys |")
    print("|---|---|---|---|---|---|---|")
    curves: dict[str, Curve] = {}
    for method in args.methods:
        for qber in args.qber:
            f, row = measure(
                method, qber, pairs=args.pairs, seed=args.seed, block_size=args.block_size
            )
            curves.setdefault(method, []).append((qber, f))
            print(row, flush=True)
    if args.figure:
        draw(curves, args.figure)


if __name__ == "__main__":
    main()
