"""Privacy amplification: a random Toeplitz matrix times the keys of both parties.

With numba, on a CPU that multiplies without carries, `clmul` does it on packed words.  Else it is done by fast
Fourier transforms, with the same bits.  The matrix is then cut into square blocks; those along a diagonal are
equal, so there are as many transforms of blocks as there are diagonals, and each fits in a cache.  Both parties'
bits share a number: the one's sums take its low bits, the other's the bits above.
"""

from __future__ import annotations

from functools import cache, lru_cache, partial
from math import sqrt
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8, require_bits

#: A product is rounded to the nearest integer.  Bounded to be off by less than this, it is found for certain.
MAX_ROUNDING = 0.25

C128 = NDArray[np.complex128]
F64 = NDArray[np.float64]

#: For fewer bits compiled code is not even loaded: that takes half a second.
_COMPILE_BITS = 400_000

# Transforms leave the cache beyond _CACHED points; beyond _MOST blocks their products outweigh the transforms.
_CACHED, _MOST = 1 << 16, 16


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
    count = keys.shape[-1]
    if len(seed) != seed_bits(count, length):
        raise ValueError(
            f"seed of {len(seed)} bits; {count} key bits to {length} take {seed_bits(count, length)}"
        )
    require_bits(keys=keys, seed=seed)
    if not count or not length:
        return np.zeros((*keys.shape[:-1], length), np.uint8)
    rows = keys.reshape(-1, count)
    clmul = _clmul() if rows.size >= _COMPILE_BITS else None
    way = _by_transforms if clmul is None else partial(_by_words, clmul)
    products = way(rows, seed, length)
    return products.reshape(*keys.shape[:-1], length)


@cache
def _clmul() -> ModuleType | None:
    """The compiled way, where numba is installed and the CPU is made for it."""
    try:
        from . import clmul
    except ImportError:
        return None
    return clmul


def _by_words(clmul: ModuleType, rows: U8, seed: U8, length: int) -> U8:
    """The products of packed words."""
    count = rows.shape[1]
    size = clmul.block_words(count, length)
    side = 64 * size
    across, down = _ceil_div(count, side), _ceil_div(length, side)
    seeds = np.zeros((across + down) * side, np.uint8)
    first = across * side - count + 1
    seeds[first : first + len(seed)] = seed
    keys = np.zeros((len(rows), across * side), np.uint8)
    keys[:, :count] = rows
    products = clmul.times(_packed(seeds), _packed(keys), down, size)
    bits: U8 = products.view(np.uint8)
    return np.unpackbits(bits, axis=1, count=length, bitorder="little")


def _packed(bits: U8) -> NDArray[np.uint64]:
    """Words of 64 bits each along the last axis, on a machine whose low bytes come first, as x86's do."""
    return np.packbits(bits, axis=-1, bitorder="little").view(np.uint64)


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
        wanted = min(_MOST, _ceil_div(count, _CACHED))
        self.size = _smooth(_ceil_div(count, wanted))
        self.across = _ceil_div(count, self.size)
        self.down = _ceil_div(length, self.size)
        self.turn = _roots(self.size)
        self.ones = int(np.count_nonzero(seed))
        padded = np.zeros((self.across + self.down) * self.size, np.uint8)
        first = self.across * self.size - count + 1
        padded[first : first + len(seed)] = seed
        bits = padded.reshape(-1, self.size)
        self.spectra = np.empty((len(bits) - 1, self.size), np.complex128)
        for i, spectrum in enumerate(self.spectra):
            spectrum.real = bits[i]
            spectrum.imag = bits[i + 1]
            spectrum *= self.turn
            spectrum[:] = np.fft.fft(spectrum)

    def exact(self, rows: U8) -> bool:
        """Whether the sums of these keys, all in one number, are found for certain.

        The error of a product of two polynomials is at most their norms' product times that of each step of the
        transforms (Brent, Percival and Zimmermann, Math. Comp. 76:1469, 2007, theorem 5.1, with roots good to 2 ulp).
        """
        norms = np.sqrt(rows.sum(axis=1, dtype=np.int64))
        scales = 2.0 ** (self._shift * np.arange(len(rows)))
        weight = float((norms * scales).sum())
        steps = 16 * self.size.bit_length() + self.across + 32
        error = steps * 2.0**-53 * weight * sqrt(2 * self.ones)
        return error < MAX_ROUNDING

    def times(self, rows: U8) -> U8:
        """The matrix times one or two keys, modulo 2."""
        if not self.exact(rows):
            raise ArithmeticError(f"Fourier transforms of {self.count} key bits cannot be exact")
        spectra = self._transforms(rows)
        out = np.empty((len(rows), self.down, self.size), np.uint8)
        for row in range(self.down):
            sums = self._sums(spectra, row)
            for key, target in enumerate(out):
                target[row] = (sums >> (key * self._shift)) & 1
        joined = out.reshape(len(rows), -1)
        return joined[:, : self.length]

    def _transforms(self, rows: U8) -> C128:
        """Transforms of the keys' numbers, a block each, the last block first."""
        padded = np.zeros(self.across * self.size)
        numbers = padded[: self.count]
        numbers[:] = rows[0]
        if len(rows) > 1:
            numbers += rows[1] * 2.0**self._shift
        blocks = padded.reshape(-1, self.size)
        spectra = np.empty((self.across, self.size), np.complex128)
        for spectrum, block in zip(spectra, blocks[::-1], strict=True):
            spectrum[:] = np.fft.fft(block * self.turn)
        return spectra

    def _sums(self, spectra: C128, row: int) -> NDArray[np.int64]:
        """What the keys' numbers add up to in one row of blocks."""
        diagonals = self.spectra[row : row + self.across]
        products = np.einsum("bf,bf->f", spectra, diagonals)
        turned = np.fft.ifft(products)
        upper: F64 = turned.imag * self.turn.real
        upper -= turned.real * self.turn.imag
        return np.rint(upper, out=upper).astype(np.int64)

    @property
    def _shift(self) -> int:
        return self.count.bit_length()


def _ceil_div(number: int, by: int) -> int:
    return -(-number // by)


def _smooth(least: int) -> int:
    """The next number without prime factors above 5: transforms of such a length are quick."""
    size = max(1, least)
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


@lru_cache(maxsize=2)
def _roots(size: int) -> C128:
    """ω^j, j < ``size``: unit complex numbers, ω^size = i."""
    roots: C128 = np.exp(0.5j * np.pi / size * np.arange(size))
    return roots
