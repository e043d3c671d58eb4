"""The functions of `counting` compiled by numba.  Importing this raises `ImportError` without numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

from ..machine.jit import compiler

_jit = compiler(__file__)


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
    zero = np.uint64(0)
    for cell in range(found.shape[0]):
        c1 = c2 = c3 = c4 = c5 = c6 = c7 = zero
        c8 = c9 = c10 = c11 = c12 = c13 = c14 = c15 = zero
        # Slices have no negative indices, which would keep loops from being vectorized.
        first = cell * words
        end = min(first + words, len(a_basis))
        ps, qs, rs_, ss = a_basis[first:end], a_bit[first:end], b_basis[first:end], b_bit[first:end]
        for i in range(len(ps)):
            p, q, r, s = ps[i], qs[i], rs_[i], ss[i]
            rs = r & s
            pq = p & q
            c1 += _ones(s)
            c2 += _ones(r)
            c3 += _ones(rs)
            c4 += _ones(q)
            c5 += _ones(q & s)
            c6 += _ones(q & r)
            c7 += _ones(q & rs)
            c8 += _ones(p)
            c9 += _ones(p & s)
            c10 += _ones(p & r)
            c11 += _ones(p & rs)
            c12 += _ones(pq)
            c13 += _ones(pq & s)
            c14 += _ones(pq & r)
            c15 += _ones(pq & rs)
        sums = (
            c1,
            c2,
            c3,
            c4,
            c5,
            c6,
            c7,
            c8,
            c9,
            c10,
            c11,
            c12,
            c13,
            c14,
            c15,
        )
        for number in range(15):
            found[cell, number + 1] += np.int64(sums[number])


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
    c1 = c2 = c3 = c4 = c5 = c8 = c16 = c32 = np.uint64(0)
    one = np.uint64(1)
    for i in range(len(stream) - 1):
        here, there = stream[i], stream[i + 1]
        c1 += _ones(here ^ ((here >> one) | (there << np.uint64(63))))
        c2 += _ones(here ^ ((here >> np.uint64(2)) | (there << np.uint64(62))))
        c3 += _ones(here ^ ((here >> np.uint64(3)) | (there << np.uint64(61))))
        c4 += _ones(here ^ ((here >> np.uint64(4)) | (there << np.uint64(60))))
        c5 += _ones(here ^ ((here >> np.uint64(5)) | (there << np.uint64(59))))
        c8 += _ones(here ^ ((here >> np.uint64(8)) | (there << np.uint64(56))))
        c16 += _ones(here ^ ((here >> np.uint64(16)) | (there << np.uint64(48))))
        c32 += _ones(here ^ ((here >> np.uint64(32)) | (there << np.uint64(32))))
    sums = (
        c1,
        c2,
        c3,
        c4,
        c5,
        c8,
        c16,
        c32,
    )
    for number in range(8):
        found[number] += np.int64(sums[number])
