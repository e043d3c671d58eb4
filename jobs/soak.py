"""Many more ranks than cores, many tiny chunks, every policy: the same file, and what each rank had to do for it.

    python jobs/soak.py --ranks 64 --chunks 100000                    all policies
    python jobs/soak.py --ranks 64 --chunks 100000 --policy guided    one of them, where time is short

Exit code 1 if a file is another one than a single process makes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

from caligo_mpi import parse_config, status
from caligo_mpi.config import dump_config
from caligo_mpi.config.run import Policy
from caligo_mpi.runs.generate import generate

TINY = 8  # emissions of a chunk


def configuration(chunks: int) -> dict[str, object]:
    engine = {"name": "noise", "link": {"fidelity": 0.97}}
    return {"pairs": TINY * chunks, "chunk_size": TINY, "seed": 1, "engine": engine}


def soaked(folder: Path, chunks: int, ranks: int, policy: str) -> dict[str, object]:
    """One run; ratios of times only mean something within it."""
    config = folder / f"{policy}.yaml"
    run = parse_config({**configuration(chunks), "schedule": policy})
    config.write_text(dump_config(run), "utf-8")
    path = folder / f"{policy}.h5"
    command = [sys.executable, "-m", "caligo_mpi", "generate", config, "-o", path, "-q"]
    begin = time.perf_counter()
    subprocess.run(
        [*map(str, command), "--ranks", str(ranks), "--restarts", "0"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begin
    found = status(path)
    rows, peak = found.metrics, found.metrics["peak_memory"]
    return {
        "digest": found.data_digest,
        "seconds": round(seconds, 1),
        "ranks": len(rows),
        "ranks with chunks": int((rows["chunks"] > 0).sum()),
        "chunks": int(rows["chunks"].sum()),
        "messages per chunk": round(float(rows["messages"][0]) / chunks, 3),
        "rank 0 memory over the median rank's": round(
            float(peak[0] / sorted(peak)[len(peak) // 2]), 2
        ),
        "faults": len(found.faults),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--policy", choices=get_args(Policy))
    args = parser.parse_args()
    policies = [args.policy] if args.policy else get_args(Policy)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = folder / "alone.h5"
        generate(parse_config(configuration(args.chunks)), alone)
        digest = status(alone).data_digest
        found = {policy: soaked(folder, args.chunks, args.ranks, policy) for policy in policies}
    same = all(one["digest"] == digest for one in found.values())
    print(json.dumps({"same": same, **found}, indent=2))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
