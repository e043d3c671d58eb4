"""From the configuration to the noise model: click probabilities, channels, thresholds, rates."""

from __future__ import annotations

from math import ldexp
from typing import TYPE_CHECKING, NamedTuple

from ...errors import ConfigError
from .. import link
from ..link import Channel, Correlation, Expected, X, Z

if TYPE_CHECKING:
    from ...config import ArmConfig, LinkConfig, NoiseConfig, PdcSource, SideConfig


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
    arms = (
        [(1.0, 0.0)] * 2
        if config.loss is None
        else [arm_rates(config.loss.alice), arm_rates(config.loss.bob)]
    )
    if config.source.type == "pdc":
        return _pdc_model(config, config.source, *arms)
    alice_click, bob_click = (link.click(*arm) for arm in arms)
    return Model(
        _correlation(config.link),
        _channels(config.alice, config.formalism, link.genuine(*arms[0])),
        _channels(config.bob, config.formalism, link.genuine(*arms[1])),
        alice_click * bob_click,
        alice_click,
        bob_click,
    )


def _pdc_model(
    config: NoiseConfig, source: PdcSource, alice: tuple[float, float], bob: tuple[float, float]
) -> Model:
    if config.link is not None:
        raise ConfigError(
            "engine.link is given with source.type=pdc, which makes its own state; leave the link out"
        )
    for name, side in (("alice", config.alice), ("bob", config.bob)):
        for field in ("storage_time_ns", "T1_ns", "T2_ns", "gate_depolarizing"):
            if getattr(side, field):
                raise ConfigError(
                    f"engine.{name}.{field}={getattr(side, field)} with source.type=pdc, whose photons are not stored; "
                    "leave it out"
                )
    rates = link.pdc(source.mu, alice, bob, misalignment=source.misalignment)
    return Model(
        Correlation(rates.correlation, rates.correlation),
        (_readout(config.alice),) * 2,
        (_readout(config.bob),) * 2,
        rates.coincidence,
        rates.alice_click,
        rates.bob_click,
    )


def _correlation(config: LinkConfig | None) -> Correlation:
    if config is None:
        raise ConfigError(
            "engine.link is missing; give exactly one of fidelity, prob_max_mixed, pauli"
        )
    if config.pauli is not None:
        return link.bell_diagonal(*config.pauli)
    if config.prob_max_mixed is not None:
        return link.werner(config.prob_max_mixed)
    return link.werner(
        link.mixed_from_fidelity(1.0 if config.fidelity is None else config.fidelity)
    )


def _channels(
    side: SideConfig, formalism: link.Formalism, genuine: float
) -> tuple[Channel, Channel]:
    stored = (
        link.storage_z(side.storage_time_ns, side.T1_ns, formalism),
        link.storage_x(side.storage_time_ns, side.T2_ns, side.gate_depolarizing),
    )
    z, x = (channel.then(Channel(genuine)).then(_readout(side)) for channel in stored)
    return z, x


def _readout(side: SideConfig) -> Channel:
    if side.readout_flip is not None:
        return link.readout(side.readout_flip, side.readout_flip)
    return link.readout(side.p_read1_given0 or 0.0, side.p_read0_given1 or 0.0)


def arm_rates(arm: ArmConfig) -> tuple[float, float]:
    """Efficiency and dark-count probability."""
    fiber = link.transmission(arm.length_km, arm.attenuation_db_per_km)
    dark = arm.dark_count_probability or 0.0
    if arm.dark_count_rate_hz:
        dark = link.dark_probability(arm.dark_count_rate_hz, arm.gate_width_ns or 0.0)
    return fiber * arm.coupling * arm.detector_efficiency, dark


def expected_rates(config: NoiseConfig, model: Model) -> Expected:
    """QBERs, sifting and click probabilities of the configuration in closed form."""
    errors = [
        link.qber(link.moments(model.correlation[basis], model.alice[basis], model.bob[basis]).both)
        for basis in (Z, X)
    ]
    alice_x, bob_x = config.alice.basis_bias, config.bob.basis_bias
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
    flips = [
        link.qber(
            model.correlation[basis] * model.alice[basis].symmetric * model.bob[basis].symmetric
        )
        for basis in (Z, X)
    ]
    only = link.only_clicks(model.coincidence, model.alice_click, model.bob_click)
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
        "alice_only": only[0],
        "bob_only": only[1],
    }
    return {name: round(ldexp(probability, 64)) for name, probability in probabilities.items()}
