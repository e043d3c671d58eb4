"""Short campaigns, and what survive mode promises one by one; the long campaigns run by ``python -m tests.faults``."""

from __future__ import annotations

import os
import re
import signal
import time
import uuid

import pytest
import yaml

from caligo_mpi import status
from caligo_mpi.launch import processes
from caligo_mpi.launch.mpirun import SURVIVE, mpirun_command
from tests.faults.campaign import (
    MARK,
    Job,
    chunks_done,
    identity,
    ranks_of,
    run_campaign,
    start_run,
    wait_for_chunks,
)

pytestmark = pytest.mark.mpi

SHORT = {
    "pairs": 163_840,
    "chunk_size": 8192,
    "seed": 7,
    "engine": {"name": "trouble", "seconds": 0.1},
}
#: Of the configuration above, whatever happens to it.
DIGEST = "9f6e455bb557ac41705f7a03674b13d0d27ce6874e58e77db816bfe95c470a2e"


@pytest.fixture
def survivors(mpirun):
    """Skips where ranks cannot outlive each other."""
    mpirun(2)
    if SURVIVE not in mpirun_command(2, survive=True)[1]:
        pytest.skip("this MPI is not Open MPI 5: ranks cannot outlive each other")


@pytest.fixture
def begin(tmp_path):
    """Start the short run with ``--survive``; returns the job, the process and the mark."""
    marks = []

    def start(ranks, **engine):
        config = tmp_path / "run.yaml"
        config.write_text(yaml.safe_dump({**SHORT, "engine": SHORT["engine"] | engine}))
        job = Job(("generate", str(config)), tmp_path / "run.h5", ranks, True, 0.0, ("", ""))
        marks.append(uuid.uuid4().hex)
        return job, start_run(job, marks[-1], tmp_path / "log"), marks[-1]

    yield start
    for mark in marks:
        processes.end_marked(MARK, mark)


def check(tally, kills):
    assert tally.kills == kills
    assert (tally.identical, tally.wrong) == (tally.runs, 0), tally.notes
    assert (tally.hangs, tally.user_actions, tally.left) == (0, 0, 0), tally.notes


def test_runs_that_are_killed_at_random_moments_give_the_same_file(tmp_path, mpirun):
    mpirun(2)
    check(
        run_campaign(tmp_path, kills=4, seed=5, survive=False, workloads=("slow",), ranks=(2,)), 4
    )


def test_keys_of_runs_that_are_killed_at_random_moments_are_the_same(tmp_path, mpirun):
    mpirun(2)
    victims = {"rank": 2, "rank 0": 2, "mpirun": 1, "launcher": 1}
    tally = run_campaign(
        tmp_path,
        kills=3,
        seed=2,
        survive=False,
        workloads=("distill",),
        ranks=(2,),
        victims=victims,
    )
    check(tally, 3)


def test_runs_that_lose_a_rank_go_on_without_a_restart(tmp_path, survivors):
    tally = run_campaign(tmp_path, kills=2, seed=6, survive=True, workloads=("slow",), ranks=(3,))
    check(tally, 2)
    assert (len(tally.recovery), tally.unbroken, tally.restarts) == (2, 2, 0)


@pytest.mark.parametrize(
    "victims", [[1], [0], [1, 0, 2]], ids=["a worker", "rank 0", "all but one"]
)
def test_survivors_finish_in_the_same_launch(survivors, begin, victims):
    job, process, mark = begin(len(victims) + 2 if len(victims) == 1 else 4)
    for dead, victim in enumerate(victims):
        wait_for_chunks(job, chunks_done(job.output) + 1)
        # What rank 0 has not written down yet dies with it.
        end = time.monotonic() + 60
        while len(status(job.output).faults) < dead and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(ranks_of(mark)[victim], signal.SIGKILL)
    assert process.wait(120) == 0
    found = status(job.output)
    assert found.data_digest == DIGEST
    assert len(set(found.runs["id"].tolist())) == 1
    lost = [
        int(re.search(rb"rank (\d) was lost", what)[1]) for what in found.faults["what"].tolist()
    ]
    assert lost == victims
    assert list(processes.marked(MARK, mark)) == []


def test_survivors_that_hang_are_launched_again(survivors, begin, monkeypatch, tmp_path):
    monkeypatch.setenv("CALIGO_WATCHDOG_SECONDS", "4")
    job, process, mark = begin(3)
    wait_for_chunks(job, 2)
    os.kill(ranks_of(mark)[1], signal.SIGSTOP)
    assert process.wait(120) == 0
    assert "nothing was written for" in (tmp_path / "log").read_text()
    assert status(job.output).data_digest == DIGEST


def test_survivors_stop_cleanly_on_request(survivors, begin, tmp_path):
    job, process, _ = begin(3)
    wait_for_chunks(job, 2)
    process.terminate()
    assert process.wait(60) == 75
    assert 2 <= status(job.output).chunks_done < 20
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_failing_chunk_stops_survivors_too(survivors, begin, tmp_path):
    _, process, _ = begin(3, fail_at=3)
    assert process.wait(60) == 2
    assert (
        "chunk=3 of seed=7 failed (RuntimeError: boom in chunk 3)" in (tmp_path / "log").read_text()
    )


def test_without_fault_tolerance_survive_says_so_and_restarts(mpirun, begin, tmp_path):
    mpirun(2)
    if SURVIVE in mpirun_command(2, survive=True)[1]:
        pytest.skip("this MPI is Open MPI 5, which has fault tolerance")
    job, process, mark = begin(2)
    wait_for_chunks(job, 2)
    os.kill(ranks_of(mark)[1], signal.SIGKILL)
    assert process.wait(120) == 0
    log = (tmp_path / "log").read_text()
    assert "faults.mode=survive needs Open MPI 5" in log
    assert "restart 1 of at most 100" in log
    assert identity(job.output)[0] == DIGEST
