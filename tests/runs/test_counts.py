"""``output.keep: counts``: a file of sixteen counts from their law, which says everywhere that it has no bits."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from helpers import Recorder, names

import caligo_mpi
from caligo_mpi import store
from caligo_mpi.cli import show, show_verification
from caligo_mpi.engines import make_engine
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.runs.again import export
from caligo_mpi.runs.auto import settle_engine
from caligo_mpi.runs.chunks import only_chunk
from caligo_mpi.runs.counts import counts_of, course_of_counts
from caligo_mpi.runs.distill import prepare
from caligo_mpi.runs.forecast import forecast
from caligo_mpi.runs.generate import generate, preflight
from caligo_mpi.runs.verify import verify

LABEL = "law, not bits"
ENGINE = {
    "name": "noise",
    "link": {"fidelity": 0.95},
    "loss": {"alice": {"detector_efficiency": 0.3}, "bob": {"coupling": 0.7}},
}


def config(keep="counts", **changes):
    values = {"pairs": 10**12, "seed": 7, "engine": ENGINE, "output": {"keep": keep}}
    return caligo_mpi.parse_config({**values, **changes})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.h5"
    generate(config(), path)
    return path


def test_the_file_holds_the_counts(path):
    drawn = counts_of(config())
    assert path.stat().st_size < 2_000_000
    status = caligo_mpi.status(path)
    assert (status.tally, status.rows, status.pairs_done) == (drawn.tally, drawn.rows, 10**12)
    assert (status.alice_clicks, status.bob_clicks) == (drawn.alice_clicks, drawn.bob_clicks)
    with caligo_mpi.open_pairs(path) as file:
        assert np.array_equal(file.outcome_counts, drawn.table())
        assert file.tally() == file.tally(verify=False) == drawn.tally
    with h5py.File(path, "r") as file:
        assert file.attrs["label"].decode() == LABEL
        assert json.loads(file.attrs["outcome_counts"]) == list(drawn.counts)
        assert "pairs" not in file
    assert verify(path).ok


def test_it_is_labelled_wherever_it_is_shown(path, caligo):
    summary = generate(config(), path)
    assert LABEL in show.summary_text(summary)
    assert LABEL in show.status_text(summary.status)
    shown = json.loads(caligo("status", path, "--json").stdout)
    assert shown["label"] == LABEL
    assert LABEL in shown["engine"]
    assert sum(shown["outcome_counts"]) == shown["rows"]
    assert LABEL in show.forecast_text(config(), forecast(config()))
    assert LABEL in show_verification.verification_text(verify(path))


def test_there_are_no_pairs_in_it(path, tmp_path):
    none = "holds counts drawn from their law, not bits .* so there are no pairs to"
    protocol = caligo_mpi.parse_protocol({"mode": "bbm92", "seed": 1})
    with caligo_mpi.open_pairs(path) as file:
        with pytest.raises(StoreError, match=f"{none} be read"):
            file.alice_basis[3]
        with pytest.raises(StoreError, match=f"{none} be read"):
            next(file.blocks())
    with pytest.raises(StoreError, match=f"{none} make keys of"):
        prepare(path, protocol)
    with pytest.raises(StoreError, match=f"{none} export"):
        export(path, tmp_path / "a.csv", kind="csv")
    with pytest.raises(StoreError, match=f"{none} simulate again"):
        verify(path, resample=1)
    with pytest.raises(ConfigError, match="have no chunks"):
        only_chunk(config(), 0)
    assert names(tmp_path) == ["run.h5"]


def test_it_is_another_run_than_that_of_the_bits(path):
    with pytest.raises(StoreError, match=f"{LABEL} there and bits here"):
        preflight(config("records"), path)
    with pytest.raises(StoreError, match=r"pairs=1000000000000 there and 10 here"):
        generate(config(pairs=10), path)
    seen = Recorder()
    generate(config(), path, observer=seen)
    assert "is already complete" in seen.said[0]
    again = path.with_name("again.h5")
    generate(config(), again)
    assert store.status(again).data_digest == store.status(path).data_digest
    generate(config(seed=8), again, force=True)
    assert store.status(again).data_digest != store.status(path).data_digest


def test_a_run_without_a_coincidence(tmp_path):
    engine = {**ENGINE, "loss": {"alice": {"detector_efficiency": 1e-9}}}
    generate(config(pairs=3, engine=engine), tmp_path / "run.h5")
    assert store.status(tmp_path / "run.h5").rows == 0
    assert verify(tmp_path / "run.h5").ok


def test_only_the_noise_engine_has_a_law(tmp_path):
    link = {"type": "perfect", "cycle_time_ns": 10}
    timed = {"name": "noise", "link": {"type": "depolarise", "fidelity": 0.9, "cycle_time_ns": 9}}
    for engine in ({"name": "trouble"}, {"name": "netsquid", "link": link}, timed):
        values = {"pairs": 8, "seed": 1, "engine": engine, "output": {"keep": "counts"}}
        with pytest.raises(ConfigError, match="counts have a law only with engine noise and"):
            caligo_mpi.RunConfig.from_json(json.dumps(values))
    auto = {"name": "auto", "link": {"fidelity": 0.9, "cycle_time_ns": 10}}
    assert settle_engine(config(pairs=10, engine=auto)).engine.name == "noise"


@pytest.mark.mpi
def test_ranks_write_the_same_file(path, caligo, tmp_path):
    (tmp_path / "c.yaml").write_text(json.dumps(config().resolved()))
    done = caligo("generate", "c.yaml", "-o", "two.h5", "--ranks", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data_digest"] == store.status(path).data_digest


# ── until ────────────────────────────────────────────────────────────────────────────────────────


def goal(**changes):
    """A run of counts with a goal, of small chunks."""
    values = {"relative_error": 0.02, "max_pairs": 10**9, **changes}
    config = {"seed": 7, "chunk_size": 1 << 17, "engine": ENGINE, "until": values}
    return caligo_mpi.parse_config({**config, "output": {"keep": "counts"}})


def test_counts_are_drawn_up_to_their_goal(tmp_path, caligo):
    path = tmp_path / "run.h5"
    first = generate(goal(), path).status
    assert first.pairs_done < 10**9
    assert first.pairs_done % (1 << 17) == 0
    with caligo_mpi.open_pairs(path) as file:
        assert file.until["met"] == "relative_error"
        assert file.decisions["errors"][-1] == first.tally.errors_z + first.tally.errors_x
        # Each look adds to the counts before it.
        looks = file.decisions["chunks"]
        assert looks.tolist() == [1 << i for i in range(len(looks))]
        assert (np.diff(file.decisions["sifted"].astype(int)) > 0).all()
    assert verify(path).ok
    assert "met after" in caligo("status", path).stdout
    # A lower goal finds it met, a higher one draws on: the steps before are the same.
    assert generate(goal(relative_error=0.1), path).launched == 0
    higher = generate(goal(relative_error=0.005), path)
    assert "set aside as" in higher.messages[0]
    with caligo_mpi.open_pairs(path) as file:
        more = file.decisions[: len(looks)]
        assert (more["errors"][-1], more["sifted"][-1]) == (
            first.tally.errors_z + first.tally.errors_x,
            first.tally.sifted_z + first.tally.sifted_x,
        )
    anew = generate(goal(relative_error=0.005), tmp_path / "anew.h5")
    assert anew.status.data_digest == higher.status.data_digest


def test_counts_up_to_a_goal_are_another_run_than_those_drawn_at_once(tmp_path):
    path = tmp_path / "run.h5"
    status = generate(goal(), path).status
    at_once = config(pairs=status.pairs_done, chunk_size=1 << 17)
    with pytest.raises(StoreError, match="belongs to another run"):
        generate(at_once, path)
    with pytest.raises(StoreError, match="belongs to another run"):
        generate(goal(errors=10**7, relative_error=None).model_copy(update={"seed": 8}), path)


def test_intervals_of_counts_up_to_a_goal_cover_the_rate():
    """With a coverage of 95 %, fewer than 264 of 300 intervals do in one of a million tests."""
    engine = make_engine(goal().engine)
    covered = 0
    for seed in range(300):
        run = goal(relative_error=0.2).model_copy(update={"seed": seed, "chunk_size": 2048})
        now = course_of_counts(run, engine.thresholds).last
        law = engine.expected
        sifted = law.sifted_z + law.sifted_x
        rate = (law.sifted_z * law.qber_z + law.sifted_x * law.qber_x) / sifted
        covered += now.low <= rate <= now.high
    assert covered >= 264


def test_steps_are_the_same_everywhere():
    counts = counts_of(goal())
    assert (counts.emissions, counts.alice_clicks, counts.bob_clicks) == (4194304, 1259243, 2936612)
    assert counts.counts[:5] == (106244, 3680, 3707, 106726, 55206)
    assert counts.counts[5:11] == (55193, 55000, 54803, 55264, 55114, 54911)
    assert counts.counts[11:] == (55265, 106806, 3697, 3605, 106608)
