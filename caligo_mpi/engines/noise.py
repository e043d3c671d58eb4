"""The noise engine: pairs drawn from the closed-form law of `link`, with numpy alone.

Stream definition, version 1
----------------------------
A chunk's bits are a function of its ``SeedSequence`` s, of the configuration's probabilities as
integers in units of 2^-64 (``thresholds``) and of what follows; nothing else.

*Generator.*  numpy's SFC64, raw 64-bit words in the order drawn, little-endian.  Records come from
``SFC64(s)``; positions of coincidences and counts of single clicks, where pairs can be lost, from the
children of s with spawn keys ``(*s.spawn_key, 0)`` and ``(*s.spawn_key, 1)``.

*Table draw* of n values (`_tables`).  A law with weights w_i of sum S gives value i floor(2^16 w_i/S)
codes, in order of i from 0.  ⌈n/4⌉ words are read as 16-bit codes.  Then each draw, in order, whose
code no value owns takes one word v and the value j for which v lies in [B_j, B_j+1), where B are the
cumulative left-overs (2^16 w_i mod S) as fractions of their sum, in units of 2^-64, rounded down.

*Plane* of m words: bit i of word k belongs to record 64k + i.  Bits that are 1 with probability 0 or
1 draw nothing, with probability ½ m words, else 8m table draws of a byte each, whose weights are
those of eight independent bits.

*Records* come in blocks that end at words 2^6, 2^9, 2^12, 2^13 and each further multiple of 2^13; a block
is drawn whole and cut.  Per block: Alice's bases A, Bob's bases B, Alice's outcomes a, unrelated bits u,
flips f in Z, and in X if their probability differs (f is taken by A); then b = a ⊕ f ⊕ (u ∧ (A ⊕ B)).  Then
falls of a from 1 to 0 in Z, and in X if their probability differs, rises from 0 to 1, and both for b; where
neither basis has any, nothing is drawn.

*Positions* (`_clicks`) are the partial sums of distances, less one, drawn 2^10 at first, then 2^14 at a time.
A distance is 1 + Σ d_i 1024^i; each digit is drawn for the whole block, the top one first.  With
Q = 1 − P in fixed point of 192 bits, products rounded down: while Q^8192 > 2^-80 there is a lower digit
0 … 1023 of weights Q^d, and Q becomes Q^1024; the top digit is 0 … 8191 of weights Q^d.  Behind five lower
digits it is 0 or 1, of weights 1 − Q and Q.

*Single clicks*: Alice's alone among the emissions without coincidence, then Bob's among the rest.
Trials are counted in groups of n = 2^18, 2^12, 2^6 by table draws, then a word each, compared with P.  The
tables' weights start with 2^192 at the mode ⌊(n+1)P⌋, continue by the ratios (n−k)P/((k+1)(1−P)) and their
inverses, rounded down, and end on both sides with the first below 2^102.
"""

from __future__ import annotations

from dataclasses import fields
from math import ldexp
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from .. import link
from ..errors import ConfigError
from ..link import Channel, Correlation, Expected, X, Z
from ..pairs import Pairs
from . import Tick
from ._clicks import sample_count, sample_positions
from ._records import Law, sample_records
from ._tables import ONE, Raw

if TYPE_CHECKING:
    from ..config import ArmConfig, LinkConfig, NoiseConfig, PdcSource, SideConfig


class Model(NamedTuple):
    """A configuration in the terms of `link`; channels are one per basis."""

    correlation: Correlation
    alice: tuple[Channel, Channel]
    bob: tuple[Channel, Channel]
    coincidence: float = 1.0
    alice_click: float = 1.0
    bob_click: float = 1.0


class NoiseEngine:
    """Exact samples of the configured law; see the module for the stream they come from."""

    name = "noise"
    stream_version = 1
    has_time = False

    def __init__(self, config: NoiseConfig, thresholds: dict[str, object] | None = None) -> None:
        described = describe(config)
        self.expected = expected_rates(config, described)
        self.thresholds = integer_thresholds(config, described) if thresholds is None else thresholds
        known = cast("dict[str, int]", self.thresholds)
        self._law = Law(**{field.name: known[field.name] for field in fields(Law)})
        self._coincidence, self._alice_only, self._bob_only = (
            known[name] for name in ("coincidence", "alice_only", "bob_only")
        )
        self.has_index = self._coincidence < ONE

    def sample(self, count: int, seed: np.random.SeedSequence, *, tick: Tick | None = None) -> Pairs:
        """Simulate ``count`` emissions; about 2^19 pairs pass between two calls of ``tick``."""
        tick = tick or _nothing
        records = _raw(seed)
        if not self.has_index:
            return Pairs(sample_records(self._law, count, records, tick), count, alice_clicks=count, bob_clicks=count)
        positions = sample_positions(self._coincidence, count, _raw(seed, 0), tick)
        rows = len(positions)
        clicks = _raw(seed, 1)
        alice_only = sample_count(self._alice_only, count - rows, clicks)
        bob_only = sample_count(self._bob_only, count - rows - alice_only, clicks)
        return Pairs(
            sample_records(self._law, rows, records, tick),
            rows,
            index=positions,
            alice_clicks=rows + alice_only,
            bob_clicks=rows + bob_only,
        )


def _raw(seed: np.random.SeedSequence, *child: int) -> Raw:
    if child:
        seed = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *child))
    return cast(Raw, np.random.SFC64(seed).random_raw)


def _nothing() -> None:
    pass


# --- configuration to closed forms ----------------------------------------------------------


def describe(config: NoiseConfig) -> Model:
    """The configuration's pair, channels and click probabilities.

    Raises `ConfigError` for what a down-conversion source cannot express, and for a missing link.
    """
    arms = [(1.0, 0.0)] * 2 if config.loss is None else [arm_rates(config.loss.alice), arm_rates(config.loss.bob)]
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


def _pdc_model(config: NoiseConfig, source: PdcSource, alice: tuple[float, float], bob: tuple[float, float]) -> Model:
    if config.link is not None:
        raise ConfigError("engine.link is given with source.type=pdc, which makes its own state; leave the link out")
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
        raise ConfigError("engine.link is missing; give exactly one of fidelity, prob_max_mixed, pauli")
    if config.pauli is not None:
        return link.bell_diagonal(*config.pauli)
    if config.prob_max_mixed is not None:
        return link.werner(config.prob_max_mixed)
    return link.werner(link.mixed_from_fidelity(1.0 if config.fidelity is None else config.fidelity))


def _channels(side: SideConfig, formalism: link.Formalism, genuine: float) -> tuple[Channel, Channel]:
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
        link.qber(link.moments(model.correlation[basis], model.alice[basis], model.bob[basis]).both) for basis in (Z, X)
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
        link.qber(model.correlation[basis] * model.alice[basis].symmetric * model.bob[basis].symmetric)
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
