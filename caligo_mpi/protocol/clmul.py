"""Toeplitz matrices over GF(2) by the instruction that x86 has for products without carries (``pclmulqdq``).

A block of the matrix is halved as Karatsuba's products are: three blocks of half the size stand for four (Fan and
Hasan, IEEE Trans. Comput. 56:224, 2007), down to leaves of so few words that the instruction does the rest, four
products at a time where the CPU can (``vpclmulqdq``).  No number is ever rounded.  Importing this raises
`ImportError` where there is no numba or no such instruction.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.extending import intrinsic
from numpy.typing import NDArray

from ..machine.jit import compiler

U64 = NDArray[np.uint64]

_jit = compiler(__file__)
_settings: Any = numba.config
_has = binding.get_host_cpu_features().get
# Asked to compile for another CPU, LLVM would end the process at this instruction.
_is_host = _settings.CPU_NAME is None and _settings.CPU_FEATURES is None

if not (_is_host and _has("pclmul")):
    raise ImportError("this CPU has no pclmulqdq instruction")

#: Words in a vector, and words in a leaf: one less than its vectors of sums hold.
_WIDTH = 2
if _has("vpclmulqdq") and _has("avx2"):
    _WIDTH = 8 if _has("avx512f") else 4
_LEAF = 31 if _WIDTH == 8 else 15
_SUMS = (_LEAF + 1) // _WIDTH
_INSTRUCTIONS = {
    2: "llvm.x86.pclmulqdq",
    4: "llvm.x86.pclmulqdq.256",
    8: "llvm.x86.pclmulqdq.512",
}

_WORD = ir.IntType(64)
_INT = ir.IntType(32)
_BYTE = ir.IntType(8)
_VECTOR = ir.VectorType(_WORD, _WIDTH)
_MASK = ir.VectorType(_INT, _WIDTH)


def times(
    seed: U64,
    keys: U64,
    down: int,
    size: int,
) -> U64:
    """Products of a Toeplitz matrix of ``down`` × across square blocks with several keys: (keys, ``down``·``size``).

    ``keys`` (keys, across·``size``) and ``seed`` ((across + ``down``)·``size``) are words of 64 bits, the lowest first;
    ``size`` is one of `block_words`.  Bit i of a product is the sum of seed bit i − j + 64·across·``size`` times
    key bit j, over all j.
    """
    rows, words = keys.shape
    across = words // size
    leaves = size // _LEAF
    by_row = keys.reshape(rows, across, leaves, _LEAF)
    by_leaf = by_row.transpose(1, 2, 0, 3)
    flat = np.ascontiguousarray(by_leaf).reshape(-1)
    out = np.zeros(down * rows * size, np.uint64)
    _tiles(seed, flat, out, rows, size)
    by_leaf = out.reshape(down, leaves, rows, _LEAF)
    by_row = by_leaf.transpose(2, 0, 1, 3)
    return np.ascontiguousarray(by_row).reshape(rows, -1)


def block_words(count: int, length: int) -> int:
    """Words along a side of the blocks with which ``length`` × ``count`` bits cost least."""

    def cost(halvings: int) -> int:
        side = 64 * (_LEAF << halvings)
        across = -(-count // side)
        down = -(-length // side)
        products: int = 3**halvings
        return across * down * products

    best = min(range(16), key=cost)
    return _LEAF << best


def _leaf_product(
    context: Any,
    words: Any,
    seed: Any,
    key: Any,
    out: Any,
) -> Any:
    """Intrinsic: words[out:] becomes the product of the leaf at ``seed`` (2·_LEAF words) and the key at ``key``."""

    def code(
        context: Any,
        builder: Any,
        signature: Any,
        args: Any,
    ) -> Any:
        array = context.make_array(signature.args[0])
        base = array(context, builder, args[0]).data
        seeds, keys, outs = (builder.gep(base, [offset]) for offset in args[1:])
        evens, odds = _sums(builder, seeds, keys)
        for i in range(_SUMS):
            after = evens[i + 1] if i + 1 < _SUMS else None
            vector = _fold(builder, evens[i], odds[i], after)
            _store(builder, vector, outs, i)
        return context.get_dummy_value()

    signature = numba.void(
        words,
        numba.uint64,
        numba.uint64,
        numba.uint64,
    )
    return signature, code


def _sums(builder: Any, seeds: Any, keys: Any) -> tuple[list[Any], list[Any]]:
    """The _LEAF + 1 sums of products that the leaf's bits are in, of 128 bits; even and odd ones apart."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, _BYTE])
    multiply = builder.module.declare_intrinsic(_INSTRUCTIONS[_WIDTH], fnty=kind)
    none = ir.Constant(_VECTOR, None)
    evens = [none] * _SUMS
    odds = [none] * _SUMS
    for j in range(_LEAF):
        place = _at(builder, keys, j)
        word = builder.load(place, align=8)
        first = builder.insert_element(none, word, _INT(0))
        everywhere = _shuffled(builder, first, none, [0] * _WIDTH)
        for i in range(_SUMS):
            place = _vector_at(builder, seeds, _LEAF - 1 - j + _WIDTH * i)
            part = builder.load(place, align=8)
            even = builder.call(multiply, [part, everywhere, _BYTE(0)])
            odd = builder.call(multiply, [part, everywhere, _BYTE(1)])
            evens[i] = builder.xor(evens[i], even)
            odds[i] = builder.xor(odds[i], odd)
    return evens, odds


def _fold(
    builder: Any,
    even: Any,
    odd: Any,
    after: Any,
) -> Any:
    """Each sum's upper word xor the next one's lower word; ``after`` are the even sums of the next vector."""
    upper = []
    lower = []
    for pair in range(0, _WIDTH, 2):
        upper += [pair + 1, _WIDTH + pair + 1]
        lower += [_WIDTH + pair, (pair + 2) % _WIDTH]
    highs = _shuffled(builder, even, odd, upper)
    lows = _shuffled(builder, even, odd, lower)
    if after is not None:
        last = [*range(_WIDTH - 1), _WIDTH]
        lows = _shuffled(builder, lows, after, last)
    return builder.xor(highs, lows)


def _store(
    builder: Any,
    vector: Any,
    outs: Any,
    i: int,
) -> None:
    """Write the ``i``-th vector of a leaf; the last one has a word less."""
    first = _WIDTH * i
    if i + 1 < _SUMS:
        place = _vector_at(builder, outs, first)
        builder.store(vector, place, align=8)
        return
    for r in range(_WIDTH - 1):
        word = builder.extract_element(vector, _INT(r))
        place = _at(builder, outs, first + r)
        builder.store(word, place, align=8)


def _at(builder: Any, pointer: Any, offset: int) -> Any:
    return builder.gep(pointer, [_WORD(offset)])


def _vector_at(builder: Any, pointer: Any, offset: int) -> Any:
    place = _at(builder, pointer, offset)
    return builder.bitcast(place, _VECTOR.as_pointer())


def _shuffled(
    builder: Any,
    one: Any,
    other: Any,
    which: list[int],
) -> Any:
    mask = ir.Constant(_MASK, which)
    return builder.shuffle_vector(one, other, mask)


_leaf: Any = intrinsic(_leaf_product)
# Offsets are unsigned: signed ones might count from the end, which keeps loops from being vectorized.
_ONE = np.uint64(1)
_THREE = np.uint64(3)
_LEAF_WORDS = np.uint64(_LEAF)


@_jit("void(uint64[::1], uint64, uint64, uint64, uint64)")
def _add(
    words: Any,
    one: Any,
    other: Any,
    out: Any,
    count: Any,
) -> None:
    for i in range(count):
        words[out + i] = words[one + i] ^ words[other + i]


@_jit("void(uint64[::1], uint64, uint64, UniTuple(uint64, 4))")
def _block(
    words: Any,
    size: Any,
    rows: Any,
    places: Any,
) -> None:
    """The products of one block; ``places`` in ``words`` are where its seed, keys and products begin, and free room.

    Keys and products stand leaf by leaf, in each leaf row by row: so either half of all rows is in one piece.
    """
    seed, keys, out, free = places
    if size == _LEAF_WORDS:
        for row in range(rows):
            skip = row * _LEAF_WORDS
            _leaf(words, seed, keys + skip, out + skip)
        return
    half = size >> _ONE
    part = rows * half
    upper_keys = keys + part
    upper_out = out + part
    differences = free
    mixed = differences + _THREE * half
    middle = mixed + part
    rest = middle + part
    _add(words, seed, seed + half, differences, _THREE * half)
    _add(words, keys, upper_keys, mixed, part)
    _block(words, half, rows, (seed + half, mixed, middle, rest))
    _block(words, half, rows, (differences, upper_keys, out, rest))
    _block(words, half, rows, (differences + half, keys, upper_out, rest))
    _add(words, out, middle, out, part)
    _add(words, upper_out, middle, upper_out, part)


@_jit("void(uint64[::1], uint64[::1], uint64[::1], int64, int64)")
def _tiles(
    seed: Any,
    keys: Any,
    out: Any,
    rows: Any,
    size: Any,
) -> None:
    part = rows * size
    across = len(keys) // part
    down = len(out) // part
    first_key = len(seed)
    first_out = first_key + len(keys)
    free = first_out + part
    room = (3 + 2 * rows) * size  # halves: 3/2 + rows, a quarter, …
    words = np.empty(free + room, np.uint64)
    words[:first_key] = seed
    words[first_key:first_out] = keys
    product = words[first_out:free]
    for i in range(down):
        for j in range(across):
            places = (
                np.uint64((across + i - j - 1) * size),
                np.uint64(first_key + j * part),
                np.uint64(first_out),
                np.uint64(free),
            )
            _block(words, np.uint64(size), np.uint64(rows), places)
            for k in range(part):
                out[i * part + k] ^= product[k]
