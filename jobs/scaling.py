"""What messages, grants and writing cost here, and whether the scaling model meets runs that it can be held against.

    python jobs/scaling.py measure [--json FILE]   # the costs of this machine, as `caligo_mpi.analysis.scaling.Costs`
    python jobs/scaling.py validate                # real maps on 1 to 16 ranks beside the model fed with those costs
    python jobs/scaling.py predict [--costs FILE]  # 16 to 10,000 ranks, for the workloads of docs/scaling.md

In ``validate`` chunks sleep, so that 16 ranks on two cores are 16 ranks; messages, grants, the order of commits and
writing are real.  Exit code 1 if the model is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from caligo_mpi import parse_config, store
from caligo_mpi.analysis.scaling import Costs, Workload, predict
from caligo_mpi.engines import make_engine
from caligo_mpi.launch.mpirun import mpirun_command
from caligo_mpi.pairs import ChunkResult, Partition
from caligo_mpi.parallel import schedule
from caligo_mpi.parallel.job import Rules
from caligo_mpi.runs.chunks import run_chunk
from caligo_mpi.runs.identity import run_info

MOST = 0.15
_SLICE = 5e-4  # seconds between two looks at messages while a chunk "computes"


class Bytes:
    """Results that are nothing but bytes."""

    @staticmethod
    def parts(result: Any) -> list[Any]:
        return [result]

    @staticmethod
    def whole(buffer: Any) -> Any:
        return buffer


@dataclass(frozen=True)
class Sleeper:
    """Makes a work function that takes its time by sleeping."""

    workload: Workload

    def __call__(self) -> Any:
        result = np.zeros(max(8, int(self.workload.carried)), np.uint8)

        def work(item: int, tick: Any = None) -> Any:
            end = time.perf_counter() + duration(self.workload, item)
            while (left := end - time.perf_counter()) > 0:
                time.sleep(min(left, _SLICE))
                if tick:
                    tick()
            return result

        return work


def duration(workload: Workload, item: int) -> float:
    """How long a chunk takes: gamma distributed, by its number alone."""
    if not workload.seconds or not workload.spread:
        return workload.seconds
    shape = workload.spread**-2
    return float(np.random.default_rng(item).gamma(shape, workload.seconds / shape))


# ── what runs under mpirun ───────────────────────────────────────────────────────────────────────────────────


def play(workload: dict[str, Any], policy: str, quantum: int, path: str) -> float | None:
    """Seconds of one map, on rank 0; ``quantum`` chunks per grant at least, 0 for the schedule's own."""
    from caligo_mpi.parallel import mpi

    if quantum:
        schedule.quantum = lambda seconds: quantum
    if mpi.rank():
        mpi.serve(Bytes)
        return None
    asked = Workload(**workload)
    rules = Rules(policy, rank0_computes="no" if quantum else "auto")
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    begin, offset = time.perf_counter(), 0
    for _, result in mpi.map_over_ranks(Sleeper(asked), range(asked.chunks), rules, codec=Bytes):
        if asked.carried:
            offset += os.pwrite(file, result, offset)
    spent = time.perf_counter() - begin
    os.close(file)
    return spent


def latency() -> float | None:
    """Seconds of one way of a small message."""
    from caligo_mpi.parallel import mpi

    small, rounds = np.zeros(8, np.uint8), 2000
    if mpi.rank():
        for _ in range(rounds):
            mpi.echo(small)
        return None
    return sorted(mpi.round_trip(1, small) for _ in range(rounds))[rounds // 2] / 2


def on_ranks(ranks: int, part: str, **arguments: Any) -> float:
    """Run a part of this script under mpirun; what it found on rank 0."""
    head, variables = mpirun_command(ranks)
    line = [*head, sys.executable, __file__, "part", part, json.dumps(arguments)]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(line, env=environment, check=True, stdout=subprocess.PIPE).stdout
    return float(said)


def map_seconds(
    ranks: int, workload: Workload, folder: str, *, policy: str = "adaptive", quantum: int = 0
) -> float:
    path = str(Path(folder, "columns"))
    found = on_ranks(
        ranks, "play", workload=asdict(workload), policy=policy, quantum=quantum, path=path
    )
    Path(path).unlink()
    return found


# ── costs ────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(folder: str) -> Costs:
    """The costs of this machine, of files in ``folder``; the best of three where others may disturb."""
    empty = Workload(100_000, 0.0, writers="none")
    many = min(map_seconds(2, empty, folder, quantum=1000) for _ in range(3)) / empty.chunks
    few = replace(empty, chunks=20_000)
    single = min(map_seconds(2, few, folder, quantum=1) for _ in range(3)) / few.chunks
    large = Workload(100, 0.0, 8 << 20)
    carried = min(map_seconds(2, large, folder, quantum=1) for _ in range(3)) / large.chunks
    write = write_seconds(folder)
    crossing = max(carried / large.nbytes - write, 1e-12)
    return Costs(
        latency=min(on_ranks(2, "latency") for _ in range(3)),
        message=max(single - many, 0.0),
        commit=many + commit_seconds(folder),
        transfer=1 / crossing,
        write=1 / write,
        file_system=1 / write,
    )


def write_seconds(folder: str) -> float:
    """Seconds per byte of writing from one process, in pieces of 8 MiB."""
    piece, path = np.ones(8 << 20, np.uint8), Path(folder, "written")
    best = float("inf")
    for _ in range(3):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        begin = time.perf_counter()
        for number in range(100):
            os.pwrite(file, piece, number * piece.nbytes)
        best = min(best, time.perf_counter() - begin)
        os.close(file)
        path.unlink()
    return best / (100 * piece.nbytes)


def commit_seconds(folder: str) -> float:
    """Seconds that rank 0 needs to put the record of a chunk into a file that keeps nothing else."""
    chunks = 5000
    config = parse_config(
        {
            "pairs": 8 * chunks,
            "chunk_size": 8,
            "seed": 1,
            "engine": {"name": "noise", "link": {"fidelity": 0.97}},
            "output": {"keep": "records"},
        }
    )
    engine, partition = make_engine(config.engine), Partition(config.pairs, config.chunk_size)
    records = [run_chunk(engine, chunk, config.seed).record for chunk in partition]
    info = run_info(config, engine)
    with store.PairStore.open(Path(folder, "records.h5"), info, launch={}) as pair_store:
        begin = time.perf_counter()
        for record in records:
            pair_store.append(ChunkResult(record, None), rank=0)
        return (time.perf_counter() - begin) / chunks


# ── the model beside real maps ───────────────────────────────────────────────────────────────────────────────

#: Ranks that compute long, ranks that wait for the writer, a schedule near its end.
CASES = {
    "20 ms, records": (Workload(1500, 0.02, spread=0.3, writers="none"), (1, 2, 4, 8, 16)),
    "5 ms, records": (Workload(4000, 0.005, spread=0.5, writers="none"), (1, 4, 16)),
    "20 ms, 4 MiB gathered": (Workload(600, 0.02, 4 << 20, 0.3), (2, 8, 16)),
    "1 s, few": (Workload(40, 0.2, spread=0.5, writers="none"), (4, 16)),
}


def validate(folder: str) -> bool:
    costs = measure(folder)
    print(json.dumps(asdict(costs)))
    costs = replace(costs, start=0.0)
    # Records are not written here.
    costs = replace(costs, commit=max(costs.commit - commit_seconds(folder), 1e-7), tick=_SLICE)
    print("| chunks | ranks | measured, chunks/s | model, chunks/s | model / measured |")
    print("|---|---|---|---|---|")
    good = True
    for name, (workload, many) in CASES.items():
        for ranks in many:
            measured = workload.chunks / map_seconds(ranks, workload, folder)
            foreseen = predict(workload, costs, ranks=ranks)
            model = workload.chunks / foreseen.seconds
            good &= abs(model / measured - 1) <= MOST
            row = f"| {name} | {ranks} | {measured:.4g} | {model:.4g} | {model / measured:.3f} |"
            print(row, flush=True)
    return good


#: What docs/scaling.md tells of: chunks as users would choose them on that many ranks.
FORESEEN = {
    "NetSquid, chunks of 2 s": Workload(200_000, 2.0, 4e3, 0.1),
    "noise, keep: records, 2^28 pairs": Workload(200_000, 0.0767, 0.0, 0.05, "none"),
    "noise, direct, 2^26 pairs": Workload(200_000, 0.0192, 32 << 20, 0.05, "direct"),
    "noise, gather, 2^26 pairs": Workload(200_000, 0.0192, 32 << 20, 0.05, "gather"),
}


def tell(costs: Costs) -> None:
    print("| workload | ranks | efficiency | of the limit | rank 0 busy | held back by |")
    print("|---|---|---|---|---|---|")
    for name, workload in FORESEEN.items():
        for ranks in (16, 128, 1024, 10_000):
            one = predict(workload, costs, ranks=ranks)
            print(
                f"| {name} | {ranks:,} | {one.efficiency:.3f} | {one.of_limit:.3f} "
                f"| {one.rank0_busy:.2f} | {one.limit} |",
                flush=True,
            )


def main() -> int:
    if sys.argv[1:2] == ["part"]:
        found = {"play": play, "latency": latency}[sys.argv[2]](**json.loads(sys.argv[3]))
        from caligo_mpi.parallel import mpi

        if found is not None:
            mpi.release_workers() if sys.argv[2] == "play" else None
            print(found)
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "validate", "predict"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the costs go")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="costs that were measured")
    parser.add_argument("--file-system", type=float, metavar="B/s", default=20e9)
    parser.add_argument("--directory", help="where files are written (default: /dev/shm)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory or "/dev/shm") as folder:
        if args.what == "validate":
            return 0 if validate(folder) else 1
        if args.what == "predict":
            costs = Costs.read(args.costs) if args.costs else Costs()
            tell(replace(costs, file_system=args.file_system))
            return 0
        text = json.dumps(asdict(measure(folder)))
    print(text)
    if args.json:
        args.json.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
