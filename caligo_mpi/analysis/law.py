"""What the configuration of a file says its rows should be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import isnan

from ..config import NetsquidConfig, NoiseConfig, RunConfig, SequenceConfig
from ..config.peers import HandmadeConfig, PeerConfig
from ..engines import link, make_engine
from ..engines.link import Expected
from ..engines.noise import outcomes
from ..engines.noise.model import Model, describe
from ..engines.noise.timed import describe_timed, is_timed, timed_moments
from ..errors import CaligoError
from ..store import RunInfo


@dataclass(frozen=True, slots=True)
class Law:
    """The law of a row, as far as there are closed forms.

    ``outcomes`` are the probabilities of the 16 outcomes; number 8·A + 4·a + 2·B + b has Alice's
    basis A and bit a, Bob's basis B and bit b.  ``bases`` are the probabilities that Alice and Bob
    measure in X, ``period`` is after how many rows the law repeats itself: 1 where rows are
    independent and alike.  ``losses`` says that emissions are lost independently of each other.
    ``note`` is a sentence about what there is no closed form of, else empty.
    """

    expected: Expected | None = None
    outcomes: tuple[float, ...] | None = None
    bases: tuple[float, float] | None = None
    period: int = 1
    losses: bool = False
    note: str = ""


def law_of(info: RunInfo) -> Law:
    """The law of a file's rows, from its configuration alone."""
    try:
        run = RunConfig.from_json(info.config)
        return _law(run)
    except CaligoError as error:
        reason = str(error).rstrip(".")
        return Law(note=f"no closed form: {reason}")


def _law(run: RunConfig) -> Law:
    engine = run.engine
    if isinstance(engine, PeerConfig | HandmadeConfig):
        engine = engine.as_noise()
    if isinstance(engine, NoiseConfig):
        expected = make_engine(engine).expected
        bases = (engine.alice.basis_bias, engine.bob.basis_bias)
        if is_timed(engine):
            law = _timed_law(engine)
            return Law(
                expected,
                law,
                bases,
                period=expected.hold,
            )
        law = outcome_law(describe(engine), *bases)
        return Law(
            expected,
            law,
            bases,
            losses=True,
        )
    if isinstance(engine, NetsquidConfig):
        return _netsquid_law(engine)
    if isinstance(engine, SequenceConfig):
        return _sequence_law(engine)
    note = f"engine {engine.name} has closed forms of rates"
    return Law(make_engine(engine).expected, note=note)


def _timed_law(engine: NoiseConfig) -> tuple[float, ...]:
    moments = timed_moments(describe_timed(engine))
    return _law_of_moments(moments, engine.alice.basis_bias, engine.bob.basis_bias)


def _netsquid_law(engine: NetsquidConfig) -> Law:
    from ..engines.netsquid.closed_form import expected

    hold = engine.hold or 1
    rates = expected(engine, hold)
    bases = (engine.alice.basis_bias, engine.bob.basis_bias)
    if isnan(rates.qber_z):
        note = "a heralded link has no closed form"
        return Law(bases=bases, period=hold, note=note)
    note = "engine netsquid has closed forms of rates, not of all 16 outcomes"
    return Law(
        rates,
        bases=bases,
        period=hold,
        note=note,
    )


def _sequence_law(engine: SequenceConfig) -> Law:
    from ..engines.sequence.closed_form import expected

    rates = expected(engine)
    bases = (engine.alice.basis_bias, engine.bob.basis_bias)
    if isnan(rates.qber_z):
        note = "detectors with a dead time have no closed form"
        return Law(bases=bases, note=note)
    note = "engine sequence has closed forms of rates, not of all 16 outcomes"
    is_lossy = engine.mode == "spdc"
    return Law(
        rates,
        bases=bases,
        losses=is_lossy,
        note=note,
    )


def outcome_law(model: Model, alice_x: float, bob_x: float) -> tuple[float, ...]:
    """The probabilities of the 16 outcomes.

    >>> from caligo_mpi.engines.link import Channel, Correlation
    >>> ideal = (Channel(), Channel())
    >>> law = outcome_law(Model(Correlation(1.0, 1.0), ideal, ideal), 0.5, 0.5)
    >>> law[0b0000], law[0b0001], law[0b0010]
    (0.125, 0.0, 0.0625)
    """
    moments = {}
    for a_basis, b_basis in product((0, 1), repeat=2):
        correlation = 0.0
        if a_basis == b_basis:
            correlation = model.correlation[a_basis]
        alice = model.alice[a_basis]
        bob = model.bob[b_basis]
        moments[a_basis, b_basis] = link.moments(correlation, alice, bob)
    return _law_of_moments(moments, alice_x, bob_x)


def _law_of_moments(
    moments: Mapping[tuple[int, int], link.Moments], alice_x: float, bob_x: float
) -> tuple[float, ...]:
    alice = (1 - alice_x, alice_x)
    bob = (1 - bob_x, bob_x)
    probabilities = []
    for a_basis, a_bit, b_basis, b_bit in product((0, 1), repeat=4):
        both = moments[a_basis, b_basis]
        chosen = alice[a_basis] * bob[b_basis]
        bits = max(0.0, both.probability(a_bit, b_bit))
        probabilities.append(chosen * bits)
    return tuple(probabilities)


def engine_bounds(info: RunInfo, rows: int) -> list[int]:
    """The rows of a chunk at which the engine begins a new block; empty for engines without."""
    if info.engine != "noise" or info.has_time:
        return []
    first_words = [word for word, _ in outcomes.blocks(rows)]
    return [64 * word for word in first_words[1:]]
