"""Real runs on real ranks: the same bits whatever the number, the policy, the kills and the stops."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import environment, identity, wait_for_chunks

from caligo_mpi import load_config, status, store
from caligo_mpi.runs.generate import generate

pytestmark = pytest.mark.mpi

SLOW = {"name": "trouble", "seconds": 0.3}


@pytest.fixture
def start(tmp_path, mpirun):
    """Start the command on n ranks under a bare mpirun, or under our launcher; returns the process."""
    processes = []

    def popen(ranks, *arguments, bare=True, **extra):
        line, env = mpirun(ranks)
        command = [sys.executable, "-m", "caligo_mpi", "generate", *map(str, arguments)]
        command = [*line, *command] if bare else [*command, "--ranks", str(ranks)]
        process = subprocess.Popen(
            command, cwd=tmp_path, env={**env, **extra}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield popen
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finish(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


@pytest.fixture
def reference(tmp_path, write_config):
    """Digest and hash of the serial run of a configuration."""

    def run(**changes):
        generate(load_config(write_config("reference.yaml", **changes)), tmp_path / "reference.h5")
        return identity(tmp_path / "reference.h5")

    return run


POLICIES = ("static", "dynamic", "guided", "adaptive")


@pytest.mark.parametrize(
    ("ranks", "policy"),
    [*((ranks, policy) for ranks in (1, 3) for policy in POLICIES), (2, "guided"), (5, "dynamic")],
)
def test_the_file_is_identical_for_every_rank_count_and_policy(
    tmp_path, write_config, start, reference, ranks, policy
):
    config = write_config(schedule=policy)
    code, _, err = finish(start(ranks, config, "-q"))
    assert code == 0, err
    assert identity(tmp_path / "run.h5") == reference()


HERALDED = {
    "name": "noise",
    "link": {"type": "heralded-double-click", "length_km": 20, "dark_count_probability": 1e-3},
    "device": {
        "T1_ns": 1e8,
        "T2_ns": 5e7,
        "measure_time_ns": 1e4,
        "single_qubit_gate_time_ns": 1e3,
    },
    "hold": 3,
    "max_wait_ns": 1e7,
}


@pytest.mark.parametrize(
    ("ranks", "policy"), [(1, "adaptive"), (2, "static"), (3, "dynamic"), (3, "guided")]
)
def test_times_attempts_and_bell_states_are_identical_on_all_ranks(
    tmp_path, write_config, start, reference, ranks, policy
):
    config = write_config(schedule=policy, engine=HERALDED)
    code, _, err = finish(start(ranks, config, "-q"))
    assert code == 0, err
    assert identity(tmp_path / "run.h5") == reference(engine=HERALDED)
    with store.open_pairs(tmp_path / "run.h5") as file:
        assert list(file.columns)[4:] == ["index", "time", "attempts", "bell_state"]


@pytest.mark.parametrize(
    "loss", [None, {"alice": {"detector_efficiency": 0.3}, "bob": {"coupling": 0.5}}]
)
def test_two_ranks_share_the_work(tmp_path, write_config, start, loss):
    engine = {"name": "noise", "link": {"fidelity": 0.95}, **({"loss": loss} if loss else {})}
    code, _, err = finish(
        start(2, write_config(engine=engine, pairs=20_000_000, chunk_size=1 << 18), "-q")
    )
    assert code == 0, err
    with store.open_pairs(tmp_path / "run.h5") as file:
        assert set(file.chunks["rank"].tolist()) == {0, 1}


def test_kill_everything_at_random_times_and_resume_with_another_number(
    tmp_path, write_config, start, reference
):
    engine = {"name": "trouble"}
    config, rng, kills = write_config(engine=engine), random.Random(5), 0
    while not (tmp_path / "run.h5").exists():
        slow = kills < 12  # on a machine where a launch hardly gets to work before it is killed
        process = start(
            rng.choice([1, 2, 3]), config, "-q", CALIGO_TEST_SECONDS="0.2" if slow else "0"
        )
        time.sleep(rng.uniform(0.05, 1.2))
        if slow and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            _kill_ranks(tmp_path)
            kills += 1
        finish(process)
    assert kills >= 3
    assert identity(tmp_path / "run.h5") == reference(engine=engine)


def _kill_ranks(folder):
    """Ranks run in sessions of their own: find them by what and where they are."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                ours = "caligo_mpi\0generate" in (entry / "cmdline").read_text()
                if ours and (entry / "cwd").readlink() == folder:
                    os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failing_rank_ends_the_job_with_its_traceback(tmp_path, write_config, start, failing):
    config = write_config(engine={"name": "trouble", "seconds": 0.01, "fail_rank": failing})
    code, _, err = finish(start(3, config, "-q"), timeout=30)
    assert code != 0
    assert f"rank {failing} of 3 on " in err
    assert "RuntimeError: boom in chunk" in err
    assert not (tmp_path / "run.h5").exists()


def test_more_ranks_than_chunks_is_no_error(tmp_path, write_config, start, reference):
    config = write_config(pairs=10_000)
    code, _, err = finish(start(5, config))
    assert code == 0
    assert "ranks will be idle" in err
    assert identity(tmp_path / "run.h5") == reference(pairs=10_000)


@pytest.mark.parametrize("bare", [True, False])
def test_a_mistake_is_one_sentence_from_one_rank(write_config, start, bare):
    config = write_config(engine={"name": "noise", "link": {"fidelity": 1.2}})
    code, out, err = finish(start(3, config, bare=bare))
    assert code == 2
    assert out == ""
    assert err.count("engine.link.fidelity") == 1
    if not bare:
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_the_launcher_stops_cleanly_and_the_same_command_goes_on(
    tmp_path, write_config, start, reference, number
):
    config = write_config(engine=SLOW)
    process = start(3, config, "--json", bare=False)
    wait_for_chunks(tmp_path / "run.h5", 4)
    process.send_signal(number)
    code, out, err = finish(process)
    assert code == 75, err
    summary = json.loads(out)
    assert not summary["complete"]
    assert 4 <= summary["chunks_done"] < 20
    code, _, err = finish(start(2, config, bare=False))
    assert code == 0, err
    assert identity(tmp_path / "run.h5") == reference(engine=SLOW)


def test_chunks_running_at_the_stop_are_kept(tmp_path, write_config, start):
    config = write_config(engine={"name": "trouble", "seconds": 1.0}, schedule="static")
    process = start(3, config, bare=False)
    wait_for_chunks(
        tmp_path / "run.h5", 4
    )  # 0 and 3 on rank 0; now 4 and 5 are running on the others
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 75
    assert status(tmp_path / "run.h5").chunks_done >= 6


def test_a_second_signal_does_not_wait_for_running_chunks(tmp_path, write_config, start):
    config = write_config(engine={"name": "trouble", "seconds": 60.0})
    process = start(2, config, "-q", bare=False)
    end = time.monotonic() + 30
    while not (tmp_path / "run.h5.part").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert finish(process, timeout=20)[0] == 75
    assert status(tmp_path / "run.h5").chunks_done == 0


def test_usr1_to_a_bare_mpirun_stops_cleanly(tmp_path, write_config, start):
    process = start(2, write_config(engine=SLOW))
    wait_for_chunks(tmp_path / "run.h5", 2)
    process.send_signal(signal.SIGUSR1)
    code, out, _ = finish(process)
    assert code != 0
    assert "stopped" in out
    assert 2 <= status(tmp_path / "run.h5").chunks_done < 20


def test_a_launcher_of_another_mpi_is_noticed(tmp_path, write_config, mpirun):
    """Such a launcher starts N processes that each believe to be alone."""
    mpirun(2)
    result = subprocess.run(
        [sys.executable, "-m", "caligo_mpi", "generate", str(write_config())],
        env=environment(PMI_SIZE="4", PMI_RANK="0", CALIGO_RANKS="4"), cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "ranks=4 were asked for but MPI reports a world of 1" in result.stderr
    assert not (tmp_path / "run.h5").exists()
