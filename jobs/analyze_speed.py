"""What `caligo-mpi analyze` takes, as a multiple of ``cat FILE > /dev/null`` with the page cache warm.

``python jobs/analyze_speed.py FILE [RANKS]``: the best of three by the clock and in processor time,
memory, and RANKS ranks over one.  The file has to fit into memory.  One rank and several are both
started by ``--ranks``, so that starting MPI costs both the same.  On a machine that others use, only
processor time tells anything, and nothing tells how ranks scale.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 3


def taken(command: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor, each the best of some runs."""
    clock, processor = [], []
    for _ in range(REPEATS):
        before = _processor()
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stderr:  # an exit code of 1 may be a finding
            raise SystemExit(f"{command}: {done.stderr}")
        clock.append(time.perf_counter() - begin)
        processor.append(_processor() - before)
    return min(clock), min(processor)


def _processor() -> float:
    """Seconds that all ended children have taken of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(file: str, ranks: int) -> None:
    """Measure and print ratios."""
    command = [sys.executable, "-m", "caligo_mpi"]
    analyze = [*command, "analyze", file, "-q"]
    cat = taken(["sh", "-c", f'cat "{file}" > /dev/null'])
    start = taken([*command, "status", file])
    alone = taken(analyze)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{file}: {Path(file).stat().st_size / 1e9:.3g} GB; memory at most {memory:.0f} MiB")
    for name, number in (("clock", 0), ("processor", 1)):
        words = f"analyze {alone[number]:.2f} s, cat {cat[number]:.2f} s"
        fixed = f"starting Python alone {start[number] / cat[number]:.2f}"
        print(f"{name}: {alone[number] / cat[number]:.2f} times cat ({words}; {fixed})")
    one, many = (taken([*analyze, "--ranks", str(n)])[0] for n in (1, ranks))
    print(f"clock: {ranks} ranks over 1 rank {one / many:.2f} ({one:.2f} s, {many:.2f} s)")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2)
