"""Whether huge pages speed up the noise engine: its rate with and without numpy's `madvise`, in turns.

    python jobs/huge_pages.py --pairs 67108864

numpy asks the kernel for huge pages of arrays above 4 MiB unless NUMPY_MADVISE_HUGEPAGE=0 is in the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

_RATE = """
import sys, time
from caligo_mpi import parse_config
from caligo_mpi.engines import make_engine
from caligo_mpi.pairs import Chunk
pairs = int(sys.argv[1])
size = 1 << 24
link = {"name": "noise", "link": {"fidelity": 0.97}}
engine = make_engine(parse_config({"pairs": pairs, "seed": 1, "engine": link}).engine)
seed = Chunk(0, 0, size).seed_sequence(1)
engine.sample(size, seed)
begin, done = time.perf_counter(), 0
while done < pairs:
    done += engine.sample(size, seed).count
print(done / (time.perf_counter() - begin))
"""


def pairs_per_second(pairs: int, asked: str) -> float:
    env = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": asked}
    done = subprocess.run(
        [sys.executable, "-c", _RATE, str(pairs)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1 << 28)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    ratios = [
        pairs_per_second(args.pairs, "1") / pairs_per_second(args.pairs, "0")
        for _ in range(args.rounds)
    ]
    print(
        json.dumps(
            {
                "with over without": round(statistics.median(ratios), 3),
                "all": [round(one, 3) for one in ratios],
            }
        )
    )


if __name__ == "__main__":
    main()
