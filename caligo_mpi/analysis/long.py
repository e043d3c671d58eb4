"""Long lags and runs of one stream, in stretches spread over the file, by Fourier transforms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import copysign, exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.compare import chi2_tail
from ..pairs import Pairs, Tick, bits
from ..store import PairsFile
from .counting import LAGS, STREAMS
from .plan import Plan
from .probability import Floats, at_most_one, chi2, deviance, normal
from .verdicts import LongLag

# Of a stream whose ones are rarer, coincidences of two are counted; else correlations are normal.
_RARE = 0.05
# A shorter stretch says nothing of long lags.
_LEAST_ROWS = 1 << 12
# Runs of this length and longer are counted together.
_LONG_RUN = 64
# From this lag on, of each octave the strongest is told; shorter lags are counted one by one, in more rows.
_FIRST_TOLD = LAGS[-1] + 1


@dataclass(frozen=True, slots=True)
class LongLags:
    """The strongest correlation of a stream with itself, over ``lags`` lags from 1 on, and its runs.

    ``p_lag`` and ``p_run`` are p-values over all lags and all lengths of runs; ``longest`` is the
    longest run, of the value ``longest_of``.  ``octaves`` has the strongest of each octave of lags.
    """

    stream: str
    rows: int
    lags: int
    lag: int
    correlation: float
    p_lag: float
    p_run: float
    longest: int
    longest_of: int
    octaves: tuple[LongLag, ...] = ()


def long_lags(file: PairsFile, plan: Plan, stream: str, tick: Tick) -> LongLags | None:
    """Look at one of `counting.STREAMS`; None where there are too few rows, or all are equal."""
    size = plan.long_rows
    if size < _LEAST_ROWS:
        return None
    power = np.zeros(size // 2 + 1, np.float32)
    ones = 0
    runs = np.zeros((2, _LONG_RUN + 1), np.int64)
    share = 0.5
    for row in plan.long:
        values = stretch(file, row, size, stream)
        ones += int(values.sum(dtype=np.int64))
        mean = float(values.mean())
        if row == plan.long[0]:
            runs = run_lengths(values)
            share = mean
        power += _power(values, mean)
        tick()
    rows = size * len(plan.long)
    if ones in (0, rows):
        return None
    products = _products(power, size)
    law = _Law(rows, ones)
    peaks = _peaks(products)
    lag, p_lag = _strongest(peaks, law)
    p_run, longest, value = _judge_runs(runs, share)
    return LongLags(
        stream=stream,
        rows=rows,
        lags=size // 2,
        lag=lag,
        correlation=law.correlation(float(products[lag])),
        p_lag=at_most_one(p_lag, size // 2),
        p_run=p_run,
        longest=longest,
        longest_of=value,
        octaves=tuple(_octaves(stream, peaks, law)),
    )


def stretch(
    file: PairsFile,
    row: int,
    size: int,
    stream: str,
) -> NDArray[np.uint8]:
    """Rows of a stream, unpacked."""
    (pairs,) = file.blocks(
        size,
        start=row,
        stop=row + size,
        verify=False,
    )
    return bits_of(pairs, stream)


def bits_of(pairs: Pairs, stream: str) -> NDArray[np.uint8]:
    """A stream of a block, unpacked."""
    if stream != STREAMS[-1]:
        return bits.unpack(getattr(pairs, stream), pairs.count)
    unequal = pairs.alice_outcome ^ pairs.bob_outcome
    errors = unequal & ~(pairs.alice_basis ^ pairs.bob_basis)
    return bits.unpack(errors, pairs.count)


def _power(values: NDArray[np.uint8], mean: float) -> NDArray[np.float32]:
    """The power at each frequency, over the square of the number of rows."""
    deviations = values.astype(np.float32)
    deviations -= np.float32(mean)
    # Where numpy has nothing to divide by, it transforms in double precision, three times as long.
    spectrum = np.fft.rfft(deviations, norm="forward")
    power: NDArray[Any] = spectrum.real**2 + spectrum.imag**2
    return power


def _products(power: NDArray[np.float32], size: int) -> Floats:
    """The sums of products at each cyclic distance, up to half a cycle."""
    # Numpy's transform of real numbers to real ones takes twice as long.
    products: Floats = np.fft.irfft(power.astype(np.complex64), size)
    products *= float(size) ** 2
    products[size // 2] /= sqrt(2)  # half a cycle on, each pair of rows is met twice
    return products[: size // 2 + 1]


# ── the strongest lags ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Law:
    """What sums of products of deviations are where nothing correlates: of ``rows`` rows with so many ones."""

    rows: int
    ones: int

    @property
    def _rate(self) -> float:
        return self.ones / self.rows

    @property
    def _spread(self) -> float:
        """The variance of a row."""
        return self._rate * (1 - self._rate)

    def correlation(self, product: float) -> float:
        """The correlation of which this is the sum of products."""
        return product / (self.rows * self._spread)

    def p(self, product: float) -> float:
        """The p-value of a sum of products, at one lag."""
        off = self._off(product)
        if off is None:
            return normal(self._sigmas(product))
        return min(1.0, 2 * exp(-off))

    def score(self, product: float) -> float:
        """How many standard deviations off a normal value is that is as unlikely."""
        off = self._off(product)
        if off is None:
            return self._sigmas(product)
        # The signed root of the deviance, which is close to normal for small counts, too.
        return copysign(sqrt(2 * off), product)

    def _sigmas(self, product: float) -> float:
        return product / (self._spread * sqrt(self.rows))

    def _off(self, product: float) -> float | None:
        """How far coincidences of two are off their binomial law; None where there are so many that it is normal."""
        rare = min(self._rate, 1 - self._rate)
        if rare >= _RARE:
            return None
        by_chance = rare**2
        together = max(round(self.rows * by_chance + product), 0)
        return float(deviance(together, self.rows, by_chance))


@dataclass(frozen=True, slots=True)
class _Peaks:
    """The lags of an octave, and those with the largest and the smallest sum of products, with these."""

    first: int
    last: int
    extremes: tuple[tuple[int, float], tuple[int, float]]


def _peaks(products: Floats) -> list[_Peaks]:
    """The extremes of each octave of lags: 1, 2, 3 to 4, 5 to 8 and so on; ``products`` begin at lag 0.

    >>> products = np.array([9, 3, 1, -4, 2.0])
    >>> [(octave.first, octave.last, octave.extremes) for octave in _peaks(products)][1:]
    [(2, 2, ((2, 1.0), (2, 1.0))), (3, 4, ((4, 2.0), (3, -4.0)))]
    """
    end = len(products) - 1
    found = []
    first = 1
    while first <= end:
        last = min(max(1, 2 * (first - 1)), end)
        octave = products[first : last + 1]
        # The further off, the less likely, on either side.
        high = first + int(np.argmax(octave))
        low = first + int(np.argmin(octave))
        extremes = (
            (high, float(products[high])),
            (low, float(products[low])),
        )
        found.append(_Peaks(first, last, extremes))
        first = last + 1
    return found


def _strongest(peaks: list[_Peaks], law: _Law) -> tuple[int, float]:
    """The lag with the least p-value of all, and this."""
    highs = [octave.extremes[0] for octave in peaks]
    lows = [octave.extremes[1] for octave in peaks]
    high = max(highs, key=lambda peak: peak[1])
    low = min(lows, key=lambda peak: peak[1])
    p, lag = min((law.p(product), lag) for lag, product in (high, low))
    return lag, p


def _octaves(stream: str, peaks: list[_Peaks], law: _Law) -> Iterator[LongLag]:
    """The strongest of each octave that is told."""
    for octave in peaks:
        if octave.first < _FIRST_TOLD:
            continue
        lag, product = max(
            octave.extremes,
            key=lambda peak: abs(law.score(peak[1])),
        )
        yield LongLag(
            stream=stream,
            first=octave.first,
            last=octave.last,
            lag=lag,
            correlation=law.correlation(product),
            score=law.score(product),
        )


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────


def run_lengths(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many runs of 0 and of 1 there are of each length, shape (2, 65); longer ones count as 64.

    The first and the last run, which may be cut, do not count.

    >>> run_lengths(np.array([0, 1, 1, 0, 1, 1, 0], np.uint8))[:, :4].tolist()
    [[0, 1, 0, 0], [0, 0, 2, 0]]
    """
    found = np.zeros((2, _LONG_RUN + 1), np.int64)
    changes = values[1:] != values[:-1]
    edges = np.flatnonzero(changes) + 1
    lengths = np.minimum(np.diff(edges), _LONG_RUN)
    # Runs of one value and of the other take turns.
    for begin in range(min(2, len(lengths))):
        value = values[edges[begin]]
        found[value] = np.bincount(lengths[begin::2], minlength=_LONG_RUN + 1)
    return found


def _judge_runs(runs: NDArray[np.int64], rate: float) -> tuple[float, int, int]:
    """A p-value for the lengths of runs, the longest run and its value."""
    p_values = []
    longest = 0
    longest_of = 0
    for value, stay in ((0, 1 - rate), (1, rate)):
        found = runs[value]
        total = int(found.sum())
        if not total or not 0 < rate < 1:
            continue
        last = int(np.flatnonzero(found)[-1])
        if last > longest:
            longest = last
            longest_of = value
        # A run goes on with one probability each time; the last of all go on beyond.
        goes_on = np.asarray(stay ** np.arange(_LONG_RUN), float)
        chance = goes_on.copy()
        chance[:-1] *= 1 - stay
        statistic, degrees = chi2(found[1:].astype(float), total * chance)
        if degrees > 0:
            p_values.append(chi2_tail(statistic, degrees))
        else:
            p_values.append(1.0)
        so_long = exp(log(total) + (last - 1) * log(stay))
        p_values.append(min(1.0, so_long))
    if not p_values:
        return 1.0, longest, longest_of
    p = at_most_one(min(p_values), len(p_values))
    return p, longest, longest_of
