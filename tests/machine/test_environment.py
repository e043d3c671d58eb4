"""What stands in the environment is input: one page, one place in the code, one sentence where it says nonsense."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from helpers import ROOT, one_sentence
from helpers import environment as with_package

from caligo_mpi import status
from caligo_mpi.config.settings import variables
from caligo_mpi.errors import ConfigError, EnvironmentProblem
from caligo_mpi.machine import environment

PACKAGE = ROOT / "caligo_mpi"


def test_the_page_and_the_code_name_the_same_variables():
    page = (ROOT / "docs/environment.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    script = (PACKAGE / "runs" / "job.sh").read_text("utf-8")
    of_the_job = set(re.findall(r"\$\{?((?:CALIGO|SLURM)_[A-Z_]+)", script))
    assert named == environment.READ | of_the_job | set(variables())


def test_no_other_module_looks_into_the_environment():
    looking = re.compile(r"os\.environ|getenv|environb")
    found = {path.name for path in PACKAGE.rglob("*.py") if looking.search(path.read_text("utf-8"))}
    assert found == {"environment.py"}


@pytest.mark.parametrize("value", ["abc", "nan", "0", "-1", "inf", "1e9", "1 s", "²"])
def test_a_watchdog_without_a_time_is_refused_before_anything_is_launched(
    caligo, write_config, tmp_path, value
):
    variables = with_package(CALIGO_WATCHDOG_SECONDS=value)
    one_sentence(
        caligo("generate", write_config(), "--ranks", 2, env=variables),
        f"CALIGO_WATCHDOG_SECONDS={value}",
    )
    assert not (tmp_path / "run.h5.part").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PMI_SIZE", "two"),
        ("OMPI_COMM_WORLD_SIZE", "-3"),
        ("SLURM_STEP_NUM_TASKS", "1" * 5000),
        ("CALIGO_RANKS", "0"),
    ],
)
def test_a_number_of_ranks_that_is_none_is_refused(caligo, write_config, name, value):
    variables = {**with_package(), name: value}
    one_sentence(
        caligo("generate", write_config(), env=variables), f"{name}={value[:20]}", "whole number"
    )


@pytest.mark.parametrize("name", ["SLURM_JOB_NUM_NODES", "PMI_RANK", "SLURM_PROCID"])
def test_numbers_are_whole_and_bounded(name):
    assert environment.count(name, 7, {}) == environment.count(name, 7, {name: ""}) == 7
    assert environment.count(name, 7, {name: "12"}) == 12
    for value in ("abc", "1.5", "-1", "0", "٣", "9" * 100):
        with pytest.raises(EnvironmentProblem, match=name):
            environment.count(name, 7, {name: value})


@pytest.mark.parametrize("value", ["{", "{}", "[1]", "null", "[" * 100_000])
def test_faults_that_are_no_list_of_texts_are_refused(value):
    with pytest.raises(EnvironmentProblem, match="CALIGO_FAULTS="):
        environment.sentences("CALIGO_FAULTS", {"CALIGO_FAULTS": value})


def test_names_in_a_configuration_are_expanded_as_a_shell_does(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("SCRATCH", "/scratch/$HOME")
    for path, meant in (
        ("~/run.h5", "/home/ada/run.h5"),
        ("${SCRATCH}/run.h5", "/scratch/$HOME/run.h5"),
        ("$SCRATCH/run.h5", "/scratch/$HOME/run.h5"),
        ("a~b $ 5$.h5", "a~b $ 5$.h5"),
        ("~no-such-user-here/run.h5", "~no-such-user-here/run.h5"),
    ):
        assert environment.expanded(path, what="output") == meant
    monkeypatch.delenv("SCRATCH")
    with pytest.raises(
        ConfigError, match=re.escape("output=${SCRATCH}/run.h5: SCRATCH is not set")
    ):
        environment.expanded("${SCRATCH}/run.h5", what="output")


def test_an_output_with_variables_is_expanded_and_said(caligo, write_config, tmp_path):
    config = write_config(output="~/${WHERE}/run.h5")
    (tmp_path / "here").mkdir()
    result = caligo("generate", config, env=with_package(HOME=str(tmp_path), WHERE="here"))
    assert result.returncode == 0, result.stderr
    assert f"output: {tmp_path}/here/run.h5" in result.stderr
    assert status(tmp_path / "here/run.h5").complete
    assert (
        "WHERE is not set"
        in caligo("generate", config, env=with_package(HOME=str(tmp_path))).stderr
    )


@pytest.mark.mpi
def test_ranks_need_no_home(caligo, write_config, mpirun, tmp_path):
    mpirun(2)
    for home in ({}, {"HOME": ""}):
        variables = {name: value for name, value in with_package().items() if name != "HOME"} | home
        result = caligo(
            "generate", write_config(), "-o", f"{len(home)}.h5", "--ranks", 2, "-q", env=variables
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""


@pytest.mark.mpi
def test_a_number_of_nodes_that_is_none_is_refused(caligo, write_config, mpirun):
    from caligo_mpi.launch.mpirun import find

    mpirun(2)
    if environment.SURVIVE not in find(2, survive=True).env:
        pytest.skip("only Open MPI 5 lets ranks survive")
    variables = with_package(SLURM_JOB_ID="1", SLURM_JOB_NUM_NODES="abc")
    result = caligo("generate", write_config(), "--ranks", 2, "--survive", env=variables)
    one_sentence(result, "SLURM_JOB_NUM_NODES=abc")


@pytest.mark.parametrize("verb", [["generate", "--ranks", "2"], ["slurm"]])
def test_a_directory_that_is_gone_is_one_sentence(caligo, write_config, tmp_path, verb):
    pytest.importorskip(
        "mpi4py", reason="mpi4py is not installed (numpy 1.26 environment without MPI)"
    )
    config = write_config()
    gone = tmp_path / "gone"
    gone.mkdir()
    result = caligo(*verb, config, "-o", tmp_path / "run.h5", cwd=gone, preexec_fn=gone.rmdir)
    one_sentence(result, "the current directory is gone")


# ── launchers ────────────────────────────────────────────────────────────────────────────────────────────────


def made_launcher(folder: Path, text: str) -> Path:
    """A program in the place of mpirun, which notes each of its launches."""
    path = folder / "launcher"
    path.write_text(text.replace("NOTE", f"echo x >>{folder}/launches"))
    path.chmod(0o755)
    return path


ALONE = """#!/bin/bash
[ "$1" = --version ] && { echo "SAID"; exit; }
NOTE
shift 2
"$@" & "$@" & wait
"""
EMPTY = """#!/bin/bash
[ "$1" = --version ] && { echo "SAID"; exit; }
NOTE
exit CODE
"""


@pytest.mark.parametrize(
    ("text", "launches", "words"),
    [
        (EMPTY.replace("CODE", "0"), 1, "had started a single rank"),
        (EMPTY.replace("CODE", "1"), 1, "had started a single rank"),
        (
            EMPTY.replace("CODE", "1").replace("SAID", "mpirun (Open MPI) 5.0.0"),
            2,
            "had started a single rank",
        ),
        (ALONE, 1, "MPI reports a world of 1"),
        (ALONE.replace("SAID", "HYDRA build details"), 1, "MPI reports a world of 1"),
        ("neither a script nor a program", 0, "cannot be run (Exec format error)"),
        ("#!/no/such/shell\n", 0, "cannot be run (No such file or directory)"),
    ],
)
def test_a_wrong_launcher_is_one_sentence_and_not_tried_again(
    caligo, write_config, tmp_path, text, launches, words
):
    pytest.importorskip(
        "mpi4py", reason="mpi4py is not installed (numpy 1.26 environment without MPI)"
    )
    launcher = made_launcher(tmp_path, text)
    # Not in the directory of an MPI, mpi4py may find no library: that is one sentence as well.
    result = caligo(
        "generate", write_config(), "--ranks", 2, env=with_package(CALIGO_MPIRUN=str(launcher))
    )
    assert result.returncode == 2, result.stderr
    sentences = [line for line in result.stderr.splitlines() if line.startswith("caligo-mpi: ")]
    is_second_try = launches > 1
    assert len(sentences) == (3 if is_second_try else 1), result.stderr
    assert words in sentences[-1] or "MPI cannot be used" in sentences[-1]
    noted = tmp_path / "launches"
    assert (noted.read_text().count("x") if noted.exists() else 0) == launches
    assert not (tmp_path / "run.h5.part").exists()


def test_a_launcher_that_is_no_program_is_one_sentence(caligo, write_config, tmp_path):
    pytest.importorskip(
        "mpi4py", reason="mpi4py is not installed (numpy 1.26 environment without MPI)"
    )
    for asked in ("no-such-launcher", str(write_config())):
        result = caligo(
            "generate", write_config(), "--ranks", 2, env=with_package(CALIGO_MPIRUN=asked)
        )
        one_sentence(result, f"CALIGO_MPIRUN={asked}", "is not a program")


def test_absurd_numbers_are_refused(caligo, write_config):
    pytest.importorskip(
        "mpi4py", reason="mpi4py is not installed (numpy 1.26 environment without MPI)"
    )
    most = 64 * len(os.sched_getaffinity(0))
    one_sentence(
        caligo("generate", write_config(), "--ranks", 1_000_000), "ranks=1000000", f"at most {most}"
    )
    one_sentence(
        caligo("generate", write_config(), "--restarts", -5), "faults.restarts=-5", "from 0 to"
    )
    for arguments in (("--ranks", "9" * 5000), ("--ranks", "²"), ("--restarts", "-5")):
        result = caligo("distill", "run.h5", "--config", "x", "-o", "keys.h5", *arguments)
        assert result.returncode == 2
        assert result.stderr.splitlines()[-1].endswith(("1048576", "1000000")), result.stderr
