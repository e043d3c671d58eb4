"""Models of the NetSquid engine's configuration; names agree with the noise engine's where they mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Tag

from .noise import ReadOutConfig, memory_rules
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
    choose_by,
    exactly_one,
)


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


NetsquidLink = Annotated[
    Annotated[NetsquidLinkConfig, Tag("<plain>")]
    | Annotated[HeraldedLinkConfig, Tag("<heralded>")],
    choose_by(
        "type",
        {
            "perfect": "<plain>",
            "depolarise": "<plain>",
            "heralded-single-click": "<heralded>",
            "heralded-double-click": "<heralded>",
        },
        default="depolarise",
        problem="must be a section with the type perfect, depolarise, heralded-single-click or heralded-double-click",
    ),
]


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


class NetsquidSideConfig(ReadOutConfig):
    """What one party adds around the simulator."""


class NetsquidConfig(Section):
    """The SquidASM/NetSquid engine."""

    name: Annotated[
        Literal["netsquid"], about("discrete-event simulation by SquidASM and NetSquid")
    ]
    link: Annotated[NetsquidLink, about("link that makes the pairs")]
    device: Annotated[NetsquidDeviceConfig, about("quantum device of both")] = (
        NetsquidDeviceConfig()
    )
    alice: Annotated[NetsquidSideConfig, about("Alice's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    bob: Annotated[NetsquidSideConfig, about("Bob's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    formalism: Annotated[
        Literal["dm", "ket"], about("density matrix or state vector; they differ with T1 on")
    ] = "dm"
    hold: Annotated[
        Annotated[int, Range(1, 1000)] | None,
        about("pairs held at once; chosen by link and device unless given", symbol="k"),
    ] = None

    def _rules(self) -> Iterator[Breach]:
        if isinstance(self.link, HeraldedLinkConfig) and (self.hold or 1) > 1:
            yield (
                "hold",
                f"must be 1 with a {self.link.type} link, whose pairs are corrected one at a time",
                "rule",
            )


class AutoConfig(Section):
    """What both engines can express; which one runs is settled when the run begins."""

    name: Annotated[
        Literal["auto"],
        about(
            "netsquid if times are needed or the run is short, and it can be used here; else noise"
        ),
    ]
    link: Annotated[NetsquidLinkConfig, about("link that makes the pairs")]
    alice: Annotated[NetsquidSideConfig, about("Alice's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    bob: Annotated[NetsquidSideConfig, about("Bob's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    needs_time: Annotated[
        bool, about("whether rows need a simulated time, which NetSquid alone gives")
    ] = False

    def as_engine(self, name: Literal["noise", "netsquid"]) -> dict[str, Any]:
        """The same as a section of the engine ``name``."""
        sides = {
            side: getattr(self, side).model_dump(exclude_none=True) for side in ("alice", "bob")
        }
        link = self.link.model_dump(exclude_none=True)
        if name == "noise":
            state: dict[str, Any] = {
                key: link[key] for key in ("fidelity", "prob_max_mixed") if key in link
            }
            link = state or {"fidelity": 1.0}  # a perfect link
        return {"name": name, "link": link, **sides}


class SequentialConfig(Section):
    """The protocol that Alice and Bob run inside the simulation after their pairs (``caligo-mpi sequential``)."""

    delta_t_ns: Annotated[
        NonNegative,
        about("bases stay secret for this long after the last pair", unit="ns", symbol="Δt"),
    ] = 1e6
    test_fraction: Annotated[
        Annotated[float, Range(0, 1, open_low=True, open_high=True)],
        about("share of the rows with equal bases that is compared to estimate the QBER"),
    ] = 0.1
    qber_limit: Annotated[
        Annotated[float, Range(0, 0.11)], about("above this measured QBER the run is aborted")
    ] = 0.11
    classical_latency_ns: Annotated[
        NonNegative, about("one-way delay of a classical message", unit="ns")
    ] = 0.0
