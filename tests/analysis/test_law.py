"""Laws of rows from configurations, against the engine's own numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import ROOT, RUN_CONFIGS

from caligo_mpi import load_config, parse_config
from caligo_mpi.analysis.evidence import ERRORS_X, ERRORS_Z, SIFTED_X, SIFTED_Z
from caligo_mpi.analysis.law import engine_bounds, law_of
from caligo_mpi.engines import make_engine
from caligo_mpi.runs.identity import run_info
from caligo_mpi.store import RunInfo

NOISE = [path for path in RUN_CONFIGS if "name: noise" in path.read_text("utf-8")]


def info_of(config, engine="noise"):
    return RunInfo(
        pairs=8, chunk_size=8, seed=1, engine=engine, stream_version=1, config=config, config_digest=""
    )  # fmt: skip


@pytest.mark.parametrize("path", NOISE, ids=lambda path: path.stem)
def test_sixteen_outcomes_agree_with_the_closed_forms_of_rates(path):
    config = load_config(path)
    engine = make_engine(config.engine)
    law = law_of(run_info(config, engine))
    shares, rates = np.array(law.outcomes), engine.expected
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert shares[SIFTED_Z].sum() == pytest.approx(rates.sifted_z)
    assert shares[SIFTED_X].sum() == pytest.approx(rates.sifted_x)
    assert shares[ERRORS_Z].sum() == pytest.approx(rates.sifted_z * rates.qber_z)
    assert shares[ERRORS_X].sum() == pytest.approx(rates.sifted_x * rates.qber_x)
    assert (law.period, law.note) == (rates.hold, "")


def test_the_engine_s_blocks_are_where_the_engine_begins_them():
    info = info_of("{}")
    assert engine_bounds(info, 4096) == []
    early = [1 << 12, 1 << 15, 1 << 18]
    assert engine_bounds(info, 2_000_000) == [*early, 1 << 19, 1 << 20, 3 << 19]  # docs/stream.md


def test_netsquid_has_rates_and_a_period_without_being_installed():
    config = load_config(ROOT / "configs" / "netsquid-memory.yaml")
    info = info_of(json.dumps(config.resolved()), "netsquid")
    law = law_of(info)
    assert law.outcomes is None
    assert law.period == 10
    assert 0.0333 < law.expected.qber_z < 0.05  # the link's own, and what decays
    assert engine_bounds(info, 10**6) == []


def test_what_is_no_configuration_has_no_closed_form():
    assert law_of(info_of('{"seed": 7}')).note.startswith("no closed form: ")


def test_other_simulators_of_the_same_experiment_have_the_same_law():
    device = {"link": {"fidelity": 0.97}, "alice": {"basis_bias": 0.3, "readout_flip": 0.01}}
    laws = []
    for name in ("noise", "stim", "cirq"):  # which need not be installed
        config = {"pairs": 8, "seed": 1, "engine": {"name": name, **device}}
        resolved = json.dumps(parse_config(config).resolved())
        laws.append(law_of(info_of(resolved, name)))
    assert laws[0] == laws[1] == laws[2]
    assert laws[0].outcomes is not None
