import numpy as np
import pytest
from scipy.stats import beta, binom

from caligo_mpi.pairs import bits
from caligo_mpi.protocol import estimate as estimating
from caligo_mpi.protocol.estimate import clopper_pearson, estimate, likely_at_most, upper_tail


@pytest.mark.parametrize("confidence", [0.5, 0.95, 1 - 1e-6, 1 - 1e-10])
@pytest.mark.parametrize(
    ("errors", "tested"),
    [
        (0, 1),
        (1, 1),
        (0, 10),
        (3, 100),
        (50, 100),
        (99, 100),
        (100, 100),
        (1, 10**6),
        (20_000, 10**6),
        (10**7, 10**9),
    ],
)
def test_interval_is_that_of_the_beta_quantiles(errors, tested, confidence):
    tail = (1 - confidence) / 2
    low, high = clopper_pearson(errors, tested, confidence)
    assert low == pytest.approx(
        beta.ppf(tail, errors, tested - errors + 1) if errors else 0, rel=1e-9
    )
    assert high == pytest.approx(
        beta.isf(tail, errors + 1, tested - errors) if errors < tested else 1, rel=1e-9
    )


@pytest.mark.parametrize("seed", range(4))
def test_trials_that_are_left_out_would_not_have_changed_the_interval(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    asked = []
    for tested in (10 ** rng.uniform(0, 7, 40)).astype(int):
        few = rng.integers(0, min(20, tested), endpoint=True)
        errors = rng.choice([few, tested - few, rng.integers(0, tested, endpoint=True)])
        confidence = rng.choice([0.05, 0.5, 0.95, 1 - 1e-6, 1 - 1e-10, 1 - 1e-13])
        asked.append((int(errors), int(tested), float(confidence)))
    found = [clopper_pearson(*each) for each in asked]
    monkeypatch.setattr(estimating, "_around", lambda *_: (0.0, 1.0))
    assert found == [clopper_pearson(*each) for each in asked]


def test_interval_of_published_example():
    # 95 % interval of 10 in 100: Newcombe, Statistics in Medicine 17:857 (1998), and every statistics package.
    low, high = clopper_pearson(10, 100, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.0490, 0.1762)


def test_no_errors_bound_the_rate_from_above_only():
    low, high = clopper_pearson(0, 1000, 0.9)
    assert low == 0
    assert high == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-12)


@pytest.mark.parametrize("rate", [1e-6, 0.02, 0.11, 0.5, 0.9])
@pytest.mark.parametrize(
    ("successes", "trials"), [(1, 1), (1, 50), (25, 50), (50, 50), (2300, 20_000)]
)
def test_upper_tail_is_the_binomial_one(successes, trials, rate):
    expected = binom.sf(successes - 1, trials, rate)
    assert upper_tail(successes, trials, rate) == pytest.approx(expected, rel=1e-8, abs=1e-15)


def test_true_rate_lies_within_the_interval_as_often_as_stated():
    # The interval's coverage at each rate, summed exactly over the outcomes: never below the confidence.
    for rate in (0.01, 0.05, 0.3):
        covered = 0.0
        for errors in range(61):
            low, high = clopper_pearson(errors, 60, 0.9)
            covered += binom.pmf(errors, 60, rate) * (low <= rate <= high)
        assert 0.9 <= covered < 0.99


def test_estimate_counts_differing_bits():
    rng = np.random.default_rng(3)
    own = rng.integers(0, 2, 1003)
    other = own.copy()
    other[[0, 500, 1002]] ^= 1
    found = estimate(bits.pack(own), bits.pack(other), 1003, confidence=0.95)
    assert (found.errors, found.tested) == (3, 1003)
    assert found.qber == 3 / 1003
    assert found.low < found.qber < found.high


def test_nothing_tested_says_nothing():
    empty = np.zeros(0, np.uint8)
    found = estimate(empty, empty, 0)
    assert (found.qber, found.low, found.high) == (0.5, 0.0, 1.0)


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match="do not both hold 9 bits"):
        estimate(np.zeros(2, np.uint8), np.zeros(1, np.uint8), 9)


@pytest.mark.parametrize(
    ("errors", "tested", "confidence"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 1.0), (1, 5, 0.0)]
)
def test_interval_of_an_impossible_count_is_refused(errors, tested, confidence):
    with pytest.raises(ValueError, match="is not a binomial interval"):
        clopper_pearson(errors, tested, confidence)


def test_codes_are_made_for_the_upper_end_of_the_interval():
    found = estimate(bits.pack(np.arange(20_000) < 200), np.zeros(2500, np.uint8), 20_000)
    assert found.qber == 0.01
    assert likely_at_most(found, 0.9) == 0.01124
    assert likely_at_most(found, 0.998) > likely_at_most(found, 0.9)
