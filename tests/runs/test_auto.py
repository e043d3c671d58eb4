"""``engine: auto`` where NetSquid is not installed; where it is, see tests/netsquid/test_command.py."""

from __future__ import annotations

import pytest
import yaml

from caligo_mpi import ConfigError, parse_config, status
from caligo_mpi.engines import available, make_engine
from caligo_mpi.runs.auto import settle_engine

AUTO = {
    "pairs": 5000,
    "seed": 1,
    "chunk_size": 1000,
    "engine": {
        "name": "auto",
        "link": {"fidelity": 0.9, "cycle_time_ns": 1000},
        "alice": {"readout_flip": 0.02},
        "bob": {"basis_bias": 0.3},
    },
}


def config(**changes):
    return parse_config({**AUTO, **changes})


def test_a_long_run_without_times_is_the_noise_engines():
    settled = settle_engine(config())
    asked = {**AUTO, "engine": {**AUTO["engine"], "name": "noise", "link": {"fidelity": 0.9}}}
    assert settled == parse_config(asked)


def test_a_chunk_size_that_was_not_given_is_that_of_the_engine():
    values = {key: value for key, value in AUTO.items() if key != "chunk_size"}
    assert settle_engine(parse_config(values)).chunk_size == 1 << 24
    assert parse_config(values).with_engine("netsquid").chunk_size == 1000


def test_times_without_netsquid_are_the_noise_engines():
    if available()["netsquid"] is None:
        pytest.skip("NetSquid (or its stand-in) is installed here")
    said = []
    settled = settle_engine(config(engine={**AUTO["engine"], "needs_time": True}), say=said.append)
    asked = {**AUTO, "engine": {**AUTO["engine"], "name": "noise"}}
    assert settled == parse_config(asked)
    assert make_engine(settled.engine).has_time
    assert said == ["engine auto: noise (times are needed, and netsquid cannot be used here)"]


def test_the_choice_is_said_and_stored(caligo, tmp_path):
    (tmp_path / "auto.yaml").write_text(yaml.safe_dump(AUTO))
    result = caligo("generate", "auto.yaml", "-o", "run.h5")
    assert result.returncode == 0, result.stderr
    assert "engine auto: noise" in result.stderr
    assert status(tmp_path / "run.h5").engine == "noise"
    again = caligo("generate", "auto.yaml", "-o", "run.h5")
    assert "run.h5 was begun with it" in again.stderr
    assert "already complete" in again.stderr


CLICKS = {
    "link": {"type": "heralded-double-click", "length_km": 20, "dark_count_probability": 1e-3},
    "device": {"T1_ns": 1e8, "T2_ns": 5e7, "measure_time_ns": 1e4},
    "formalism": "ket",
}


def test_a_heralded_link_has_times_on_either_engine():
    auto = config(engine={"name": "auto", **CLICKS})
    for name in ("noise", "netsquid"):
        assert auto.with_engine(name) == config(engine={"name": name, **CLICKS})
    if available()["netsquid"] is None:
        pytest.skip("NetSquid (or its stand-in) is installed here")
    settled = settle_engine(auto)
    assert settled.engine.name == "noise"
    assert make_engine(settled.engine).has_time


def test_one_pair_of_a_heralded_link_is_held_at_once():
    with pytest.raises(ConfigError, match="hold"):
        config(engine={"name": "auto", **CLICKS, "hold": 2})


def test_memories_go_with_times():
    device = {"T1_ns": 1e5, "T2_ns": 1e5}
    held = {**AUTO["engine"], "device": device, "hold": 3, "needs_time": True}
    asked = {**AUTO["engine"], "device": device, "hold": 3, "name": "noise"}
    assert config(engine=held).with_engine("noise") == config(engine=asked)


@pytest.mark.parametrize(
    "section", [{"device": {"T1_ns": 1.0, "T2_ns": 1.0}}, {"hold": 3}, {"formalism": "ket"}]
)
def test_memories_without_times_are_refused(section):
    with pytest.raises(ConfigError, match="needs_time: true"):
        config(engine={**AUTO["engine"], **section})


def test_counts_of_a_heralded_link_have_no_law():
    with pytest.raises(ConfigError, match="keep"):
        config(engine={"name": "auto", **CLICKS}, output={"keep": "counts"})


def test_what_only_one_engine_has_is_unknown_to_auto():
    with pytest.raises(ConfigError, match="loss"):
        config(engine={**AUTO["engine"], "loss": {"length_km": 1}})


@pytest.mark.parametrize("size", [1000, 1 << 16, 1 << 24, 1 << 28])
def test_a_chunk_size_that_was_given_is_honored(size):
    settled = settle_engine(config(chunk_size=size))
    assert settled.chunk_size == size
