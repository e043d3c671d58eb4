"""``python -m tests.faults --kills 500 --seed 1 --mode restart``: a fault campaign, and a table of what came of it."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from .campaign import WORKLOADS, run_campaign, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--mode", choices=["restart", "survive"], default="restart")
    parser.add_argument(
        "--workload", choices=list(WORKLOADS), action="append", help="default: all of them"
    )
    parser.add_argument("--progress", action="store_true", help="count on the standard error")
    args = parser.parse_args()
    survive = args.mode == "survive"
    # Keys are made without survive mode.
    workloads = tuple(
        args.workload or (name for name in WORKLOADS if not survive or name != "distill")
    )
    if survive and "distill" in workloads:
        parser.error("distill has no survive mode")
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() and os.access(shared, os.W_OK) else 0
    with tempfile.TemporaryDirectory(
        prefix="faults-", dir=shared if free > 1 << 30 else None
    ) as folder:
        tally = run_campaign(
            Path(folder),
            kills=args.kills,
            seed=args.seed,
            survive=survive,
            workloads=workloads,
            progress=args.progress,
        )
    for note in tally.notes:
        print(note)
    print(f"\nmode {args.mode}, seed {args.seed}\n\n{table(tally)}")
    return int(bool(tally.wrong or tally.hangs or tally.user_actions or tally.left))


if __name__ == "__main__":
    raise SystemExit(main())
