import numpy as np
import pytest

from caligo_mpi.protocol import amplify as module
from caligo_mpi.protocol.amplify import _Matrix, amplify, seed_bits

needs_clmul = pytest.mark.skipif(
    module._clmul() is None, reason="needs numba and a CPU with pclmulqdq"
)


def matrix(seed, count, length):
    """The Toeplitz matrix T[i, j] = s[i − j + n − 1]."""
    i, j = np.indices((length, count))
    return seed[i - j + count - 1]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 17, 64, 101, 255, 256, 1000, 2003])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0, 1.6])
def test_hash_equals_the_matrix_product(count, share):
    rng = np.random.default_rng([count, int(10 * share)])
    length = max(1, int(share * count))
    key, seed = (
        rng.integers(0, 2, count, np.uint8),
        rng.integers(0, 2, seed_bits(count, length), np.uint8),
    )
    assert (
        amplify(key, seed, length).tolist()
        == (matrix(seed, count, length).astype(int) @ key % 2).tolist()
    )


def test_every_key_bit_reaches_the_output():
    rng = np.random.default_rng(1)
    count, length = 1000, 150
    key, seed = (
        rng.integers(0, 2, count, np.uint8),
        rng.integers(0, 2, count + length - 1, np.uint8),
    )
    plain = amplify(key, seed, length)
    for bit in range(count):
        key[bit] ^= 1
        assert (amplify(key, seed, length) != plain).any()
        key[bit] ^= 1


def test_every_seed_bit_reaches_the_output():
    count, length = 300, 40
    key = np.ones(count, np.uint8)
    seed = np.zeros(count + length - 1, np.uint8)
    plain = amplify(key, seed, length)
    for bit in range(len(seed)):
        seed[bit] ^= 1
        assert (amplify(key, seed, length) != plain).any()
        seed[bit] ^= 1


def test_worst_case_sums_are_exact():
    # All ones: every sum is count, the largest there is; one more or less shows in the parity.
    count, length = 1_000_001, 500_000
    ones = np.ones(seed_bits(count, length), np.uint8)
    fewer = np.append(ones[: count - 1], np.uint8(0))
    for way in (amplify, by_transforms):
        assert way(ones[:count], ones, length).all()
        assert not way(fewer, ones, length).any()


def by_transforms(key, seed, length):
    return module._by_transforms(key[None], seed, length)[0]


def test_hash_is_linear():
    rng = np.random.default_rng(2)
    one, other = rng.integers(0, 2, (2, 4001), np.uint8)
    seed = rng.integers(0, 2, seed_bits(4001, 999), np.uint8)
    assert (
        (amplify(one, seed, 999) ^ amplify(other, seed, 999)) == amplify(one ^ other, seed, 999)
    ).all()


def test_two_keys_collide_as_seldom_as_a_universal_family_allows():
    # 2^-4 of 20,000 seeds: 1250 expected, s = 34.2; six s is a false alarm of 1e-9.
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 2, (2, 12), np.uint8)
    assert (keys[0] != keys[1]).any()
    seeds = rng.integers(0, 2, (20_000, seed_bits(12, 4)), np.uint8)
    hashed = (amplify(keys, seed, 4) for seed in seeds)
    collisions = sum((one == other).all() for one, other in hashed)
    assert 1250 - 6 * 34.2 < collisions < 1250 + 6 * 34.2


def test_seed_of_another_length_is_refused():
    with pytest.raises(ValueError, match="seed of 10 bits; 8 key bits to 4 take 11"):
        amplify(np.zeros(8, np.uint8), np.zeros(10, np.uint8), 4)


@pytest.mark.parametrize("count", [1, 5003, 200_001])
@pytest.mark.parametrize("keys", [2, 3])
def test_several_keys_are_hashed_as_each_by_itself(count, keys):
    rng = np.random.default_rng([4, count])
    rows = rng.integers(0, 2, (keys, count), np.uint8)
    seed = rng.integers(0, 2, seed_bits(count, 2999), np.uint8)
    assert amplify(rows, seed, 2999).tolist() == [amplify(row, seed, 2999).tolist() for row in rows]


@pytest.mark.parametrize("count", [1, 2, 5003, 200_001, 300_000])
def test_a_key_that_both_hold_is_hashed_as_different_ones(count):
    rng = np.random.default_rng([8, count])
    key = rng.integers(0, 2, count, np.uint8)
    rows = np.stack([key, key])
    other = np.stack([key, key ^ 1])
    for length in (1, 2999):
        seed = rng.integers(0, 2, seed_bits(count, length), np.uint8)
        expected = amplify(other, seed, length)[0]
        hashed = amplify(rows, seed, length)
        assert hashed.tolist() == [expected.tolist()] * 2
        assert module._by_transforms(rows[:1], seed, length)[0].tolist() == expected.tolist()
        hashed[0] ^= 1  # each has its own
        assert hashed[1].tolist() == expected.tolist()


def test_halves_of_a_long_key_are_not_exact():
    count, length = 1 << 22, 1 << 21
    ones = np.ones(seed_bits(count, length), np.uint8)
    assert module._by_halves(ones[:count], ones, length) is None
    assert (
        module._by_halves(ones[: 1 << 20], ones[: seed_bits(1 << 20, length)], length) is not None
    )


@pytest.mark.parametrize("which", [0, 1])
def test_worst_case_sums_of_two_keys_are_exact(which):
    # A key of ones has the largest sums there are; one more or less shows in the parity.
    count, length = 1_000_001, 500_000
    ones = np.ones(seed_bits(count, length), np.uint8)
    rows = np.ones((2, count), np.uint8)
    rows[which, -1] = 0
    for way in (amplify, module._by_transforms):
        hashed = way(rows, ones, length)
        assert not hashed[which].any()
        assert hashed[1 - which].all()


def test_two_keys_of_a_million_bits_fit_one_number():
    count, length = 1_000_000, 700_000
    ones = np.ones((2, count), np.uint8)
    assert _Matrix(np.ones(seed_bits(count, length), np.uint8), count, length).exact(ones)


def test_transforms_that_cannot_be_made_in_place_give_the_same_bits(monkeypatch):
    # as with numpy 1
    rng = np.random.default_rng(7)
    rows = rng.integers(0, 2, (2, 3001), np.uint8)
    seed = rng.integers(0, 2, seed_bits(3001, 1999), np.uint8)
    expected = module._by_transforms(rows, seed, 1999)
    monkeypatch.setattr(module, "_IN_PLACE", False)
    assert (module._by_transforms(rows, seed, 1999) == expected).all()


def test_keys_too_long_for_one_number_are_hashed_one_by_one():
    count = 1 << 24
    matrix = _Matrix(np.ones(count, np.uint8), count, 1)
    assert not matrix.exact(np.ones((2, count), np.uint8))


def test_nothing_hashes_to_zeros():
    assert amplify(np.zeros(0, np.uint8), np.zeros(3, np.uint8), 4).tolist() == [0, 0, 0, 0]
    assert amplify(np.ones(4, np.uint8), np.zeros(3, np.uint8), 0).tolist() == []


@needs_clmul
@pytest.mark.parametrize("keys", [1, 2, 3])
@pytest.mark.parametrize(
    ("count", "length"),
    [(1, 1), (2, 3), (63, 64), (65, 1), (959, 960), (961, 1984), (1985, 1919), (4000, 9000), (200_003, 3001),
     (3001, 99_991)],
)  # fmt: skip
def test_compiled_products_equal_those_by_transforms(keys, count, length):
    rng = np.random.default_rng([5, count])
    rows = rng.integers(0, 2, (keys, count), np.uint8)
    seed = rng.integers(0, 2, seed_bits(count, length), np.uint8)
    found = module._by_words(module._clmul(), rows, seed, length)
    assert found.tolist() == module._by_transforms(rows, seed, length).tolist()


@needs_clmul
def test_compiled_products_of_a_million_bits_equal_those_by_transforms():
    rng = np.random.default_rng(6)
    count, length = 1_000_003, 560_001
    rows = rng.integers(0, 2, (2, count), np.uint8)
    seed = rng.integers(0, 2, seed_bits(count, length), np.uint8)
    assert (amplify(rows, seed, length) == module._by_transforms(rows, seed, length)).all()
