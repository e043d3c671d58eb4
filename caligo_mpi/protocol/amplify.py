"""Privacy amplification: a random Toeplitz matrix times the keys of both parties.

With numba, on a CPU that multiplies without carries, `clmul` does it on packed words.  Else it is done by fast
Fourier transforms, with the same bits.  The matrix is then cut into square blocks; those along a diagonal are
equal, so there are as many transforms of blocks as there are diagonals, and few others.  Both parties'
bits share a number: the one's sums take its low bits, the other's the bits above.
"""

from __future__ import annotations

from functools import cache, lru_cache, partial
from math import sqrt
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8, require_bits

#: A product is rounded to the nearest integer.  Bounded to be off by less than this, it is found for certain.
MAX_ROUNDING = 0.25

C128 = NDArray[np.complex128]
F64 = NDArray[np.float64]

#: For fewer bits compiled code is not even loaded: that takes half a second.
_COMPILE_BITS = 400_000

#: Blocks across: with fewer there are more points to transform in all, with many more the products outweigh that.
_FEWEST, _MOST = 4, 16
#: Points of a transform: longer ones leave the caches.
_CACHED = 1 << 19

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
    products = way(rows, seed, length)
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
    """The products by Fourier transforms, of two keys at a time where that is exact."""
    matrix = _Blocks(seed, rows.shape[1], length)
    together = 2 if matrix.exact(rows[:2]) else 1
    parts = []
    for first in range(0, len(rows), together):
        some = rows[first : first + together]
        parts.append(matrix.times(some))
    return np.concatenate(parts)


class _Blocks:
    """A Toeplitz matrix as square blocks of ``size`` bits, each known by its diagonal's transform.

    A block takes 2·``size`` seed bits a; its product with bits x is the upper half of a·x mod t^(2·size) + 1 as
    polynomials in t.  That ring is, for real a and x, the one mod t^size − i, where a is ``size``
    complex numbers a_j + i·a_(j+size); and t = ω·u, ω^size = i, turns that product into a cyclic one, whose imaginary
    part (after turning back) is the upper half.
    """

    def __init__(self, seed: U8, count: int, length: int) -> None:
        self.count = count
        self.length = length
        wanted = _ceil_div(count, _CACHED)
        blocks = min(max(wanted, _FEWEST), _MOST)
        self.size = _smooth(_ceil_div(count, blocks))
        self.across = _ceil_div(count, self.size)
        self.down = _ceil_div(length, self.size)
        self.turn = _roots(self.size)
        self.ones = int(np.count_nonzero(seed))
        bits = _in_blocks(seed, count, self.across, self.down, self.size)
        self.spectra = np.empty((len(bits) - 1, self.size), np.complex128)
        for i, spectrum in enumerate(self.spectra):
            spectrum.real = bits[i]
            spectrum.imag = bits[i + 1]
            spectrum *= self.turn
            _transform(np.fft.fft, spectrum)

    def exact(self, rows: U8) -> bool:
        """Whether the sums of these keys, all in one number, are found for certain.

        The error of a product of two polynomials is at most their norms' product times that of each step of the
        transforms (Brent, Percival and Zimmermann, Math. Comp. 76:1469, 2007, theorem 5.1, with roots good to 2 ulp).
        """
        ones = np.count_nonzero(rows, axis=1)
        shifts = self._shift * np.arange(len(rows))
        weights = np.sqrt(ones) * 2.0**shifts
        weight = float(weights.sum())
        steps = 16 * self.size.bit_length() + self.across + 32
        error = steps * 2.0**-53 * weight * sqrt(2 * self.ones)
        return error < MAX_ROUNDING

    def times(self, rows: U8) -> U8:
        """The matrix times one or two keys, modulo 2."""
        if not self.exact(rows):
            raise ArithmeticError(f"Fourier transforms of {self.count} key bits cannot be exact")
        keys = len(rows)
        spectra = self._transforms(rows)
        out = np.empty((keys, self.down, self.size), np.uint8)
        for row in range(self.down):
            sums = self._sums(spectra, row)
            for key in range(keys):
                out[key, row] = sums & 1
                sums >>= self._shift
        joined = out.reshape(keys, -1)
        return joined[:, : self.length]

    def _transforms(self, rows: U8) -> C128:
        """Transforms of the keys' numbers, a block each, the last block first."""
        padded = np.zeros(self.across * self.size)
        numbers = padded[: self.count]
        for row in rows[::-1]:
            numbers *= 2.0**self._shift
            numbers += row
        blocks = padded.reshape(-1, self.size)
        spectra = np.empty((self.across, self.size), np.complex128)
        for spectrum, block in zip(spectra, blocks[::-1], strict=True):
            np.multiply(block, self.turn.real, out=spectrum.real)
            np.multiply(block, self.turn.imag, out=spectrum.imag)
            _transform(np.fft.fft, spectrum)
        return spectra

    def _sums(self, spectra: C128, row: int) -> NDArray[np.int64]:
        """What the keys' numbers add up to in one row of blocks."""
        diagonals = self.spectra[row : row + self.across]
        products = np.einsum("bf,bf->f", spectra, diagonals)
        _transform(np.fft.ifft, products)
        upper: F64 = products.imag * self.turn.real
        products.real *= self.turn.imag
        upper -= products.real
        np.rint(upper, out=upper)
        return upper.astype(np.int64)

    @property
    def _shift(self) -> int:
        return self.count.bit_length()


def _transform(way: Any, values: C128) -> None:
    """Put the transform of ``values`` in their place."""
    if _IN_PLACE:
        way(values, out=values)
    else:
        values[:] = way(values)


def _ceil_div(number: int, by: int) -> int:
    return -(-number // by)


def _smooth(least: int) -> int:
    """The next number without prime factors above 5: transforms of such a length are quick."""
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
def _roots(size: int) -> C128:
    """ω^j, j < ``size``: unit complex numbers, ω^size = i."""
    places = np.arange(size)
    roots: C128 = np.exp(0.5j * np.pi / size * places)
    return roots
