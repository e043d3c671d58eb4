"""Runs of the command with the SeQUeNCe engine: ranks, policies, another process, acceptance."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, environment, identity
from sequence_settings import LOSSY, PHOTONS, STORED, sample_of

from caligo_mpi import status
from caligo_mpi.engines.sequence import probe

if probe():
    pytest.skip("runs in the environment of tests/sequence_env.sh", allow_module_level=True)

CHUNKED = {"pairs": 160, "seed": 5, "chunk_size": 24}


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("engine", "cases"),
    [(STORED, ["2 static", "3 guided", "2 adaptive"]), (PHOTONS, ["2 dynamic"])],
    ids=["memories", "photons"],
)
def test_the_file_is_one_on_any_ranks_by_any_policy(
    caligo, mpirun, write_config, tmp_path, engine, cases
):
    config = write_config(engine=engine, **CHUNKED)
    output = tmp_path / "1.h5"
    assert caligo("generate", config, "-q", "-o", output).returncode == 0
    found = {identity(output)}
    for case in cases:
        ranks, policy = case.split()
        line, extra = mpirun(int(ranks))
        output = tmp_path / f"{ranks}-{policy}.h5"
        command = [*line, sys.executable, "-m", "caligo_mpi", "generate", str(config), "-q"]
        command += ["-o", str(output), "--set", f"schedule.policy={policy}"]
        subprocess.run(command, env=extra, cwd=tmp_path, timeout=120, check=True)
        found.add(identity(output))
    assert len(found) == 1
    assert status(output).engine == "sequence"
    checked = caligo("verify", output, "--resample", 2)
    assert "all is well" in checked.stdout, checked.stderr


def test_a_chunk_is_the_same_in_any_process_after_any_other():
    """Here after chunks of both modes, there as the first thing that a process does."""
    code = (
        "import json, sys\n"
        "from sequence_settings import sample_of\n"
        "print([sample_of(json.loads(section), 24, 3).checksum() for section in sys.argv[1:]])\n"
    )
    sections = [LOSSY, PHOTONS]
    line = [sys.executable, "-c", code, *map(json.dumps, sections)]
    extra = environment(PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    there = subprocess.run(line, env=extra, capture_output=True, text=True, check=True, timeout=60)
    for section in (PHOTONS, LOSSY):
        sample_of(section, 8, chunk=9)
    here = [sample_of(section, 24, 3).checksum() for section in sections]
    assert json.loads(there.stdout) == here


def test_the_acceptance_run_writes_one_file_to_send(caligo, tmp_path):
    result = caligo("engines", "--accept", "sequence", "--pairs", 100, "--report", "report.json")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["engine"] == "sequence"
    assert report["accepted"] is True
    assert report["versions"]["sequence"].startswith("1.3")
    assert {check["word"] for check in report["checks"]} == {"PASS"}
    assert all(check["seconds"] >= 0 for check in report["checks"])
    measured = [check["numbers"] for check in report["checks"] if check["numbers"]]
    assert any("qber_z" in numbers for numbers in measured)


def test_rows_are_read_back(caligo, write_config, tmp_path):
    from caligo_mpi import read_pairs

    config = write_config(engine=LOSSY, **CHUNKED)
    assert caligo("generate", config, "-q", "-o", "run.h5").returncode == 0
    pairs = read_pairs(tmp_path / "run.h5").named()
    assert np.all(pairs["attempts"] >= 1)
    assert set(np.unique(pairs["bell_state"])) <= {1, 2}
    analyzed = caligo("analyze", "run.h5")
    assert analyzed.returncode == 0, analyzed.stdout + analyzed.stderr
