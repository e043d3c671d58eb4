"""What collecting results by host would gain for rank 0: messages from a second host, one by one and collected.

    python jobs/collectors.py [--ranks 8] [--megabytes 64]

Two hosts are network namespaces of this machine, joined by a virtual cable (it needs root, iproute2 and dropbear).
Rank 0 is on the first, the workers on the second: each sends its results to rank 0 one by one, or grouped
up to 1 MiB as runs do, or all put them into a window of shared memory, from which one more rank forwards what is
there in messages of up to 1 MiB.
Ratios of one run; the network is this machine's memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = (320, 4096, 65_536, 1_048_576)
SLOTS = 64
MESSAGE = 1 << 20
ROUNDS = 3
KINDS = ("single", "grouped", "collected")


HEAD = """| bytes of a result | one by one, 1/s | grouped by each rank, 1/s | collected, 1/s | collected over grouped |
|---|---|---|---|---|"""


def pause() -> None:
    time.sleep(2e-5)


def received(world, total: int, size: int) -> float:
    """On rank 0: seconds until so many results have come."""
    from mpi4py import MPI

    buffer, status = np.empty(max(MESSAGE, size), np.uint8), MPI.Status()
    world.Barrier()
    begin, left = time.perf_counter(), total
    while left:
        world.Recv([buffer, MPI.BYTE], MPI.ANY_SOURCE, 1, status)
        left -= status.Get_count(MPI.BYTE) // size
    return time.perf_counter() - begin


def sent(world, each: int, size: int, together: int) -> None:
    """On a worker: its results, so many in a message."""
    from mpi4py import MPI

    results = np.ones(together * size, np.uint8)
    world.Barrier()
    for number in range(0, each, together):
        some = results[: min(together, each - number) * size]
        world.Send([some, MPI.BYTE], 0, 1)


class Window:
    """Results of each worker of a host, in a ring of slots; ``done`` and ``taken`` count them."""

    def __init__(self, host, workers: int, size: int) -> None:
        from mpi4py import MPI

        slots = min(SLOTS, max(4, (4 << 20) // size))
        nbytes = workers * (16 + slots * size) if host.rank == 0 else 0
        self.window = MPI.Win.Allocate_shared(nbytes, 1, comm=host)
        memory, _ = self.window.Shared_query(0)
        counts = np.frombuffer(memory, np.uint64, 2 * workers)
        self.done, self.taken = counts[:workers], counts[workers:]
        rest = np.frombuffer(memory, np.uint8, workers * slots * size, 16 * workers)
        self.slots = rest.reshape(workers, slots, size)
        if host.rank == 0:
            counts[:] = 0
        host.Barrier()


def put(world, window: Window, worker: int, each: int) -> None:
    """On a worker: its results into the window."""
    size, slots = window.slots.shape[2], window.slots.shape[1]
    result = np.ones(size, np.uint8)
    world.Barrier()
    for number in range(each):
        while int(window.done[worker]) - int(window.taken[worker]) >= slots:
            pause()
        window.slots[worker, number % slots] = result
        window.done[worker] += np.uint64(1)


def forward(world, window: Window, total: int) -> None:
    """On the collector: what is there, in one message, until all was."""
    from mpi4py import MPI

    workers, slots, size = window.slots.shape
    buffer = np.empty((max(1, MESSAGE // size), size), np.uint8)
    world.Barrier()
    while total:
        filled = 0
        for worker in range(workers):
            taken = int(window.taken[worker])
            some = min(int(window.done[worker]) - taken, len(buffer) - filled)
            for number in range(taken, taken + some):
                buffer[filled] = window.slots[worker, number % slots]
                filled += 1
            window.taken[worker] += np.uint64(some)
        if not filled:
            pause()
            continue
        world.Send([buffer[:filled], MPI.BYTE], 0, 1)
        total -= filled


def measure(megabytes: float) -> None:
    """On each rank: rank 0 is the first, the collector the second, the rest are workers."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    workers, worker = world.size - 2, world.rank - 2
    there = world.Split(int(world.rank > 0), world.rank)
    for size in SIZES:
        each = int(min(20_000, megabytes * 1e6 / size)) // workers + 1
        spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for kind in KINDS * ROUNDS:
            window = Window(there, workers, size) if world.rank and kind == "collected" else None
            if not world.rank:
                spent[kind].append(received(world, each * workers, size))
            elif window and worker < 0:
                forward(world, window, each * workers)
            elif window:
                put(world, window, worker, each)
            elif worker < 0:
                world.Barrier()
            else:
                sent(world, each, size, max(1, MESSAGE // size) if kind == "grouped" else 1)
            world.Barrier()
            if window:
                window.window.Free()
        if not world.rank:
            rates = {kind: each * workers / min(seconds) for kind, seconds in spent.items()}
            told = " | ".join(f"{rates[kind]:.0f}" for kind in KINDS)
            gain = rates["collected"] / rates["grouped"]
            print(f"| {size} | {told} | {gain:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=8, help="workers on the second host")
    parser.add_argument("--megabytes", type=float, default=64.0, help="sent for each size")
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_rank:
        measure(args.megabytes)
        return
    root = Path(__file__).parents[1]
    sys.path.insert(0, str(root))
    from caligo_mpi.launch.mpirun import mpirun_command
    from tests.faults import hosts

    if reason := hosts.missing():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as name:
        pair = hosts.Pair(Path(name))
        try:
            ranks = args.ranks + 2
            line, variables = mpirun_command(ranks)
            env = {**os.environ, **variables, **pair.environment(1, args.ranks + 1)}
            env["PYTHONPATH"] = str(root)
            words = [
                *line,
                sys.executable,
                __file__,
                "--as-rank",
                "--megabytes",
                str(args.megabytes),
            ]
            print(HEAD, flush=True)
            subprocess.run(pair.here.inside(words), env=env, check=True, timeout=300)
        finally:
            pair.remove()


if __name__ == "__main__":
    main()
