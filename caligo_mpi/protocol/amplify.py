"""Privacy amplification: a random Toeplitz matrix times the key, by fast Fourier transforms.

One long transform would read and write main memory again and again.  The matrix is cut into square
blocks instead; those along a diagonal are equal, so the transforms are as many as there are diagonals,
and each fits in a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..pairs.bits import U8

#: A product is rounded to the nearest integer; further away than this, the transform was not exact enough.
MAX_ROUNDING = 1e-3

# Blocks down and across together.  With more of them transforms are smaller, but the products of blocks grow as the
# square, so more than a few are worth it only where transforms would leave the cache.
_FEW, _MANY = 16, 64
_CACHED = (1 << 17) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Toeplitz:
    """A Toeplitz matrix with ``length`` rows and ``count`` columns, ready to be multiplied by keys.

    ``spectra[d]`` is the transform of the 2·``size`` seed bits that the square blocks on diagonal d are made of; the
    first diagonal is the one at the upper right.
    """

    count: int
    length: int
    size: int
    spectra: NDArray[np.complex128]


def seed_bits(count: int, length: int) -> int:
    """Public random bits that define a ``length`` × ``count`` Toeplitz matrix."""
    return count + length - 1


def toeplitz(seed: U8, count: int, length: int) -> Toeplitz:
    """The matrix ``T_ij = s_(i−j+n−1)`` from n + ``length`` − 1 bits s, n = ``count``."""
    if len(seed) != seed_bits(count, length):
        raise ValueError(
            f"seed of {len(seed)} bits; {count} key bits to {length} take {seed_bits(count, length)}"
        )
    size = 1 << max(len(seed) // _MANY, min(len(seed) // _FEW, _CACHED)).bit_length()
    across, down = _blocks(count, size), _blocks(length, size)
    padded = np.zeros((across + down) * size)
    first = across * size - count
    padded[first : first + len(seed)] = seed
    return Toeplitz(count, length, size, np.fft.rfft(sliding_window_view(padded, 2 * size)[::size]))


def amplify(key: U8, seed: U8, length: int) -> U8:
    """``length`` bits y of a key x: ``y_i = Σ_j s_(i−j+n−1) x_j mod 2``; all arrays uint8 of 0 and 1.

    ``seed`` s has n + ``length`` − 1 bits.  Toeplitz matrices are 2-universal (Krawczyk, EUROCRYPT '95),
    which is what the leftover hash lemma asks for.

    >>> amplify(np.array([1, 0, 1], np.uint8), np.array([1, 1, 0, 1], np.uint8), 2).tolist()
    [1, 0]
    """
    return multiply(toeplitz(seed, len(key), length), key)


def multiply(matrix: Toeplitz, key: U8) -> U8:
    """The matrix times ``key``, modulo 2.

    A block times its part of the key is ``size`` outputs of a linear convolution, which a cyclic one of
    2·``size`` points leaves unmixed.
    """
    if len(key) != matrix.count:
        raise ValueError(f"key of {len(key)} bits for a Toeplitz matrix of {matrix.count} columns")
    size = matrix.size
    down = _blocks(matrix.length, size)
    parts = np.zeros((_blocks(matrix.count, size), size))
    parts.reshape(-1)[: matrix.count] = key
    spectra = np.fft.rfft(parts[::-1], 2 * size)
    out = np.empty((down, size), np.uint8)
    for row in range(down):
        total = np.zeros(size + 1, np.complex128)
        for part, block in zip(spectra, matrix.spectra[row:], strict=False):
            total += part * block
        out[row] = _parities(np.fft.irfft(total, 2 * size)[size - 1 : -1])
    return out.reshape(-1)[: matrix.length]


def _blocks(count: int, size: int) -> int:
    return max(1, -(-count // size))


def _parities(sums: NDArray[np.float64]) -> U8:
    nearest = np.rint(sums)
    off = np.abs(sums - nearest).max()
    if off >= MAX_ROUNDING:
        raise ArithmeticError(f"Fourier transform of {2 * len(sums)} points is off by {off:.1e}")
    return (nearest.astype(np.int64) & 1).astype(np.uint8)
