"""Verification: a short tag, by a hash drawn after the key is fixed, shows whether both hold the same key.

The bits are cut into 120-bit words, the coefficients of a polynomial over GF(p), p = 2^127 − 1,
which is evaluated at a random point r and mapped to ``tag_bits`` bits by
``((a·P(r) + b) mod p) mod 2^tag_bits`` with random a ≠ 0 and b (Carter and Wegman, J. Comput.
Syst. Sci. 18:143, 1979; polynomial hashing: den Boer, J. Comput. Secur. 2:65, 1993).  Two different
keys of n bits get the same tag with probability at most

    ε(n, tag_bits) = ⌈n/120⌉ / p + 2^(−tag_bits).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..pairs.bits import U8
from .draw import STREAM_VERSION, random_below

U64 = NDArray[np.uint64]

PRIME = (1 << 127) - 1
WORD_BYTES = 15
MAX_TAG_BITS = 96
SEED_BITS = 3 * 127
_LONGEST = 1 << 32  # bits of a key that `tag_bits_for` allows for


@dataclass(frozen=True, slots=True)
class TagKey:
    """The public random choice of one hash function: evaluation point, factor, offset."""

    point: int
    factor: int
    offset: int
    tag_bits: int


def draw_tag_key(source: np.random.PCG64, tag_bits: int) -> TagKey:
    """Draw a hash function with ``tag_bits`` (at most 96) bits of output."""
    if not 1 <= tag_bits <= MAX_TAG_BITS:
        raise ValueError(f"tag_bits={tag_bits} is not between 1 and {MAX_TAG_BITS}")
    point, factor, offset = (random_below(source, bound) for bound in (PRIME, PRIME - 1, PRIME))
    return TagKey(point, 1 + factor, offset, tag_bits)


def tag(key: U8, by: TagKey) -> int:
    """Tag of ``key`` (uint8 of 0 and 1).

    >>> tag(np.array([1, 0, 1], np.uint8), TagKey(point=2, factor=1, offset=0, tag_bits=8))
    11
    """
    (only,) = tags(key[None], by)
    return only


def tags(keys: U8, by: TagKey) -> list[int]:
    """Tags of several keys of equal length, (keys, n), by the same hash function."""
    words = _bytes_of_words(keys)
    powers = _powers(by.point, words.shape[1])
    # Byte t of all words times the power's 32-bit part l counts 2^(8·(t + 4·l)); the sums stay below
    # 2^64 for up to 2^24 words.
    sums = np.einsum("kwt,wl->ktl", words, powers)
    by_weight = np.zeros((len(keys), 4 * 8), "<u8")
    for part in range(4):
        by_weight[:, 4 * part : 4 * part + WORD_BYTES] += sums[:, :, part]
    # Weights eight bytes apart do not overlap: one large number each.
    strides = by_weight.reshape(-1, 4, 8).transpose(0, 2, 1)
    count = keys.shape[1]
    leading = count * pow(by.point, words.shape[1], PRIME)  # keys of different length differ, too
    return [_hashed(leading + _weighed(each), by) for each in strides]


def _bytes_of_words(keys: U8) -> U64:
    """The bytes of each key's words: (keys, words, WORD_BYTES)."""
    packed = np.packbits(keys, axis=1, bitorder="little")
    size = packed.shape[1]
    words = -(-size // WORD_BYTES)
    padded = np.zeros((len(keys), words * WORD_BYTES), np.uint64)
    padded[:, :size] = packed
    return padded.reshape(len(keys), words, WORD_BYTES)


def _powers(point: int, count: int) -> U64:
    """The powers count − 1, …, 1, 0 of ``point``, each in four parts of 32 bits, the lowest first."""
    powers = [1] * count
    for i in range(1, count):
        powers[i] = powers[i - 1] * point % PRIME
    data = b"".join(power.to_bytes(16, "little") for power in reversed(powers))
    return np.frombuffer(data, "<u4").reshape(count, 4).astype(np.uint64)


def _weighed(sums: U64) -> int:
    """Σ 2^(8·c + 64·i) ``sums``[c, i]."""
    numbers = (int.from_bytes(row.tobytes(), "little") for row in sums)
    return sum(number << (8 * c) for c, number in enumerate(numbers))


def _hashed(value: int, by: TagKey) -> int:
    hashed = (by.factor * (value % PRIME) + by.offset) % PRIME
    return hashed % (1 << by.tag_bits)


def collision_bound(count: int, tag_bits: int) -> float:
    """ε(n, t): probability at most that two different keys of ``count`` bits share a tag.

    >>> collision_bound(1_000_000, 50) < 2**-49.99
    True
    """
    return -(-count // (8 * WORD_BYTES)) / PRIME + 2.0**-tag_bits


def tag_bits_for(epsilon: float, version: int = STREAM_VERSION) -> int:
    """Shortest tag that holds ε for any key of up to 2^32 bits; stream version 1 has one bit more.

    >>> tag_bits_for(1e-15)
    50
    """
    tag_bits = 1 - math.frexp(epsilon)[1]  # the least with 2^-t ≤ ε
    bound = Fraction(-(-_LONGEST // (8 * WORD_BYTES)), PRIME) + Fraction(1, 1 << tag_bits)
    if version == 1 or bound > Fraction(epsilon):
        tag_bits += 1
    if tag_bits > MAX_TAG_BITS:
        raise ConfigError(
            f"epsilon={epsilon} needs tags of {tag_bits} bits, but {MAX_TAG_BITS} are most: raise it"
        )
    return tag_bits
