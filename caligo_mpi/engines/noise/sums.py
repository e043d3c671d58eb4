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
    all_notes = notes.reshape(-1, _LANES)
    _put_together(all_notes, sums)
    state = sums.tolist()
    keys = _keys(_MERGING)
    columns, stretches, _ = notes.shape
    length = columns * stretches * 8 * STRETCH
    result: int = length * _PRIME64[0]
    mixed = [word ^ key for word, key in zip(state, keys, strict=True)]
    for lane in range(0, _LANES, 2):
        product = mixed[lane] * mixed[lane + 1]
        low = product & _FULL
        high = product >> 64
        result += low ^ high
    result &= _FULL
    result ^= result >> 37
    result = result * _AVALANCHE & _FULL
    return result ^ (result >> 32)


def _keys(start: int) -> list[int]:
    """Eight words of the secret, from a byte on."""
    found: list[int] = np.frombuffer(_SECRET, np.uint64, _LANES, start).tolist()
    return found


# ── compiled ─────────────────────────────────────────────────────────────────────────────────────

_jit = compiler(__file__)
_alloca: Any = cgutils.alloca_once
_INT64 = ir.IntType(64)
_VECTOR = ir.VectorType(_INT64, _LANES)
_HALVES = ir.VectorType(ir.IntType(32), _LANES)
_SWAPPED = ir.Constant(_HALVES, [1, 0, 3, 2, 5, 4, 7, 6])


def _all(word: int) -> Any:
    return ir.Constant(_VECTOR, [word] * _LANES)


def _key(start: int) -> Any:
    return ir.Constant(_VECTOR, _keys(start))


def _vectors(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """An array's memory as vectors of eight words."""
    make = context.make_array(array_type)
    data = make(context, builder, array).data
    return builder.bitcast(data, _VECTOR.as_pointer())


def _load(builder: Any, vectors: Any, number: Any) -> Any:
    place = builder.gep(vectors, [number])
    return builder.load(place, align=8)


def _noting(starts: Sequence[int], *, adds: bool) -> Any:
    """A function of (column, word, notes, row): it fills the note, or adds to it."""

    def typed(
        context: Any,
        column: Any,
        at: Any,
        notes: Any,
        row: Any,
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            column_begin = _vectors(context, builder, kinds[0], args[0])
            vector = builder.lshr(args[1], _INT64(3))
            source = builder.gep(column_begin, [vector])
            notes_begin = _vectors(context, builder, kinds[2], args[2])
            target = builder.gep(notes_begin, [args[3]])
            total = _load(builder, target, _INT64(0)) if adds else _all(0)
            for number, start in enumerate(starts):
                value = _load(builder, source, _INT64(number))
                mixed = builder.xor(value, _key(start))
                low = builder.and_(mixed, _all(0xFFFFFFFF))
                high = builder.lshr(mixed, _all(32))
                product = builder.mul(low, high)
                swapped = builder.shuffle_vector(value, value, _SWAPPED)
                total = builder.add(total, product)
                total = builder.add(total, swapped)
            builder.store(total, target, align=8)
            return context.get_dummy_value()

        taken = numba.void(column, numba.int64, notes, numba.int64)
        return taken, code

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
        kinds = signature.args
        source = _vectors(context, builder, kinds[0], args[0])
        target = _vectors(context, builder, kinds[2], args[2])
        last = args[1]
        slot = _alloca(builder, _VECTOR)
        begin = _load(builder, target, _INT64(0))
        builder.store(begin, slot)
        with cgutils.for_range(builder, last) as loop:
            total = builder.load(slot)
            note = _load(builder, source, loop.index)
            total = builder.add(total, note)
            high = builder.lshr(total, _all(47))
            total = builder.xor(total, high)
            total = builder.xor(total, _key(_SCRAMBLING))
            total = builder.mul(total, _all(_PRIME32[0]))
            builder.store(total, slot)
        total = builder.load(slot)
        note = _load(builder, source, last)
        total = builder.add(total, note)
        builder.store(total, target, align=8)
        return context.get_dummy_value()

    return numba.void(notes, numba.int64, sums), code


_scramble: Any = intrinsic(_scrambling)


@_jit("void(uint64[:,::1], uint64[::1])")
def _put_together(notes: Any, sums: Any) -> None:
    """Add each note to the sums, and scramble them after each but the last."""
    _scramble(notes, len(notes) - 1, sums)
