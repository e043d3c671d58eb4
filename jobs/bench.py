"""Every speed and memory claim of this project, measured against a peer or the machine's own limit in the same run.

    python jobs/bench.py                 # all of it, a table at the end (about 15 minutes)
    python jobs/bench.py kernel lossy    # some of it
    python jobs/bench.py --quick         # smaller sizes: for looking, not for quoting

Absolute times on a shared machine mean nothing, so each line is a ratio with its bar.  Results go to
``bench-results/<time>/``: ``summary.json`` and one JSON file per measurement; ``latest`` points to the newest.
Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import importlib.util
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import baselines
import numpy as np

import caligo_mpi
from caligo_mpi import store
from caligo_mpi.engines import make_engine
from caligo_mpi.launch import mpirun as launch
from caligo_mpi.launch import watchdog
from caligo_mpi.pairs import Chunk, ChunkResult, Pairs, Partition, tally
from caligo_mpi.parallel.account import Ledger
from caligo_mpi.parallel.job import Rules
from caligo_mpi.runs.chunks import run_chunk
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.identity import run_info

Result = dict[str, Any]
QUICK = False

WERNER = {"name": "noise", "link": {"fidelity": 0.97}}
_DEVICE = {"basis_bias": 0.3, "p_read1_given0": 0.01, "p_read0_given1": 0.04}
DEVICES = {**WERNER, "alice": _DEVICE, "bob": _DEVICE}
LOSSY = {**WERNER, "loss": {side: {"detector_efficiency": 0.1} for side in ("alice", "bob")}}
HERALDED = {
    "name": "noise",
    "link": {"type": "heralded", "fidelity": 0.95, "prob_success": 1e-3, "cycle_time_ns": 10_000},
    "device": {"T2_ns": 1e9},
}


def engine_of(engine: dict[str, Any]) -> Any:
    return make_engine(configuration(engine=engine).engine)


def configuration(**changes: Any) -> caligo_mpi.RunConfig:
    return caligo_mpi.parse_config({"pairs": 1_000_000, "seed": 1, "engine": WERNER, **changes})


def seconds(function: Callable[[], object], *, times: int = 5) -> float:
    """The best of a few runs: what others do on the machine only ever adds."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def interleaved(*functions: Callable[[], object], times: int = 5) -> list[float]:
    """Best times of several functions, taken in turns so that a slow spell of the machine meets all of them."""
    best = [float("inf")] * len(functions)
    for _ in range(times):
        for i, function in enumerate(functions):
            best[i] = min(best[i], seconds(function, times=1))
    return best


def at_least(value: float, bar: float, **facts: Any) -> Result:
    return {"value": round(value, 3), "bar": f">= {bar}", "ok": value >= bar, **facts}


def at_most(value: float, bar: float, **facts: Any) -> Result:
    return {"value": round(value, 3), "bar": f"<= {bar}", "ok": value <= bar, **facts}


def scratch(on: str | None = None) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="caligo-bench-", dir=on)


def tmpfs() -> str:
    return "/dev/shm"


# ── one core ─────────────────────────────────────────────────────────────────────────────────────────────────


def kernel() -> dict[str, Result]:
    """The noise engine's sampling alone, Werner state, 50/50 bases."""
    engine, count = engine_of(WERNER), 1 << 22
    seed = np.random.SeedSequence(1)
    ours, plain, fixed, mixed = interleaved(
        lambda: engine.sample(4 * count, seed),
        lambda: baselines.plain_numpy(count, 1, fidelity=0.97),
        lambda: baselines.stim_fixed(count, 1, fidelity=0.97),
        lambda: baselines.stim_random(count, 1, fidelity=0.97),
    )
    ours /= 4
    return {
        "kernel over plain numpy": at_least(plain / ours, 25, ns_per_pair=ours / count * 1e9),
        "kernel over stim, fixed bases": at_least(fixed / ours, 3.5),
        "kernel over stim, random bases": at_least(mixed / ours, 10),
    }


def compiled() -> dict[str, Result]:
    """The noise kernel compiled by numba, which also counts, over the numpy kernel, which does not."""
    from caligo_mpi.engines.noise import compiled as module
    from caligo_mpi.engines.noise import kernel, outcomes
    from caligo_mpi.engines.noise.tables import raw_words

    count, seed = 1 << 22, np.random.SeedSequence(1)
    found = {}
    for name, engine in (("", WERNER), (", biased devices", DEVICES)):
        law = engine_of(engine)._law
        columns = outcomes.sample_records(law, count, raw_words(seed), int)
        fast, plain, counting = interleaved(
            functools.partial(kernel.sample_compiled, module, law, count, seed, int),
            functools.partial(outcomes.sample_records, law, count, raw_words(seed), int),
            functools.partial(tally, columns, count),
            times=9,
        )
        found[f"compiled kernel over numpy{name}"] = at_least(
            plain / fast, 1.9, with_counting=(plain + counting) / fast
        )
    return found


def heralded() -> dict[str, Result]:
    """Pairs with times on a link whose attempts succeed one time in a thousand, on one core."""
    count, seed = 1 << 18, np.random.SeedSequence(1)
    single, held = engine_of(HERALDED), engine_of({**HERALDED, "hold": 2})
    ours, waiting, plain, loop = interleaved(
        lambda: single.sample(count, seed),
        lambda: held.sample(count, seed),
        lambda: baselines.plain_heralded(count, 1, success=1e-3, hold=2),
        lambda: baselines.heralded_loop(count >> 10, 1, success=1e-3, hold=2),
    )
    loop *= 1 << 10
    return {
        "heralded link, one pair held, M pairs/s": at_least(count / ours / 1e6, 5),
        "heralded link, T2 over the waiting time of two held, M pairs/s": at_least(
            count / waiting / 1e6, 5
        ),
        "heralded link over plain numpy": at_least(plain / waiting, 2),
        "heralded link over a loop of attempts": at_least(loop / waiting, 1000),
    }


def lossy() -> dict[str, Result]:
    """Cost per emission with 10 % efficiency on each side."""
    count, seed = 1 << 24, np.random.SeedSequence(1)
    lossless, engine = engine_of(WERNER), engine_of(LOSSY)
    with_loss, without = interleaved(
        lambda: engine.sample(count, seed), lambda: lossless.sample(count, seed)
    )
    return {"lossy over lossless, per emission": at_most(with_loss / without, 0.3)}


def bias() -> dict[str, Result]:
    """What unequal basis choice costs."""
    count, seed = 1 << 24, np.random.SeedSequence(1)
    side = {"basis_bias": 0.1}
    biased, even = engine_of({**WERNER, "alice": side, "bob": side}), engine_of(WERNER)
    a, b = interleaved(lambda: biased.sample(count, seed), lambda: even.sample(count, seed))
    return {"biased over even bases": at_most(a / b, 2.0)}


def sift() -> dict[str, Result]:
    """Sift and count from a file in the page cache, against reading the same bytes."""
    with scratch(tmpfs()) as folder:
        path = Path(folder, "run.h5")
        pairs = 10**8 if QUICK else 10**9
        generate(configuration(pairs=pairs), path)
        with store.open_pairs(path) as file:
            ours = seconds(lambda: file.tally())
    return {"sift and count from a file, G pairs/s": at_least(pairs / ours / 1e9, 5)}


def startup() -> dict[str, Result]:
    """``caligo-mpi --help`` against an empty Python."""
    script = Path(sys.executable).with_name("caligo-mpi")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "caligo_mpi"]
    ours, empty = interleaved(
        lambda: subprocess.run([*command, "--help"], stdout=subprocess.DEVNULL, check=True),
        lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        times=15,
    )
    return {"--help over python -c pass": at_most(ours / empty, 3)}


def end_to_end() -> dict[str, Result]:
    """A process from start to published file, one rank, against the plain numpy program doing the same."""
    pairs = 10**8 if QUICK else 10**9
    with scratch() as folder:
        config = Path(folder, "run.yaml")
        config.write_text(json.dumps({"pairs": pairs, "seed": 1, "engine": WERNER}))
        ours = command_seconds(["generate", str(config), "-q", "-o", f"{folder}/run.h5"])
        Path(folder, "run.h5").unlink()
        script = Path(__file__).with_name("baselines.py")
        start = time.perf_counter()
        subprocess.run([sys.executable, script, f"{folder}/plain.h5", str(pairs)], check=True)
        plain = time.perf_counter() - start
    return {"end to end over plain numpy": at_least(plain / ours, 12, seconds=ours, pairs=pairs)}


def command_seconds(arguments: list[str], ranks: int = 1) -> float:
    line, env = launch.mpirun_command(ranks) if ranks > 1 else ([], {})
    start = time.perf_counter()
    subprocess.run(
        [*line, sys.executable, "-m", "caligo_mpi", *arguments],
        env={**env, **os.environ}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start


# ── several ranks ────────────────────────────────────────────────────────────────────────────────────────────


def on_ranks(ranks: int, *arguments: object) -> Any:
    """Run a part of this script on several ranks; the JSON that rank 0 prints last."""
    line, env = launch.mpirun_command(ranks)
    result = subprocess.run(
        [*line, sys.executable, __file__, "--part", *map(str, arguments)],
        env={**env, **os.environ}, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(result.stdout.strip().splitlines()[-1])


def policies() -> dict[str, Result]:
    """Three ranks of which one is three times slower, over the time that perfect sharing would take."""
    out = {}
    for policy in ("static", "dynamic", "guided", "adaptive"):
        ratio = on_ranks(3, "policy", policy)
        out[f"one of three ranks slowed 3x, {policy}, over ideal"] = (
            {"value": round(ratio, 3), "bar": "shows why", "ok": True}
            if policy == "static"
            else at_most(ratio, 1.15)
        )
    return out


def _policy(policy: str) -> float | None:
    from caligo_mpi.parallel import mpi

    items, each = 150, 0.02
    if mpi.rank():
        mpi.serve(ChunkResult)
        return None
    start = time.perf_counter()
    setup = functools.partial(_sleeping_work, each)
    for _ in mpi.map_over_ranks(setup, range(items), Rules(policy), codec=ChunkResult):
        pass
    return (time.perf_counter() - start) / (items * each / (1 + 1 + 1 / 3))


def _sleeping_work(each: float) -> Any:
    from caligo_mpi.parallel import mpi

    slowness = 3 if mpi.rank() == 1 else 1
    tiny = run_chunk(engine_of(WERNER), Chunk(0, 0, 8), 1)

    def work(index: int, tick: Callable[[], None] | None) -> ChunkResult:
        end = time.perf_counter() + each * slowness
        while time.perf_counter() < end:
            time.sleep(5e-4)
            if tick:
                tick()
        return tiny

    return work


def messages() -> dict[str, Result]:
    """Chunks of 1,000 pairs on two ranks."""
    return {"messages per chunk of 1,000 pairs": at_most(on_ranks(2, "messages"), 0.1)}


def _messages() -> float | None:
    from caligo_mpi.parallel import mpi
    from caligo_mpi.runs.chunks import chunk_work

    config = configuration(pairs=10_000_000, chunk_size=1000)
    if mpi.rank():
        mpi.serve(ChunkResult)
        return None
    ledger, chunks = Ledger(), len(Partition(config.pairs, config.chunk_size))
    setup = functools.partial(chunk_work, config, None)
    for _ in mpi.map_over_ranks(setup, range(chunks), codec=ChunkResult, ledger=ledger):
        pass
    return ledger.own.messages / chunks


def two_ranks() -> dict[str, Result]:
    """1e10 pairs to a file system in memory: two ranks over one, and over what the parts' costs allow."""
    pairs = 10**9 if QUICK else 10**10
    with scratch(tmpfs()) as folder:
        config = Path(folder, "run.yaml")
        config.write_text(
            json.dumps({"pairs": pairs, "seed": 1, "engine": WERNER, "output": f"{folder}/run.h5"})
        )
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for ranks in times:
                times[ranks].append(command_seconds(["generate", str(config), "-q"], ranks))
                Path(folder, "run.h5").unlink()
        costs = chunk_costs(folder)
    speedup = min(times[1]) / min(times[2])
    # Rank 0 writes everything, receives the worker's share, and computes with what is left of its time.
    bound = 2 * costs["kernel"] / (costs["kernel"] + costs["message"])
    return {
        "two ranks over one": at_least(speedup, 1.5, pairs=pairs, seconds=times),
        "two ranks over one, over the bound": at_least(speedup / bound, 0.9, bound=bound, **costs),
    }


def chunk_costs(folder: str) -> dict[str, float]:
    """Seconds to simulate, write and move one chunk of 2^24 pairs, alone."""
    config = configuration(pairs=40 << 24)
    engine, partition = make_engine(config.engine), Partition(config.pairs, config.chunk_size)
    kernel = seconds(lambda: run_chunk(engine, partition[0], 1))
    results = [run_chunk(engine, chunk, 1) for chunk in partition[:10]]
    path = Path(folder, "costs.h5")
    with store.PairStore.open(path, run_info(config, engine), launch={}) as pair_store:
        start = time.perf_counter()
        for result in results:
            pair_store.append(result, rank=0)
        write = (time.perf_counter() - start) / len(results)
    path.with_name("costs.h5.part").unlink()
    return {"kernel": kernel, "write": write, "message": on_ranks(2, "transport")}


def _transport() -> float | None:
    from caligo_mpi.parallel import mpi

    chunks = 200
    if mpi.rank():
        mpi.serve(ChunkResult)
        return None
    start = time.perf_counter()
    for _ in mpi.map_over_ranks(
        _ready_work, range(chunks), Rules(rank0_computes="no"), codec=ChunkResult
    ):
        pass
    return (time.perf_counter() - start) / chunks


def _ready_work() -> Any:
    result = run_chunk(engine_of(WERNER), Chunk(0, 0, 1 << 24), 1)
    return lambda index, tick: result


def distill() -> dict[str, Result]:
    """64 blocks from pairs to keys as by default: two ranks over one, distilling alone and the whole command."""
    times: dict[int, list[float]] = {1: [], 2: []}
    wholes: dict[int, list[float]] = {1: [], 2: []}
    with scratch(tmpfs()) as folder:
        source, keys, config = (
            Path(folder, name) for name in ("run.h5", "keys.h5", "protocol.yaml")
        )
        block = 10**5 if QUICK else 2 * 10**6
        generate(configuration(pairs=64 * block), source)
        config.write_text(json.dumps({"mode": "bbm92", "seed": 1, "block_size": block}))
        command = [
            sys.executable,
            "-m",
            "caligo_mpi",
            "distill",
            source,
            "--config",
            config,
            "-o",
            keys,
            "--json",
        ]
        for _ in range(5):
            for ranks in times:
                start = time.perf_counter()
                said = subprocess.run(
                    [*command, "-q", "-n", str(ranks)], check=True, stdout=subprocess.PIPE
                ).stdout
                wholes[ranks].append(time.perf_counter() - start)
                times[ranks].append(json.loads(said)["seconds"])
                keys.unlink()
    return {
        f"{name}, two ranks over one": at_least(min(taken[1]) / min(taken[2]), 1.7, seconds=taken)
        for name, taken in (
            ("distilling 64 blocks", times),
            ("the same with start and end", wholes),
        )
    }


def memory() -> dict[str, Result]:
    """Peak resident memory of the largest of two ranks, a long run over a short one.

    Both with compiled code, and both without: left alone, only the long run loads it.
    """
    small, large = (10**8, 10**9) if QUICK else (10**8, 10**10)
    settings = {"off": "numpy"}
    if importlib.util.find_spec("numba"):
        settings["on"] = "compiled"
    found = {}
    for setting, name in settings.items():
        with scratch(tmpfs()) as folder, environment_variable("CALIGO_COMPILE", setting):
            peaks = []
            for pairs in (small, large):
                path = Path(folder, f"{pairs}.h5")
                peaks.append(on_ranks(2, "memory", pairs, path))
        ratio = peaks[1] / peaks[0]
        title = f"peak memory, {large:.0e} over {small:.0e} pairs, {name}"
        found[title] = at_most(ratio, 1.1, mib=peaks)
    return found


@contextlib.contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _memory(pairs: str, path: str) -> float | None:
    from caligo_mpi.parallel import mpi

    config = configuration(pairs=int(pairs))
    if mpi.rank():
        mpi.serve(ChunkResult)
    else:
        generate(config, path, map=functools.partial(mpi.map_over_ranks, codec=ChunkResult))
        Path(path).unlink()
        mpi.release_workers()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peaks = mpi.WORLD.gather(peak, 0)
    return max(peaks) if peaks else None


def identity() -> dict[str, Result]:
    """One run on any ranks, under every policy, and killed at random times: how many different files come out."""
    pairs, kills = (4_000_000, 5) if QUICK else (200_000_000, 20)
    with scratch() as folder:
        config = Path(folder, "run.yaml")
        config.write_text(
            json.dumps({"pairs": pairs, "seed": 1, "chunk_size": 1 << 18, "engine": WERNER})
        )
        seen = set()

        def run(ranks: int, policy: str = "dynamic") -> None:
            path = f"{folder}/run.h5"
            command_seconds(
                ["generate", str(config), "-q", "-o", path, "--set", f"schedule={policy}"], ranks
            )
            seen.add((caligo_mpi.status(path).data_digest, store.pairs_hash(path)))
            Path(path).unlink()

        for ranks in (1, 2, 3, 5):
            for policy in ("static", "dynamic", "guided", "adaptive"):
                run(ranks, policy)
        undisturbed = command_seconds(["generate", str(config), "-q", "-o", f"{folder}/once.h5"], 2)
        rng, killed = random.Random(1), 0
        for _ in range(kills):
            killed += kill_once(
                str(config), f"{folder}/run.h5", rng.choice([1, 2, 3]), rng.uniform(0, undisturbed)
            )
            run(rng.choice([1, 2, 3]))
    return {
        f"different files over 16 runs and {kills} kills": at_most(
            len(seen), 1, killed_while_running=killed
        )
    }


def kill_once(config: str, path: str, ranks: int, after: float) -> bool:
    """Start the run and SIGKILL the launcher and all of its ranks; whether it was still running."""
    line, env = launch.mpirun_command(ranks)
    process = subprocess.Popen(
        [*line, sys.executable, "-m", "caligo_mpi", "generate", config, "-q", "-o", path],
        env={**env, **os.environ}, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(after)
    alive = process.poll() is None
    for pid in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    Path(path).unlink(missing_ok=True)
    return alive


def descendants(pid: int) -> list[int]:
    out = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    children = [int(text) for text in out.split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def protection() -> dict[str, Result]:
    """What checksums, commits and the watchdog add to an undisturbed run, over the same run without them.

    Both in one process and on one rank under the launcher, which has the watchdog; by the run's own clock, so
    that the time to start is not there to hide behind.  The shares are the time spent in these parts.
    """
    pairs = 10**8 if QUICK else 10**9
    with scratch(tmpfs()) as folder:
        path, config = Path(folder, "run.h5"), Path(folder, "run.yaml")
        config.write_text(
            json.dumps({"pairs": pairs, "seed": 1, "engine": WERNER, "output": str(path)})
        )
        times = {
            "in one process": protection_times(config, path, []),
            "launched": protection_times(config, path, ["-n", "1"]),
        }
        shares = protection_shares(pairs, path)
    return {
        f"checksums, commits and watchdog, {how}, added": at_most(
            min(taken[0]) / min(taken[1]) - 1, 0.05, seconds=taken
        )
        for how, taken in times.items()
    } | {
        "checksums, commits and watchdog, share of the run": at_most(
            sum(shares.values()), 0.05, **shares
        )
    }


def protection_times(
    config: Path, path: Path, options: list[str]
) -> tuple[list[float], list[float]]:
    """Seconds of each run with everything, and of each without, in turns."""
    scripts = ["-m", "caligo_mpi"], [str(Path(__file__).with_name("unprotected.py"))]
    times: tuple[list[float], list[float]] = [], []
    for _ in range(9):
        for script, taken in zip(scripts, times, strict=True):
            command = [sys.executable, *script, "generate", str(config), "-q", "--json", *options]
            taken.append(
                json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)[
                    "seconds"
                ]
            )
            path.unlink()
    return times


def protection_shares(pairs: int, path: Path) -> dict[str, float]:
    """The share of a run in one process, of each part of its protection."""
    with timed(Pairs, "checksum") as checksums, timed(store.PairStore, "commit") as commits:
        start = time.perf_counter()
        generate(configuration(pairs=pairs), path)
        total = time.perf_counter() - start
    dog = watchdog.Watchdog(path, path)
    looks = seconds(dog.look) / watchdog.LOOK_SECONDS
    return {"checksums": sum(checksums) / total, "commits": sum(commits) / total, "watchdog": looks}


@contextlib.contextmanager
def timed(owner: type, name: str) -> Iterator[list[float]]:
    """Time every call of a method."""
    method, times = getattr(owner, name), []

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            times.append(time.perf_counter() - start)

    setattr(owner, name, wrapper)
    try:
        yield times
    finally:
        setattr(owner, name, method)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────

MEASUREMENTS = [
    kernel, compiled, heralded, lossy, bias, sift, startup, end_to_end, policies, messages, two_ranks, distill, memory,
    identity, protection,
]  # fmt: skip
PARTS = {"policy": _policy, "messages": _messages, "transport": _transport, "memory": _memory}


def main() -> int:
    global QUICK
    names = [measurement.__name__ for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", default="bench-results", metavar="DIR")
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    QUICK = args.quick
    started = datetime.datetime.now(datetime.timezone.utc)
    folder = Path(args.output, started.strftime("%Y%m%dT%H%M%SZ"))
    folder.mkdir(parents=True)
    results: dict[str, Result] = {}
    for measurement in MEASUREMENTS:
        if args.names and measurement.__name__ not in args.names:
            continue
        try:
            new = measurement()
        except Exception as error:
            new = {
                measurement.__name__: {"value": None, "bar": "", "ok": False, "error": repr(error)}
            }
        (folder / f"{measurement.__name__}.json").write_text(json.dumps(new, indent=2))
        results |= new
        for name, result in new.items():
            print(
                f"{'ok    ' if result['ok'] else 'MISSED'} {name}: {result['value']} ({result['bar']})",
                flush=True,
            )
    write_summary(folder, started, results)
    return 0 if all(result["ok"] for result in results.values()) else 1


def write_summary(folder: Path, started: datetime.datetime, results: dict[str, Result]) -> None:
    summary = {
        "id": folder.name,
        "started": started.isoformat(),
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "quick": QUICK,
        "version": caligo_mpi.__version__,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": platform.machine(),
            "numpy": np.__version__,
        },
        "ok": sum(result["ok"] for result in results.values()),
        "failed": sum(not result["ok"] for result in results.values()),
        "results": results,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2))
    latest = folder.with_name("latest")
    latest.unlink(missing_ok=True)
    latest.symlink_to(folder.name)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        value = PARTS[sys.argv[2]](*sys.argv[3:])
        if value is not None:
            print(json.dumps(value), flush=True)
            if sys.argv[2] != "memory":
                from caligo_mpi.parallel import mpi

                mpi.release_workers()
        sys.exit(0)
    sys.exit(main())
