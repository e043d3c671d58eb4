"""What points cost: a sweep of many small points against one run of as many pairs, on the same ranks.

``python jobs/sweep_speed.py --points 200 --pairs 1e6 --ranks 2`` runs both commands in turn, a few times, and prints
the ratio of the best times of each and of the processor time that each takes, start-up included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--pairs", type=float, default=1e6, help="of each point")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    engine = {"name": "noise", "link": {}}
    axis = {"path": "engine.link.fidelity", "linspace": [0.8, 0.999, args.points]}
    sweep = {"base": {"pairs": args.pairs, "seed": 1, "engine": engine}, "axes": [axis]}
    link = {"fidelity": 0.9}
    run = {"pairs": args.pairs * args.points, "seed": 1, "engine": {**engine, "link": link}}
    run["output"] = {"keep": "records"}
    found: dict[str, list[tuple[float, float]]] = {"generate": [], "sweep": []}
    for _ in range(args.repeats):
        for verb, config in (("generate", run), ("sweep", sweep)):
            found[verb].append(measure(verb, config, args.ranks))
    for name, column in (("time", 0), ("processor time", 1)):
        one, many = (min(times[column] for times in found[verb]) for verb in found)
        print(f"{name}: sweep {many:.2f} s, one run {one:.2f} s, ratio {many / one:.2f}")
    return 0


def measure(verb: str, config: dict[str, object], ranks: int) -> tuple[float, float]:
    """Seconds, and processor seconds, of a command."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(yaml.safe_dump(config))
        words = [verb, str(path), "-q", "-o", str(Path(folder, "out")), "--ranks", str(ranks)]
        before, start = os.times(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "caligo_mpi", *words], check=True, capture_output=True
        )
        seconds, after = time.perf_counter() - start, os.times()
    user = after.children_user - before.children_user
    return seconds, user + after.children_system - before.children_system


if __name__ == "__main__":
    sys.exit(main())
