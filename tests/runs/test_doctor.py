"""caligo-mpi doctor: alone, on ranks, and where something is not well."""

import json
import os
import sys

import pytest


def findings(result):
    """What was found, by what was looked at; the last one where there are several."""
    return {one["what"]: one for one in json.loads(result.stdout)}


def test_alone_it_tells_what_is_here(caligo):
    result = caligo("doctor", "--json")
    found = findings(result)
    assert result.returncode == 0, result.stdout
    assert {"software", "mpi", "memory", "output", "room", "locks", "simulating"} <= set(found)
    assert "numpy" in found["software"]["told"]
    assert "noise" in found["engines"]["told"]
    assert {one["verdict"] for one in found.values()} <= {"ok", "warning"}


def test_its_table_fits_a_terminal_of_100_columns_and_ends_with_a_verdict(caligo, tmp_path):
    lines = caligo("doctor", "-o", ".").stdout.splitlines()
    assert lines[-1] == "all is well" or "failure" in lines[-1]
    words = [word for line in lines for word in line.split() if len(word) > 60]
    assert max(len(line) for line in lines if not set(line.split()) & set(words)) <= 100


def test_an_output_that_is_not_there_is_a_failure_with_a_remedy(caligo, tmp_path):
    result = caligo("doctor", "--json", "-o", tmp_path / "nowhere" / "run.h5")
    assert result.returncode == 1
    assert findings(result)["output"]["verdict"] == "failure"
    assert "create it" in findings(result)["output"]["remedy"]


@pytest.mark.mpi
def test_ranks_are_placed_measured_and_warned_of_sharing_cores(caligo, mpirun, tmp_path):
    mpirun(2)
    ranks = len(os.sched_getaffinity(0)) + 1
    result = caligo("doctor", "--json", "--ranks", ranks)
    found = findings(result)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"a world of {ranks}" in found["mpi"]["told"]
    assert found["ranks"]["told"].startswith(f"{ranks} ranks on 1 host: 0 on ")
    assert found["cores"]["verdict"] == "warning"
    assert "µs one way" in found["messages"]["told"]
    assert f"on {ranks} ranks" in found["simulating"]["told"]
    assert list(tmp_path.iterdir()) == []  # what was written to measure speed is gone


@pytest.mark.mpi
def test_a_launcher_of_another_mpi_is_found_out(caligo, mpirun, tmp_path):
    mpirun(2)
    launcher = tmp_path / "mpirun"
    launcher.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo mpich; exit; fi\nshift 2\n"$@" & "$@"\nwait\n'
    )
    launcher.chmod(0o755)
    env = {**os.environ, "CALIGO_MPIRUN": str(launcher)}
    result = caligo("doctor", "--json", "--ranks", 2, env=env)
    assert result.returncode == 1
    assert "a world of 1" in findings(result)["mpi"]["told"]


def test_a_launcher_that_starts_nothing_is_a_failure(caligo, tmp_path):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    launcher = tmp_path / "mpirun"
    launcher.write_text("#!/bin/sh\necho mpich\n")
    launcher.chmod(0o755)
    env = {**os.environ, "CALIGO_MPIRUN": str(launcher)}
    result = caligo("doctor", "--json", "--ranks", 2, env=env)
    assert (result.returncode, findings(result)["mpi"]["verdict"]) == (1, "failure")
    assert sys.executable not in result.stdout
