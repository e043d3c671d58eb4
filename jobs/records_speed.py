"""What a run costs that keeps records only, beside the kernel that makes its bits.

``python jobs/records_speed.py [PAIRS] [RANKS]``: the run's time over what as many processes need that only call the
engine (before and after it, on the same machine), the size of its file, the memory of its ranks.  On a machine that
others use the ratio of processor times says more than that of wall times; launching is taken off it.
``python jobs/records_speed.py --distill [PAIRS] [RANKS]``: keys from a file without bits over keys from one with them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

from caligo_mpi import parse_config, read_keys, store
from caligo_mpi.engines import make_engine
from caligo_mpi.machine.wording import quantity
from caligo_mpi.pairs import Chunk, Partition
from caligo_mpi.runs.chunks import record_chunk
from caligo_mpi.runs.identity import run_info

RUN = {"seed": 7, "engine": {"name": "noise", "link": {"fidelity": 0.97}}}
PROTOCOL = {"mode": "bbm92", "seed": 5}
_KERNEL_SECONDS = 12.0
_WARM_SECONDS = 4.0  # caches and clocks are


def kernel(ranks: int) -> tuple[float, float]:
    """Pairs per second, and per second of processor time, of processes that do nothing but simulate chunks."""
    with multiprocessing.get_context("spawn").Pool(ranks) as pool:
        found = pool.map(_simulate, range(ranks), chunksize=1)
    return sum(wall for wall, _ in found), sum(processor for _, processor in found) / ranks


def _simulate(number: int) -> tuple[float, float]:
    if importlib.util.find_spec("numba"):
        os.environ.setdefault("CALIGO_COMPILE", "on")  # nothing is timed while it compiles
    config = parse_config({"pairs": 10**12, **RUN})
    engine, size = make_engine(config.engine), config.chunk_size
    done, index = 0, number
    begin, spent = time.perf_counter(), time.process_time()
    warm = False
    while time.perf_counter() - begin < _KERNEL_SECONDS:
        engine.sample(size, Chunk(index, 0, size).seed_sequence(config.seed))
        done, index = done + size, index + 1000
        if not warm and time.perf_counter() - begin > _WARM_SECONDS:
            done, begin, warm = 0, time.perf_counter(), True
            spent = time.process_time()
    return done / (time.perf_counter() - begin), done / (time.process_time() - spent)


def by_chunk() -> tuple[float, float]:
    """A chunk's work without its bits, and a checksum of these, over its kernel: turn by turn, disturbed alike."""
    config = parse_config({"pairs": 10**12, **RUN})
    engine, partition = make_engine(config.engine), Partition(10**12, config.chunk_size)
    spent: list[tuple[float, float, float]] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < _WARM_SECONDS + _KERNEL_SECONDS:
        chunk = partition[len(spent)]
        marks = [time.process_time()]
        pairs = engine.sample(chunk.count, chunk.seed_sequence(config.seed))
        marks.append(time.process_time())
        pairs.checksum()
        marks.append(time.process_time())
        del pairs
        record_chunk(engine, chunk, config.seed)
        marks.append(time.process_time())
        kernel, checksum, whole = (b - a for a, b in pairwise(marks))
        spent.append((kernel, checksum, whole))
    kernel, checksum, whole = (
        statistics.median(some) for some in zip(*spent[len(spent) // 3 :], strict=True)
    )
    return whole / kernel, checksum / kernel


class Memory(threading.Thread):
    """The most memory that ranks below a process held together, shared pages counted once, and their seconds."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.most, self.over = root, 0, threading.Event()
        self.spent: dict[int, float] = {}

    def run(self) -> None:
        """Look ten times a second."""
        while not self.over.wait(0.1):
            ranks = _ranks(self.root)
            self.most = max(self.most, sum(map(_proportional, ranks)))
            self.spent |= {pid: _processor(pid) for pid in ranks if _processor(pid)}


def _ranks(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return [pid for pid in parents if _is_below(pid, root, parents) and _is_rank(pid)]


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != root:
        pid = parents[pid]
    return pid == root


def _is_rank(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    is_python = b"caligo_mpi" in words and b"python" in words[0]
    return is_python and b"--ranks" not in words


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _processor(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def caligo(folder: Path, *words: str) -> tuple[dict[str, object], float, int]:
    """Run the command: what it says, processor seconds and memory of its ranks."""
    line = [sys.executable, "-m", "caligo_mpi", *words, "-q", "--json"]
    process = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, text=True)
    memory = Memory(process.pid)
    memory.start()
    out, _ = process.communicate()
    memory.over.set()
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {process.returncode}")
    return json.loads(out), sum(memory.spent.values()), memory.most


def measure_run(folder: Path, pairs: int, ranks: int) -> None:
    """Time, size and memory of a run without bits."""
    records = {"path": "run.h5", "keep": "records"}
    (folder / "run.yaml").write_text(json.dumps({"pairs": pairs, **RUN, "output": records}))
    on_ranks = ("generate", "run.yaml", "--ranks", str(ranks))
    few = pairs // 20
    before = kernel(ranks)
    _, launching, _ = caligo(folder, *on_ranks, "-o", "few.h5", "--set", f"pairs={few}")
    said, processor, memory = caligo(folder, *on_ranks)
    after = kernel(ranks)
    seconds = float(str(said["seconds"]))
    print(f"{quantity(pairs)}pairs on {ranks} ranks: {quantity(pairs / seconds)}pairs/s")
    for what, kernel_speed in (("before", before), ("after", after)):
        text = [quantity(speed) for speed in kernel_speed]
        print(f"kernel alone {what}: {text[0]}pairs/s, {text[1]}pairs per processor second")
    wall = (before[0] + after[0]) / 2
    of_processor = (before[1] + after[1]) / 2
    print(f"time over kernel time / ranks: {seconds * wall / pairs:.3f}")
    ratio = (processor - launching) * of_processor / (pairs - few)
    print(f"the same of processor times, without launching: {ratio:.3f}")
    whole, checksum = by_chunk()
    print(
        f"turn by turn, a chunk over its kernel: {whole:.3f}; a checksum of its bits alone {checksum:.3f}"
    )
    print(f"memory of the ranks: {quantity(memory)}B")
    print(f"file: {quantity((folder / 'run.h5').stat().st_size)}B")
    config = parse_config({"pairs": 10**12, **RUN, "output": records})
    info = run_info(config, make_engine(config.engine))
    print(f"file of 1e12 pairs: {quantity(store.file_size(info, info.capacity))}B")


def measure_distill(folder: Path, pairs: int, ranks: int) -> None:
    """Keys from files without and with bits."""
    (folder / "run.yaml").write_text(json.dumps({"pairs": pairs, **RUN}))
    (folder / "protocol.yaml").write_text(json.dumps(PROTOCOL))
    spent: dict[str, list[float]] = {"records": [], "pairs": []}
    for keep in spent:
        asked = ("--set", f"output.keep={keep}", "--ranks", str(ranks))
        caligo(folder, "generate", "run.yaml", "-o", f"{keep}.h5", *asked)
    for attempt in range(2):
        for keep, seconds in spent.items():
            keys = f"keys-{keep}-{attempt}.h5"
            words = ("--config", "protocol.yaml", "-o", keys, "--ranks", str(ranks))
            said, _, _ = caligo(folder, "distill", f"{keep}.h5", *words)
            seconds.append(float(str(said["seconds"])))
    ratio = min(spent["records"]) / min(spent["pairs"])
    digests = {read_keys(path).digest for path in folder.glob("keys-*.h5")}
    print(
        f"{quantity(pairs)}pairs on {ranks} ranks, distilled without bits over with them: {ratio:.3f}"
    )
    print(f"seconds: {spent}; keys {'equal' if len(digests) == 1 else 'DIFFER'}")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--distill", action="store_true")
    parser.add_argument("pairs", nargs="?", type=float, default=1e10)
    parser.add_argument("ranks", nargs="?", type=int, default=2)
    options = parser.parse_args()
    measure = measure_distill if options.distill else measure_run
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), int(options.pairs), options.ranks)


if __name__ == "__main__":
    main()
