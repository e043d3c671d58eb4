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

from ..errors import ConfigError
from ..pairs.bits import U8, pack
from .draw import STREAM_VERSION, random_below

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
    data = pack(key).tobytes()
    value = len(key)  # leading coefficient: keys of different length differ, too
    for start in range(0, len(data), WORD_BYTES):
        word = int.from_bytes(data[start : start + WORD_BYTES], "little")
        value = (value * by.point + word) % PRIME
    hashed = (by.factor * value + by.offset) % PRIME
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
