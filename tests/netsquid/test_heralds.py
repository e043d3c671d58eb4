"""What a link says of its pairs: attempts and Bell states, stored as declared columns."""

import numpy as np
import pytest

from caligo_mpi import open_pairs, parse_config, read_pairs
from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines.heralded import heralded
from caligo_mpi.engines.netsquid import NetsquidEngine, probe
from caligo_mpi.pairs.checks import breach_of_declared
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.verify import verify

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

HERALDED = {"type": "heralded-double-click", "length_km": 2.0, "detector_efficiency": 0.9}
UNSURE = {"fidelity": 0.8, "prob_success": 0.3, "cycle_time_ns": 700}
DEVICE = {"measure_time_ns": 130.0, "single_qubit_gate_time_ns": 45.0, "T1_ns": 1e6, "T2_ns": 5e5}


def engine(**fields):
    return NetsquidEngine(NetsquidConfig.model_validate({"name": "netsquid", **fields}))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"link": HERALDED}, ["attempts", "bell_state"]),
        ({"link": UNSURE, "hold": 1}, ["attempts"]),
        ({"link": UNSURE}, []),
        ({"link": {**UNSURE, "prob_success": 1}, "hold": 1}, []),
        ({"link": {"type": "perfect"}, "hold": 1}, []),
    ],
)
def test_columns_are_declared_where_the_link_has_something_to_say(fields, names):
    assert [column.name for column in engine(**fields).columns] == names


@pytest.mark.parametrize(
    ("link", "success", "cycle"),
    [
        (UNSURE, 0.3, 700),
        (HERALDED, heralded(NetsquidConfig(name="netsquid", link=HERALDED).link).success, 10_000),
    ],
)
def test_attempts_have_a_geometric_law_and_tell_the_times(link, success, cycle):
    """Mean within 4.9 standard deviations and share of first attempts, too: false alarm 1e-6 each."""
    count = 700
    pairs = engine(link=link, device=DEVICE, hold=1).sample(count, np.random.SeedSequence(41))
    attempts = pairs.extra["attempts"].astype(float)
    assert attempts.min() == 1
    spread = np.sqrt((1 - success) / count) / success
    assert abs(attempts.mean() - 1 / success) <= 4.9 * spread
    first = np.mean(attempts == 1)
    assert abs(first - success) <= 4.9 * np.sqrt(success * (1 - success) / count)
    either_x = np.unpackbits(pairs.alice_basis | pairs.bob_basis, count=count, bitorder="little")
    law = np.cumsum(attempts * cycle + 130.0 + 45.0 * either_x)
    assert np.abs(pairs.time - law).max() < 1e-3


def test_heralded_states_are_psi_plus_and_psi_minus_alike():
    """4.9 standard deviations: false alarm 1e-6."""
    state = engine(link=HERALDED).sample(700, np.random.SeedSequence(42)).extra["bell_state"]
    assert set(state.tolist()) == {1, 2}
    assert abs(np.mean(state == 1) - 0.5) <= 4.9 * 0.5 / np.sqrt(700)


def test_a_file_has_them_and_a_shorter_run_is_extended(tmp_path):
    path = tmp_path / "run.h5"
    run = {
        "pairs": 150,
        "seed": 5,
        "chunk_size": 64,
        "engine": {"name": "netsquid", "link": HERALDED},
    }
    generate(parse_config(run), path)
    generate(parse_config({**run, "pairs": 250}), path)
    generate(parse_config({**run, "pairs": 250}), tmp_path / "whole.h5")
    assert verify(path, resample=2).ok
    grown, whole = read_pairs(path), read_pairs(tmp_path / "whole.h5")
    assert list(grown.extra) == ["attempts", "bell_state"]
    assert all(np.array_equal(grown.extra[name], whole.extra[name]) for name in grown.extra)
    with open_pairs(path) as file:
        assert file["bell_state"].flags == {0: "phi+", 1: "psi+", 2: "psi-", 3: "phi-"}
        assert file["attempts"][:].min() >= 1


def test_they_keep_what_every_engine_promises():
    whole = engine(link=HERALDED, device=DEVICE).sample(60, np.random.SeedSequence(43))
    short = engine(link=HERALDED, device=DEVICE).sample(13, np.random.SeedSequence(43))
    assert breach_of_declared(whole, engine(link=HERALDED).columns) == ""
    assert whole.part(0, 13).checksum() == short.checksum()
