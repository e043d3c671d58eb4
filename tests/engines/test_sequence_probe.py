"""The SeQUeNCe engine where SeQUeNCe is not: what is missing, what a configuration may say, closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sequence_settings import BLIND, DARK, DECLARED, PHOTONS, engine_of, memories, photons

from caligo_mpi.config import NoiseConfig, SequenceConfig, load_config, parse_config
from caligo_mpi.engines import available, make_engine
from caligo_mpi.engines.heralded import double_click
from caligo_mpi.engines.sequence import SequenceEngine, probe
from caligo_mpi.engines.sequence.closed_form import expected, rounds, timing
from caligo_mpi.errors import ConfigError, EnvironmentProblem


def law(section: dict[str, Any]):
    return expected(SequenceConfig.model_validate(section))


def test_what_is_missing_is_named_with_the_remedy():
    """Nothing is where SeQUeNCe is installed."""
    said = available()["sequence"]
    assert said == probe()
    if said is None:
        assert engine_of(DECLARED).name == "sequence"
        return
    assert said.startswith("engine 'sequence' needs sequence>=1.3,<1.4 (not installed), ")
    assert said.endswith("as the first lines of requirements-sequence.txt say")
    engine = SequenceEngine(SequenceConfig.model_validate(DECLARED))
    with pytest.raises(EnvironmentProblem, match="needs sequence"):
        engine.sample(8, np.random.SeedSequence(1))
    with pytest.raises(EnvironmentProblem):
        engine_of(DECLARED)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({**DECLARED, "mode": "single_heralded"}, "takes dark counts for pairs"),
        ({**DECLARED, "mode": "bk"}, "must be barrett_kok or spdc"),
        ({"name": "sequence", "mode": "spdc"}, "engine.source: missing; mode spdc needs it"),
        ({"name": "sequence", "mode": "barrett_kok"}, "engine.link: missing"),
        ({**PHOTONS, "link": DECLARED["link"]}, "only with mode barrett_kok"),
        ({**DECLARED, "loss": {}}, "only with mode spdc"),
        (memories(detector_efficiency=0), "no attempt is ever heralded"),
        (photons(0.1, alice={"T2_ns": 5}), "photons are not stored"),
        (photons(0.1, loss={"bob": {"gate_width_ns": 101}}), "gates do not overlap"),
        (photons(0.1, loss={"bob": {"detector_efficiency": 0}}), "it never clicks"),
        (memories(alice={"T1_ns": 5, "T2_ns": 11}), "T2 ≤ 2·T1"),
        (memories(length_km=-1), "must be a number of at least 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(section, said):
    with pytest.raises(ConfigError) as refused:
        parse_config({"pairs": 8, "seed": 1, "engine": section})
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["sequence", "sequence-spdc"])
def test_the_examples_are_configurations(name):
    from helpers import ROOT

    assert load_config(ROOT / "configs" / f"{name}.yaml").engine.name == "sequence"


@pytest.mark.parametrize("arm", [1.0, 0.3, 0.01])
def test_without_dark_counts_it_is_the_noise_engines_double_click(arm):
    """Success η²/2, no error but the declared one."""
    found = rounds(SequenceConfig.model_validate(memories(detector_efficiency=arm)).link)
    theirs = double_click(arm, 0.0, 1.0)
    assert found.both == pytest.approx(theirs.success)
    assert (found.qber_z, found.qber_x) == pytest.approx((0.0, 0.0))
    mixed = law(memories(detector_efficiency=arm, fidelity=0.85))
    assert (mixed.qber_z, mixed.qber_x) == pytest.approx((0.1, 0.1))


def test_few_photons_and_dark_counts_are_the_noise_engines_too():
    """Where photons are few, they hardly ever meet: whether they bunch makes no difference."""
    rate, window = 1e4, 100.0
    section = memories(detector_efficiency=0.02, dark_count_rate_hz=rate, window_ns=window)
    found = rounds(SequenceConfig.model_validate(section).link)
    theirs = double_click(0.02, -np.expm1(-rate * window * 1e-9), 1.0)
    assert found.both == pytest.approx(theirs.success, rel=3e-3)
    assert found.qber_z == pytest.approx(theirs.qber_z, rel=0.02)
    assert found.qber_x == pytest.approx(theirs.qber_x, rel=0.02)


def test_dark_counts_alone_make_an_error_rate_of_one_half():
    assert (law(DARK).qber_z, law(DARK).qber_x) == pytest.approx((0.5, 0.5))


def test_photons_are_those_of_a_poissonian_source():
    noise = {"name": "noise", "source": {"type": "pdc", "mu": 0.3, "statistics": "poisson"}}
    arm = {"length_km": 7.0, "detector_efficiency": 0.4, "dark_count_rate_hz": 1e5}
    gated = {**arm, "gate_width_ns": 20.0}
    ours = law(photons(0.3, loss={"alice": gated, "bob": gated}))
    engine = make_engine(
        NoiseConfig.model_validate({**noise, "loss": {"alice": gated, "bob": gated}})
    )
    assert ours.coincidence == pytest.approx(engine.expected.coincidence)
    assert ours.qber_x == pytest.approx(engine.expected.qber_x)
    assert np.isnan(law(BLIND).qber_z)


@pytest.mark.parametrize("length", [0.0, 0.001, 2.0, 25.0, 333.3])
@pytest.mark.parametrize("window", [0.1, 1.0, 7.7, 200.0])
def test_a_round_is_a_whole_number_of_windows_and_at_least_lights_way(length, window):
    config = SequenceConfig.model_validate(memories(length_km=length, window_ns=window)).link
    found = timing(config)
    assert found.round % found.window == 0
    light = length * 5_000_000
    assert 3 * light - found.window <= found.round <= 3 * light + 3 * found.window + 20
    assert min(found.told, found.between) >= 1
    # A click of the window is told after both nodes know when to expect it.
    first = found.photon - found.window + 5
    assert first + found.told >= 0
    assert found.photon % found.window == found.window // 2 - 5
