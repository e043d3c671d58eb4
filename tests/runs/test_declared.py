"""Columns that a plug-in declares, from its configuration to whoever reads them: nothing else knows of them."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from helpers import PLUGINS, identity

import caligo_mpi
from caligo_mpi.engines import make_engine
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.verify import verify
from caligo_mpi.testing import EngineTests

LOSSY = {"name": "trouble", "declares": True, "efficiency": 0.6}
NAMES = ["late", "herald", "phase"]


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGINS))
    yield
    sys.modules.pop("caligo_test_engines", None)


def config(**changes):
    values = {"pairs": 20_001, "seed": 3, "chunk_size": 4096, "engine": LOSSY}
    return caligo_mpi.parse_config({**values, **changes})


def require_values(arrays):
    """What the plug-in's own rule says, by the emission number within the chunk."""
    number = arrays.index % 4096
    assert list(arrays.extra) == NAMES
    assert np.array_equal(arrays.extra["late"], number % 7 == 3)
    assert np.array_equal(arrays.extra["herald"], number % 2)
    assert np.array_equal(arrays.extra["phase"], np.sqrt(number).astype(np.float32))


class TestContract(EngineTests):
    count = 4000

    def engine(self):
        return make_engine(config().engine)


def test_they_are_in_the_file_and_in_memory(tmp_path):
    path = tmp_path / "run.h5"
    generate(config(), path)
    arrays = caligo_mpi.read_pairs(path)
    require_values(arrays)
    in_memory = caligo_mpi.generate_pairs(config())
    require_values(in_memory)
    assert all(np.array_equal(a, b) for a, b in zip(arrays[:5], in_memory[:5], strict=True))
    assert verify(path, resample=3).ok
    with caligo_mpi.open_pairs(path) as file:
        assert file["phase"].unit == "rad"
        assert file["herald"].flags == {0: "psi+", 1: "psi-"}


def test_a_shorter_run_is_extended_to_the_same_file(tmp_path):
    generate(config(pairs=9_000), tmp_path / "grown.h5")
    generate(config(), tmp_path / "grown.h5")
    generate(config(), tmp_path / "whole.h5")
    assert identity(tmp_path / "grown.h5") == identity(tmp_path / "whole.h5")
    require_values(caligo_mpi.read_pairs(tmp_path / "grown.h5"))


def test_a_file_of_records_gives_them_again(tmp_path):
    generate(config(output={"keep": "records"}), tmp_path / "records.h5")
    generate(config(), tmp_path / "pairs.h5")
    records, pairs = (caligo_mpi.read_pairs(tmp_path / name) for name in ("records.h5", "pairs.h5"))
    require_values(records)
    assert np.array_equal(records.index, pairs.index)
    with caligo_mpi.open_pairs(tmp_path / "records.h5") as file:
        assert file["herald"].description == "heralded state"
        assert np.array_equal(file["late"][10:5000], pairs.extra["late"][10:5000])
        assert np.array_equal(file["phase"][10:5000], pairs.extra["phase"][10:5000])
        blocks = [block.extra["herald"] for block in file.blocks(777)]
    assert np.array_equal(np.concatenate(blocks), pairs.extra["herald"])


@pytest.mark.mpi
@pytest.mark.usefixtures("mpirun")
def test_ranks_send_them_and_commands_show_them(tmp_path, caligo, write_config):
    run = write_config(pairs=40_000, chunk_size=1000, engine=LOSSY)
    done = caligo("generate", run, "--ranks", 3, "--json")
    assert done.returncode == 0, done.stderr
    generate(caligo_mpi.load_config(run), tmp_path / "serial.h5")
    assert identity(tmp_path / "run.h5") == identity(tmp_path / "serial.h5")
    checked = caligo("verify", "run.h5", "--resample", 4, "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout.splitlines()[-1])["ok"]
    assert caligo("export", "run.h5", "--to", "csv").returncode == 0
    with (tmp_path / "run.csv").open() as lines:
        head, first, *_ = csv.reader(lines)
    assert head[-3:] == NAMES
    assert float(first[-1]) == np.float32(np.sqrt(int(first[4])))
