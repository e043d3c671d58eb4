"""Configuration: YAML in, frozen models out.  The only module that imports pydantic.

`load_config` reads a file, `parse_config` a mapping; each answers with a `RunConfig` or with
one `ConfigError` that lists everything that is wrong.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    ModelWrapValidatorHandler,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from .complaints import Key, Need, complain, look_up
from .errors import ConfigError
from .strict_yaml import parse_yaml

if TYPE_CHECKING:
    from typing_extensions import Self

#: Entry points of this group name the engines of other packages.
ENGINE_GROUP = "caligo_mpi.engines"

# How many emissions a chunk holds unless told; part of a run's identity, so these never change.
_CHUNK_SIZE = {"noise": 1 << 24, "netsquid": 1000}
_PLUGIN_CHUNK_SIZE = 1 << 16
_MOST_CHUNKS = 1 << 32

_MOST_BYTES = 1 << 20  # of a configuration file
_MOST_DIGITS = 1000
_NUMBER = r"[+-]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][+-]?[0-9]+)?"


# -- kinds of values ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a key takes, given as numbers or as their text (``"1e9"``)."""

    low: float
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    multiple_of: int = 1  # of integers

    def __contains__(self, value: float | Decimal) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below

    def __str__(self) -> str:
        if self.high is None:
            return f"above {self.low:_}" if self.open_low else f"of at least {self.low:_}"
        return f"{'above' if self.open_low else 'from'} {self.low:_} to {'below ' * self.open_high}{self.high:_}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        read = self._integer if source is int else self._real
        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        out = handler(schema)
        # The bounds bind numbers only, the pattern text only.
        bounds = {"exclusiveMinimum" if self.open_low else "minimum": self.low}
        if self.high is not None:
            bounds["exclusiveMaximum" if self.open_high else "maximum"] = self.high
        if self.multiple_of > 1:
            bounds["multipleOf"] = self.multiple_of
        return out | {"type": [out["type"], "string"], "pattern": f"^{_NUMBER}$"} | bounds

    def _integer(self, value: object) -> int:
        number = _exact(value)
        whole = number is not None and number.adjusted() <= _MOST_DIGITS and number == int(number)
        if number is None or not whole or number not in self or int(number) % self.multiple_of:
            kind = "whole number" if self.multiple_of == 1 else f"multiple of {self.multiple_of}"
            raise PydanticCustomError("range", f"must be a {kind} {self}")
        return int(number)

    def _real(self, value: object) -> float:
        exact = _exact(value)
        number = math.nan if exact is None else float(exact) + 0.0  # makes -0.0 0.0: equal values, equal digests
        if number == math.inf or number not in self:
            raise PydanticCustomError("range", f"must be a number {self}")
        return number


def _exact(value: object) -> Decimal | None:
    """The value of a number or of its text; None for all else, booleans, nan and infinity included."""
    try:
        if isinstance(value, str):
            return Decimal(value.strip()) if re.fullmatch(_NUMBER, value.strip()) else None
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return Decimal(int(value))
        if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
            return Decimal(repr(float(value)))
    except (DecimalException, OverflowError):
        pass
    return None


Probability = Annotated[float, Range(0, 1)]
FlipProbability = Annotated[float, Range(0, 0.5)]
Fidelity = Annotated[float, Range(0.25, 1)]
SuccessProbability = Annotated[float, Range(0, 1, open_low=True)]
DarkProbability = Annotated[float, Range(0, 1, open_high=True)]
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, open_low=True)]


def about(meaning: str, *, unit: str = "", symbol: str = "") -> Any:
    """What the schema, the documentation and the errors say of a key; symbols as in the formulas."""
    notes = ", ".join(filter(None, (symbol, f"in {unit}" if unit else "")))
    extra: Any = {name: text for name, text in (("unit", unit), ("symbol", symbol)) if text}
    return Field(description=f"{meaning} ({notes})" if notes else meaning, json_schema_extra=extra)


def _three(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise PydanticCustomError("rule", "must be three probabilities [pX, pY, pZ]")
    return value


#: A rule that a section breaks: the key below the section (or ""), a sentence, and whether a choice is wanting.
Breach = tuple[str, str, Literal["rule", "none"]]


class Section(BaseModel):
    """A frozen part of the configuration; all of its broken rules are reported together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        """Rules about which keys are given; checked even where a value is wrong."""
        yield from ()

    def _rules(self) -> Iterator[Breach]:
        """Rules between values that are right one by one."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        breaches = list(cls._choices({key: value for key, value in data.items() if value is not None}))
        errors: list[InitErrorDetails] = []
        try:
            section = handler(data)
            breaches += section._rules()
        except ValidationError as invalid:
            errors += map(_again, invalid.errors(include_url=False))
        for key, sentence, kind in breaches:
            loc = tuple(key.split(".")) if key else ()
            errors.append({"type": PydanticCustomError(kind, sentence), "loc": loc, "input": look_up(data, loc)})
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return section


def _again(error: ErrorDetails) -> InitErrorDetails:
    """An error of a part, to be raised among those of the whole."""
    kind = PydanticCustomError(error["type"], error["msg"], error.get("ctx"))
    return {"type": kind, "loc": error["loc"], "input": error["input"]}


def _at_most_one(given: Mapping[str, Any], *names: str) -> Iterator[Breach]:
    both = [f"{name}={given[name]}" for name in names if name in given]
    if len(both) > 1:
        yield "", f"{' and '.join(both)} exclude each other; keep one of {', '.join(names)}", "rule"


def _exactly_one(given: Mapping[str, Any], *names: str) -> Iterator[Breach]:
    yield from _at_most_one(given, *names)
    if not any(name in given for name in names):
        yield "", f"give exactly one of {', '.join(names)}", "none"


def _memory_rules(T1: float, T2: float) -> Iterator[Breach]:
    if T1 and not T2:
        yield "T2_ns", f"T1_ns={T1:g} needs a T2_ns too (at most 2·T1_ns = {2 * T1:g}); or set T1_ns to 0", "rule"
    if T1 and T2 > 2 * T1:
        yield "T2_ns", f"must be at most 2·T1_ns = {2 * T1:g}, the physical limit; lower T2_ns or raise T1_ns", "rule"


# -- the noise engine -----------------------------------------------------------------------------------------


class LinkConfig(Section):
    """State of the delivered pair, by exactly one of the three keys.  Target state: Φ⁺."""

    fidelity: Annotated[Fidelity | None, about("⟨Φ⁺|ρ|Φ⁺⟩ of the delivered pair; QBER = 2(1−F)/3", symbol="F")] = None
    prob_max_mixed: Annotated[
        Probability | None, about("weight p of I/4 in ρ = (1−p)|Φ⁺⟩⟨Φ⁺| + p·I/4; QBER = p/2", symbol="p")
    ] = None
    pauli: Annotated[
        Annotated[tuple[Probability, Probability, Probability], BeforeValidator(_three)] | None,
        about("probabilities of a Pauli error on Bob's half; QBER_Z = pX+pY, QBER_X = pY+pZ", symbol="pX, pY, pZ"),
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        yield from _exactly_one(given, "fidelity", "prob_max_mixed", "pauli")

    def _rules(self) -> Iterator[Breach]:
        if self.pauli and math.fsum(self.pauli) > 1:
            yield "pauli", f"the three sum to {math.fsum(self.pauli):.6g}; must be at most 1", "rule"


class _ReadOut(Section):
    """One party's choice of basis, and the errors of its read-out."""

    basis_bias: Annotated[Probability, about("probability of measuring in X rather than Z", symbol="P(X)")] = 0.5
    readout_flip: Annotated[
        FlipProbability | None, about("probability that the recorded bit is flipped; 0 unless given", symbol="e")
    ] = None
    p_read1_given0: Annotated[
        FlipProbability | None, about("instead of readout_flip: probability of reading 1 for 0", symbol="p0")
    ] = None
    p_read0_given1: Annotated[
        FlipProbability | None, about("instead of readout_flip: probability of reading 0 for 1", symbol="p1")
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        pair = [name for name in ("p_read1_given0", "p_read0_given1") if name in given]
        if pair and "readout_flip" in given:
            both = " and ".join(f"{name}={given[name]}" for name in ("readout_flip", *pair))
            yield "", f"{both} exclude each other; keep readout_flip or p_read1_given0 with p_read0_given1", "rule"


class SideConfig(_ReadOut):
    """One party's device in the noise engine."""

    storage_time_ns: Annotated[
        NonNegative, about("time the qubit idles in memory before its measurement", unit="ns", symbol="t")
    ] = 0.0
    T1_ns: Annotated[NonNegative, about("relaxation time of the memory; 0 is off", unit="ns", symbol="T1")] = 0.0
    T2_ns: Annotated[
        NonNegative, about("dephasing time of the memory, at most 2·T1; 0 is off", unit="ns", symbol="T2")
    ] = 0.0
    gate_depolarizing: Annotated[
        Probability, about("probability that the H gate before an X measurement leaves I/2", symbol="g")
    ] = 0.0

    def _rules(self) -> Iterator[Breach]:
        yield from _memory_rules(self.T1_ns, self.T2_ns)


class ArmConfig(Section):
    """Loss and dark counts between the source and one party's recorded click."""

    length_km: Annotated[NonNegative, about("fiber from the source to this party", unit="km", symbol="L")] = 0.0
    attenuation_db_per_km: Annotated[NonNegative, about("of the fiber", unit="dB/km", symbol="α")] = 0.2
    coupling: Annotated[Probability, about("transmission of everything but fiber and detector")] = 1.0
    detector_efficiency: Annotated[Probability, about("probability that an arriving photon is detected")] = 1.0
    dark_count_rate_hz: Annotated[
        NonNegative | None, about("dark clicks of all of this party's detectors; needs gate_width_ns", unit="Hz")
    ] = None
    dark_count_probability: Annotated[
        DarkProbability | None, about("instead of a rate: probability of a dark click per gate", symbol="d, Y0")
    ] = None
    gate_width_ns: Annotated[Positive | None, about("time per emission in which the detectors listen", unit="ns")] = (
        None
    )

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        yield from _at_most_one(given, "dark_count_rate_hz", "dark_count_probability")
        if "dark_count_rate_hz" in given and "gate_width_ns" not in given:
            yield "dark_count_rate_hz", "needs gate_width_ns: the time per emission in which it counts", "rule"
        if "gate_width_ns" in given and "dark_count_rate_hz" not in given:
            yield "gate_width_ns", "has no effect without dark_count_rate_hz; give the rate or remove it", "rule"

    def _rules(self) -> Iterator[Breach]:
        if self.dark_count_rate_hz and self.gate_width_ns:
            per_gate = self.dark_count_rate_hz * self.gate_width_ns * 1e-9
            if per_gate > 30:
                yield "dark_count_rate_hz", f"makes {per_gate:.3g} dark counts per gate; must be at most 30", "rule"
        if self._is_blind():
            yield "", "no photon arrives and there are no dark counts, so it never clicks; raise its efficiency", "rule"

    def _is_blind(self) -> bool:
        transmission: float = 10.0 ** (-self.attenuation_db_per_km * self.length_km / 10)
        efficiency = transmission * self.coupling * self.detector_efficiency
        return not (efficiency or self.dark_count_rate_hz or self.dark_count_probability)


class LossConfig(Section):
    """Both arms; an arm that is left out is lossless."""

    alice: Annotated[ArmConfig, about("arm from the source to Alice")] = ArmConfig()
    bob: Annotated[ArmConfig, about("arm from the source to Bob")] = ArmConfig()


class SinglePairSource(Section):
    """Exactly one pair per emission."""

    type: Annotated[Literal["single_pair"], about("exactly one pair per emission")] = "single_pair"


class PdcSource(Section):
    """Down-conversion source (Ma, Fung and Lo, Phys. Rev. A 76, 012307, 2007)."""

    type: Annotated[Literal["pdc"], about("pulses with a random number of pairs, as Ma, Fung and Lo (2007)")]
    mu: Annotated[Positive, about("mean pairs per pulse, 2λ in their paper", symbol="μ")]
    misalignment: Annotated[FlipProbability, about("probability of a wrong detector", symbol="e_d")] = 0.0


def _chosen(value: object, key: str, default: object = None) -> object:
    return value.get(key, default) if isinstance(value, Mapping) else getattr(value, key, None)


# The tags stand in angle brackets to be told from keys in an error's path.
Source = Annotated[
    Annotated[SinglePairSource, Tag("<single_pair>")] | Annotated[PdcSource, Tag("<pdc>")],
    Discriminator(
        lambda value: f"<{_chosen(value, 'type', 'single_pair')}>",
        custom_error_type="choice",
        custom_error_message="must be a section with the type single_pair or pdc",
    ),
]


class NoiseConfig(Section):
    """The numpy noise engine."""

    name: Annotated[Literal["noise"], about("numpy noise model")]
    source: Annotated[Source, about("what an emission is")] = SinglePairSource()
    link: Annotated[LinkConfig | None, about("state of the delivered pair; required with a single_pair source")] = None
    alice: Annotated[SideConfig, about("Alice's device")] = SideConfig()
    bob: Annotated[SideConfig, about("Bob's device")] = SideConfig()
    loss: Annotated[LossConfig | None, about("fibers and detectors; lossless if left out")] = None
    formalism: Annotated[
        Literal["dm", "ket"], about("density matrix, or state vector with T1 as a Pauli twirl; they differ with T1 on")
    ] = "dm"

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        pdc = _chosen(given.get("source"), "type") == "pdc"
        if not pdc and "link" not in given:
            yield "link", "missing; give exactly one of fidelity, prob_max_mixed, pauli", "none"
        if pdc and "link" in given:
            yield "link", "not with a pdc source, whose state follows from mu and misalignment; remove it", "rule"

    def _rules(self) -> Iterator[Breach]:
        if isinstance(self.source, PdcSource):
            for side in ("alice", "bob"):
                for key in ("storage_time_ns", "T1_ns", "T2_ns", "gate_depolarizing"):
                    if getattr(getattr(self, side), key):
                        yield (
                            f"{side}.{key}",
                            "not with a pdc source: its model has photons, no memory or gates",
                            "rule",
                        )


# -- the NetSquid engine --------------------------------------------------------------------------------------


class NetsquidLinkConfig(Section):
    """SquidASM's perfect or depolarizing link between Alice and Bob."""

    type: Annotated[Literal["perfect", "depolarise"], about("link model without optics")] = "depolarise"
    fidelity: Annotated[Fidelity | None, about("⟨Φ⁺|ρ|Φ⁺⟩ of the delivered pair; QBER = 2(1−F)/3", symbol="F")] = None
    prob_max_mixed: Annotated[
        Probability | None, about("weight p of I/4 in ρ = (1−p)|Φ⁺⟩⟨Φ⁺| + p·I/4; QBER = p/2", symbol="p")
    ] = None
    prob_success: Annotated[SuccessProbability, about("probability that an attempt delivers a pair")] = 1.0
    cycle_time_ns: Annotated[Positive | None, about("duration of an attempt", unit="ns", symbol="t_cycle")] = None
    length_km: Annotated[
        Positive | None, about("instead of cycle_time_ns: fiber that light crosses in each attempt", unit="km")
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        if given.get("type") == "perfect":
            yield from _at_most_one(given, "cycle_time_ns", "length_km")
            for key in ("fidelity", "prob_max_mixed"):
                if key in given:
                    yield key, "not with type perfect; remove it or choose type depolarise", "rule"
        else:
            yield from _exactly_one(given, "fidelity", "prob_max_mixed")
            yield from _exactly_one(given, "cycle_time_ns", "length_km")

    def _rules(self) -> Iterator[Breach]:
        if self.type == "perfect" and self.prob_success != 1:
            yield "prob_success", "must be 1 with type perfect; or choose type depolarise", "rule"


class HeraldedLinkConfig(Section):
    """NetSquid's heralded links: photons from both sides meet midway."""

    type: Annotated[
        Literal["heralded-single-click", "heralded-double-click"], about("link model with photons meeting midway")
    ]
    length_km: Annotated[Positive, about("fiber between Alice and Bob", unit="km", symbol="L")]
    p_loss_init: Annotated[Probability, about("probability to lose a photon on entering the fiber")] = 0.0
    attenuation_db_per_km: Annotated[NonNegative, about("of the fiber", unit="dB/km", symbol="α")] = 0.2
    dark_count_probability: Annotated[DarkProbability, about("probability of a dark click per attempt")] = 0.0
    detector_efficiency: Annotated[SuccessProbability, about("probability that an arriving photon is detected")] = 1.0
    visibility: Annotated[Probability, about("of the photons' interference", symbol="V")] = 1.0


def _netsquid_link_tag(value: object) -> str | None:
    return {
        "perfect": "<plain>",
        "depolarise": "<plain>",
        "heralded-single-click": "<heralded>",
        "heralded-double-click": "<heralded>",
    }.get(str(_chosen(value, "type", "depolarise")))


NetsquidLink = Annotated[
    Annotated[NetsquidLinkConfig, Tag("<plain>")] | Annotated[HeraldedLinkConfig, Tag("<heralded>")],
    Discriminator(
        _netsquid_link_tag,
        custom_error_type="choice",
        custom_error_message=(
            "must be a section with the type perfect, depolarise, heralded-single-click or heralded-double-click"
        ),
    ),
]


class NetsquidDeviceConfig(Section):
    """SquidASM's generic quantum device; the same one for Alice and Bob."""

    T1_ns: Annotated[NonNegative, about("relaxation time; 0 is off", unit="ns", symbol="T1")] = 0.0
    T2_ns: Annotated[NonNegative, about("dephasing time, at most T1; 0 is off", unit="ns", symbol="T2")] = 0.0
    init_time_ns: Annotated[NonNegative, about("duration of a qubit's initialization", unit="ns")] = 0.0
    single_qubit_gate_time_ns: Annotated[NonNegative, about("duration of a gate", unit="ns", symbol="t_gate")] = 0.0
    two_qubit_gate_time_ns: Annotated[NonNegative, about("duration of a two-qubit gate", unit="ns")] = 0.0
    measure_time_ns: Annotated[NonNegative, about("duration of a measurement", unit="ns", symbol="t_measure")] = 0.0
    gate_depolarizing: Annotated[Probability, about("probability that a single-qubit gate leaves I/2", symbol="g")] = (
        0.0
    )

    def _rules(self) -> Iterator[Breach]:
        if self.T1_ns and self.T2_ns > self.T1_ns:
            yield "T2_ns", f"must be at most T1_ns = {self.T1_ns:g}: NetSquid's model refuses more", "rule"
        else:
            yield from _memory_rules(self.T1_ns, self.T2_ns)


class NetsquidSideConfig(_ReadOut):
    """What one party adds around the simulator."""


class NetsquidConfig(Section):
    """The SquidASM/NetSquid engine."""

    name: Annotated[Literal["netsquid"], about("discrete-event simulation by SquidASM and NetSquid")]
    link: Annotated[NetsquidLink, about("link that makes the pairs")]
    device: Annotated[NetsquidDeviceConfig, about("quantum device of both")] = NetsquidDeviceConfig()
    alice: Annotated[NetsquidSideConfig, about("Alice's choice of basis and read-out")] = NetsquidSideConfig()
    bob: Annotated[NetsquidSideConfig, about("Bob's choice of basis and read-out")] = NetsquidSideConfig()
    formalism: Annotated[Literal["dm", "ket"], about("density matrix or state vector; they differ with T1 on")] = "dm"
    hold: Annotated[
        Annotated[int, Range(1, 1000)] | None,
        about("pairs held at once; chosen by link and device unless given", symbol="k"),
    ] = None

    def _rules(self) -> Iterator[Breach]:
        if isinstance(self.link, HeraldedLinkConfig) and (self.hold or 1) > 1:
            yield "hold", f"must be 1 with a {self.link.type} link, whose pairs are corrected one at a time", "rule"


class PluginConfig(Section):
    """An engine of another package: its name and its own keys, kept as they are given."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[
        str,
        about("entry point in the group caligo_mpi.engines"),
        Field(json_schema_extra={"not": {"enum": [*_CHUNK_SIZE]}}),
    ]

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """All keys but ``name``; JSON values."""
        return dict(self.__pydantic_extra__)

    def _rules(self) -> Iterator[Breach]:
        for key, value in self.__pydantic_extra__.items():
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                yield key, "nan and infinity are not allowed", "rule"


# -- the run --------------------------------------------------------------------------------------------------


def _engine_tag(value: object) -> str | None:
    name = _chosen(value, "name")
    if not isinstance(name, str):
        return None
    return f"<{name}>" if name in _CHUNK_SIZE else "<plugin>"


AnyEngine = Annotated[
    Annotated[NoiseConfig, Tag("<noise>")]
    | Annotated[NetsquidConfig, Tag("<netsquid>")]
    | Annotated[PluginConfig, Tag("<plugin>")],
    Discriminator(
        _engine_tag,
        custom_error_type="choice",
        custom_error_message="must be a section with the name of an engine, such as {name: noise, link: …}",
    ),
]


Policy = Literal["static", "dynamic", "guided", "adaptive"]


class ScheduleConfig(Section):
    """How chunks go to ranks; never changes a bit of the result."""

    policy: Annotated[Policy, about("how chunks are granted to ranks")] = "dynamic"
    rank0_computes: Annotated[
        Literal["auto", "yes", "no"], about("whether the rank that writes the file also simulates")
    ] = "auto"


class OutputConfig(Section):
    """Where the pairs file goes and how hard it is pressed to disk."""

    path: Annotated[str | None, about("pairs file; the command line's choice goes first")] = None
    durability: Annotated[
        Literal["flush", "fsync"],
        about("after each commit: flush survives a crash of the job, fsync one of the machine"),
    ] = "flush"

    def _rules(self) -> Iterator[Breach]:
        if self.path is not None and (not self.path or "\0" in self.path):
            yield "path", "must be a file name", "rule"


#: Sections that may be given as text, which is then the value of this key.
_SHORTHANDS = {"schedule": "policy", "output": "path"}


def _shorthand(section: str, accepts: Any) -> BeforeValidator:
    def expand(value: object) -> object:
        return {_SHORTHANDS[section]: value} if isinstance(value, str) else value

    return BeforeValidator(expand, json_schema_input_type=accepts)


class RunConfig(Section):
    """One run: one configuration, one pairs file."""

    pairs: Annotated[int, Range(1, 10**15), about("emissions to simulate")]
    seed: Annotated[int, Range(0), about("seed of all random streams; numpy mixes any size into 128 bits")]
    chunk_size: Annotated[
        int,
        Range(8, 1 << 28, multiple_of=8),
        about("emissions per random stream, a multiple of 8; by engine: noise 16777216, netsquid 1000, others 65536"),
    ] = _CHUNK_SIZE["noise"]
    engine: Annotated[AnyEngine, about("simulator and its parameters")]
    schedule: Annotated[
        ScheduleConfig,
        _shorthand("schedule", Policy | ScheduleConfig),
        about("which rank does what, or the policy alone"),
    ] = ScheduleConfig()
    output: Annotated[
        OutputConfig, _shorthand("output", str | OutputConfig), about("where the pairs go, or the path alone")
    ] = OutputConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_chunk_size(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("chunk_size") is None:
            name = _chosen(data.get("engine"), "name")
            size = _CHUNK_SIZE.get(name, _PLUGIN_CHUNK_SIZE) if isinstance(name, str) else _PLUGIN_CHUNK_SIZE
            return {**data, "chunk_size": size}
        return data

    def _rules(self) -> Iterator[Breach]:
        if self.pairs > _MOST_CHUNKS * self.chunk_size:
            yield "chunk_size", f"would make more than {_MOST_CHUNKS:_} chunks of pairs={self.pairs}; raise it", "rule"

    def digest(self, stream_version: int) -> str:
        """SHA-256 over all that changes bits: seed, chunk size, engine and its stream's version."""
        # Values equal to their defaults are left out, so that an optional parameter added later
        # leaves the digest of every older run alone.  So a default, once released, never changes.
        identity = {
            "seed": self.seed,
            "chunk_size": self.chunk_size,
            "engine": self.engine.model_dump(mode="json", exclude_defaults=True),
            "stream_version": stream_version,
        }
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def resolved(self) -> dict[str, Any]:
        """Everything with its defaults filled in, as JSON values; `from_json` reads it back."""
        values = self.model_dump(mode="json", exclude_none=True)
        if isinstance(self.engine, PluginConfig):
            values["engine"] = self.engine.model_dump(mode="json")  # None may mean something there
        return values

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The configuration whose `resolved` form is ``text``; its engine need not be installed here."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"stored configuration: not JSON: {error}") from None
        return cast("Self", _validated(data, source="stored configuration"))


# -- reading --------------------------------------------------------------------------------------------------


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a YAML file, after ``overrides`` like ``"engine.link.fidelity=0.97"``.

    Raises one `ConfigError` with everything that is wrong, a line each.
    """
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{source}: cannot be read: {reason}; `caligo-mpi init` writes a starter") from None
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{source}: larger than {_MOST_BYTES:_} bytes; not a configuration")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: not UTF-8 text; a configuration is a YAML file") from None
    return _parse(parse_yaml(text, source=source), overrides, source=source)


def parse_config(mapping: Mapping[str, Any], overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a mapping, as `load_config` reads it from a file.

    >>> link = {"fidelity": 0.97}
    >>> config = parse_config({"pairs": "1e6", "seed": 1, "engine": {"name": "noise", "link": link}})
    >>> config.pairs, config.chunk_size
    (1000000, 16777216)
    """
    return _parse(mapping, overrides, source="configuration")


def engine_names() -> tuple[str, ...]:
    """The engines a configuration may name: ours, then those that other packages installed."""
    return (*_CHUNK_SIZE, *sorted({entry.name for entry in metadata.entry_points(group=ENGINE_GROUP)}))


def starter_config() -> str:
    """A commented configuration that runs as it is."""
    return resources.files(__package__).joinpath("starter.yaml").read_text("utf-8")


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a configuration file."""
    body = _tidy(RunConfig.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a caligo-mpi run",
        **body,
    }


def _tidy(part: Any) -> Any:
    """Without generated titles and without defaults that only repeat a section's own."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    noise = {"title"} if isinstance(part.get("title"), str) else set()
    if isinstance(part.get("default"), dict) or part.get("default", 0) is None:
        noise.add("default")
    return {key: _tidy(value) for key, value in part.items() if key not in noise}


def _parse(data: object, overrides: Sequence[str], *, source: str) -> RunConfig:
    if data is None:
        raise ConfigError(f"{source}: is empty; `caligo-mpi init` writes a starter")
    if isinstance(data, Mapping):
        for override in overrides:
            data = _overridden(data, override)
    paths = [override.partition("=")[0].strip() for override in overrides]
    return _validated(data, source=source, overrides=paths, installed=True)


def _validated(data: object, *, source: str, overrides: Sequence[str] = (), installed: bool = False) -> RunConfig:
    """The configuration in ``data``, whose engine must be ``installed`` if so told."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{source}: must be a mapping of keys to values, not {type(data).__name__}")
    errors: list[Any] = list(_missing_engine(data)) if installed else []
    try:
        config = RunConfig.model_validate(dict(data))
    except ValidationError as invalid:
        errors += invalid.errors(include_url=False)
    if errors:
        raise ConfigError(complain(errors, given=data, keys=_keys(), source=source, overrides=overrides))
    return config


def _missing_engine(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name = _chosen(data.get("engine"), "name")
    if isinstance(name, str) and name not in _CHUNK_SIZE and name not in (names := engine_names()):
        sentence = f"no such engine; there are {', '.join(names)}"
        yield {"type": "choice", "loc": ("engine", "name"), "input": name, "msg": sentence}


def _overridden(data: Mapping[str, Any], override: str) -> dict[str, Any]:
    """A copy of ``data`` in which one ``path=value`` holds; sections are made where there are none."""
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {override}: must be a dotted key and a value, such as engine.link.fidelity=0.97")
    value = parse_yaml(text, source=f"--set {path.strip()}")
    out = section = dict(data)
    for depth, name in enumerate(names[:-1]):
        inner = section.get(name)
        if isinstance(inner, str) and depth == 0 and name in _SHORTHANDS:
            inner = {_SHORTHANDS[name]: inner}
        if inner is not None and not isinstance(inner, Mapping):
            where = ".".join(names[: depth + 1])
            raise ConfigError(
                f"--set {override}: {where} is {inner!r}, not a section; it has no key {names[depth + 1]}"
            )
        section[name] = section = dict(inner or {})
    section[names[-1]] = value
    return out


@cache
def _keys() -> tuple[Key, ...]:
    """Every key of every section, with the choices that bring it in."""
    return tuple(_keys_of(RunConfig, "", ()))


def _keys_of(section: type[BaseModel], prefix: str, needs: tuple[Need, ...]) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        path = prefix + name
        yield Key(path, field.description or "", needs)
        inner = _sections(field.annotation)
        for one in inner:
            choice = _need(path, one) if len(inner) > 1 else ()
            yield from _keys_of(one, path + ".", needs + choice)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation] if annotation is not PluginConfig else []
    return [section for part in get_args(annotation) for section in _sections(part)]


def _need(path: str, section: type[BaseModel]) -> tuple[Need]:
    """The choice that makes ``section`` the one at ``path``; None stands for a choice left out."""
    key = "name" if "name" in section.model_fields else "type"
    field = section.model_fields[key]
    left_out = (None,) if key == "name" or not field.is_required() else ()
    return ((f"{path}.{key}", get_args(field.annotation) + left_out),)
