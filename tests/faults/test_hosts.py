"""Runs over two hosts: a remote rank, a remote host and the cable between them fail; nothing is lost or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid

import pytest
import yaml

from caligo_mpi import status, store
from caligo_mpi.launch.mpirun import SURVIVE, mpirun_command
from tests.faults import hosts
from tests.faults.campaign import children, environment, ranks_of
from tests.faults.test_faults import DIGEST, SHORT

pytestmark = pytest.mark.mpi


@pytest.fixture
def pair(tmp_path, mpirun, mounts_alone):
    mpirun(2)
    if reason := hosts.missing():
        pytest.skip(reason)
    made = hosts.Pair(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def survivors(pair):
    """Skips where ranks cannot outlive each other."""
    if SURVIVE not in mpirun_command(2, survive=True)[1]:
        pytest.skip("this MPI is not Open MPI 5: ranks cannot outlive each other")


@pytest.fixture
def start(pair):
    """Start a run on so many ranks of each host."""
    runs = []

    def begin(*slots, options=(), **variables):
        runs.append(Run(pair, slots, options, variables))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.kill()
        run.process.wait()


class Run:
    """``caligo-mpi generate --ranks`` on the first host."""

    def __init__(self, pair, slots, options, variables):
        self.pair, self.mark = pair, uuid.uuid4().hex
        self.path, self.log = pair.folder / "run.h5", pair.folder / "log"
        (pair.folder / "run.yaml").write_text(yaml.safe_dump(SHORT))
        line = [sys.executable, "-m", "caligo_mpi", "generate", str(pair.folder / "run.yaml"), "-q"]
        line += ["-o", str(self.path), "--ranks", str(sum(slots)), *options]
        env = {
            **environment(self.mark),
            "CALIGO_TEST_SECONDS": "0.15",
            **pair.environment(*slots),
            **variables,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(pair.here.inside(line), env=env, stdout=log, stderr=log)

    def wait_for_chunks(self, chunks):
        while (
            not self.path.with_name("run.h5.part").exists()
            or status(self.path).chunks_done < chunks
        ):
            assert self.process.poll() is None, self.text()
            time.sleep(0.01)

    def wait_for_words(self, words):
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            time.sleep(0.01)

    @property
    def launcher(self):
        (found,) = children(self.process.pid)
        return found

    def text(self):
        return self.log.read_text(errors="replace")

    def finish(self, launches):
        assert self.process.wait(100) == 0, self.text()
        found = status(self.path)
        assert found.data_digest == DIGEST
        assert len(set(found.runs["id"].tolist())) == launches, self.text()
        self.nothing_is_left()

    def nothing_is_left(self):
        end = time.monotonic() + 10
        while (
            left := self.pair.here.processes() + self.pair.there.processes()
        ) and time.monotonic() < end:
            time.sleep(0.05)
        assert left == []


def test_a_killed_remote_rank_costs_one_restart(pair, start):
    run = start(1, 2)
    run.wait_for_chunks(4)
    ranks = ranks_of(run.mark)
    assert [ranks[number] in pair.there.processes() for number in range(3)] == [False, True, True]
    os.kill(ranks[2], signal.SIGKILL)
    run.finish(launches=2)
    assert "restart 1 of at most 100" in run.text()
    with store.open_pairs(run.path) as file:
        assert set(file.chunks["rank"].tolist()) == {0, 1, 2}


def die_and_come_back(pair, run):
    run.wait_for_chunks(4)
    os.kill(run.launcher, signal.SIGSTOP)  # the next launch must not come too early
    pair.there.die()
    pair.there.boot()
    run.process.send_signal(signal.SIGCONT)  # nsenter stops with its child, and wakes it
    run.finish(launches=2)


def test_a_remote_host_that_dies_and_comes_back_costs_one_restart(pair, start):
    die_and_come_back(pair, start(1, 1))


def test_survivors_of_a_remote_host_that_dies_are_launched_again(pair, start, survivors):
    die_and_come_back(pair, start(1, 1, options=["--survive"]))


def test_a_remote_host_that_stays_away_ends_the_run_until_it_is_back(pair, start):
    run = start(1, 1)
    run.wait_for_chunks(4)
    pair.there.die()
    assert run.process.wait(60) == 1, run.text()
    assert "2 launches in a row committed nothing" in run.text()
    assert 4 <= status(run.path).chunks_done < 20
    pair.there.boot()
    start(1, 1).finish(launches=2)


def test_a_cable_that_is_pulled_for_a_moment_costs_nothing(pair, start):
    run = start(1, 1)
    run.wait_for_chunks(4)
    pair.there.cut()
    time.sleep(2)
    pair.there.mend()
    run.finish(launches=1)


def test_a_cable_that_is_cut_is_noticed_by_the_silence(pair, start):
    run = start(1, 1, CALIGO_WATCHDOG_SECONDS="4")
    run.wait_for_chunks(4)
    pair.there.cut()
    run.wait_for_words("restart 1 of")
    assert "nothing was written for" in run.text()
    pair.there.mend()
    run.finish(launches=2)


def test_a_killed_launcher_takes_remote_ranks_along(pair, start):
    run = start(1, 1)
    run.wait_for_chunks(4)
    os.kill(run.launcher, signal.SIGKILL)
    run.process.wait(20)
    run.nothing_is_left()
    start(1, 1).finish(launches=2)


def test_survivors_go_on_without_a_remote_rank(start, survivors):
    run = start(2, 1, options=["--survive"])
    run.wait_for_chunks(4)
    os.kill(ranks_of(run.mark)[2], signal.SIGKILL)
    run.finish(launches=1)
    assert "rank 2 was lost; the others went on" in run.text()
