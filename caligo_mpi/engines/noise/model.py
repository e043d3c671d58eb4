"""From the configuration to the noise model: click probabilities, channels, thresholds, rates."""

from __future__ import annotations

from math import ldexp
from typing import TYPE_CHECKING, NamedTuple

from ...config import LinkConfig
from ...errors import ConfigError
from .. import link
from ..down_conversion import pdc, pdc_poisson
from ..draws import read_errors
from ..link import Channel, Correlation, Expected, X, Z

if TYPE_CHECKING:
    from ...config import ArmConfig, NoiseConfig, PdcSource, SideConfig


class Model(NamedTuple):
    """A configuration in the terms of `link`; channels are one per basis."""

    correlation: Correlation
    alice: tuple[Channel, Channel]
    bob: tuple[Channel, Channel]
    coincidence: float = 1.0
    alice_click: float = 1.0
    bob_click: float = 1.0


def describe(config: NoiseConfig) -> Model:
    """The configuration's pair, channels and click probabilities.

    Raises `ConfigError` for what a down-conversion source cannot express, and for a missing link.
    """
    alice_arm = bob_arm = (1.0, 0.0)
    if config.loss is not None:
        alice_arm = arm_rates(config.loss.alice)
        bob_arm = arm_rates(config.loss.bob)
    if config.source.type == "pdc":
        return _pdc_model(config, config.source, alice_arm, bob_arm)
    alice_click = link.click(*alice_arm)
    bob_click = link.click(*bob_arm)
    return Model(
        correlation=_correlation(config.link),
        alice=_channels(config.alice, config.formalism, link.genuine(*alice_arm)),
        bob=_channels(config.bob, config.formalism, link.genuine(*bob_arm)),
        coincidence=alice_click * bob_click,
        alice_click=alice_click,
        bob_click=bob_click,
    )


def _pdc_model(
    config: NoiseConfig,
    source: PdcSource,
    alice: tuple[float, float],
    bob: tuple[float, float],
) -> Model:
    if config.link is not None:
        raise ConfigError(
            "engine.link is given with source.type=pdc, which makes its own state; "
            "leave the link out"
        )
    for name, side in (("alice", config.alice), ("bob", config.bob)):
        for field in ("storage_time_ns", "T1_ns", "T2_ns", "gate_depolarizing"):
            value = getattr(side, field)
            if value:
                raise ConfigError(
                    f"engine.{name}.{field}={value} with source.type=pdc, "
                    "whose photons are not stored; leave it out"
                )
    law = pdc_poisson if source.statistics == "poisson" else pdc
    rates = law(source.mu, alice, bob, misalignment=source.misalignment)
    alice_readout = readout_of(config.alice)
    bob_readout = readout_of(config.bob)
    return Model(
        correlation=Correlation(rates.correlation, rates.correlation),
        alice=(alice_readout, alice_readout),
        bob=(bob_readout, bob_readout),
        coincidence=rates.coincidence,
        alice_click=rates.alice_click,
        bob_click=rates.bob_click,
    )


def _correlation(config: object) -> Correlation:
    if not isinstance(config, LinkConfig):
        raise ConfigError(
            "engine.link is missing; give exactly one of fidelity, prob_max_mixed, pauli"
        )
    if config.pauli is not None:
        return link.bell_diagonal(*config.pauli)
    if config.prob_max_mixed is not None:
        return link.werner(config.prob_max_mixed)
    fidelity = 1.0 if config.fidelity is None else config.fidelity
    return link.werner(link.mixed_from_fidelity(fidelity))


def _channels(
    side: SideConfig, formalism: link.Formalism, genuine: float
) -> tuple[Channel, Channel]:
    """What a side does to its bit in Z and in X: storage, then detection, then read-out."""
    stored_z = link.storage_z(side.storage_time_ns, side.T1_ns, formalism)
    stored_x = link.storage_x(side.storage_time_ns, side.T2_ns, side.gate_depolarizing)
    detected = Channel(genuine)
    read = readout_of(side)
    in_z = stored_z.then(detected).then(read)
    in_x = stored_x.then(detected).then(read)
    return in_z, in_x


def readout_of(side: SideConfig) -> Channel:
    """What a side's read-out does to its bit."""
    return link.readout(*read_errors(side))


def arm_rates(arm: ArmConfig) -> tuple[float, float]:
    """Probability that a side detects its photon, and its dark-count probability."""
    fiber = link.transmission(arm.length_km, arm.attenuation_db_per_km)
    dark = arm.dark_count_probability or 0.0
    if arm.dark_count_rate_hz:
        gate = arm.gate_width_ns or 0.0
        dark = link.dark_probability(arm.dark_count_rate_hz, gate)
    efficiency = fiber * arm.coupling * arm.detector_efficiency
    return efficiency, dark


def expected_rates(config: NoiseConfig, model: Model) -> Expected:
    """QBERs, sifting and click probabilities of the configuration in closed form."""
    errors = []
    for basis in (Z, X):
        recorded = link.moments(
            model.correlation[basis],
            model.alice[basis],
            model.bob[basis],
        )
        errors.append(link.qber(recorded.both))
    alice_x = config.alice.basis_bias
    bob_x = config.bob.basis_bias
    return Expected(
        qber_z=errors[Z],
        qber_x=errors[X],
        sifted_z=(1 - alice_x) * (1 - bob_x),
        sifted_x=alice_x * bob_x,
        coincidence=model.coincidence,
        alice_click=model.alice_click,
        bob_click=model.bob_click,
    )


def integer_thresholds(config: NoiseConfig, model: Model) -> dict[str, object]:
    """All probabilities that decide a bit, in units of 2^-64, rounded; names as in `Law`."""
    flips = []
    for basis in (Z, X):
        alice = model.alice[basis]
        bob = model.bob[basis]
        kept = model.correlation[basis] * alice.symmetric * bob.symmetric
        flips.append(link.qber(kept))
    alice_only, bob_only = link.only_clicks(
        model.coincidence,
        model.alice_click,
        model.bob_click,
    )
    probabilities = {
        "alice_x": config.alice.basis_bias,
        "bob_x": config.bob.basis_bias,
        "flip_z": flips[Z],
        "flip_x": flips[X],
        "alice_fall_z": model.alice[Z].shift,
        "alice_fall_x": model.alice[X].shift,
        "bob_fall_z": model.bob[Z].shift,
        "bob_fall_x": model.bob[X].shift,
        "coincidence": model.coincidence,
        "alice_only": alice_only,
        "bob_only": bob_only,
    }
    thresholds: dict[str, object] = {}
    for name, probability in probabilities.items():
        thresholds[name] = round(ldexp(probability, 64))
    return thresholds
