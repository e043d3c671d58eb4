"""``output.keep: records``: the same run without its bits, which are simulated again where they are read."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from helpers import Recorder, identity, names, one_sentence

import caligo_mpi
from caligo_mpi import store
from caligo_mpi.cli import show, show_verification
from caligo_mpi.errors import ConfigError
from caligo_mpi.pairs import Chunk, ChunkResult
from caligo_mpi.runs.again import Simulator, export
from caligo_mpi.runs.chunks import run_chunk
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.forecast import forecast
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.identity import engine_for, run_info
from caligo_mpi.runs.verify import verify
from caligo_mpi.store.keys import read_keys

LOSS = {"alice": {"detector_efficiency": 0.4}, "bob": {"coupling": 0.7}}
NOISE = {"name": "noise", "link": {"fidelity": 0.985}}
TIMED = {"type": "depolarise", "fidelity": 0.95, "prob_success": 0.1, "cycle_time_ns": 1000}
ENGINES = {
    "lossless": NOISE,
    "lossy": {**NOISE, "loss": LOSS},
    "timed": {"name": "noise", "link": TIMED},
    "plug-in": {"name": "trouble"},
}
PROTOCOL = {"mode": "bbm92", "seed": 5, "block_size": 100_000, "test_fraction": 0.2}


def config(keep="records", kind="lossless", **changes):
    values = {"pairs": 300_001, "seed": 3, "chunk_size": 1 << 16, "engine": ENGINES[kind]}
    return caligo_mpi.parse_config({**values, "output": {"keep": keep}, **changes})


@pytest.fixture
def both(tmp_path):
    """The same run with and without its bits."""

    def make(kind="lossless", **changes):
        for keep in ("records", "pairs"):
            generate(config(keep, kind, **changes), tmp_path / f"{keep}.h5")
        return tmp_path / "records.h5", tmp_path / "pairs.h5"

    return make


def test_what_is_kept_is_no_part_of_the_identity():
    assert config("records").digest(1) == config("pairs").digest(1)


@pytest.mark.parametrize("kind", ENGINES)
def test_all_that_reads_pairs_reads_it(both, tmp_path, kind):
    path, full = both(kind)
    assert path.stat().st_size < full.stat().st_size
    assert caligo_mpi.status(path).data_digest == caligo_mpi.status(full).data_digest
    assert store.pairs_hash(path, simulator=Simulator()) == store.pairs_hash(full)
    with caligo_mpi.open_pairs(path) as file, caligo_mpi.open_pairs(full) as other:
        assert file.tally() == file.tally(verify=False) == other.tally()
        assert np.array_equal(file.bob_outcome[65_000:70_000], other.bob_outcome[65_000:70_000])
    pairs = zip(
        caligo_mpi.read_pairs(path, 9), caligo_mpi.read_pairs(full, 9, verify=False), strict=True
    )
    assert all((a is None and b is None) or np.array_equal(a, b) for a, b in pairs)
    for source in (path, full):
        export(source, source.with_suffix(".npz"), kind="npz")
    assert path.with_suffix(".npz").read_bytes() == full.with_suffix(".npz").read_bytes()
    assert "there are no rows to check" in show_verification.verification_text(verify(path))
    found = verify(path, resample=3)
    assert found.ok
    assert len(found.resampled) == 3


@pytest.mark.parametrize("kind", ["lossless", "lossy"])
def test_the_keys_are_those_of_the_file_with_bits(both, kind):
    path, full = both(kind)
    protocol = caligo_mpi.parse_protocol(PROTOCOL)
    for source in (path, full):
        distill(prepare(source, protocol), source.with_name(f"keys-{source.name}"))
    mine, theirs = (read_keys(source.with_name(f"keys-{source.name}")) for source in (path, full))
    assert mine.digest == theirs.digest
    assert mine.key_bits > 0


@pytest.mark.mpi
def test_ranks_kills_and_the_full_file(caligo, mpirun, tmp_path):
    run = {
        "pairs": 163_840,
        "seed": 7,
        "chunk_size": 8192,
        "engine": {"name": "trouble", "efficiency": 0.5},
        "output": {"path": "run.h5", "keep": "records"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    rng, kills = random.Random(8), 0
    while not (tmp_path / "run.h5").exists():
        ranks = rng.choice([1, 2, 3])
        line, env = mpirun(ranks)
        env = {**env, "CALIGO_TEST_SECONDS": "0.1" if kills < 6 else "0"}
        command = [*line, sys.executable, "-m", "caligo_mpi", "generate", "run.yaml", "-q"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(rng.uniform(0.5, 1.5))
        if kills < 6 and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate(timeout=60)
    assert kills >= 2
    full = caligo("generate", "run.yaml", "-o", "full.h5", "--set", "output.keep=pairs", "--json")
    assert full.returncode == 0, full.stderr
    status = caligo_mpi.status(tmp_path / "run.h5")
    assert json.loads(full.stdout)["data_digest"] == status.data_digest
    assert (
        store.pairs_hash(tmp_path / "run.h5", simulator=Simulator())
        == identity(tmp_path / "full.h5")[1]
    )


@pytest.mark.mpi
def test_distill_on_two_ranks(both, caligo, tmp_path):
    path, full = both()
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(PROTOCOL))
    done = caligo("distill", path, "--config", "p.yaml", "-o", "a.h5", "--ranks", "2", "-q")
    assert done.returncode == 0, done.stderr
    assert "keeps records only: its chunks are simulated again, about" in done.stderr
    seen = Recorder()
    distill(prepare(full, caligo_mpi.parse_protocol(PROTOCOL)), tmp_path / "b.h5", observer=seen)
    assert seen.said == []
    assert read_keys(tmp_path / "a.h5").digest == read_keys(tmp_path / "b.h5").digest


def _long_run(path):
    """A records file whose chunks took 2,000 s each."""
    run = config()
    engine = engine_for(run, None)
    with store.PairStore.open(path, run_info(run, engine), launch={}) as pair_store:
        for index in pair_store.todo:
            chunk: Chunk = pair_store.info.partition[index]
            record = run_chunk(engine, chunk, run.seed).record
            record["seconds"] = 2000.0
            pair_store.append(ChunkResult(record, None), rank=0)
        pair_store.finish()


def test_more_than_an_hour_of_simulating_again_needs_a_yes(caligo, tmp_path):
    _long_run(tmp_path / "run.h5")
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(PROTOCOL))
    line = ("distill", "run.h5", "--config", "p.yaml", "-o", "k.h5", "-q")
    one_sentence(caligo(*line), "simulated again, about 167 min of one core", "--yes")
    assert names(tmp_path) == ["p.yaml", "run.h5"]
    assert caligo(*line, "--yes").returncode == 0


def test_status_and_validate_say_what_it_would_weigh(both):
    path, full = map(caligo_mpi.status, both())
    assert "keeps records only; with its bits it would take" in show.status_text(path)
    assert "records only" not in show.status_text(full)
    found = show.status_dict(path)
    assert found["keep"] == "records"
    assert found["full_bytes"] >= 4 * 300_001 // 8
    plan = forecast(config())
    assert plan.full_bytes == forecast(config("pairs")).file_bytes
    assert abs(plan.full_bytes - found["full_bytes"]) < 10  # "records" and "pairs" in the text
    assert plan.file_bytes < plan.full_bytes - 149_000
    assert show.forecast_dict(config(), plan)["full_bytes"] == plan.full_bytes
    assert "records only; with its bits" in show.forecast_text(config(), plan)


def test_the_other_keep_is_refused_in_a_sentence(both, caligo, tmp_path):
    _, full = both()
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({**config().resolved()}))
    pairs = "output.keep=pairs"
    one_sentence(caligo("generate", "c.yaml", "-o", "records.h5", "--set", pairs), "keep=records")
    with pytest.raises(ConfigError, match=r"output\.keep"):
        config("bits")
    seen = Recorder()
    generate(config("records"), full, observer=seen)
    assert "is already complete" in seen.said[0]


def test_a_sequential_simulation_has_no_chunks_to_make_again(tmp_path):
    from caligo_mpi.runs.sequential import run_sequential

    engine = {"name": "netsquid", "link": {"type": "perfect"}}
    values = {"pairs": 8, "seed": 1, "engine": engine, "output": {"keep": "records"}}
    document = json.dumps(values)
    run = caligo_mpi.RunConfig.from_json(document)
    with pytest.raises(ConfigError, match=r"output\.keep=records: a sequential simulation has no"):
        run_sequential(run, tmp_path / "s.h5")
