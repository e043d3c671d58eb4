"""Privacy amplification: a random Toeplitz matrix times the key, by fast Fourier transform."""

from __future__ import annotations

import numpy as np

from ..bits import U8

#: A product is rounded to the nearest integer; further away than this, the transform was not exact enough.
MAX_ROUNDING = 1e-3


def seed_bits(count: int, length: int) -> int:
    """Public random bits that define a ``length`` × ``count`` Toeplitz matrix."""
    return count + length - 1


def amplify(key: U8, seed: U8, length: int) -> U8:
    """``length`` bits y of a key x: ``y_i = Σ_j s_(i−j+n−1) x_j mod 2``; all arrays uint8 of 0 and 1.

    ``seed`` s has n + ``length`` − 1 bits.  Toeplitz matrices are 2-universal (Krawczyk, EUROCRYPT '95),
    which is what the leftover hash lemma asks for.  The linear convolution's outputs n−1 … n+length−2 are
    the product; a cyclic one of n + ``length`` − 1 points or more leaves exactly these unmixed.

    >>> amplify(np.array([1, 0, 1], np.uint8), np.array([1, 1, 0, 1], np.uint8), 2).tolist()
    [1, 0]
    """
    count = len(key)
    if len(seed) != seed_bits(count, length):
        raise ValueError(f"seed of {len(seed)} bits; {count} key bits to {length} take {seed_bits(count, length)}")
    if not count or not length:
        return np.zeros(length, np.uint8)
    points = fast_size(len(seed))
    spectrum = np.fft.rfft(key.astype(np.float64), points)
    spectrum *= np.fft.rfft(seed.astype(np.float64), points)
    sums = np.fft.irfft(spectrum, points)[count - 1 : count - 1 + length]
    nearest = np.rint(sums)
    if np.abs(sums - nearest).max() >= MAX_ROUNDING:
        raise ArithmeticError(f"Fourier transform of {points} points is off by {np.abs(sums - nearest).max():.1e}")
    return (nearest.astype(np.int64) & 1).astype(np.uint8)


def fast_size(least: int) -> int:
    """The smallest 2^a·3^b·5^c ≥ ``least``: a length that a Fourier transform likes.

    >>> fast_size(1_000_003)
    1012500
    """
    best = 1 << max(0, least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            rest = -(-least // three)
            best = min(best, three << max(0, rest - 1).bit_length())
            three *= 3
        five *= 5
    return best
