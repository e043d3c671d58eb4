"""Exact intervals against exact sums, arithmetic of 60 digits and scipy; their coverage by enumeration."""

from __future__ import annotations

import math
import random
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from caligo_mpi.errors import ConfigError
from caligo_mpi.pairs.intervals import clopper_pearson, z_score

CONFIDENCES = (0.5, 0.68, 0.95, 0.999)

#: The bits of bounds, the same on every machine: (errors, trials, confidence) and both in hexadecimal.
BITS = [
    ((0, 10, 0.95), "0x0.0p+0", "0x1.3be6aa73f7f9cp-2"),
    ((1, 10, 0.95), "0x1.4b6d044ec2e3fp-9", "0x1.c7b24e1350e77p-2"),
    ((10, 10, 0.95), "0x1.620caac604032p-1", "0x1.0000000000000p+0"),
    ((344, 10000, 0.95), "0x1.fa7edf54b892cp-6", "0x1.389c2c83dcd6fp-5"),
    ((344, 10000, 0.5), "0x1.0f92c95708290p-5", "0x1.24893841819d6p-5"),
    ((17, 10**9, 0.99), "0x1.1b7d5d3709641p-27", "0x1.087d38d66e54dp-25"),
    ((5 * 10**8, 10**9, 0.68), "0x1.fffbe0c346581p-2", "0x1.00020f9e5cd3fp-1"),
    ((10**13, 10**15, 0.95), "0x1.47ae073c99d38p-7", "0x1.47ae21b929221p-7"),
    ((5 * 10**14, 10**15, 0.999999), "0x1.fffffacf3f44ap-2", "0x1.00000298605dbp-1"),
    ((10**15 - 3, 10**15, 0.95), "0x1.fffffffffffb1p-1", "0x1.ffffffffffffap-1"),
    ((12345, 987654321, 0.9), "0x1.9d37c1bd81330p-17", "0x1.a9ab7275af02ep-17"),
]


@pytest.mark.parametrize(("counts", "low", "high"), BITS)
def test_bounds_have_the_same_bits_everywhere(counts, low, high):
    assert [bound.hex() for bound in clopper_pearson(*counts)] == [low, high]


def at_least(k: int, n: int, p: Fraction) -> Fraction:
    """P(X ≥ k) of n trials, exactly."""
    return sum(
        (math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1)), start=Fraction(0)
    )


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_each_bound_leaves_its_tail_exactly(confidence):
    tail = float((1 - Decimal(str(confidence))) / 2)
    for n in (1, 2, 3, 7, 20, 33):
        for k in range(n + 1):
            low, high = clopper_pearson(k, n, confidence)
            if k:
                assert float(at_least(k, n, Fraction(low))) == pytest.approx(tail, rel=1e-12)
            if k < n:
                below = 1 - at_least(k + 1, n, Fraction(high))
                assert float(below) == pytest.approx(tail, rel=1e-12)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("n", [1, 2, 5, 12, 25])
def test_the_coverage_is_never_below_the_confidence(n, confidence):
    """Coverage is least beside a bound, so these are all the places where it could be too small."""
    intervals = [clopper_pearson(k, n, confidence) for k in range(n + 1)]
    places = {Fraction(bound) for interval in intervals for bound in interval} - {0, 1}
    beside = [place + Fraction(step, 10**9) for place in places for step in (-1, 1)]
    for p in [*beside, Fraction(1, 2), Fraction(1, 50)]:
        covering = [k for k, (low, high) in enumerate(intervals) if low <= p <= high]
        covered = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in covering)
        assert covered >= Fraction(str(confidence))


def ln_gamma(x: int) -> Decimal:
    """Stirling's series, from 60 on, where eight terms leave less than 1e-30."""
    if x < 60:
        return Decimal(math.factorial(x - 1)).ln()
    n = Decimal(x)
    bernoulli = ["1/6", "-1/30", "1/42", "-1/30", "5/66", "-691/2730", "7/6", "-3617/510"]
    two_pi = 2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
    total = (n - Decimal("0.5")) * n.ln() - n + two_pi.ln() / 2
    for j, term in enumerate(bernoulli, 1):
        value = Fraction(term) / (2 * j * (2 * j - 1))
        total += Decimal(value.numerator) / Decimal(value.denominator) / n ** (2 * j - 1)
    return total


def tail_of(k: int, n: int, p: Decimal) -> tuple[Decimal, Decimal]:
    """P(X ≥ k), and its derivative by ln p, with 60 digits; the continued fraction of DLMF 8.17.22."""
    a, b = Decimal(k), Decimal(n - k + 1)
    ln_beta = ln_gamma(k) + ln_gamma(n - k + 1) - ln_gamma(n + 1)
    prefix = (a * p.ln() + b * (1 - p).ln() - ln_beta).exp()
    fraction = Decimal(1)
    for m in range(800, 0, -1):
        j = m // 2
        if m % 2:
            term = -(a + j) * (a + b + j) * p / ((a + 2 * j) * (a + 2 * j + 1))
        else:
            term = j * (b - j) * p / ((a + 2 * j - 1) * (a + 2 * j))
        fraction = 1 + term / fraction
    return prefix / (a * fraction), prefix / (1 - p)


@pytest.mark.parametrize(
    ("k", "n"),
    [(2, 10**15), (1000, 10**15), (10**13, 10**15), (5 * 10**14, 10**15), (34_000_000, 10**9)],
)
@pytest.mark.parametrize("confidence", ["0.68", "0.95", "0.999999"])
def test_large_counts_against_sixty_digits(k, n, confidence):
    low, high = clopper_pearson(k, n, float(confidence))
    with localcontext() as context:
        context.prec = 60
        tail = (1 - Decimal(confidence)) / 2
        found, slope = tail_of(k, n, Decimal(low))
        assert abs((found - tail) / slope) < Decimal("1e-15")
        found, slope = tail_of(n - k, n, 1 - Decimal(high))
        in_bound = (found - tail) / slope * (1 - Decimal(high)) / Decimal(high)
        assert abs(in_bound) < Decimal("1e-15")


def test_intervals_are_those_of_scipy():
    beta = pytest.importorskip("scipy.stats", reason="scipy is not installed").beta
    draw = random.Random(5)
    for _ in range(400):
        n = int(10 ** draw.uniform(0, 6))
        k = draw.choice([0, n, draw.randint(0, n), int(n * 10 ** draw.uniform(-6, 0))])
        confidence = draw.choice([*CONFIDENCES, 0.999999])
        tail = (1 - confidence) / 2
        low, high = clopper_pearson(k, n, confidence)
        assert low == (pytest.approx(beta.ppf(tail, k, n - k + 1), rel=1e-8) if k else 0)
        assert high == (pytest.approx(beta.isf(tail, k + 1, n - k), rel=1e-8) if k < n else 1)


def test_intervals_are_ordered():
    for n in (9, 1000, 10**12):
        some = sorted({0, 1, 2, 5, n // 7, n // 2, n - 1, n})
        bounds = [clopper_pearson(k, n) for k in some]
        assert bounds == sorted(bounds)
        for k, (low, high) in zip(some, bounds, strict=True):
            assert low <= k / n <= high
            wide = clopper_pearson(k, n, 0.999)
            assert wide[0] <= low <= high <= wide[1]
            mirror = clopper_pearson(n - k, n)
            assert (1 - mirror[1], 1 - mirror[0]) == pytest.approx((low, high), abs=1e-15)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_counts_of_numpy_do_not_overflow():
    expected = clopper_pearson(5 * 10**14, 10**15)
    assert clopper_pearson(np.int64(5 * 10**14), np.int64(10**15)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "counts", [(-1, 5), (6, 5), (1, 10**15 + 1), (1.0, 5), ("1", 5), (1, None)]
)
def test_what_are_no_counts_is_refused(counts):
    with pytest.raises(ConfigError, match="are no counts"):
        clopper_pearson(*counts)
    with pytest.raises(ConfigError, match="are no counts"):
        z_score(*counts, 0.5)


@pytest.mark.parametrize("confidence", [0, 0.49, 1, 1.5, -1, math.nan, math.inf])
def test_what_is_no_confidence_is_refused(confidence):
    with pytest.raises(ConfigError, match=r"confidence=.* must be from 0\.5"):
        clopper_pearson(1, 2, confidence)


def test_scores_of_few_errors_are_those_of_the_exact_tail():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    for k, n, p in [
        (0, 1000, 1e-3),
        (3, 1000, 1e-3),
        (1, 10**9, 1e-9),
        (300, 1000, 0.05),
        (9, 9, 0.5),
    ]:
        upper = stats.binom.sf(k - 1, n, p) - stats.binom.pmf(k, n, p) / 2
        assert z_score(k, n, p) == pytest.approx(stats.norm.isf(upper), abs=1e-6)


def test_scores_follow_the_normal_law():
    """Of 20,000 draws, whose scores by exact tails have mean 0 and deviation 1 but for steps."""
    rng = np.random.default_rng(11)
    for n, p in [(500, 0.02), (100_000, 0.03), (10**12, 0.04)]:
        scores = np.array([z_score(k, n, p) for k in rng.binomial(n, p, 5000)])
        assert abs(scores.mean()) < 5 / 5000**0.5
        assert abs(scores.std() - 1) < 5 / 10_000**0.5


def test_scores_at_the_edges():
    assert z_score(0, 0, 0.3) == 0
    assert (z_score(0, 50, 0.0), z_score(50, 50, 1.0)) == (0, 0)
    assert (z_score(1, 50, 0.0), z_score(49, 50, 1.0)) == (math.inf, -math.inf)
    assert z_score(1000, 1000, 1e-9) > 100
    below, above = z_score(10_100, 20_000, 0.5), z_score(20_400, 40_800, 0.495)
    assert (below, above) == pytest.approx((1.414, 2.02), abs=0.03)
    with pytest.raises(ConfigError, match=r"probability=1\.5 must be from 0 to 1"):
        z_score(1, 2, 1.5)
