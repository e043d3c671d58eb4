"""What `caligo-mpi analyze` takes, as a multiple of ``cat FILE > /dev/null`` with the page cache warm or cold.

``python jobs/analyze_speed.py FILE [RANKS]``: the best of three by the clock and in processor time,
memory, and RANKS ranks over one.  The file has to fit into memory.  One rank and several are both
started by ``--ranks``, so that starting MPI costs both the same; a second figure takes the start off, which is what
the same command needs for a file so small that it is nearly all start.  For the cold cache the kernel is
told to drop the file's pages before each command (``posix_fadvise``), which it does where the file
lies on a disk.  On a machine that others use, only processor time tells anything, and nothing tells
how ranks scale.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 3
#: Pairs of a file that is nearly all start; from here on analysis is compiled.
SMALL = 1 << 26


def forget(file: str) -> None:
    """Drop a file's pages from the page cache."""
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(
        descriptor,
        0,
        0,
        os.POSIX_FADV_DONTNEED,
    )
    os.close(descriptor)


def taken(command: list[str], *, cold: str = "") -> tuple[float, float]:
    """Seconds by the clock and of the processor, each the best of some runs; ``cold`` is forgotten before each."""
    clock = []
    processor = []
    for _ in range(REPEATS):
        if cold:
            forget(cold)
        before = _processor()
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
        )
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
    analyze = [*command, "analyze", "-q"]
    alone = [*analyze, file]
    cat = ["sh", "-c", f'cat "{file}" > /dev/null']
    warm(file, cat, alone, [*command, "status", file])
    disk, _ = taken(cat, cold=file)
    cold, _ = taken(alone, cold=file)
    seconds = f"analyze {cold:.2f} s, cat {disk:.2f} s"
    print(f"cold, by the clock: {cold / disk:.2f} times cat ({seconds})")
    with tempfile.TemporaryDirectory() as folder:
        small = f"{folder}/small.h5"
        make_small(command, small)
        scaling(analyze, file, small, ranks)


def make_small(command: list[str], path: str) -> None:
    """A file of so few pairs that analyzing it is nearly all start, but with compiled code."""
    config = Path(path).with_suffix(".yaml")
    config.write_text(
        f"{{pairs: {SMALL}, seed: 7, engine: {{name: noise, link: {{fidelity: 0.95}}}}}}"
    )
    subprocess.run(
        [*command, "generate", str(config), "-o", path, "-q", "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def scaling(
    analyze: list[str],
    file: str,
    small: str,
    ranks: int,
) -> None:
    """Several ranks over one, with the start and without it."""
    whole = []
    work = []
    for count in (1, ranks):
        clock, _ = taken([*analyze, file, "--ranks", str(count)])
        start, _ = taken([*analyze, small, "--ranks", str(count)])
        whole.append(clock)
        work.append(clock - start)
    for name, (one, many) in (("", whole), (", start taken off", work)):
        seconds = f"{one:.2f} s, {many:.2f} s"
        print(f"clock{name}: {ranks} ranks over 1 rank {one / many:.2f} ({seconds})")


def warm(
    file: str,
    cat: list[str],
    analyze: list[str],
    status: list[str],
) -> None:
    """The same with all of the file in the page cache."""
    of_cat = taken(cat)
    of_start = taken(status)
    of_analyze = taken(analyze)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = Path(file).stat().st_size / 1e9
    print(f"{file}: {size:.3g} GB; memory at most {memory:.0f} MiB")
    for number, name in enumerate(("clock", "processor")):
        seconds = of_analyze[number]
        least = of_cat[number]
        words = f"analyze {seconds:.2f} s, cat {least:.2f} s"
        start = f"starting Python alone {of_start[number] / least:.2f}"
        print(f"{name}: {seconds / least:.2f} times cat ({words}; {start})")


if __name__ == "__main__":
    main(
        sys.argv[1],
        int(sys.argv[2]) if len(sys.argv) > 2 else 2,
    )
