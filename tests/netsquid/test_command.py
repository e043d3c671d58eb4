"""The command with the NetSquid engine, on the stand-in: ranks, sequential runs, the choice of engine, acceptance."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml
from helpers import ROOT

from caligo_mpi import load_config, open_pairs, read_pairs, status
from caligo_mpi.engines.netsquid import NetsquidEngine, probe
from caligo_mpi.launch.mpirun import mpirun_command
from caligo_mpi.machine.wording import duration
from caligo_mpi.pairs import Chunk, PairArrays
from caligo_mpi.store import pairs_hash

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

CONFIG = {
    "pairs": 600,
    "seed": 5,
    "chunk_size": 104,
    "engine": {
        "name": "netsquid",
        "link": {"fidelity": 0.9, "prob_success": 0.5, "cycle_time_ns": 1000},
    },
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture
def run(tmp_path):
    def command(*arguments, ranks=1):
        line, extra = mpirun_command(ranks) if ranks > 1 else ([], {})
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "netsquid_standin")])
        result = subprocess.run(
            [*line, sys.executable, "-m", "caligo_mpi", *map(str, arguments)],
            cwd=tmp_path, env={**extra, **os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result

    return command


def test_a_file_without_columns_has_them_simulated_again(run, config, tmp_path):
    run("generate", config, "-q", "-o", "full.h5")
    run("generate", config, "-q", "-o", "run.h5", "--set", "output.keep=records")
    assert status(tmp_path / "run.h5").data_digest == status(tmp_path / "full.h5").data_digest
    mine, theirs = (read_pairs(tmp_path / f"{name}.h5").named() for name in ("run", "full"))
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert "all is well" in run("verify", "run.h5", "--resample", "2").stdout
    seconds = sum(open_pairs(tmp_path / "run.h5").chunks["seconds"])
    said = run("distill", "run.h5", "-q").stderr
    assert f"its chunks are simulated again, about {duration(seconds)} of one core" in said


def test_the_file_is_identical_on_one_two_and_three_ranks(run, config, tmp_path):
    for ranks in (1, 2, 3):
        run("generate", config, "-q", "-o", f"{ranks}.h5", ranks=ranks)
    assert (
        len(
            {
                (status(tmp_path / f"{n}.h5").data_digest, pairs_hash(tmp_path / f"{n}.h5"))
                for n in (1, 2, 3)
            }
        )
        == 1
    )


def test_provenance_never_calls_the_stand_in_netsquid(run, config, tmp_path):
    run("generate", config, "-q", "-o", "run.h5")
    assert status(tmp_path / "run.h5").engine == "netsquid (stand-in)"


def test_chunks_simulated_again_are_the_same(run, config):
    run("generate", config, "-q", "-o", "run.h5")
    assert "all is well" in run("verify", "run.h5", "--resample", "2").stdout


def test_a_sequential_run_gives_the_pairs_of_the_engine_and_a_transcript(run, config, tmp_path):
    import h5py

    run("sequential", config, "-o", "seq.h5", "--trace", "trace.tsv", "--set", "engine.hold=1")
    found = read_pairs(tmp_path / "seq.h5")
    settled = load_config(config, ["engine.hold=1"])
    engine = NetsquidEngine(settled.engine)
    expected = PairArrays.unpacked(engine.sample(600, Chunk(0, 0, 600).seed_sequence(5)))
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine is None and theirs is None) or (mine == theirs).all()
    with h5py.File(tmp_path / "seq.h5") as file:
        messages = json.loads(file.attrs["transcript"])
        test = json.loads(file.attrs["test"])
    assert messages[0]["what"].startswith("commit")
    assert all(message["received_ns"] >= message["sent_ns"] for message in messages)
    assert np.isin(test["rows"], np.arange(600)).all()
    assert len((tmp_path / "trace.tsv").read_text().splitlines()) > 1200


def test_auto_takes_netsquid_for_times_and_for_few_pairs(run, tmp_path):
    engine = {"name": "auto", "link": CONFIG["engine"]["link"]}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump({"pairs": 50, "seed": 1, "engine": engine}))
    assert "engine auto: netsquid" in run("generate", "few.yaml", "-o", "few.h5").stderr
    (tmp_path / "times.yaml").write_text(
        yaml.safe_dump(
            {"pairs": 1500, "seed": 1, "chunk_size": 8, "engine": {**engine, "needs_time": True}}
        )
    )
    assert "name: netsquid" in run("validate", "times.yaml").stdout
    (tmp_path / "many.yaml").write_text(
        yaml.safe_dump({"pairs": 1500, "seed": 1, "engine": engine})
    )
    assert "engine auto: noise" in run("generate", "many.yaml", "-o", "many.h5").stderr


def test_the_engines_verb_runs_the_acceptance_and_writes_one_file_to_send(run, tmp_path):
    said = run("engines", "--accept", "netsquid", "--pairs", "300", "--report", "report.json")
    assert "FAIL" not in said.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    lines = [f"{one['word']}  {one['title']}: {one['detail']}" for one in report["checks"]]
    assert lines == [line for line in said.stdout.splitlines() if line[:4] in ("PASS", "SKIP")]
    assert report["engine"] == "netsquid (stand-in)"
    assert report["accepted"] is True
    assert {"squidasm", "netqasm", "numpy"} <= report["versions"].keys()
    stations = [one for one in report["checks"] if "attempts" in one["numbers"]]
    assert len(stations) == 4
    assert all(sum(one["numbers"]["outcomes"]) == 300 for one in stations)
