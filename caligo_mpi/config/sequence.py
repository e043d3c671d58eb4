"""Models of the SeQUeNCe engine's configuration; names agree with the noise engine's where they mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from .links import memory_rules
from .noise import ReadOutConfig
from .sections import (
    Breach,
    Fidelity,
    NonNegative,
    Positive,
    Probability,
    Range,
    Section,
    about,
)

#: Photons are at most this many to a pulse on average: more only take time, and every bit is a double click.
_MOST_MU = 20


def _mode(value: object) -> object:
    if value == "single_heralded":
        raise PydanticCustomError(
            "rule",
            "is refused: SeQUeNCe's single-heralded protocol takes dark counts for pairs of the "
            "declared fidelity; choose barrett_kok",
        )
    return value


Mode = Annotated[Literal["barrett_kok", "spdc"], BeforeValidator(_mode)]


class SequenceLinkConfig(Section):
    """Memories on both sides, whose photons meet in a station halfway."""

    fidelity: Annotated[
        Fidelity, about("fidelity that the memories declare: F of a genuine pair", symbol="F")
    ] = 1.0
    length_km: Annotated[NonNegative, about("fiber between Alice and Bob", unit="km", symbol="L")]
    attenuation_db_per_km: Annotated[
        NonNegative, about("attenuation of the fiber", unit="dB/km", symbol="α")
    ] = 0.2
    p_loss_init: Annotated[
        Probability, about("probability to lose a photon on entering the fiber")
    ] = 0.0
    detector_efficiency: Annotated[
        Probability, about("probability that an arriving photon is detected")
    ] = 1.0
    dark_count_rate_hz: Annotated[
        NonNegative, about("dark clicks of each of the station's two detectors", unit="Hz")
    ] = 0.0
    window_ns: Annotated[
        float,
        Range(0.1, 1e9),
        about("time resolution of the detectors: a click in it counts", unit="ns", symbol="r"),
    ] = 1.0

    def _rules(self) -> Iterator[Breach]:
        arrives = (1 - self.p_loss_init) * self.detector_efficiency
        if not arrives and not self.dark_count_rate_hz:
            yield (
                "",
                "no photon is detected and there are no dark counts, so no attempt is ever heralded; "
                "raise detector_efficiency",
                "rule",
            )


class SequenceSourceConfig(Section):
    """Down-conversion source whose pairs per pulse are Poissonian."""

    mu: Annotated[
        float, Range(1e-9, _MOST_MU), about("mean pairs per pulse, Poissonian", symbol="μ")
    ]
    period_ns: Annotated[float, Range(0.01, 1e12), about("time from pulse to pulse", unit="ns")] = (
        100.0
    )


class SequenceArmConfig(Section):
    """Fiber from the source to one party, and her receiver's two detectors."""

    length_km: Annotated[
        NonNegative, about("fiber from the source to this party", unit="km", symbol="L")
    ] = 0.0
    attenuation_db_per_km: Annotated[
        NonNegative, about("attenuation of the fiber", unit="dB/km", symbol="α")
    ] = 0.2
    detector_efficiency: Annotated[
        Probability, about("probability that an arriving photon is detected")
    ] = 1.0
    dark_count_rate_hz: Annotated[
        NonNegative, about("dark clicks of all of this party's detectors", unit="Hz")
    ] = 0.0
    gate_width_ns: Annotated[
        Positive | None,
        about("clicks count this long around a pulse's arrival; a period unless given", unit="ns"),
    ] = None
    dead_time_ns: Annotated[
        NonNegative, about("a detector is blind for this long after a click", unit="ns")
    ] = 0.0
    time_resolution_ns: Annotated[
        float, Range(0.001, 1000), about("of a detector's time stamps", unit="ns")
    ] = 0.001


class SequenceLossConfig(Section):
    """Both arms; an arm that is left out is lossless."""

    alice: Annotated[SequenceArmConfig, about("arm from the source to Alice")] = SequenceArmConfig()
    bob: Annotated[SequenceArmConfig, about("arm from the source to Bob")] = SequenceArmConfig()


class SequenceSideConfig(ReadOutConfig):
    """One party's memory, choice of basis and read-out."""

    storage_time_ns: Annotated[
        NonNegative,
        about("time the memory idles before its measurement", unit="ns", symbol="t"),
    ] = 0.0
    T1_ns: Annotated[
        NonNegative, about("relaxation time of the memory; 0 is off", unit="ns", symbol="T1")
    ] = 0.0
    T2_ns: Annotated[
        NonNegative,
        about("dephasing time of the memory, at most 2·T1; 0 is off", unit="ns", symbol="T2"),
    ] = 0.0

    def _rules(self) -> Iterator[Breach]:
        yield from memory_rules(
            self.T1_ns,
            self.T2_ns,
            most=2 * self.T1_ns,
            why="T2 ≤ 2·T1 in any memory",
        )


#: What belongs to one mode alone, and the mode.
_OF_MODE = {"link": "barrett_kok", "source": "spdc", "loss": "spdc"}
_MEMORY = ("storage_time_ns", "T1_ns", "T2_ns")


class SequenceConfig(Section):
    """The SeQUeNCe engine."""

    name: Annotated[Literal["sequence"], about("discrete-event simulation by SeQUeNCe")]
    mode: Annotated[
        Mode, about("memories and a station halfway, or photons of a down-conversion source")
    ]
    link: Annotated[
        SequenceLinkConfig | None, about("with mode barrett_kok: memories, fiber and station")
    ] = None
    source: Annotated[
        SequenceSourceConfig | None, about("with mode spdc: the source of photon pairs")
    ] = None
    loss: Annotated[
        SequenceLossConfig | None,
        about("with mode spdc: fibers and receivers; lossless if left out"),
    ] = None
    alice: Annotated[SequenceSideConfig, about("Alice's memory, basis and read-out")] = (
        SequenceSideConfig()
    )
    bob: Annotated[SequenceSideConfig, about("Bob's memory, basis and read-out")] = (
        SequenceSideConfig()
    )

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        mode = given.get("mode")
        needed = {"barrett_kok": "link", "spdc": "source"}
        for key, owner in _OF_MODE.items():
            if key in given and mode in needed and mode != owner:
                yield key, f"only with mode {owner}; remove it or choose that mode", "rule"
        for owner, key in needed.items():
            if mode == owner and key not in given:
                yield key, f"missing; mode {owner} needs it", "none"

    def _rules(self) -> Iterator[Breach]:
        if self.mode == "barrett_kok":
            return
        for side in ("alice", "bob"):
            for key in _MEMORY:
                if getattr(getattr(self, side), key):
                    yield (
                        f"{side}.{key}",
                        "only with mode barrett_kok: photons are not stored",
                        "rule",
                    )
        yield from self._rules_of_arms()

    def _rules_of_arms(self) -> Iterator[Breach]:
        loss = self.loss or SequenceLossConfig()
        period = self.source.period_ns if self.source else 0.0
        for side, arm in (("alice", loss.alice), ("bob", loss.bob)):
            if (arm.gate_width_ns or 0.0) > period:
                yield (
                    f"loss.{side}.gate_width_ns",
                    f"must be at most source.period_ns={period:g}: gates do not overlap",
                    "rule",
                )
            if not arm.detector_efficiency and not arm.dark_count_rate_hz:
                yield f"loss.{side}", "it never clicks; raise its detector_efficiency", "rule"
