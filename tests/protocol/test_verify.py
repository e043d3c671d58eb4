import math
from fractions import Fraction

import numpy as np
import pytest

from caligo_mpi.errors import ConfigError
from caligo_mpi.protocol.draw import ALICE, stream
from caligo_mpi.protocol.verify import (
    PRIME,
    TagKey,
    collision_bound,
    draw_tag_key,
    tag,
    tag_bits_for,
    tags,
)


def test_tag_is_the_polynomial_at_the_point():
    rng = np.random.default_rng(1)
    key = rng.integers(0, 2, 300, np.uint8)
    by = draw_tag_key(stream(1, 0, ALICE), 61)
    words = [int("".join(map(str, key[start : start + 120][::-1])), 2) for start in (0, 120, 240)]
    value = sum(
        word * pow(by.point, power, PRIME)
        for word, power in zip([300, *words], (3, 2, 1, 0), strict=True)
    )
    assert tag(key, by) == (by.factor * value + by.offset) % PRIME % 2**61


@pytest.mark.parametrize("count", [0, 1, 119, 120, 121, 960, 20_013, 1_000_003])
def test_tags_are_those_by_the_rule_of_horner(count):
    rng = np.random.default_rng(count)
    keys = rng.integers(0, 2, (3, count), np.uint8)
    keys[0] = 1  # the largest sums there are
    by = TagKey(PRIME - 1 - count, PRIME - 2, PRIME - 1, 96)
    assert tags(keys, by) == [horner(key, by) for key in keys]


def horner(key, by):
    """The tag by its definition, a word after the other."""
    data = np.packbits(key, bitorder="little").tobytes()
    value = len(key)
    for start in range(0, len(data), 15):
        word = int.from_bytes(data[start : start + 15], "little")
        value = (value * by.point + word) % PRIME
    return (by.factor * value + by.offset) % PRIME % 2**by.tag_bits


def test_any_flipped_bit_changes_the_tag():
    rng = np.random.default_rng(2)
    key = rng.integers(0, 2, 517, np.uint8)
    by = draw_tag_key(stream(2, 0, ALICE), 64)
    flipped = key ^ np.eye(517, dtype=np.uint8)
    tags = {tag(key, by), *(tag(other, by) for other in flipped)}
    assert len(tags) == 518


def test_a_key_and_the_same_with_zeros_behind_differ():
    by = draw_tag_key(stream(2, 0, ALICE), 64)
    assert len({tag(np.zeros(n, np.uint8), by) for n in (0, 1, 8, 119, 120, 121, 240)}) == 7


def test_short_tags_collide_as_often_as_stated():
    # 8-bit tags of 100,000 pairs: 390.6 collisions expected, s = 19.7; six s is a false alarm of 1e-9.
    source = stream(3, 0, ALICE)
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 2, (2, 200), np.uint8)
    collisions = 0
    for _ in range(100_000):
        one, other = tags(keys, draw_tag_key(source, 8))
        collisions += one == other
    assert 390.6 - 6 * 19.7 < collisions < 390.6 + 6 * 19.7


def test_hash_functions_are_drawn_from_the_whole_family():
    source = stream(4, 0, ALICE)
    drawn = [draw_tag_key(source, 50) for _ in range(100)]
    assert [len({getattr(by, part) for by in drawn}) for part in ("point", "factor", "offset")] == [
        100,
        100,
        100,
    ]
    assert all(0 < by.factor < PRIME for by in drawn)


def test_factor_is_never_zero():
    class Zeros:
        def random_raw(self, count):
            return np.zeros(count, np.uint64)

    assert draw_tag_key(Zeros(), 50) == TagKey(point=0, factor=1, offset=0, tag_bits=50)


def test_tag_fits_its_length():
    source = stream(5, 0, ALICE)
    key = np.ones(1000, np.uint8)
    tags = [tag(key, draw_tag_key(source, 10)) for _ in range(200)]
    assert max(tags) < 1024
    assert max(tags) > 900


@pytest.mark.parametrize(
    ("epsilon", "bits"), [(0.5, 2), (0.4, 2), (1e-10, 34), (2.5e-7, 22), (1e-15, 50), (1e-24, 80)]
)
def test_tag_length_is_the_least_that_holds_its_epsilon(epsilon, bits):
    assert tag_bits_for(epsilon) == bits
    assert collision_bound(1 << 32, bits) <= epsilon
    assert Fraction(-(-(1 << 32) // 120), PRIME) + Fraction(1, 2 ** (bits - 1)) > Fraction(epsilon)
    assert tag_bits_for(epsilon, version=1) == 2 - math.frexp(epsilon)[1] >= bits


def test_collision_bound_grows_with_the_key():
    assert collision_bound(120, 127) == 1 / PRIME + 2**-127
    assert collision_bound(121, 127) == 2 / PRIME + 2**-127


def test_too_small_an_epsilon_is_refused():
    with pytest.raises(ConfigError, match="epsilon=1e-30 needs tags of 100 bits, but 96 are most"):
        tag_bits_for(1e-30)
    with pytest.raises(ValueError, match="tag_bits=97 is not between 1 and 96"):
        draw_tag_key(stream(1, 0, ALICE), 97)


def test_tag_of_literal_words():
    key = np.zeros(121, np.uint8)
    key[[1, 120]] = 1
    # 121·r² + 2·r + 1 at r = 10, times 3, plus 7
    assert tag(key, TagKey(point=10, factor=3, offset=7, tag_bits=32)) == 3 * 12_121 + 7
