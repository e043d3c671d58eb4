import numpy as np
import pytest
from scipy.stats import chi2

from caligo_mpi.pairs import bits
from caligo_mpi.protocol.draw import (
    ALICE,
    BOB,
    random_below,
    random_bits,
    random_bytes,
    random_subset,
    stream,
)


class Words:
    """A generator whose words are given."""

    def __init__(self, words):
        self.words = list(words)

    def random_raw(self, count):
        return np.array([self.words.pop(0) for _ in range(count)], np.uint64)


def test_streams_are_the_same_everywhere():
    assert random_bytes(stream(7, 3, ALICE), 6).tolist() == [109, 225, 249, 254, 240, 210]
    assert random_bits(stream(7, 3, BOB), 12).tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 0]


def test_streams_of_version_1_are_what_they_were():
    assert random_bytes(stream(7, 3, ALICE, 1), 6).tolist() == [167, 228, 118, 187, 139, 55]
    assert random_bits(stream(7, 3, BOB, 1), 12).tolist() == [1, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0]


def test_parties_and_blocks_have_streams_of_their_own():
    drawn = {
        int(stream(1, block, party).random_raw()) for block in range(10) for party in (ALICE, BOB)
    }
    assert len(drawn) == 20


@pytest.mark.parametrize(("count", "size"), [(1, 0), (1, 1), (10, 3), (1000, 999), (1001, 1001)])
def test_subset_has_the_size_asked_for(count, size):
    mask = random_subset(stream(1, 0, ALICE), count, size)
    assert len(mask) == bits.nbytes(count)
    assert bits.count_ones(mask) == bits.unpack(mask, count).sum() == size


def test_equal_words_leave_the_later_rows_out():
    mask = random_subset(Words([5, 2, 5, 9, 5, 1]), 6, 4)
    assert bits.unpack(mask, 6).tolist() == [1, 1, 1, 0, 0, 1]


def test_every_row_and_every_pair_of_rows_is_as_likely():
    source = stream(5, 0, ALICE)
    trials, count, size = 20_000, 8, 3
    chosen = np.array(
        [bits.unpack(random_subset(source, count, size), count) for _ in range(trials)]
    )
    subsets = np.bincount(chosen @ (1 << np.arange(count)), minlength=256)
    possible = subsets[[i for i in range(256) if i.bit_count() == size]]
    expected = trials / 56
    assert possible.sum() == trials
    assert ((possible - expected) ** 2 / expected).sum() < chi2.isf(1e-6, 55)


def test_subset_larger_than_the_set_is_refused():
    with pytest.raises(ValueError, match="size=4 is not between 0 and count=3"):
        random_subset(stream(1, 0, ALICE), 3, 4)


def test_integers_below_a_bound_are_uniform():
    source = stream(6, 0, ALICE)
    drawn = np.bincount([random_below(source, 5) for _ in range(20_000)], minlength=5)
    assert len(drawn) == 5
    assert ((drawn - 4000) ** 2 / 4000).sum() < chi2.isf(1e-6, 4)


def test_integers_below_a_long_bound_use_all_of_it():
    source = stream(6, 0, ALICE)
    drawn = [random_below(source, (1 << 127) - 1) for _ in range(64)]
    assert max(drawn) > 1 << 126 > min(drawn)
    assert len({value % 256 for value in drawn}) > 32


@pytest.mark.parametrize("count", [1, 2, 9, 100, 32_768, 32_769, 500_003])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.97, 1.0])
def test_a_subset_has_the_smallest_words(count, share):
    size = round(share * count)
    words = np.random.PCG64(count).random_raw(count)
    smallest = np.argsort(words, kind="stable")[:size]
    found = random_subset(np.random.PCG64(count), count, size)
    assert np.flatnonzero(bits.unpack(found, count)).tolist() == sorted(smallest)
