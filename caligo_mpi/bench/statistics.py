"""Medians, bootstrap intervals, ratios, and the fits of Amdahl and Gustafson."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Resamples of a bootstrap; its seed is fixed, so that equal data have equal intervals.
_RESAMPLES = 4000
_SEED = 20_261_126
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A value and its confidence interval (of `CONFIDENCE` unless said otherwise)."""

    value: float
    low: float
    high: float


def _medians(values: Sequence[float], stream: int) -> Floats:
    """Medians of resamples, as many values each as there are."""
    rng = np.random.default_rng([_SEED, stream])
    data = np.asarray(values, float)
    drawn = data[rng.integers(0, len(data), (_RESAMPLES, len(data)))]
    medians: Floats = np.median(drawn, axis=1)
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
    return _estimate(
        float(np.median(values)),
        _medians(values, 0),
        confidence,
    )


def ratio(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Estimate:
    """The ratio of two medians, first over second, both resampled.

    >>> ratio([2.0, 2.0], [1.0, 1.0])
    Estimate(value=2.0, low=2.0, high=2.0)
    """
    value = float(np.median(first) / np.median(second))
    return _estimate(
        value,
        _medians(first, 0) / _medians(second, 1),
        confidence,
    )


def amdahl(seconds: Mapping[int, Sequence[float]]) -> Estimate | None:
    """The serial fraction s of T(n) = T(1)·(s + (1 − s)/n), by least squares of T(n)/T(1).

    ``seconds`` has the times of each number of ranks, of equal work.  Without one rank, or with it
    alone, there is none.  Amdahl, AFIPS 30, 483 (1967).

    >>> round(amdahl({1: [1.0], 2: [0.6], 4: [0.4]}).value, 6)
    0.2
    """
    return _fit(seconds, lambda n, relative: (relative - 1 / n, np.full_like(relative, 1 - 1 / n)))


def gustafson(seconds: Mapping[int, Sequence[float]]) -> Estimate | None:
    """The serial fraction s of the scaled speedup n − s·(n − 1), by least squares.

    ``seconds`` has the times of each number of ranks, of work that grows with them: the scaled
    speedup is n·T(1)/T(n).  Gustafson, Commun. ACM 31, 532 (1988).

    >>> round(gustafson({1: [1.0], 2: [2 / 1.9], 4: [4 / 3.7]}).value, 6)
    0.1
    """
    return _fit(seconds, lambda n, relative: (n - n / relative, np.full_like(relative, n - 1.0)))


def _fit(seconds: Mapping[int, Sequence[float]], law: object) -> Estimate | None:
    """The slope s of y = s·x by least squares over the numbers of ranks, for the medians and every resample."""
    if 1 not in seconds or len(seconds) < 2:
        return None
    resampled = {n: _medians(times, n) for n, times in seconds.items()}
    measured = {n: np.array([np.median(times)]) for n, times in seconds.items()}
    return _estimate(
        _slope(measured, law)[0],
        _slope(resampled, law),
        CONFIDENCE,
    )


def _slope(times: Mapping[int, Floats], law: object) -> Floats:
    assert callable(law)
    products = np.zeros_like(times[1])
    squares = np.zeros_like(times[1])
    for n, taken in times.items():
        if n > 1:
            y, x = law(n, taken / times[1])
            products += x * y
            squares += x * x
    slopes: Floats = products / squares
    return slopes
