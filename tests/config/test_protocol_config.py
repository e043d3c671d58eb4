import json

import jsonschema
import pytest
from helpers import ROOT

from caligo_mpi.config.protocol import (
    Bbm92Config,
    RotConfig,
    load_protocol,
    parse_protocol,
    protocol_schema,
)
from caligo_mpi.errors import ConfigError

ROT = {"mode": "rot", "seed": 1, "storage_r": 0.75, "storage_rate": 0.002}


def test_mode_selects_the_model():
    assert isinstance(parse_protocol({"mode": "bbm92", "seed": 1}), Bbm92Config)
    assert isinstance(parse_protocol(ROT), RotConfig)


def test_adversarys_memory_must_be_stated():
    with pytest.raises(ConfigError, match="storage_r: missing; add it"):
        parse_protocol({"mode": "rot", "seed": 1})


@pytest.mark.parametrize("method", ["cascade", "cascade-low-leak", "ldpc-blind"])
def test_methods_that_ask_back_are_refused_in_a_transfer(method):
    with pytest.raises(ConfigError, match="which would reveal his choice"):
        parse_protocol(ROT | {"reconciliation": method})


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"mode": "bbm92", "seed": 1, "qber_limit": 0.22}, "qber_limit"),
        (ROT | {"qber_limit": 0.11}, "qber_limit"),
        (ROT | {"storage_r": 1.1}, "storage_r"),
        (ROT | {"choice": 2}, "choice"),
        ({"mode": "bbm92", "seed": -1}, "seed"),
        ({"mode": "bbm92", "seed": 1, "epsilon_sec": 0}, "epsilon_sec"),
        ({"mode": "bbm92", "seed": 1, "storage_r": 0.5}, "storage_r"),
        ({"mode": "e91", "seed": 1}, "mode"),
    ],
)
def test_a_wrong_value_is_named(values, key):
    with pytest.raises(ConfigError, match=f"^protocol configuration: {key}="):
        parse_protocol(values)


def test_everything_wrong_is_in_one_message():
    values = ROT | {"seed": 1.5, "qber_limt": 0.03, "block_size": 5000, "reconciliation": "cascade"}
    with pytest.raises(ConfigError) as caught:
        parse_protocol(values)
    head, *lines = str(caught.value).splitlines()
    assert head == "protocol configuration: 4 errors"
    assert lines[0] == "  seed=1.5: must be a whole number of at least 0"
    assert lines[1].startswith('  reconciliation="cascade": must be ldpc in mode rot')
    assert lines[2] == "  qber_limt=0.03: unknown key; did you mean qber_limit?"
    assert lines[3] == "  block_size=5000: unknown key; only with mode: bbm92"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mode: bbm92\nseed: 1\nseed: 2\n",
            "p.yaml, line 3: duplicate key seed, first in line 2; keep one of the two",
        ),
        ("", "p.yaml: is empty; configs/bbm92.yaml and configs/rot.yaml are examples"),
        ("- mode\n", "p.yaml: must be a mapping of keys to values, not list"),
        ("seed: 1\n", "p.yaml: mode: missing; give bbm92 or rot"),
    ],
)
def test_a_file_that_is_no_protocol_is_one_sentence(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_protocol("p.yaml")
    assert str(caught.value) == message


def test_overrides_go_first_and_are_named_in_errors(tmp_path):
    (tmp_path / "p.yaml").write_text("mode: bbm92\nseed: 1\n")
    assert load_protocol(tmp_path / "p.yaml", ["seed=7", "epsilon_sec=1e-9"]).epsilon_sec == 1e-9
    with pytest.raises(ConfigError, match='--set test="Y": must be random or Z or X'):
        load_protocol(tmp_path / "p.yaml", ["test=Y"])
    with pytest.raises(ConfigError, match=r"such as qber_limit=0\.05"):
        load_protocol(tmp_path / "p.yaml", ["seed"])


def test_digest_changes_with_every_value_and_is_the_same_on_every_machine():
    base = {"mode": "bbm92", "seed": 7}
    assert parse_protocol(base).digest() == parse_protocol(base | {"block_size": "2e6"}).digest()
    assert parse_protocol(base).digest() != parse_protocol(base | {"block_size": 1000}).digest()
    assert parse_protocol(parse_protocol(ROT).resolved()) == parse_protocol(ROT)
    assert (
        parse_protocol(base).digest()
        == "5fa9fe55fedd849461e4ebc979335e9ff685e39cf69abc8c756eef939e287e7a"
    )


@pytest.mark.parametrize("mode", ["bbm92", "rot"])
def test_example_fits_schema_and_loads(mode):
    path = ROOT / "configs" / f"{mode}.yaml"
    assert path.read_text("utf-8").startswith(
        "# yaml-language-server: $schema=../caligo_mpi/config/protocol-schema.json\n# "
    )
    config = load_protocol(path)
    assert config.mode == mode
    jsonschema.Draft202012Validator(protocol_schema()).validate(config.resolved())


def test_committed_schema_is_current():
    committed = (ROOT / "caligo_mpi" / "config" / "protocol-schema.json").read_text("utf-8")
    remedy = "run: caligo-mpi schema --protocol > caligo_mpi/config/protocol-schema.json"
    assert committed == json.dumps(protocol_schema(), indent=2) + "\n", remedy
