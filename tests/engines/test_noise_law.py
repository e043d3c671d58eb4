"""Outcome counts drawn from their law: against scipy, closed forms, and counts of simulated pairs.

Seeds are fixed.  Each threshold has a false-alarm probability of at most 1e-6.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import caligo_mpi
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.noise import binomial
from caligo_mpi.engines.noise.binomial import draw_binomial
from caligo_mpi.engines.noise.law import draw_counts, outcome_weights
from caligo_mpi.engines.noise.outcomes import Law
from caligo_mpi.errors import ConfigError
from caligo_mpi.pairs import OutcomeCounts
from caligo_mpi.runs.counts import counts_of

ONE = 1 << 64
LOSS = {
    "alice": {"detector_efficiency": 0.3, "dark_count_probability": 1e-3},
    "bob": {"coupling": 0.6},
}
SKEW = {"p_read1_given0": 0.02, "p_read0_given1": 0.07, "basis_bias": 0.3}
ENGINES = {
    "ideal": {"link": {"fidelity": 1.0}},
    "werner": {"link": {"fidelity": 0.9}},
    "skewed": {"link": {"pauli": [0.05, 0.02, 0.1]}, "alice": SKEW, "bob": {"readout_flip": 0.01}},
    "lossy": {"link": {"fidelity": 0.9}, "alice": SKEW, "loss": LOSS},
    "pdc": {"source": {"type": "pdc", "mu": 0.1, "misalignment": 0.01}, "loss": LOSS},
    "one basis": {"link": {"fidelity": 0.8}, "alice": {"basis_bias": 0.0}},
}


def config(kind, pairs=10**12, seed=1):
    engine = {"name": "noise", **ENGINES[kind]}
    return caligo_mpi.parse_config({"pairs": pairs, "seed": seed, "engine": engine})


def raw(seed):
    return np.random.SFC64(seed).random_raw


@pytest.mark.parametrize(
    ("trials", "probability"),
    [
        (1, 0.5), (7, 0.9), (40, 0.5), (100, 0.26), (1000, 0.999), (10**6, 1e-4), (60, 0.5),
        (10**9, 0.5), (10**12, 0.3), (10**12, 0.9), (10**15, 3e-14), (10**15, 1e-12),
    ],
)  # fmt: skip
def test_binomials_have_scipys_distribution(trials, probability):
    events = round(probability * ONE)
    draw = raw(trials % 1000 + round(1000 * probability))
    drawn = np.array([draw_binomial(trials, events, ONE, draw) for _ in range(4000)])
    # A discrete law is made uniform with a random number for each step of it.
    within = np.random.default_rng(1).random(len(drawn))
    law = stats.binom(trials, events / ONE)
    uniform = law.cdf(drawn - 1) + within * law.pmf(drawn)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-6


def test_small_binomials_have_every_probability():
    events, total = 3, 7
    draw = raw(5)
    for trials in (2, 5):
        drawn = [draw_binomial(trials, events, total, draw) for _ in range(20_000)]
        law = [
            math.comb(trials, k) * Fraction(events, total) ** k * Fraction(4, total) ** (trials - k)
            for k in range(trials + 1)
        ]
        expected = [float(p) * len(drawn) for p in law]
        found = np.bincount(drawn, minlength=trials + 1)
        assert stats.chisquare(found, expected).pvalue > 1e-6


def test_what_is_certain_is_not_drawn():
    assert draw_binomial(10**15, 0, ONE, raw(1)) == 0
    assert draw_binomial(10**15, ONE, ONE, raw(1)) == 10**15
    assert draw_binomial(0, 5, 9, raw(1)) == 0


def test_floats_are_far_from_deciding_wrongly():
    """A float decides where it is 1e-9 off the border; it is never wrong by a hundredth of that."""
    rng = np.random.default_rng(3)
    seen = 0
    while seen < 60:
        trials, events = int(10 ** rng.uniform(2, 15)), int(10 ** rng.uniform(-9, -0.31) * ONE)
        if trials * events <= 25 * ONE:
            continue
        seen += 1
        law = binomial._Law(trials, events, ONE)
        sigma = math.sqrt(trials * events / ONE * (1 - events / ONE))
        for away in (0, 0.3, 2.0, 6.0, -0.7, -4.0):
            count = min(trials, max(0, law.mode + int(away * sigma)))
            quick = law.log_weight(count) - law.log_weight(law.mode)
            assert abs(quick - float(law.log_ratio(count, law.mode))) < 1e-11
        # The staircase is above the law where its first step ends.
        width = binomial._step_width(law)
        for count in (law.mode + width, law.mode - width):
            if 0 <= count <= trials:
                assert float(law.log_ratio(count, law.mode)) < -math.log(4)


def test_decimals_decide_as_floats_do_where_both_can():
    law = binomial._Law(10**9, ONE // 3, ONE)
    count = law.mode + 20_000
    share = law.log_weight(count) - law.log_weight(law.mode)
    border = round(math.exp(share) * ONE)
    # The decision changes at one number, where floats cannot tell: decimals do, and in order.
    decided = [
        binomial._is_accepted(law, count, 0, law.log_weight(law.mode), border + off)
        for off in (-(10**14), -(10**8), -10_000_000, 10_000_000, 10**8, 10**14)
    ]
    assert decided == sorted(decided, reverse=True)
    assert (decided[0], decided[-1]) == (True, False)


def test_factorials_are_those_of_integers():
    for count in (0, 1, 16, 999, 1000, 1001, 3000):
        exact = binomial._EXACT.ln(math.factorial(count))
        assert abs(binomial._log_factorial(count) - exact) < 1e-40


@pytest.mark.parametrize("kind", ENGINES)
def test_the_law_is_that_of_the_closed_forms(kind):
    engine = make_engine(config(kind).engine)
    law = Law(**{name: engine.thresholds[name] for name in Law.__slots__})
    for basis, qber in ((0, engine.expected.qber_z), (1, engine.expected.qber_x)):
        weights = outcome_weights(law, basis, basis)
        assert math.isclose((weights[1] + weights[2]) / sum(weights), qber, abs_tol=1e-15)
    for bases in ((0, 1), (1, 0)):
        assert sum(outcome_weights(law, *bases)) == 2 * ONE**3


@pytest.mark.parametrize("kind", ENGINES)
def test_large_counts_fit_the_closed_forms(kind):
    found = counts_of(config(kind))
    expected = make_engine(config(kind).engine).expected
    tally, rows = found.tally, found.rows
    checks = [
        (rows, found.emissions, expected.coincidence),
        (found.alice_clicks, found.emissions, expected.alice_click),
        (found.bob_clicks, found.emissions, expected.bob_click),
        (tally.sifted_z, rows, expected.sifted_z),
        (tally.sifted_x, rows, expected.sifted_x),
        (tally.errors_z, tally.sifted_z, expected.qber_z),
        (tally.errors_x, tally.sifted_x, expected.qber_x),
    ]
    for events, trials, probability in checks:
        spread = math.sqrt(trials * probability * (1 - probability))
        # 40 comparisons at 5.9 sigma each: 1.5e-7.
        assert abs(events - trials * probability) <= 5.9 * spread + 1e-3


@pytest.mark.parametrize("kind", ENGINES)
def test_they_have_the_distribution_of_counted_pairs(kind):
    pairs = caligo_mpi.generate_pairs(config(kind, pairs=400_000, seed=2))
    codes = (
        8 * pairs.alice_basis + 4 * pairs.bob_basis + 2 * pairs.alice_outcome + pairs.bob_outcome
    )
    counted = np.bincount(codes, minlength=16)
    drawn = np.array(counts_of(config(kind, pairs=400_000)).counts)
    assert np.array_equal(counted == 0, drawn == 0)
    both = np.stack([counted, drawn])[:, counted > 0]
    assert stats.chi2_contingency(both).pvalue > 1e-6


def test_many_small_draws_have_the_covariance_of_a_multinomial():
    draws = np.array([counts_of(config("skewed", 100, seed)).counts for seed in range(2000)])
    engine = make_engine(config("skewed").engine)
    law = Law(**{name: engine.thresholds[name] for name in Law.__slots__})
    p = []
    for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
        bases = [x / ONE if i else 1 - x / ONE for i, x in ((a, law.alice_x), (b, law.bob_x))]
        weights = outcome_weights(law, a, b)
        p += [bases[0] * bases[1] * weight / sum(weights) for weight in weights]
    observed = draws.sum(axis=0)
    assert stats.chisquare(observed, np.array(p) * 200_000).pvalue > 1e-6
    covariance = np.cov(draws.T)
    expected = 100 * (np.diag(p) - np.outer(p, p))
    off = (covariance - expected)[np.triu_indices(16)]
    spread = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / 2000)
    assert np.abs(off / spread[np.triu_indices(16)]).max() < 7


GOLDEN_LOSSY = (
    28991429211, 4160808241, 2582052042, 27412452203,
    16576126816, 16575906720, 14997299399, 14997567217,
    7103927659, 7103977517, 6427396354, 6427492562,
    12424799455, 1783236569, 1106646731, 11748130416,
)  # fmt: skip
GOLDEN_CLICKS = (300698688091, 600000392737)
GOLDEN_FEW = (118, 6, 9, 127, 54, 59, 51, 70, 72, 71, 61, 59, 113, 8, 10, 112)


def test_the_stream_is_fixed():
    """Golden: on every machine and every version of numpy."""
    assert counts_of(config("lossy", 10**12, 7)) == OutcomeCounts(
        counts=GOLDEN_LOSSY,
        emissions=10**12,
        alice_clicks=GOLDEN_CLICKS[0],
        bob_clicks=GOLDEN_CLICKS[1],
    )
    assert counts_of(config("werner", 1000, 7)).counts == GOLDEN_FEW


def test_counts_are_of_the_configuration_alone():
    first = counts_of(config("lossy", 10**6, 3))
    assert first == counts_of(config("lossy", 10**6, 3))
    assert first != counts_of(config("lossy", 10**6, 4))
    engine = make_engine(config("lossy").engine)
    assert first == draw_counts(engine.thresholds, 10**6, 3)
    assert first.table().sum() == first.rows
    assert first.table()[1, 1, 0, 1] == first.counts[13]


def test_another_engine_has_no_law():
    plugin = caligo_mpi.parse_config({"pairs": 8, "seed": 1, "engine": {"name": "trouble"}})
    with pytest.raises(ConfigError, match=r"engine\.name=trouble has no law"):
        counts_of(plugin)


def test_a_thousand_times_the_emissions_take_as_few_words():
    taken = []

    def counting(count):
        taken.append(count)
        return source(count)

    for trials in (10**6, 10**15):
        source = raw(1)
        draw_binomial(trials, ONE // 3, ONE, counting)
    assert len(taken) < 40
