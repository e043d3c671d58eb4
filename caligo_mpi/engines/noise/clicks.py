"""Which emissions both sides register, and how many one side registers alone.

Coincidences are independent, so their distances are geometric, and the emissions in between
cost nothing.  Quotient and remainder of a geometric variable are independent: where pairs are
rare, the distance less one is drawn digit by digit in radix 1024.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, repeat
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import Tick
from .tables import ONE, Raw, Table, Words, compile_table

_FIRST, _FULL = 1 << 10, 1 << 14  # distances drawn at a time
_DIGIT = 10  # bits
_TOP = 1 << 13  # values of the top digit; what lies beyond has less than 2^-80
_LOWER = 5  # lower digits at most: their range is longer than any chunk
_UNIT_BITS = 192  # fixed point of the weights
_UNIT = 1 << _UNIT_BITS
_TRIALS = (18, 12, 6)  # log2 of how many trials one draw counts


def sample_positions(probability: int, count: int, raw: Raw, tick: Tick) -> Words:
    """Where, among ``count`` emissions, an event of this probability (in 2^-64) happens, increasing.

    The positions below n are the same for every ``count`` ≥ n.
    """
    tables = _distance_tables(probability)
    mean = count * probability // ONE
    positions = np.empty(mean + 10 * isqrt(mean) + 64 + _FULL, np.uint64)
    found, reached, size = 0, 0, _FIRST
    while reached < count:
        if found + size > len(positions):  # ten standard deviations and more
            positions = np.concatenate([positions, np.empty_like(positions)])
        part = positions[found : found + size]
        part[:] = _draw_distances(tables, size, raw)
        part[0] += np.uint64(reached)
        np.cumsum(part, out=part)
        found, reached, size = found + size, int(part[-1]), _FULL
        tick()
    positions = positions[:found]
    positions -= np.uint64(1)
    return positions[: positions.searchsorted(np.uint64(count))]


def _draw_distances(tables: tuple[Table, ...], count: int, raw: Raw) -> NDArray[Any]:
    distances, *digits = (table.draw(count, raw) for table in tables)
    for digit in digits:
        distances = distances.astype(np.uint64) << np.uint64(_DIGIT)
        distances += digit
    return distances


@lru_cache(maxsize=64)
def _distance_tables(probability: int) -> tuple[Table, ...]:
    """Digits of the distance to the next event, the top digit first; the lowest counts from 1."""
    miss = _UNIT - (probability << (_UNIT_BITS - 64))
    lower: list[list[int]] = []
    while len(lower) < _LOWER and _power_of_two_power(miss, _TOP.bit_length() - 1) > _UNIT >> 80:
        lower.append(_powers(miss, 1 << _DIGIT))
        miss = _power_of_two_power(miss, _DIGIT)
    top = _powers(miss, _TOP) if len(lower) < _LOWER else [_UNIT - miss, miss]
    laws = [*lower, top]
    values = [np.arange(len(law), dtype=np.uint16) for law in laws]
    values[0] += 1
    return tuple(compile_table(digit, law) for digit, law in zip(values, laws, strict=True))[::-1]


def _powers(base: int, count: int) -> list[int]:
    return list(
        accumulate(
            repeat(base, count - 1), lambda power, _: power * base >> _UNIT_BITS, initial=_UNIT
        )
    )


def _power_of_two_power(base: int, squarings: int) -> int:
    for _ in range(squarings):
        base = base * base >> _UNIT_BITS
    return base


def sample_count(probability: int, trials: int, raw: Raw) -> int:
    """How many of ``trials`` independent events of this probability (in 2^-64) happen."""
    if probability in (0, ONE):
        return trials if probability else 0
    happened = 0
    for log2 in _TRIALS:
        draws, trials = divmod(trials, 1 << log2)
        if draws:
            happened += int(
                _binomial_table(probability, log2).draw(draws, raw).sum(dtype=np.uint64)
            )
    return happened + int(np.count_nonzero(raw(trials) < np.uint64(probability)))


@lru_cache(maxsize=64)
def _binomial_table(probability: int, log2_trials: int) -> Table:
    """Events among 2^log2_trials, from the mode outwards until they have less than 2^-90 of its weight."""
    trials = 1 << log2_trials
    mode = (trials + 1) * probability // ONE
    odds, against = probability, ONE - probability
    up, down = [_UNIT], [_UNIT]
    for k in range(mode, trials):
        up.append(up[-1] * (trials - k) * odds // ((k + 1) * against))
        if up[-1] < _UNIT >> 90:
            break
    for k in range(mode, 0, -1):
        down.append(down[-1] * k * against // ((trials - k + 1) * odds))
        if down[-1] < _UNIT >> 90:
            break
    first = mode - len(down) + 1
    return compile_table(np.arange(first, mode + len(up), dtype=np.uint32), [*down[:0:-1], *up])
