"""Decoding long words one after the other, compiled by numba: the same integers as `plain`.

Where a circulant is long there is no need for many frames side by side: its checks fill the vector registers, and one
word with all its messages stays in the cache.  Every loop runs over one circulant and touches so few arrays that
the compiler can make sure that they do not overlap.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import int16
from numpy.typing import NDArray

from ...machine.jit import compiler, helper
from ...pairs.bits import U8
from . import plain
from .code import I64, Code
from .plain import FAR, I16, LIMIT

_jit = compiler(__file__, plain.__file__)

#: Circulants from which on this is faster than frames side by side.
SHORTEST_LIFT = 128


def decode_words(
    code: Code, bits: U8, syndromes: U8, prior: I16, max_iterations: int
) -> tuple[NDArray[np.bool_], I64]:
    """Replace the received ``bits`` (frames, n) by what they decode to.

    Returns whether each met its syndrome and the iterations it took; ``prior`` is the reliability of each bit.
    """
    spent = np.zeros(len(bits), np.int64)
    ok = np.zeros(len(bits), bool)
    for frame, row in enumerate(bits):
        total = np.where(row, -prior, prior)
        wanted = -syndromes[frame].astype(np.int16).reshape(-1, code.lift)
        taken = _decode(*_entries(code), code.lift, total, wanted, max_iterations)
        ok[frame], spent[frame] = taken > 0, abs(taken)
        row[:] = total < 0
    return ok, spent


@lru_cache(maxsize=16)
def _entries(code: Code) -> tuple[I64, I64, I64]:
    """Where each base row begins, and column and shift of all entries."""
    row, column = np.nonzero(code.base >= 0)
    first = np.searchsorted(row, np.arange(len(code.base) + 1))
    return first, np.ascontiguousarray(column), code.base[row, column].astype(np.int64)


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


@_jit("void(int16[::1], int16[::1], int16[::1], int64, int64)")
def _take(total: Any, message: Any, value: Any, at: Any, shift: Any) -> None:
    """What the bits of one circulant know beside this check's message, in the order of the checks."""
    lift = len(value)
    near, far = total[at : at + lift - shift], total[at + lift - shift : at + lift]
    late, of_late = value[shift:], message[shift:]
    for i in range(lift - shift):
        late[i] = int16(near[i] - of_late[i])
    for i in range(shift):
        value[i] = int16(far[i] - message[i])


@_jit("void(int16[::1], int16[::1], int16[::1], int64, int64)")
def _put(total: Any, message: Any, value: Any, at: Any, shift: Any) -> None:
    """The way back, with the check's new message."""
    lift = len(value)
    near, far = total[at : at + lift - shift], total[at + lift - shift : at + lift]
    late, of_late = value[shift:], message[shift:]
    for i in range(lift - shift):
        near[i] = int16(late[i] + of_late[i])
    for i in range(shift):
        far[i] = int16(value[i] + message[i])


@_jit("void(int16[::1], int16[::1], int16[::1], int16[::1])")
def _listen(value: Any, least: Any, others: Any, flip: Any) -> None:
    """Take one circulant's bits into the checks."""
    for i in range(len(value)):
        v = value[i]
        flip[i] = int16(flip[i] ^ int16(v >> int16(15)))
        size = min(_abs(v), int16(LIMIT))
        more = max(least[i], size)
        least[i] = min(least[i], size)
        others[i] = _combine(others[i], more)


@_jit("void(int16[::1], int16[::1], int16[::1])")
def _conclude(least: Any, others: Any, whole: Any) -> None:
    for i in range(len(whole)):
        whole[i] = _combine(others[i], least[i])


@_jit("void(int16[::1], int16[::1], int16[::1], int16[::1], int16[::1], int16[::1])")
def _answer(value: Any, least: Any, others: Any, whole: Any, flip: Any, message: Any) -> None:
    """The checks' messages to one circulant's bits."""
    for i in range(len(value)):
        v = value[i]
        one, every = others[i], whole[i]  # read outside the choice, so that both are vectors
        out = one if min(_abs(v), int16(LIMIT)) == least[i] else every
        sign = int16(flip[i] ^ int16(v >> int16(15)))
        message[i] = int16(int16(out ^ sign) - sign)


@_jit("boolean(int64[::1], int64[::1], int64[::1], int64, int16[::1], int16[:,::1], int16[::1])")
def _met(first: Any, column: Any, shift: Any, lift: Any, total: Any, wanted: Any, odd: Any) -> Any:
    for row in range(len(first) - 1):
        for i in range(lift):
            odd[i] = wanted[row, i]
        for entry in range(first[row], first[row + 1]):
            at, s = column[entry] * lift, shift[entry]
            for i in range(lift - s):
                odd[s + i] = int16(odd[s + i] ^ int16(total[at + i] >> int16(15)))
            for i in range(s):
                odd[i] = int16(odd[i] ^ int16(total[at + lift - s + i] >> int16(15)))
        wrong = int16(0)
        for i in range(lift):
            wrong = int16(wrong | odd[i])
        if wrong:
            return False
    return True


@_jit("int64(int64[::1], int64[::1], int64[::1], int64, int16[::1], int16[:,::1], int64)")
def _decode(
    first: Any, column: Any, shift: Any, lift: Any, total: Any, wanted: Any, most: Any
) -> Any:
    """Iterations until the syndrome was met; −``most`` where it never was."""
    rows = len(first) - 1
    values = np.empty(((first[1:] - first[:-1]).max(), lift), np.int16)
    messages = np.zeros((len(column), lift), np.int16)
    least, others, whole, flip = (
        np.empty(lift, np.int16),
        np.empty(lift, np.int16),
        np.empty(lift, np.int16),
        np.empty(lift, np.int16),
    )
    for iteration in range(most):
        for row in range(rows):
            begin, end = first[row], first[row + 1]
            for i in range(lift):
                least[i] = others[i] = int16(FAR)
            for i in range(lift):
                flip[i] = wanted[row, i]
            for entry in range(begin, end):
                value = values[entry - begin]
                _take(total, messages[entry], value, column[entry] * lift, shift[entry])
                _listen(value, least, others, flip)
            _conclude(least, others, whole)
            for entry in range(begin, end):
                value = values[entry - begin]
                _answer(value, least, others, whole, flip, messages[entry])
                _put(total, messages[entry], value, column[entry] * lift, shift[entry])
        if _met(first, column, shift, lift, total, wanted, flip):
            return iteration + 1
    return -most
