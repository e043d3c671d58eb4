"""Packed columns against numpy on plain arrays of 0 and 1."""

import numpy as np
import pytest

from caligo_mpi.pairs import bits

PLAIN = np.random.default_rng(1).integers(0, 2, 1003, dtype=np.uint8)
PACKED = bits.pack(PLAIN)


def test_bit_i_of_the_column_is_row_i():
    assert bits.pack(np.array([0, 1, 0, 0, 0, 0, 0, 0, 0, 1])).tolist() == [2, 2]


@pytest.mark.parametrize("start", [0, 1, 7, 8, 13, 1000])
@pytest.mark.parametrize("count", [0, 1, 3, 8, 9])
def test_unpack_and_extract_take_any_range(start, count):
    count = min(count, 1003 - start)
    assert (bits.unpack(PACKED, count, start) == PLAIN[start : start + count]).all()
    part = bits.extract(PACKED, start, count)
    assert len(part) == bits.nbytes(count)
    assert (bits.unpack(part, count) == PLAIN[start : start + count]).all()
    assert not bits.unpack(part, 8 * len(part))[count:].any()


@pytest.mark.parametrize("lead", range(8))
def test_shift_in_keeps_the_bits_that_are_there(lead):
    out = bits.shift_in(PACKED, lead, first_byte=0b1111_1111)
    assert (bits.unpack(out, 1003, lead) == PLAIN).all()
    assert bits.unpack(out, lead).all()


def test_clear_padding_touches_the_pad_bits_only():
    column = np.full((2, 2), 255, np.uint8)
    bits.clear_padding(column, 11)
    assert column.tolist() == [[255, 7], [255, 7]]


@pytest.mark.parametrize("size", [0, 1, 2, 7, 126])
def test_ones_are_counted_whatever_the_size(size):
    assert bits.count_ones(PACKED[:size]) == int(PLAIN[: 8 * size].sum())


def test_select_packs_what_the_mask_picks():
    mask = np.random.default_rng(2).integers(0, 2, 1003, dtype=np.uint8)
    picked = bits.select(PACKED, bits.pack(mask), 1003)
    assert (bits.unpack(picked, int(mask.sum())) == PLAIN[mask == 1]).all()


@pytest.mark.parametrize("size", [0, 1, 8, 64, 65, 71, 72, 1000])
def test_ones_are_counted_wherever_the_bytes_stand(size):
    packed = np.random.default_rng(size).integers(0, 256, size + 1, np.uint8)[1:]
    assert bits.count_ones(packed) == int(np.unpackbits(packed).sum())
