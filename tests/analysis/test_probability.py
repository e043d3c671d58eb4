"""p-values against scipy: bounds are above the exact probability, and not far."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from caligo_mpi.analysis import probability
from caligo_mpi.engines.compare import chi2_tail


@pytest.mark.parametrize(("trials", "chance"), [(10, 0.5), (1000, 0.01), (100, 0.97), (50, 1e-4)])
def test_small_counts_are_bounded_by_their_deviance(trials, chance):
    for count in range(trials + 1):
        below = stats.binom.cdf(count, trials, chance)
        above = stats.binom.sf(count - 1, trials, chance)
        tail = above if count > trials * chance else below
        bound = np.exp(-probability.deviance(count, trials, chance))
        assert bound >= tail * (1 - 1e-9)
        assert probability.two_sided(count, trials, chance) >= min(1.0, 2 * tail) * (1 - 1e-9)


@pytest.mark.parametrize(("trials", "chance"), [(10**6, 0.5), (10**7, 0.001), (10**5, 0.98)])
def test_large_counts_have_their_two_sided_probability(trials, chance):
    law = stats.binom(trials, chance)
    for z in (-6, -3, -1, 1, 3, 6):
        count = round(law.mean() + z * law.std())
        tail = law.cdf(count) if z < 0 else law.sf(count - 1)
        assert probability.two_sided(count, trials, chance) == pytest.approx(2 * tail, rel=0.15)


def test_what_cannot_be_has_no_probability():
    assert probability.two_sided(1, 100, 0.0) == 0
    assert probability.two_sided(0, 100, 0.0) == 1
    assert probability.two_sided(99, 100, 1.0) == 0
    assert probability.two_sided(0, 0, 0.5) == 1


@pytest.mark.parametrize("degrees", [1, 2, 7, 15, 63, 400, 1001])
def test_tails_of_chi2(degrees):
    for statistic in (0.0, 0.3 * degrees, degrees, 2.0 * degrees, 5.0 * degrees, 1e7):
        exact = stats.chi2.sf(statistic, degrees)
        assert chi2_tail(statistic, degrees) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_rare_cells_of_a_table_are_pooled():
    rng = np.random.default_rng(5)
    law = np.array([0.5, 0.4, 0.0999, 5e-5, 3e-5, 2e-5, 0.0])
    p_values = []
    for counts in rng.multinomial(10_000, law, 2000):
        p_values.append(chi2_tail(*probability.chi2(counts.astype(float), 10_000 * law)))
    # The table is discrete, so large p-values are not even; small ones are what counts.
    for level in (0.1, 0.01):
        alarms = sum(p <= level for p in p_values)
        assert alarms <= stats.binom.isf(1e-6, 2000, 1.3 * level)


def test_the_bridge_is_kolmogorov_s_bound():
    for largest in (0.5, 1.0, 1.5, 3.0):
        exact = stats.kstwobign.sf(largest)
        assert exact <= probability.bridge(largest) <= 1.01 * exact + (largest < 1)


def test_holm_keeps_the_family_s_level():
    rng = np.random.default_rng(3)
    alarms = sum(any(probability.holm(p.tolist(), 0.05)) for p in rng.random((4000, 20)))
    # Of 4000 families 200 are expected; false alarm: 1e-6.
    assert alarms <= stats.binom.isf(1e-6, 4000, 0.05)
    assert probability.holm([], 0.05) == []
    assert probability.holm([1e-5, 1e-5, 1.0], 1e-3) == [True, True, False]
