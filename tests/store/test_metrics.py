"""The table of what ranks did: survives kills row by row, is folded where there is no room, and disturbs no reader."""

from __future__ import annotations

import lzma
import subprocess
import sys

import h5py
import numpy as np
import pytest
from helpers import ROOT, environment

from caligo_mpi import load_config, open_pairs, status, store
from caligo_mpi.runs.generate import generate
from caligo_mpi.store import METRICS_DTYPE
from caligo_mpi.store.metrics import METRICS_ROWS, fold, read_metrics, share, write_metrics


def rows_for(ranks):
    rows = np.zeros(ranks, METRICS_DTYPE)
    rows["rank"], rows["ranks"] = np.arange(ranks), 1
    rows["seconds"], rows["busy"], rows["balance"] = 10.0, np.arange(ranks) % 5, 0.5
    return rows


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(bytes(METRICS_DTYPE.itemsize * METRICS_ROWS + 100))
    with path.open("r+b") as file:
        yield file


def test_rows_are_read_back_as_they_were_written(table):
    write_metrics(table.fileno(), 100, rows_for(3), run=0, first=0)
    write_metrics(table.fileno(), 100, rows_for(2), run=1, first=3)
    found = read_metrics(table.fileno(), 100, METRICS_ROWS)
    assert found["run"].tolist() == [0, 0, 0, 1, 1]
    assert found["rank"].tolist() == [0, 1, 2, 0, 1]
    assert (found["updated"] > 1.7e9).all()


def test_a_row_that_was_cut_is_left_out(table):
    write_metrics(table.fileno(), 0, rows_for(4), run=0, first=0)
    table.seek(METRICS_DTYPE.itemsize * 2 + 40)
    table.write(b"\xff\xff\xff\xff")
    table.flush()
    found = read_metrics(table.fileno(), 0, METRICS_ROWS)
    assert found["rank"].tolist() == [0, 1, 3]


def test_ranks_without_a_row_are_summed_in_the_last_one():
    rows = rows_for(10)
    kept = fold(rows, 4)
    assert kept["ranks"].tolist() == [1, 1, 1, 7]
    for name in ("seconds", "busy"):
        assert kept[name].sum() == rows[name].sum()
    assert kept["efficiency"][3] == pytest.approx(rows["busy"][3:].sum() / 70)
    assert fold(rows, 10) is rows
    assert len(fold(rows, 0)) == 0


def test_every_launch_finds_a_row_for_a_long_time():
    used = 0
    for _ in range(30):
        rows = share(64, used=used)
        assert rows >= 1
        used += rows
    assert used <= METRICS_ROWS


def test_a_run_tells_what_its_process_did(tmp_path, write_config):
    path = tmp_path / "run.h5"
    generate(load_config(write_config()), path)
    (row,) = status(path).metrics
    assert row["chunks"] == status(path).chunks_total
    spent = sum(row[name] for name in ("busy", "writing", "communicating", "idle"))
    assert spent == pytest.approx(row["seconds"], rel=1e-6)
    assert 0 < row["efficiency"] <= row["balance"] <= 1
    assert 10e6 < row["peak_memory"] < 1e11
    with open_pairs(path) as file:
        assert (file.metrics == status(path).metrics).all()
    with h5py.File(path) as file:
        assert file["metrics"].dtype == METRICS_DTYPE
        assert file.attrs["format_version"].tolist() == [1, 4]
    assert store.verify_file(path).ok


def test_metrics_that_are_damaged_do_no_harm_to_the_pairs(tmp_path, write_config):
    path = tmp_path / "run.h5"
    generate(load_config(write_config()), path)
    with h5py.File(path, "r+") as file:
        table = file["metrics"]
        first = table[0]
        first["busy"] = 1e9
        table[0] = first
    assert len(status(path).metrics) == 0
    assert store.verify_file(path).ok


@pytest.mark.parametrize("name", ["lossless.h5", "stopped.h5.part"])
def test_files_of_older_formats_have_none_and_go_on(tmp_path, name):
    packed = ROOT / "tests" / "data" / "format-1.1" / f"{name}.xz"
    path = tmp_path / name
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    assert len(status(path).metrics) == 0
    if name.endswith(".part"):
        command = [sys.executable, "-m", "caligo_mpi", "resume", "stopped.h5", "-q"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(status(tmp_path / "stopped.h5").metrics) == 0


def test_an_extended_file_keeps_what_earlier_launches_told(tmp_path, write_config):
    path = tmp_path / "run.h5"
    generate(load_config(write_config(pairs=2000, chunk_size=200)), path)
    generate(load_config(write_config(pairs=4000, chunk_size=200)), path)
    found = status(path).metrics
    assert found["run"].tolist() == [0, 1]
    assert found["chunks"].tolist() == [10, 10]
