import math

import numpy as np
import pytest

from caligo_mpi.protocol.key_length import (
    TransferFigures,
    asymptotic_fraction,
    binary_entropy,
    dropped_limit,
    finite_key_length,
    hoeffding_margin,
    sampling_margin,
    storage_capacity,
    strong_converse_exponent,
    transfer_entropy_limit,
    transfer_length,
    transfer_qber_limit,
    uncertainty_coefficient,
)

ERVEN = {"storage_r": 0.75, "storage_rate": 0.002, "epsilon": 2.5e-7}


def erven(**figures):
    counted = {"rounds": 80_000_000, "single": 1_049_000, "dropped": 0, "tag_bits": 0}
    return TransferFigures(**counted | figures)


def root(f, low, high):
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low


@pytest.mark.parametrize(
    ("minority", "qber", "tolerated", "percent"),
    [(0.125, 0.01, 0.0173, 47.82), (0.137, 0.025, 0.0321, 35.71)],
)
def test_finite_key_is_that_of_tomamichel_table_ii(minority, qber, tolerated, percent):
    kept = (1 - minority) ** 2 + minority**2
    test_bits = round(1e6 * minority**2 / kept)
    key_bits = 1_000_000 - test_bits
    pairs = 1e6 / kept
    length = int(0.4 * pairs)
    for _ in range(10):  # the table's failure probabilities are shares of the length itself
        length = finite_key_length(
            key_bits=key_bits,
            test_bits=test_bits,
            qber=tolerated,
            leak_bits=1.1 * key_bits * binary_entropy(qber),
            epsilon_sec=0.5e-14 * length,
            epsilon_cor=0.5e-14 * length,
        )
    assert 100 * length / pairs == pytest.approx(percent, abs=0.01)


@pytest.mark.parametrize(
    ("key_bits", "test_bits", "qber"),
    [(10**5, 10**5, 0.0), (900_000, 100_000, 0.02), (10**7, 10**6, 0.05)],
)
def test_finite_key_is_the_closed_form(key_bits, test_bits, qber):
    mu = sampling_margin(key_bits=key_bits, test_bits=test_bits, epsilon_sec=1e-10)
    expected = (
        key_bits * (1 - binary_entropy(qber + mu)) - 1234.5 - math.log2(2 / (1e-10**2 * 1e-15))
    )
    length = finite_key_length(
        key_bits=key_bits,
        test_bits=test_bits,
        qber=qber,
        leak_bits=1234.5,
        epsilon_sec=1e-10,
        epsilon_cor=1e-15,
    )
    assert length == math.floor(expected)


def test_finite_key_tends_to_the_asymptotic_one():
    n = 10**14
    length = finite_key_length(
        key_bits=n,
        test_bits=n,
        qber=0.03,
        leak_bits=n * binary_entropy(0.03),
        epsilon_sec=1e-10,
        epsilon_cor=1e-15,
    )
    assert length / n == pytest.approx(asymptotic_fraction(0.03), abs=1e-5)
    assert asymptotic_fraction(0.03) == pytest.approx(1 - 2 * binary_entropy(0.03), abs=1e-15)


def test_asymptotic_key_ends_at_11_percent():
    assert root(lambda q: -asymptotic_fraction(q), 0.05, 0.2) == pytest.approx(0.11003, abs=5e-6)


@pytest.mark.parametrize(
    "what", [{"key_bits": 0}, {"test_bits": 0}, {"qber": 0.5}, {"leak_bits": 1e7}, {"test_bits": 3}]
)
def test_no_key_is_a_length_of_zero(what):
    good = {"key_bits": 10**6, "test_bits": 10**5, "qber": 0.01, "leak_bits": 1e5}
    good |= {"epsilon_sec": 1e-9, "epsilon_cor": 1e-9}
    assert finite_key_length(**good) > 600_000
    assert finite_key_length(**good | what) == 0


def test_sampling_margin_is_the_closed_form():
    n, k, epsilon = 90_000, 10_000, 1e-10
    expected = math.sqrt((n + k) / (n * k) * (k + 1) / k * math.log(4 / epsilon))
    assert sampling_margin(key_bits=n, test_bits=k, epsilon_sec=epsilon) == pytest.approx(
        expected, rel=1e-14
    )
    assert expected == pytest.approx(0.0520839, abs=1e-7)


@pytest.mark.parametrize(("qber", "bits"), [(0.0093, 1807), (0.009378, 1366)])
def test_transfer_length_at_the_parameters_of_erven(qber, bits):
    leak_bits = 1.491 * 1_128_000 / 2 * binary_entropy(qber)
    found = transfer_length(erven(leak_bits=leak_bits), **ERVEN)
    assert found.bits == pytest.approx(bits, abs=1)
    assert found.coefficient == pytest.approx(0.49737, abs=5e-6)
    assert found.rate == pytest.approx(1.6303, abs=5e-5)
    assert found.exponent == pytest.approx(0.82295, abs=5e-6)
    assert found.min_entropy == pytest.approx(131_672, abs=0.5)


def test_dropped_rows_leaked_bits_and_tags_cost_what_the_formula_says():
    def bits(**figures):
        return transfer_length(erven(**figures), **ERVEN).bits

    plain = bits(leak_bits=10_000)
    assert plain - bits(leak_bits=12_000) == 2000
    assert plain - bits(leak_bits=10_000, tag_bits=23) == 46
    assert plain - bits(leak_bits=10_000, dropped=4000) == 1000


def test_no_transfer_is_a_length_of_zero():
    assert transfer_length(erven(leak_bits=70_000), **ERVEN).bits == 0
    assert transfer_length(erven(leak_bits=0, single=0), **ERVEN).bits == 0
    assert transfer_length(erven(leak_bits=0), **ERVEN | {"storage_rate": 1.0}).bits == 0


@pytest.mark.parametrize(("efficiency", "percent"), [(1, 4.17), (1.1, 3.68), (1.491, 2.48)])
def test_qber_limits_of_a_transfer(efficiency, percent):
    assert 100 * transfer_qber_limit(efficiency=efficiency) == pytest.approx(percent, abs=0.005)


def test_entropy_limit_of_a_transfer_tends_to_a_quarter():
    c = uncertainty_coefficient(10**12, 1e-7)
    assert c == pytest.approx(0.5, abs=1e-4)
    assert transfer_entropy_limit(coefficient=0.5, single=10, valid=10, efficiency=1) == 0.25


def test_capacity_limits_of_the_adversarys_memory():
    assert root(lambda r: storage_capacity(r) - 0.5, 0, 1) == pytest.approx(0.7799, abs=5e-5)
    assert root(lambda r: storage_capacity(r) - 0.25, 0, 1) == pytest.approx(0.5710, abs=5e-5)


def test_uncertainty_coefficient_is_the_maximum_over_a_fine_grid():
    for single, epsilon in [(1_049_000, 2.5e-7), (5000, 1e-6), (10**9, 1e-10)]:
        s = np.exp(np.linspace(math.log(1e-4), 0, 400_001))
        grid = (1 + s - np.log2(1 + 2**s)) / s - math.log2(1 / (2 * epsilon)) / (s * single)
        assert uncertainty_coefficient(single, epsilon) == pytest.approx(grid.max(), abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "r"), [(0.9, 0.75), (0.5, 0.5), (0.99, 0.2), (0.6, 0.75), (0.3, 0.3)]
)
def test_exponent_is_the_supremum_over_alpha(rate, r):
    alpha = 1 + np.exp(np.linspace(-12, 12, 1_000_001))
    powers = np.logaddexp2(alpha * math.log2(1 + r), alpha * math.log2(1 - r))
    grid = 1 + ((alpha - 1) * (rate - 1) - powers) / alpha
    assert strong_converse_exponent(rate, r) == pytest.approx(max(0, grid.max()), abs=1e-8)


def test_exponent_above_rate_one_has_its_limit():
    assert strong_converse_exponent(1.63030487, 0.75) == pytest.approx(
        1.63030487 - math.log2(1.75), rel=1e-12
    )
    assert strong_converse_exponent(1.0, 1.0) == 0


def test_exponent_is_zero_up_to_the_capacity():
    capacity = storage_capacity(0.6)
    assert strong_converse_exponent(0.99 * capacity, 0.6) == pytest.approx(0, abs=1e-6)
    assert strong_converse_exponent(0.5 * capacity, 0.6) == 0
    assert strong_converse_exponent(1.1 * capacity, 0.6) > 5e-4
    assert strong_converse_exponent(-1.0, 0.6) == 0


def test_hoeffding_margins_are_the_closed_forms():
    assert hoeffding_margin(8000, 1e-6) == pytest.approx(
        math.sqrt(math.log(1e6) / 16_000), rel=1e-14
    )
    assert dropped_limit(8000, 1e-6) == pytest.approx(math.sqrt(16_000 * math.log(2e6)), rel=1e-14)
