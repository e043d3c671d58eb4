"""Exact confidence intervals of error rates, and how far counts are off a closed form.

A run may stop by what is computed here, so the intervals are made of IEEE additions, multiplications, divisions and
square roots in double precision alone: every machine gets the same bits, whatever its library of mathematics.

The relative error of a bound is below 1e-13 for up to 1e15 trials and confidences from 0.5 to 1 − 1e-12;
`tests/pairs/test_intervals.py` compares with arithmetic of 60 digits.  The distance of a bound from the measured rate
has a relative error below 1e-7 even there.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from math import exp, frexp, inf, ldexp, log, sqrt
from operator import index
from statistics import NormalDist

from ..errors import ConfigError

#: What can be asked for.
MOST_TRIALS = 10**15
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.5, 1 - 1e-12

# ln 2 in two parts, of which the first has few bits: its multiples are exact.
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
_HALF_LN_2PI = 0.918938533204672741780
_SERIES_BELOW = 0.35  # |s| up to which exp(s) − 1 − s is a series
_ACCURATE = 1e-17
_NORMAL_FROM = 1e4  # variance from which a z-score is the distance over the deviation
_NEAR = 1e-6  # in ln of the tail; a cubic step from there leaves 1e-18


def clopper_pearson(errors: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a probability of which ``errors`` of ``trials`` were seen.

    It covers the true probability in at least ``confidence`` of all cases (Clopper and Pearson,
    Biometrika 26, 404, 1934).  Without trials it is 0 to 1.  Raises `ConfigError` for counts
    outside 0 ≤ errors ≤ trials ≤ 1e15 and confidences outside 0.5 to 1 − 1e-12.

    >>> clopper_pearson(0, 10), clopper_pearson(344, 10_000)
    ((0.0, 0.30849710781876083), (0.0309140377966141, 0.03816040701249334))
    """
    errors, trials = _counts(errors, trials)
    right = trials - errors
    tail = _tail(confidence)
    low = 0.0
    high = 1.0
    if errors:
        low, _ = _lower_quantile(errors, right + 1, tail)
    if right:
        _, high = _lower_quantile(right, errors + 1, tail)
    return low, high


def z_score(errors: int, trials: int, probability: float) -> float:
    """How many standard deviations ``errors`` of ``trials`` are off their mean.

    Below a variance of 1e4 it is the normal quantile of the exact mid-P tail, so that few errors
    count as what they are; above, the distance over the deviation, which then differs by less than
    0.05 for up to five of them.  Without trials it is 0, and infinite for what cannot be.  It is
    for people and tables: nothing may be decided by it.

    >>> round(z_score(3, 1000, 0.001), 2), round(z_score(50_400, 1_000_000, 0.05), 2)
    (1.65, 1.84)
    """
    errors, trials = _counts(errors, trials)
    if not 0 <= probability <= 1:
        raise ConfigError(f"probability={probability} must be from 0 to 1")
    distance = errors - trials * probability
    variance = trials * probability * (1 - probability)
    if not variance:
        if abs(distance) < 0.5:
            return 0.0
        return inf if distance > 0 else -inf
    if variance >= _NORMAL_FROM:
        return distance / sqrt(variance)
    if distance < 0:
        return -_mid_p_score(
            trials - errors,
            trials,
            1 - probability,
            probability,
        )
    return _mid_p_score(
        errors,
        trials,
        probability,
        1 - probability,
    )


def _mid_p_score(
    k: int,
    n: int,
    x: float,
    y: float,
) -> float:
    """The z-score where ``k`` is not below its mean; ``y`` is 1 − ``x``."""
    above = n - k + 1
    off_mean = k * y - above * x
    beyond = _fraction(k, above, x, y, off_mean)
    # P(≥ k) is prefix / beyond, and P(k) is prefix / (k y).
    s = log(x * (n + 1) / k)
    share = 1 / beyond - 1 / (2 * k * y)
    ln_tail = _ln_prefix(k, above, s) + log(share)
    if ln_tail > log(0.5):
        return 0.0
    if ln_tail > -600:
        tail = exp(ln_tail)
        return -NormalDist().inv_cdf(tail)
    return _far_score(ln_tail)


def _far_score(ln_tail: float) -> float:
    """The z-score whose tail is too small for a double: there Φ(−z) is φ(z) / z (1 − 1/z²)."""
    score = sqrt(-2 * ln_tail)
    for _ in range(4):
        correction = 1 / score**2
        exponent = ln_tail + log(score) + _HALF_LN_2PI + correction
        score = sqrt(-2 * exponent)
    return score


def _counts(errors: int, trials: int) -> tuple[int, int]:
    """Both as Python's integers, whose products do not overflow."""
    try:
        few = index(errors)
        many = index(trials)
    except TypeError:
        few = 1
        many = 0
    if not 0 <= few <= many <= MOST_TRIALS:
        raise ConfigError(
            f"errors={errors} of trials={trials} are no counts; "
            f"whole numbers with 0 <= errors <= trials <= {MOST_TRIALS:.0e} are due"
        )
    return few, many


@lru_cache(maxsize=64)
def _tail(confidence: float) -> float:
    """The probability on each side, from the number as it is written."""
    if not LEAST_CONFIDENCE <= confidence <= MOST_CONFIDENCE:
        raise ConfigError(
            f"confidence={confidence} must be from {LEAST_CONFIDENCE} to 1 - 1e-12; 0.95 is usual"
        )
    text = str(float(confidence))
    written = Decimal(text)
    return float((1 - written) / 2)


# ── the quantile ─────────────────────────────────────────────────────────────────────────────────


def _lower_quantile(a: int, b: int, tail: float) -> tuple[float, float]:
    """The x, and 1 − x, below which a Beta(a, b) variable is with the probability ``tail``.

    Halley's method for ln I_x(a, b) in s = ln(x / mean).
    """
    if a == 1:
        s = _ln_1p(-tail) / b
        return -_expm1(s), _exp(s)
    if b == 1:
        s = _ln(tail) / a
        return _exp(s), -_expm1(s)
    goal = _ln(tail)
    s = _first_guess(a, b, tail)
    for _ in range(60):
        x, y, off_mean = _place(a, b, s)
        fraction = _fraction(a, b, x, y, off_mean)
        over = _ln_prefix(a, b, s) - _ln(fraction) - goal
        slope = fraction / y
        bend = (off_mean + x) / y - slope
        divisor = 2 * slope - over * bend
        step = -over / slope
        if divisor > slope:
            step = -2 * over / divisor
        s = min(s + step, s / 16)  # it stays below the mean
        if abs(step) * slope < _NEAR:
            break
    x, y, _ = _place(a, b, s)
    return x, y


def _place(a: int, b: int, s: float) -> tuple[float, float, float]:
    """The x and 1 − x for s = ln(x / mean), and a (1 − x) − b x without cancellation."""
    total = a + b
    mean = a / total
    off_mean = a * -_expm1(s)
    x = mean * _exp(s)
    y = (b + off_mean) / total
    return x, y, off_mean


def _first_guess(a: int, b: int, tail: float) -> float:
    """Abramowitz and Stegun 26.5.22 with 26.2.23; good to a few per cent of a deviation."""
    z = _normal_guess(tail)
    inverse_a = 1 / (2 * a - 1)
    inverse_b = 1 / (2 * b - 1)
    h = 2 / (inverse_a + inverse_b)
    level = (z * z - 3) / 6
    bracket = level + 5 / 6 - 2 / (3 * h)
    skew = (inverse_b - inverse_a) * bracket
    w = z * sqrt(h + level) / h - skew
    least = 1e-3 * z / sqrt(h)
    w = min(max(w, least), 300.0)
    share = b / (a + b)
    odds = share * _expm1(2 * w)
    return -_ln_1p(odds)


def _normal_guess(tail: float) -> float:
    """The normal deviate above which there is ``tail``: 26.2.23."""
    t = sqrt(-2 * _ln(tail))
    above = 0.802853 + t * 0.010328
    above = 2.515517 + t * above
    below = 0.189269 + t * 0.001308
    below = 1.432788 + t * below
    below = 1 + t * below
    return t - above / below


def _fraction(
    a: int,
    b: int,
    x: float,
    y: float,
    off_mean: float,
) -> float:
    """The continued fraction f of I_x(a, b) = x^a y^b / (B(a, b) f), for x below a / (a + b).

    DiDonato and Morris, ACM TOMS 18, 360 (1992), equation 9; evaluated by Lentz's method.
    ``off_mean`` is a y − b x.
    """
    value = a * (off_mean + 1) / (a + 1)
    upper = value
    lower = 0.0
    for m in range(1, 1_000_000):
        denominator = a + 2 * m - 1
        first = (a + m - 1) / denominator
        second = (a + b + m - 1) / denominator
        numerator = first * second
        numerator *= float(m) * (b - m) * x * x
        if not numerator:
            break
        bracket = off_mean + 1 + m * (1 + y)
        term = m + m * (b - m) * x / denominator
        term += (a + m) * bracket / (denominator + 2)
        lower = 1 / (term + numerator * lower)
        upper = term + numerator / upper
        change = upper * lower
        value *= change
        if -1e-16 < change - 1 < 2.3e-16:
            break
    return value


def _ln_prefix(a: int, b: int, s: float) -> float:
    """The logarithm of x^a y^b / B(a, b) at x = mean · exp(s), by what Stirling's formula leaves over."""
    below = a / b * -_expm1(s)
    distance = a * _expm1_less(s)
    distance += b * _less_ln_1p(below)
    corrections = _stirling(a + b) - _stirling(a) - _stirling(b)
    share = a / (a + b)
    at_mean = 0.5 * _ln(share * b) - _HALF_LN_2PI
    return at_mean + corrections - distance


# ── functions of IEEE arithmetic alone ───────────────────────────────────────────────────────────


def _stirling(n: int) -> float:
    """What is left over in ln Γ(n) − ((n − ½) ln n − n + ½ ln 2π)."""
    if n < 16:
        return _small_stirling(n)
    u = 1 / n
    v = u * u
    series = 1 / 1680 - v / 1188
    series = 1 / 1260 - v * series
    series = 1 / 360 - v * series
    series = 1 / 12 - v * series
    return u * series


@lru_cache(maxsize=16)
def _small_stirling(n: int) -> float:
    """The same below 16: from n to n + 1 it falls by (n + ½) ln(1 + 1/n) − 1."""
    r = 1 / (2 * n + 1)
    return _stirling(n + 1) + _atanh_rest(r)


def _atanh_rest(r: float) -> float:
    """Artanh(r) / r − 1, for |r| ≤ 1/3, as the series r²/3 + r⁴/5 …."""
    square = r * r
    power = square
    total = 0.0
    for k in range(3, 43, 2):
        total += power / k
        power *= square
        if power < _ACCURATE:
            break
    return total


def _ln(x: float) -> float:
    """The natural logarithm of a positive number."""
    mantissa, exponent = frexp(x)
    if mantissa < 0.70710678:
        mantissa *= 2
        exponent -= 1
    r = (mantissa - 1) / (mantissa + 1)
    ln_mantissa = 2 * r * (1 + _atanh_rest(r))
    low = exponent * _LN2_LOW + ln_mantissa
    return exponent * _LN2_HIGH + low


def _ln_1p(x: float) -> float:
    """The logarithm ln(1 + x), for x above −½."""
    if abs(x) > _SERIES_BELOW:
        return _ln(1 + x)
    r = x / (2 + x)
    return 2 * r * (1 + _atanh_rest(r))


def _less_ln_1p(x: float) -> float:
    """The difference x − ln(1 + x), for x of at least 0, without cancellation."""
    if x > _SERIES_BELOW:
        return x - _ln(1 + x)
    r = x / (2 + x)
    return r * (x - 2 * _atanh_rest(r))


def _expm1_less(s: float) -> float:
    """The difference exp(s) − 1 − s without cancellation."""
    if abs(s) > _SERIES_BELOW:
        return _expm1(s) - s
    power = s * s / 2
    total = 0.0
    for k in range(3, 20):
        total += power
        power *= s / k
        if abs(power) < _ACCURATE * total:
            break
    return total


def _expm1(s: float) -> float:
    """The difference exp(s) − 1 without cancellation."""
    if abs(s) > _SERIES_BELOW:
        return _exp(s) - 1
    return s + _expm1_less(s)


def _exp(s: float) -> float:
    """The exponential of a number that a double's exponent can take."""
    twos = round(s / _LN2_HIGH)
    high = twos * _LN2_HIGH
    low = twos * _LN2_LOW
    rest = (s - high) - low
    above_one = rest + _expm1_less(rest)
    return ldexp(1 + above_one, twos)
