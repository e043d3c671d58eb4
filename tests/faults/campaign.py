"""Start a run, kill something, wait for the finished file, compare.

The campaign plays the batch system: where it kills our launcher itself, it repeats the same command, as a
requeued job would.  Nothing else is done for a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from caligo_mpi import status, store
from caligo_mpi.engines import available
from caligo_mpi.launch import processes
from caligo_mpi.store.keys import is_keys_file, keys_status, read_keys

ROOT = Path(__file__).parents[2]
MARK = "CALIGO_CAMPAIGN"
#: A run that needs longer than this has hung: undisturbed ones take seconds.
HANG_SECONDS = 180.0
#: What the watchdog allows here; its other limits are multiples of it.
SILENCE_SECONDS = "10"

NOISE = {"name": "noise", "link": {"fidelity": 0.95}}
ARM = {"detector_efficiency": 0.5}
#: Rows with times, attempts and Bell states.
HERALDED = {
    "name": "noise",
    "link": {"type": "heralded-double-click", "length_km": 25, "dark_count_probability": 1e-3},
    "alice": {"T2_ns": 1e6, "storage_time_ns": 1e5},
}
MEMORIES = {
    "name": "sequence",
    "mode": "barrett_kok",
    "link": {"length_km": 1, "dark_count_rate_hz": 1000},
    "alice": {"T2_ns": 1e6, "storage_time_ns": 1e5},
}
#: Slow chunks, chunks at full speed, pairs that get lost, so that finishing copies the file, pairs with
#: times, of the noise engine and of SeQUeNCe, and pairs made into keys.
WORKLOADS = {
    "slow": {
        "pairs": 163_840 * 3,
        "chunk_size": 8192,
        "engine": {"name": "trouble", "seconds": 0.05},
    },
    "fast": {"pairs": 200_000_000, "chunk_size": 1 << 20, "engine": NOISE},
    "lossy": {
        "pairs": 20_000_000,
        "chunk_size": 1 << 18,
        "engine": {**NOISE, "loss": {"alice": ARM, "bob": ARM}},
    },
    "heralded": {"pairs": 2_000_000, "chunk_size": 1 << 15, "engine": HERALDED},
    "sequence": {"pairs": 320, "chunk_size": 8, "engine": MEMORIES},
    "distill": {"pairs": 2_000_000, "engine": {"name": "noise", "link": {"fidelity": 0.98}}},
    "codes": {"pairs": 8_000_000, "engine": {"name": "noise", "link": {"fidelity": 0.98}}},
}
#: Those that can run here: SeQUeNCe is in an environment of its own.
HERE = tuple(name for name in WORKLOADS if name != "sequence" or available()["sequence"] is None)
#: How the pairs of a workload become keys, in blocks; ``codes`` makes all blocks' tests first.
KEYS: dict[str, dict[str, object]] = {
    "distill": {"mode": "bbm92", "seed": 5, "block_size": 100_000},
    "codes": {"mode": "bbm92", "seed": 5, "block_size": 1_000_000, "reconciliation": "ldpc"},
}
#: What a blow hits, and how often it is chosen.
VICTIMS = {
    "rank": 6,
    "rank 0": 3,
    "several": 2,
    "mpirun": 2,
    "launcher": 2,
    "all": 2,
    "stopped rank": 1,
}


@dataclass
class Tally:
    """What became of the runs of a campaign."""

    runs: int = 0
    kills: int = 0
    missed: int = 0
    identical: int = 0
    wrong: int = 0
    hangs: int = 0
    left: int = 0  # processes that outlived their run
    user_actions: int = 0
    restarts: int = 0
    unbroken: int = 0  # runs that were hit and needed one launch only
    recovery: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """One command on some ranks, with the identity its file must have.

    ``command`` is the command line without output and ranks, ``chunks`` what the run has in all.
    """

    command: tuple[str, ...]
    output: Path
    ranks: int
    survive: bool
    seconds: float
    identity: tuple[str, str]
    chunks: int = 0


def environment(mark: str) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "plugins")])
    return {
        "CALIGO_WATCHDOG_SECONDS": SILENCE_SECONDS,
        **os.environ,
        "PYTHONPATH": paths,
        MARK: mark,
    }


def identity(path: Path) -> tuple[str, str]:
    """Digest of the records and hash of the rows, or that of the keys."""
    if is_keys_file(path):
        return read_keys(path).digest, ""
    return status(path).data_digest, store.pairs_hash(path)


def prepare(folder: Path, name: str, *, ranks: int, survive: bool, writers: str = "auto") -> Job:
    """The reference of a workload, made by one process, and how long the run takes on these ranks."""
    command, reference = _command(folder, name), folder / f"{name}-reference.h5"
    if not reference.exists():
        _run_alone(*command, "-q", "-o", reference)
    if name not in KEYS:
        command += ("--set", f"output.writers={writers}")
    same, chunks = identity(reference), chunks_done(reference)
    job = Job(command, folder / "run.h5", ranks, survive, 0.0, same, chunks)
    start = time.monotonic()
    process = start_run(job, "timing", (folder / "timing.log"))
    if process.wait(HANG_SECONDS) != 0:
        raise RuntimeError((folder / "timing.log").read_text())
    job.output.unlink()
    return replace(job, seconds=time.monotonic() - start)


def _command(folder: Path, name: str) -> tuple[str, ...]:
    """The command line of a workload, after its files were made."""
    config, pairs = folder / f"{name}.yaml", folder / f"{name}-pairs.h5"
    protocol = folder / f"{name}-protocol.yaml"
    config.write_text(yaml.safe_dump({"seed": 7, **WORKLOADS[name]}))
    if name not in KEYS:
        return "generate", str(config)
    protocol.write_text(yaml.safe_dump(KEYS[name]))
    if not pairs.exists():
        _run_alone("generate", config, "-q", "-o", pairs)
    return "distill", str(pairs), "--config", str(protocol)


def _run_alone(*words: object) -> None:
    line = [sys.executable, "-m", "caligo_mpi", *map(str, words)]
    subprocess.run(line, env=environment("reference"), check=True, stdout=subprocess.DEVNULL)


def start_run(job: Job, mark: str, log: Path) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "caligo_mpi", *job.command, "-q", "-o", str(job.output)]
    line += ["--ranks", str(job.ranks), *(["--survive"] if job.survive else [])]
    with log.open("ab") as file:
        return subprocess.Popen(
            line, env=environment(mark), stdout=file, stderr=file, start_new_session=True
        )


def ranks_of(mark: str) -> dict[int, int]:
    """Rank → process id of a run's ranks that are there at the moment."""
    found = {}
    for pid in processes.marked(MARK, mark):
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            pairs = dict(entry.partition(b"=")[::2] for entry in variables)
            number = pairs.get(b"OMPI_COMM_WORLD_RANK", pairs.get(b"PMI_RANK"))
            if number is not None:
                found[int(number)] = pid
    return found


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def strike(victim: str, launcher: int, mark: str, rng: random.Random) -> list[int]:
    """Hit something of a run; the processes that were hit, none if there was nothing of the kind."""
    ranks = ranks_of(mark)
    everyone = list(ranks.values())
    targets = {
        "rank": [rng.choice(everyone)] if everyone else [],
        "rank 0": [ranks[0]] if 0 in ranks else [],
        "several": rng.sample(everyone, rng.randint(1, len(everyone))) if everyone else [],
        "mpirun": children(launcher),
        "launcher": [launcher],
        "all": list(processes.marked(MARK, mark)),
        "stopped rank": [rng.choice(everyone)] if everyone else [],
    }[victim]
    hit = []
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if victim == "stopped rank" else signal.SIGKILL)
            hit.append(pid)
    return hit


def chunks_done(path: Path) -> int:
    """Chunks of a pairs file or blocks of a keys file, finished or not."""
    try:
        return keys_status(path).blocks_done if is_keys_file(path) else status(path).chunks_done
    except (store.StoreError, OSError):
        return 0


def moments(job: Job, blows: int, rng: random.Random, *, in_the_middle: bool) -> Iterator[float]:
    """Wait for the moments to strike: the first at any time of the run, later ones when work has gone on."""
    if in_the_middle:
        # By chunks, not by the clock: how long a run takes is not the same twice on a busy machine.
        wait_for_chunks(job, rng.randint(1, max(1, job.chunks // 2)))
        yield 0.0
    else:
        yield rng.uniform(0.0, 1.05) * job.seconds
    for _ in range(blows - 1):
        wait_for_chunks(job, chunks_done(job.output) + 1)
        yield rng.uniform(0.0, 0.5) * job.seconds


def wait_for_chunks(job: Job, chunks: int) -> None:
    end = time.monotonic() + HANG_SECONDS / 4
    while chunks_done(job.output) < chunks and not job.output.exists() and time.monotonic() < end:
        time.sleep(0.01)


def one_run(
    job: Job, rng: random.Random, tally: Tally, *, victims: dict[str, int], middle: bool, blows: int
) -> Job:
    """Start a run, hit it a few times, wait for its file, and note what happened.

    Returns the job, with how long it takes where it was over before the first blow.
    """
    mark, log = uuid.uuid4().hex, job.output.with_suffix(".log")
    log.write_bytes(b"")
    begun = time.monotonic()
    process = start_run(job, mark, log)
    hits: list[tuple[float, str]] = []
    for delay in moments(job, blows, rng, in_the_middle=middle):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
            if not hits:
                job = replace(job, seconds=min(job.seconds, time.monotonic() - begun))
            break
        victim = rng.choices(list(victims), list(victims.values()))[0]
        # Before the blow: on a busy machine its loss may be recorded before this process goes on.
        when = time.time()
        hit = strike(victim, process.pid, mark, rng)
        if not hit:
            tally.missed += 1
            continue
        hits.append((when, victim))
        if victim in ("launcher", "all"):
            process.wait()
            process = start_run(job, mark, log)
    conclude(job, process, mark, hits, log, tally)
    return job


def conclude(
    job: Job,
    process: subprocess.Popen[bytes],
    mark: str,
    hits: list[tuple[float, str]],
    log: Path,
    tally: Tally,
) -> None:
    tally.runs += 1
    tally.kills += len(hits)
    code: int | None = None
    try:
        code = process.wait(HANG_SECONDS)
    except subprocess.TimeoutExpired:
        tally.hangs += 1
        tally.notes.append(f"hang after {hits}: {log.read_text(errors='replace')}")
    left = list(processes.marked(MARK, mark))
    if code is not None and left:
        tally.left += len(left)
        tally.notes.append(
            f"{len(left)} processes left after {hits}: {log.read_text(errors='replace')}"
        )
    processes.end_marked(MARK, mark)
    if code == 0:
        compare(job, hits, tally, log.read_text(errors="replace"))
    elif code is not None:
        tally.user_actions += 1
        tally.notes.append(f"exit code {code} after {hits}: {log.read_text(errors='replace')}")
    for leftover in job.output.parent.glob(job.output.name + "*"):
        leftover.unlink()


def compare(job: Job, hits: list[tuple[float, str]], tally: Tally, log: str) -> None:
    if identity(job.output) == job.identity:
        tally.identical += 1
    else:
        tally.wrong += 1
        tally.notes.append(f"wrong file after {hits}")
    if is_keys_file(job.output):
        # Keys files have no table of launches.
        tally.restarts += log.count("going on from the file, restart")
        return
    found = status(job.output)
    launches = len(set(found.runs["id"].tolist()))
    tally.restarts += launches - 1
    tally.unbroken += bool(hits) and launches == 1
    begins = sorted(
        [*found.runs["started"].tolist(), *(found.faults["time"].tolist() if job.survive else [])]
    )
    for when, victim in hits:
        if victim != "stopped rank" and (later := [begin for begin in begins if begin > when]):
            tally.recovery.append(later[0] - when)


def run_campaign(
    folder: Path,
    *,
    kills: int,
    seed: int,
    survive: bool,
    workloads: tuple[str, ...] = HERE,
    writers: str = "auto",
    ranks: tuple[int, ...] = (2, 3),
    blows: int = 3,
    victims: dict[str, int] | None = None,
    progress: bool = False,
) -> Tally:
    """Kill until ``kills`` blows have hit something; survive mode hits one rank in the middle of the run."""
    rng, tally = random.Random(seed), Tally()
    victims = victims or ({"rank": 1} if survive else VICTIMS)
    jobs = [
        prepare(folder, name, ranks=n, survive=survive, writers=writers)
        for name in workloads
        for n in ranks
    ]
    while tally.kills < kills:
        chosen = rng.randrange(len(jobs))
        times = 1 if survive else min(rng.randint(1, blows), kills - tally.kills)
        jobs[chosen] = one_run(
            jobs[chosen], rng, tally, victims=victims, middle=survive, blows=times
        )
        if progress:
            print(
                f"\r{tally.kills} kills, {tally.runs} runs, {tally.identical} identical",
                end="",
                file=sys.stderr,
            )
    return tally


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else float("nan")


def table(tally: Tally) -> str:
    """The campaign's result for people."""
    recovery = f"{median(tally.recovery):.2f} s, {max(tally.recovery, default=float('nan')):.2f} s"
    rows = {
        "kills that hit something": tally.kills,
        "runs": tally.runs,
        "identical files": tally.identical,
        "wrong files": tally.wrong,
        "hangs": tally.hangs,
        "user actions": tally.user_actions,
        "processes left behind": tally.left,
        "restarts": tally.restarts,
        "runs hit that needed no restart": tally.unbroken,
        "kill → work goes on, median and maximum": recovery,
    }
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())
