"""Models of links whose attempts take time, and of the memories behind them; both engines have them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from .sections import (
    Breach,
    DarkProbability,
    Fidelity,
    NonNegative,
    Positive,
    Probability,
    Range,
    Section,
    SuccessProbability,
    about,
    at_most_one,
    exactly_one,
)


def _three(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise PydanticCustomError("rule", "must be three probabilities [pX, pY, pZ]")
    return value


ThreeProbabilities = Annotated[
    tuple[Probability, Probability, Probability], BeforeValidator(_three)
]

#: Below this, attempts would be counted beyond 32 bits.
LEAST_SUCCESS = 1e-8
LikelySuccess = Annotated[float, Range(LEAST_SUCCESS, 1)]

#: What gives an attempt's duration.
_ATTEMPTS = ("cycle_time_ns", "length_km")


def memory_rules(T1: float, T2: float, *, most: float, why: str) -> Iterator[Breach]:
    """The rules of a decohering memory; T1 alone is refused since the formalisms then disagree grossly in X."""
    if T1 and not T2:
        yield (
            "T2_ns",
            f"must be given with T1_ns={T1:g}, at most {most:g}; or set T1_ns to 0",
            "rule",
        )
    if T1 and most < T2:
        yield "T2_ns", f"must be at most {most:g} with T1_ns={T1:g}: {why}", "rule"


class NetsquidLinkConfig(Section):
    """SquidASM's perfect or depolarizing link between Alice and Bob."""

    type: Annotated[Literal["perfect", "depolarise"], about("link model without optics")] = (
        "depolarise"
    )
    fidelity: Annotated[
        Fidelity | None, about("⟨Φ⁺|ρ|Φ⁺⟩ of the delivered pair; QBER = 2(1−F)/3", symbol="F")
    ] = None
    prob_max_mixed: Annotated[
        Probability | None,
        about("weight p of I/4 in ρ = (1−p)|Φ⁺⟩⟨Φ⁺| + p·I/4; QBER = p/2", symbol="p"),
    ] = None
    prob_success: Annotated[
        SuccessProbability, about("probability that an attempt delivers a pair")
    ] = 1.0
    cycle_time_ns: Annotated[
        Positive | None, about("duration of an attempt", unit="ns", symbol="t_cycle")
    ] = None
    length_km: Annotated[
        Positive | None,
        about("instead of cycle_time_ns: fiber that light crosses in each attempt", unit="km"),
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        if given.get("type") == "perfect":
            yield from at_most_one(given, "cycle_time_ns", "length_km")
            for key in ("fidelity", "prob_max_mixed"):
                if key in given:
                    yield key, "not with type perfect; remove it or choose type depolarise", "rule"
        else:
            yield from exactly_one(given, "fidelity", "prob_max_mixed")
            yield from exactly_one(given, "cycle_time_ns", "length_km")

    def _rules(self) -> Iterator[Breach]:
        if self.type == "perfect" and self.prob_success != 1:
            yield "prob_success", "must be 1 with type perfect; or choose type depolarise", "rule"


class HeraldedLinkConfig(Section):
    """NetSquid's heralded links: photons from both sides meet midway."""

    type: Annotated[
        Literal["heralded-single-click", "heralded-double-click"],
        about("link model with photons meeting midway"),
    ]
    length_km: Annotated[Positive, about("fiber between Alice and Bob", unit="km", symbol="L")]
    p_loss_init: Annotated[
        float,
        Range(0, 1, open_high=True),
        about("probability to lose a photon on entering the fiber"),
    ] = 0.0
    attenuation_db_per_km: Annotated[
        NonNegative, about("attenuation of the fiber", unit="dB/km", symbol="α")
    ] = 0.2
    dark_count_probability: Annotated[
        DarkProbability, about("probability of a dark click per attempt")
    ] = 0.0
    detector_efficiency: Annotated[
        SuccessProbability, about("probability that an arriving photon is detected")
    ] = 1.0
    visibility: Annotated[
        Probability, about("visibility of the photons' interference", symbol="V")
    ] = 1.0


class NetsquidDeviceConfig(Section):
    """SquidASM's generic quantum device; the same one for Alice and Bob."""

    T1_ns: Annotated[NonNegative, about("relaxation time; 0 is off", unit="ns", symbol="T1")] = 0.0
    T2_ns: Annotated[
        NonNegative, about("dephasing time, at most T1; 0 is off", unit="ns", symbol="T2")
    ] = 0.0
    init_time_ns: Annotated[
        NonNegative, about("duration of a qubit's initialization", unit="ns")
    ] = 0.0
    single_qubit_gate_time_ns: Annotated[
        NonNegative, about("duration of a gate", unit="ns", symbol="t_gate")
    ] = 0.0
    two_qubit_gate_time_ns: Annotated[
        NonNegative, about("duration of a two-qubit gate", unit="ns")
    ] = 0.0
    measure_time_ns: Annotated[
        NonNegative, about("duration of a measurement", unit="ns", symbol="t_measure")
    ] = 0.0
    gate_depolarizing: Annotated[
        Probability, about("probability that a one-qubit gate leaves I/2", symbol="g")
    ] = 0.0

    def _rules(self) -> Iterator[Breach]:
        why = "NetSquid's model refuses T2 > T1"
        yield from memory_rules(self.T1_ns, self.T2_ns, most=self.T1_ns, why=why)


_ONLY_HERALDED = "only with type heralded; remove it or choose that type"
_TimedType = Annotated[
    Literal["perfect", "depolarise", "heralded"],
    about("link whose attempts take time; the first two as in NetSquid"),
]


class TimedLinkConfig(NetsquidLinkConfig):
    """A link of the noise engine whose attempts take time.

    The keys of SquidASM's links mean the same here; ``heralded`` has some more.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [key]} for key in ("type", "prob_success", *_ATTEMPTS)]
        }
    )

    type: _TimedType = "depolarise"  # type: ignore[assignment]
    pauli: Annotated[
        ThreeProbabilities | None,
        about(
            "with type heralded: probabilities of a Pauli error on Bob's half", symbol="pX, pY, pZ"
        ),
    ] = None
    prob_success: Annotated[LikelySuccess, about("probability that an attempt delivers a pair")] = (
        1.0
    )
    dark_count_probability: Annotated[
        DarkProbability,
        about("with type heralded: an attempt without a pair is heralded, by I/4", symbol="d"),
    ] = 0.0

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        if given.get("type") != "heralded":
            if "pauli" in given:
                yield "pauli", _ONLY_HERALDED, "rule"
            yield from super()._choices(given)
            return
        yield from exactly_one(given, "fidelity", "prob_max_mixed", "pauli")
        yield from exactly_one(given, *_ATTEMPTS)

    def _rules(self) -> Iterator[Breach]:
        yield from super()._rules()
        if self.type != "heralded" and self.dark_count_probability:
            yield "dark_count_probability", _ONLY_HERALDED, "rule"
        yield from pauli_rules(self.pauli)
        yield from _cycle_rules(self.cycle_time_ns)


class MidpointLinkConfig(HeraldedLinkConfig):
    """A heralded link of the noise engine: photons from both sides meet midway.

    The keys of NetSquid's heralded links mean the same here.
    """

    cycle_time_ns: Annotated[
        Positive | None,
        about(
            "duration of an attempt; unless given, light's way to the middle and back",
            unit="ns",
            symbol="t_cycle",
        ),
    ] = None
    detector_efficiency: Annotated[
        Probability, about("probability that an arriving photon is detected")
    ] = 1.0
    bright_population: Annotated[
        Annotated[float, Range(0, 1, open_low=True, open_high=True)] | None,
        about("with one click: probability that a side emits; 0.01 unless given", symbol="β"),
    ] = None

    def _rules(self) -> Iterator[Breach]:
        if not self.detector_efficiency and not self.dark_count_probability:
            yield (
                "detector_efficiency",
                "is 0 and there are no dark counts, so no attempt is ever heralded; raise it",
                "rule",
            )
        if self.bright_population is not None and self.type != "heralded-single-click":
            yield (
                "bright_population",
                "only with type heralded-single-click; remove it or choose that type",
                "rule",
            )
        yield from _cycle_rules(self.cycle_time_ns)


def _cycle_rules(cycle_time_ns: float | None) -> Iterator[Breach]:
    if cycle_time_ns is not None and cycle_time_ns < 1e-3:
        yield "cycle_time_ns", "must be at least 0.001: times are whole picoseconds", "rule"


def pauli_rules(pauli: tuple[float, float, float] | None) -> Iterator[Breach]:
    """The rule that probabilities of Pauli errors leave room for none."""
    if pauli and math.fsum(pauli) > 1:
        yield "pauli", f"the three sum to {math.fsum(pauli):.6g}; must be at most 1", "rule"
