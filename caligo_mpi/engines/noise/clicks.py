"""Which emissions both sides register, and how many one side registers alone.

Coincidences are independent, so their distances are geometric, and the emissions in between
cost nothing.  Quotient and remainder of a geometric variable are independent: where pairs are
rare, the distance less one is drawn digit by digit in radix 1024.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pairs import Tick
from .tables import ONE, Raw, Table, Words, compile_table

_FIRST, _FULL = 1 << 10, 1 << 14  # distances drawn at a time
_DIGIT = 10  # bits
_TOP = 1 << 13  # values of the top digit; what lies beyond has less than 2^-80
_LOWER = 5  # lower digits at most: their range is longer than any chunk
_UNIT_BITS = 192  # fixed point of the weights
_UNIT = 1 << _UNIT_BITS
_TRIALS = (18, 12, 6)  # log2 of how many trials one draw counts


def sample_positions(
    probability: int,
    count: int,
    raw: Raw,
    tick: Tick,
) -> Words:
    """Where, among ``count`` emissions, an event of this probability (in 2^-64) happens.

    Returns increasing uint64 numbers below ``count``.  Those below n are the same for every
    ``count`` ≥ n.  ``tick`` is called after each part.
    """
    tables = _distance_tables(probability)
    mean = count * probability // ONE
    deviations = 10 * isqrt(mean)
    ample = mean + deviations + 64 + _FULL
    positions = np.empty(ample, np.uint64)
    found = 0
    reached = 0
    size = _FIRST
    while reached < count:
        if found + size > len(positions):  # ten standard deviations and more
            more = np.empty_like(positions)
            positions = np.concatenate([positions, more])
        part = positions[found : found + size]
        part[:] = _draw_distances(tables, size, raw)
        part[0] += np.uint64(reached)
        np.cumsum(part, out=part)
        found += size
        reached = int(part[-1])
        size = _FULL
        tick()
    positions = positions[:found]
    positions -= np.uint64(1)  # distances count from 1, positions from 0
    end = np.uint64(count)
    inside = positions.searchsorted(end)
    return positions[:inside]


def draw_distances(probability: int, count: int, raw: Raw) -> NDArray[Any]:
    """``count`` numbers of attempts up to and with the first success, of this probability (2^-64).

    They are unsigned integers of some width, at least 1; certainty takes no word.
    """
    if probability == ONE:
        return np.ones(count, np.uint16)
    tables = _distance_tables(probability)
    return _draw_distances(tables, count, raw)


def _draw_distances(tables: tuple[Table, ...], count: int, raw: Raw) -> NDArray[Any]:
    """``count`` distances to the next event, put together from their digits."""
    distances, *digits = (table.draw(count, raw) for table in tables)
    for digit in digits:
        distances = distances.astype(np.uint64)
        distances <<= np.uint64(_DIGIT)
        distances += digit
    return distances


@lru_cache(maxsize=64)
def _distance_tables(probability: int) -> tuple[Table, ...]:
    """Digits of the distance to the next event, the top digit first; the lowest counts from 1."""
    miss = _UNIT - (probability << (_UNIT_BITS - 64))
    laws: list[list[int]] = []
    while len(laws) < _LOWER and not _fits_top(miss):
        laws.append(_powers(miss, 1 << _DIGIT))
        miss = _power_of_two_power(miss, _DIGIT)
    rest = [_UNIT - miss, miss]
    top = _powers(miss, _TOP) if len(laws) < _LOWER else rest
    laws.append(top)
    tables = []
    for law in laws:
        digits = np.arange(len(law), dtype=np.uint16)
        if law is laws[0]:
            digits += 1
        table = compile_table(digits, law)
        tables.append(table)
    return tuple(reversed(tables))


def _fits_top(miss: int) -> bool:
    """Whether one top digit is enough: what lies beyond its values has less than 2^-80."""
    beyond = _power_of_two_power(miss, _TOP.bit_length() - 1)
    return beyond <= _UNIT >> 80


def _powers(base: int, count: int) -> list[int]:
    """The powers of ``base`` with exponents from 0 to ``count`` − 1, in fixed point."""
    power = _UNIT
    powers = [power]
    for _ in range(count - 1):
        power = power * base >> _UNIT_BITS
        powers.append(power)
    return powers


def _power_of_two_power(base: int, squarings: int) -> int:
    """``base`` to the power 2^squarings, in fixed point."""
    for _ in range(squarings):
        base = base * base >> _UNIT_BITS
    return base


def sample_count(probability: int, trials: int, raw: Raw) -> int:
    """How many of ``trials`` independent events of this probability (in 2^-64) happen."""
    if probability == 0:
        return 0
    if probability == ONE:
        return trials
    happened = 0
    for log2 in _TRIALS:
        draws, trials = divmod(trials, 1 << log2)
        if draws:
            table = _binomial_table(probability, log2)
            counts = table.draw(draws, raw)
            happened += int(counts.sum(dtype=np.uint64))
    single = raw(trials) < np.uint64(probability)
    singles = np.count_nonzero(single)
    return happened + int(singles)


@lru_cache(maxsize=64)
def _binomial_table(probability: int, log2_trials: int) -> Table:
    """How many of 2^log2_trials events happen: weights relative to that of the mode.

    They are followed from the mode outwards until they are below 2^-90.
    """
    trials = 1 << log2_trials
    mode = (trials + 1) * probability // ONE
    against = ONE - probability
    least = _UNIT >> 90
    weight = _UNIT
    up = [weight]
    for k in range(mode, trials):
        weight = weight * (trials - k) * probability // ((k + 1) * against)
        up.append(weight)
        if weight < least:
            break
    weight = _UNIT
    down = [weight]
    for k in range(mode, 0, -1):
        weight = weight * k * against // ((trials - k + 1) * probability)
        down.append(weight)
        if weight < least:
            break
    first = mode - len(down) + 1
    counts = np.arange(first, mode + len(up), dtype=np.uint32)
    below_mode = down[:0:-1]
    return compile_table(counts, [*below_mode, *up])
