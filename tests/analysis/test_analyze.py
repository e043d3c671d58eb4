"""Whole files: sound ones, ones with planted defects, partial ones, ones without bits; the command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from false_alarms import random_config
from helpers import ROOT

import caligo_mpi
from caligo_mpi import analyze, open_pairs
from caligo_mpi.engines import make_engine
from caligo_mpi.errors import ConfigError
from caligo_mpi.pairs import PairArrays
from caligo_mpi.runs.chunks import chunk_result
from caligo_mpi.runs.identity import run_info
from caligo_mpi.store import PairStore

PAIRS, CHUNK = 200_000, 1 << 15
#: Small files need larger defects, where a defect has a size.
STRENGTH = {
    "basis at 0.5005": 15,
    "errors follow the previous pair": 6,
    "QBER drifting": 40,
    "bases correlated": 20,
}
LOSSY = {"alice": {"length_km": 10}, "bob": {"length_km": 5, "dark_count_probability": 1e-3}}


def names(found):
    return {check.name for check in found.findings}


def check_of(found, name):
    return next(check for check in found.checks if check.name == name)


@pytest.mark.parametrize("defect", planted.DEFECTS)
def test_planted_defects_are_named(tmp_path, defect):
    path = tmp_path / "planted.h5"
    planted.plant(path, defect, PAIRS, CHUNK, strength=STRENGTH.get(defect, 1))
    found = analyze(path)
    checks, said = planted.DEFECTS[defect]
    assert set(checks) <= names(found)
    assert said in planted.words(found)


def test_the_place_of_a_defect_is_named(tmp_path):
    path = tmp_path / "planted.h5"
    planted.plant(path, "one bit of every byte stuck", PAIRS, CHUNK)
    cells = check_of(analyze(path), "cells")
    assert cells.chunks == (3,)
    assert 3 * CHUNK <= cells.rows[0] < cells.rows[1] <= 4 * CHUNK


def test_sound_files_of_random_configurations_have_no_findings(tmp_path):
    # Each has a finding with probability 1e-3 at most; the configurations and seeds are fixed.
    rng = np.random.default_rng(4)
    for number in range(6):
        path = tmp_path / f"{number}.h5"
        planted.write(path, random_config(rng, most=5.0))
        with open_pairs(path) as file:
            rows = file.rows
        if rows:
            assert names(analyze(path)) == set()


def test_counts_are_those_of_the_rows(tmp_path):
    path = tmp_path / "run.h5"
    planted.write(path, planted.config_of(100_003 * 8, 100_008, loss=LOSSY))
    found = analyze(path)
    rows = caligo_mpi.read_pairs(path)
    code = 8 * rows.alice_basis + 4 * rows.alice_outcome + 2 * rows.bob_basis + rows.bob_outcome
    assert list(found.outcomes) == np.bincount(code, minlength=16).tolist()
    assert found.rows == len(code)
    errors = (rows.alice_outcome ^ rows.bob_outcome) & (rows.alice_basis == rows.bob_basis)
    assert sum(rate.errors for rate in found.qber) == errors.sum()
    assert sum(stage.errors_z + stage.errors_x for stage in found.stages) == errors.sum()
    assert {"losses", "emission order", "gaps"} <= {c.name for c in found.checks if c.p is not None}
    for lag in found.lags:
        bits = errors if lag.stream == "errors" else getattr(rows, lag.stream)
        direct = np.corrcoef(bits[: -lag.lag], bits[lag.lag :])[0, 1]
        assert lag.correlation == pytest.approx(direct, abs=2e-4)


def test_a_partial_file_is_analyzed_as_far_as_it_goes(tmp_path):
    config = planted.config_of(PAIRS, CHUNK)
    engine = make_engine(config.engine)
    info = run_info(config, engine)
    with PairStore.open(tmp_path / "run.h5", info, launch={"id": "test"}) as store:
        with pytest.raises(ConfigError, match="no rows yet"):
            analyze(tmp_path / "run.h5.part")
        for chunk in list(info.partition)[:3]:
            pairs = engine.sample(chunk.count, chunk.seed_sequence(config.seed))
            store.append(chunk_result(chunk, pairs), rank=0)
    found = analyze(tmp_path / "run.h5")
    assert (found.rows, found.complete, found.sound) == (3 * CHUNK, False, True)
    assert found.path.endswith(".part")


def damaged(path, change):
    """A lossy file, one of whose chunks was changed before it was stored."""
    config = planted.config_of(PAIRS, CHUNK, loss=LOSSY)
    engine = make_engine(config.engine)
    info = run_info(config, engine)
    with PairStore.open(path, info, launch={"id": "test"}) as store:
        for chunk in info.partition:
            pairs = engine.sample(chunk.count, chunk.seed_sequence(config.seed))
            index = pairs.index + np.uint64(chunk.start)
            pairs = replace(pairs, index=change(index) if chunk.index == 2 else index)
            store.append(chunk_result(chunk, pairs), rank=0)
        store.finish()


def swapped(index):
    index[[100, 101]] = index[[101, 100]]
    return index


def repeated(index):
    index[100] = index[99]
    return index


def crowded(index):
    return index[0] + np.arange(len(index), dtype=np.uint64)


@pytest.mark.parametrize(
    ("change", "check"),
    [(swapped, "emission order"), (repeated, "emission order"), (crowded, "gaps")],
)
def test_emissions_in_disorder_are_found(tmp_path, change, check):
    path = tmp_path / "run.h5"
    damaged(path, change)
    found = analyze(path)
    assert names(found) == {check}
    if check == "emission order":
        assert check_of(found, check).chunks == () or 2 in check_of(found, check).chunks
        assert "chunk 2, " in check_of(found, check).where


def test_pairs_that_are_held_together_are_not_taken_for_alike(tmp_path):
    # The first of every ten pairs waits longest, and has more errors.
    memory = caligo_mpi.load_config(ROOT / "configs" / "netsquid-memory.yaml")
    config = planted.config_of(40_000, 8000)
    info = replace(
        run_info(config, make_engine(config.engine)),
        engine="netsquid",
        config=json.dumps(memory.resolved()),
    )
    rows = np.arange(8000)
    with PairStore.open(tmp_path / "run.h5", info, launch={"id": "test"}) as store:
        for chunk in info.partition:
            rng = np.random.default_rng(chunk.index)
            basis, bit = rng.integers(0, 2, (2, 8000), np.uint8)
            flip = rng.random(8000) < np.where(rows % 10 == 0, 0.1, 0.03)
            pairs = PairArrays(basis, bit, basis, bit ^ flip.astype(np.uint8)).packed()
            store.append(chunk_result(chunk, pairs), rank=0)
        store.finish()
    found = analyze(tmp_path / "run.h5")
    left_out = {check.name for check in found.checks if check.p is None}
    assert {"outcomes", "lags", "long lags", "runs", "position in byte"} <= left_out
    # Bases are equal here, and the rate is not that of the configuration.
    assert names(found) == {"independent bases", "QBER"}


@pytest.mark.parametrize("keep", ["pairs", "records"])
def test_the_command_says_the_same_with_and_without_bits(caligo, write_config, keep):
    config = write_config(output={"path": "run.h5", "keep": keep})
    assert caligo("generate", config, "-q").returncode == 0
    result = caligo("analyze", "run.h5", "--json", "-q")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["sound"]
    assert found["rows"] == 163_840
    assert len(found["checks"]) == 23


def test_the_command_s_exit_code_tells_findings(caligo, tmp_path):
    planted.plant(tmp_path / "planted.h5", "a column shifted by one", PAIRS, CHUNK)
    result = caligo("analyze", "planted.h5")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "planted.h5: 2 FINDINGS"
    assert max(map(len, lines)) <= 80
    assert [line[:10] for line in lines if line.startswith("!")] == ["! outcomes", "! QBER    "]


@pytest.mark.mpi
def test_ranks_find_the_same(caligo, tmp_path, mpirun):
    mpirun(2)
    planted.plant(tmp_path / "planted.h5", "one chunk copied over another", 4_000_000, 1 << 19)
    alone = caligo("analyze", "planted.h5", "--json", "-q")
    ranks = caligo("analyze", "planted.h5", "--json", "-q", "--ranks", 2)
    assert (alone.returncode, ranks.returncode) == (1, 1), ranks.stderr
    assert json.loads(alone.stdout) == json.loads(ranks.stdout)


def test_what_is_no_pairs_file_is_refused(caligo, tmp_path):
    (tmp_path / "text.h5").write_text("no file of ours")
    for name in ("absent.h5", "text.h5"):
        result = caligo("analyze", name)
        assert result.returncode == 2
        assert name in result.stderr
        assert len(result.stderr.splitlines()) == 1
