"""Sound files of many configurations and seeds: in how many does `caligo_mpi.analyze` find something.

``python tests/analysis/false_alarms.py [FILES] [SEED]`` makes 200 files, one after the other.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from planted import write

from caligo_mpi import analyze, parse_config


def random_config(rng, most=6.5):
    """A configuration of at most 10^``most`` emissions: links, biases, read-out, memories, losses, sources."""
    engine = {"name": "noise", "link": {"fidelity": float(1 - 0.15 * rng.random() ** 3)}}
    for side in ("alice", "bob"):
        engine[side] = _side(rng)
    kind = rng.integers(4)
    if kind == 1:
        engine["loss"] = {side: _arm(rng) for side in ("alice", "bob")}
    elif kind == 2:
        engine["link"] = {"pauli": [float(p) for p in 0.03 * rng.random(3)]}
    elif kind == 3:
        del engine["link"]
        engine["source"] = {"type": "pdc", "mu": float(0.02 + 0.2 * rng.random())}
        engine["loss"] = {side: _arm(rng) for side in ("alice", "bob")}
        for side in ("alice", "bob"):
            engine[side] = {"basis_bias": engine[side]["basis_bias"], "readout_flip": 0.003}
    pairs = int(10 ** rng.uniform(3.5, most))
    chunk_size = int(rng.choice([1000, 4096, 65_536, 100_008, 1 << 20]))
    seed = int(rng.integers(1 << 62))
    return parse_config({"pairs": pairs, "seed": seed, "chunk_size": chunk_size, "engine": engine})


def _side(rng):
    bias = float(rng.choice([0.5, 0.5, 0.4, 0.9, 0.05]))
    if rng.random() < 0.5:
        return {"basis_bias": bias, "readout_flip": float(0.02 * rng.random())}
    return {
        "basis_bias": bias,
        "p_read1_given0": float(0.02 * rng.random()),
        "p_read0_given1": float(0.1 * rng.random()),
        "storage_time_ns": 1e6,
        "T1_ns": 1e8,
        "T2_ns": 1e7,
    }


def _arm(rng):
    return {
        "length_km": float(30 * rng.random()),
        "detector_efficiency": float(0.3 + 0.7 * rng.random()),
        "dark_count_probability": float(10 ** rng.uniform(-6, -2)),
    }


def main(files, seed):
    rng = np.random.default_rng(seed)
    alarms, names, smallest = 0, Counter(), 1.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.h5"
        for number in range(files):
            config = random_config(rng)
            write(path, config)
            found = analyze(path) if _has_rows(path) else None
            path.unlink()
            if found is None:
                continue
            smallest = min([smallest, *(check.p for check in found.checks if check.p is not None)])
            if not found.sound:
                alarms += 1
                names.update(check.name for check in found.findings)
                print(f"file {number}, seed {config.seed}: {found.findings}\n  {config.resolved()}")
    print(
        f"{alarms} of {files} sound files have a finding {dict(names)}; smallest p {smallest:.2g}"
    )
    return alarms


def _has_rows(path):
    from caligo_mpi import open_pairs

    with open_pairs(path) as file:
        return file.rows > 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    files, seed = (numbers + [200, 1][len(numbers) :])[:2]
    sys.exit(int(main(files, seed) > 3 * files / 200))
