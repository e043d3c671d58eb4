"""What keys files say of security: the parts, their sum, and how often honest parties abort."""

from __future__ import annotations

import json

import h5py
import pytest

import caligo_mpi
from caligo_mpi.protocol.types import Block
from caligo_mpi.runs import devices, security
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.modes import mode_of

ROT = {
    "mode": "rot",
    "seed": 5,
    "storage_r": 0.75,
    "storage_rate": 0.002,
    "epsilon": 1e-7,
    "failure_target": 0.001,
}


def run_config(pairs=400_000, fidelity=0.999, **engine):
    engine = {"name": "noise", "link": {"fidelity": fidelity}, **engine}
    return caligo_mpi.parse_config({"pairs": pairs, "seed": 3, "engine": engine})


def said(tmp_path, protocol, run=None):
    """The statement of a finished file, as anybody reads it."""
    generate(run or run_config(40_000), tmp_path / "run.h5")
    distill(prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(protocol)), tmp_path / "keys.h5")
    with h5py.File(tmp_path / "keys.h5") as file:
        return json.loads(file.attrs["security"])


def test_a_transfers_epsilon_is_the_sum_of_its_parts(tmp_path):
    found = said(tmp_path, ROT)
    assert found["epsilon_parts"] == pytest.approx(
        {"losses": 3e-7, "uncertainty": 2e-7, "storage": 2e-7, "amplification": 1e-7, "tags": 1e-7}
    )
    assert (
        found["epsilon_total"]
        == pytest.approx(sum(found["epsilon_parts"].values()))
        == pytest.approx(9e-7)
    )
    assert found["epsilon_rob"] == pytest.approx(3e-7, rel=1e-3)
    assert found["failure_target"] == 0.001
    assert {"read-out is symmetric", "SHA-256 hides and binds"} < set(found["assumed"])


def test_a_keys_epsilon_is_secrecy_plus_correctness(tmp_path):
    found = said(
        tmp_path,
        {
            "mode": "bbm92",
            "seed": 1,
            "block_size": 10_000,
            "epsilon_sec": 1e-9,
            "epsilon_cor": 1e-10,
        },
    )
    assert found["epsilon_total"] == pytest.approx(1.1e-9)
    assert found["epsilon_sec_per_block"] * 4 == pytest.approx(1e-9)
    # Four blocks, each of which takes fair coins for unfair ones with 2 ε_sec; error rates are far below the limit.
    assert found["epsilon_rob"] == pytest.approx(8e-9, rel=1e-3)


@pytest.mark.parametrize("test", ["random", "X"])
def test_honest_blocks_abort_as_often_as_said(tmp_path, test):
    """400 blocks; 4.9 standard deviations, false alarm 1e-6."""
    run = run_config(fidelity=1 - 1.5 * 0.04, alice={"T2_ns": 100.0, "storage_time_ns": 2.0})
    law = devices.expected(run)
    protocol = {"mode": "bbm92", "seed": 1, "test": test, "qber_limit": 0.08, "block_size": 1000}
    config = caligo_mpi.parse_protocol({**protocol, "test_fraction": 0.2, "epsilon_sec": 0.001})
    generate(run, tmp_path / "run.h5")
    keys = distill(prepare(tmp_path / "run.h5", config), tmp_path / "keys.h5").keys
    over = int((keys.blocks["abort_reason"] == b"the error rate is over the limit").sum())
    uneven = int((keys.blocks["abort_step"] == b"sift").sum())
    one = security.honest_aborts(config, law, [Block(0, 0, 1000)])
    chance = one - (0.002 if test == "random" else 0)
    assert 0.02 < chance < 0.3
    assert abs(over - 400 * chance) < 4.9 * (400 * chance) ** 0.5
    assert uneven <= 0.002 * 400 + 4.9
    assert keys.info.security["epsilon_rob"] == 1.0


def test_where_no_rate_is_known_none_is_said():
    link = {"type": "heralded-double-click", "length_km": 1.0}
    run = caligo_mpi.parse_config(
        {"pairs": 8, "seed": 1, "engine": {"name": "netsquid", "link": link}}
    )
    assert devices.expected(run) is None
    config = caligo_mpi.parse_protocol({"mode": "bbm92", "seed": 1})
    found = security.statement(config, run, mode_of("bbm92").premises(run), [Block(0, 0, 1000)])
    assert found["epsilon_rob"] is None
    assert json.loads(json.dumps(found)) == found


def test_netsquid_has_its_closed_forms():
    run = caligo_mpi.parse_config(
        {
            "pairs": 8,
            "seed": 1,
            "engine": {"name": "netsquid", "link": {"fidelity": 0.7, "cycle_time_ns": 10}},
        }
    )
    assert devices.expected(run).qber_z == pytest.approx(0.2)
    config = caligo_mpi.parse_protocol({"mode": "bbm92", "seed": 1})
    assert security.honest_aborts(config, devices.expected(run), [Block(0, 0, 100_000)]) == 1.0
