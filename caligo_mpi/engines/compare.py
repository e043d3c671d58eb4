"""Whether two engines follow the same law: their 16 outcome frequencies, compared directly."""

from __future__ import annotations

from math import erfc, exp, lgamma, log, nan, sqrt

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
        code = 2 * code + bits.unpack(column, pairs.count)
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
    ratio = sqrt(b.sum() / a.sum())
    difference = ratio * a - b / ratio
    statistic = (difference**2 / (a + b)).sum()
    degrees = int(seen.sum()) - 1
    return chi2_tail(float(statistic), degrees)


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
        tail += exp(a * log(x) - x - lgamma(a + 1))
        a += 1
    return tail
