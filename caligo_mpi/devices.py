"""What oblivious transfer takes for granted about devices, held against the configuration pairs were made with."""

from __future__ import annotations

from collections.abc import Iterator

from . import link
from .config import AutoConfig, NoiseConfig, PdcSource, PluginConfig, RunConfig
from .engines.noise import arm_rates, describe
from .errors import ConfigError
from .protocol.types import Detection


def require_transfer(config: RunConfig, *, source: str) -> None:
    """Raise `ConfigError` where pairs of this configuration cannot be used for oblivious transfer.

    It needs uniform bases, detection that does not depend on the basis, symmetric read-out and no relaxation in the
    density-matrix formalism: anything else lets an outcome, or a loss, tell something about its basis.
    """
    wrong = list(_breaches(config))
    if wrong:
        raise ConfigError(
            f"{source} cannot be used with mode=rot: {', and '.join(wrong)}; generate its pairs with other parameters"
        )


def _breaches(config: RunConfig) -> Iterator[str]:
    engine = config.engine
    if isinstance(engine, PluginConfig | AutoConfig):
        yield f"engine.name={engine.name} is another package's, so nothing is known of its detection"
        return
    for name, side in (("alice", engine.alice), ("bob", engine.bob)):
        if side.basis_bias != 0.5:
            yield f"engine.{name}.basis_bias={side.basis_bias:g} must be 0.5"
        zero, one = side.p_read1_given0 or 0.0, side.p_read0_given1 or 0.0
        if zero != one:
            yield f"engine.{name} must read out symmetrically (p_read1_given0={zero:g}, p_read0_given1={one:g})"
    if engine.formalism == "dm":
        memories = (
            {"alice": engine.alice.T1_ns, "bob": engine.bob.T1_ns}
            if isinstance(engine, NoiseConfig)
            else {"device": engine.device.T1_ns}
        )
        for name, t1 in memories.items():
            if t1:
                yield f"engine.{name}.T1_ns={t1:g} must be 0 with formalism=dm"


def detection(config: RunConfig) -> Detection:
    """What is known beforehand about a round in which Alice registered something, by closed forms.

    The dishonest Bob has perfect detectors, no fiber and no dark counts.  Down-conversion emits n pairs with
    probability (n+1)·λⁿ/(1+λ)^(n+2), λ = μ/2 (Ma, Fung and Lo, PRA 76:012307, 2007).
    """
    engine = config.engine
    if not isinstance(engine, NoiseConfig):
        return Detection()
    model = describe(engine)
    missing = max(0.0, 1 - model.coincidence / model.alice_click)
    if not isinstance(engine.source, PdcSource):
        return Detection(missing=missing)
    efficiency, dark = (1.0, 0.0) if engine.loss is None else arm_rates(engine.loss.alice)
    lam = engine.source.mu / 2
    none, one = 1 / (1 + lam) ** 2, 2 * lam / (1 + lam) ** 3
    return Detection(
        single=one * link.click(efficiency, dark) / model.alice_click,
        missing=missing,
        missing_best=none * dark / model.alice_click,
    )
