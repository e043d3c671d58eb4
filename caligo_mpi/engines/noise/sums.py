"""The checksum of four columns, XXH3-64, made while their blocks are still in cache.

XXH3 adds what each 64 bytes of its input give to eight numbers, and scrambles these after every 1024 bytes.  What 1024
bytes add does not depend on what stands before them.  So it is noted as blocks of all four columns are drawn, 64 bytes
for 1024, and put together when the last one is there: by then the columns themselves need not be anywhere.
Source: the long form of XXH3 in xxHash's specification, with its standard secret.

Importing this compiles, or loads what was kept, and raises `ImportError` without numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...machine.jit import compiler, helper

#: Words that are scrambled at once: columns of other lengths are summed otherwise.
STRETCH = 128
_HALF = 64  # words that are noted at once: blocks of all draws are multiples of it
_LANES = 8  # words that are read at once

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
# Where in the secret the keys of a half's eight reads begin; the very last read has one of its own.
_LOWER, _UPPER = range(0, 64, 8), range(64, 128, 8)
_LAST = (*_UPPER[:-1], 121)
_SCRAMBLING, _MERGING = 128, 11
_PRIME32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
    0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip
_BEGIN = (_PRIME32[2], *_PRIME64[:4], _PRIME32[1], _PRIME64[4], _PRIME32[0])
_AVALANCHE = 0x165667919E3779F9
_FULL = (1 << 64) - 1


def digest(notes: NDArray[np.uint64]) -> int:
    """XXH3-64 of the columns whose notes these are: of shape (4, stretches, 8), all of them filled."""
    sums = np.array(_BEGIN, np.uint64)
    _put_together(notes.reshape(-1, _LANES), sums)
    state, keys = sums.tolist(), _keys(_MERGING)
    result: int = notes.shape[0] * notes.shape[1] * 8 * STRETCH * _PRIME64[0]
    for lane in range(0, _LANES, 2):
        product = (state[lane] ^ keys[lane]) * (state[lane + 1] ^ keys[lane + 1])
        result += (product & _FULL) ^ (product >> 64)
    result &= _FULL
    result = (result ^ (result >> 37)) * _AVALANCHE & _FULL
    return result ^ (result >> 32)


def _keys(start: int) -> list[int]:
    """Eight words of the secret, from a byte on."""
    found: list[int] = np.frombuffer(_SECRET, np.uint64, _LANES, start).tolist()
    return found


# ── compiled ─────────────────────────────────────────────────────────────────────────────────────

_jit = compiler(__file__)
_alloca: Any = cgutils.alloca_once
_VECTOR = ir.VectorType(ir.IntType(64), _LANES)
_SWAPPED = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [1, 0, 3, 2, 5, 4, 7, 6])


def _all(word: int) -> Any:
    return ir.Constant(_VECTOR, [word] * _LANES)


def _vectors(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """An array's memory as vectors of eight words."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(data, _VECTOR.as_pointer())


def _load(builder: Any, vectors: Any, number: Any) -> Any:
    return builder.load(builder.gep(vectors, [number]), align=8)


def _noting(starts: Sequence[int], *, adds: bool) -> Any:
    """A function of (column, word, notes, row): it fills the note, or adds to it."""

    def typed(context: Any, column: Any, at: Any, notes: Any, row: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            source = _vectors(context, builder, kinds[0], args[0])
            source = builder.gep(source, [builder.lshr(args[1], ir.IntType(64)(3))])
            target = _vectors(context, builder, kinds[2], args[2])
            target = builder.gep(target, [args[3]])
            total = _load(builder, target, ir.IntType(64)(0)) if adds else _all(0)
            for number, start in enumerate(starts):
                value = _load(builder, source, ir.IntType(64)(number))
                mixed = builder.xor(value, ir.Constant(_VECTOR, _keys(start)))
                low = builder.and_(mixed, _all(0xFFFFFFFF))
                product = builder.mul(low, builder.lshr(mixed, _all(32)))
                swapped = builder.shuffle_vector(value, value, _SWAPPED)
                total = builder.add(builder.add(total, product), swapped)
            builder.store(total, target, align=8)
            return context.get_dummy_value()

        return numba.void(column, numba.int64, notes, numba.int64), code

    return intrinsic(typed)


_note_lower: Any = _noting(_LOWER, adds=False)
_note_upper: Any = _noting(_UPPER, adds=True)
_note_last: Any = _noting(_LAST, adds=True)


@helper
def note(column: Any, first: Any, notes: Any, is_last: Any) -> None:
    """Note the words of a column from its word ``first`` on; ``is_last`` where they end all columns."""
    begin = first // _HALF
    end = begin + len(column) // _HALF
    for half in range(begin, end):
        at = _HALF * (half - begin)
        row = half >> 1
        if not half & 1:
            _note_lower(column, at, notes, row)
        elif is_last and half == end - 1:
            _note_last(column, at, notes, row)
        else:
            _note_upper(column, at, notes, row)


def _scrambling(context: Any, notes: Any, count: Any, sums: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _vectors(context, builder, signature.args[0], args[0])
        target = _vectors(context, builder, signature.args[2], args[2])
        zero = ir.IntType(64)(0)
        slot = _alloca(builder, _VECTOR)
        builder.store(_load(builder, target, zero), slot)
        with cgutils.for_range(builder, args[1]) as loop:
            total = builder.add(builder.load(slot), _load(builder, source, loop.index))
            total = builder.xor(total, builder.lshr(total, _all(47)))
            total = builder.xor(total, ir.Constant(_VECTOR, _keys(_SCRAMBLING)))
            builder.store(builder.mul(total, _all(_PRIME32[0])), slot)
        total = builder.add(builder.load(slot), _load(builder, source, args[1]))
        builder.store(total, target, align=8)
        return context.get_dummy_value()

    return numba.void(notes, numba.int64, sums), code


_scramble: Any = intrinsic(_scrambling)


@_jit("void(uint64[:,::1], uint64[::1])")
def _put_together(notes: Any, sums: Any) -> None:
    """Add each note to the sums, and scramble them after each but the last."""
    _scramble(notes, len(notes) - 1, sums)
