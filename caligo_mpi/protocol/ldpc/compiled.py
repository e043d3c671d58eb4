"""The sweep of `plain`, compiled by numba: the same integers, an order of magnitude sooner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int16

from ...machine.jit import compiler, helper
from . import plain
from .code import I16, Code, Flags
from .plain import FAR, LIMIT

_jit = compiler(__file__, plain.__file__)

_LANES = 64  # known to the compiler, which then fills whole vector registers


def lanes(code: Code) -> int:
    """Frames to decode side by side."""
    return _LANES


def sweep(
    code: Code,
    total: I16,
    messages: I16,
    syndromes: I16,
) -> None:
    """As `plain.sweep`, for 64 lanes."""
    _sweep(
        *code.edges,
        code.lift,
        total,
        messages,
        syndromes,
    )


def satisfied(code: Code, total: I16, syndromes: I16) -> Flags:
    """As `plain.satisfied`, for 64 lanes."""
    wrong = np.zeros(_LANES, np.int16)
    _violations(
        *code.edges,
        code.lift,
        total,
        syndromes,
        wrong,
    )
    return wrong >= 0


@helper
def absolute(x: Any) -> Any:
    """|x| of 16 bits."""
    return x if x >= int16(0) else int16(-x)


@helper
def _correction(x: Any) -> Any:
    left = int16(int16(38) - x)
    quarter = int16(left >> int16(2))
    return max(quarter, int16(0))


@helper
def combine(x: Any, y: Any) -> Any:
    """Two magnitudes in one, as in `plain`."""
    together = int16(x + y)
    apart = int16(x - y)
    gain = _correction(together)
    loss = _correction(absolute(apart))
    least = min(x, y)
    return int16(int16(least + gain) - loss)


@_jit("void(int64[::1], int64[::1], int64, int16[:,::1], int16[:,::1], int16[:,::1])")
def _sweep(bit: Any, degrees: Any, lift: Any, total: Any, messages: Any, syndromes: Any) -> None:
    values = np.empty((degrees.max(), _LANES), np.int16)
    least = np.empty(_LANES, np.int16)
    others = np.empty(_LANES, np.int16)
    flip = np.empty(_LANES, np.int16)
    first = 0
    for row in range(len(degrees)):
        degree = degrees[row]
        for i in range(lift):
            check = row * lift + i
            for f in range(_LANES):
                least[f] = others[f] = int16(FAR)
                flip[f] = syndromes[check, f]
            for k in range(degree):
                edge = first + k * lift + i
                v = bit[edge]
                for f in range(_LANES):
                    value = int16(total[v, f] - messages[edge, f])
                    values[k, f] = value
                    flip[f] ^= value
                    size = min(absolute(value), int16(LIMIT))
                    more = max(least[f], size)
                    least[f] = min(least[f], size)
                    others[f] = combine(others[f], more)
            for k in range(degree):
                edge = first + k * lift + i
                v = bit[edge]
                for f in range(_LANES):
                    value = values[k, f]
                    size = min(absolute(value), int16(LIMIT))
                    one = others[f]
                    every = combine(one, least[f])
                    out = one if size == least[f] else every
                    odd = int16(flip[f] ^ value)
                    sign = int16(odd >> int16(15))
                    turned = int16(out ^ sign)
                    out = int16(turned - sign)
                    messages[edge, f] = out
                    total[v, f] = value + out
        first += degree * lift


@_jit("void(int64[::1], int64[::1], int64, int16[:,::1], int16[:,::1], int16[::1])")
def _violations(
    bit: Any,
    degrees: Any,
    lift: Any,
    total: Any,
    syndromes: Any,
    wrong: Any,
) -> None:
    odd = np.empty(_LANES, np.int16)
    first = 0
    for row in range(len(degrees)):
        degree = degrees[row]
        for i in range(lift):
            check = row * lift + i
            for f in range(_LANES):
                odd[f] = syndromes[check, f]
            for k in range(degree):
                edge = first + k * lift + i
                v = bit[edge]
                for f in range(_LANES):
                    odd[f] ^= total[v, f]
            for f in range(_LANES):
                wrong[f] |= odd[f]
        first += degree * lift
