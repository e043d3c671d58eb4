"""The launcher's supervision: what it launches again, what it does not, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from helpers import ROOT, environment, identity, wait_for_chunks

from caligo_mpi import load_config, status, store
from caligo_mpi.launch import mpirun, processes
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.generate import generate
from tests.faults.campaign import MARK, children, ranks_of

pytestmark = pytest.mark.mpi

SLOW = {"name": "trouble", "seconds": 0.2}


class Run:
    """``caligo-mpi generate --ranks`` in the background, marked so that all of its processes can be found."""

    def __init__(self, folder, arguments, variables):
        self.mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "caligo_mpi", "generate", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(**variables, **{MARK: self.mark}), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.path = folder / "run.h5"

    def wait_for_chunks(self, chunks):
        wait_for_chunks(self.path, chunks, self.process)

    def kill(self, rank, number=signal.SIGKILL):
        os.kill(ranks_of(self.mark)[rank], number)

    def finish(self, timeout=120):
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def left(self):
        return list(processes.marked(MARK, self.mark))


@pytest.fixture
def start(tmp_path, mpirun):
    mpirun(2)  # skips where there is no MPI
    runs = []

    def begin(*arguments, **variables):
        runs.append(Run(tmp_path, arguments, variables))
        return runs[-1]

    yield begin
    for run in runs:
        processes.end_marked(MARK, run.mark)
        run.process.communicate()


@pytest.fixture
def reference(tmp_path, write_config, monkeypatch):
    def make(**changes):
        with monkeypatch.context() as patch:
            patch.setenv("CALIGO_TEST_SECONDS", "0")
            generate(
                load_config(write_config("reference.yaml", **changes)), tmp_path / "reference.h5"
            )
        return identity(tmp_path / "reference.h5")

    return make


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_costs_one_restart_and_is_recorded(
    tmp_path, write_config, start, reference, victim
):
    run = start(write_config(engine=SLOW), "--ranks", 2, "-q")
    run.wait_for_chunks(4)
    run.kill(victim)
    code, out, err = run.finish()
    assert code == 0, err
    assert "going on from the file, restart 1 of at most 100" in err
    assert "complete" in out
    assert run.left() == []
    found = status(run.path)
    assert len(set(found.runs["id"].tolist())) == len(found.runs) == 2
    assert len(found.faults) == 1
    assert found.faults["what"][0].startswith(
        (b"a rank was ended by SIGKILL", b"mpirun ended with exit code 9")
    )
    assert identity(run.path) == reference(engine=SLOW)


@pytest.fixture
def starve():
    """Leave a process next to no memory beyond what it has; the kernel then kills it as out of memory."""
    groups = []

    def begin(pid):
        root, limit = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        if not root.exists():
            root, limit = Path("/sys/fs/cgroup"), "memory.max"
        group = root / f"caligo-{pid}"
        try:
            group.mkdir()
            groups.append(group)
            (group / limit).write_text("4000000")
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            pytest.skip(f"a control group with a memory limit cannot be made here ({error})")

    yield begin
    for group in groups:
        group.rmdir()


def test_a_rank_that_runs_out_of_memory_is_a_killed_rank(write_config, start, reference, starve):
    leaky = SLOW | {"leak": 2_000_000}
    run = start(write_config(engine=leaky), "--ranks", 2, "-q")
    run.wait_for_chunks(2)
    starve(ranks_of(run.mark)[1])
    code, _, err = run.finish()
    assert code == 0, err
    assert "a rank was ended by SIGKILL" in err or "mpirun ended with exit code 9" in err
    assert "restart 1 of at most 100" in err
    assert identity(run.path) == reference(engine=leaky)


def test_a_killed_launcher_takes_mpirun_and_all_ranks_along(
    tmp_path, write_config, start, reference
):
    config = write_config(engine=SLOW)
    run = start(config, "--ranks", 3, "-q")
    run.wait_for_chunks(2)
    assert len(run.left()) >= 5
    run.process.kill()
    run.process.wait()
    end = time.monotonic() + 10
    while run.left() and time.monotonic() < end:
        time.sleep(0.05)
    assert run.left() == []
    again = start(config, "--ranks", 2, "-q")
    assert again.finish()[0] == 0
    assert identity(run.path) == reference(engine=SLOW)


def test_a_killed_mpirun_is_replaced(write_config, start):
    run = start(write_config(engine=SLOW), "--ranks", 2, "-q")
    run.wait_for_chunks(2)
    for pid in children(run.process.pid):
        os.kill(pid, signal.SIGKILL)
    code, _, err = run.finish()
    assert code == 0, err
    assert "mpirun was ended by SIGKILL" in err


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_stops_answering_is_noticed_by_the_silence(
    write_config, start, reference, victim
):
    engine = {"name": "trouble", "seconds": 0.1}
    run = start(write_config(engine=engine), "--ranks", 2, "-q", CALIGO_WATCHDOG_SECONDS="4")
    run.wait_for_chunks(4)
    run.kill(victim, signal.SIGSTOP)
    code, _, err = run.finish()
    assert code == 0, err
    assert "nothing was written for" in err
    assert run.left() == []
    assert identity(run.path) == reference(engine=engine)


def test_a_rank_that_is_stopped_before_the_first_chunk_is_noticed(write_config, start):
    run = start(write_config(engine=SLOW), "--ranks", 2, "-q", CALIGO_WATCHDOG_SECONDS="6")
    run.wait_for_chunks(0)
    run.kill(0, signal.SIGSTOP)
    code, _, err = run.finish(timeout=60)
    assert code == 0, err
    assert "nothing was written for 6 s" in err


def test_a_rank_that_was_stopped_for_a_moment_is_left_alone(write_config, start):
    run = start(write_config(engine=SLOW), "--ranks", 2, "-q")
    run.wait_for_chunks(4)
    run.kill(1, signal.SIGSTOP)
    time.sleep(2)
    run.kill(1, signal.SIGCONT)
    code, _, err = run.finish()
    assert code == 0
    assert "restart" not in err


@pytest.mark.parametrize("jump", [86_400, -86_400], ids=["forward", "back"])
def test_a_clock_that_is_set_is_no_silence(tmp_path, write_config, start, reference, jump):
    compiler, library = shutil.which("cc"), tmp_path / "clock.so"
    if compiler is None:
        pytest.skip(
            "no C compiler (cc); .ci/install_packages.sh installs one where apt is available"
        )
    source = ROOT / "tests" / "faults" / "clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    shift = tmp_path / "shift"
    shift.write_text("0")
    preload = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    run = start(
        write_config(engine=SLOW), "--ranks", 2, "-q", CALIGO_WATCHDOG_SECONDS="6", **preload
    )
    run.wait_for_chunks(4)
    shift.write_text(str(jump))
    code, _, err = run.finish()
    assert code == 0, err
    assert "restart" not in err
    found = status(run.path)
    assert len(found.runs) == 1
    assert abs(found.runs["last_commit"][0] - found.runs["started"][0] - jump) < 3600
    assert identity(run.path) == reference(engine=SLOW)


def test_a_stop_request_goes_first_even_if_a_rank_no_longer_answers(write_config, start):
    run = start(write_config(engine=SLOW), "--ranks", 2, "-q", CALIGO_WATCHDOG_SECONDS="6")
    run.wait_for_chunks(2)
    run.kill(1, signal.SIGSTOP)
    run.process.terminate()
    time.sleep(1)
    run.process.terminate()
    code, _, err = run.finish(timeout=60)
    assert code == 75, err
    assert run.left() == []
    assert status(run.path).chunks_done >= 2


def test_a_launcher_that_is_killed_while_it_is_asked_is_asked_again(tmp_path, monkeypatch):
    """Else it would pass for another MPI than Open MPI, and be started without what that needs."""
    launcher = tmp_path / "mpirun"
    launcher.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/asked ] || {{ touch {tmp_path}/asked; kill -9 $$; }}\n"
        "echo 'mpirun (Open MPI) 5.0.0'\n"
    )
    launcher.chmod(0o755)
    monkeypatch.setenv("CALIGO_MPIRUN", str(launcher))
    found = mpirun.find(2)
    assert (tmp_path / "asked").exists()
    assert found.env["OMPI_MCA_btl"] == "^ofi"


def test_launches_that_commit_nothing_are_not_repeated_for_ever(tmp_path, write_config, start):
    run = start(write_config(engine={"name": "trouble", "die_at": 3}), "--ranks", 2, "-q")
    code, _, err = run.finish()
    assert code == 1
    assert "2 launches in a row committed nothing" in err
    assert status(run.path).chunks_done < 20


def test_kills_while_the_finished_file_is_made_are_borne_four_times(tmp_path, write_config, start):
    lossy = {"name": "trouble", "efficiency": 0.5}
    config = write_config(engine=lossy, pairs=20_000_000, chunk_size=1 << 20)
    with pytest.raises(Interrupted):
        generate(load_config(config), tmp_path / "run.h5", map=all_chunks_but_no_end)
    run = start(config, "--ranks", 2, "-q")
    for _ in range(5):
        while not run.path.with_name("run.h5.tmp").exists():
            assert run.process.poll() is None, run.process.communicate()
            time.sleep(0.001)
        victim = ranks_of(run.mark)[0]
        os.kill(victim, signal.SIGKILL)
        while Path(f"/proc/{victim}").exists() or run.path.with_name("run.h5.tmp").exists():
            if run.process.poll() is not None:
                break
            time.sleep(0.001)
    code, _, err = run.finish()
    assert code == 1, err
    assert "5 launches in a row committed nothing" in err
    assert status(run.path).chunks_done == 20
    assert start(config, "--ranks", 2, "-q").finish()[0] == 0


class Interrupted(Exception):
    pass


def all_chunks_but_no_end(setup, items):
    yield from serial_map(setup, items)
    raise Interrupted


@pytest.mark.parametrize("victim", ["rank 1", "mpirun"])
def test_a_kill_after_a_stop_request_is_not_followed_by_a_launch(write_config, start, victim):
    run = start(write_config(engine={"name": "trouble", "seconds": 1.0}), "--ranks", 2, "-q")
    run.wait_for_chunks(2)
    run.process.terminate()
    time.sleep(0.2)
    hit = ranks_of(run.mark)[1] if victim == "rank 1" else children(run.process.pid)[0]
    os.kill(hit, signal.SIGKILL)
    code, _, err = run.finish()
    assert code == 75, err
    assert "run the same command again to go on" in err
    assert "restart" not in err
    assert run.left() == []
    assert 2 <= status(run.path).chunks_done < 20


def test_the_number_of_restarts_is_limited(write_config, start):
    run = start(write_config(engine=SLOW), "--ranks", 2, "-q", "--restarts", 0)
    run.wait_for_chunks(2)
    run.kill(1)
    code, _, err = run.finish()
    assert code == 1
    assert (
        "restarts=0 are used up; what was committed is kept, run the same command again to go on"
        in err
    )


@pytest.mark.parametrize("failing", [0, 1])
def test_a_chunk_that_raises_stops_the_run_by_name_and_is_not_launched_again(
    write_config, start, failing
):
    config = write_config(engine={"name": "trouble", "seconds": 0.05, "fail_rank": failing})
    run = start(config, "--ranks", 2, "-q")
    code, out, err = run.finish()
    assert code == 2
    assert out == ""
    assert f"rank {failing} of 2 on " in err
    assert "RuntimeError: boom in chunk" in err
    assert " of seed=7 failed (RuntimeError: boom in chunk" in err.splitlines()[-1]
    assert "restart" not in err


def test_a_chunk_that_raises_is_given_to_another_rank(write_config, start, reference):
    engine = {"name": "trouble", "seconds": 0.02}
    config = write_config(engine=engine | {"fail_rank": 1})
    run = start(config, "--ranks", 3, "-q", "--retries", 2)
    code, _, err = run.finish()
    assert code == 0, err
    with store.open_pairs(run.path) as file:
        assert set(file.chunks["rank"].tolist()) <= {0, 2}


def test_one_chunk_alone_is_what_the_run_has(tmp_path, write_config, caligo):
    config = write_config()
    generate(load_config(config), tmp_path / "run.h5")
    record = json.loads(caligo("generate", config, "--only-chunk", 7, "--json").stdout)
    with store.open_pairs(tmp_path / "run.h5") as file:
        stored = file.chunks[7]
    for name in (
        "index",
        "start",
        "count",
        "rows",
        "sifted_z",
        "errors_z",
        "sifted_x",
        "errors_x",
        "checksum",
    ):
        assert record[name] == stored[name], name
    wrong = caligo("generate", config, "--only-chunk", 20)
    assert wrong.returncode == 2
    assert "only-chunk=20 is not a chunk of this run; they are 0 to 19" in wrong.stderr
    failing = caligo(
        "generate", write_config(engine={"name": "trouble", "fail_at": 3}), "--only-chunk", 3
    )
    assert failing.returncode == 1
    assert "RuntimeError: boom in chunk 3" in failing.stderr


def test_force_makes_a_finished_file_anew_in_spite_of_a_kill(tmp_path, write_config, start):
    config = write_config(engine=SLOW)
    generate(load_config(config), tmp_path / "run.h5")
    run = start(config, "--ranks", 2, "-q", "--force")
    run.wait_for_chunks(3)
    run.kill(1)
    code, _, err = run.finish()
    assert code == 0, err
    assert identity(tmp_path / "run.h5") == identity(tmp_path / "run.h5.old-1")


def test_large_results_do_not_hide_what_other_ranks_announce(write_config, start, reference):
    """Rank 0 and rank 1 fill rank 0's store of results while the next one in order is with slow rank 2."""
    engine = {"name": "trouble", "seconds": 0.001, "slow_rank": 2, "slowness": 2000}
    run = start(
        write_config(engine=engine, pairs=150 << 20, chunk_size=1 << 20), "--ranks", 3, "-q"
    )
    code, _, err = run.finish()
    assert code == 0
    assert "nothing was written" not in err


def test_a_complete_file_needs_no_launch(write_config, start, tmp_path):
    config = write_config()
    generate(load_config(config), tmp_path / "run.h5")
    run = start(config, "--ranks", 2, CALIGO_MPIRUN="/bin/false")
    code, out, err = run.finish()
    assert code == 0, err
    assert "is already complete" in err
    assert "complete, 163,840 pairs simulated" in out
