"""Rows as tables of other libraries, parts of exports, and the joint distribution."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from helpers import ROOT

import caligo_mpi
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.runs.again import export
from caligo_mpi.runs.generate import generate
from caligo_mpi.store.joint import joint, joint_counts

LOSS = {"alice": {"detector_efficiency": 0.6}, "bob": {"detector_efficiency": 0.3}}
START, STOP = 1003, 9007


def run_config(**changes):
    engine = {"name": "noise", "link": {"fidelity": 0.9}, "bob": {"basis_bias": 0.4}, "loss": LOSS}
    return caligo_mpi.parse_config(
        {"pairs": 100_000, "seed": 5, "chunk_size": 8192, "engine": engine, **changes}
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A finished file with an index."""
    found = tmp_path_factory.mktemp("frames") / "run.h5"
    generate(run_config(), found)
    return found


@pytest.fixture(scope="module")
def arrays(path):
    """Its rows ``START`` to ``STOP``."""
    return caligo_mpi.read_pairs(path, START, STOP).named()


@pytest.mark.parametrize(
    ("library", "method"),
    [("pandas", "to_pandas"), ("polars", "to_polars"), ("pyarrow", "to_arrow"), ("xarray", "to_xarray")],
)  # fmt: skip
def test_a_range_of_rows_is_a_table_of_each_library(path, arrays, library, method):
    pytest.importorskip(library, reason=f"{library} (extra frames) is not installed")
    with caligo_mpi.open_pairs(path) as file:
        table = getattr(file, method)(START, STOP)
        part = getattr(file, method)(START, STOP, columns=["index", "bob_basis"])
    for name, values in arrays.items():
        assert (np.asarray(table[name]) == values).all()
        assert np.asarray(table[name]).dtype == values.dtype
    attribute = {"pyarrow": "column_names", "xarray": "data_vars"}.get(library, "columns")
    names = list(getattr(part, attribute))
    assert names == ["bob_basis", "index"]


def test_tables_say_whose_rows_they_are(path):
    pytest.importorskip("xarray", reason="xarray (extra frames) is not installed")
    with caligo_mpi.open_pairs(path) as file:
        data, frame = file.to_xarray(START, STOP), file.to_pandas(START, STOP)
        table = file.to_arrow(0, 10)
        assert data.attrs["data_digest"] == frame.attrs["data_digest"] == file.data_digest
        assert table.schema.metadata[b"config_digest"].decode() == file.digest
    assert data["alice_basis"].attrs["flag_meanings"] == "Z X"
    assert data.sel(row=START)["index"] == frame.loc[START, "index"]


def test_the_chunk_table_is_a_frame_as_it_is(path):
    pandas = pytest.importorskip("pandas", reason="pandas (extra frames) is not installed")
    with caligo_mpi.open_pairs(path) as file:
        frame = pandas.DataFrame(file.chunks)
        assert frame["rows"].sum() == file.rows


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"start": 5, "stop": 3}, "rows=5:3"),
        ({"stop": 10**9}, "rows=0:1000000000 are not within"),
        ({"start": -1}, "rows=-1:"),
        ({"columns": ["basis"]}, "columns='basis': the file has alice_basis, alice_outcome"),
        ({"columns": []}, "must be a list of names"),
        ({"columns": "index"}, "must be a list of names"),
    ],
)
def test_what_the_file_does_not_have_is_one_sentence(path, wanted, words):
    pytest.importorskip("pandas", reason="pandas (extra frames) is not installed")
    with caligo_mpi.open_pairs(path) as file, pytest.raises(ConfigError, match=words):
        file.to_pandas(**wanted)


# ── exports of a part ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["npz", "csv", "bytes", "parquet"])
def test_exports_take_rows_and_columns(path, arrays, tmp_path, kind):
    names = ["alice_outcome", "index"]
    target = tmp_path / f"part.{kind}"
    export(path, target, kind=kind, rows=(START, STOP), columns=names)
    if kind == "npz":
        found = dict(np.load(target))
    elif kind == "csv":
        table = np.genfromtxt(target, delimiter=",", names=True, dtype=np.int64)
        found = {name: table[name] for name in table.dtype.names}
    elif kind == "bytes":
        found = {one.stem: np.fromfile(one, f"<{one.suffix[1:]}") for one in target.iterdir()}
    else:
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
        found = parquet.read_table(target).to_pydict()
    assert sorted(found) == sorted(names)
    for name in names:
        assert (np.asarray(found[name]) == arrays[name]).all()


def test_the_command_takes_a_range_and_refuses_what_is_none(caligo, path):
    part = ("--rows", "5:8", "--columns", "bob_basis")
    result = caligo("export", path, "--to", "csv", "-o", "p.csv", *part)
    assert result.returncode == 0, result.stderr
    for wrong, words in (("5", "not a range"), ("5:100001", "not within"), ("8:5", "not within")):
        result = caligo("export", path, "--to", "csv", "-o", "q.csv", "--rows", wrong)
        assert result.returncode == 2
        assert words in result.stderr


# ── joint ────────────────────────────────────────────────────────────────────────────────────────


def test_the_joint_distribution_counts_every_row_and_every_emission(path, tmp_path):
    pairs = caligo_mpi.read_pairs(path)
    counts = np.zeros((2, 2, 2, 2), np.int64)
    np.add.at(
        counts, (pairs.alice_basis, pairs.bob_basis, pairs.alice_outcome, pairs.bob_outcome), 1
    )
    with caligo_mpi.open_pairs(path) as file:
        assert (joint_counts(file) == counts).all()
        clicks = int(file.total("alice_clicks"))
    target = export(path, tmp_path / "run.joint.json", kind="joint")
    found = json.loads(target.read_text())
    assert found["counts"] == counts.tolist()
    assert found["rows"] + sum(found["no_detection"].values()) == found["emissions"] == 100_000
    assert found["no_detection"]["alice_only"] == clicks - found["rows"]
    assert np.sum(found["p"], axis=(2, 3)) == pytest.approx(np.ones((2, 2)))
    every = np.sum(found["p_emission"], axis=(2, 3)) + sum(found["p_no_detection"].values())
    assert every == pytest.approx(np.ones((2, 2)))


def test_the_joint_distribution_is_there_for_matlab(path, tmp_path):
    io = pytest.importorskip("scipy.io", reason="scipy is not installed")
    target = export(path, tmp_path / "run.json", kind="joint")
    found = io.loadmat(tmp_path / "run.mat")
    assert found["counts"].tolist() == json.loads(target.read_text())["counts"]
    assert found["emissions"].item() == 100_000
    with pytest.raises(StoreError, match="overwritten"):
        export(path, tmp_path / "other.mat", kind="joint")
    with pytest.raises(ConfigError, match="all rows"):
        export(path, tmp_path / "x.json", kind="joint", rows=(0, 5))


@pytest.mark.parametrize("keep", ["records", "counts"])
def test_files_without_bits_have_a_joint_distribution_too(tmp_path, path, keep):
    generate(run_config(output={"path": "x.h5", "keep": keep}), tmp_path / "x.h5")
    with caligo_mpi.open_pairs(tmp_path / "x.h5") as file:
        found = joint(file)
    assert np.sum(found["counts"]) == found["rows"] > 10_000
    if keep == "records":
        with caligo_mpi.open_pairs(path) as file:
            assert found["counts"] == joint_counts(file).tolist()


def test_the_snippets_of_the_page_on_tables_run(path, tmp_path, monkeypatch):
    for library in ("pandas", "polars", "pyarrow", "xarray"):
        pytest.importorskip(library, reason=f"{library} (extra frames) is not installed")
    generate(run_config(engine={"name": "noise", "link": {"fidelity": 0.9}}), tmp_path / "small.h5")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/tables.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(snippets) == 5
    for snippet in snippets:
        exec(snippet, {})
