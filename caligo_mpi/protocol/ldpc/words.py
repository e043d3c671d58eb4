"""Decoding long words one after the other, compiled by numba: the same integers as `plain`.

Where a circulant is long there is no need for many frames side by side: its checks fill the vector registers, and one
word with all its messages stays in the cache.  Every loop runs over one circulant and touches so few arrays that
the compiler can make sure that they do not overlap.

Before each circulant's bits stand its last ones a second time: the checks' bits, which begin at a shift, are then one
piece of memory.  Circulants are filled up to whole vector registers; what is computed beyond their end is not used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import int16

from ...machine.jit import compiler
from ...pairs.bits import U8
from . import compiled, plain
from .code import I16, I64, Code, Flags
from .compiled import absolute, combine
from .plain import FAR, LIMIT

_jit = compiler(__file__, compiled.__file__, plain.__file__)

#: Circulants from which on this is faster than frames side by side.
SHORTEST_LIFT = 128
_WHOLE = 64  # numbers in two vector registers: loops over multiples of it have no rest


def decode_words(
    code: Code,
    bits: U8,
    syndromes: U8,
    prior: I16,
    max_iterations: int,
) -> tuple[Flags, I64]:
    """Replace the received ``bits`` (frames, n) by what they decode to.

    Returns whether each met its syndrome and the iterations it took; ``prior`` is the reliability of each bit.
    """
    spent = np.zeros(len(bits), np.int64)
    ok = np.zeros(len(bits), bool)
    first, entries, margin = _graph(code)
    rows, columns = code.base.shape
    lift = code.lift
    end = margin + lift
    filled = _whole(lift)
    known = np.zeros((columns, margin + filled), np.int16)
    wanted = np.zeros((rows, filled), np.int16)
    for frame, row in enumerate(bits):
        reliability = np.where(row, -prior, prior)
        known[:, margin:end] = reliability.reshape(columns, lift)
        known[:, :margin] = known[:, lift:end]
        told = syndromes[frame].astype(np.int16)
        wanted[:, :lift] = -told.reshape(rows, lift)
        taken = _decode(
            first,
            entries,
            lift,
            known,
            wanted,
            max_iterations,
        )
        ok[frame] = taken > 0
        spent[frame] = abs(taken)
        negative = known[:, margin:end] < 0
        row[:] = negative.ravel()
    return ok, spent


@lru_cache(maxsize=16)
def _graph(code: Code) -> tuple[I64, I64, int]:
    """Where each base row begins, column and beginning (entries, 2) of all entries, and how many bits stand twice."""
    row, column = np.nonzero(code.base >= 0)
    rows = np.arange(len(code.base) + 1)
    first = np.searchsorted(row, rows)
    shift = code.base[row, column].astype(np.int64)
    longest = int(shift.max())
    margin = min(_whole(longest), code.lift)
    entries = np.stack([column, margin - shift], axis=1)
    return first, entries, margin


def _whole(size: int) -> int:
    """``size``, filled up to whole vector registers."""
    return -(-size // _WHOLE) * _WHOLE


@_jit("void(int16[::1], int16[::1], int16[::1], int16[::1], int16[::1])")
def _listen(
    known: Any,
    message: Any,
    least: Any,
    others: Any,
    flip: Any,
) -> None:
    """Take what the bits of one circulant know beside their checks' ``message`` into the checks."""
    for i in range(len(least)):
        value = int16(known[i] - message[i])
        flip[i] ^= value
        size = min(absolute(value), int16(LIMIT))
        before = least[i]
        more = max(before, size)
        least[i] = min(before, size)
        others[i] = combine(others[i], more)


@_jit("void(int16[::1], int16[::1], int16[::1])")
def _conclude(least: Any, others: Any, whole: Any) -> None:
    for i in range(len(whole)):
        whole[i] = combine(others[i], least[i])


@_jit("void(int16[::1], int16[::1], int16[::1], int16[::1], int16[::1], int16[::1])")
def _answer(
    known: Any,
    message: Any,
    least: Any,
    others: Any,
    whole: Any,
    flip: Any,
) -> None:
    """The checks' new messages to the bits of one circulant."""
    for i in range(len(least)):
        value = int16(known[i] - message[i])
        size = min(absolute(value), int16(LIMIT))
        one = others[i]  # both are read outside the choice, so that they are vectors
        every = whole[i]
        out = one if size == least[i] else every
        odd = int16(flip[i] ^ value)
        sign = int16(odd >> int16(15))
        turned = int16(out ^ sign)
        new = int16(turned - sign)
        message[i] = new
        known[i] = value + new


@_jit("void(int16[::1], int16[::1], int64)")
def _align(early: Any, late: Any, begin: Any) -> None:
    """Make both copies of bits alike again: the early one is new from ``begin`` on, the late one up to there."""
    first_new = int16(begin)
    for i in range(len(early)):
        one = early[i]
        other = late[i]
        bit = one if int16(i) >= first_new else other
        early[i] = bit
        late[i] = bit


@_jit("void(int16[::1], int16[::1])")
def _copy(source: Any, target: Any) -> None:
    for i in range(len(target)):
        target[i] = source[i]


@_jit("void(int16[::1], int16[::1])")
def _add_signs(known: Any, odd: Any) -> None:
    for i in range(len(odd)):
        odd[i] ^= known[i]


@_jit("boolean(int64[::1], int64[:,::1], int64, int16[:,::1], int16[:,::1], int16[::1])")
def _met(
    first: Any,
    entries: Any,
    lift: Any,
    known: Any,
    wanted: Any,
    odd: Any,
) -> Any:
    """Whether the signs have the syndrome."""
    for row in range(len(wanted)):
        _copy(wanted[row], odd)
        for entry in range(first[row], first[row + 1]):
            column, begin = entries[entry]
            _add_signs(known[column, begin:], odd)
        wrong = int16(0)
        for i in range(lift):
            wrong = int16(wrong | odd[i])
        if wrong < int16(0):
            return False
    return True


@_jit("void(int64[:,::1], int64, int16[:,::1], int16[:,::1], int16[::1], int16[:,::1])")
def _sweep_row(
    entries: Any,
    lift: Any,
    known: Any,
    messages: Any,
    wanted: Any,
    scratch: Any,
) -> None:
    """The checks of one base row ask their bits and answer them."""
    least, others, whole, flip = scratch[0], scratch[1], scratch[2], scratch[3]
    filled = len(wanted)
    margin = known.shape[1] - filled
    least.fill(FAR)
    others.fill(FAR)
    _copy(wanted, flip)
    for entry in range(len(entries)):
        column, begin = entries[entry]
        own = known[column, begin : begin + filled]
        _listen(own, messages[entry], least, others, flip)
    _conclude(least, others, whole)
    for entry in range(len(entries)):
        column, begin = entries[entry]
        bits = known[column]
        own = bits[begin : begin + filled]
        _answer(own, messages[entry], least, others, whole, flip)
        late = bits[lift : lift + margin]
        _align(bits[:margin], late, begin)


@_jit("int64(int64[::1], int64[:,::1], int64, int16[:,::1], int16[:,::1], int64)")
def _decode(
    first: Any,
    entries: Any,
    lift: Any,
    known: Any,
    wanted: Any,
    most: Any,
) -> Any:
    """Iterations until the syndrome was met; −``most`` where it never was."""
    filled = wanted.shape[1]
    messages = np.zeros((len(entries), filled), np.int16)
    scratch = np.empty((4, filled), np.int16)
    for iteration in range(most):
        for row in range(len(wanted)):
            begin = first[row]
            end = first[row + 1]
            _sweep_row(
                entries[begin:end],
                lift,
                known,
                messages[begin:end],
                wanted[row],
                scratch,
            )
        if _met(first, entries, lift, known, wanted, scratch[0]):
            return iteration + 1
    return -most
