"""Privacy amplification: a random Toeplitz matrix times the keys of both parties.

With numba, on a CPU that multiplies without carries, `clmul` does it on packed words.  Else it is done by fast
Fourier transforms, with the same bits: one of the seed, one of the keys, one back.  Numbers have room for the bits of
two: both parties', whose sums then take the low bits and those above; or, where both hold the same, its halves'.
"""

from __future__ import annotations

from functools import cache, lru_cache, partial
from math import ceil, sqrt
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8, require_bits

#: A product is rounded to the nearest integer.  Bounded to be off by less than this, it is found for certain.
MAX_ROUNDING = 0.25

F64 = NDArray[np.float64]
C128 = NDArray[np.complex128]

#: For fewer bits compiled code is not even loaded: that takes half a second.
_COMPILE_BITS = 400_000

#: Numbers that are transformed along the rows together: half a second level cache.
_CACHED = 1 << 15

#: Roots next to 1 that are computed one by one; those between are products of two.
_FINE = 1 << 11

#: From numpy 2 on the result of a transform may take the place of what is transformed.
_IN_PLACE = int(np.__version__.split(".")[0]) >= 2


def seed_bits(count: int, length: int) -> int:
    """Public random bits that define a ``length`` × ``count`` Toeplitz matrix."""
    return count + length - 1


def amplify(keys: U8, seed: U8, length: int) -> U8:
    """``length`` bits y of a key x: ``y_i = Σ_j s_(i−j+n−1) x_j mod 2``; all arrays uint8 of 0 and 1.

    ``keys`` is one key (n,) or several (keys, n), hashed alike: the result is (``length``,) or (keys, ``length``).
    ``seed`` s has n + ``length`` − 1 bits.  Toeplitz matrices are 2-universal (Krawczyk, EUROCRYPT '95),
    which is what the leftover hash lemma asks for.

    >>> amplify(np.array([1, 0, 1], np.uint8), np.array([1, 1, 0, 1], np.uint8), 2).tolist()
    [1, 0]
    """
    *several, count = keys.shape
    given = len(seed)
    needed = seed_bits(count, length)
    if given != needed:
        raise ValueError(f"seed of {given} bits; {count} key bits to {length} take {needed}")
    require_bits(keys=keys, seed=seed)
    if not count or not length:
        return np.zeros((*several, length), np.uint8)
    rows = keys.reshape(-1, count)
    clmul = _clmul() if rows.size >= _COMPILE_BITS else None
    way = _by_transforms if clmul is None else partial(_by_words, clmul)
    are_equal = bool((rows[1:] == rows[0]).all())
    products = way(rows[:1] if are_equal else rows, seed, length)
    if are_equal:
        products = np.repeat(products, len(rows), axis=0)
    return products.reshape(*several, length)


@cache
def _clmul() -> ModuleType | None:
    """The compiled way, where numba is installed and the CPU is made for it."""
    try:
        from . import clmul
    except ImportError:
        return None
    return clmul


def _by_words(
    clmul: ModuleType,
    rows: U8,
    seed: U8,
    length: int,
) -> U8:
    """The products of packed words."""
    keys, count = rows.shape
    size = clmul.block_words(count, length)
    side = 64 * size
    across = _ceil_div(count, side)
    down = _ceil_div(length, side)
    seeds = _in_blocks(seed, count, across, down, side)
    padded = np.zeros((keys, across * side), np.uint8)
    padded[:, :count] = rows
    products = clmul.times(
        _packed(seeds.ravel()),
        _packed(padded),
        down,
        size,
    )
    bits: U8 = products.view(np.uint8)
    return np.unpackbits(
        bits,
        axis=1,
        count=length,
        bitorder="little",
    )


def _in_blocks(
    seed: U8,
    count: int,
    across: int,
    down: int,
    side: int,
) -> U8:
    """The seed of a matrix of ``across`` × ``down`` blocks: (across + down, side), zeros around it."""
    blocks = np.zeros((across + down, side), np.uint8)
    first = across * side - count + 1
    flat = blocks.reshape(-1)
    flat[first : first + len(seed)] = seed
    return blocks


def _packed(bits: U8) -> NDArray[np.uint64]:
    """Words of 64 bits each along the last axis, on a machine whose low bytes come first, as x86's do."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return packed.view(np.uint64)


def _by_transforms(rows: U8, seed: U8, length: int) -> U8:
    """The products by Fourier transforms, of two keys at a time, or of one's halves, where that is exact."""
    if len(rows) == 1:
        product = _by_halves(rows[0], seed, length)
        if product is not None:
            return product[None]
    matrix = _Matrix(seed, rows.shape[1], length)
    together = 2 if matrix.exact(rows[:2]) else 1
    parts = []
    for first in range(0, len(rows), together):
        some = rows[first : first + together]
        parts.append(matrix.times(some))
    return np.concatenate(parts)


def _by_halves(key: U8, seed: U8, length: int) -> U8 | None:
    """The product of one key; ``None`` where it would not be exact.

    The matrix is two side by side, T0 and T1, of seeds s0 and s1, for the key's halves x0 and x1.  With a power of
    two M above what is counted, (s1 + s0/M)(x1 + M·x0) = (s0·x0 + s1·x1) + s0·x1/M + M·s1·x0: the first of the
    three is what is looked for, the second is less than one half, the third is even.
    """
    count = len(key)
    half = _ceil_div(count, 2)
    short = 2 * half - count  # as if a key of odd length had another bit, 0
    reach = seed_bits(half, length)
    scale = 2.0 ** (2 * half).bit_length()
    first, second = key[:half], key[half:]
    upper, lower = seed[half - short :], seed[: reach - short]
    of_seed = sqrt(_ones(lower)) + sqrt(_ones(upper)) / scale
    of_key = sqrt(_ones(second)) + sqrt(_ones(first)) * scale
    if _error(half, length, of_seed * of_key) >= MAX_ROUNDING:
        return None
    numbers = np.multiply(upper, 1 / scale)
    numbers[short:] += lower
    halves = np.multiply(first, scale)
    halves[: len(second)] += second
    sums = _Sums(numbers, half, length).of(halves)
    sums += MAX_ROUNDING  # so that the next integer below is the one meant
    whole = sums.astype(np.int64)
    whole &= 1
    return whole.astype(np.uint8)


class _Matrix:
    """A Toeplitz matrix, to be multiplied by one key or by two at once."""

    def __init__(self, seed: U8, count: int, length: int) -> None:
        self.count = count
        self.length = length
        self.ones = _ones(seed)
        self._sums = _Sums(seed, count, length)

    def exact(self, rows: U8) -> bool:
        """Whether the sums of these keys, all in one number, are found for certain."""
        weight = 0.0
        for number, row in enumerate(rows):
            weight += sqrt(_ones(row)) * 2.0 ** (number * self._shift)
        return _error(self.count, self.length, weight * sqrt(self.ones)) < MAX_ROUNDING

    def times(self, rows: U8) -> U8:
        """The matrix times one or two keys, modulo 2."""
        if not self.exact(rows):
            raise ArithmeticError(f"Fourier transforms of {self.count} key bits cannot be exact")
        numbers = np.zeros(self.count)
        for row in rows[::-1]:
            numbers *= 2.0**self._shift
            numbers += row
        sums = self._sums.of(numbers)
        np.rint(sums, out=sums)
        whole = sums.astype(np.int64)
        out = np.empty((len(rows), self.length), np.uint8)
        for key in out:
            key[:] = whole & 1
            whole >>= self._shift
        return out

    @property
    def _shift(self) -> int:
        return self.count.bit_length()


def _ones(bits: U8) -> int:
    return int(np.count_nonzero(bits.view(bool)))


def _error(count: int, length: int, norms: float) -> float:
    """The most by which `_Sums` of this size are off, by the product of both factors' norms.

    The error of a product of two polynomials is at most their norms' product times that of each step of the
    transforms (Brent, Percival and Zimmermann, Math. Comp. 76:1469, 2007, theorem 5.1, with roots good to 2 ulp;
    the twists' are good to 12 in 2^-53).
    """
    height, width = _shape(count, length)
    steps = 16 * (height * width).bit_length() + 112
    return steps * 2.0**-53 * norms


class _Sums:
    """Σ_j s_(i−j+n−1) x_j, i < ``length``, of real numbers: s (n + ``length`` − 1), known by its transform, and x (n).

    As polynomials in t, s and x are multiplied mod t^(2N) + 1, long enough that nothing wraps around into
    these sums.  That ring is, for real s and x, the one mod t^N − i, where s is the N complex numbers
    s_j + i·s_(j+N); and t = ω·u, ω^N = i, turns that product into a cyclic one.  A transform of N = N1·N2 numbers is
    one along the columns of (N1, N2), a twist, and one along the rows: no step leaves the caches for long.  The
    numbers stay in the order that this gives; the way back undoes it.
    """

    def __init__(self, s: NDArray[Any], count: int, length: int) -> None:
        self.count = count
        self.length = length
        self.shape = _shape(count, length)
        self.turn, self.twist = _roots(*self.shape)
        self.spectrum = self._columns(s)
        for part in self._parts():
            self._rows(self.spectrum[part], self.twist[part])

    def of(self, x: F64) -> F64:
        """The sums for these numbers."""
        products = self._columns(x)
        for part in self._parts():
            some, twist = products[part], self.twist[part]
            self._rows(some, twist)
            some *= self.spectrum[part]
            _transform(np.fft.ifft, some, 1)
            some *= twist.conj()
        _transform(np.fft.ifft, products, 0)
        products *= self.turn.conj()
        flat = products.reshape(-1)
        first = self.count - 1
        low = flat.real[first : first + self.length]
        rest = max(0, first - len(flat))
        high = flat.imag[rest : rest + self.length - len(low)]
        return np.concatenate([low, high])

    def _columns(self, numbers: NDArray[Any]) -> C128:
        """The numbers in the ring, transformed along the columns."""
        values = np.zeros(self.shape, np.complex128)
        flat = values.reshape(-1)
        size = len(flat)
        low, high = numbers[:size], numbers[size:]
        flat.real[: len(low)] = low
        flat.imag[: len(high)] = high
        values *= self.turn
        _transform(np.fft.fft, values, 0)
        return values

    def _rows(self, some: C128, twist: C128) -> None:
        """Transform some rows to the end."""
        some *= twist
        _transform(np.fft.fft, some, 1)

    def _parts(self) -> list[slice]:
        """Rows to handle together: as many as the caches hold."""
        height, width = self.shape
        step = max(1, _CACHED // width)
        return [slice(first, first + step) for first in range(0, height, step)]


def _transform(way: Any, values: C128, axis: int) -> None:
    """Put the transforms of ``values`` along an axis in their place."""
    if _IN_PLACE:
        way(values, axis=axis, out=values)
    else:
        values[:] = way(values, axis=axis)


def _ceil_div(number: int, by: int) -> int:
    return -(-number // by)


def _shape(count: int, length: int) -> tuple[int, int]:
    """Rows and columns, about as many, of the complex numbers to transform.

    Both are numbers without prime factors above 5, for quick transforms, and few, so that keys of about the same
    length share their roots.
    """
    least = _ceil_div(seed_bits(count, length), 2)
    width = _smooth(ceil(sqrt(least)))
    return _smooth(_ceil_div(least, width)), width


def _smooth(least: int) -> int:
    """The next number without prime factors above 5."""
    size = max(1, least)
    while not _is_smooth(size):
        size += 1
    return size


def _is_smooth(size: int) -> bool:
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    return size == 1


@lru_cache(maxsize=2)
def _roots(height: int, width: int) -> tuple[C128, C128]:
    """What rows (height, 1) are multiplied by before, and numbers (height, width) between the two transforms.

    ω^(j·width + k), ω^N = i, is cut in two: the part of k is the same for a whole column, so it may come later.
    """
    row = np.arange(height)[:, None]
    column = np.arange(width)
    turn = _powers(height, row)
    size = height * width
    # In quarters of the N-th part of a circle; the exponential of each would take several times as long.
    quarters = column - 4 * row * column
    quarters %= 4 * size
    few = np.arange(min(_FINE, 4 * size))
    many = np.arange(0, 4 * size, _FINE)
    fine = _powers(size, few)
    twist = _powers(size, many)[quarters // _FINE]
    twist *= fine[quarters % _FINE]
    return turn, twist


def _powers(size: int, numbers: NDArray[np.int64]) -> C128:
    """Powers of ω, ω^size = i, good to 4 in 2^-53: turns by quarters are exact."""
    quarters, rest = np.divmod(numbers, size)
    powers: C128 = np.exp(0.5j * np.pi / size * rest)
    powers *= np.array([1, 1j, -1, -1j])[quarters]
    return powers
