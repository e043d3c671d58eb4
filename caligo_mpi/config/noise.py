"""Models of the noise engine's configuration.  Symbols are those of the closed forms in `caligo_mpi.engines.link`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from .complaints import equals
from .links import (
    MidpointLinkConfig,
    NetsquidDeviceConfig,
    ThreeProbabilities,
    TimedLinkConfig,
    memory_rules,
    pauli_rules,
)
from .sections import (
    Breach,
    DarkProbability,
    Fidelity,
    FlipProbability,
    NonNegative,
    Positive,
    Probability,
    Range,
    Section,
    about,
    at_most_one,
    choose_by,
    chosen,
    exactly_one,
)


class LinkConfig(Section):
    """State of the delivered pair, by exactly one of the three keys.  Target state: Φ⁺."""

    fidelity: Annotated[
        Fidelity | None, about("⟨Φ⁺|ρ|Φ⁺⟩ of the delivered pair; QBER = 2(1−F)/3", symbol="F")
    ] = None
    prob_max_mixed: Annotated[
        Probability | None,
        about("weight p of I/4 in ρ = (1−p)|Φ⁺⟩⟨Φ⁺| + p·I/4; QBER = p/2", symbol="p"),
    ] = None
    pauli: Annotated[
        ThreeProbabilities | None,
        about(
            "probabilities of a Pauli error on Bob's half; QBER_Z = pX+pY, QBER_X = pY+pZ",
            symbol="pX, pY, pZ",
        ),
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        yield from exactly_one(given, "fidelity", "prob_max_mixed", "pauli")

    def _rules(self) -> Iterator[Breach]:
        yield from pauli_rules(self.pauli)


class ReadOutConfig(Section):
    """One party's choice of basis, and the errors of its read-out."""

    basis_bias: Annotated[
        Probability, about("probability of measuring in X rather than Z", symbol="P(X)")
    ] = 0.5
    readout_flip: Annotated[
        FlipProbability | None,
        about("probability that the recorded bit is flipped; 0 unless given", symbol="e"),
    ] = None
    p_read1_given0: Annotated[
        FlipProbability | None,
        about(
            "instead of readout_flip: probability of reading 1 for 0; 0 unless given", symbol="p0"
        ),
    ] = None
    p_read0_given1: Annotated[
        FlipProbability | None,
        about(
            "instead of readout_flip: probability of reading 0 for 1; 0 unless given", symbol="p1"
        ),
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        pair = [name for name in ("p_read1_given0", "p_read0_given1") if name in given]
        if pair and "readout_flip" in given:
            both = " and ".join(name + equals(given[name]) for name in ("readout_flip", *pair))
            yield (
                "",
                f"{both} exclude each other; keep readout_flip or p_read1_given0 with p_read0_given1",
                "rule",
            )


class SideConfig(ReadOutConfig):
    """One party's device in the noise engine."""

    storage_time_ns: Annotated[
        NonNegative,
        about("time the qubit idles in memory before its measurement", unit="ns", symbol="t"),
    ] = 0.0
    T1_ns: Annotated[
        NonNegative, about("relaxation time of the memory; 0 is off", unit="ns", symbol="T1")
    ] = 0.0
    T2_ns: Annotated[
        NonNegative,
        about("dephasing time of the memory, at most 2·T1; 0 is off", unit="ns", symbol="T2"),
    ] = 0.0
    gate_depolarizing: Annotated[
        Probability,
        about("probability that the H gate before an X measurement leaves I/2", symbol="g"),
    ] = 0.0

    def _rules(self) -> Iterator[Breach]:
        yield from memory_rules(
            self.T1_ns,
            self.T2_ns,
            most=2 * self.T1_ns,
            why="T2 ≤ 2·T1 in any memory",
        )


class ArmConfig(Section):
    """Loss and dark counts between the source and one party's recorded click."""

    length_km: Annotated[
        NonNegative, about("fiber from the source to this party", unit="km", symbol="L")
    ] = 0.0
    attenuation_db_per_km: Annotated[
        NonNegative, about("attenuation of the fiber", unit="dB/km", symbol="α")
    ] = 0.2
    coupling: Annotated[Probability, about("transmission of everything but fiber and detector")] = (
        1.0
    )
    detector_efficiency: Annotated[
        Probability, about("probability that an arriving photon is detected")
    ] = 1.0
    dark_count_rate_hz: Annotated[
        NonNegative | None,
        about("dark clicks of all of this party's detectors; needs gate_width_ns", unit="Hz"),
    ] = None
    dark_count_probability: Annotated[
        DarkProbability | None,
        about("instead of a rate: probability of a dark click per gate", symbol="d, Y0"),
    ] = None
    gate_width_ns: Annotated[
        Positive | None,
        about("time per emission in which the detectors listen; for the rate only", unit="ns"),
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        yield from at_most_one(given, "dark_count_rate_hz", "dark_count_probability")
        if "dark_count_rate_hz" in given and "gate_width_ns" not in given:
            yield (
                "dark_count_rate_hz",
                "needs gate_width_ns: the time per emission in which it counts",
                "rule",
            )
        if "gate_width_ns" in given and "dark_count_rate_hz" not in given:
            yield (
                "gate_width_ns",
                "has no effect without dark_count_rate_hz; give the rate or remove it",
                "rule",
            )

    def _rules(self) -> Iterator[Breach]:
        if self.dark_count_rate_hz and self.gate_width_ns:
            per_gate = self.dark_count_rate_hz * self.gate_width_ns * 1e-9
            if per_gate > 30:
                yield (
                    "dark_count_rate_hz",
                    f"makes {per_gate:.3g} dark counts per gate; must be at most 30",
                    "rule",
                )
        if not self.click_bound():
            yield (
                "",
                "no photon arrives and there are no dark counts, so it never clicks; raise its efficiency",
                "rule",
            )

    def click_bound(self) -> float:
        """An upper bound, close where clicks are rare, of the probability of a click per emission."""
        transmission = 10 ** (-self.attenuation_db_per_km * self.length_km / 10)
        dark = (
            self.dark_count_probability
            or (self.dark_count_rate_hz or 0) * (self.gate_width_ns or 0) * 1e-9
        )
        return min(1.0, transmission * self.coupling * self.detector_efficiency + dark)


class LossConfig(Section):
    """Both arms; an arm that is left out is lossless."""

    alice: Annotated[ArmConfig, about("arm from the source to Alice")] = ArmConfig()
    bob: Annotated[ArmConfig, about("arm from the source to Bob")] = ArmConfig()

    def _rules(self) -> Iterator[Breach]:
        coincidence = self.alice.click_bound() * self.bob.click_bound()
        if coincidence < 1e-18:
            yield (
                "",
                f"coincidences of probability {coincidence:.0e} never happen; must be at least 1e-18",
                "rule",
            )


class SinglePairSource(Section):
    """Exactly one pair per emission."""

    type: Annotated[Literal["single_pair"], about("exactly one pair per emission")] = "single_pair"


class PdcSource(Section):
    """Down-conversion source (Ma, Fung and Lo, Phys. Rev. A 76, 012307, 2007)."""

    type: Annotated[
        Literal["pdc"], about("pulses with a random number of pairs, as Ma, Fung and Lo (2007)")
    ]
    mu: Annotated[
        float, Range(1e-9, 1000), about("mean pairs per pulse, 2λ in their paper", symbol="μ")
    ]
    misalignment: Annotated[
        FlipProbability, about("probability of a wrong detector", symbol="e_d")
    ] = 0.0
    statistics: Annotated[
        Literal["thermal", "poisson"],
        about("law of the number of pairs: thermal in each of two modes, as theirs, or Poissonian"),
    ] = "thermal"


Source = Annotated[
    Annotated[SinglePairSource, Tag("<single_pair>")] | Annotated[PdcSource, Tag("<pdc>")],
    choose_by(
        "type",
        {"single_pair": "<single_pair>", "pdc": "<pdc>"},
        default="single_pair",
        problem="must be a section with the type single_pair or pdc",
    ),
]


_LINK_TYPES = {
    "perfect": "<timed>",
    "depolarise": "<timed>",
    "heralded": "<timed>",
    "heralded-single-click": "<midpoint>",
    "heralded-double-click": "<midpoint>",
}
#: Keys that make a link without a type one whose attempts take time.
_OF_ATTEMPTS = ("prob_success", "cycle_time_ns", "length_km")


def _kind_of_link(section: object) -> str | None:
    """The member of the union that a link's section is meant for; None for an unknown type."""
    choice = chosen(section, "type")
    if choice is not None:
        return _LINK_TYPES.get(choice) if isinstance(choice, str) else None
    takes_time = any(chosen(section, key) is not None for key in _OF_ATTEMPTS)
    return "<timed>" if takes_time else "<state>"


def takes_time(link: object) -> bool:
    """Whether a link's section, given or validated, is one whose attempts take time."""
    return _kind_of_link(link) in _LINK_TYPES.values()


Link = Annotated[
    Annotated[LinkConfig, Tag("<state>")]
    | Annotated[TimedLinkConfig, Tag("<timed>")]
    | Annotated[MidpointLinkConfig, Tag("<midpoint>")],
    Discriminator(
        _kind_of_link,
        custom_error_type="choice",
        custom_error_message=(
            "must be a section without a type, or with the type perfect, depolarise, heralded, "
            "heralded-single-click or heralded-double-click"
        ),
    ),
]


class NoiseConfig(Section):
    """The numpy noise engine."""

    name: Annotated[Literal["noise"], about("numpy noise model")]
    source: Annotated[Source, about("what an emission is")] = SinglePairSource()
    link: Annotated[
        Link | None, about("state of the delivered pair; required with a single_pair source")
    ] = None
    device: Annotated[
        NetsquidDeviceConfig | None,
        about("with a link that takes time: quantum device of both sides"),
    ] = None
    alice: Annotated[SideConfig, about("Alice's device")] = SideConfig()
    bob: Annotated[SideConfig, about("Bob's device")] = SideConfig()
    loss: Annotated[LossConfig | None, about("fibers and detectors; lossless if left out")] = None
    formalism: Annotated[
        Literal["dm", "ket"],
        about("density matrix, or state vector with T1 as a Pauli twirl; they differ with T1 on"),
    ] = "dm"
    hold: Annotated[
        Annotated[int, Range(1, 1000)] | None,
        about("with a link that takes time: pairs held at once", symbol="k"),
    ] = None
    max_wait_ns: Annotated[
        NonNegative | None,
        about(
            "with such a link: pairs that waited longer for the last one are discarded", unit="ns"
        ),
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        pdc = chosen(given.get("source"), "type") == "pdc"
        if not pdc and "link" not in given:
            yield "link", "missing; give exactly one of fidelity, prob_max_mixed, pauli", "none"
        if pdc and "link" in given:
            yield (
                "link",
                "not with a pdc source, whose state follows from mu and misalignment; remove it",
                "rule",
            )

    def _rules(self) -> Iterator[Breach]:
        if isinstance(self.source, PdcSource):
            yield from self._rules_of_pdc()
        if isinstance(self.link, TimedLinkConfig | MidpointLinkConfig):
            yield from self._rules_of_timed_links()
        else:
            yield from self._rules_of_states()

    def _rules_of_pdc(self) -> Iterator[Breach]:
        for side in ("alice", "bob"):
            for key in ("storage_time_ns", "T1_ns", "T2_ns", "gate_depolarizing"):
                if getattr(getattr(self, side), key):
                    yield (
                        f"{side}.{key}",
                        "not with a pdc source: its photons are not stored; remove it",
                        "rule",
                    )

    def _rules_of_states(self) -> Iterator[Breach]:
        for key in ("device", "hold", "max_wait_ns"):
            if getattr(self, key) is not None:
                yield (
                    key,
                    "only with a link whose attempts take time; give engine.link a cycle_time_ns "
                    "or a length_km, or remove it",
                    "rule",
                )

    def _rules_of_timed_links(self) -> Iterator[Breach]:
        if self.loss is not None:
            yield (
                "loss",
                "not with a link that tries until a pair arrives: loss takes time there "
                "(engine.link.prob_success) and drops no round; remove it",
                "rule",
            )
        for key in ("T1_ns", "T2_ns", "gate_depolarizing"):
            for side in ("alice", "bob"):
                if getattr(self.device, key, 0) and getattr(getattr(self, side), key):
                    yield (
                        f"{side}.{key}",
                        "is given in engine.device, too, for both sides; keep one of the two",
                        "rule",
                    )
