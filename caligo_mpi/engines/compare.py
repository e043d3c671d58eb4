"""Whether two engines follow the same law: their 16 outcome frequencies, compared directly."""

from __future__ import annotations

from math import erfc, exp, lgamma, log, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs import Pairs, bits

Counts = NDArray[np.int64]


def outcome_counts(pairs: Pairs) -> Counts:
    """How often each of the 16 possible records occurs.

    A record counts at 8·(Alice's basis) + 4·(her bit) + 2·(Bob's basis) + (his bit).
    """
    code = np.zeros(pairs.count, np.uint8)
    for column in pairs.columns:
        values = bits.unpack(column, pairs.count)
        code = 2 * code + values
    counts = np.bincount(code, minlength=16)
    return counts.astype(np.int64)


def same_law(first: Counts, second: Counts) -> float:
    """Probability that two samples of one law differ at least this much (two-sample χ²).

    Records that neither sample has do not count.  Each engine's rows must be independent.

    >>> same_law(np.array([500, 500]), np.array([5100, 4900])) > 0.5
    True
    >>> same_law(np.array([5000, 5000]), np.array([5600, 4400])) < 1e-15
    True
    """
    seen = first + second > 0
    a = first[seen].astype(float)
    b = second[seen].astype(float)
    size_a = a.sum()
    size_b = b.sum()
    ratio = sqrt(size_b / size_a)
    difference = ratio * a - b / ratio
    terms = difference**2 / (a + b)
    statistic = float(terms.sum())
    records = int(seen.sum())
    degrees = records - 1
    return chi2_tail(statistic, degrees)


def same_numbers(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Probability that two samples of one law differ at least this much (Kolmogorov and Smirnov).

    The limit law of large samples; with ties, as of whole numbers, it is an upper bound.

    >>> numbers = np.arange(1000.0)
    >>> same_numbers(numbers, numbers) > 0.99, same_numbers(numbers, numbers + 150) < 1e-6
    (True, True)
    """
    places = np.union1d(first, second)
    differences = _share_below(first, places) - _share_below(second, places)
    distance = float(np.abs(differences).max())
    of_first = len(first)
    of_second = len(second)
    size = of_first * of_second / (of_first + of_second)
    scaled = size * distance**2
    if scaled < 0.04:
        return 1.0
    tail = 0.0
    for k in range(1, 101):
        sign = 1 if k % 2 else -1
        decay = exp(-2 * k * k * scaled)
        tail += sign * decay
    chance = 2 * tail
    return min(1.0, max(0.0, chance))


def _share_below(numbers: NDArray[Any], places: NDArray[Any]) -> NDArray[np.float64]:
    """Which share of the numbers is at most as large as each place."""
    ordered = np.sort(numbers)
    counts = np.searchsorted(ordered, places, side="right")
    shares: NDArray[np.float64] = counts / len(numbers)
    return shares


def request_times(pairs: Pairs, hold: int) -> NDArray[np.float64]:
    """How long each whole request for ``hold`` pairs took (ns), to the picosecond."""
    assert pairs.time is not None
    times = pairs.time[hold - 1 :: hold]
    ends = np.rint(1000 * times)
    took: NDArray[np.float64] = np.diff(ends, prepend=0.0) / 1000
    return took


def chi2_tail(statistic: float, degrees: int) -> float:
    """Probability that χ² with ``degrees`` degrees of freedom exceeds ``statistic``.

    Steps up from 1 or 2 degrees, where it is erfc or exp: Q(a+1, x) = Q(a, x) + xᵃ·exp(−x)/Γ(a+1),
    the last term by logarithms, which do not overflow.

    >>> round(chi2_tail(24.996, 15), 4)
    0.05
    """
    if degrees < 1:
        return nan
    if statistic <= 0:
        return 1.0
    x = statistic / 2
    if degrees % 2:
        a = 0.5
        tail = erfc(sqrt(x))
    else:
        a = 1.0
        tail = exp(-x)
    while 2 * a < degrees:
        log_term = a * log(x) - x - lgamma(a + 1)
        tail += exp(log_term)
        a += 1
    return tail
