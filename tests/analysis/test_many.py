"""Many files as one table: what is found, what is a column, and what is read when."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, environment, stopping_after

import caligo_mpi
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.runs.default_protocol import choose_protocol
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate

FIDELITY = "engine.link.fidelity"
FIDELITIES = (0.9, 0.95, 0.99)
PAIRS = 60_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pairs files that differ in one parameter, keys of one of them, and a sweep."""
    found = tmp_path_factory.mktemp("many")
    for fidelity in FIDELITIES:
        engine = {"name": "noise", "link": {"fidelity": fidelity}, "bob": {"basis_bias": 0.4}}
        values = {"pairs": PAIRS, "seed": 3, "chunk_size": 4096, "engine": engine}
        generate(caligo_mpi.parse_config(values), found / f"F{fidelity}.h5")
    choice = choose_protocol(found / "F0.99.h5")
    distill(prepare(found / "F0.99.h5", choice.config), found / "F0.99.keys.h5")
    sweep = [ROOT / "configs" / "sweep-fidelity.yaml", "-o", "points", "--set", "base.pairs=2000"]
    line = [sys.executable, "-m", "caligo_mpi", "sweep", *map(str, sweep), "-q"]
    subprocess.run(line, cwd=found, env=environment(), check=True, capture_output=True)
    return found


def test_a_row_per_file_with_parameters_and_results_as_columns(folder):
    runs = caligo_mpi.open_runs(folder / "F0.?*.h5")
    pairs = runs[runs["kind"] == "pairs"]
    assert pairs.axes == (FIDELITY,)
    assert pairs[FIDELITY].tolist() == list(FIDELITIES)
    assert pairs["seed"].tolist() == [3, 3, 3]
    for row, fidelity in enumerate(FIDELITIES):
        with pairs.open(row) as file:
            tally = file.tally()
        assert pairs["errors_z"][row] == tally.errors_z
        assert pairs["sifted_x"][row] == tally.sifted_x
        assert pairs["expected_qber_z"][row] == pytest.approx(2 * (1 - fidelity) / 3)
        assert pairs["qber_z_low"][row] < pairs["qber_z"][row] < pairs["qber_z_high"][row]
    assert set(pairs["state"]) == {"complete"}


def test_keys_have_the_parameters_of_their_run_and_of_their_protocol(folder):
    (row,) = caligo_mpi.open_runs(folder / "F0.99.keys.h5").rows()
    keys = caligo_mpi.read_keys(folder / "F0.99.keys.h5")
    assert row[FIDELITY] == 0.99
    assert row["protocol.mode"] == "bbm92"
    assert row["key_bits"] == keys.key_bits > 0
    assert row["keys_agree"] is True
    assert row["tested_qber"] == pytest.approx(2 * 0.01 / 3, rel=0.5)


def test_a_sweep_has_a_row_per_point(folder):
    runs = caligo_mpi.open_runs(folder / "points")
    sweep = caligo_mpi.read_sweep(folder / "points")
    assert len(runs) == len(sweep)
    assert runs[FIDELITY].tolist() == sweep[sweep.axes[0]].tolist()
    assert runs["qber_z"].tolist() == sweep["qber_z"].tolist()
    assert set(runs["kind"]) == {"point"}
    assert len(caligo_mpi.open_runs(folder / "points" / "sweep.h5")) == len(sweep)


@pytest.mark.parametrize(
    ("library", "method"),
    [("pandas", "to_pandas"), ("polars", "to_polars"), ("pyarrow", "to_arrow"), ("xarray", "to_xarray")],
)  # fmt: skip
def test_all_kinds_together_are_a_table_of_each_library(folder, library, method):
    pytest.importorskip(library, reason=f"{library} (extra frames) is not installed")
    runs = caligo_mpi.open_runs(folder)
    assert {*runs["kind"]} == {"pairs", "keys", "point"}
    table = getattr(runs, method)()
    assert np.asarray(table["pairs"]).tolist() == runs["pairs"].tolist()
    assert np.asarray(table[FIDELITY]).tolist() == runs[FIDELITY].tolist()
    part = getattr(runs, method)(["file", "qber_z"])
    known = (
        [*part.data_vars] if library == "xarray" else getattr(part, "column_names", part.columns)
    )
    assert [*known] == ["file", "qber_z"]


def test_rows_of_pairs_come_as_one_stream_with_the_parameters_beside_them(folder):
    pytest.importorskip("pyarrow", reason="pyarrow (extra frames) is not installed")
    reader = caligo_mpi.open_runs(folder / "*.h5").to_batches(["alice_outcome", "bob_outcome"])
    assert reader.schema.names == [FIDELITY, "alice_outcome", "bob_outcome"]
    table = reader.read_all()
    assert table.num_rows == PAIRS * len(FIDELITIES)
    of_one = np.asarray(table[FIDELITY]) == 0.95
    expected = caligo_mpi.read_pairs(folder / "F0.95.h5").alice_outcome
    assert (np.asarray(table["alice_outcome"])[of_one] == expected).all()


def test_results_are_read_when_they_are_asked_for(tmp_path):
    generate(caligo_mpi.parse_config(_config()), tmp_path / "a.h5")
    runs = caligo_mpi.open_runs(tmp_path / "a.h5")
    (tmp_path / "a.h5").unlink()
    assert runs["engine.link.fidelity"].tolist() == [0.9]
    with pytest.raises(StoreError, match=r"a\.h5"):
        runs["qber_z"]


def _config():
    return {"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 0.9}}}


def test_a_partial_file_is_a_row_as_far_as_it_goes(tmp_path):
    config = caligo_mpi.parse_config({**_config(), "pairs": 10_000, "chunk_size": 1024})
    generate(config, tmp_path / "run.h5", map=stopping_after(3))
    (row,) = caligo_mpi.open_runs(tmp_path / "*.part").rows()
    assert row["file"] == str(tmp_path / "run.h5")
    assert (row["state"], row["pairs"], row["pairs_asked"]) == ("partial", 3 * 1024, 10_000)


@pytest.mark.parametrize("name", ["none-*.h5", "", "none.h5"])
def test_what_fits_nothing_is_one_sentence(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    with pytest.raises((ConfigError, StoreError), match="name a") as found:
        caligo_mpi.open_runs(name)
    assert "\n" not in str(found.value)


def test_a_foreign_file_is_named_or_left_out(folder, tmp_path):
    (tmp_path / "foreign.h5").write_text("not HDF5")
    with pytest.raises(StoreError, match=r"foreign\.h5"):
        caligo_mpi.open_runs(tmp_path / "*.h5", folder)
    runs = caligo_mpi.open_runs(tmp_path / "*.h5", folder / "F0.9.h5", skip_unreadable=True)
    assert len(runs) == 1
    assert [path.name for path, _ in runs.skipped] == ["foreign.h5"]
    with pytest.raises(ConfigError, match="can be read"):
        caligo_mpi.open_runs(tmp_path / "*.h5", skip_unreadable=True)


def test_wrong_columns_of_tables_are_named(folder):
    pytest.importorskip("pandas", reason="pandas is not installed")
    with pytest.raises(ConfigError, match="nonsense"):
        caligo_mpi.open_runs(folder).to_pandas(["nonsense"])


def test_wrong_columns_and_rows_are_named(folder):
    runs = caligo_mpi.open_runs(folder)
    with pytest.raises(KeyError, match="no column"):
        runs["qber_y"]
    keys = runs[runs["kind"] == "keys"]
    with pytest.raises(StoreError, match="no pairs file"):
        keys.open(0)
    assert len(runs[:2]) == len(runs[[0, 1]]) == 2
