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
_INSTRUCTION = {2: "", 4: ".256", 8: ".512"}[_WIDTH]

_WORD, _INT, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_VECTOR = ir.VectorType(_WORD, _WIDTH)
_MASK = ir.VectorType(_INT, _WIDTH)


def times(seed: U64, keys: U64, down: int, size: int) -> U64:
    """Products of a Toeplitz matrix of ``down`` × across square blocks with several keys: (keys, ``down``·``size``).

    ``keys`` (keys, across·``size``) and ``seed`` ((across + ``down``)·``size``) are words of 64 bits, the lowest first;
    ``size`` is one of `block_words`.  Bit i of a product is the sum of seed bit i − j + 64·across·``size`` times
    key bit j, over all j.
    """
    rows, words = keys.shape
    across, leaves = words // size, size // _LEAF
    mixed = keys.reshape(rows, across, leaves, _LEAF).transpose(1, 2, 0, 3)
    flat = np.ascontiguousarray(mixed).reshape(-1)
    out = np.zeros(down * rows * size, np.uint64)
    _tiles(seed, flat, out, rows, size)
    unmixed = out.reshape(down, leaves, rows, _LEAF).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(unmixed).reshape(rows, -1)


def block_words(count: int, length: int) -> int:
    """Words along a side of the blocks with which ``length`` × ``count`` bits cost least."""

    def cost(halvings: int) -> int:
        side = 64 * (_LEAF << halvings)
        blocks = -(-count // side) * -(-length // side)
        return int(blocks * 3**halvings)

    return _LEAF << min(range(16), key=cost)


def _leaf_product(context: Any, words: Any, seed: Any, key: Any, out: Any) -> Any:
    """Intrinsic: words[out:] becomes the product of the leaf at ``seed`` (2·_LEAF words) and the key at ``key``."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        seeds, keys, outs = (builder.gep(base, [offset]) for offset in args[1:])
        sums = _sums(builder, seeds, keys)
        for i in range(_SUMS):
            carried = sums[i + 1][0] if i + 1 < _SUMS else None
            even, odd = sums[i]
            _store(builder, _fold(builder, even, odd, carried), outs, i)
        return context.get_dummy_value()

    return numba.void(words, numba.uint64, numba.uint64, numba.uint64), code


def _sums(builder: Any, seeds: Any, keys: Any) -> list[list[Any]]:
    """The _LEAF + 1 sums of products that the leaf's bits are in, of 128 bits; even and odd ones apart."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, _BYTE])
    multiply = builder.module.declare_intrinsic("llvm.x86.pclmulqdq" + _INSTRUCTION, fnty=kind)
    none = ir.Constant(_VECTOR, None)
    sums = [[none, none] for _ in range(_SUMS)]
    for j in range(_LEAF):
        word = builder.load(_at(builder, keys, j), align=8)
        first = builder.insert_element(none, word, _INT(0))
        everywhere = builder.shuffle_vector(first, none, ir.Constant(_MASK, [0] * _WIDTH))
        for i in range(_SUMS):
            place = _at(builder, seeds, _LEAF - 1 - j + _WIDTH * i)
            part = builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=8)
            for odd in (0, 1):
                product = builder.call(multiply, [part, everywhere, _BYTE(odd)])
                sums[i][odd] = builder.xor(sums[i][odd], product)
    return sums


def _fold(builder: Any, even: Any, odd: Any, after: Any) -> Any:
    """Each sum's upper word xor the next one's lower word; ``after`` are the even sums of the next vector."""
    upper = [_WIDTH + r if r % 2 else r + 1 for r in range(_WIDTH)]
    lower = [(r + 1) % _WIDTH if r % 2 else _WIDTH + r for r in range(_WIDTH)]
    highs = builder.shuffle_vector(even, odd, ir.Constant(_MASK, upper))
    lows = builder.shuffle_vector(even, odd, ir.Constant(_MASK, lower))
    if after is not None:
        last = [*range(_WIDTH - 1), _WIDTH]
        lows = builder.shuffle_vector(lows, after, ir.Constant(_MASK, last))
    return builder.xor(highs, lows)


def _store(builder: Any, vector: Any, outs: Any, i: int) -> None:
    """Write the ``i``-th vector of a leaf; the last one has a word less."""
    if i + 1 < _SUMS:
        place = builder.bitcast(_at(builder, outs, _WIDTH * i), _VECTOR.as_pointer())
        builder.store(vector, place, align=8)
        return
    for r in range(_WIDTH - 1):
        word = builder.extract_element(vector, _INT(r))
        builder.store(word, _at(builder, outs, _WIDTH * i + r), align=8)


def _at(builder: Any, pointer: Any, offset: int) -> Any:
    return builder.gep(pointer, [_WORD(offset)])


_leaf: Any = intrinsic(_leaf_product)
# Offsets are unsigned: signed ones might count from the end, which keeps loops from being vectorized.
_ONE, _THREE, _LEAF_WORDS = np.uint64(1), np.uint64(3), np.uint64(_LEAF)


@_jit("void(uint64[::1], uint64, uint64, uint64, uint64)")
def _add(words: Any, one: Any, other: Any, out: Any, count: Any) -> None:
    for i in range(count):
        words[out + i] = words[one + i] ^ words[other + i]


@_jit("void(uint64[::1], uint64, uint64, uint64, uint64, uint64, uint64)")
def _block(words: Any, size: Any, rows: Any, seed: Any, keys: Any, out: Any, free: Any) -> None:
    """The products of one block, all at offsets into ``words``; from ``free`` on there is room.

    Keys and products stand leaf by leaf, in each leaf row by row: so either half of all rows is in one piece.
    """
    if size == _LEAF_WORDS:
        for row in range(rows):
            skip = row * _LEAF_WORDS
            _leaf(words, seed, keys + skip, out + skip)
        return
    half = size >> _ONE
    part = rows * half
    differences, mixed = free, free + _THREE * half
    middle = mixed + part
    rest = middle + part
    _add(words, seed, seed + half, differences, _THREE * half)
    _add(words, keys, keys + part, mixed, part)
    _block(words, half, rows, seed + half, mixed, middle, rest)
    _block(words, half, rows, differences, keys + part, out, rest)
    _block(words, half, rows, differences + half, keys, out + part, rest)
    _add(words, out, middle, out, part)
    _add(words, out + part, middle, out + part, part)


@_jit("void(uint64[::1], uint64[::1], uint64[::1], int64, int64)")
def _tiles(seed: Any, keys: Any, out: Any, rows: Any, size: Any) -> None:
    part = rows * size
    across, down = len(keys) // part, len(out) // part
    first_key, first_out = len(seed), len(seed) + len(keys)
    free = first_out + part
    words = np.empty(free + (3 + 2 * rows) * size, np.uint64)  # halves: 3/2 + rows, a quarter, …
    words[:first_key] = seed
    words[first_key:first_out] = keys
    for i in range(down):
        for j in range(across):
            _block(
                words,
                np.uint64(size),
                np.uint64(rows),
                np.uint64((across + i - j - 1) * size),
                np.uint64(first_key + j * part),
                np.uint64(first_out),
                np.uint64(free),
            )
            product = words[first_out:free]
            for k in range(part):
                out[i * part + k] ^= product[k]
