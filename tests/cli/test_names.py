"""Names on the command line, alone and under a real mpirun: the same file, whatever it is called."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid

import pytest
from helpers import ROOT, environment, names

from caligo_mpi import status
from caligo_mpi.errors import StoreError
from caligo_mpi.launch import processes
from tests.faults.campaign import MARK, ranks_of

RANKS = [[], pytest.param(["--ranks", "2"], marks=pytest.mark.mpi)]


@pytest.fixture
def launched(caligo, mpirun):
    """Run the command, which skips the test where it asks for ranks and there is no MPI."""

    def run(*arguments, **options):
        if "--ranks" in arguments:
            mpirun(2)
        return caligo(*arguments, **options)

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "run.yaml", "-o", "."], ". is a directory; name a file in it"),
        (["generate", "run.yaml", "-o", "/", "--force"], "/ is a directory; name a file in it"),
        (["generate", "run.yaml", "-o", ""], "the name of a file is empty"),
        (["generate", "run.yaml", "-o", "x" * 5000], "too many for a path"),
        (["status", "."], ". is a directory"),
        (["verify", ""], "the name of a file is empty"),
        (["export", "..", "--to", "csv"], ".. is a directory"),
        (
            ["distill", ".", "--config", f"{ROOT}/configs/bbm92.yaml", "-o", "keys.h5"],
            ". is a directory",
        ),
        (["distill", "x", "--config", f"{ROOT}/configs/bbm92.yaml", "-o", "."], ". is a directory"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_is_no_name_of_a_file_is_one_sentence(
    caligo, write_config, tmp_path, arguments, words
):
    write_config()
    result = caligo(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "--force" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert names(tmp_path) == ["run.yaml"]


@pytest.mark.parametrize("ranks", RANKS)
def test_names_that_begin_with_a_dash_or_mean_something_to_mpirun(
    launched, write_config, tmp_path, ranks
):
    write_config("-n.yaml")
    result = launched("generate", "--output=-x.h5", *ranks, "-q", "--", "-n.yaml")
    assert result.returncode == 0, result.stderr
    assert status(tmp_path / "-x.h5").complete
    result = launched(
        "distill", "-o", ":", "--config", f"{ROOT}/configs/bbm92.yaml", *ranks, "-q", "--", "-x.h5"
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / ":").exists()


@pytest.mark.parametrize("source", ["cat run.yaml | NAME", "NAME < run.yaml", "NAME"])
@pytest.mark.parametrize("ranks", RANKS)
def test_a_configuration_from_a_pipe_is_read_once(tmp_path, write_config, mpirun, ranks, source):
    if ranks:
        mpirun(2)
    write_config()
    name = "<(cat run.yaml)" if source == "NAME" else "/dev/stdin"
    line = source.replace("NAME", f'"$@" generate {name} {" ".join(ranks)} -q')
    (tmp_path / "short-lived").mkdir()
    result = subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, "-m", "caligo_mpi"], cwd=tmp_path, timeout=60, check=False,
        env=environment(TMPDIR=str(tmp_path / "short-lived")), capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert status(tmp_path / "run.h5").complete
    assert names(tmp_path / "short-lived") == []


@pytest.mark.mpi
def test_a_configuration_from_a_pipe_survives_a_restart_and_is_for_our_eyes_only(
    tmp_path, write_config, mpirun
):
    mpirun(2)
    text = write_config(engine={"name": "trouble"}).read_text()
    (tmp_path / "run.yaml").unlink()
    (tmp_path / "short-lived").mkdir()
    mark = uuid.uuid4().hex
    variables = {MARK: mark, "CALIGO_TEST_SECONDS": "0.1", "TMPDIR": str(tmp_path / "short-lived")}
    process = subprocess.Popen(
        [sys.executable, "-m", "caligo_mpi", "generate", "/dev/stdin", "--ranks", "2", "-q"], cwd=tmp_path,
        env=environment(**variables), stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    while not (tmp_path / "run.h5.part").exists() or not status(tmp_path / "run.h5").chunks_done:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    copies = list((tmp_path / "short-lived").glob("*/stdin"))
    assert [path.stat().st_mode & 0o777 for path in copies] == [0o600]
    os.kill(ranks_of(mark)[1], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "restart 1" in err
    assert status(tmp_path / "run.h5").complete
    assert names(tmp_path / "short-lived") == []
    assert list(processes.marked(MARK, mark)) == []


def test_a_mistake_in_a_configuration_from_a_pipe_names_it(caligo, tmp_path):
    pytest.importorskip(
        "mpi4py", reason="mpi4py is not installed (numpy 1.26 environment without MPI)"
    )
    result = caligo("generate", "/dev/stdin", "-o", "run.h5", "--ranks", 2, input="pairs: [")
    assert result.returncode == 2
    assert "stdin, line 1: not valid YAML" in result.stderr


def bound_by_permissions():
    """Even root may not write where the permissions forbid it: drop the two capabilities that let it."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(
            24, capability, 0, 0, 0
        )  # PR_CAPBSET_DROP; takes effect with the next exec


@pytest.mark.parametrize("ranks", RANKS)
def test_a_finished_file_in_a_read_only_directory_is_complete_already(
    launched, write_config, tmp_path, ranks
):
    config = write_config(output="results/run.h5")
    (tmp_path / "results").mkdir()
    assert launched("generate", config, "-q").returncode == 0
    (tmp_path / "results").chmod(0o555)
    try:
        options = {"preexec_fn": bound_by_permissions, "start_new_session": False}
        result = launched("generate", config, *ranks, **options)
        other = launched("generate", config, "-o", "results/other.h5", *ranks, **options)
    finally:
        (tmp_path / "results").chmod(0o755)
    assert result.returncode == 0, result.stderr
    assert "already complete" in result.stderr
    assert other.returncode == 2
    assert "results is not writable" in other.stderr


@pytest.mark.parametrize("value", ["run # 3.h5", "# 3.h5", "{path: run.h5} # 3"])
def test_the_end_of_a_value_is_not_lost_silently(caligo, write_config, tmp_path, value):
    result = caligo("generate", write_config(), "--set", f"output={value}")
    assert result.returncode == 2
    assert "for a comment; quote the value" in result.stderr
    assert names(tmp_path) == ["run.yaml"]


@pytest.mark.parametrize(
    ("value", "name"), [('"run # 3.h5"', "run # 3.h5"), ("run#3.h5", "run#3.h5")]
)
def test_a_number_sign_that_is_no_comment_is_part_of_the_name(
    caligo, write_config, tmp_path, value, name
):
    assert caligo("generate", write_config(), "-q", "--set", f"output={value}").returncode == 0
    assert status(tmp_path / name).complete


def test_a_trace_replaces_an_earlier_trace_and_nothing_else(tmp_path):
    from caligo_mpi.runs.sequential import _trace_name, _write_trace

    _write_trace(tmp_path / "trace.tsv", [])
    assert _trace_name(tmp_path / "trace.tsv") == tmp_path / "trace.tsv"
    assert _trace_name(tmp_path / "new.tsv") == tmp_path / "new.tsv"
    (tmp_path / "thesis").write_text("time")
    for name, words in (
        (tmp_path / "thesis", "is no trace"),
        (tmp_path, "is a directory"),
        ("none/x", "create it"),
    ):
        with pytest.raises(StoreError, match=words):
            _trace_name(name)


def test_no_name_reaches_the_terminal_as_an_order(caligo):
    result = caligo("status", "\x1b[2J\rx.h5")
    assert result.returncode == 2
    assert "\\x1b[2J\\rx.h5 does not exist" in result.stderr


@pytest.mark.mpi
def test_ranks_write_through_a_link(launched, write_config, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run.h5").symlink_to("scratch/run.h5")
    result = launched("generate", write_config(), "--ranks", 2, "-q")
    assert result.returncode == 0, result.stderr
    assert names(tmp_path / "scratch") == ["run.h5"]
    assert names(tmp_path) == ["run.h5", "run.yaml", "scratch"]
