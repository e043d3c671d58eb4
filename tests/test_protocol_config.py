import pytest

from caligo_mpi.errors import ConfigError
from caligo_mpi.protocol_config import Bbm92Config, RotConfig, parse_protocol

ROT = {"mode": "rot", "seed": 1, "storage_r": 0.75, "storage_rate": 0.002}


def test_mode_selects_the_model():
    assert isinstance(parse_protocol({"mode": "bbm92", "seed": 1}), Bbm92Config)
    assert isinstance(parse_protocol(ROT), RotConfig)


def test_adversarys_memory_must_be_stated():
    with pytest.raises(ConfigError, match="storage_r="):
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
    with pytest.raises(ConfigError, match=f"^{key}="):
        parse_protocol(values)
