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
F64 = NDArray[np.float64]

PRIME = (1 << 127) - 1
WORD_BYTES = 15
MAX_TAG_BITS = 96
SEED_BITS = 3 * 127
#: Words whose sums are taken at once: they stay so small that doubles hold them.
_TOGETHER = 128
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
    point = random_below(source, PRIME)
    factor = 1 + random_below(source, PRIME - 1)
    offset = random_below(source, PRIME)
    return TagKey(
        point,
        factor,
        offset,
        tag_bits,
    )


def tag(key: U8, by: TagKey) -> int:
    """Tag of ``key`` (uint8 of 0 and 1).

    >>> tag(np.array([1, 0, 1], np.uint8), TagKey(point=2, factor=1, offset=0, tag_bits=8))
    11
    """
    (only,) = tags(key[None], by)
    return only


def tags(keys: U8, by: TagKey) -> list[int]:
    """Tags of several keys of equal length, (keys, n), by the same hash function."""
    length = keys.shape[1]
    count = -(-length // (8 * WORD_BYTES))
    together = max(1, min(count, _TOGETHER))
    words = _bytes_of_words(keys, count, together)
    powers = _powers(by.point, together)
    # Byte t of a group's words times the powers' 16-bit part l counts 2^(8·(t + 2·l)).
    sums = words.swapaxes(2, 3) @ powers
    by_weight = np.zeros((*sums.shape[:2], 4 * 8), "<u8")
    for part in range(8):
        first = 2 * part
        by_weight[:, :, first : first + WORD_BYTES] += sums[:, :, :, part].astype(np.uint64)
    # Weights eight bytes apart do not overlap: one large number each.
    strides = by_weight.reshape(*by_weight.shape[:2], 4, 8)
    step = pow(by.point, together, PRIME)
    leading = length * pow(by.point, count, PRIME)  # keys of different length differ, too
    found = []
    for of_key in strides.swapaxes(2, 3):
        value = 0
        for of_group in of_key:
            value = (value * step + _weighed(of_group)) % PRIME
        found.append(_hashed(leading + value, by))
    return found


def _bytes_of_words(keys: U8, count: int, together: int) -> F64:
    """The bytes of each key's words, so many ``together``: (keys, groups, together, WORD_BYTES), zeros before them."""
    packed = np.packbits(keys, axis=1, bitorder="little")
    several, size = packed.shape
    groups = -(-count // together)
    before = (groups * together - count) * WORD_BYTES
    padded = np.zeros((several, groups * together * WORD_BYTES))
    padded[:, before : before + size] = packed
    return padded.reshape(several, groups, together, WORD_BYTES)


def _powers(point: int, count: int) -> F64:
    """The powers count − 1, …, 1, 0 of ``point``, each in eight parts of 16 bits, the lowest first."""
    power = 1
    numbers = []
    for _ in range(count):
        number = power.to_bytes(16, "little")
        numbers.append(number)
        power = power * point % PRIME
    data = b"".join(reversed(numbers))
    parts = np.frombuffer(data, "<u2")
    return parts.reshape(count, 8).astype(np.float64)


def _weighed(sums: U64) -> int:
    """Σ 2^(8·c + 64·i) ``sums``[c, i]."""
    total = 0
    for c, row in enumerate(sums):
        number = int.from_bytes(row.tobytes(), "little")
        total += number << (8 * c)
    return total


def _hashed(value: int, by: TagKey) -> int:
    scaled = by.factor * (value % PRIME)
    hashed = (scaled + by.offset) % PRIME
    return hashed % (1 << by.tag_bits)


def collision_bound(count: int, tag_bits: int) -> float:
    """ε(n, t): probability at most that two different keys of ``count`` bits share a tag.

    >>> collision_bound(1_000_000, 50) < 2**-49.99
    True
    """
    words = _words_of(count)
    return words / PRIME + 2.0**-tag_bits


def _words_of(count: int) -> int:
    """How many words ``count`` bits are cut into."""
    return -(-count // (8 * WORD_BYTES))


def tag_bits_for(epsilon: float, version: int = STREAM_VERSION) -> int:
    """Shortest tag that holds ε for any key of up to 2^32 bits; stream version 1 has one bit more.

    >>> tag_bits_for(1e-15)
    50
    """
    _, exponent = math.frexp(epsilon)
    tag_bits = 1 - exponent  # the least with 2^-t ≤ ε
    words = _words_of(_LONGEST)
    bound = Fraction(words, PRIME) + Fraction(1, 1 << tag_bits)
    if version == 1 or bound > Fraction(epsilon):
        tag_bits += 1
    if tag_bits > MAX_TAG_BITS:
        raise ConfigError(
            f"epsilon={epsilon} needs tags of {tag_bits} bits, but {MAX_TAG_BITS} are most: raise it"
        )
    return tag_bits
