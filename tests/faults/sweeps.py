"""Kill all of a sweep, go on with other ranks, compare the table.

``python -m tests.faults.sweeps --kills 20 --seed 1`` kills every process of a sweep with a protocol at
random moments, goes on with one to three ranks each time, and compares ``results.csv`` with that of an
undisturbed run, but for the columns of times.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from caligo_mpi.launch import processes
from caligo_mpi.runs.sweeps.results import TIME_COLUMNS

from .campaign import MARK, environment

SWEEP = {
    "base": {
        "pairs": 30_000,
        "seed": 5,
        "chunk_size": 4096,
        "engine": {"name": "noise", "link": {}},
    },
    "axes": [{"path": "engine.link.fidelity", "linspace": [0.96, 1.0, 10]}],
    "protocol": {"mode": "bbm92", "block_size": 10_000},
}


def untimed(path: Path) -> list[list[str]]:
    """The table without what may differ."""
    head, *rows = csv.reader(path.read_text().splitlines())
    keep = [i for i, name in enumerate(head) if name.split(" [")[0] not in TIME_COLUMNS]
    return [[row[i] for i in keep] for row in (head, *rows)]


def command(config: Path, folder: Path, ranks: int) -> list[str]:
    """The command line on so many ranks; 1 is this process alone."""
    line = [sys.executable, "-m", "caligo_mpi", "sweep", str(config), "-q", "-o", str(folder)]
    return line if ranks == 1 else [*line, "--ranks", str(ranks)]


def kill_all(mark: str) -> int:
    """Kill every process of a launch at once; how many there were."""
    hit = 0
    for pid in processes.marked(MARK, mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            hit += 1
    return hit


def campaign(
    folder: Path, *, kills: int, seed: int, sweep: Mapping[str, Any] = SWEEP
) -> tuple[int, bool]:
    """Kill until ``kills`` blows have hit something; how many launches there were, and whether the tables are equal."""
    rng = random.Random(seed)
    config, whole, broken = folder / "sweep.yaml", folder / "whole", folder / "broken"
    config.write_text(yaml.safe_dump(dict(sweep)))
    start = time.monotonic()
    subprocess.run(
        command(config, whole, 1), check=True, env=environment("whole"), capture_output=True
    )
    seconds = time.monotonic() - start
    done = launches = 0
    while done < kills:
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            command(config, broken, rng.choice([1, 2, 3])),
            env=environment(mark),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        launches += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.3, 1.0) * max(2.0, seconds))
            # Finished before the blow: begin anew, so that the next ones hit work.
            if done < kills:
                _empty(broken)
            continue
        done += bool(kill_all(mark))
        process.wait()
    subprocess.run(
        command(config, broken, 2), check=True, env=environment("last"), capture_output=True
    )
    return launches, untimed(whole / "results.csv") == untimed(broken / "results.csv")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("folder", type=Path, help="an empty directory to work in")
    args = parser.parse_args()
    launches, equal = campaign(args.folder, kills=args.kills, seed=args.seed)
    print(
        f"{args.kills} kills in {launches} launches; results.csv {'equal' if equal else 'DIFFERS'}"
    )
    return int(not equal)


if __name__ == "__main__":
    raise SystemExit(main())
