"""The contract of every engine."""

import pytest

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines import available, make_engine
from caligo_mpi.engines.netsquid import NetsquidEngine, probe
from caligo_mpi.testing import EngineTests

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

CONFIG = NetsquidConfig.model_validate(
    {
        "name": "netsquid",
        "link": {"fidelity": 0.8, "prob_success": 0.3, "cycle_time_ns": 500.0},
        "device": {"T2_ns": 10_000.0, "gate_depolarizing": 0.1},
        "alice": {"basis_bias": 0.3, "p_read1_given0": 0.1, "p_read0_given1": 0.2},
        "bob": {"readout_flip": 0.1},
        "hold": 4,
    }
)


class TestNetsquidEngine(EngineTests):
    count = 400

    def engine(self):
        return make_engine(CONFIG)


def test_the_engine_is_found_by_its_name():
    assert isinstance(make_engine(CONFIG), NetsquidEngine)
    assert available()["netsquid"] is None
