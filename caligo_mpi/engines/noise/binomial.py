"""Binomial variables of any size from raw generator words: the same numbers on every machine.

A probability is a fraction of integers.  Few expected events are drawn by inversion in fixed
point; many by rejection from a staircase around the mode.  A float decides an acceptance only
where it cannot be wrong on any machine; where it might be, `decimal` decides.  Every decision is
exact to 2^-64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from .tables import ONE, Raw

_FEW = 25  # expected events up to which a draw is an inversion
_UNIT_BITS = 320  # fixed point of the inversion
_UNIT = 1 << _UNIT_BITS
_LN4 = math.log(4)
_STEEP = 1.3863  # ln 4 and 5e-6
_SAFE = 1e-9  # floats are off by less than 1e-11
_EXACT = Context(prec=80)
_HALF = Decimal("0.5")
_LOG_2PI = Decimal(
    "1.83787706640934548356065947281123527972279494727556682563430308096553139185452"
)


def draw_binomial(
    trials: int,
    events: int,
    total: int,
    raw: Raw,
) -> int:
    """How many of ``trials`` independent trials succeed, each with probability ``events/total``."""
    if events == 0 or trials == 0:
        return 0
    if 2 * events > total:
        return trials - draw_binomial(trials, total - events, total, raw)
    if trials * events <= _FEW * total:
        return _by_inversion(trials, events, total, raw)
    return _by_rejection(_Law(trials, events, total), raw)


def _by_inversion(
    trials: int,
    events: int,
    total: int,
    raw: Raw,
) -> int:
    """The first number whose cumulative probability is above a uniform one of 128 bits."""
    high, low = raw(2).tolist()
    uniform = ((high << 64) + low) << (_UNIT_BITS - 128)
    against = total - events
    weight = _power(_UNIT * against // total, trials)
    reached = weight
    count = 0
    while reached <= uniform and weight and count < trials:
        weight = weight * (trials - count) * events // ((count + 1) * against)
        count += 1
        reached += weight
    return count


def _power(base: int, exponent: int) -> int:
    """``base`` to a power, in fixed point."""
    result = _UNIT
    while exponent:
        if exponent & 1:
            result = result * base >> _UNIT_BITS
        base = base * base >> _UNIT_BITS
        exponent >>= 1
    return result


@dataclass(frozen=True, slots=True)
class _Law:
    """Binomial law of ``trials`` with the probability ``events/total``, at most one half."""

    trials: int
    events: int
    total: int

    @property
    def mode(self) -> int:
        return (self.trials + 1) * self.events // self.total

    def log_weight(self, count: int) -> float:
        """Logarithm of the probability of ``count``, but for a constant, after C. Loader (2000).

        The distance from the mean is exact, so nothing large cancels.
        """
        n, k = self.trials, count
        distance = (k * self.total - n * self.events) / self.total
        mean = n * self.events / self.total
        rest = n * (self.total - self.events) / self.total
        deviance = mean * _divergence(distance / mean) + rest * _divergence(-distance / rest)
        ends = _stirling_error(k) + _stirling_error(n - k)
        return -deviance - ends - 0.5 * (_log(k) + _log(n - k))

    def log_ratio(self, count: int, mode: int) -> Decimal:
        """Logarithm of the probability of ``count`` over that of ``mode``, to 40 decimals."""
        context = _EXACT
        odds = context.divide(Decimal(self.events), Decimal(self.total - self.events))
        result = context.multiply(Decimal(count - mode), context.ln(odds))
        for sign, value in ((1, mode), (1, self.trials - mode), (-1, count)):
            result = context.fma(sign, _log_factorial(value), result)
        return context.subtract(result, _log_factorial(self.trials - count))


def _by_rejection(law: _Law, raw: Raw) -> int:
    """A number from a staircase above the law: steps of ``width``, each a quarter of the one before."""
    mode = law.mode
    width = _step_width(law)
    top = law.log_weight(mode)
    while True:
        bits, uniform = raw(2).tolist()
        step = _quarters(bits >> 1)
        distance = step * width + _below(width, raw)
        count = mode - 1 - distance if bits & 1 else mode + distance
        if 0 <= count <= law.trials and _is_accepted(law, count, step, top, uniform):
            return count


def _is_accepted(
    law: _Law,
    count: int,
    step: int,
    top: float,
    uniform: int,
) -> bool:
    """Whether a uniform number is below the law's share of the staircase at ``count``."""
    drawn = math.log((uniform + 0.5) / ONE)
    margin = law.log_weight(count) - top + step * _LN4 - drawn
    if abs(margin) > _SAFE:
        return margin > 0
    context = _EXACT
    steps = context.multiply(Decimal(step), context.ln(Decimal(4)))
    share = context.add(law.log_ratio(count, law.mode), steps)
    middle = context.divide(context.add(Decimal(uniform), _HALF), Decimal(ONE))
    return share > context.ln(middle)


def _step_width(law: _Law) -> int:
    """A distance from the mode at which the law has fallen to a quarter on both sides.

    With A = (n+1)(1−p) and C = (n+1)p, neighbors i steps from the mode are in a ratio of at most
    (1 − i/A)/(1 + i/C) on the right and (1 − i/C)/(1 + i/A) on the left; ln(1+x) ≥ 2x/(2+x).  The
    law is log-concave, so it is below a 4^-j from j such distances on.
    """
    # Sums, products and quotients of floats are the same everywhere.
    right = (law.trials + 1) * (law.total - law.events) / law.total
    left = (law.trials + 1) * law.events / law.total
    width = int(1.66 * math.sqrt(right * left / law.trials)) + 2
    while not all(_is_steep(width, *sides) for sides in ((right, left), (left, right))):
        width += width // 64 + 1
    return width


def _is_steep(width: int, near: float, far: float) -> bool:
    slope = 1 / near + 1 / (far + width / 2)
    return width / 2 * (width - 1) * slope >= _STEEP


def _quarters(bits: int) -> int:
    """How many pairs of bits are 0 before the first one that is not: j with probability ¾·4^-j."""
    lowest = (bits & -bits).bit_length() - 1 if bits else 62
    return lowest >> 1


def _below(bound: int, raw: Raw) -> int:
    """A uniform number below ``bound``."""
    size = (bound - 1).bit_length()
    while True:
        word = int(raw(1)[0])
        number = word & ((1 << size) - 1)
        if number < bound:
            return number


def _divergence(x: float) -> float:
    """(1+x)·ln(1+x) − x, without cancellation where x is small."""
    if abs(x) > 0.05:
        return (1 + x) * math.log1p(x) - x if x > -1 else 1.0
    # Σ (−1)^k x^k / (k(k−1)) from k = 2.
    total = 0.0
    for k in range(14, 1, -1):
        sign = -1.0 if k & 1 else 1.0
        total = total * x + sign / (k * (k - 1))
    return total * x * x


def _log(count: int) -> float:
    return math.log(count) if count else 0.0


def _stirling_error(count: int) -> float:
    """What Stirling's (n+½)·ln n − n + ½·ln 2π lacks of ln n!; ln 0 stands for 0 here."""
    if count < 16:
        n = float(count)
        return math.lgamma(n + 1) - (n + 0.5) * _log(count) + n - 0.5 * math.log(2 * math.pi)
    square = float(count) * count
    total = 0.0
    for term in (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        total = total / square + term
    return total / count


#: Bernoulli numbers B_2k over 2k(2k−1): the terms of Stirling's series.
_SERIES = [
    Fraction(1, 12), Fraction(-1, 360), Fraction(1, 1260), Fraction(-1, 1680), Fraction(1, 1188),
    Fraction(-691, 360360), Fraction(1, 156), Fraction(-3617, 122400), Fraction(43867, 244188),
    Fraction(-174611, 125400), Fraction(77683, 5796), Fraction(-236364091, 1506960),
]  # fmt: skip
_DIRECT = 1000  # up to here a factorial is multiplied


def _log_factorial(count: int) -> Decimal:
    context = _EXACT
    if count < _DIRECT:
        return context.ln(Decimal(math.factorial(count)))
    n = Decimal(count)
    result = context.multiply(context.add(n, _HALF), context.ln(n))
    result = context.subtract(result, n)
    result = context.fma(_HALF, _LOG_2PI, result)
    for power, term in enumerate(_SERIES):
        bottom = Decimal(term.denominator * count ** (2 * power + 1))
        result = context.add(result, context.divide(Decimal(term.numerator), bottom))
    return result
