"""Counts on packed words against counts of single bits; compiled and by numpy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from caligo_mpi.analysis import counting
from caligo_mpi.analysis.borders import windows_at
from caligo_mpi.analysis.counting import LAGS, STREAMS

WORDS = 300


@pytest.fixture
def block():
    rng = np.random.default_rng(1)
    return tuple(rng.integers(0, 1 << 64, WORDS, dtype=np.uint64) for _ in range(4))


def bits_of(words):
    return np.unpackbits(words.view(np.uint8), bitorder="little")


def streams_of(block):
    a_basis, a_bit, b_basis, b_bit = map(bits_of, block)
    return a_basis, a_bit, b_basis, b_bit, (a_bit ^ b_bit) & (a_basis == b_basis)


def ways():
    """With numba, where it is installed, and without."""
    found = [None]
    if counting.compiled_functions() is not None:
        found.append(counting.compiled_functions())
    return found


def test_outcomes_in_cells_are_those_of_single_rows(block):
    a_basis, a_bit, b_basis, b_bit, _ = streams_of(block)
    code = 8 * a_basis + 4 * a_bit + 2 * b_basis + b_bit
    for compiled in ways():
        joint = counting.joint_counts(block, 77, compiled)
        rows = np.full(len(joint), 77 * 64)
        rows[-1] = 64 * WORDS - rows[:-1].sum()
        for number, counts in enumerate(counting.outcome_counts(joint, rows)):
            part = code[number * 77 * 64 : (number + 1) * 77 * 64]
            assert counts.tolist() == np.bincount(part, minlength=16).tolist()


def test_positions_and_lags_are_those_of_single_rows(block):
    compared = 64 * (WORDS - 1)
    for compiled in ways():
        close = counting.close_look(block, compiled)
        assert (close.rows, close.compared) == (64 * WORDS, compared)
        for number, bits in enumerate(streams_of(block)):
            assert close.ones[number].tolist() == bits.reshape(-1, 64).sum(axis=0).tolist()
            assert close.first[number] == bits[:compared].sum()
            for place, lag in enumerate(LAGS):
                later = bits[lag : compared + lag]
                assert close.second[number, place] == later.sum()
                assert close.differ[number, place] == (bits[:compared] != later).sum()


def test_compiled_counts_are_numpy_s(block):
    compiled = counting.compiled_functions()
    if compiled is None:
        pytest.skip("numba is not installed")
    fast, plain = counting.close_look(block, compiled), counting.close_look(block, None)
    for field in dataclasses.fields(plain):
        assert np.array_equal(getattr(fast, field.name), getattr(plain, field.name))
    joint = counting.joint_counts(block, 50, compiled)
    assert np.array_equal(joint, counting.joint_counts(block, 50, None))
    assert len(STREAMS) == len(plain.first)


def test_windows_begin_at_any_row(block):
    rows = np.array([0, 64, 65, 1000, 64 * WORDS - 64])
    bits = bits_of(block[2])
    for row, word in zip(rows, windows_at(block, rows)[2], strict=True):
        assert bits_of(np.array([word])).tolist() == bits[row : row + 64].tolist()
