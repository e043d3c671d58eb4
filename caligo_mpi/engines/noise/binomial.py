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
    word = (high << 64) + low
    uniform = word << (_UNIT_BITS - 128)
    against = total - events
    weight = _power(_UNIT * against // total, trials)
    reached = weight
    count = 0
    while reached <= uniform and weight and count < trials:
        left = trials - count
        count += 1
        weight = weight * left * events // (count * against)
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
        n = self.trials
        k = count
        events = self.events
        total = self.total
        distance = (k * total - n * events) / total
        mean = n * events / total
        rest = n * (total - events) / total
        of_events = mean * _divergence(distance / mean)
        of_others = rest * _divergence(-distance / rest)
        deviance = of_events + of_others
        ends = _stirling_error(k) + _stirling_error(n - k)
        logs = _log(k) + _log(n - k)
        return -deviance - ends - 0.5 * logs

    def log_ratio(self, count: int, mode: int) -> Decimal:
        """Logarithm of the probability of ``count`` over that of ``mode``, to 40 decimals."""
        context = _EXACT
        events = Decimal(self.events)
        others = Decimal(self.total - self.events)
        odds = context.divide(events, others)
        steps = Decimal(count - mode)
        result = context.multiply(steps, context.ln(odds))
        for sign, value in (
            (1, mode),
            (1, self.trials - mode),
            (-1, count),
            (-1, self.trials - count),
        ):
            result = context.fma(sign, _log_factorial(value), result)
        return result


def _by_rejection(law: _Law, raw: Raw) -> int:
    """A number from a staircase above the law: steps of ``width``, each a quarter of the one before."""
    mode = law.mode
    width = _step_width(law)
    top = law.log_weight(mode)
    while True:
        bits, uniform = raw(2).tolist()
        step = _quarters(bits >> 1)
        within = _below(width, raw)
        distance = step * width + within
        count = mode - 1 - distance if bits & 1 else mode + distance
        possible = 0 <= count <= law.trials
        if possible and _is_accepted(law, count, step, top, uniform):
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
    staircase = step * _LN4
    margin = law.log_weight(count) - top + staircase - drawn
    if abs(margin) > _SAFE:
        return margin > 0
    context = _EXACT
    ratio = law.log_ratio(count, law.mode)
    ln4 = context.ln(Decimal(4))
    steps = context.multiply(Decimal(step), ln4)
    share = context.add(ratio, steps)
    middle = context.add(Decimal(uniform), _HALF)
    middle = context.divide(middle, Decimal(ONE))
    return share > context.ln(middle)


def _step_width(law: _Law) -> int:
    """A distance from the mode at which the law has fallen to a quarter on both sides.

    With A = (n+1)(1−p) and C = (n+1)p, neighbors i steps from the mode are in a ratio of at most
    (1 − i/A)/(1 + i/C) on the right and (1 − i/C)/(1 + i/A) on the left; ln(1+x) ≥ 2x/(2+x).  The
    law is log-concave, so it is below a 4^-j from j such distances on.
    """
    # Sums, products and quotients of floats are the same everywhere.
    trials = law.trials
    others = law.total - law.events
    right = (trials + 1) * others / law.total
    left = (trials + 1) * law.events / law.total
    deviation = math.sqrt(right * left / trials)
    width = int(1.66 * deviation) + 2
    while not (_is_steep(width, right, left) and _is_steep(width, left, right)):
        width += width // 64 + 1
    return width


def _is_steep(width: int, near: float, far: float) -> bool:
    half = width / 2
    slope = 1 / near + 1 / (far + half)
    return half * (width - 1) * slope >= _STEEP


def _quarters(bits: int) -> int:
    """How many pairs of bits are 0 before the first one that is not: j with probability ¾·4^-j."""
    if not bits:
        return 31
    lowest = bits & -bits
    place = lowest.bit_length() - 1
    return place >> 1


def _below(bound: int, raw: Raw) -> int:
    """A uniform number below ``bound``."""
    size = (bound - 1).bit_length()
    mask = (1 << size) - 1
    while True:
        word = int(raw(1)[0])
        number = word & mask
        if number < bound:
            return number


def _divergence(x: float) -> float:
    """(1+x)·ln(1+x) − x, without cancellation where x is small."""
    if x <= -1:
        return 1.0
    if abs(x) > 0.05:
        return (1 + x) * math.log1p(x) - x
    # Σ (−1)^k x^k / (k(k−1)) from k = 2.
    total = 0.0
    for k in range(14, 1, -1):
        sign = -1.0 if k & 1 else 1.0
        total = total * x + sign / (k * (k - 1))
    return total * x * x


#: The terms of `_SERIES`, from the fifth to the first.
_STIRLING = (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)


def _log(count: int) -> float:
    return math.log(count) if count else 0.0


def _stirling_error(count: int) -> float:
    """What Stirling's (n+½)·ln n − n + ½·ln 2π lacks of ln n!; ln 0 stands for 0 here."""
    if count < 16:
        n = float(count)
        stirling = (n + 0.5) * _log(count)
        constant = 0.5 * math.log(2 * math.pi)
        return math.lgamma(n + 1) - stirling + n - constant
    square = float(count) * count
    total = 0.0
    for term in _STIRLING:
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
    above = context.add(n, _HALF)
    result = context.multiply(above, context.ln(n))
    result = context.subtract(result, n)
    result = context.fma(_HALF, _LOG_2PI, result)
    for power, term in enumerate(_SERIES):
        top = Decimal(term.numerator)
        bottom = Decimal(term.denominator * count ** (2 * power + 1))
        correction = context.divide(top, bottom)
        result = context.add(result, correction)
    return result
