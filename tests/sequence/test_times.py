"""Times of SeQUeNCe's memories and of the noise engine, sample against sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sequence_settings import memories, sample_of
from two_engines import ALARM, noise_engine, require_same_moments

from caligo_mpi.config import SequenceConfig
from caligo_mpi.engines.compare import outcome_counts, request_times, same_law, same_numbers
from caligo_mpi.engines.sequence import probe
from caligo_mpi.engines.sequence.closed_form import busy, equal_attempts, rounds, timing

if probe():
    pytest.skip("runs in the environment of tests/sequence_env.sh", allow_module_level=True)

PAIRS, MORE = 250, 20_000
FIDELITY = 0.9
DECAY = {"storage_time_ns": 1e5, "T1_ns": 2e6, "T2_ns": 5e5}


@pytest.mark.parametrize("length", [0.0, 25.0], ids=["0 km", "25 km"])
@pytest.mark.parametrize("memory", [{}, DECAY], ids=["kept", "decaying"])
def test_times_are_those_of_the_noise_engine(length: float, memory: dict[str, float]):
    """Attempts that are all as long have SeQUeNCe's mean and variance and its outcomes; the noise
    engine's attempts in SeQUeNCe's rounds have its law of times.  False alarm 1e-6 each.
    """
    sides = {"alice": memory, "bob": memory}
    optics = {"length_km": length, "detector_efficiency": 0.8}
    section = memories(**optics, fidelity=FIDELITY, **sides)
    theirs = sample_of(section, PAIRS)
    times = request_times(theirs, 1)
    config = SequenceConfig.model_validate(section)
    cycle, success = equal_attempts(config)
    link = {"fidelity": FIDELITY, "cycle_time_ns": cycle, "prob_success": success}
    equal = noise_engine({"link": link, "hold": 1, "formalism": "ket", **sides})
    ours = equal.sample(MORE, np.random.SeedSequence(1))
    require_same_moments(times, request_times(ours, 1))
    assert same_law(outcome_counts(theirs), outcome_counts(ours)) > ALARM
    assert same_numbers(times, times_in_rounds(config, optics)) > ALARM


def times_in_rounds(config: SequenceConfig, optics: dict[str, Any]) -> np.ndarray:
    """Times that the noise engine's attempts make: a failed one takes a round or two, the last two."""
    assert config.link is not None
    link = {**optics, "type": "heralded-double-click", "length_km": max(1e-3, optics["length_km"])}
    pairs = noise_engine({"link": link}).sample(MORE, np.random.SeedSequence(2))
    failed = pairs.extra["attempts"].astype(np.int64) - 1
    second = np.random.default_rng(3).binomial(failed, rounds(config.link).second)
    found = timing(config.link)
    count = failed + second + 2
    return (count * found.round + busy(config, found)) / 1000
