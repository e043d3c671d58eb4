"""Probabilities of chance: binomial counts, χ² tables, paths, and many checks at once.

Every p-value here is the probability that a sound file shows at least as much, or a bound above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: From this variance on a binomial count is taken by its deviance, as if it were normal.
_NORMAL = 1000.0
#: The least expected count of a cell of a χ² table; rarer ones are pooled.
_LEAST = 10.0


def deviance(count: Any, trials: Any, probability: Any) -> Floats:
    """How far a count is from a binomial law: n·KL(k/n ‖ p), of arrays or numbers.

    By Chernoff's bound, exp(−deviance) is at least the probability of a count at least as far off
    on the same side.

    >>> round(float(deviance(60, 100, 0.5)), 4)
    2.0136
    """
    k = np.asarray(count, float)
    n = np.asarray(trials, float)
    p = np.asarray(probability, float)
    hits = _times_log(k, n * p)
    misses = _times_log(n - k, n * (1 - p))
    return np.maximum(hits + misses, 0.0)


def _times_log(count: Floats, mean: Floats) -> Floats:
    """count·log(count/mean); 0 for a count of 0, infinite for a count that cannot be."""
    with np.errstate(divide="ignore", invalid="ignore"):
        term = count * np.log(count / mean)
    return np.where(count > 0, term, 0.0)


def two_sided(count: int, trials: int, probability: float) -> float:
    """The probability that a binomial count is at least so far off, on either side.

    Close where the variance is large; elsewhere a bound.

    >>> two_sided(50, 100, 0.5)
    1.0
    >>> round(two_sided(50_500, 100_000, 0.5), 5)
    0.00157
    """
    if trials <= 0:
        return 1.0
    off = float(deviance(count, trials, probability))
    variance = trials * probability * (1 - probability)
    if variance >= _NORMAL:
        return erfc(sqrt(off))
    bound = 2 * exp(-off)
    return min(1.0, bound)


def normal(z: float) -> float:
    """The probability that a normal variable is at least so many standard deviations off.

    >>> round(normal(1.96), 3)
    0.05
    """
    return erfc(abs(z) / sqrt(2))


def pooled(counts: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """The table with all cells of too small an expectation made one, or joined to the smallest.

    >>> pooled(np.array([50.0, 3.0, 2.0]), np.array([45.0, 6.0, 4.0]))
    (array([50.,  5.]), array([45., 10.]))
    """
    order = np.argsort(expected, kind="stable")[::-1]
    counts = counts[order]
    expected = expected[order]
    cells = len(expected)
    large = int((expected >= _LEAST).sum())
    if large < cells and expected[large:].sum() < _LEAST:
        large = max(large - 1, 0)
    if large >= cells - 1:
        return counts, expected
    return _joined(counts, large), _joined(expected, large)


def _joined(table: Floats, large: int) -> Floats:
    """The table with all cells behind the large ones made one."""
    rest = table[large:].sum()
    return np.append(table[:large], rest)


def chi2(counts: Floats, expected: Floats) -> tuple[float, int]:
    """The χ² statistic of a table against its expectation, and its degrees of freedom.

    Cells that cannot occur are left out; counts there are somebody else's to find.
    """
    possible = expected > 0
    counts = counts[possible].astype(float)
    expected = expected[possible].astype(float)
    counts, expected = pooled(counts, expected)
    terms = (counts - expected) ** 2 / expected
    return float(terms.sum()), len(counts) - 1


def bridge(largest: float) -> float:
    """A bound on the probability that a Brownian bridge goes so far from 0 (Kolmogorov).

    >>> round(bridge(1.628), 2)
    0.01
    """
    bound = 2 * exp(-2 * largest**2)
    return min(1.0, bound)


def at_most_one(p: float, tries: int) -> float:
    """Bonferroni's bound: the smallest of ``tries`` p-values is ``p``.

    >>> at_most_one(0.01, 3), at_most_one(0.5, 3)
    (0.03, 1.0)
    """
    return min(1.0, p * tries)


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which checks fail so that a sound file has any failure with probability ``level`` at most.

    >>> holm([0.0004, 0.2, 0.0003], 0.001)
    [True, False, True]
    >>> holm([0.0004, 0.2, 0.3], 0.001)
    [False, False, False]
    """
    checks = len(p_values)
    failed = [False] * checks
    order = sorted(range(checks), key=p_values.__getitem__)
    for place, which in enumerate(order):
        left = checks - place
        if p_values[which] * left > level:
            break
        failed[which] = True
    return failed
