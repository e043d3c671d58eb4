"""What `caligo-mpi analyze` takes, as a multiple of ``cat FILE > /dev/null`` with the page cache warm.

``python jobs/analyze_speed.py FILE [RANKS]``: the best of three, memory, and RANKS ranks over one rank.  The file
has to fit into memory.  One rank and several are both started by ``--ranks``, so that starting MPI costs both the same.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 3


def seconds(command: list[str]) -> float:
    """The best of some runs; a finding (exit code 1) is a result, too."""
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        if done.returncode > 1:
            raise SystemExit(f"{command} ended with exit code {done.returncode}")
        best = min(best, time.perf_counter() - begin)
    return best


def main(file: str, ranks: int) -> None:
    """Measure and print ratios."""
    analyze = [sys.executable, "-m", "caligo_mpi", "analyze", file, "-q"]
    start = seconds([sys.executable, "-m", "caligo_mpi", "status", file])
    cat = seconds(["sh", "-c", f'cat "{file}" > /dev/null'])
    alone = seconds(analyze)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{file}: {Path(file).stat().st_size / 1e9:.3g} GB")
    print(f"analyze / cat, page cache warm: {alone / cat:.2f}  ({alone:.2f} s / {cat:.3f} s)")
    print(f"  of which starting Python and opening the file: {start / cat:.2f}")
    print(f"memory at most: {memory:.0f} MiB")
    one, many = (seconds([*analyze, "--ranks", str(n)]) for n in (1, ranks))
    print(f"{ranks} ranks over 1 rank: {one / many:.2f}  ({one:.2f} s / {many:.2f} s)")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2)
