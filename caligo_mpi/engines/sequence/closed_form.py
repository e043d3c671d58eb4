"""What SeQUeNCe's models amount to: rates and times by closed forms, without SeQUeNCe.

Barrett–Kok has two rounds.  In each, a memory in |1⟩ sends a photon; the station's click, one
window of time wide, is believed if there was an odd number of them.  SeQUeNCe measures the two
memories when the photons meet: with probability ½ exactly one photon is there, and the memories
are entangled; else both or none, and only a dark count can make two such rounds a success.
Two photons in one round take detectors at random: SeQUeNCe has no bunching.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

from ...config import SequenceConfig
from ...config.sequence import SequenceArmConfig, SequenceLinkConfig, SequenceLossConfig
from .. import link
from ..down_conversion import pdc_poisson
from ..draws import read_errors
from ..link import Expected

PS_PER_NS = 1000
#: Light in fiber, 200,000 km/s.
PS_PER_KM = 5_000_000
#: SeQUeNCe's protocol waits this long after a click could have been told (ps).
_GAP = 10
#: The photons arrive this long before their window ends (ps), so that no click of it comes late.
_MARGIN = 5


class Timing(NamedTuple):
    """Delays of a Barrett–Kok link in whole picoseconds.

    ``window`` is the detectors' time resolution, ``photon`` the way to the station, ``told`` a
    message from there, ``between`` a message from one node to the other.  A round, which takes all
    of them and two messages between the nodes, is a whole number of windows.
    """

    window: int
    photon: int
    told: int
    between: int

    @property
    def after(self) -> int:
        """From the photons' departure until both nodes know about their round."""
        return self.photon + self.told + _GAP

    @property
    def round(self) -> int:
        """From round to round: the nodes agree by two messages, then their photons leave."""
        return self.after + 2 * self.between


def up(time: int, window: int) -> int:
    """The next multiple of the window.

    >>> up(1001, 1000), up(2000, 1000)
    (2000, 2000)
    """
    return -(-time // window) * window


def timing(config: SequenceLinkConfig) -> Timing:
    """The delays of a link, light's way but for a window: photons arrive at the end of one.

    The station's message is late by what is missing to whole windows, and at least half of one: a
    click that counts is then told when both nodes, not just one, know when to expect it.
    """
    half_window = round(config.window_ns * PS_PER_NS / 2)
    window = 2 * half_window
    way = round(config.length_km / 2 * PS_PER_KM)
    whole_windows = way // window * window
    photon = whole_windows + half_window - _MARGIN
    between = max(1, 2 * way)
    others = photon + _GAP + 2 * between
    least = max(way, half_window)
    told = up(others + least, window) - others
    return Timing(window, photon, told, between)


class Rounds(NamedTuple):
    """An attempt of Barrett–Kok: both rounds' success, and error rates of the pairs.

    ``first`` is the probability that round one is believed, ``both`` that both are.
    """

    first: float
    both: float
    qber_z: float
    qber_x: float

    @property
    def second(self) -> float:
        """Probability that a failed attempt had a second round."""
        failure = 1 - self.both
        if not failure:
            return 0.0
        return (self.first - self.both) / failure


def rounds(config: SequenceLinkConfig) -> Rounds:
    """The law of one attempt, before memories wait and read-out."""
    half_length = config.length_km / 2
    fiber = link.transmission(half_length, config.attenuation_db_per_km)
    q = (1 - config.p_loss_init) * fiber * config.detector_efficiency
    window = timing(config).window
    clicks = 2 * config.dark_count_rate_hz * window * 1e-12
    parity = link.exp(-2 * clicks)
    odd = (1 - parity) / 2
    one = q * (1 - odd) + (1 - q) * odd
    one_arrives = 2 * q * (1 - q)
    alone = one_arrives + q * q / 2
    two = alone * (1 - odd) + (1 - alone) * odd
    entangled = one * one / 2
    dark = (two * odd + odd * two) / 4
    both = entangled + dark
    first = one / 2 + two / 4 + odd / 4
    photon_seen = q * (1 - odd)
    seen = photon_seen**2 / 2
    mixed = link.mixed_from_fidelity(config.fidelity)
    wrong_z = entangled * mixed / 2 + dark
    unseen = both - seen
    wrong_x = seen * mixed / 2 + unseen / 2
    return Rounds(
        first,
        both,
        wrong_z / both,
        wrong_x / both,
    )


def expected(config: SequenceConfig) -> Expected:
    """Rates and times of a configuration.

    They are unknown, NaN, for down-conversion with detectors that are blind after a click.
    """
    if config.mode == "barrett_kok":
        return _of_memories(config)
    return _of_photons(config)


def _sifted(config: SequenceConfig) -> tuple[float, float]:
    """Probabilities that both measure in Z, and both in X."""
    alice_x = config.alice.basis_bias
    bob_x = config.bob.basis_bias
    return (1 - alice_x) * (1 - bob_x), alice_x * bob_x


def _of_memories(config: SequenceConfig) -> Expected:
    assert config.link is not None
    law = rounds(config.link)
    kept_z = kept_x = 1.0
    for side in (config.alice, config.bob):
        kept_z *= link.decay(side.storage_time_ns, side.T1_ns)
        kept_x *= link.decay(side.storage_time_ns, side.T2_ns)
    correlation_z = kept_z * (1 - 2 * law.qber_z)
    correlation_x = kept_x * (1 - 2 * law.qber_x)
    qber_z = _recorded(config, correlation_z)
    qber_x = _recorded(config, correlation_x)
    mean, variance = _request_time(config, law)
    return Expected(
        qber_z,
        qber_x,
        *_sifted(config),
        hold=1,
        request_ns=mean,
        request_variance_ns2=variance,
    )


def _request_time(config: SequenceConfig, law: Rounds) -> tuple[float, float]:
    """Mean (ns) and variance (ns²) of a pair's time.

    A failed attempt takes one round or two, and 1/both − 1 of them fail on average.
    """
    assert config.link is not None
    found = timing(config.link)
    period = found.round / PS_PER_NS
    failure = 1 - law.both
    failures = failure / law.both
    second = law.second
    of_failure = period * (1 + second)
    of_success = 2 * period
    stored = busy(config, found) / PS_PER_NS
    mean = failures * of_failure + of_success + stored
    spread = failures * period**2 * second * (1 - second)
    variance = spread + of_failure**2 * failure / law.both**2
    return mean, variance


def equal_attempts(config: SequenceConfig) -> tuple[float, float]:
    """Duration (ns) and probability of success of attempts, all as long, that wait as this link does.

    SeQUeNCe's attempts take one round or two; mean and variance of the time until a pair, its storage
    aside, are those of such attempts, c/p and c²(1 − p)/p².  They are the noise engine's
    ``cycle_time_ns`` and ``prob_success``.
    """
    assert config.link is not None
    law = rounds(config.link)
    mean, variance = _request_time(config, law)
    stored = busy(config, timing(config.link)) / PS_PER_NS
    waiting = mean - stored
    success = 1 - variance / waiting**2
    return waiting * success, success


def busy(config: SequenceConfig, found: Timing) -> int:
    """How long a pair's storage keeps both memories from the next attempt (ps), in whole windows."""
    longest = max(config.alice.storage_time_ns, config.bob.storage_time_ns)
    stored = round(longest * PS_PER_NS)
    return up(stored, found.window)


def _recorded(config: SequenceConfig, correlation: float) -> float:
    """The QBER after read-out, from the mean product of signs before."""
    a = link.readout(*read_errors(config.alice))
    b = link.readout(*read_errors(config.bob))
    recorded = link.moments(correlation, a, b)
    return link.qber(recorded.both)


def _of_photons(config: SequenceConfig) -> Expected:
    """Poissonian down-conversion; a side's two detectors have dark counts of half its rate each."""
    assert config.source is not None
    period_ns = config.source.period_ns
    period = round(period_ns * PS_PER_NS) / PS_PER_NS
    loss = config.loss or SequenceLossConfig()
    error = coincidence = alice_click = bob_click = nan
    if not (loss.alice.dead_time_ns or loss.bob.dead_time_ns):
        alice = efficiency_and_dark(loss.alice, period_ns)
        bob = efficiency_and_dark(loss.bob, period_ns)
        found = pdc_poisson(config.source.mu, alice, bob)
        error = _recorded(config, found.correlation)
        coincidence, alice_click, bob_click, _ = found
    return Expected(
        error,
        error,
        *_sifted(config),
        coincidence,
        alice_click,
        bob_click,
        request_ns=period,
        request_variance_ns2=0.0,
    )


def efficiency_and_dark(arm: SequenceArmConfig, period_ns: float) -> tuple[float, float]:
    """Probability that a side detects its photon, and that of a dark click in a gate."""
    fiber = link.transmission(arm.length_km, arm.attenuation_db_per_km)
    gate = gate_ns(arm, period_ns)
    dark = link.dark_probability(arm.dark_count_rate_hz, gate)
    return fiber * arm.detector_efficiency, dark


def gate_ns(arm: SequenceArmConfig, period_ns: float) -> float:
    """How long clicks count around a pulse's arrival."""
    return period_ns if arm.gate_width_ns is None else arm.gate_width_ns
