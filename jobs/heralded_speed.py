"""Rows with times per second of one core: the noise engine, SeQUeNCe and SquidASM, one after the other.

    tests/sequence_env.sh python -c pass; tests/netsquid_env.sh python -c pass    # make the environments
    python jobs/heralded_speed.py

Each is a process in an environment of its own; ratios are those of processor time in one run.  SquidASM's is its
floor: a link that always succeeds, ten pairs held, on the stand-in or on NetSquid.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import process_time

import numpy as np

from caligo_mpi.config import NetsquidConfig, NoiseConfig, SequenceConfig
from caligo_mpi.engines import make_engine

ROOT = Path(__file__).parents[1]
STATION = {"length_km": 25.0, "detector_efficiency": 0.8}
#: Model, section, pairs of a chunk: what each does fastest, and the same link.
MEASURED = {
    "noise": (
        NoiseConfig,
        {"link": {**STATION, "type": "heralded-double-click", "dark_count_probability": 1e-5}},
        1 << 20,
    ),
    "noise, dephasing": (
        NoiseConfig,
        {
            "link": {**STATION, "type": "heralded-double-click", "dark_count_probability": 1e-5},
            "alice": {"T2_ns": 1e7, "storage_time_ns": 1e5},
        },
        1 << 20,
    ),
    "sequence": (SequenceConfig, {"mode": "barrett_kok", "link": STATION}, 100),
    "sequence, no loss": (SequenceConfig, {"mode": "barrett_kok", "link": {"length_km": 0.0}}, 200),
    "netsquid": (NetsquidConfig, {"link": {"fidelity": 0.9, "cycle_time_ns": 1000}}, 1000),
}


def measure(name):
    """The best of three chunks, pairs per second of processor time."""
    model, section, pairs = MEASURED[name]
    engine = make_engine(model.model_validate({"name": name.split(",")[0], **section}))
    best = float("inf")
    for chunk in range(4):
        start = process_time()
        engine.sample(pairs, np.random.SeedSequence(1, spawn_key=(chunk,)))
        if chunk:  # the first one compiles, imports and builds tables
            best = min(best, process_time() - start)
    return pairs / best


def elsewhere(python, name):
    """`measure` in another environment; None where there is none."""
    if not python.exists():
        return None
    paths = (
        [str(ROOT), str(ROOT / "tests" / "netsquid_standin")] if name == "netsquid" else [str(ROOT)]
    )
    line = [str(python), __file__, "--measure", name]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return None
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", choices=MEASURED, help="one of them, in this process")
    for name in ("sequence", "netsquid"):
        parser.add_argument(
            f"--{name}",
            type=Path,
            default=ROOT / "build" / f"{name}-env",
            help="its environment (default: %(default)s)",
        )
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    homes = {"sequence": options.sequence, "netsquid": options.netsquid}
    ours = measure("noise")
    for name in MEASURED:
        home = homes.get(name.split(",")[0])
        speed = elsewhere(home / "bin" / "python", name) if home else measure(name)
        told = f"{speed:,.0f} pairs/s, noise x {ours / speed:,.0f}" if speed else "not measured"
        print(f"{name:20} {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
