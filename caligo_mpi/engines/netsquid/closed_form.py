"""Closed-form error rates of the NetSquid engine, idle times of held qubits included."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from ...config import (
    HeraldedLinkConfig,
    NetsquidConfig,
    NetsquidLinkConfig,
)
from ..draws import read_errors
from ..link import Expected, decay, mixed_from_fidelity, qber, readout

_LIGHT_KM_PER_S = 200_000
_DEFAULT_CYCLE_NS = 1000.0


def cycle_time(link: NetsquidLinkConfig | HeraldedLinkConfig) -> float:
    """Nanoseconds per attempt of the link; light crosses the whole fiber in each, to the middle and back."""
    if link.length_km is not None:
        seconds = link.length_km / _LIGHT_KM_PER_S
        return seconds * 1e9
    if isinstance(link, NetsquidLinkConfig) and link.cycle_time_ns is not None:
        return link.cycle_time_ns
    return _DEFAULT_CYCLE_NS


def prob_max_mixed(link: NetsquidLinkConfig) -> float:
    """The weight p of I/4 in the link's state."""
    if link.fidelity is not None:
        return mixed_from_fidelity(link.fidelity)
    return link.prob_max_mixed or 0.0


def expected(config: NetsquidConfig, hold: int) -> Expected:
    """Rates per sifted pair, averaged over the ``hold`` positions in memory.

    The QBERs are NaN for heralded links: theirs have no closed form here.
    """
    bias_a = config.alice.basis_bias
    bias_b = config.bob.basis_bias
    return Expected(
        qber_z=qber(_correlation_z(config, hold)),
        qber_x=qber(_correlation_x(config, hold)),
        sifted_z=(1 - bias_a) * (1 - bias_b),
        sifted_x=bias_a * bias_b,
    )


def _correlation_z(config: NetsquidConfig, hold: int) -> float:
    """Mean product of the signs (-1)^bit recorded in Z.

    T1 lets bits fall to 0, and in density matrices fallen bits agree.
    """
    if not isinstance(config.link, NetsquidLinkConfig):
        return nan
    w = 1 - prob_max_mixed(config.link)
    kept = _survivals(
        config,
        config.link,
        config.device.T1_ns,
        hold,
    )
    if config.formalism == "ket":
        product = sum(w * k.both for k in kept) / hold
        return _recorded(config, product)
    signs = [w * k.both + 1 - k.alice - k.bob + k.both for k in kept]
    product = sum(signs) / hold
    mean_a = sum(1 - k.alice for k in kept) / hold
    mean_b = sum(1 - k.bob for k in kept) / hold
    return _recorded(config, product, mean_a, mean_b)


def _correlation_x(config: NetsquidConfig, hold: int) -> float:
    """Mean product of the signs (-1)^bit recorded in X.

    Each side applies a Hadamard gate first, which depolarizes.
    """
    if not isinstance(config.link, NetsquidLinkConfig):
        return nan
    gates = (1 - config.device.gate_depolarizing) ** 2
    w = (1 - prob_max_mixed(config.link)) * gates
    kept = _survivals(
        config,
        config.link,
        config.device.T2_ns,
        hold,
    )
    product = sum(w * k.both for k in kept) / hold
    return _recorded(config, product)


def _recorded(
    config: NetsquidConfig,
    product: float,
    mean_a: float = 0.0,
    mean_b: float = 0.0,
) -> float:
    """Mean product of signs after read-out, from its value and both sides' means before."""
    a = readout(*read_errors(config.alice))
    b = readout(*read_errors(config.bob))
    with_sign_a = b.scale * product + b.shift * mean_a
    alone = b.scale * mean_b + b.shift
    return a.scale * with_sign_a + a.shift * alone


@dataclass(frozen=True)
class _Survival:
    """Means of exp(−(t_A + t_B)/T), exp(−t_A/T) and exp(−t_B/T) over a qubit pair's idle times."""

    both: float
    alice: float
    bob: float


def _survivals(
    config: NetsquidConfig,
    link: NetsquidLinkConfig,
    time: float,
    hold: int,
) -> list[_Survival]:
    """One for each of the ``hold`` positions in memory; T = ``time`` (ns), and 0 means no decay.

    A held qubit waits for the pairs after it, the same on both sides (cycles until success), and
    for the read-out of those before it: a measurement each, and a gate where that one was in X.
    """
    if not time:
        return [_Survival(1.0, 1.0, 1.0)] * hold
    reading_a = _reading(config, config.alice.basis_bias, time)
    reading_b = _reading(config, config.bob.basis_bias, time)
    attempting_one = _attempting(link, time)
    attempting_two = _attempting(link, time / 2)
    kept = []
    for before in range(hold):
        after = hold - 1 - before
        alice = reading_a**before
        bob = reading_b**before
        once = attempting_one**after
        twice = attempting_two**after
        survival = _Survival(
            both=twice * alice * bob,
            alice=once * alice,
            bob=once * bob,
        )
        kept.append(survival)
    return kept


def _attempting(link: NetsquidLinkConfig, time: float) -> float:
    """Mean of exp(−t/T) over the time t until the link succeeds."""
    cycle = decay(cycle_time(link), time)
    failure = 1 - link.prob_success
    return link.prob_success * cycle / (1 - failure * cycle)


def _reading(config: NetsquidConfig, bias: float, time: float) -> float:
    """Mean of exp(−t/T) over the time t that a side takes to read one qubit."""
    gate = decay(config.device.single_qubit_gate_time_ns, time)
    measurement = decay(config.device.measure_time_ns, time)
    return measurement * (1 - bias + bias * gate)
