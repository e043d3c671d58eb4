"""What messages, grants and writing cost here, and whether the scaling model meets runs that it can be held against.

    python jobs/scaling.py measure [--json FILE]   # the costs of this machine, as `caligo_mpi.analysis.scaling.Costs`
    python jobs/scaling.py validate [--two-hosts]  # real maps on 1 to 16 ranks beside the model fed with those costs
    python jobs/scaling.py predict [--costs FILE]  # 16 to 10,000 ranks, for the workloads of docs/scaling.md

In ``validate`` chunks sleep, so that 16 ranks on two cores are 16 ranks; messages, grants, the order of commits and
writing are real.  Exit code 1 if the model is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

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
TRIES, MOST_TRIES = 2, 6
TRIES_OF_BYTES = 5  # copying takes a tenth more or less from one time to the next
QUIET = 0.1  # of a core that other processes may have meanwhile
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


@dataclass(frozen=True)
class Game:
    """A map to be timed: ``quantum`` chunks per grant at least, 0 for the schedule's own; rank 0 then computes."""

    workload: Workload
    quantum: int = 0


@dataclass(frozen=True)
class Spent:
    """What a map took: ``seconds``, and those of processors on rank 0, on ``others``, and by ``strangers``."""

    seconds: float
    rank0: float
    others: float
    strangers: float

    @property
    def disturbed(self) -> float:
        """Cores that processes had which are no ranks."""
        return self.strangers / self.seconds


def play(games: list[dict[str, Any]], path: str) -> list[dict[str, float]] | None:
    """What maps take on the same ranks: the shortest of a few, undisturbed if that can be had; on rank 0."""
    from caligo_mpi.parallel import mpi

    if mpi.rank():
        mpi.serve(Bytes)
        return None
    usual = schedule.quantum
    found = []
    for game in games:
        quantum = game["quantum"]
        schedule.quantum = (lambda seconds, size=quantum: size) if quantum else usual
        workload = Workload(**game["workload"])
        least = TRIES_OF_BYTES if workload.carried else TRIES
        tries = [_spent(workload, quantum, path) for _ in range(least)]
        while len(tries) < MOST_TRIES and min(one.disturbed for one in tries) > QUIET:
            tries.append(_spent(workload, quantum, path))
        quiet = [one for one in tries if one.disturbed <= QUIET]
        best = min(quiet or tries, key=lambda one: one.seconds)
        found.append(asdict(best))
    return found


def _spent(workload: Workload, quantum: int, path: str) -> Spent:
    before, machine = _processor_seconds(), _machine_seconds()
    seconds = _map_seconds(workload, quantum, path)
    machine = _machine_seconds() - machine
    rank0, *others = [b - a for a, b in zip(before, _processor_seconds(), strict=True)]
    return Spent(seconds, rank0, sum(others), machine - rank0 - sum(others))


def _machine_seconds() -> float:
    """Seconds that all processes of this machine have had of its processors."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


class Clock:
    """Makes a work function, and while it is at it tells what each rank's processor has done."""

    found: ClassVar[list[float]] = []

    def __call__(self) -> Any:
        from caligo_mpi.parallel import mpi

        Clock.found = mpi.gather(time.process_time()) or []
        return lambda item, tick=None: np.zeros(8, np.uint8)


def _processor_seconds() -> list[float]:
    """Seconds of processor time of each rank so far."""
    from caligo_mpi.parallel import mpi

    for _ in mpi.map_over_ranks(Clock(), range(1), Rules(), codec=Bytes):
        pass
    return Clock.found


def _map_seconds(workload: Workload, quantum: int, path: str) -> float:
    """Seconds of one map of which rank 0 writes what is carried."""
    from caligo_mpi.parallel import mpi

    rules = Rules("adaptive", rank0_computes="no" if quantum else "auto")
    items = range(workload.chunks)
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    begin, offset = time.perf_counter(), 0
    for _, result in mpi.map_over_ranks(Sleeper(workload), items, rules, codec=Bytes):
        if workload.carried:
            offset += os.pwrite(file, result, offset)
    spent = time.perf_counter() - begin
    os.close(file)
    Path(path).unlink()
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


def on_ranks(ranks: int, pair: Any, part: str, **arguments: Any) -> Any:
    """Run a part of this script under mpirun, half of the ranks on each host of a pair; what it found on rank 0."""
    head, variables = mpirun_command(ranks)
    # Said in the line, as launchers do not carry variables to other hosts.
    paths = f"PYTHONPATH={os.pathsep.join(sys.path)}"
    command = ["env", paths, sys.executable, __file__, "part", part, json.dumps(arguments)]
    line = [*head, *command]
    environment = {**os.environ, **variables}
    if pair:
        line = pair.here.inside(line)
        environment |= pair.environment(ranks - ranks // 2, ranks // 2)
    said = subprocess.run(line, env=environment, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(said)


def map_spent(ranks: int, pair: Any, games: list[Game], folder: str) -> list[Spent]:
    """What maps took on so many ranks."""
    path, told = str(Path(folder, "columns")), [asdict(game) for game in games]
    found = on_ranks(ranks, pair, "play", games=told, path=path)
    return [Spent(**one) for one in found]


# ── costs ────────────────────────────────────────────────────────────────────────────────────────────────────

_LARGE = 1 << 20
_MEASURED_RANKS = 6


def measure(folder: str) -> Costs:
    """The costs of this machine, of files in ``folder``; the least of a few tries, where others may disturb."""
    costs = measure_maps(folder, None)
    return replace(costs, commit=costs.commit + commit_seconds(folder))


def measure_maps(folder: str, pair: Any) -> Costs:
    """The same where no records are written.

    All but the latency are seconds of processors: how long a rank waits for one is the model's to say.
    """
    empty = Workload(40_000, 0.0, writers="none")
    few = replace(empty, chunks=6000)
    large = Workload(400, 0.0, _LARGE)
    still = Workload(600, 0.01, writers="none")
    halves = replace(still, chunks=2 * still.chunks, seconds=still.seconds / 2)
    sending = replace(still, nbytes=_LARGE, writers="gather")
    ready = [Game(empty, 1000), Game(few, 1), Game(large, 1)]
    # With so many others rank 0 has never nothing to do in these, and in the rest it is not asked.
    asleep = [Game(still, 1), Game(halves, 1), Game(sending, 1)]
    found = map_spent(_MEASURED_RANKS, pair, ready + asleep, folder)
    each, with_message, carried = (
        one.rank0 / game.workload.chunks for one, game in zip(found, ready, strict=False)
    )
    message = max(with_message - each, 0.0)
    both = max(carried - with_message, 1e-9) / _LARGE
    write = min(write_seconds(folder), 0.9 * both)
    looking, more_turns, at_work = found[3:]
    # What workers took beyond their looks, which are as frequent as their time was long.
    part = looking.others / looking.seconds
    sent = max(at_work.others - part * at_work.seconds, 1e-9) / (sending.chunks * _LARGE)
    workers = _MEASURED_RANKS - 1
    part /= workers
    return Costs(
        latency=on_ranks(2, pair, "latency"),
        message=message,
        commit=each,
        transfer=1 / (both - write),
        send=1 / sent,
        write=1 / write,
        file_system=1 / write,
        look=_SLICE * part / (1 - part),
        turn=max(more_turns.seconds - looking.seconds, 0.0) * workers / still.chunks,
    )


def write_seconds(folder: str) -> float:
    """Seconds per byte of writing from one process, in pieces as they are gathered."""
    piece, path = np.ones(_LARGE, np.uint8), Path(folder, "written")
    best = float("inf")
    for _ in range(3):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        begin = time.perf_counter()
        for number in range(400):
            os.pwrite(file, piece, number * piece.nbytes)
        best = min(best, time.perf_counter() - begin)
        os.close(file)
        path.unlink()
    return best / (400 * piece.nbytes)


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

#: Chunks per rank, and what they are: ranks that compute long, short chunks, ranks that wait for rank 0, few chunks.
CASES = {
    "20 ms, records": (60, Workload(1, 0.02, spread=0.3, writers="none")),
    "5 ms, records": (200, Workload(1, 0.005, spread=0.5, writers="none")),
    "5 ms, 1 MiB gathered": (60, Workload(1, 0.005, _LARGE, 0.3)),
    "0.2 s, six per rank": (6, Workload(1, 0.2, spread=0.1, writers="none")),
}
RANKS = (1, 2, 4, 8, 16)


def validate(folder: str, pair: Any, numbers: Sequence[int]) -> bool:
    """Tell, for each case and number of ranks, what was measured and what the model says."""
    shared = len(os.sched_getaffinity(0))  # both hosts of a pair have the same
    costs = replace(measure_maps(folder, pair), start=0.0, tick=_SLICE, cores=shared)
    print(json.dumps(asdict(costs)))
    print(
        "| chunks | ranks | measured, chunks/s | model, chunks/s | model / measured | cores of others |"
    )
    print("|---|---|---|---|---|---|")
    good = True
    for ranks in numbers:
        if pair and ranks == 1:
            continue
        workloads = [replace(one, chunks=number * ranks) for number, one in CASES.values()]
        spent = map_spent(ranks, pair, [Game(one) for one in workloads], folder)
        for name, workload, one in zip(CASES, workloads, spent, strict=True):
            measured = workload.chunks / one.seconds
            model = workload.chunks / predict(workload, costs, ranks=ranks).seconds
            good &= abs(model / measured - 1) <= MOST
            row = f"| {name} | {ranks} | {measured:.4g} | {model:.4g} | {model / measured:.3f} "
            print(row + f"| {max(0.0, one.disturbed):.2f} |", flush=True)
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


@contextlib.contextmanager
def two_hosts(folder: str, wanted: bool) -> Iterator[Any]:
    """Two hosts inside this machine, as `tests.faults.hosts` makes them, or None."""
    if not wanted:
        yield None
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.faults import hosts

    if reason := hosts.missing():
        raise SystemExit(reason)
    home = Path(folder, "hosts")
    home.mkdir()
    pair = hosts.Pair(home)
    try:
        yield pair
    finally:
        pair.remove()


def main() -> int:
    if sys.argv[1:2] == ["part"]:
        found = {"play": play, "latency": latency}[sys.argv[2]](**json.loads(sys.argv[3]))
        from caligo_mpi.parallel import mpi

        if found is not None:
            mpi.release_workers() if sys.argv[2] == "play" else None
            print(json.dumps(found))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "validate", "predict"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the costs go")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="costs that were measured")
    parser.add_argument(
        "--two-hosts", action="store_true", help="validate on network namespaces; needs root"
    )
    parser.add_argument(
        "--ranks", type=int, nargs="+", default=RANKS, help="validate on so many only"
    )
    parser.add_argument("--file-system", type=float, metavar="B/s", default=20e9)
    parser.add_argument("--directory", help="where files are written (default: /dev/shm)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory or "/dev/shm") as folder:
        if args.what == "validate":
            with two_hosts(folder, args.two_hosts) as pair:
                return 0 if validate(folder, pair, args.ranks) else 1
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
