"""Mode barrett_kok on the real SeQUeNCe: the contract of engines, and rates and times against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sequence_settings import LOSSY, STORED, engine_of, memories, sample_of

from caligo_mpi.engines.sequence import probe
from caligo_mpi.pairs import Pairs, tally
from caligo_mpi.testing import EngineTests, plausible

if probe():
    pytest.skip("runs in the environment of tests/sequence_env.sh", allow_module_level=True)

LIMIT = 4.9  # standard deviations: a false alarm of 1e-6
PAIRS = 5000


class TestStoredMemories(EngineTests):
    count = 200

    def engine(self):
        return engine_of(STORED)


def require_rates(section: dict[str, Any], pairs: Pairs) -> None:
    """Both QBERs, mean and variance of times, attempts and Bell states are those of the closed forms."""
    law = engine_of(section).expected
    seen = tally(pairs.columns, pairs.count)
    assert plausible(seen.errors_z, seen.sifted_z, law.qber_z)
    assert plausible(seen.errors_x, seen.sifted_x, law.qber_x)
    times = np.diff(pairs.time, prepend=0.0)
    mean, variance = law.request_ns, law.request_variance_ns2
    assert abs(times.mean() - mean) <= LIMIT * np.sqrt(variance / pairs.count)
    squares = (times - mean) ** 2
    assert abs(squares.mean() - variance) <= LIMIT * squares.std() / np.sqrt(pairs.count)
    minus = int((pairs.extra["bell_state"] == 2).sum())
    assert set(np.unique(pairs.extra["bell_state"])) == {1, 2}
    assert plausible(minus, pairs.count, 0.5)


@pytest.mark.parametrize("section", [LOSSY, STORED], ids=["lossy", "stored"])
def test_rates_and_times_follow_the_closed_forms(section):
    require_rates(section, sample_of(section, PAIRS))


def test_attempts_are_geometric_and_tell_the_times():
    """A pair of one attempt took two rounds and its storage, whatever the link."""
    section = memories(length_km=2.0, alice={"storage_time_ns": 50})
    pairs = sample_of(section, 300)
    times = np.diff(pairs.time, prepend=0.0)
    first = times[pairs.extra["attempts"] == 1]
    light = 2.0 / 200_000 * 1e9
    assert len(set(np.rint(first * 1000))) == 1
    assert 6 * light + 50 <= first[0] <= 6 * light + 50 + 6
    attempts = pairs.extra["attempts"].sum()
    fiber = 10 ** (-0.2 * 1.0 / 10)
    assert plausible(300, int(attempts), fiber**2 / 2)
