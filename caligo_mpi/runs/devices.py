"""What the protocols take for granted about devices, held against the configuration pairs were made with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..config import (
    HandmadeConfig,
    NetsquidConfig,
    NoiseConfig,
    PdcSource,
    PeerConfig,
    RunConfig,
    SequenceConfig,
)
from ..engines import link
from ..engines.netsquid import closed_form, default_hold
from ..engines.noise import expected_of
from ..engines.noise.model import arm_rates, describe
from ..engines.noise.timed import is_timed
from ..engines.sequence import closed_form as sequence
from ..errors import ConfigError
from ..protocol.key_length import preparation_quality
from ..protocol.types import Detection

#: What every mode assumes.
COMMON_ASSUMPTIONS = (
    "the classical channel is authenticated",
    "devices leak nothing beside what the protocol announces",
)
#: What is assumed of detectors that the configuration describes.
DETECTS = "whether a side detects does not depend on its basis: each has one efficiency and one dark-count rate"


def quality(config: RunConfig) -> float:
    """The quality q of Alice's two measurements: below 1 where her read-out favors a bit.

    Memories, gates, dark counts and read-out errors as likely for 0 as for 1 act like channels in front of ideal
    measurements, which leave q = 1.  What an asymmetric read-out has beyond that is a bit that falls to one side.
    Bob's device does not enter: the proof lets it measure anything.
    """
    engine = known(config)
    if engine is None:
        return 1.0
    zero = engine.alice.p_read1_given0 or 0.0
    one = engine.alice.p_read0_given1 or 0.0
    return preparation_quality(abs(one - zero))


def expected(config: RunConfig) -> link.Expected | None:
    """The closed-form rates of the pairs; None where there are none."""
    engine = known(config)
    if engine is None:
        return None
    if isinstance(engine, NoiseConfig):
        return expected_of(engine)
    if isinstance(engine, SequenceConfig):
        found = sequence.expected(engine)
    else:
        hold = engine.hold or default_hold(engine)
        found = closed_form.expected(engine, hold)
    return None if math.isnan(found.qber_z) else found


def is_described(engine: object) -> bool:
    """Whether this section says of the devices all that a protocol may want to know."""
    return isinstance(engine, NoiseConfig | NetsquidConfig)


def known(config: RunConfig) -> NoiseConfig | NetsquidConfig | SequenceConfig | None:
    """The section that describes the devices; of other simulators, the same experiment in the noise engine's words.

    None for an engine of another package.
    """
    engine: Any = config.engine
    if isinstance(engine, PeerConfig | HandmadeConfig):
        return engine.as_noise()
    described = NoiseConfig | NetsquidConfig | SequenceConfig
    return engine if isinstance(engine, described) else None


def unknown_assumptions(config: RunConfig) -> list[str]:
    """What is assumed of devices that nothing is known of."""
    name = config.engine.name
    return [
        f"nothing is known of engine {name}: its devices are taken for ideal ones",
        "whether a side detects does not depend on its basis",
        *COMMON_ASSUMPTIONS,
    ]


def require_transfer(config: RunConfig, *, source: str) -> None:
    """Raise `ConfigError` where pairs of this configuration cannot be used for oblivious transfer.

    It needs uniform bases, detection that does not depend on the basis, symmetric read-out and no relaxation in the
    density-matrix formalism: anything else lets an outcome, or a loss, tell something about its basis.
    """
    wrong = ", and ".join(_breaches(config))
    if wrong:
        raise ConfigError(
            f"{source} cannot be used with mode=rot: {wrong}; "
            "generate its pairs with other parameters: `caligo-mpi init --like rot` writes some that fit"
        )


def _breaches(config: RunConfig) -> Iterator[str]:
    engine = config.engine
    if not isinstance(engine, NoiseConfig | NetsquidConfig):
        yield f"nothing is known of how the devices of engine.name={engine.name} detect"
        return
    for name, side in (("alice", engine.alice), ("bob", engine.bob)):
        if side.basis_bias != 0.5:
            yield f"engine.{name}.basis_bias={side.basis_bias:g} must be 0.5"
        zero = side.p_read1_given0 or 0.0
        one = side.p_read0_given1 or 0.0
        if zero != one:
            readout = f"p_read1_given0={zero:g}, p_read0_given1={one:g}"
            yield f"engine.{name} must read out symmetrically ({readout})"
    if getattr(engine.link, "type", "") == "heralded-single-click":
        yield "engine.link.type=heralded-single-click makes pairs whose bits are uneven in Z"
    if engine.formalism == "dm":
        times = {"device": engine.device.T1_ns if engine.device else 0.0}
        if isinstance(engine, NoiseConfig):
            times["alice"] = engine.alice.T1_ns
            times["bob"] = engine.bob.T1_ns
        for name, t1 in times.items():
            if t1:
                yield f"engine.{name}.T1_ns={t1:g} must be 0 with formalism=dm"


def detection(config: RunConfig) -> Detection:
    """What is known beforehand about a round in which Alice registered something, by closed forms.

    The dishonest Bob has perfect detectors, no fiber and no dark counts.  Down-conversion emits n pairs with
    probability (n+1)·λⁿ/(1+λ)^(n+2), λ = μ/2 (Ma, Fung and Lo, PRA 76:012307, 2007), or by Poisson's law.
    """
    engine = config.engine
    if not isinstance(engine, NoiseConfig) or is_timed(engine):
        return Detection()  # a pair is there before anybody measures
    model = describe(engine)
    missing = max(0.0, 1 - model.coincidence / model.alice_click)
    if not isinstance(engine.source, PdcSource):
        return Detection(missing=missing)
    efficiency, dark = 1.0, 0.0
    if engine.loss is not None:
        efficiency, dark = arm_rates(engine.loss.alice)
    none, one = _few_pairs(engine.source)
    return Detection(
        single=one * link.click(efficiency, dark) / model.alice_click,
        missing=missing,
        missing_best=none * dark / model.alice_click,
    )


def _few_pairs(source: PdcSource) -> tuple[float, float]:
    """Probabilities that a pulse has no pair and exactly one."""
    if source.statistics == "poisson":
        none = link.exp(-source.mu)
        return none, source.mu * none
    lam = source.mu / 2
    none = 1 / (1 + lam) ** 2
    one = 2 * lam / (1 + lam) ** 3
    return none, one
