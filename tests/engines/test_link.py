"""Closed forms against literal values, 4×4 density matrices, and detectors counted out one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from caligo_mpi.engines import link
from caligo_mpi.engines.down_conversion import pdc, pdc_poisson
from caligo_mpi.engines.link import Channel, Correlation

I2 = np.eye(2)
PAULI_X, PAULI_Y, PAULI_Z = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
HADAMARD = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
PHI_PLUS = np.zeros((4, 4))
PHI_PLUS[np.ix_([0, 3], [0, 3])] = 0.5


@pytest.mark.parametrize(
    ("fidelity", "mixed", "error"),
    [
        (0.99, 0.013333, 0.0066667),
        (0.95, 0.066667, 0.033333),
        (0.92, 0.106667, 0.053333),
        (0.90, 0.133333, 0.066667),
        (0.835, 0.22, 0.11),
        (1.0, 0.0, 0.0),
        (0.25, 1.0, 0.5),
    ],
)
def test_werner_state_has_the_tabulated_error_rate(
    fidelity: float, mixed: float, error: float
) -> None:
    p = link.mixed_from_fidelity(fidelity)
    assert p == pytest.approx(mixed, abs=5e-7)
    assert link.qber(link.werner(p).z) == pytest.approx(error, abs=5e-7)
    assert link.qber(link.werner(p).x) == pytest.approx(error, abs=5e-7)
    assert link.fidelity_from_mixed(p) == pytest.approx(fidelity, abs=1e-15)


def test_pauli_errors_add_up_per_basis() -> None:
    z, x = link.bell_diagonal(0.01, 0.02, 0.04)
    assert link.qber(z) == pytest.approx(0.03, abs=1e-15)
    assert link.qber(x) == pytest.approx(0.06, abs=1e-15)


@pytest.mark.parametrize(
    ("loss_db", "gain", "error"),
    [
        (0, 1.17725e-3, 0.03567),
        (20, 1.20114e-5, 0.03884),
        (40, 1.21224e-7, 0.04243),
        (60, 1.33164e-9, 0.08340),
    ],
)
def test_down_conversion_has_the_tabulated_gain_and_error(
    loss_db: float, gain: float, error: float
) -> None:
    arm = (0.145 * link.transmission(loss_db / 2, 1.0), 6.02e-6)
    rates = pdc(2 * 0.0265, arm, arm, misalignment=0.015)
    assert rates.coincidence == pytest.approx(gain, rel=5e-6)
    assert link.qber(rates.correlation) == pytest.approx(error, abs=5e-6)


def test_transcendental_values_are_rounded_correctly() -> None:
    # exact: exp(-1.5) and 10^-0.75
    assert link.exp(-1.5) == 0.2231301601484298289332804707640125213422
    assert link.transmission(3.75, 2.0) == 0.1778279410038922801225421195192684
    assert link.transmission(0.0, 0.2) == 1.0
    assert link.dark_probability(500.0, 0.0) == 0.0
    # 1 - exp(-1e-13) = 9.9999999999995000000000000166666666666662e-14 for the floats given
    assert link.dark_probability(100.0, 1e-6) == pytest.approx(9.9999999999995e-14, rel=1e-15)
    assert link.decay(0.0, 5.0) == 1.0
    assert link.decay(3.0, 2.0) == 0.2231301601484298289332804707640125213422


def test_entropy_and_storage_capacity() -> None:
    assert link.binary_entropy(0.11) == pytest.approx(0.499915958164528, abs=1e-15)
    assert link.binary_entropy(1.0) == 0.0
    assert link.binary_entropy(0.25) == pytest.approx(0.8112781244591328, abs=1e-15)
    assert link.storage_error(0.56) == pytest.approx(0.22, abs=1e-15)
    assert link.storage_capacity(1.0) == 1.0
    assert link.storage_capacity(0.0) == 0.0
    # the noise above which interactive hashing is secure
    assert link.storage_capacity(0.7799) < 0.5 < link.storage_capacity(0.7800)


def test_every_binary_channel_is_a_symmetric_flip_and_a_one_sided_one() -> None:
    rng = np.random.default_rng(1)
    for p0, p1 in rng.random((200, 2)) / 2:
        channel = link.readout(p0, p1)
        symmetric, one_sided = (
            Channel(channel.symmetric),
            Channel(1 - abs(channel.shift), channel.shift),
        )
        assert 0 <= channel.symmetric <= 1
        assert symmetric.then(one_sided) == pytest.approx(channel, abs=1e-15)
    assert Channel(0.0, 1.0).symmetric == 0.0


# --- density matrices -----------------------------------------------------------------------


def apply(kraus: list[np.ndarray], rho: np.ndarray, side: int) -> np.ndarray:
    wide = [np.kron(k, I2) if side == 0 else np.kron(I2, k) for k in kraus]
    return sum(k @ rho @ k.conj().T for k in wide)


def pauli_channel(p_x: float, p_y: float, p_z: float) -> list[np.ndarray]:
    weights = (1 - p_x - p_y - p_z, p_x, p_y, p_z)
    return [
        math.sqrt(max(w, 0)) * m
        for w, m in zip(weights, (I2, PAULI_X, PAULI_Y, PAULI_Z), strict=True)
    ]


def depolarizing(p: float) -> list[np.ndarray]:
    return pauli_channel(p / 4, p / 4, p / 4)


def memory(gamma: float, coherence: float, formalism: str) -> list[list[np.ndarray]]:
    """Amplitude damping by gamma and dephasing to this coherence; twirled to a Pauli channel for kets."""
    if formalism == "ket":
        return [pauli_channel(gamma / 4, gamma / 4, (1 - coherence) / 2 - gamma / 4)]
    damping = [np.diag([1, math.sqrt(1 - gamma)]), np.array([[0, math.sqrt(gamma)], [0, 0]])]
    return [damping, pauli_channel(0, 0, (1 - coherence / math.sqrt(1 - gamma)) / 2)]


@pytest.mark.parametrize("formalism", ["dm", "ket"])
def test_moments_equal_those_of_density_matrices(formalism: link.Formalism) -> None:
    rng = np.random.default_rng(7)
    worst = 0.0
    for _ in range(150):
        werner, paulis = bool(rng.integers(2)), rng.dirichlet([4, 1, 1, 1])[1:]
        mixed = rng.random()
        rho = apply(depolarizing(mixed) if werner else pauli_channel(*paulis), PHI_PLUS, 1)
        correlation = link.werner(mixed) if werner else link.bell_diagonal(*paulis)
        times, t1 = rng.exponential(1, 2), rng.exponential(2, 2) + 0.1
        t2 = t1 * rng.uniform(0.1, 2, 2)
        gates, genuine, reads = rng.random(2), rng.random(2), rng.random((2, 2)) / 2
        stored = rho
        for side in (0, 1):
            gamma, coherence = (
                1 - math.exp(-times[side] / t1[side]),
                math.exp(-times[side] / t2[side]),
            )
            for kraus in memory(gamma, coherence, formalism):
                stored = apply(kraus, stored, side)
        for bases in itertools.product((link.Z, link.X), repeat=2):
            measured, channels = stored, []
            for side, basis in enumerate(bases):
                if basis == link.X:
                    measured = apply(
                        depolarizing(gates[side]), apply([HADAMARD], measured, side), side
                    )
                    channel = link.storage_x(times[side], t2[side], gates[side])
                else:
                    channel = link.storage_z(times[side], t1[side], formalism)
                measured = apply(depolarizing(1 - genuine[side]), measured, side)
                channels.append(
                    channel.then(Channel(genuine[side])).then(link.readout(*reads[side]))
                )
            read = np.kron(*[np.array([[1 - p0, p1], [p0, 1 - p1]]) for p0, p1 in reads])
            recorded = read @ np.diag(measured).real
            law = link.moments(correlation[bases[0]] if bases[0] == bases[1] else 0.0, *channels)
            formula = [law.probability(a, b) for a, b in itertools.product((0, 1), repeat=2)]
            worst = max(worst, float(np.abs(recorded - formula).max()))
    assert worst < 1e-14


# --- detectors ------------------------------------------------------------------------------


def side_law(
    photons: tuple[int, int], efficiency: float, dark: float
) -> tuple[float, float, float]:
    """P(no click), P(bit 0), P(bit 1) of two equal detectors that these photons reach; a double click is random."""
    one_dark = 1 - math.sqrt(1 - dark)
    silent = [(1 - one_dark) * (1 - efficiency) ** n for n in photons]
    both = (1 - silent[0]) * (1 - silent[1])
    return (
        silent[0] * silent[1],
        (1 - silent[0]) * silent[1] + both / 2,
        silent[0] * (1 - silent[1]) + both / 2,
    )


@pytest.mark.parametrize("dark", [0.0, 1e-3, 0.2])
@pytest.mark.parametrize("efficiency", [0.01, 0.5, 1.0])
def test_loss_and_dark_counts_scale_the_means(efficiency: float, dark: float) -> None:
    silent, zero, one = side_law((1, 0), efficiency, dark)
    assert link.click(efficiency, dark) == pytest.approx(1 - silent, rel=1e-12)
    assert link.genuine(efficiency, dark) == pytest.approx((zero - one) / (zero + one), rel=1e-12)


def test_a_side_that_never_clicks_has_no_genuine_bits() -> None:
    assert link.click(0.0, 0.0) == 0.0
    assert link.genuine(0.0, 0.0) == 0.0
    assert link.genuine(0.0, 0.5) == 0.0


@pytest.mark.parametrize("dark", [0.0, 1e-3, 0.05])
def test_down_conversion_equals_a_sum_over_photon_numbers(dark: float) -> None:
    # n pairs, m of them in the mode of bit 1 on both sides, uniformly; P(n) = (n+1) λ^n / (1+λ)^(n+2)
    lam, eta_a, eta_b = 0.4, 0.3, 0.11
    joint = np.zeros((3, 3))
    for n in range(120):
        weight = lam**n / (1 + lam) ** (n + 2)
        for m in range(n + 1):
            alice, bob = (side_law((n - m, m), eta, dark) for eta in (eta_a, eta_b))
            joint += weight * np.outer(alice, bob)
    gain = joint[1:, 1:].sum()
    error = (joint[1, 2] + joint[2, 1]) / gain
    rates = pdc(2 * lam, (eta_a, dark), (eta_b, dark))
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    assert rates.coincidence == pytest.approx(gain, rel=1e-10)
    assert rates.alice_click == pytest.approx(joint[1:].sum(), rel=1e-10)
    assert rates.bob_click == pytest.approx(joint[:, 1:].sum(), rel=1e-10)
    assert link.qber(rates.correlation) == pytest.approx(error, rel=1e-10)
    misaligned = pdc(2 * lam, (eta_a, dark), (eta_b, dark), misalignment=0.02)
    assert misaligned.correlation == pytest.approx(rates.correlation * (1 - 2 * 0.02), rel=1e-12)


@pytest.mark.parametrize("dark", [0.0, 1e-3, 0.05])
def test_poissonian_down_conversion_equals_a_sum_over_photon_numbers(dark: float) -> None:
    # Independent pairs: n by Poisson's law, each of bit 0 or 1 with probability 1/2.
    mu, eta_a, eta_b = 0.8, 0.3, 0.11
    joint = np.zeros((3, 3))
    for zeros, ones in itertools.product(range(25), repeat=2):
        n = zeros + ones
        weight = math.exp(-mu) * (mu / 2) ** n / math.factorial(zeros) / math.factorial(ones)
        alice, bob = (side_law((zeros, ones), eta, dark) for eta in (eta_a, eta_b))
        joint += weight * np.outer(alice, bob)
    gain = joint[1:, 1:].sum()
    error = (joint[1, 2] + joint[2, 1]) / gain
    rates = pdc_poisson(mu, (eta_a, dark), (eta_b, dark))
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    assert rates.coincidence == pytest.approx(gain, rel=1e-10)
    assert rates.alice_click == pytest.approx(joint[1:].sum(), rel=1e-10)
    assert rates.bob_click == pytest.approx(joint[:, 1:].sum(), rel=1e-10)
    assert link.qber(rates.correlation) == pytest.approx(error, rel=1e-10)
    misaligned = pdc_poisson(mu, (eta_a, dark), (eta_b, dark), misalignment=0.02)
    assert misaligned.correlation == pytest.approx(rates.correlation * (1 - 2 * 0.02), rel=1e-12)


@pytest.mark.parametrize(("mu", "higher"), [(1e-6, 0.0), (0.053, 0.0245), (1.0, 0.262)])
def test_poissonian_numbers_have_a_few_more_errors_and_fewer_coincidences(
    mu: float, higher: float
) -> None:
    side = (0.145, 0.0)
    thermal, poisson = pdc(mu, side, side), pdc_poisson(mu, side, side)
    ratio = link.qber(poisson.correlation) / link.qber(thermal.correlation)
    assert ratio == pytest.approx(1 + higher, abs=2e-3)
    assert poisson.coincidence <= thermal.coincidence


def test_single_clicks_complete_the_law_of_both_sides() -> None:
    # independent sides: P(A alone) = c_A (1 - c_B)
    alone, bob = link.only_clicks(0.3 * 0.2, 0.3, 0.2)
    assert alone * (1 - 0.06) == pytest.approx(0.3 * 0.8, abs=1e-15)
    assert bob * (1 - 0.06 - 0.24) == pytest.approx(0.2 * 0.7, abs=1e-15)
    assert link.only_clicks(1.0, 1.0, 1.0) == (0.0, 0.0)
    assert link.only_clicks(0.5, 1.0, 0.5) == (1.0, 0.0)


def test_moments_of_unequal_bases_factor() -> None:
    alice, bob = Channel(0.8, 0.1), Channel(0.7, -0.05)
    law = link.moments(0.0, alice, bob)
    assert law.both == pytest.approx(law.alice * law.bob, abs=1e-18)
    assert sum(law.probability(a, b) for a in (0, 1) for b in (0, 1)) == pytest.approx(1, abs=1e-15)
    assert isinstance(link.werner(0.1), Correlation)
