"""Medians, bootstrap intervals, ratios, and the fits of Amdahl and Gustafson."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Resamples of a bootstrap; its seed is fixed, so that equal data have equal intervals.
_RESAMPLES = 4000
_SEED = 20_261_126
CONFIDENCE = 0.95

Floats = NDArray[np.float64]

#: Seconds of each number of ranks.
Times = Mapping[int, Sequence[float]]

#: From n and T(n) / T(1) to the y and x of a line through the origin.
Law = Callable[[int, Floats], tuple[Floats, Floats]]


class Estimate(NamedTuple):
    """A value and its confidence interval (of `CONFIDENCE` unless said otherwise)."""

    value: float
    low: float
    high: float


def _medians(values: Sequence[float], stream: int) -> Floats:
    """Medians of resamples, as many values each as there are."""
    rng = np.random.default_rng([_SEED, stream])
    data = np.asarray(values, float)
    count = len(data)
    places = rng.integers(0, count, (_RESAMPLES, count))
    medians: Floats = np.median(data[places], axis=1)
    return medians


def _estimate(value: float, resampled: Floats, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))


def median(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The median and its bootstrap interval (Efron, Ann. Statist. 7, 1, 1979).

    >>> median([1.0, 2.0, 3.0]).value
    2.0
    """
    value = float(np.median(values))
    return _estimate(value, _medians(values, 0), confidence)


def ratio(
    first: Sequence[float],
    second: Sequence[float],
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The ratio of two medians, first over second, both resampled.

    >>> ratio([2.0, 2.0], [1.0, 1.0])
    Estimate(value=2.0, low=2.0, high=2.0)
    """
    value = float(np.median(first) / np.median(second))
    resampled = _medians(first, 0) / _medians(second, 1)
    return _estimate(value, resampled, confidence)


def amdahl(seconds: Times) -> Estimate | None:
    """The serial fraction s of T(n) = T(1)·(s + (1 − s)/n), by least squares of T(n)/T(1).

    ``seconds`` has the times of each number of ranks, of equal work.  Without one rank, or with it
    alone, there is none.  Amdahl, AFIPS 30, 483 (1967).

    >>> round(amdahl({1: [1.0], 2: [0.6], 4: [0.4]}).value, 6)
    0.2
    """
    return _fit(seconds, _amdahl_law)


def _amdahl_law(n: int, relative: Floats) -> tuple[Floats, Floats]:
    """T(n)/T(1) − 1/n over 1 − 1/n."""
    excess = relative - 1 / n
    return excess, np.full_like(relative, 1 - 1 / n)


def gustafson(seconds: Times) -> Estimate | None:
    """The serial fraction s of the scaled speedup n − s·(n − 1), by least squares.

    ``seconds`` has the times of each number of ranks, of work that grows with them: the scaled
    speedup is n·T(1)/T(n).  Gustafson, Commun. ACM 31, 532 (1988).

    >>> round(gustafson({1: [1.0], 2: [2 / 1.9], 4: [4 / 3.7]}).value, 6)
    0.1
    """
    return _fit(seconds, _gustafson_law)


def _gustafson_law(n: int, relative: Floats) -> tuple[Floats, Floats]:
    """What the scaled speedup lacks of n, over n − 1."""
    lack = n - n / relative
    return lack, np.full_like(relative, n - 1.0)


def _fit(seconds: Times, law: Law) -> Estimate | None:
    """The slope s of y = s·x by least squares over the numbers of ranks, for the medians and every resample."""
    if 1 not in seconds or len(seconds) < 2:
        return None
    resampled = {}
    measured = {}
    for n, times in seconds.items():
        resampled[n] = _medians(times, n)
        measured[n] = np.array([np.median(times)])
    value = _slope(measured, law)[0]
    return _estimate(value, _slope(resampled, law), CONFIDENCE)


def _slope(times: Mapping[int, Floats], law: Law) -> Floats:
    alone = times[1]
    products = np.zeros_like(alone)
    squares = np.zeros_like(alone)
    for n, taken in times.items():
        if n > 1:
            y, x = law(n, taken / alone)
            products += x * y
            squares += x * x
    slopes: Floats = products / squares
    return slopes
