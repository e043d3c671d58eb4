"""Noise parameters to error and coincidence probabilities: closed forms only.

Bases are 0 = Z and 1 = X; the target state is Φ⁺, so equal bases give equal bits.
A pair is described by its correlation ``E = ⟨(-1)^(a+b)⟩`` in each basis, and everything
one side does to its bit (relaxation, lost photons replaced by dark counts, read-out) by a
`Channel` on the mean of ``(-1)^bit``.  What both sides record for bases (A, B) is then

    P(a, b | A, B) = ¼ [1 + (-1)^a M_A + (-1)^b M_B + (-1)^(a+b) E]

with the `Moments` (M_A, M_B, E).  QBER = (1 - E)/2.

The results are the same floats on every machine: + − × ÷ and square roots are exact by
IEEE 754, and exponentials and logarithms are taken in decimal arithmetic.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

Formalism = Literal["dm", "ket"]
Z, X = 0, 1

_DECIMAL = decimal.Context(prec=60, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


@dataclass(frozen=True, slots=True)
class Expected:
    """Closed-form rates of a configuration, against which every engine is tested.

    Probabilities are per emission for ``coincidence`` and the clicks, per sifted pair for the
    QBERs, per registered pair for ``sifted_z`` and ``sifted_x``.
    """

    qber_z: float
    qber_x: float
    sifted_z: float = 0.25
    sifted_x: float = 0.25
    coincidence: float = 1.0
    alice_click: float = 1.0
    bob_click: float = 1.0


# --- the delivered pair ---------------------------------------------------------------------


class Correlation(NamedTuple):
    """E of the pair where both measure in Z, or both in X; with unequal bases it is 0."""

    z: float
    x: float


def mixed_from_fidelity(fidelity: float) -> float:
    """Weight p of I/4 in the Werner state of fidelity F = ⟨Φ⁺|ρ|Φ⁺⟩: p = 4(1 − F)/3.

    >>> round(mixed_from_fidelity(0.95), 6)
    0.066667
    """
    return 4 * (1 - fidelity) / 3


def fidelity_from_mixed(prob_max_mixed: float) -> float:
    """Fidelity of (1 − p)|Φ⁺⟩⟨Φ⁺| + p·I/4: F = 1 − 3p/4.

    >>> fidelity_from_mixed(0.22)
    0.835
    """
    return 1 - 3 * prob_max_mixed / 4


def werner(prob_max_mixed: float) -> Correlation:
    """Correlation 1 − p, so QBER = p/2 = 2(1 − F)/3 (not 1 − F, nor (1 − F)/2).

    >>> round(qber(werner(mixed_from_fidelity(0.9)).z), 6)
    0.066667
    """
    return Correlation(1 - prob_max_mixed, 1 - prob_max_mixed)


def bell_diagonal(p_x: float, p_y: float, p_z: float) -> Correlation:
    """Φ⁺ with a Pauli error on Bob's half: QBER_Z = pX + pY, QBER_X = pY + pZ, F = 1 − pX − pY − pZ."""
    return Correlation(1 - 2 * (p_x + p_y), 1 - 2 * (p_y + p_z))


def qber(correlation: float) -> float:
    """Probability of unequal bits, (1 − E)/2."""
    return (1 - correlation) / 2


# --- what one side does to its bit ----------------------------------------------------------


class Channel(NamedTuple):
    """The map M → scale·M + shift of the mean of (-1)^bit; every binary channel is one."""

    scale: float = 1.0
    shift: float = 0.0

    def then(self, later: Channel) -> Channel:
        """First this channel, then ``later``.

        >>> Channel(0.5, 0.25).then(Channel(0.5, 0.25))
        Channel(scale=0.25, shift=0.375)
        """
        return Channel(later.scale * self.scale, later.scale * self.shift + later.shift)

    @property
    def symmetric(self) -> float:
        """Scale of the symmetric flip which, followed by a one-sided one, equals this channel.

        The one-sided flip takes 1 to 0 with probability ``shift`` (or 0 to 1 with ``-shift``).
        """
        room = 1 - abs(self.shift)
        return min(self.scale / room, 1.0) if room > 0 else 0.0


def decay(time: float, constant: float) -> float:
    """Exp(−time/constant), and 1 where ``constant`` is 0, which means off.

    >>> decay(10.0, 0.0)
    1.0
    """
    return exp(-time / constant) if constant else 1.0


def storage_z(time_ns: float, t1_ns: float, formalism: Formalism) -> Channel:
    """Relaxation before a Z measurement: M → (1 − γ)M + γ with γ = 1 − exp(−t/T1).

    The ket formalism's Pauli twirl drops the shift.
    """
    kept = decay(time_ns, t1_ns)
    return Channel(kept, 1 - kept if formalism == "dm" else 0.0)


def storage_x(time_ns: float, t2_ns: float, gate_depolarizing: float) -> Channel:
    """Dephasing, then the Hadamard gate (its qubit replaced by I/2 with that probability), then Z."""
    return Channel(decay(time_ns, t2_ns) * (1 - gate_depolarizing))


def readout(read1_given0: float, read0_given1: float) -> Channel:
    """Read-out errors of the recorded bit."""
    return Channel(1 - read1_given0 - read0_given1, read0_given1 - read1_given0)


# --- what both record -----------------------------------------------------------------------


class Moments(NamedTuple):
    """Means of (-1)^a and (-1)^b, and of their product."""

    alice: float
    bob: float
    both: float

    def probability(self, a: int, b: int) -> float:
        """P(a, b).

        >>> Moments(0.0, 0.0, 0.5).probability(0, 1)
        0.125
        """
        s, t = 1 - 2 * a, 1 - 2 * b
        return (1 + s * self.alice + t * self.bob + s * t * self.both) / 4


def moments(correlation: float, alice: Channel, bob: Channel) -> Moments:
    """Moments of a pair with unbiased marginals behind one channel per side; E = 0 for unequal bases."""
    both = alice.scale * bob.scale * correlation + alice.shift * bob.shift
    return Moments(alice.shift, bob.shift, both)


# --- loss and dark counts -------------------------------------------------------------------


def transmission(length_km: float, attenuation_db_per_km: float) -> float:
    """10^(−αL/10).

    >>> round(transmission(50.0, 0.2), 12)
    0.1
    """
    with decimal.localcontext(_DECIMAL):
        return float(
            (-Decimal(attenuation_db_per_km) * Decimal(length_km) / 10 * Decimal(10).ln()).exp()
        )


def dark_probability(rate_hz: float, gate_ns: float) -> float:
    """Probability of at least one dark click per gate, 1 − exp(−rate·gate).

    >>> dark_probability(1000.0, 1.0)
    9.999995000001667e-07
    """
    with decimal.localcontext(_DECIMAL):
        return float(1 - (-Decimal(rate_hz) * Decimal(gate_ns) / 10**9).exp())


def click(efficiency: float, dark: float) -> float:
    """Probability that a side registers the emission, 1 − (1 − η)(1 − d)."""
    return efficiency + dark * (1 - efficiency)


def genuine(efficiency: float, dark: float) -> float:
    """Scale √(1−d)·η/c of M at a registered emission: the bit is the photon's, else it is random.

    Two equal detectors per side; a double click is given a random bit.
    """
    registered = click(efficiency, dark)
    return math.sqrt(1 - dark) * efficiency / registered if registered else 0.0


def only_clicks(coincidence: float, alice: float, bob: float) -> tuple[float, float]:
    """P(Alice alone clicked | no coincidence) and P(Bob did | neither that nor Alice)."""
    alone = (
        min(max((alice - coincidence) / (1 - coincidence), 0.0), 1.0) if coincidence < 1 else 0.0
    )
    return alone, min(max((bob - coincidence) / (1 - alice), 0.0), 1.0) if alice < 1 else 0.0


# --- down-conversion source -----------------------------------------------------------------


class Pdc(NamedTuple):
    """Rates of a down-conversion source per pulse: coincidences Q, clicks per side, and E = 1 − 2·error rate."""

    coincidence: float
    alice_click: float
    bob_click: float
    correlation: float


def pdc(
    mu: float, alice: tuple[float, float], bob: tuple[float, float], *, misalignment: float = 0.0
) -> Pdc:
    """Entangled pairs by down-conversion, Ma, Fung and Lo, Phys. Rev. A 76, 012307 (2007).

    Sides are (efficiency η, background probability Y0); ``mu`` is the mean number of pairs per pulse,
    2λ in the paper.  The paper takes √((1−Y0A)(1−Y0B)) for 1, which matters from Y0 ≈ 1e-3 on.

    >>> dark = 6.02e-6
    >>> rates = pdc(0.053, (0.145, dark), (0.145, dark), misalignment=0.015)
    >>> f"{rates.coincidence:.5e} {qber(rates.correlation):.5f}"
    '1.17725e-03 0.03567'
    """
    with decimal.localcontext(_DECIMAL):
        lam = Decimal(mu) / 2
        (eta_a, eta_b), (none_a, none_b) = zip(
            *((Decimal(e), 1 - Decimal(y)) for e, y in (alice, bob)), strict=True
        )
        empty_a, empty_b = 1 + eta_a * lam, 1 + eta_b * lam
        empty = empty_a + eta_b * lam - eta_a * eta_b * lam
        silent_a, silent_b = none_a / empty_a**2, none_b / empty_b**2
        gain = 1 - silent_a - silent_b + none_a * none_b / empty**2
        signal = eta_a * eta_b * lam * (1 + lam) / (empty_a * empty_b * empty)
        both = (none_a * none_b).sqrt() * 2 * (1 - 2 * Decimal(misalignment)) * signal
        return Pdc(
            float(gain),
            float(1 - silent_a),
            float(1 - silent_b),
            float(both / gain) if gain else 0.0,
        )


# --- information ----------------------------------------------------------------------------


def exp(x: float) -> float:
    """Exponential, correctly rounded on every machine."""
    with decimal.localcontext(_DECIMAL):
        return float(Decimal(x).exp())


def binary_entropy(p: float) -> float:
    """−p·log2 p − (1−p)·log2(1−p), in bits.

    >>> binary_entropy(0.5), binary_entropy(0.0)
    (1.0, 0.0)
    >>> round(binary_entropy(0.11), 6)
    0.499916
    """
    with decimal.localcontext(_DECIMAL):
        parts = [q for q in (Decimal(p), 1 - Decimal(p)) if q]
        return float(-sum(q * q.ln() for q in parts) / Decimal(2).ln())


def storage_error(r: float) -> float:
    """Error rate (1 − r)/2 of a bit kept in the depolarizing memory N_r(ρ) = rρ + (1 − r)·I/2."""
    return (1 - r) / 2


def storage_capacity(r: float) -> float:
    """Classical capacity C_N = 1 − h((1 + r)/2) of that memory, in bits per qubit.

    >>> round(storage_capacity(0.7799), 3)
    0.5
    """
    return 1 - binary_entropy((1 + r) / 2)
