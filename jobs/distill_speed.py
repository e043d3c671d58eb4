"""How fast `distill` makes keys of a file on one core, with compiled code and without, beside limits of the machine.

    python jobs/distill_speed.py                     64 blocks of 2e6 pairs, low-leak Cascade, Q = 2 %
    python jobs/distill_speed.py --blocks 8 --steps  fewer blocks, and where the time goes

Seconds are those of a core, user and system; each way runs in a process of its own, after a block that warms it up.
The limits: copying as many bytes as a step reads, and one real Fourier transform as long as a key and its hash.
Exit code 1 if the keys differ.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Pairs of a block, and a link of QBER 2 %.
BLOCK = 2_000_000
ENGINE = {"name": "noise", "link": {"fidelity": 0.97}}
PROTOCOL = {"mode": "bbm92", "seed": 1, "reconciliation": "cascade-low-leak", "block_size": BLOCK}
BARS = {"on": 40, "off": 20}
KEY, HASH, TOEPLITZ_BAR = 1_000_000, 700_000, 60


def best(work: Callable[[], object], repeat: int = 5) -> float:
    """The least seconds of a core that ``work`` took, after one run to warm up."""
    work()
    taken = []
    for _ in range(repeat):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def apart(choice: str, work: Callable[..., Any], *arguments: object) -> Any:
    """What ``work`` returns in a new process where ``CALIGO_COMPILE`` is ``choice``."""
    os.environ["CALIGO_COMPILE"] = choice
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def make_pairs(path: Path, pairs: int) -> None:
    from caligo_mpi import parse_config
    from caligo_mpi.runs.generate import generate

    generate(parse_config({"pairs": pairs, "seed": 1, "engine": ENGINE}), path)


def make_keys(folder: Path, choice: str, steps: bool) -> dict[str, Any]:
    """Seconds of making keys of the folder's pairs, and their digest."""
    from caligo_mpi import parse_protocol
    from caligo_mpi.runs.block_work import block_work
    from caligo_mpi.runs.distill import distill, prepare

    task = prepare(folder / "run.h5", parse_protocol(PROTOCOL))
    block_work(task.source, task.config)(0)
    profile = cProfile.Profile()
    begin = time.process_time()
    if steps:
        profile.enable()
    done = distill(task, folder / f"{choice}.keys.h5")
    profile.disable()
    seconds = time.process_time() - begin
    if steps:
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    assert done.keys is not None
    return {"seconds": seconds, "digest": done.keys.digest}


def hash_both() -> dict[str, float]:
    """Seconds of hashing two keys, beside a transform of the length and a copy of the bytes."""
    from caligo_mpi.protocol.amplify import amplify, seed_bits

    rng = np.random.default_rng(1)
    keys = rng.integers(0, 2, (2, KEY), np.uint8)
    seed = rng.integers(0, 2, seed_bits(KEY, HASH), np.uint8)
    line = rng.random(len(seed) + 1)
    return {
        "hash": best(lambda: amplify(keys, seed, HASH)),
        "transform": best(lambda: np.fft.rfft(line)),
        "copy": best(lambda: (keys.copy(), seed.copy())),
    }


def report(choice: str, made: dict[str, Any], hashed: dict[str, float], pairs: int) -> None:
    speed, per_second = pairs / made["seconds"] / 1e6, KEY / hashed["hash"] / 1e6
    ratio = hashed["hash"] / hashed["transform"]
    copies = hashed["hash"] / hashed["copy"]
    print(f"CALIGO_COMPILE={choice}")
    print(f"  distill        {speed:7.1f} M pairs/s of a core (bar {BARS[choice]})")
    print(
        f"  Toeplitz       {per_second:7.1f} Mbit/s of each party, both at once (bar {TOEPLITZ_BAR}):"
        f" {ratio:.2f} real transforms of that length, {copies:.0f} copies"
    )
    print(f"  keys digest    {made['digest']}")


def main() -> int:
    """Print the figures of both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=64)
    parser.add_argument("--steps", action="store_true", help="profile instead of measuring")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pairs = args.blocks * BLOCK
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        make_pairs(Path(folder, "run.h5"), pairs)
        for choice in ("on", "off"):
            made = apart(choice, make_keys, Path(folder), choice, args.steps)
            hashed = apart(choice, hash_both)
            report(choice, made, hashed, pairs)
            found[choice] = made | hashed
    if args.json:
        print(json.dumps(found))
    return int(found["on"]["digest"] != found["off"]["digest"])


if __name__ == "__main__":
    sys.exit(main())
