"""QBER against every closed form, and all 16 outcome frequencies against the noise engine, on one sample per case."""

import runpy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from two_engines import require_same

from caligo_mpi.config import NetsquidConfig, NoiseConfig
from caligo_mpi.engines.compare import outcome_counts, same_law
from caligo_mpi.engines.netsquid import NetsquidEngine, probe
from caligo_mpi.engines.noise import NoiseEngine
from caligo_mpi.pairs import tally

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

CASES = runpy.run_path(str(Path(__file__).parents[2] / "jobs" / "compare_engines.py"))["CASES"]
FULL = ("link, F = 0.8", "everything")

# Idle times that differ between the positions, which the noise engine has no word for.
MEMORY = {
    "T1_ns": 9000.0,
    "T2_ns": 7000.0,
    "measure_time_ns": 700.0,
    "single_qubit_gate_time_ns": 400.0,
}
UNEVEN = {
    "idle times of held qubits": {
        "link": {"fidelity": 0.9, "cycle_time_ns": 500.0}, "device": MEMORY, "hold": 5, "bob": {"basis_bias": 0.7},
    },
    "idle times while attempts fail": {
        "link": {"fidelity": 0.9, "cycle_time_ns": 500.0, "prob_success": 0.5}, "device": MEMORY, "hold": 4,
    },
}  # fmt: skip
PARAMETERS = {name: netsquid for name, (netsquid, _) in CASES.items()} | UNEVEN


def engine(case):
    return NetsquidEngine(NetsquidConfig.model_validate({"name": "netsquid", **PARAMETERS[case]}))


@pytest.fixture(scope="module")
def samples():
    """Two at a time: they are most of the time that these tests take."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = {
            case: pool.submit(
                engine(case).sample, 20_000 if case in FULL else 5_000, np.random.SeedSequence(21)
            )
            for case in PARAMETERS
        }
        return {case: future.result() for case, future in futures.items()}


def sigmas(errors, sifted, law):
    """Distance from the law; a rate that cannot vary is infinitely far unless it is met."""
    off, spread = abs(errors / sifted - law), np.sqrt(law * (1 - law) / sifted)
    if spread < 1e-9:
        return 0.0 if off < 1e-9 else np.inf
    return off / spread


@pytest.mark.parametrize("case", PARAMETERS)
def test_the_qber_is_that_of_the_closed_form(samples, case):
    """Within 4.9 σ per basis: false alarm 1e-6."""
    seen, law = tally(samples[case].columns, samples[case].count), engine(case).expected
    assert sigmas(seen.errors_z, seen.sifted_z, law.qber_z) <= 4.9
    assert sigmas(seen.errors_x, seen.sifted_x, law.qber_x) <= 4.9
    assert sigmas(seen.sifted_z, samples[case].count, law.sifted_z) <= 4.9
    assert sigmas(seen.sifted_x, samples[case].count, law.sifted_x) <= 4.9


def test_the_qber_is_p_over_2_and_not_half_the_infidelity(samples):
    seen = tally(samples["link, F = 0.8"].columns, 20_000)
    errors, sifted = seen.errors_z + seen.errors_x, seen.sifted_z + seen.sifted_x
    assert sigmas(errors, sifted, 0.4 / 3) <= 4.9
    assert sigmas(errors, sifted, 0.1) > 9
    assert sigmas(errors, sifted, 0.2) > 9


@pytest.mark.parametrize("case", CASES)
def test_the_noise_engine_gives_the_same_outcome_frequencies(samples, case):
    """Two-sample χ² over the 16 records, false alarm 1e-6."""
    noise = NoiseEngine(NoiseConfig.model_validate({"name": "noise", **CASES[case][1]}))
    theirs = outcome_counts(noise.sample(1_000_000, np.random.SeedSequence(22)))
    assert same_law(outcome_counts(samples[case]), theirs) > 1e-6


@pytest.mark.parametrize("case", PARAMETERS)
def test_the_same_section_gives_the_same_law_with_the_noise_engine(samples, case):
    """``engine.name`` alone differs: 16 outcomes, times and attempts, false alarm 1e-6 each."""
    require_same(samples[case], PARAMETERS[case])


def test_the_comparison_tells_p_over_2_from_half_the_infidelity(samples):
    noise = NoiseEngine(NoiseConfig.model_validate({"name": "noise", "link": {"fidelity": 0.85}}))
    theirs = outcome_counts(noise.sample(1_000_000, np.random.SeedSequence(22)))
    assert same_law(outcome_counts(samples["link, F = 0.8"]), theirs) < 1e-9
