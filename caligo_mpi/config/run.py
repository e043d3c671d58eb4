"""The model of a run, its identity, and the engines that it may name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import CoreSchema, core_schema

from ..errors import ConfigError
from .complaints import Key, complain
from .engines import BUILT_IN, AnyEngine, PluginConfig, missing_engine, usual_chunk_size
from .netsquid import AutoConfig, SequentialConfig
from .noise import NoiseConfig, takes_time
from .old_keys import ANSWERS, NETSQUID_ANSWERS
from .sections import Breach, Range, Section, about, chosen, keys_of, whole_number
from .until import MOST_PAIRS, UntilConfig

if TYPE_CHECKING:
    from typing_extensions import Self

#: Emissions that a chunk holds at least.
LEAST_CHUNK_SIZE = 8

_MOST_CHUNKS = 10**8


Policy = Literal["static", "dynamic", "guided", "adaptive"]


class ScheduleConfig(Section):
    """How chunks go to ranks; never changes a bit of the result."""

    policy: Annotated[Policy, about("how chunks are granted to ranks")] = "dynamic"
    rank0_computes: Annotated[
        Literal["auto", "yes", "no"], about("whether the rank that writes the file also simulates")
    ] = "auto"


Keep = Literal["pairs", "records", "counts"]

#: Who writes columns into the file: rank 0, or each rank its own.
Writers = Literal["auto", "gather", "direct"]


class OutputConfig(Section):
    """Where the pairs file goes, what it keeps, and how hard it is pressed to disk."""

    path: Annotated[StrictStr | None, about("pairs file; the command line's choice goes first")] = (
        None
    )
    durability: Annotated[
        Literal["flush", "fsync"],
        about("after each commit: flush survives a crash of the job, fsync one of the machine"),
    ] = "flush"
    keep: Annotated[
        Keep,
        about(
            "pairs: every column; records: the chunk table alone, columns are simulated again where they are "
            "read; counts: sixteen outcome counts drawn from their law, no bits at all (noise engine)"
        ),
    ] = "pairs"
    writers: Annotated[
        Writers,
        about(
            "who writes the columns: gather: rank 0, to which they are sent; direct: each rank its own; auto: direct "
            "where chunks are large and all hosts of the run see one file"
        ),
    ] = "auto"

    def _rules(self) -> Iterator[Breach]:
        if self.path is not None and (not self.path or "\0" in self.path):
            yield "path", "must be a file name", "rule"


FaultMode = Literal["restart", "survive"]


class FaultsConfig(Section):
    """What is done when ranks die or chunks fail; never changes a bit of the result."""

    mode: Annotated[
        FaultMode,
        about(
            "restart begins again from the file; survive goes on with the ranks that are left (Open MPI 5)"
        ),
    ] = "restart"
    restarts: Annotated[
        int, Range(0, 1_000_000), about("launches after the first one; needs --ranks")
    ] = 100
    retries: Annotated[
        int,
        Range(0, 1000),
        about("how often a chunk whose simulation raises is tried again, elsewhere if possible"),
    ] = 0


_Ranks = Annotated[int, Range(1, 1 << 20)]
Binding = Literal["auto", "none", "core", "socket", "numa"]


class MpiConfig(Section):
    """Ranks: how many are started, where they run, what they tell; never changes a bit of the result."""

    ranks: Annotated[
        _Ranks | None,
        about("ranks to start; --ranks goes first, and under a launcher its own number"),
    ] = None
    binding: Annotated[
        Binding,
        about(
            "what each rank is bound to where the launcher has not bound it; auto binds to cores where "
            "the cores are known to be this run's alone"
        ),
    ] = "auto"
    metrics: Annotated[
        StrictStr | None,
        about("file that gets what the ranks do, as Prometheus text, every few seconds"),
    ] = None


#: That of a verb for which nobody says otherwise.
DEFAULT_MPI = MpiConfig()


#: Sections that may be given as text, which is then the value of this key.
SHORTHANDS = {"schedule": "policy", "output": "path", "faults": "mode"}


@dataclass(frozen=True, slots=True)
class _Shorthand:
    """Lets a section be given as text; ``choices`` are the texts there are, any if it is empty."""

    section: str
    choices: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self,
        source: Any,
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(
        self,
        schema: CoreSchema,
        handler: GetJsonSchemaHandler,
    ) -> dict[str, Any]:
        text = {"enum": [*self.choices]} if self.choices else {}
        return {"anyOf": [{**text, "type": "string"}, handler(schema)]}

    def _expand(self, value: object) -> object:
        return {SHORTHANDS[self.section]: value} if isinstance(value, str) else value


class RunConfig(Section):
    """One run: one configuration, one pairs file."""

    pairs: Annotated[int, Range(1, MOST_PAIRS), about("emissions to simulate; left out with until")]
    seed: Annotated[
        int, Range(0), about("seed of all random streams; numpy mixes any size into 128 bits")
    ]
    chunk_size: Annotated[
        int,
        Range(LEAST_CHUNK_SIZE, 1 << 28, multiple_of=8),
        about(
            "emissions per random stream, a multiple of 8; by engine: noise 16777216 "
            "(1048576 with times), netsquid and sequence 1000, others 65536"
        ),
    ] = BUILT_IN["noise"].chunk_size
    engine: Annotated[AnyEngine, about("simulator and its parameters")]
    schedule: Annotated[
        ScheduleConfig,
        _Shorthand("schedule", get_args(Policy)),
        about("which rank does what, or the policy alone"),
    ] = ScheduleConfig()
    output: Annotated[
        OutputConfig,
        _Shorthand("output"),
        about("where the pairs go, or the path alone"),
    ] = OutputConfig()
    faults: Annotated[
        FaultsConfig,
        _Shorthand("faults", get_args(FaultMode)),
        about("what is done about them, or the mode alone"),
    ] = FaultsConfig()

    mpi: Annotated[MpiConfig, about("how many ranks there are and where they run")] = DEFAULT_MPI

    sequential: Annotated[
        SequentialConfig | None,
        about("the protocol of caligo-mpi sequential, inside NetSquid; no bit of generate"),
    ] = None
    until: Annotated[
        UntilConfig | None,
        about("instead of pairs: stop when a rate is known so precisely; changes no bit"),
    ] = None

    @model_validator(mode="wrap")
    @classmethod
    def _fill_chunk_size(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        data = _with_pairs(data)
        if data.get("chunk_size") is not None:
            return handler(data)
        run = handler({**data, "chunk_size": usual_chunk_size(data.get("engine"))})
        run.model_fields_set.discard("chunk_size")
        return run

    def _rules(self) -> Iterator[Breach]:
        if self.until is not None and self.pairs != self.until.max_pairs:
            sentence = f"is given beside until.max_pairs={self.until.max_pairs}; leave pairs out"
            yield "pairs", sentence, "rule"
        if self.pairs > _MOST_CHUNKS * self.chunk_size:
            yield (
                "chunk_size",
                f"would make more than {_MOST_CHUNKS:_} chunks of pairs={self.pairs}; raise it",
                "rule",
            )
        if self.output.keep == "counts" and not self._has_law():
            yield (
                "output.keep",
                "counts have a law only with engine noise and a link whose attempts take no time; "
                f"with this {self.engine.name} keep records or pairs",
                "rule",
            )

    def _has_law(self) -> bool:
        """Whether outcome counts can be drawn without pairs."""
        if isinstance(self.engine, AutoConfig):
            return not self.engine.has_time
        return isinstance(self.engine, NoiseConfig) and not takes_time(self.engine.link)

    def with_engine(self, name: Literal["noise", "netsquid"]) -> Self:
        """The run with its ``auto`` engine settled.

        A chunk size that was not given becomes that engine's.
        """
        assert isinstance(self.engine, AutoConfig)
        values = {**self.resolved(), "engine": self.engine.as_engine(name)}
        if "chunk_size" not in self.model_fields_set:
            del values["chunk_size"]
        return type(self).model_validate(values)

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
        if self.mpi == DEFAULT_MPI:
            del values["mpi"]  # so that older releases read it
        if self.until is not None:
            del values["pairs"]  # they are in there
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
        return cast("Self", validated(data, source="stored configuration"))


def _with_pairs(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """With ``until``, its most emissions are the run's; where they are wrong, that is said of them."""
    until = data.get("until")
    if data.get("pairs") is not None or not isinstance(until, Mapping):
        return data
    most = whole_number(until.get("max_pairs"))
    is_right = most is not None and 1 <= most <= MOST_PAIRS
    return {**data, "pairs": most if is_right else 1}


def validated(
    data: object,
    *,
    source: str,
    overrides: Sequence[str] = (),
    installed: bool = False,
) -> RunConfig:
    """The configuration in ``data``, whose engine must be ``installed`` if so told."""
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{source}: must be a mapping of keys to values, not {type(data).__name__}"
        )
    errors: list[Any] = list(_missing_engine(data)) if installed else []
    try:
        config = RunConfig.model_validate(dict(data))
    except ValidationError as invalid:
        errors += invalid.errors(include_url=False)
    if errors:
        name = chosen(data.get("engine"), "name")
        answers = NETSQUID_ANSWERS if name == "netsquid" else ANSWERS
        raise ConfigError(
            complain(
                errors,
                given=data,
                keys=_keys(),
                source=source,
                overrides=overrides,
                answers=answers,
            )
        )
    return config


def _missing_engine(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    engine = data.get("engine")
    if sentence := missing_engine(engine):
        name = chosen(engine, "name")
        yield {"type": "choice", "loc": ("engine", "name"), "input": name, "msg": sentence}


@cache
def _keys() -> tuple[Key, ...]:
    """Every key of every section, with the choices that bring it in."""
    return tuple(keys_of(RunConfig))
