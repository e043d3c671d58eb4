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

#: The arithmetic in which exponentials and logarithms are taken.
DECIMAL = decimal.Context(prec=60, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


@dataclass(frozen=True, slots=True)
class Expected:
    """Closed-form rates of a configuration, against which every engine is tested.

    Probabilities are per emission for ``coincidence`` and the clicks, per sifted pair for the
    QBERs, per registered pair for ``sifted_z`` and ``sifted_x``.  ``hold`` pairs are made at once,
    in the time ``request_ns`` on average, with this variance; both are NaN without times.
    """

    qber_z: float
    qber_x: float
    sifted_z: float = 0.25
    sifted_x: float = 0.25
    coincidence: float = 1.0
    alice_click: float = 1.0
    bob_click: float = 1.0
    hold: int = 1
    request_ns: float = math.nan
    request_variance_ns2: float = math.nan


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
    both = 1 - prob_max_mixed
    return Correlation(both, both)


def bell_diagonal(p_x: float, p_y: float, p_z: float) -> Correlation:
    """Φ⁺ with a Pauli error on Bob's half, of these probabilities.

    QBER_Z = pX + pY, QBER_X = pY + pZ, and F = 1 − pX − pY − pZ.
    """
    qber_z = p_x + p_y
    qber_x = p_y + p_z
    return Correlation(1 - 2 * qber_z, 1 - 2 * qber_x)


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
        scale = later.scale * self.scale
        shift = later.scale * self.shift + later.shift
        return Channel(scale, shift)

    @property
    def symmetric(self) -> float:
        """Scale of the symmetric flip which, followed by a one-sided one, equals this channel.

        The one-sided flip takes 1 to 0 with probability ``shift`` (or 0 to 1 with ``-shift``).
        """
        room = 1 - abs(self.shift)
        if room <= 0:
            return 0.0
        return min(self.scale / room, 1.0)


def decay(time: float, constant: float) -> float:
    """What is left after ``time``, exp(−time/constant); a ``constant`` of 0 means no decay.

    >>> decay(10.0, 0.0)
    1.0
    """
    return exp(-time / constant) if constant else 1.0


def lost(time: float, *constants: float) -> float:
    """What is lost after ``time`` to decays with these constants, 1 − exp(−Σ time/constant).

    A constant of 0 means no decay.

    >>> lost(1e-12, 1.0, 1.0), lost(1.0, 0.0)
    (1.999999999998e-12, 0.0)
    """
    with decimal.localcontext(DECIMAL):
        exponent = Decimal(0)
        for constant in constants:
            if constant:
                exponent += Decimal(time) / Decimal(constant)
        kept = (-exponent).exp()
        return float(1 - kept)


def storage_z(time_ns: float, t1_ns: float, formalism: Formalism) -> Channel:
    """Relaxation before a Z measurement: M → (1 − γ)M + γ with γ = 1 − exp(−t/T1).

    The ket formalism's Pauli twirl drops the shift.
    """
    kept = decay(time_ns, t1_ns)
    shift = 1 - kept if formalism == "dm" else 0.0
    return Channel(kept, shift)


def storage_x(time_ns: float, t2_ns: float, gate_depolarizing: float) -> Channel:
    """Dephasing, then a Hadamard gate, then a measurement in Z.

    The gate replaces its qubit by I/2 with probability ``gate_depolarizing``.
    """
    kept = decay(time_ns, t2_ns)
    return Channel(kept * (1 - gate_depolarizing))


def readout(read1_given0: float, read0_given1: float) -> Channel:
    """Read-out errors: a 0 is recorded as 1, or a 1 as 0, with these probabilities."""
    scale = 1 - read1_given0 - read0_given1
    shift = read0_given1 - read1_given0
    return Channel(scale, shift)


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
        s = 1 - 2 * a
        t = 1 - 2 * b
        of_alice = s * self.alice
        of_bob = t * self.bob
        of_both = s * t * self.both
        return (1 + of_alice + of_bob + of_both) / 4


def moments(correlation: float, alice: Channel, bob: Channel) -> Moments:
    """Moments of a pair with unbiased marginals behind one channel per side.

    ``correlation`` is E of the pair itself, 0 for unequal bases.
    """
    both = alice.scale * bob.scale * correlation + alice.shift * bob.shift
    return Moments(alice.shift, bob.shift, both)


# --- loss and dark counts -------------------------------------------------------------------


def transmission(length_km: float, attenuation_db_per_km: float) -> float:
    """Probability that a fiber of this length passes a photon, 10^(−αL/10).

    >>> round(transmission(50.0, 0.2), 12)
    0.1
    """
    with decimal.localcontext(DECIMAL):
        gain_db = -Decimal(attenuation_db_per_km) * Decimal(length_km)
        log10 = gain_db / 10
        natural = log10 * Decimal(10).ln()
        return float(natural.exp())


def dark_probability(rate_hz: float, gate_ns: float) -> float:
    """Probability of at least one dark click per gate, 1 − exp(−rate·gate).

    >>> dark_probability(1000.0, 1.0)
    9.999995000001667e-07
    """
    with decimal.localcontext(DECIMAL):
        mean = Decimal(rate_hz) * Decimal(gate_ns) / 10**9
        none = (-mean).exp()
        return float(1 - none)


def click(efficiency: float, dark: float) -> float:
    """Probability that a side registers the emission, 1 − (1 − η)(1 − d)."""
    return efficiency + dark * (1 - efficiency)


def genuine(efficiency: float, dark: float) -> float:
    """Scale √(1−d)·η/c of M at a registered emission, whose probability is c.

    The bit is the photon's, or random where a dark count replaces it.  A side has two equal
    detectors and gives a double click a random bit.
    """
    registered = click(efficiency, dark)
    if not registered:
        return 0.0
    return math.sqrt(1 - dark) * efficiency / registered


def only_clicks(coincidence: float, alice: float, bob: float) -> tuple[float, float]:
    """Conditional probabilities that one side alone registers an emission.

    The first is that Alice does where there is no coincidence, the second that Bob does where
    there is none and Alice did not either.
    """
    alice_only = _part(alice - coincidence, 1 - coincidence)
    bob_only = _part(bob - coincidence, 1 - alice)
    return alice_only, bob_only


def _part(part: float, whole: float) -> float:
    """The ratio, kept to a probability against rounding; 0 of nothing."""
    if whole <= 0:
        return 0.0
    return min(max(part / whole, 0.0), 1.0)


# --- information ----------------------------------------------------------------------------


def exp(x: float) -> float:
    """Exponential, correctly rounded on every machine."""
    with decimal.localcontext(DECIMAL):
        return float(Decimal(x).exp())


def binary_entropy(p: float) -> float:
    """−p·log2 p − (1−p)·log2(1−p), in bits.

    >>> binary_entropy(0.5), binary_entropy(0.0)
    (1.0, 0.0)
    >>> round(binary_entropy(0.11), 6)
    0.499916
    """
    with decimal.localcontext(DECIMAL):
        q = Decimal(p)
        nats = Decimal(0)
        for part in (q, 1 - q):
            if part:
                nats -= part * part.ln()
        return float(nats / Decimal(2).ln())


def storage_error(r: float) -> float:
    """Error rate (1 − r)/2 of a bit kept in the depolarizing memory N_r(ρ) = rρ + (1 − r)·I/2."""
    return (1 - r) / 2


def storage_capacity(r: float) -> float:
    """Classical capacity C_N = 1 − h((1 + r)/2) of that memory, in bits per qubit.

    >>> round(storage_capacity(0.7799), 3)
    0.5
    """
    return 1 - binary_entropy((1 + r) / 2)
