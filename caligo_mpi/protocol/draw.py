"""The parties' random decisions, from raw generator words: the same on every machine.

The generator is PCG64: reproducible, and good for a simulation.  Parties that talk over a real
channel need a cryptographic source in its place.
"""

from __future__ import annotations

import math

import numpy as np

from ..pairs import bits
from ..pairs.bits import U8
from ..pairs.domains import PROTOCOL

#: Raised whenever the same pairs and configuration would give other keys than before; older ones can be gone on with.
STREAM_VERSION = 2
OLDER_STREAMS = (1,)
#: Keys of which long LDPC codes are made have this version; all else about their streams is as in `STREAM_VERSION`.
LONG_CODES = 5
#: The same where several blocks go by what the tests of all of them show together.
POOLED_TESTS = 6
#: Both as they were when one of the codes was taken to correct a little more than it does, and `rot` had shorter words.
FIRST_LONG_CODES, FIRST_POOLED_TESTS = 3, 4

_LAST_WORD = (1 << 64) - 1
#: Words drawn at a time: they stay in cache.
_AT_ONCE = 1 << 15

#: Whose stream it is; what both know from the start has its own.
ALICE, BOB, SESSION = 0, 1, 2


def stream(
    seed: int,
    block: int,
    party: int,
    version: int = STREAM_VERSION,
) -> np.random.PCG64:
    """A random stream of one party's own, for one block; version 1 has the keys that engines use, too.

    >>> int(stream(7, 0, ALICE).random_raw() == stream(7, 0, BOB).random_raw())
    0
    """
    key: tuple[int, ...] = (block, party)
    if version != 1:
        key = (PROTOCOL, *key)
    entropy = np.random.SeedSequence(seed, spawn_key=key)
    return np.random.PCG64(entropy)


def random_bytes(source: np.random.PCG64, size: int) -> U8:
    """``size`` uniform bytes."""
    count = -(-size // 8)
    words = np.asarray(source.random_raw(count), dtype="<u8")
    drawn = words.view(np.uint8)
    return drawn[:size]


def random_bits(source: np.random.PCG64, count: int) -> U8:
    """``count`` uniform bits as uint8 of 0 and 1."""
    packed = random_bytes(source, bits.nbytes(count))
    return bits.unpack(packed, count)


def random_subset(source: np.random.PCG64, count: int, size: int) -> U8:
    """A uniform subset of ``size`` out of ``count`` rows, as a packed mask.

    >>> bits.count_ones(random_subset(stream(7, 0, ALICE), 100, 13))
    13
    """
    if not 0 <= size <= count:
        raise ValueError(f"size={size} is not between 0 and count={count}")
    if not size:
        return np.zeros(bits.nbytes(count), np.uint8)
    low, high = _where_the_last_is(count, size)
    chosen = np.empty(count, bool)
    places = []
    words = []
    for start in range(0, count, _AT_ONCE):
        stop = min(start + _AT_ONCE, count)
        drawn = np.asarray(source.random_raw(stop - start))
        np.less(drawn, low, out=chosen[start:stop])
        is_near = drawn - low <= high - low  # modulo 2^64: from low to high
        near = np.flatnonzero(is_near)
        places.append(start + near)
        words.append(drawn[near])
    missing = size - int(np.count_nonzero(chosen))
    near_places = np.concatenate(places)
    near_words = np.concatenate(words)
    if not 0 <= missing <= len(near_words):
        raise AssertionError(f"{size} of {count} words are not where 15 standard deviations are")
    # Of equal words the later rows stay out.
    order = np.argsort(near_words, kind="stable")
    taken = near_places[order[:missing]]
    chosen[taken] = True
    return bits.pack(chosen)


def _where_the_last_is(count: int, size: int) -> tuple[np.uint64, np.uint64]:
    """Between which words the ``size``-th smallest of ``count`` is, by 15 standard deviations and more."""
    middle = size / (count + 1)
    deviation = math.sqrt(middle * (1 - middle) / count)
    margin = 15 * deviation + 100 / count
    least = int((middle - margin) * 2.0**64)
    most = int((middle + margin) * 2.0**64)
    low = np.uint64(max(0, least))
    high = np.uint64(min(_LAST_WORD, most))
    return low, high


def random_below(source: np.random.PCG64, bound: int) -> int:
    """A uniform integer in [0, bound), for any size of ``bound``."""
    width = bound.bit_length()
    size = bits.nbytes(width)
    mask = (1 << width) - 1
    while True:
        drawn = random_bytes(source, size)
        number = int.from_bytes(drawn.tobytes(), "little")
        value = number & mask
        if value < bound:
            return value
