"""One section of the configuration through two engines: outcomes, times and attempts are compared without formulas."""

from __future__ import annotations

from typing import Any

import numpy as np

from caligo_mpi.config import NoiseConfig
from caligo_mpi.engines import Engine, make_engine
from caligo_mpi.engines.compare import outcome_counts, request_times, same_law, same_numbers
from caligo_mpi.pairs import Pairs

ALARM, LIMIT = 1e-6, 4.9  # false alarm of each comparison


def noise_engine(section: dict[str, Any]) -> Engine:
    """The noise engine on a section for NetSquid, in which the name alone is changed."""
    return make_engine(NoiseConfig.model_validate({**section, "name": "noise"}))


def require_same(theirs: Pairs, section: dict[str, Any], *, rows: int = 100_000) -> None:
    """All that pairs of another engine have follows the law of the noise engine's pairs."""
    engine = noise_engine(section)
    hold = engine.expected.hold
    ours = engine.sample(rows - rows % hold, np.random.SeedSequence(77))
    assert same_law(outcome_counts(theirs), outcome_counts(ours)) > ALARM
    _require_same_numbers(request_times(theirs, hold), request_times(ours, hold))
    for name in set(theirs.extra) & set(ours.extra):
        _require_same_numbers(theirs.extra[name].astype(float), ours.extra[name].astype(float))


def _require_same_numbers(theirs: np.ndarray, ours: np.ndarray) -> None:
    """Kolmogorov–Smirnov, mean and variance; numbers that cannot vary are equal."""
    if ours.std() < 1e-9 * abs(ours.mean()):
        assert np.abs(theirs - ours[0]).max() <= 1e-9 * abs(ours[0]) + 1e-3
        return
    assert same_numbers(theirs, ours) > ALARM
    require_same_moments(theirs, ours)


def require_same_moments(theirs: np.ndarray, ours: np.ndarray) -> None:
    """Means and variances of two samples."""
    for power in (1, 2):
        a, b = ((x - ours.mean()) ** power for x in (theirs, ours))
        spread = np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) <= LIMIT * spread
