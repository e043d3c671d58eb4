"""The sweep of `plain`, compiled by numba: the same integers, an order of magnitude sooner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int16
from numpy.typing import NDArray

from ..jit import compiler, helper
from . import plain
from .code import Code
from .plain import FAR, FINE_FAR, FINE_LIMIT, I16, LIMIT

_jit = compiler(__file__, plain.__file__)

_LANES = 64  # known to the compiler, which then fills whole vector registers


def lanes(code: Code) -> int:
    """Frames to decode side by side."""
    return _LANES


def sweep(code: Code, total: I16, messages: I16, syndromes: I16) -> None:
    """As `plain.sweep`, for 64 lanes."""
    _sweep(*code.edges, code.lift, total, messages, syndromes)


def satisfied(code: Code, total: I16, syndromes: I16) -> NDArray[np.bool_]:
    """As `plain.satisfied`, for 64 lanes."""
    wrong = np.zeros(_LANES, np.int16)
    _violations(*code.edges, code.lift, total, syndromes, wrong)
    return np.equal(wrong, 0)


def decode_frame(code: Code, total: I16, syndrome: I16, max_iterations: int) -> tuple[bool, int]:
    """Decode one frame of a long code: ``total`` (n,) in place, ``syndrome`` (m,) of 0 and −1.

    A frame by itself stays in the cache, where 64 side by side do not; a base row's checks fill the vectors.
    Returns whether the syndrome is met, and the iterations; all as by sweeps of `plain`.
    """
    columns, shifts, degrees = code.circulants
    messages = np.zeros((len(columns), code.lift // _LANES, _LANES), np.int16)
    met, spent = _decode_frame(columns, shifts, degrees, total, messages, syndrome, max_iterations)
    return bool(met), int(spent)


@helper
def _abs(x: Any) -> Any:
    return x if x >= int16(0) else int16(-x)


@helper
def _correction(x: Any) -> Any:
    c = int16(int16(int16(38) - x) >> int16(2))
    return c if c > int16(0) else int16(0)


@helper
def _combine(x: Any, y: Any) -> Any:
    least = x if x < y else y
    return int16(int16(least + _correction(int16(x + y))) - _correction(_abs(int16(x - y))))


@_jit("void(int64[::1], int64[::1], int64, int16[:,::1], int16[:,::1], int16[:,::1])")
def _sweep(bit: Any, degrees: Any, lift: Any, total: Any, messages: Any, syndromes: Any) -> None:
    values = np.empty((degrees.max(), _LANES), np.int16)
    least = np.empty(_LANES, np.int16)
    others = np.empty(_LANES, np.int16)
    flip = np.empty(_LANES, np.int16)
    first = 0
    for row in range(len(degrees)):
        for i in range(lift):
            for f in range(_LANES):
                least[f] = others[f] = int16(FAR)
                flip[f] = syndromes[row * lift + i, f]
            for k in range(degrees[row]):
                edge = first + k * lift + i
                v = bit[edge]
                for f in range(_LANES):
                    value = int16(total[v, f] - messages[edge, f])
                    values[k, f] = value
                    flip[f] = int16(flip[f] ^ int16(value >> int16(15)))
                    size = min(_abs(value), int16(LIMIT))
                    more = max(least[f], size)
                    least[f] = min(least[f], size)
                    others[f] = _combine(others[f], more)
            for k in range(degrees[row]):
                edge = first + k * lift + i
                v = bit[edge]
                for f in range(_LANES):
                    value = values[k, f]
                    size = min(_abs(value), int16(LIMIT))
                    whole = _combine(others[f], least[f])
                    out = others[f] if size == least[f] else whole
                    sign = int16(flip[f] ^ int16(value >> int16(15)))
                    out = int16(int16(out ^ sign) - sign)
                    messages[edge, f] = out
                    total[v, f] = int16(value + out)
        first += degrees[row] * lift


@_jit("void(int64[::1], int64[::1], int64, int16[:,::1], int16[:,::1], int16[::1])")
def _violations(bit: Any, degrees: Any, lift: Any, total: Any, syndromes: Any, wrong: Any) -> None:
    odd = np.empty(_LANES, np.int16)
    first = 0
    for row in range(len(degrees)):
        for i in range(lift):
            for f in range(_LANES):
                odd[f] = syndromes[row * lift + i, f]
            for k in range(degrees[row]):
                v = bit[first + k * lift + i]
                for f in range(_LANES):
                    odd[f] = int16(odd[f] ^ int16(total[v, f] >> int16(15)))
            for f in range(_LANES):
                wrong[f] = int16(wrong[f] | odd[f])
        first += degrees[row] * lift


@helper
def _copy(source: Any, target: Any) -> None:
    for i in range(len(target)):  # an assignment of slices looks first whether they overlap
        target[i] = source[i]


@helper
def _fine_correction(x: Any) -> Any:
    steep = max(int16(int16(45) - int16(x >> int16(1))), int16(int16(37) - int16(x >> int16(2))))
    flat = max(int16(int16(24) - int16(x >> int16(3))), int16(int16(9) - int16(x >> int16(5))))
    return max(max(steep, flat), int16(0))


@helper
def _combine_finely(x: Any, y: Any) -> Any:
    least = x if x < y else y
    return int16(
        int16(least + _fine_correction(int16(x + y))) - _fine_correction(_abs(int16(x - y)))
    )


@helper
def _check(values: Any, messages: Any, wanted: Any) -> None:
    """One layer, 64 checks at a time: as many as the compiler knows, and no sum as an index, which it takes for signed."""
    least = np.empty(_LANES, np.int16)
    others = np.empty(_LANES, np.int16)
    flip = np.empty(_LANES, np.int16)
    whole = np.empty(_LANES, np.int16)
    for part in range(len(wanted)):
        for f in range(_LANES):
            least[f] = others[f] = int16(FINE_FAR)
            flip[f] = wanted[part, f]
        for k in range(len(messages)):
            for f in range(_LANES):
                value = int16(values[k, part, f] - messages[k, part, f])
                values[k, part, f] = value
                flip[f] = int16(flip[f] ^ int16(value >> int16(15)))
                size = min(_abs(value), int16(FINE_LIMIT))
                more = max(least[f], size)
                least[f] = min(least[f], size)
                others[f] = _combine_finely(others[f], more)
        for f in range(_LANES):
            whole[f] = _combine_finely(others[f], least[f])
        for k in range(len(messages)):
            for f in range(_LANES):
                value = values[k, part, f]
                size = min(_abs(value), int16(FINE_LIMIT))
                out = others[f] if size == least[f] else whole[f]
                sign = int16(flip[f] ^ int16(value >> int16(15)))
                out = int16(int16(out ^ sign) - sign)
                messages[k, part, f] = out
                values[k, part, f] = int16(value + out)


@helper
def _met(columns: Any, shifts: Any, degrees: Any, total: Any, syndrome: Any) -> Any:
    lift = len(syndrome) // len(degrees)
    first = 0
    for row in range(len(degrees)):
        odd = syndrome[row * lift : (row + 1) * lift].copy()
        for k in range(first, first + degrees[row]):
            bit, shift = columns[k] * lift, shifts[k]
            for i in range(shift):
                odd[i] = int16(odd[i] ^ int16(total[bit + lift - shift + i] >> int16(15)))
            for i in range(shift, lift):
                odd[i] = int16(odd[i] ^ int16(total[bit - shift + i] >> int16(15)))
        if odd.any():
            return False
        first += degrees[row]
    return True


@_jit(
    "Tuple((boolean, int64))(int64[::1], int64[::1], int64[::1], int16[::1], int16[:,:,::1], int16[::1], int64)"
)
def _decode_frame(
    columns: Any, shifts: Any, degrees: Any, total: Any, messages: Any, syndrome: Any, most: Any
) -> Any:
    lift = len(syndrome) // len(degrees)
    values = np.empty((degrees.max(), lift), np.int16)
    parts = values.reshape((len(values), lift // _LANES, _LANES))
    wanted = syndrome.reshape((len(degrees), lift // _LANES, _LANES))
    for done in range(1, most + 1):
        first = 0
        for row in range(len(degrees)):
            last = first + degrees[row]
            for k, (column, shift) in enumerate(zip(columns[first:last], shifts[first:last])):  # noqa: B905
                bits = total[column * lift : (column + 1) * lift]
                _copy(bits[lift - shift :], values[k, :shift])
                _copy(bits[: lift - shift], values[k, shift:])
            _check(parts, messages[first:last], wanted[row])
            for k, (column, shift) in enumerate(zip(columns[first:last], shifts[first:last])):  # noqa: B905
                bits = total[column * lift : (column + 1) * lift]
                _copy(values[k, :shift], bits[lift - shift :])
                _copy(values[k, shift:], bits[: lift - shift])
            first = last
        if _met(columns, shifts, degrees, total, syndrome):
            return True, done
    return False, most
