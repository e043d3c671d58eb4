"""Checks of where outcomes occur: positions in bytes and words, borders, lags, runs."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, sqrt

import numpy as np

from ..engines.compare import chi2_tail
from .counting import LAGS, STREAMS
from .evidence import Evidence
from .probability import Floats, at_most_one, chi2, deviance, normal
from .sums import BORDERS
from .verdicts import Check, Lag

# Of a stream whose ones are rarer, coincidences of two are counted; else correlations are normal.
_RARE = 0.05
_BIT_OF = {
    8: "bit {} of the byte",
    64: "bit {} of the word",
}


def check_places(evidence: Evidence) -> Iterator[Check]:
    """All of them."""
    yield _positions(evidence, "position in byte", 8)
    yield _positions(evidence, "position in word", 64)
    yield _borders(evidence, "chunk borders", (0, 1))
    yield _borders(evidence, "engine blocks", (2, 3))
    yield _short_lags(evidence)
    yield _long_lags(evidence)
    yield _runs(evidence)


def _not_alike(evidence: Evidence, name: str) -> Check | None:
    """The verdict where rows are not meant to be independent and alike."""
    period = evidence.law.period
    if period == 1:
        return None
    why = f"pairs are held {period} at a time, so rows are not alike"
    return Check(name, None, why)


def _positions(evidence: Evidence, name: str, width: int) -> Check:
    """Ones at each position of a byte or a word, for each stream."""
    sums = evidence.sums
    if periodic := _not_alike(evidence, name):
        return periodic
    if not sums.rows:
        return Check(name, None, "fewer than 128 rows")
    trials = sums.rows // width
    tests = []
    for stream, ones in zip(STREAMS, sums.ones, strict=True):
        by_position = ones.reshape(-1, width)
        at = by_position.sum(axis=0)
        rate = float(at.sum()) / sums.rows
        p = _alike(at.astype(float), trials, rate)
        off = np.asarray(deviance(at, trials, rate))
        worst = int(np.argmax(off))
        # The tail of one position reaches further than that of the table.
        furthest = float(off[worst])
        p_worst = 2 * width * exp(-furthest)
        p = at_most_one(min(p, p_worst), 2)
        count = int(at[worst])
        tests.append(
            (
                p,
                -furthest,
                stream,
                worst,
                count,
                rate,
            )
        )
    p, _, stream, worst, count, rate = min(tests)
    bit = _BIT_OF[width].format(worst)
    share = count / trials
    found = f"worst {stream}, {bit}: {share:.6f} ones for {rate:.6f}"
    return Check(name, at_most_one(p, len(tests)), found)


def _alike(ones: Floats, trials: int, rate: float) -> float:
    """The p-value of χ² for one rate at all positions; 1 where ones or zeros are too few for it."""
    if trials * min(rate, 1 - rate) < 10:
        return 1.0
    mean = trials * rate
    spread = mean * (1 - rate)
    squares = (ones - mean) ** 2
    statistic = float(squares.sum()) / spread
    return chi2_tail(statistic, len(ones) - 1)


def _borders(evidence: Evidence, name: str, kinds: tuple[int, int]) -> Check:
    """Outcomes of the 64 rows at borders, against those of all rows."""
    rows_of_file = max(evidence.plan.rows, 1)
    shares = evidence.outcomes / rows_of_file
    if periodic := _not_alike(evidence, name):
        return periodic
    tests = []
    for kind in kinds:
        counts = evidence.sums.borders[kind]
        rows = int(counts.sum())
        due = rows * shares
        statistic, degrees = chi2(counts.astype(float), due)
        if degrees > 0:
            p = chi2_tail(statistic, degrees)
            tests.append(
                (
                    p,
                    BORDERS[kind],
                    rows,
                    statistic,
                    degrees,
                )
            )
    if not tests:
        return Check(name, None, "there are none in this file, or too few rows")
    p, border, rows, statistic, degrees = min(tests)
    found = f"64 rows where a {border}: χ² {statistic:.4g} on {degrees}, {rows:,} rows"
    return Check(name, at_most_one(p, len(tests)), found)


# ── lags ─────────────────────────────────────────────────────────────────────────────────────────


def lag_table(evidence: Evidence) -> tuple[Lag, ...]:
    """The correlation of every stream with itself at every lag that was counted."""
    sums = evidence.sums
    found = []
    for number, stream in enumerate(STREAMS):
        spread = _spread(evidence, number)
        if not sums.compared or not spread:
            continue
        sigma = 1 / sqrt(sums.compared)
        for place, lag in enumerate(LAGS):
            together, mean = _coincidences(evidence, number, place)
            covariance = (together - mean) / sums.compared
            correlation = covariance / spread
            found.append(
                Lag(
                    stream,
                    lag,
                    correlation,
                    sigma,
                )
            )
    return tuple(found)


def _coincidences(evidence: Evidence, stream: int, place: int) -> tuple[int, float]:
    """Rows that are 1 together with the one a lag later, and how many by chance."""
    sums = evidence.sums
    first = int(sums.first[stream])
    second = int(sums.second[stream, place])
    differ = int(sums.differ[stream, place])
    together = (first + second - differ) // 2
    by_chance = first * second / max(sums.compared, 1)
    return together, by_chance


def _spread(evidence: Evidence, stream: int) -> float:
    """The variance of a row of a stream."""
    sums = evidence.sums
    rate = int(sums.first[stream]) / max(sums.compared, 1)
    return rate * (1 - rate)


def _short_lags(evidence: Evidence) -> Check:
    """Every stream against itself some rows later, on packed words."""
    if periodic := _not_alike(evidence, "lags"):
        return periodic
    tests = []
    for lag in lag_table(evidence):
        p = _lag_p(evidence, lag)
        tests.append((p, -abs(lag.correlation), lag))
    if not tests:
        return Check("lags", None, "fewer than 128 rows")
    p, _, lag = min(tests, key=lambda test: test[:2])
    z = lag.correlation / lag.sigma
    where = f"worst {lag.stream} at lag {lag.lag}"
    found = f"{where}: correlation {lag.correlation:+.2e}, {z:+.2f} σ"
    return Check("lags", at_most_one(p, len(tests)), found)


def _lag_p(evidence: Evidence, lag: Lag) -> float:
    stream = STREAMS.index(lag.stream)
    place = LAGS.index(lag.lag)
    compared = evidence.sums.compared
    ones = int(evidence.sums.first[stream])
    rate = ones / compared
    if _RARE <= rate <= 1 - _RARE:
        return normal(lag.correlation / lag.sigma)
    together, mean = _coincidences(evidence, stream, place)
    if rate > 0.5:  # zeros are rare
        excess = together - mean
        rarity = 1 - rate
        mean = compared * rarity**2
        together = max(round(mean + excess), 0)
    off = float(deviance(together, compared, mean / compared))
    return min(1.0, 2 * exp(-off))


def _long_lags(evidence: Evidence) -> Check:
    """Every stream against itself at all lags up to a million, in some stretches."""
    name = "long lags"
    if periodic := _not_alike(evidence, name):
        return periodic
    if not evidence.long:
        return Check(name, None, "fewer than 4096 rows")
    worst = min(evidence.long, key=lambda lags: lags.p_lag)
    z = worst.correlation * sqrt(worst.rows)
    where = f"worst {worst.stream} at lag {worst.lag:,}"
    found = f"lags 1 to {worst.lags:,}: {where}, {z:+.2f} σ"
    return Check(
        name,
        at_most_one(worst.p_lag, len(evidence.long)),
        found,
    )


def _runs(evidence: Evidence) -> Check:
    """Lengths of runs of equal bits, in the same stretches."""
    if periodic := _not_alike(evidence, "runs"):
        return periodic
    if not evidence.long:
        return Check("runs", None, "fewer than 4096 rows")
    worst = min(evidence.long, key=lambda lags: lags.p_run)
    longest = f"at most {worst.longest} times {worst.longest_of} in a row"
    found = f"runs of equal bits: least likely {worst.stream}, {longest}"
    return Check(
        "runs",
        at_most_one(worst.p_run, len(evidence.long)),
        found,
    )
