"""Mode spdc on the real SeQUeNCe: the contract of engines, rates against closed forms, gates and dead time."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_settings import BLIND, PHOTONS, engine_of, photons, sample_of

from caligo_mpi.config import NoiseConfig
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.compare import outcome_counts, same_law
from caligo_mpi.engines.sequence import probe
from caligo_mpi.pairs import tally
from caligo_mpi.testing import EngineTests, plausible

if probe():
    pytest.skip("runs in the environment of tests/sequence_env.sh", allow_module_level=True)


class TestPhotons(EngineTests):
    count = 3000

    def engine(self):
        return engine_of(PHOTONS)


class TestBlindDetectors(EngineTests):
    count = 1000

    def engine(self):
        return engine_of(BLIND)


def test_rates_follow_the_closed_forms_and_the_noise_engine():
    """All 16 outcomes, clicks and coincidences, against the noise engine on the same arms."""
    pulses = 20_000
    pairs = sample_of(PHOTONS, pulses)
    law = engine_of(PHOTONS).expected
    seen = tally(pairs.columns, pairs.count)
    assert pairs.count > 5000
    assert plausible(pairs.count, pulses, law.coincidence)
    assert plausible(pairs.alice_clicks, pulses, law.alice_click)
    assert plausible(pairs.bob_clicks, pulses, law.bob_click)
    assert plausible(seen.errors_z, seen.sifted_z, law.qber_z)
    assert plausible(seen.errors_x, seen.sifted_x, law.qber_x)
    noise = make_engine(NoiseConfig.model_validate(in_words_of_noise(PHOTONS)))
    theirs = noise.sample(50 * pulses, np.random.SeedSequence(3))
    assert same_law(outcome_counts(pairs), outcome_counts(theirs)) > 1e-6
    for name in ("coincidence", "alice_click", "bob_click", "qber_z", "qber_x"):
        assert getattr(law, name) == pytest.approx(getattr(noise.expected, name), rel=1e-9)


def in_words_of_noise(section):
    """The same section for the noise engine: a gate is one period unless given."""
    period = section["source"]["period_ns"]
    loss = {side: {"gate_width_ns": period, **arm} for side, arm in section["loss"].items()}
    source = {"type": "pdc", "mu": section["source"]["mu"], "statistics": "poisson"}
    sides = {key: section[key] for key in ("alice", "bob") if key in section}
    return {"name": "noise", "source": source, "loss": loss, **sides}


def test_rows_are_where_their_pulses_were():
    section = photons(0.3, loss={"bob": {"length_km": 20.0, "detector_efficiency": 0.5}})
    pairs = sample_of(section, 4000)
    assert np.array_equal(pairs.time, pairs.index * 100.0)
    assert pairs.duration_ns == 4000 * 100.0


def test_time_stamps_have_the_detectors_resolution():
    arm = {"dark_count_rate_hz": 2e6, "time_resolution_ns": 0.25}
    pairs = sample_of(photons(0.1, loss={"alice": arm, "bob": arm}), 3000)
    stamps = np.rint(1000 * (pairs.time % 100.0)).astype(int)
    assert np.all(stamps % 250 == 0)
    assert len(set(stamps)) > 20


def test_a_detector_is_blind_after_a_click():
    """Blind for 2.5 periods: rows of one bit are at least three pulses apart, and without it they are not."""
    seeing = photons(2.0)
    for section, least in ((BLIND, 3), (seeing, 1)):
        section = {**section, "alice": {"basis_bias": 0.0}, "bob": {"basis_bias": 0.0}}
        pairs = sample_of(section, 2000)
        bit = np.unpackbits(pairs.columns[1], count=pairs.count, bitorder="little")
        gaps = [np.diff(pairs.index[bit == value].astype(int)).min() for value in (0, 1)]
        assert min(gaps) == least
