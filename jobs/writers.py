"""What writing in parallel gains, and what rank 0 can bear: ratios, to be taken on a machine that nobody else uses.

``python jobs/writers.py speed [PAIRS] [ROUNDS]``: a lossless run to memory (``/dev/shm``) with ``output.writers``
gather and direct, over writing the same bytes by ``pwrite``; the least of each over some rounds.  What other
processes disturbed, by more than 5 % of a core, is measured again, and told if it stays so.
``python jobs/writers.py grants [CHUNKS]``: empty chunks per second that rank 0 hands out and takes in.
``python jobs/writers.py memory [PAIRS]``: the peak memory of rank 0 with 64 ranks over that with 4.
``python jobs/writers.py blocks``: writing into new blocks of a file, over allocating them first.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from caligo_mpi import status
from caligo_mpi.launch.mpirun import mpirun_command
from caligo_mpi.machine.wording import quantity

RUN = {"seed": 7, "engine": {"name": "noise", "link": {"fidelity": 0.95}}}
T = TypeVar("T")
CHUNK = 1 << 24
_PIECE = CHUNK // 8
_DISTURBED = 0.05  # cores that others use
_TRIES = 3


def written_alone(path: Path, pairs: int, *, reserve: bool = False) -> float:
    """Seconds to write the columns of a run by ``pwrite``, chunk after chunk; with ``reserve`` allocated first."""
    size = pairs // 8
    blocks = [os.urandom(_PIECE) for _ in range(4)]
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.ftruncate(fd, 4 * size)
    begin = time.perf_counter()
    for done in range(0, size, _PIECE):
        for column in range(4):
            part = memoryview(blocks[column])[: size - done]
            place = column * size + done
            if reserve:
                os.posix_fallocate(fd, place, len(part))
            os.pwrite(fd, part, place)
    seconds = time.perf_counter() - begin
    os.close(fd)
    path.unlink()
    return seconds


def run_seconds(
    folder: Path,
    pairs: int,
    writers: str,
    ranks: int,
    *,
    core: int | None = None,
) -> tuple[float, str]:
    """Seconds of a run without its launching, and its data digest; ``core`` is the only one that it may use."""
    (folder / "run.yaml").write_text(json.dumps({"pairs": pairs, **RUN}))
    words = ["generate", "run.yaml", "-o", "run.h5", "-q", "--json"]
    words += ["--set", f"output.writers={writers}", *(["--ranks", str(ranks)] if ranks > 1 else [])]
    line = [sys.executable, "-m", "caligo_mpi", *words]
    # Compiled code from the first chunk on: the run is too short to wait for it.
    env = {"CALIGO_COMPILE": "on", **os.environ}
    if core is not None:
        line = ["taskset", "--cpu-list", str(core), *line]
    done = subprocess.run(line, cwd=folder, env=env, check=True, stdout=subprocess.PIPE, text=True)
    digest = status(folder / "run.h5").data_digest
    (folder / "run.h5").unlink()
    return float(json.loads(done.stdout)["seconds"]), digest


def used_by_others(work: Callable[[], T]) -> tuple[T, float]:
    """What comes of the work, and how many cores other processes used meanwhile."""
    begin, busy, own = time.perf_counter(), _busy_seconds(), _own_seconds()
    found = work()
    seconds = time.perf_counter() - begin
    return found, ((_busy_seconds() - busy) - (_own_seconds() - own)) / seconds


def _busy_seconds() -> float:
    """Processor seconds of all processes so far."""
    numbers = Path("/proc/stat").read_text().split()[1:4]
    return sum(map(int, numbers)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """The same of this process and its children that have ended."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in found)


def undisturbed(name: object, work: Callable[[], T]) -> T:
    """What comes of the work where others leave the machine alone, or of the last try."""
    for _ in range(_TRIES):
        found, others = used_by_others(work)
        if others <= _DISTURBED:
            return found
    print(f"{name}: others used {others:.2f} cores", flush=True)
    return found


def measure_speed(pairs: int, rounds: int) -> None:
    """Runs and ``pwrite`` in turns."""
    kinds = [("gather", 1), ("direct", 1), ("gather", 2), ("direct", 2)]
    spent: dict[object, list[float]] = {"pwrite": [], **{kind: [] for kind in kinds}}
    spent["gather on a core", 1] = []
    digests = set()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        written_alone(folder / "warm", pairs)
        for _ in range(rounds):
            alone = functools.partial(written_alone, folder / "alone", pairs)
            spent["pwrite"].append(undisturbed("pwrite", alone))
            for kind in kinds:
                run = functools.partial(run_seconds, folder, pairs, *kind)
                seconds, digest = undisturbed(kind, run)
                spent[kind].append(seconds)
                digests.add(digest)
            # A rank alone writes on a thread, which takes the second core; where ranks are bound it has none.
            run = functools.partial(run_seconds, folder, pairs, "gather", 1, core=0)
            seconds, digest = undisturbed("gather on a core", run)
            spent["gather on a core", 1].append(seconds)
            digests.add(digest)
    for kind, seconds in spent.items():
        print(kind, " ".join(f"{value:.2f}" for value in seconds))
    least = {kind: min(seconds) for kind, seconds in spent.items()}
    told = f"{quantity(pairs)}pairs"
    print(
        f"{told}, gather on 1 rank over direct on 2: {least['gather', 1] / least['direct', 2]:.2f}"
    )
    gain = least["gather on a core", 1] / least["direct", 2]
    print(f"{told}, gather on 1 rank that has 1 core over direct on 2: {gain:.2f}")
    print(
        f"{told}, gather on 2 ranks over direct on 2: {least['gather', 2] / least['direct', 2]:.2f}"
    )
    for writers in ("gather", "direct"):
        ratio = least[writers, 1] / least["pwrite"]
        print(f"{told}, {writers} on 1 rank over pwrite alone: {ratio:.2f}")
    print(f"data digests: {'equal' if len(digests) == 1 else 'DIFFER'}")


def measure_blocks(pairs: int, rounds: int) -> None:
    """What allocating blocks first gains, here and in memory."""
    for place in ("/dev/shm", "."):
        with tempfile.TemporaryDirectory(dir=place) as name:
            path = Path(name) / "file"
            written_alone(path, pairs)
            plain, reserved = [], []
            for _ in range(rounds):
                plain.append(written_alone(path, pairs))
                reserved.append(written_alone(path, pairs, reserve=True))
        print(f"{place}: allocated first over not: {min(reserved) / min(plain):.2f}")


class _Nothing:
    """Carries empty results."""

    @staticmethod
    def parts(result: np.ndarray) -> list[np.ndarray]:
        return [result]

    @staticmethod
    def whole(buffer: np.ndarray) -> np.ndarray:
        return buffer


def _empty_work() -> object:
    return lambda item, tick=None: np.zeros(8, np.uint8)


def grant_all(count: int) -> None:
    """On each rank: hand out so many empty chunks under each policy."""
    from caligo_mpi.parallel import mpi
    from caligo_mpi.parallel.job import Rules

    if mpi.rank():
        mpi.serve(_Nothing)
        return
    for policy in ("static", "dynamic", "guided", "adaptive"):
        rules, begin = Rules(policy, "no"), time.perf_counter()
        found = sum(1 for _ in mpi.map_over_ranks(_empty_work, range(count), rules, codec=_Nothing))
        speed = found / (time.perf_counter() - begin)
        print(f"{mpi.size()} ranks, {policy}: {quantity(speed)}empty chunks/s", flush=True)
    mpi.release_workers()


def measure_grants(count: int) -> None:
    """Start `grant_all` on 2 and on 8 ranks."""
    for ranks in (2, 8):
        line, env = mpirun_command(ranks)
        words = [sys.executable, __file__, "grants", str(count), "--as-rank"]
        subprocess.run([*line, *words], env={**os.environ, **env}, check=True)


def peak_of_first_rank(folder: Path, pairs: int, ranks: int, writers: str) -> int:
    """Peak private memory of rank 0 in a run, by looking often."""
    (folder / "run.yaml").write_text(json.dumps({"pairs": pairs, "chunk_size": 1 << 22, **RUN}))
    line = [
        sys.executable,
        "-m",
        "caligo_mpi",
        "generate",
        "run.yaml",
        "-o",
        "run.h5",
        "-q",
        "--force",
    ]
    line += ["--set", f"output.writers={writers}", "--ranks", str(ranks)]
    process = subprocess.Popen(
        line, cwd=folder, env={**os.environ, "JOBS_WRITERS": str(os.getpid())}
    )
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            most[0] = max(most[0], _memory_of_first())

    looking = threading.Thread(target=watch)
    looking.start()
    code = process.wait()
    over.set()
    looking.join()
    if code:
        raise SystemExit(f"{' '.join(line)} ended with {code}")
    return most[0]


def _memory_of_first() -> int:
    """Bytes of the process that is rank 0 of our run; pages that ranks share are divided among them."""
    mark = f"JOBS_WRITERS={os.getpid()}".encode()
    for entry in Path("/proc").iterdir():
        try:
            variables = (
                (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
            )
            if mark in variables and b"OMPI_COMM_WORLD_RANK=0" in variables:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                return sum(1024 * int(text.split()[1]) for text in lines if text.startswith("Pss:"))
        except OSError:
            continue
    return 0


def measure_memory(pairs: int) -> None:
    """Rank 0 with many ranks over few."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        for writers in ("gather", "direct"):
            few, many = (peak_of_first_rank(Path(name), pairs, n, writers) for n in (4, 64))
            told = f"{quantity(many)}B over {quantity(few)}B"
            print(
                f"{writers}: rank 0 of 64 over rank 0 of 4: {many / few:.2f} ({told})", flush=True
            )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "grants", "memory", "blocks"])
    parser.add_argument("size", nargs="?", type=float)
    parser.add_argument("rounds", nargs="?", type=int, default=2)
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    size = int(
        asked.size or {"speed": 1e10, "grants": 1e5, "memory": 2e9, "blocks": 4e9}[asked.what]
    )
    if asked.as_rank:
        grant_all(size)
    elif asked.what == "speed":
        measure_speed(size, asked.rounds)
    elif asked.what == "blocks":
        measure_blocks(size, asked.rounds)
    elif asked.what == "grants":
        measure_grants(size)
    else:
        measure_memory(size)


if __name__ == "__main__":
    main()
