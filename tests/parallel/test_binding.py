"""What ranks are bound to: decided by the rules, done by the kernel, never one core for two launches."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from helpers import environment, wait_for_chunks

from caligo_mpi import status
from caligo_mpi.parallel.account import Ledger, Sums
from caligo_mpi.parallel.binding import (
    LEFT,
    Place,
    is_exclusive,
    reason_to_leave,
    summary,
    warnings,
)

WHOLE = frozenset(range(8))
CORES = len(os.sched_getaffinity(0))
two_cores = pytest.mark.skipif(
    CORES < 2, reason="there is one core only, so nothing to choose from"
)


@pytest.mark.parametrize(
    ("kind", "masks", "word"),
    [
        ("none", [WHOLE, WHOLE], "as asked"),
        ("core", [frozenset([0]), frozenset([1])], "by the launcher"),
        ("core", [frozenset([0, 1]), frozenset([2, 3])], "by the launcher"),
        ("core", [frozenset([3])], "by the launcher"),
        ("auto", [WHOLE, WHOLE], "not known"),
        ("core", [WHOLE, WHOLE], ""),
        ("numa", [frozenset([0, 1]), frozenset([0, 1])], ""),
    ],
)
def test_ranks_are_left_alone_where_they_are_bound_or_not_alone(kind, masks, word):
    found = reason_to_leave(kind, masks, WHOLE)
    assert word in found
    assert bool(found) == bool(word)


def test_cores_are_exclusive_where_slurm_has_given_just_them(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not is_exclusive(WHOLE)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    assert is_exclusive(WHOLE)
    assert not is_exclusive(frozenset([0, 1]))
    assert reason_to_leave("auto", [WHOLE, WHOLE], WHOLE) == ""


def test_what_is_in_the_way_is_said():
    bound = [Place("a", (0,)), Place("a", (1,)), Place("b", (0,))]
    assert list(warnings(bound)) == []
    (crowded,) = warnings([Place("a", (0, 1))] * 3)
    assert "oversubscribed: 3 ranks share 2 cores of a" in crowded
    (shared,) = warnings([Place("a", (0,)), Place("a", (0,)), Place("a", (1, 2))])
    assert "ranks 0, 1 share core 0 of a" in shared
    (other,) = warnings([Place("a", (0,), taken=(0,)), Place("a", (1,))])
    assert "rank 0 is bound to core 0 of a, and so is another launch" in other
    reasons = [Place("a", (0,), why="bound to a core each"), Place("a", (0, 1), why=LEFT)]
    assert summary(reasons) == "1 rank bound to a core each; 1 rank left unbound"


def test_memory_that_is_far_away_is_said():
    ledger = Ledger()
    ledger.hear(1, Sums(peak_memory=100 << 20, remote=10 << 20))
    ledger.hear(2, Sums(peak_memory=100 << 20, remote=60 << 20))
    (sentence,) = ledger.far_memory()
    assert sentence.startswith("rank 2 has 62.9 MB of memory on another NUMA node")


CLAIMING = """
import sys, os
from caligo_mpi.parallel.binding import claim
print(int(claim(frozenset(map(int, sys.argv[1].split(","))))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def claiming():
    """Start a process that claims processors; numbers that no machine has, so that nobody else is disturbed."""
    processes = []

    def start(cpus):
        command = [sys.executable, "-c", CLAIMING, cpus]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment(), text=True, **pipes)
        processes.append(process)
        return process, process.stdout.readline().strip() == "1"

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_core_is_claimed_once_until_its_process_ends(claiming):
    base = 100_000 + os.getpid()
    first, got = claiming(f"{base},{base + 1}")
    assert got
    assert not claiming(f"{base + 1},{base + 2}")[1]
    assert claiming(f"{base + 2}")[1]  # the one that was refused holds nothing
    first.kill()
    first.communicate()
    assert claiming(f"{base}")[1]


def noted(path):
    found = status(path)
    return json.loads(found.runs["software"][0])["binding"], found.metrics["cores"].tolist()


@pytest.mark.mpi
@two_cores
def test_two_launches_beside_each_other_have_a_core_each(tmp_path, write_config):
    config = write_config(engine={"name": "trouble", "seconds": 1.0})
    started = []
    for name in ("a.h5", "b.h5"):
        command = [sys.executable, "-m", "caligo_mpi", "generate", str(config), "-o", name, "-q"]
        options = {"cwd": tmp_path, "env": environment(), "stdout": subprocess.DEVNULL}
        line = [*command, "--ranks", "1", "--binding", "core"]
        started.append(subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **options))
        wait_for_chunks(tmp_path / name, 1, started[-1])
    for process in started:
        process.terminate()
    for process in started:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 75, told
    (how, cores), (other_how, other_cores) = noted(tmp_path / "a.h5"), noted(tmp_path / "b.h5")
    assert how == other_how == "core: bound to a core each"
    assert cores != other_cores


@pytest.mark.mpi
@two_cores
def test_ranks_are_bound_and_that_is_verified(caligo, tmp_path, write_config):
    for more in ([], ["--survive"]):
        done = caligo(
            "generate", write_config(), "--ranks", 2, "--binding", "core", "-q", "--force", *more
        )
        assert done.returncode == 0, done.stderr
        how, cores = noted(tmp_path / "run.h5")
        assert how == "core: bound to a core each"
        assert len(set(cores)) == len(cores)
        assert b"" not in cores
        (tmp_path / "run.h5").unlink()


@pytest.mark.mpi
def test_more_ranks_than_cores_stay_unbound_and_are_told(caligo, tmp_path, write_config):
    ranks = CORES + 1
    done = caligo("generate", write_config(), "--ranks", ranks, "--binding", "core", "-q")
    assert done.returncode == 0, done.stderr
    assert f"oversubscribed: {ranks} ranks share" in done.stderr
    assert f"binding=core: left unbound: {ranks} ranks for" in done.stderr
    assert noted(tmp_path / "run.h5")[0].startswith("core: left unbound")


@pytest.mark.mpi
@two_cores
def test_what_the_launcher_bound_stays_bound(tmp_path, write_config, mpirun):
    line, env = mpirun(2)
    env = {**env, "CALIGO_MPI_BINDING": "socket"}
    line = [one if one != "none" else "core" for one in line]  # --bind-to core
    command = [*line, sys.executable, "-m", "caligo_mpi", "generate", str(write_config()), "-q"]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    how, cores = noted(tmp_path / "run.h5")
    assert how == "socket: bound by the launcher"
    assert len(set(cores)) == 2


def test_libraries_that_start_threads_are_imported_after_their_number_is_set():
    code = (
        "import sys; import caligo_mpi.cli; print({'numpy', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
