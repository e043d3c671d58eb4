"""``python -m tests.faults --kills 500 --seed 1 --mode restart``: a fault campaign, and a table of what came of it.

``python -m tests.faults --flips 5000 --cuts 200 --seed 1`` damages files instead of killing runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from . import damage
from .campaign import HERE, KEYS, run_campaign, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--mode", choices=["restart", "survive"], default="restart")
    parser.add_argument("--workload", choices=HERE, action="append", help="default: all of them")
    parser.add_argument(
        "--writers", choices=["gather", "direct"], help="who writes the columns; default: auto"
    )
    parser.add_argument("--progress", action="store_true", help="count on the standard error")
    parser.add_argument(
        "--flips", type=int, metavar="N", help="single bits flipped in each kind of file"
    )
    parser.add_argument("--cuts", type=int, metavar="M", help="truncations of each kind of file")
    args = parser.parse_args()
    if args.flips is not None or args.cuts is not None:
        return damage_files(args.flips or 0, args.cuts or 0, args.seed)
    survive = args.mode == "survive"
    # Keys are made without survive mode.
    workloads = tuple(args.workload or (name for name in HERE if not (survive and name in KEYS)))
    if survive and not KEYS.keys().isdisjoint(workloads):
        parser.error("distill has no survive mode")
    with scratch() as folder:
        tally = run_campaign(
            Path(folder),
            kills=args.kills,
            seed=args.seed,
            survive=survive,
            workloads=workloads,
            writers=args.writers or "auto",
            progress=args.progress,
        )
    for note in tally.notes:
        print(note)
    writers = f", writers {args.writers}" if args.writers else ""
    print(f"\nmode {args.mode}, seed {args.seed}{writers}\n\n{table(tally)}")
    return int(bool(tally.wrong or tally.hangs or tally.user_actions or tally.left))


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A directory in memory, where there is enough of it."""
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() and os.access(shared, os.W_OK) else 0
    return tempfile.TemporaryDirectory(prefix="faults-", dir=shared if free > 1 << 30 else None)


def damage_files(flips: int, cuts: int, seed: int) -> int:
    """The campaign of damaged files."""
    with scratch() as folder:
        print(damage.HEAD)
        found = damage.campaign(Path(folder), flip=flips, cut=cuts, seed=seed)
    for kind in found:
        for note in [*kind.wrong, *kind.hangs, *kind.crashes]:
            print(f"{kind.name}: {note}")
    return int(any(kind.wrong or kind.hangs or kind.crashes for kind in found))


if __name__ == "__main__":
    raise SystemExit(main())
