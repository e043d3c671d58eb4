"""How long the strings of `rot` are, over the formula at f = 1.1.

    python jobs/transfer_length.py                      # 1e7 pairs of fidelity 0.995, a memory that stores little
    python jobs/transfer_length.py --storage-rate 0.05  # or more

The formula is the protocol's own (`transfer_length`) with a leak of 1.1·n·h(Q) per set, Q = 2(1 − F)/3 the true error
rate, and all else (rounds, test, tags, ε) as in the run.  Exit code 1 below the bar of 0.95, or where Bob's string is
not the one of Alice's that he chose.
"""

from __future__ import annotations

import argparse
import sys
from math import ceil, log2

from caligo_mpi import generate_pairs, parse_config, parse_protocol
from caligo_mpi.protocol.key_length import TransferFigures, transfer_length
from caligo_mpi.protocol.run import run_protocol
from caligo_mpi.protocol.types import BlockResult

EFFICIENCY, BAR = 1.1, 0.95


def entropy(q: float) -> float:
    return -q * log2(q) - (1 - q) * log2(1 - q)


def due(block: BlockResult, config, qber: float) -> int:
    """Bits of a string if a set's syndrome told 1.1·n·h(Q)."""
    rounds = block.block.count
    single = rounds - ceil(config.test_fraction * rounds)
    figures = TransferFigures(
        rounds=rounds,
        single=single,
        dropped=single - 2 * block.sifted,
        leak_bits=round(EFFICIENCY * block.sifted * entropy(qber)),
        tag_bits=block.tag_bits // 2,
    )
    found = transfer_length(
        figures,
        storage_r=config.storage_r,
        storage_rate=config.storage_rate,
        epsilon=config.epsilon,
    )
    return found.bits


def main() -> int:
    """Print a row for each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=float, default=1e7)
    parser.add_argument("--fidelity", type=float, default=0.995)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--storage-rate", type=float, default=0.002)
    parser.add_argument("--storage-r", type=float, default=0.75)
    args = parser.parse_args()
    qber, worst = 2 * (1 - args.fidelity) / 3, 1.0
    print("| seed | Q | n per set | f | bits | formula | ratio | Bob's string |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in range(1, args.seeds + 1):
        engine = {"name": "noise", "link": {"fidelity": args.fidelity}}
        pairs = generate_pairs(parse_config({"pairs": args.pairs, "seed": seed, "engine": engine}))
        storage = {"storage_r": args.storage_r, "storage_rate": args.storage_rate}
        config = parse_protocol({"mode": "rot", "seed": seed, **storage})
        keys = run_protocol(pairs, config)
        (block,) = keys.blocks
        if not keys.key_bits:
            print(f"seed {seed}: {block.abort}", file=sys.stderr)
            return 1
        formula = due(block, config, qber)
        ratio = keys.key_bits / formula
        equal = keys.alice[keys.choice].tobytes() == keys.bob.tobytes()
        worst = min(worst, ratio if equal else 0.0)
        f = block.per_frame[0].leak_bits / (block.sifted * entropy(qber))
        print(
            f"| {seed} | {100 * qber:.3f} % | {block.sifted:,} | {f:.3f} | {keys.key_bits:,} "
            f"| {formula:,} | {ratio:.4f} | {'equal' if equal else 'WRONG'} |",
            flush=True,
        )
    return int(worst < BAR)


if __name__ == "__main__":
    sys.exit(main())
