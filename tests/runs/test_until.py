"""Runs that stop when a rate is known precisely enough: one file on any ranks and after any fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import environment, flip_bit, names, one_sentence, stopping_after, wait_for_chunks

import caligo_mpi
from caligo_mpi import generate_pairs, load_config, open_pairs, parse_config
from caligo_mpi.errors import ConfigError
from caligo_mpi.launch.mpirun import mpirun_command
from caligo_mpi.machine.environment import SURVIVE
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.until import course_of_file

SIZE = 8192
RUN = {
    "seed": 7,
    "chunk_size": SIZE,
    "engine": {"name": "noise", "link": {"fidelity": 0.95}},
    "until": {"relative_error": 0.02, "of": "qber_z", "max_pairs": 10**9},
}
LOSS = {
    side: {"detector_efficiency": 0.5, "dark_count_probability": 1e-3} for side in ("alice", "bob")
}
LOSSY = {**RUN["engine"], "loss": LOSS}  # type: ignore[dict-item]


def config_of(**changes):
    return parse_config({**RUN, **changes})


def goal(**changes):
    return config_of(until={**RUN["until"], **changes})  # type: ignore[dict-item]


def digest_of_plain(config, pairs: int, tmp_path: Path) -> str:
    """Of the run without a goal and with so many pairs."""
    values = {**config.resolved(), "pairs": pairs}
    del values["until"]
    return generate(parse_config(values), tmp_path / f"plain-{pairs}.h5").status.data_digest


@pytest.mark.parametrize("changes", [{}, {"engine": LOSSY}, {"output": {"keep": "records"}}])
def test_the_file_is_the_beginning_of_the_plain_run(tmp_path, changes):
    config = config_of(**changes)
    status = generate(config, tmp_path / "run.h5").status
    assert status.complete
    assert status.pairs % SIZE == 0
    assert status.data_digest == digest_of_plain(config, status.pairs, tmp_path)
    with open_pairs(tmp_path / "run.h5") as file:
        table, found = file.decisions, file.until
        records = file.chunks
    assert found is not None
    assert parse_config(json.loads(status.info.config)).pairs == status.pairs
    assert found["met"] == "relative_error"
    assert (found["chunks"], found["pairs"]) == (len(records), status.pairs)
    assert table["chunks"].tolist() == [
        chunks for chunks in range(1, len(records) + 1) if not chunks % 64 or chunks in (1, 2, 4, 8, 16, 32)
    ]  # fmt: skip
    for row in table:
        first = records[: int(row["chunks"])]
        assert (row["sifted"], row["errors"]) == (first["sifted_z"].sum(), first["errors_z"].sum())
    half = (table["high"] - table["low"]) / 2 / (table["errors"] / table["sifted"])
    assert half[-1] <= 0.02 < half[-2]
    assert (found["low"], found["high"]) == (table["low"][-1], table["high"][-1])
    assert names(tmp_path) == [f"plain-{status.pairs}.h5", "run.h5"]


def decided(path: Path) -> tuple[bytes, str, str]:
    """All that may not depend on how a run went."""
    with open_pairs(path) as file:
        return file.decisions.tobytes(), file.info.until, file.data_digest


@pytest.mark.mpi
def test_ranks_and_policies_make_one_file(tmp_path, caligo, write_config):
    changes = {"chunk_size": SIZE, "until": RUN["until"], "pairs": None}
    config = write_config(**changes)
    generate(load_config(config), tmp_path / "alone.h5")
    expected = decided(tmp_path / "alone.h5")
    plans = [(2, "static"), (3, "dynamic"), (2, "guided"), (3, "adaptive")]
    for ranks, policy in plans:
        path = tmp_path / f"{policy}-{ranks}.h5"
        done = caligo(
            "generate", config, "-o", path, "--ranks", ranks, f"--set=schedule={policy}", "-q"
        )
        assert done.returncode == 0, done.stderr
        assert decided(path) == expected


#: Slow enough for a test to come in between.
SLOW = {
    "engine": {"name": "trouble"},
    "until": {"relative_error": 0.02, "max_pairs": 10**9},
    "pairs": None,
}


@pytest.mark.mpi
def test_a_run_that_is_killed_stops_at_the_same_place(tmp_path, caligo, mpirun, write_config):
    config, path = write_config(chunk_size=2048, **SLOW), tmp_path / "run.h5"
    generate(load_config(config), tmp_path / "alone.h5")
    for ranks, chunks in ((2, 20), (3, 100)):
        line, env = mpirun(ranks)
        process = subprocess.Popen(
            [*line, sys.executable, "-m", "caligo_mpi", "generate", str(config), "-q"],
            cwd=tmp_path, env={**env, "CALIGO_TEST_SECONDS": "0.02"}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for_chunks(path, chunks, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert not path.exists()
    done = caligo("generate", config, "-q", "--ranks", 2)
    assert done.returncode == 0, done.stderr
    assert decided(path) == decided(tmp_path / "alone.h5")


@pytest.mark.mpi
def test_survivors_of_a_rank_stop_at_the_same_place(tmp_path, write_config):
    if SURVIVE not in mpirun_command(2, survive=True)[1]:
        pytest.skip("this MPI has no fault tolerance")
    config, path = write_config(chunk_size=2048, **SLOW), tmp_path / "run.h5"
    generate(load_config(config), tmp_path / "alone.h5")
    command = [sys.executable, "-m", "caligo_mpi", "generate", str(config), "-q", "--survive"]
    process = subprocess.Popen(
        [*command, "--ranks", "3"], cwd=tmp_path, env=environment(CALIGO_TEST_SECONDS="0.02"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for chunks in (20, 90):
        wait_for_chunks(path, chunks, process)
        os.kill(youngest_rank(process.pid), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert decided(path) == decided(tmp_path / "alone.h5")


def youngest_rank(launcher: int) -> int:
    """The rank below this process that was started last."""
    below, found = [launcher], []
    while below:
        pid = below.pop()
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        below += map(int, listed.split())
        is_rank = b"OMPI_COMM_WORLD_RANK=" in Path(f"/proc/{pid}/environ").read_bytes()
        found += [pid] * is_rank
    return max(found)


@pytest.mark.parametrize("after", [1, 3, 64, 65, 100])
def test_a_run_that_was_stopped_goes_on_to_the_same_place(tmp_path, after):
    config = config_of()
    stopped = generate(config, tmp_path / "run.h5", map=stopping_after(after))
    assert not stopped.status.complete
    generate(config, tmp_path / "run.h5")
    generate(config, tmp_path / "alone.h5")
    assert decided(tmp_path / "run.h5") == decided(tmp_path / "alone.h5")


def test_a_damaged_chunk_is_redone_before_it_is_decided_on(tmp_path):
    config = config_of()
    generate(config, tmp_path / "alone.h5")
    generate(config, tmp_path / "run.h5", map=stopping_after(100))
    part = tmp_path / "run.h5.part"
    with open_pairs(part) as file:
        place = file._layout.offsets["chunks"] + 90 * file.chunks.dtype.itemsize + 40
    flip_bit(part, place)
    summary = generate(config, tmp_path / "run.h5")
    assert any("damaged chunk" in message for message in summary.messages)
    assert decided(tmp_path / "run.h5") == decided(tmp_path / "alone.h5")


def test_a_higher_goal_goes_on_and_a_lower_one_is_met(tmp_path):
    path = tmp_path / "run.h5"
    first = generate(config_of(), path).status
    again = generate(config_of(), path)
    assert (again.launched, again.status.data_digest) == (0, first.data_digest)
    assert "enough for relative error 0.02 of qber_z" in again.messages[0]
    lower = generate(goal(relative_error=0.2), path)
    assert (lower.launched, lower.status.pairs) == (0, first.pairs)
    higher = generate(goal(relative_error=0.015), path)
    assert 0 < higher.launched < higher.status.pairs
    generate(goal(relative_error=0.015), tmp_path / "anew.h5")
    assert decided(path) == decided(tmp_path / "anew.h5")
    assert names(tmp_path) == ["anew.h5", "run.h5", "run.h5.old-1"]


def test_a_lower_goal_keeps_what_a_partial_file_has(tmp_path):
    path = tmp_path / "run.h5"
    generate(goal(relative_error=0.001), path, map=stopping_after(100))
    done = generate(goal(relative_error=0.2), path)
    assert (done.launched, done.status.pairs) == (0, 100 * SIZE)
    with open_pairs(path) as file:
        found = file.until
    assert found is not None
    assert (found["met"], found["met_after_chunks"], found["chunks"]) == ("relative_error", 2, 100)
    assert done.status.data_digest == digest_of_plain(config_of(), 100 * SIZE, tmp_path)


@pytest.mark.parametrize("most", [50 * SIZE, 50 * SIZE + 100])
def test_fewer_pairs_at_most_than_a_partial_file_has(tmp_path, most):
    path = tmp_path / "run.h5"
    generate(goal(relative_error=0.001), path, map=stopping_after(100))
    done = generate(goal(relative_error=0.001, max_pairs=most), path)
    assert (done.launched, done.status.pairs) == (0, 100 * SIZE)


def test_plain_runs_and_goals_go_on_with_each_other(tmp_path):
    path = tmp_path / "run.h5"
    plain = {**config_of().resolved(), "pairs": 20 * SIZE + 5}
    del plain["until"]
    generate(parse_config(plain), path)
    met = generate(goal(relative_error=0.2), path)
    assert met.launched == 0
    done = generate(config_of(), path).status
    generate(config_of(), tmp_path / "anew.h5")
    assert decided(path) == decided(tmp_path / "anew.h5")
    longer = generate(parse_config({**plain, "pairs": done.pairs + SIZE}), path)
    assert longer.launched == SIZE
    assert longer.status.info.until == ""


def test_a_rate_that_is_zero_ends_by_its_upper_limit_or_by_the_pairs(tmp_path):
    perfect = {"name": "noise", "link": {"fidelity": 1.0}}
    ends = {"relative_error": 0.01, "max_pairs": 70 * SIZE + 3}
    by_pairs = generate(config_of(engine=perfect, until=ends), tmp_path / "pairs.h5").status
    assert by_pairs.pairs == 70 * SIZE + 3
    limit = {**ends, "upper_limit": 1e-4}
    generate(config_of(engine=perfect, until=limit), tmp_path / "limit.h5")
    with open_pairs(tmp_path / "pairs.h5") as file, open_pairs(tmp_path / "limit.h5") as other:
        assert file.until is not None
        assert other.until is not None
        assert (file.until["met"], other.until["met"]) == ("max_pairs", "upper_limit")
        assert (file.until["errors"], other.until["chunks"]) == (0, 16)
        assert file.decisions["chunks"].tolist() == [1, 2, 4, 8, 16, 32, 64, 71]
        assert other.until["high"] <= 1e-4


def test_stopping_by_errors_gives_the_estimate_without_its_bias(tmp_path):
    config = config_of(until={"errors": 1000, "of": "qber", "max_pairs": 10**9})
    generate(config, tmp_path / "run.h5")
    with open_pairs(tmp_path / "run.h5") as file:
        found, table = file.until, file.decisions
    assert found is not None
    assert table["errors"][-1] >= 1000 > table["errors"][-2]
    assert 0 < found["estimate"] <= found["rate"]


def test_a_goal_never_needs_the_disk_for_all_pairs(tmp_path):
    config = goal(relative_error=0.02, max_pairs=8 * 10**11)  # 400 GB of bits
    generate(config, tmp_path / "run.h5", map=stopping_after(70))
    part = tmp_path / "run.h5.part"
    assert part.stat().st_size < 3 * 1024 * 1024
    assert generate(config, tmp_path / "run.h5").status.complete
    assert (tmp_path / "run.h5").stat().st_size < 3 * 1024 * 1024


def test_in_memory_a_run_ends_where_its_file_does(tmp_path):
    config = goal(relative_error=0.1)
    pairs = generate_pairs(config)
    assert len(pairs.alice_basis) == generate(config, tmp_path / "run.h5").status.pairs


def test_the_course_of_a_file_is_that_of_its_run(tmp_path):
    config = config_of()
    generate(config, tmp_path / "run.h5")
    with open_pairs(tmp_path / "run.h5") as file:
        again = course_of_file(config, tmp_path / "run.h5")
        assert np.array_equal(again.table(), file.decisions)
        assert again.report() == file.until


# ── what people see ──────────────────────────────────────────────────────────────────────────────


def test_the_command_says_where_it_stopped_and_why(caligo, write_config):
    config = write_config(until=RUN["until"], pairs=None)
    planned = caligo("validate", config)
    assert "# until relative error 0.02 of qber_z (95 % confidence): about" in planned.stdout
    done = caligo("generate", config, "--json", "-q")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["until"]
    assert (told["met"], told["met_after_chunks"]) == ("relative_error", told["chunks"])
    assert told["relative_error"] <= 0.02
    shown = caligo("status", "run.h5").stdout
    assert "until relative error 0.02 of qber_z (95 % confidence): met after" in shown
    assert json.loads(caligo("status", "run.h5", "--json").stdout)["until"] == told
    assert caligo("verify", "run.h5", "--resample", 2).returncode == 0


def test_a_stopped_run_shows_how_far_it_is(caligo, write_config, tmp_path):
    config = write_config(until={**RUN["until"], "relative_error": 1e-4}, pairs=None)
    generate(load_config(config), tmp_path / "run.h5", map=stopping_after(10))
    shown = caligo("status", "run.h5").stdout
    assert (
        "until relative error 0.0001 of qber_z (95 % confidence): not yet; the file has room for 64 chunks"
        in shown
    )
    assert "relative error 0.0" in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"errors": 5}, "relative_error=0.02 and errors=5 exclude each other"),
        ({"relative_error": None}, "give exactly one of relative_error, errors"),
        ({"relative_error": 0}, "until.relative_error"),
        ({"of": "qber_y"}, "until.of"),
        ({"confidence": 1}, "until.confidence"),
        ({"max_pairs": None}, "until.max_pairs"),
        ({"max_pairs": "many"}, "until.max_pairs"),
        ({"max_pairs": 1e18}, "until.max_pairs"),
        ({"upper_limit": 2}, "until.upper_limit"),
    ],
)
def test_a_goal_that_is_none_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        goal(**changes)


def test_pairs_and_a_goal_exclude_each_other(caligo, write_config):
    config = write_config(until=RUN["until"])
    one_sentence(caligo("generate", config), "pairs=163840", "leave pairs out")


def test_a_goal_is_no_part_of_the_identity():
    plain = parse_config({**{k: v for k, v in RUN.items() if k != "until"}, "pairs": 1000})
    assert config_of().digest(1) == plain.digest(1)
    stored = json.dumps(config_of().resolved())
    assert caligo_mpi.RunConfig.from_json(stored) == config_of()
