"""Heralded links as simulated: attempts and error rates with unequal photons and dark counts."""

from functools import cache

import numpy as np
import pytest
from two_engines import require_same

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines.heralded import BRIGHT, heralded
from caligo_mpi.engines.netsquid import NetsquidEngine, probe
from caligo_mpi.pairs import tally

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

CYCLE_NS, PAIRS = 10_000, 1200
IDEAL = {"length_km": 2.0, "attenuation_db_per_km": 0.0}
CASES = {
    "ideal": {},
    "loss": {"attenuation_db_per_km": 1.5, "p_loss_init": 0.2, "detector_efficiency": 0.8},
    "unequal photons": {"detector_efficiency": 0.5, "visibility": 0.6},
    "dark counts": {"detector_efficiency": 0.5, "dark_count_probability": 0.03},
    "both": {"detector_efficiency": 0.4, "visibility": 0.7, "dark_count_probability": 0.01},
}


def far(rate, law, count):
    spread = np.sqrt(law * (1 - law) / count)
    return (
        abs(rate - law) / spread if spread > 1e-9 else (0.0 if abs(rate - law) < 1e-9 else np.inf)
    )


SECTIONS = {
    (clicks, case): {"link": {"type": f"heralded-{clicks}-click", **IDEAL, **more}}
    for clicks in ("single", "double")
    for case, more in CASES.items()
}


@cache
def sampled(clicks, case):
    config = NetsquidConfig.model_validate({"name": "netsquid", **SECTIONS[clicks, case]})
    return config, NetsquidEngine(config).sample(PAIRS, np.random.SeedSequence(31))


@pytest.mark.parametrize(("clicks", "case"), SECTIONS)
def test_the_noise_engine_s_links_have_the_same_law(clicks, case):
    """``engine.name`` alone differs: 16 outcomes, times, attempts and Bell states, false alarm 1e-6 each."""
    _, pairs = sampled(clicks, case)
    assert set(pairs.extra) == {"attempts", "bell_state"}
    require_same(pairs, SECTIONS[clicks, case])


@pytest.mark.parametrize(("clicks", "case"), SECTIONS)
def test_attempts_and_error_rates_are_those_of_the_closed_form(clicks, case):
    """4.9 standard deviations each, false alarm 1e-6."""
    config, pairs = sampled(clicks, case)
    law = heralded(config.link)
    attempts = pairs.time[-1] / CYCLE_NS
    assert attempts == round(attempts)
    assert (
        abs(attempts / PAIRS - 1 / law.success)
        <= 4.9 * np.sqrt((1 - law.success) / PAIRS) / law.success
    )
    seen = tally(pairs.columns, PAIRS)
    assert far(seen.errors_z / seen.sifted_z, law.qber_z, seen.sifted_z) <= 4.9
    assert far(seen.errors_x / seen.sifted_x, law.qber_x, seen.sifted_x) <= 4.9


def test_squidasm_asks_for_the_fidelity_that_the_closed_form_has():
    """A constant in the wheel; a program has no say in it."""
    import inspect

    from squidasm.sim.stack import netstack

    assert f"MINIMUM_FIDELITY = {1 - BRIGHT:g}" in inspect.getsource(netstack)
