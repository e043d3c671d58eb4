"""Parameter estimation: count the errors of disclosed bits, bound their rate."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from ..pairs import Tally, bits
from ..pairs.bits import U8
from .types import Abort, QberEstimate

F64 = NDArray[np.float64]
CONFIDENCE = 1 - 1e-6

#: Of a sum of logarithms, in parts of its terms: ten times as much as there is.
_ROUNDING = 1e-15
#: Of Newton's method: it takes half as many.
_STEPS = 16


def estimate(
    own: U8,
    announced: U8,
    count: int,
    *,
    confidence: float = CONFIDENCE,
) -> QberEstimate:
    """QBER of ``count`` disclosed bits (packed): this party's own against the other's.

    >>> estimate(bits.pack([0, 1, 1, 0]), bits.pack([0, 1, 0, 0]), 4, confidence=0.95).qber
    0.25
    """
    size, other = len(own), len(announced)
    if not size == other == bits.nbytes(count):
        raise ValueError(f"columns of {size} and {other} bytes do not both hold {count} bits")
    errors = bits.count_ones(own ^ announced)
    low, high = clopper_pearson(errors, count, confidence)
    return QberEstimate(
        errors,
        count,
        low,
        high,
        confidence,
    )


def by_basis(wrong: NDArray[np.bool_], in_x: NDArray[np.bool_]) -> Tally:
    """Disclosed bits, and the ``wrong`` ones among them, per basis.

    >>> by_basis(np.array([True, False, True]), np.array([False, True, True]))
    Tally(sifted_z=1, errors_z=1, sifted_x=2, errors_x=1)
    """
    count_x = int(np.count_nonzero(in_x))
    errors = int(np.count_nonzero(wrong))
    errors_x = int(np.count_nonzero(wrong & in_x))
    return Tally(
        len(wrong) - count_x,
        errors - errors_x,
        count_x,
        errors_x,
    )


def efficiency(leak_bits: F64, count: F64, errors: F64) -> F64:
    """Efficiency f = leak / (n·h(Q)) of frames of ``count`` n bits, ``errors`` n·Q of them wrong.

    The result is NaN where no bit or every bit of a frame is wrong.

    >>> efficiency(np.array([110.0, 5.0]), np.array([1000.0, 1000.0]), np.array([10.0, 0.0])).round(3)
    array([1.362,   nan])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = errors / count
        of_ones = -rate * np.log2(rate)
        of_zeros = (1 - rate) * np.log2(1 - rate)
        entropy = of_ones - of_zeros
        ratio = leak_bits / (count * entropy)
    is_defined = (errors > 0) & (errors < count)
    found: F64 = np.where(is_defined, ratio, np.nan)
    return found


def likely_at_most(found: QberEstimate, confidence: float) -> float:
    """What to make a one-way code for: the upper end of the interval at this confidence.

    Rounded to 1e-5: its last digits differ between machines, and must not choose between codes.
    """
    _, high = clopper_pearson(found.errors, found.tested, confidence)
    return round(high, 5)


def no_code(reason: str, found: QberEstimate, confidence: float) -> Abort:
    """The abort where no code corrects the rate of `likely_at_most`, with what was seen beside it.

    Few tested bits bound the rate so badly that it may be 1/2; more pairs are then what helps.
    """
    at_most = likely_at_most(found, confidence)
    numbers = {
        "qber": found.qber,
        "qber_at_most": at_most,
        "tested": found.tested,
    }
    if found.qber < 0.5 <= at_most:
        reason = "too few pairs: so few tested bits leave room for any error rate"
    return Abort("reconcile", reason, numbers)


def clopper_pearson(errors: int, tested: int, confidence: float) -> tuple[float, float]:
    """The exact two-sided interval of a binomial rate (Clopper and Pearson, Biometrika 26:404, 1934).

    >>> low, high = clopper_pearson(3, 100, 0.95)
    >>> round(low, 6), round(high, 6)
    (0.00623, 0.085176)
    """
    if not 0 <= errors <= tested or not 0 < confidence < 1:
        raise ValueError(
            f"errors={errors} of tested={tested} at confidence={confidence} is not a binomial interval"
        )
    tail = (1 - confidence) / 2
    right = tested - errors
    low, high = 0.0, 1.0
    if errors:
        low = _rate_at(tail, errors, tested)
    if right:
        high = 1.0 - _rate_at(tail, right, tested)
    return low, high


def _rate_at(tail: float, successes: int, trials: int) -> float:
    """The rate x at which P(at least ``successes`` of ``trials``) = ``tail``, by bisection."""
    below, above = _around(tail, successes, trials)
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return high
        is_low = middle <= below
        if below < middle < above:
            is_low = upper_tail(successes, trials, middle) < tail
        if is_low:
            low = middle
        else:
            high = middle


def _around(tail: float, successes: int, trials: int) -> tuple[float, float]:
    """Rates below and above that one, as near as rounding leaves no doubt: what is beyond needs no trial.

    By Newton's method on logarithms; 0 and 1 where it comes to nothing.
    """
    a = float(successes)
    b = float(trials - successes + 1)
    rate = a / (trials + 1)
    for _ in range(_STEPS):
        reached = upper_tail(successes, trials, rate)
        if not 0 < reached < 1:
            break
        slope = a * math.exp(_log_front(a, b, rate)) / ((1 - rate) * reached)
        terms = 1 - a * math.log(rate) - b * math.log1p(-rate) + slope
        margin = _ROUNDING * terms
        miss = math.log(reached / tail)
        if abs(miss) < margin:
            far = 4 * margin / slope
            below, above = rate * (1 - far), rate * (1 + far)
            is_below = upper_tail(successes, trials, below) < tail * (1 - margin)
            is_above = upper_tail(successes, trials, above) > tail * (1 + margin)
            return (below, above) if is_below and is_above else (0.0, 1.0)
        rate = min(rate * math.exp(-miss / slope), (1 + rate) / 2)
    return 0.0, 1.0


def upper_tail(successes: int, trials: int, rate: float) -> float:
    """P(at least ``successes`` ≥ 1 of ``trials``) at ``rate``: a regularized incomplete beta function."""
    a = float(successes)
    b = float(trials - successes + 1)
    if rate <= 0 or rate >= 1:
        return float(rate >= 1)
    if rate > (a + 1) / (a + b + 2):
        return 1 - _beta_fraction(b, a, 1 - rate)
    return _beta_fraction(a, b, rate)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22, modified Lentz), for x below the mean."""
    log_front = _log_front(a, b, x)
    value = c = 1.0
    d = 0.0
    for i in itertools.count():  # O(sqrt(a + b)) steps
        m = i // 2
        at = a + 2 * m
        if not i:
            term = 1.0
        elif i % 2:
            term = -(a + m) * (a + b + m) * x / (at * (at + 1))
        else:
            term = m * (b - m) * x / ((at - 1) * at)
        d = 1 / (1 + term * d)
        c = 1 + term / c
        change = c * d
        value *= change
        if i and abs(1 - change) < 1e-15:
            return math.exp(log_front) * (value - 1)
    raise AssertionError("unreachable")


def _log_front(a: float, b: float, x: float) -> float:
    """ln(x^a (1 − x)^b / (a·B(a, b)))."""
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    log_power = a * math.log(x) + b * math.log1p(-x)
    return log_power - math.log(a) - log_beta
