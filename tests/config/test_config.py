"""What a good configuration becomes."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from helpers import RUN_CONFIGS

from caligo_mpi.config import (
    HeraldedLinkConfig,
    LinkConfig,
    NetsquidConfig,
    NetsquidLinkConfig,
    NoiseConfig,
    OutputConfig,
    PdcSource,
    PluginConfig,
    RunConfig,
    SinglePairSource,
    engine_names,
    load_config,
    parse_config,
    schema,
    starter_config,
)
from caligo_mpi.config.strict_yaml import parse_yaml
from caligo_mpi.errors import ConfigError

ROOT = Path(__file__).parents[2]
NOISE: dict[str, Any] = {"name": "noise", "link": {"fidelity": 0.97}}
RUN: dict[str, Any] = {"pairs": 1000, "seed": 1, "engine": NOISE}
NETSQUID_LINK = {"fidelity": 0.9, "cycle_time_ns": 1000}


def _noise(config: RunConfig) -> NoiseConfig:
    assert isinstance(config.engine, NoiseConfig)
    return config.engine


def _with(path: str, value: object) -> dict[str, Any]:
    out = section = deepcopy(RUN)
    *sections, key = path.split(".")
    for name in sections:
        section = section.setdefault(name, {})
    section[key] = value
    return out


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed distribution that offers the engine ``toy``."""
    info = tmp_path / "toy_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[caligo_mpi.engines]\ntoy = toy_engine:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "toy"


# -- defaults -------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_ideal() -> None:
    config = parse_config(RUN)
    engine = _noise(config)
    assert engine.source == SinglePairSource()
    assert engine.loss is None
    assert engine.alice == engine.bob
    assert engine.alice.model_dump(exclude_none=True) == {
        "basis_bias": 0.5,
        "storage_time_ns": 0.0,
        "T1_ns": 0.0,
        "T2_ns": 0.0,
        "gate_depolarizing": 0.0,
    }
    assert (config.schedule.policy, config.schedule.rank0_computes) == ("dynamic", "auto")
    assert config.output == OutputConfig(path=None, durability="flush")


@pytest.mark.parametrize(
    ("engine", "size"), [(NOISE, 16_777_216), ({"name": "netsquid", "link": NETSQUID_LINK}, 1000)]
)
@pytest.mark.parametrize("pairs", [1, 10**15 // 3])
def test_chunk_size_follows_the_engine_and_not_the_pairs(
    engine: dict[str, Any], size: int, pairs: int
) -> None:
    config = parse_config({"pairs": min(pairs, 10**8 * size), "seed": 1, "engine": engine})
    assert config.chunk_size == size
    assert parse_config({**RUN, "engine": engine, "chunk_size": None}).chunk_size == size


def test_chunk_size_is_filled_in_for_models_built_in_python() -> None:
    engine = NetsquidConfig(
        name="netsquid", link=NetsquidLinkConfig(fidelity=0.9, cycle_time_ns=1.0)
    )
    assert RunConfig(pairs=10, seed=1, engine=engine).chunk_size == 1000
    noise = NoiseConfig(name="noise", link=LinkConfig(fidelity=1.0))
    assert RunConfig(pairs=10, seed=1, engine=noise).chunk_size == 2**24


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_config(RUN).pairs = 3  # type: ignore[misc]


def test_text_stands_for_a_policy_or_a_path() -> None:
    config = parse_config({**RUN, "schedule": "guided", "output": "run.h5"})
    assert config.schedule.policy == "guided"
    assert config.output.path == "run.h5"
    assert config == parse_config(
        {**RUN, "schedule": {"policy": "guided"}, "output": {"path": "run.h5"}}
    )


# -- numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        10**9,
        1e9,
        "1e9",
        "1E9",
        "+1e+9",
        "1_000_000_000",
        " 1000000000 ",
        "1000000000.0",
        np.int64(10**9),
    ],
)
def test_whole_numbers_may_be_written_in_many_ways(written: object) -> None:
    pairs = parse_config({**RUN, "pairs": written}).pairs
    assert pairs == 1_000_000_000
    assert type(pairs) is int


@pytest.mark.parametrize("written", [0.25, "0.25", ".25", "2.5e-1", "+0.2_5", np.float64(0.25)])
def test_real_numbers_may_be_written_in_many_ways(written: object) -> None:
    bias = _noise(parse_config(_with("engine.alice.basis_bias", written))).alice.basis_bias
    assert bias == 0.25
    assert type(bias) is float


def test_seeds_have_any_size_and_stay_exact() -> None:
    assert (
        parse_config({**RUN, "seed": "340282366920938463463374607431768211457"}).seed == 2**128 + 1
    )
    assert parse_config({**RUN, "seed": "1e30"}).seed == 10**30
    assert parse_config({**RUN, "seed": 1e30}).seed == 10**30
    assert parse_config({**RUN, "seed": 0}).seed == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pairs", 1),
        ("pairs", 10**15),
        ("chunk_size", 2**28),
        ("engine.link", {"fidelity": 0.25}),
        ("engine.link", {"fidelity": 1}),
        ("engine.link", {"prob_max_mixed": 0}),
        ("engine.link", {"prob_max_mixed": 1}),
        ("engine.link", {"pauli": [0, 0, 1]}),
        ("engine.link", {"pauli": [0.1, 0.7, 0.2]}),
        ("engine.link", {"pauli": [0.33, 0.33, 0.34]}),
        ("engine.alice.readout_flip", 0.5),
        ("engine.alice", {"T1_ns": 5, "T2_ns": 10}),
        ("engine.alice", {"T2_ns": 10}),
        ("engine.alice", {"p_read1_given0": 0.5}),
        ("engine.alice", {"p_read1_given0": 0.1, "p_read0_given1": 0.2, "readout_flip": None}),
        ("engine.loss", {}),
        ("engine.loss", {"alice": {"coupling": 0, "dark_count_probability": 1e-6}}),
        ("engine.loss", {"bob": {"dark_count_rate_hz": 0, "gate_width_ns": 2}}),
    ],
)
def test_limits_are_within(path: str, value: object) -> None:
    parse_config(_with(path, value) | ({"chunk_size": 2**24} if path != "chunk_size" else {}))


def test_down_conversion_needs_no_link() -> None:
    source = {"type": "pdc", "mu": 0.053, "misalignment": 0.015}
    given = {"name": "noise", "source": source, "alice": {"readout_flip": 0.1}}
    engine = _noise(parse_config({**RUN, "engine": given}))
    assert engine.source == PdcSource(type="pdc", mu=0.053, misalignment=0.015)
    assert engine.link is None


def test_netsquid_links_differ_by_type() -> None:
    def link(**keys: Any) -> object:
        config = parse_config({**RUN, "engine": {"name": "netsquid", "link": keys}})
        assert isinstance(config.engine, NetsquidConfig)
        return config.engine.link

    assert link(fidelity=0.9, length_km=2) == NetsquidLinkConfig(
        type="depolarise", fidelity=0.9, length_km=2.0
    )
    assert link(type="perfect") == NetsquidLinkConfig(type="perfect")
    heralded = link(type="heralded-double-click", length_km=20, visibility=0.9)
    assert heralded == HeraldedLinkConfig(
        type="heralded-double-click", length_km=20.0, p_loss_init=0.0, attenuation_db_per_km=0.2,
        dark_count_probability=0.0, detector_efficiency=1.0, visibility=0.9,
    )  # fmt: skip


# -- files and overrides --------------------------------------------------------------------------------------


def test_file_and_mapping_agree(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "\ufeffpairs: 1e3\nseed: 1\nengine:\n  name: noise\n  link: {fidelity: 0.97}\n",
        encoding="utf-8",
    )
    assert load_config(path) == load_config(str(path)) == parse_config(RUN)


def test_any_mapping_will_do() -> None:
    frozen = MappingProxyType(
        {**RUN, "engine": MappingProxyType({**NOISE, "link": MappingProxyType(NOISE["link"])})}
    )
    assert parse_config(frozen) == parse_config(RUN)
    assert parse_config(frozen, ["engine.link.fidelity=0.9"]) == parse_config(
        _with("engine.link.fidelity", 0.9)
    )


def test_anchors_share_a_section(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "pairs: 8\nseed: 1\nengine:\n  name: noise\n  link: {fidelity: 1}\n"
        "  alice: &side {readout_flip: 0.1, basis_bias: 0.4}\n  bob: {<<: *side, basis_bias: 0.6}\n"
    )
    engine = _noise(load_config(path, ["engine.alice.readout_flip=0.2"]))
    assert (engine.alice.readout_flip, engine.alice.basis_bias) == (0.2, 0.4)
    assert (engine.bob.readout_flip, engine.bob.basis_bias) == (0.1, 0.6)


def test_overrides_go_in_order_and_leave_the_mapping_alone() -> None:
    before = deepcopy(RUN)
    config = parse_config(
        RUN, ["pairs=1e6", "engine.link.fidelity=0.8", "engine.link.fidelity = 0.9", "output=x.h5"]
    )
    assert config == parse_config(
        {**_with("engine.link.fidelity", 0.9), "pairs": 10**6, "output": "x.h5"}
    )
    assert before == RUN


def test_overrides_make_sections_and_take_yaml() -> None:
    config = parse_config(
        RUN, ["engine.loss.bob={length_km: 10, coupling: .5}", "engine.loss.alice.length_km=1e1"]
    )
    loss = _noise(config).loss
    assert loss is not None
    assert (loss.alice.length_km, loss.bob.length_km, loss.bob.coupling) == (10.0, 10.0, 0.5)


def test_overrides_reach_into_sections_given_as_text() -> None:
    data = {**RUN, "output": "x.h5", "schedule": "static"}
    config = parse_config(data, ["output.durability=fsync", "schedule.rank0_computes=no"])
    assert (config.output.path, config.output.durability) == ("x.h5", "fsync")
    assert (config.schedule.policy, config.schedule.rank0_computes) == ("static", "no")


def test_override_with_nothing_takes_a_choice_back() -> None:
    link = _noise(
        parse_config(RUN, ["engine.link.fidelity=", "engine.link.prob_max_mixed=0.1"])
    ).link
    assert link == LinkConfig(prob_max_mixed=0.1)


# -- identity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "canonical"),
    [
        (
            NOISE,
            b'{"chunk_size":16777216,"engine":{"link":{"fidelity":0.97},"name":"noise"},"seed":1,"stream_version":3}',
        ),
        (
            {
                "name": "noise",
                "source": {"type": "pdc", "mu": 1},
                "loss": {"bob": {"length_km": 50}, "alice": {}},
            },
            b'{"chunk_size":16777216,"engine":{"loss":{"bob":{"length_km":50.0}},"name":"noise",'
            b'"source":{"mu":1.0,"type":"pdc"}},"seed":1,"stream_version":3}',
        ),
        (
            {"name": "netsquid", "link": {**NETSQUID_LINK, "type": "depolarise"}, "hold": 2},
            b'{"chunk_size":1000,"engine":{"hold":2,"link":{"cycle_time_ns":1000.0,"fidelity":0.9},"name":"netsquid"},'
            b'"seed":1,"stream_version":3}',
        ),
        (
            {"name": "netsquid", "link": {"type": "perfect"}},
            b'{"chunk_size":1000,"engine":{"link":{"type":"perfect"},"name":"netsquid"},"seed":1,"stream_version":3}',
        ),
    ],
)
def test_digest_is_that_of_the_canonical_json(engine: dict[str, Any], canonical: bytes) -> None:
    assert (
        parse_config({**RUN, "engine": engine}).digest(3) == hashlib.sha256(canonical).hexdigest()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"pairs": 10**6},
        {"schedule": "static"},
        {"schedule": {"rank0_computes": "no"}},
        {"output": {"path": "elsewhere.h5", "durability": "fsync"}},
        {"chunk_size": 2**24},
        {
            "engine": {
                **NOISE,
                "formalism": "dm",
                "source": {"type": "single_pair"},
                "alice": {},
                "bob": {"T1_ns": 0},
            }
        },
        {
            "engine": {
                **NOISE,
                "alice": {"basis_bias": "0.5", "readout_flip": None, "gate_depolarizing": -0.0},
            }
        },
    ],
)
def test_digest_ignores_what_changes_no_bit(change: dict[str, Any]) -> None:
    assert parse_config({**RUN, **change}).digest(1) == parse_config(RUN).digest(1)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"chunk_size": 2**23},
        {"engine": {"name": "noise", "link": {"fidelity": 0.970000001}}},
        {"engine": {"name": "noise", "link": {"prob_max_mixed": 0.97}}},
        {"engine": {**NOISE, "alice": {"basis_bias": 0.4}}},
        {"engine": {**NOISE, "bob": {"basis_bias": 0.4}}},
        {"engine": {**NOISE, "formalism": "ket"}},
        {"engine": {**NOISE, "loss": {}}},
        {"engine": {"name": "netsquid", "link": NETSQUID_LINK}, "chunk_size": 2**24},
    ],
)
def test_digest_changes_with_what_changes_bits(change: dict[str, Any]) -> None:
    assert parse_config({**RUN, **change}).digest(1) != parse_config(RUN).digest(1)


def test_digest_changes_with_the_stream_version() -> None:
    assert parse_config(RUN).digest(1) != parse_config(RUN).digest(2)


def test_digest_reads_integers_and_floats_alike() -> None:
    one = _with("engine.alice", {"T2_ns": 5, "storage_time_ns": "1e3", "readout_flip": 0})
    other = _with("engine.alice", {"T2_ns": 5.0, "storage_time_ns": 1000, "readout_flip": -0.0})
    assert parse_config(one).digest(1) == parse_config(other).digest(1)


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=lambda path: path.stem)
def test_resolved_form_reads_back(path: Path) -> None:
    config = load_config(path)
    again = RunConfig.from_json(json.dumps(config.resolved()))
    assert again == config
    assert again.digest(1) == config.digest(1)


def test_resolved_form_has_every_default() -> None:
    assert parse_config(RUN).resolved() == {
        "pairs": 1000,
        "seed": 1,
        "chunk_size": 16777216,
        "engine": {
            "name": "noise",
            "source": {"type": "single_pair"},
            "link": {"fidelity": 0.97},
            "alice": {
                "basis_bias": 0.5, "storage_time_ns": 0.0, "T1_ns": 0.0, "T2_ns": 0.0, "gate_depolarizing": 0.0,
            },
            "bob": {
                "basis_bias": 0.5, "storage_time_ns": 0.0, "T1_ns": 0.0, "T2_ns": 0.0, "gate_depolarizing": 0.0,
            },
            "formalism": "dm",
        },
        "schedule": {"policy": "dynamic", "rank0_computes": "auto"},
        "output": {"durability": "flush", "keep": "pairs", "writers": "auto"},
        "faults": {"mode": "restart", "restarts": 100, "retries": 0},
    }  # fmt: skip


# -- engines of other packages --------------------------------------------------------------------------------


def test_installed_engine_keeps_its_keys_as_given(installed: str) -> None:
    keys = {
        "depth": 3,
        "rate": 3.0,
        "on": None,
        "nested": {"a": [1, None, {"b": None}]},
        "parameters": "too",
    }
    config = parse_config({**RUN, "engine": {"name": installed, **keys}})
    assert isinstance(config.engine, PluginConfig)
    assert config.engine.parameters == keys
    assert config.chunk_size == 65_536
    assert config.resolved()["engine"] == {"name": "toy", **keys}
    assert engine_names()[:3] == ("noise", "netsquid", "sequence")
    assert "toy" in engine_names()


def test_stored_configuration_is_read_without_its_engine() -> None:
    text = json.dumps({**RUN, "engine": {"name": "gone", "depth": None}})
    config = RunConfig.from_json(text)
    assert isinstance(config.engine, PluginConfig)
    assert config.engine.parameters == {"depth": None}
    with pytest.raises(ConfigError, match="no such engine"):
        parse_config(json.loads(text))


def test_keys_of_other_engines_are_part_of_the_digest(installed: str) -> None:
    digests = {
        parse_config({**RUN, "engine": {"name": installed, **keys}}).digest(1)
        for keys in ({}, {"a": None}, {"a": 1}, {"a": 1.0}, {"a": "1"}, {"b": 1})
    }
    assert len(digests) == 6


# -- the starter ----------------------------------------------------------------------------------------------


def test_starter_runs_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(starter_config(), encoding="utf-8")
    config = load_config(path)
    assert (config.pairs, config.chunk_size, config.output.path) == (
        1_000_000,
        65_536,
        "starter.h5",
    )


def test_starter_mentions_every_key() -> None:
    keys = {
        key for section in [schema(), *schema()["$defs"].values()] for key in section["properties"]
    }
    words = set(starter_config().replace(":", " ").replace(",", " ").replace("{", " ").split())
    assert keys - words == set()


def _uncommented(text: str, start: str) -> str:
    """The commented-out section that begins with ``start``, up to a blank line."""
    lines = text[text.index(start) :].split("\n\n")[0].splitlines()
    return "\n".join(line.replace("# ", "", 1) for line in lines)


@pytest.mark.parametrize(
    "start", ["  # loss:", "  # source:", "# engine:", "# schedule:", "# until:", "# sequential:"]
)
def test_commented_sections_of_the_starter_are_right(start: str) -> None:
    data = parse_yaml(starter_config(), source="starter")
    section = parse_yaml(_uncommented(starter_config(), start), source=start)
    if start.startswith("  "):
        data["engine"] |= section
    else:
        data |= section
    if "source" in section:
        del data["engine"]["link"]
    if "until" in section:
        del data["pairs"]
    parse_config(data)
