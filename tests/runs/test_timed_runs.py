"""Runs on links whose attempts take time: what is said of times, what is stored, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from helpers import identity

from caligo_mpi import load_config, parse_config, read_pairs
from caligo_mpi.runs.generate import generate

RUN = {
    "pairs": 30_001,
    "seed": 5,
    "chunk_size": 8_000,
    "engine": {
        "name": "noise",
        "link": {"fidelity": 0.95, "prob_success": 0.01, "length_km": 25},
        "device": {"T2_ns": 1e9},
        "hold": 3,
        "max_wait_ns": 5e7,
    },
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(RUN))
    return path


def test_closed_forms_of_times_are_said_before_and_after(caligo, config, tmp_path):
    """Four chunks end within a request of three, whose time counts whole; false alarm 1e-6."""
    before = caligo("validate", config).stdout
    assert "# times: 3 pairs take 3.75e+07 ns (standard deviation 2.15421e+07 ns)" in before
    forecast = json.loads(caligo("validate", config, "--json").stdout)
    assert forecast["expected_request_ns"] == pytest.approx(3.75e7)
    assert forecast["expected_rows_per_second"] == pytest.approx(80 * forecast["coincidence"])
    found = json.loads(caligo("generate", config, "-o", "run.h5", "--json").stdout)
    requests = 3 * 2667 + 2001
    spread = (requests * found["expected_request_variance_ns2"]) ** 0.5
    far = (found["duration_ns"] - requests * 3.75e7) / spread
    assert found["sigma_time"] == pytest.approx(far, abs=0.01)
    assert abs(far) < 4.9
    again = caligo("generate", config, "-o", "run.h5")
    assert "simulated, 1.2" in again.stdout
    assert "ns for each pair (closed form 1.25e+07 ns" in again.stdout


def test_a_file_with_times_is_verified_and_read(tmp_path, config):
    from caligo_mpi.runs.verify import verify

    generate(load_config(config), tmp_path / "run.h5")
    assert verify(tmp_path / "run.h5", resample=2).ok
    pairs = read_pairs(tmp_path / "run.h5")
    assert len(pairs.index) < RUN["pairs"]
    assert (np.diff(pairs.index.astype(np.int64)) > 0).all()
    assert pairs.extra["attempts"].min() >= 1
    assert set(pairs.extra) == {"attempts"}


@pytest.mark.mpi
def test_the_file_is_one_on_any_ranks_by_any_policy(caligo, mpirun, config, tmp_path):
    config.write_text(yaml.safe_dump(RUN | {"chunk_size": 1600}))
    assert caligo("generate", config, "-q", "-o", tmp_path / "1.h5").returncode == 0
    found = {identity(tmp_path / "1.h5")}
    for case in ("2 static", "3 dynamic", "2 guided", "3 adaptive"):
        ranks, policy = case.split()
        line, extra = mpirun(int(ranks))
        output = tmp_path / f"{policy}.h5"
        command = [*line, sys.executable, "-m", "caligo_mpi", "generate", str(config), "-q"]
        command += ["-o", str(output), "--set", f"schedule.policy={policy}"]
        subprocess.run(command, env=extra, cwd=tmp_path, timeout=120, check=True)
        found.add(identity(output))
    assert len(found) == 1


def test_chunks_with_times_are_smaller_unless_told():
    values = {key: value for key, value in RUN.items() if key != "chunk_size"}
    assert parse_config(values).chunk_size == 1 << 20
    plain = {"name": "noise", "link": {"fidelity": 0.95}}
    assert parse_config({**values, "engine": plain}).chunk_size == 1 << 24


def test_counts_alone_are_refused_and_so_is_oblivious_transfer_with_uneven_bits(caligo, config):
    refused = caligo("generate", config, "--set", "output.keep=counts", "-o", "counts.h5")
    assert refused.returncode == 2
    assert "a link whose attempts take no time" in refused.stderr
    from caligo_mpi.errors import ConfigError
    from caligo_mpi.runs.devices import require_transfer

    engine = {"name": "noise", "link": {"type": "heralded-single-click", "length_km": 1}}
    with pytest.raises(
        ConfigError, match="heralded-single-click makes pairs whose bits are uneven"
    ):
        require_transfer(parse_config({"pairs": 8, "seed": 1, "engine": engine}), source="run.h5")


@pytest.mark.parametrize(
    "link",
    [
        {"type": "perfect"},
        {"fidelity": 0.9, "cycle_time_ns": 5},
        {"prob_max_mixed": 0.1, "length_km": 5},
        {"type": "heralded", "pauli": [0.1, 0, 0], "length_km": 5, "dark_count_probability": 1e-3},
        {"type": "heralded-double-click", "length_km": 5, "cycle_time_ns": 7},
        {"type": "heralded-single-click", "length_km": 5, "bright_population": 0.1},
    ],
    ids=str,
)
def test_what_a_file_stores_of_a_configuration_is_the_configuration(link):
    run = parse_config({"pairs": 8, "seed": 1, "engine": {"name": "noise", "link": link}})
    again = type(run).from_json(json.dumps(run.resolved()))
    assert again == run
    assert again.digest(1) == run.digest(1)
