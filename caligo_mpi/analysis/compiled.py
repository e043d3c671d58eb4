"""The functions of `counting` compiled by numba.  Importing this raises `ImportError` without numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

from ..machine.jit import compiler, helper
from . import counting

_jit = compiler(__file__, counting.__file__)


def _counting(context: Any, word: Any) -> Any:
    def code(
        context: Any,
        builder: Any,
        signature: Any,
        args: Any,
    ) -> Any:
        return builder.ctpop(args[0])

    return numba.uint64(numba.uint64), code


_ones: Any = intrinsic(_counting)

_LOWEST = np.uint64(0x0101010101010101)
# A byte counts to 255.
_WORDS = 248
_LAGS = np.array(counting.LAGS, np.uint64)


@helper
def _count_cell(ps: Any, qs: Any, rs: Any, ss: Any, found: Any) -> None:
    """Rows of one cell at which all columns of a subset are 1."""
    zero = np.uint64(0)
    c1 = c2 = c3 = c4 = c5 = c6 = c7 = zero
    c8 = c9 = c10 = c11 = c12 = c13 = c14 = c15 = zero
    for i in range(len(ps)):
        p = ps[i]
        q = qs[i]
        r = rs[i]
        s = ss[i]
        r_s = r & s
        p_q = p & q
        c1 += _ones(s)
        c2 += _ones(r)
        c3 += _ones(r_s)
        c4 += _ones(q)
        c5 += _ones(q & s)
        c6 += _ones(q & r)
        c7 += _ones(q & r_s)
        c8 += _ones(p)
        c9 += _ones(p & s)
        c10 += _ones(p & r)
        c11 += _ones(p & r_s)
        c12 += _ones(p_q)
        c13 += _ones(p_q & s)
        c14 += _ones(p_q & r)
        c15 += _ones(p_q & r_s)
    sums = (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15)
    for number in range(15):
        found[number + 1] += np.int64(sums[number])


@_jit("void(uint64[::1], uint64[::1], uint64[::1], uint64[::1], int64, int64[:, ::1])")
def joint(
    a_basis: Any,
    a_bit: Any,
    b_basis: Any,
    b_bit: Any,
    words: Any,
    found: Any,
) -> None:
    """See `counting.joint_counts`."""
    for cell in range(found.shape[0]):
        # Slices have no negative indices, which would keep loops from being vectorized.
        first = cell * words
        end = min(first + words, len(a_basis))
        _count_cell(
            a_basis[first:end],
            a_bit[first:end],
            b_basis[first:end],
            b_bit[first:end],
            found[cell],
        )


@_jit("void(uint64[::1], int64[::1])")
def positions(stream: Any, found: Any) -> None:
    """Ones at each position of the word."""
    for first in range(0, len(stream), _WORDS):
        part = stream[first : min(first + _WORDS, len(stream))]
        for place in range(8):
            shift = np.uint64(place)
            total = np.uint64(0)
            for i in range(len(part)):
                total += (part[i] >> shift) & _LOWEST
            for byte in range(8):
                ones = (total >> np.uint64(8 * byte)) & np.uint64(255)
                found[8 * byte + place] += np.int64(ones)


@_jit("void(uint64[::1], int64[::1])")
def lags(stream: Any, found: Any) -> None:
    """Rows that differ from the one a lag later, for `counting.LAGS`."""
    rows = stream[:-1]
    nexts = stream[1:]
    for number in range(len(_LAGS)):
        lag = _LAGS[number]
        rest = np.uint64(64) - lag
        total = np.uint64(0)
        for i in range(len(rows)):
            here = rows[i]
            later = here >> lag | nexts[i] << rest
            total += _ones(here ^ later)
        found[number] += np.int64(total)
