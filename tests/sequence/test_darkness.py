"""What only a referee finds: pairs of dark counts alone, in SeQUeNCe and in the noise engine."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_settings import DARK, engine_of, sample_of
from two_engines import noise_engine

from caligo_mpi.engines.sequence import probe
from caligo_mpi.pairs import tally
from caligo_mpi.testing import plausible

if probe():
    pytest.skip("runs in the environment of tests/sequence_env.sh", allow_module_level=True)

PAIRS = 5000


def test_dark_counts_alone_make_pairs_without_correlation():
    """No detector sees a photon, and still there are pairs: half of the sifted bits differ, in both bases."""
    link = {"type": "heralded-double-click", "length_km": 0.001, "detector_efficiency": 0.0}
    noise = noise_engine({"link": {**link, "dark_count_probability": 0.3}})
    of_noise = noise.sample(100_000, np.random.SeedSequence(1))
    of_sequence = sample_of(DARK, PAIRS)
    for engine, pairs in ((noise, of_noise), (engine_of(DARK), of_sequence)):
        assert engine.expected.qber_z == pytest.approx(0.5)
        assert engine.expected.qber_x == pytest.approx(0.5)
        seen = tally(pairs.columns, pairs.count)
        assert plausible(seen.errors_z, seen.sifted_z, 0.5)
        assert plausible(seen.errors_x, seen.sifted_x, 0.5)
    mean = engine_of(DARK).expected.request_ns
    spread = np.sqrt(engine_of(DARK).expected.request_variance_ns2 * PAIRS)
    assert abs(of_sequence.duration_ns - PAIRS * mean) <= 4.9 * spread
