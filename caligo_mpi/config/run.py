"""The model of a run, its identity, and the engines that it may name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from ..errors import ConfigError
from .complaints import Key, complain
from .netsquid import AutoConfig, NetsquidConfig, SequentialConfig
from .noise import NoiseConfig
from .sections import Breach, Range, Section, about, chosen, keys_of

if TYPE_CHECKING:
    from typing_extensions import Self

#: Entry points of this group name the engines of other packages.
ENGINE_GROUP = "caligo_mpi.engines"

# How many emissions a chunk holds unless told; part of a run's identity, so these never change.
_CHUNK_SIZE = {"noise": 1 << 24, "netsquid": 1000}
_PLUGIN_CHUNK_SIZE = 1 << 16
_AUTO_CHUNK_SIZE = 1 << 28  # until the engine is settled; nobody would ask for it
_MOST_CHUNKS = 1 << 32


class PluginConfig(Section):
    """An engine of another package: its name and its own keys, kept as they are given."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]

    name: Annotated[
        str,
        about("entry point in the group caligo_mpi.engines"),
        Field(json_schema_extra={"not": {"enum": [*_CHUNK_SIZE]}}),
    ]

    @property
    def parameters(self) -> dict[str, Any]:
        """All keys but ``name``; JSON values."""
        return dict(self.__pydantic_extra__)

    def _rules(self) -> Iterator[Breach]:
        for key, value in self.parameters.items():
            if not _is_json(value):
                yield (
                    key,
                    "must be made of text, finite numbers, true, false, null, lists and sections",
                    "rule",
                )


def _is_json(value: object) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _engine_tag(value: object) -> str | None:
    name = chosen(value, "name")
    if not isinstance(name, str):
        return None
    return f"<{name}>" if name in (*_CHUNK_SIZE, "auto") else "<plugin>"


AnyEngine = Annotated[
    Annotated[NoiseConfig, Tag("<noise>")]
    | Annotated[NetsquidConfig, Tag("<netsquid>")]
    | Annotated[AutoConfig, Tag("<auto>")]
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


#: Sections that may be given as text, which is then the value of this key.
SHORTHANDS = {"schedule": "policy", "output": "path", "faults": "mode"}


def _shorthand(section: str, accepts: Any) -> BeforeValidator:
    def expand(value: object) -> object:
        return {SHORTHANDS[section]: value} if isinstance(value, str) else value

    return BeforeValidator(expand, json_schema_input_type=accepts)


class RunConfig(Section):
    """One run: one configuration, one pairs file."""

    pairs: Annotated[int, Range(1, 10**15), about("emissions to simulate")]
    seed: Annotated[
        int, Range(0), about("seed of all random streams; numpy mixes any size into 128 bits")
    ]
    chunk_size: Annotated[
        int,
        Range(8, 1 << 28, multiple_of=8),
        about(
            "emissions per random stream, a multiple of 8; by engine: noise 16777216, netsquid 1000, others 65536"
        ),
    ] = _CHUNK_SIZE["noise"]
    engine: Annotated[AnyEngine, about("simulator and its parameters")]
    schedule: Annotated[
        ScheduleConfig,
        _shorthand("schedule", Policy | ScheduleConfig),
        about("which rank does what, or the policy alone"),
    ] = ScheduleConfig()
    output: Annotated[
        OutputConfig,
        _shorthand("output", str | OutputConfig),
        about("where the pairs go, or the path alone"),
    ] = OutputConfig()
    faults: Annotated[
        FaultsConfig,
        _shorthand("faults", FaultMode | FaultsConfig),
        about("what is done about them, or the mode alone"),
    ] = FaultsConfig()

    sequential: Annotated[
        SequentialConfig | None,
        about("the protocol of caligo-mpi sequential, inside NetSquid; no bit of generate"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _fill_chunk_size(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("chunk_size") is None:
            name = chosen(data.get("engine"), "name")
            sizes = {**_CHUNK_SIZE, "auto": _AUTO_CHUNK_SIZE}
            size = (
                sizes.get(name, _PLUGIN_CHUNK_SIZE) if isinstance(name, str) else _PLUGIN_CHUNK_SIZE
            )
            return {**data, "chunk_size": size}
        return data

    def _rules(self) -> Iterator[Breach]:
        if self.pairs > _MOST_CHUNKS * self.chunk_size:
            yield (
                "chunk_size",
                f"would make more than {_MOST_CHUNKS:_} chunks of pairs={self.pairs}; raise it",
                "rule",
            )

    def with_engine(self, name: Literal["noise", "netsquid"]) -> Self:
        """The run with its ``auto`` engine settled; a chunk size that was not given becomes that engine's."""
        assert isinstance(self.engine, AutoConfig)
        values = {**self.resolved(), "engine": self.engine.as_engine(name)}
        if self.chunk_size == _AUTO_CHUNK_SIZE:
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


def validated(
    data: object, *, source: str, overrides: Sequence[str] = (), installed: bool = False
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
        raise ConfigError(
            complain(errors, given=data, keys=_keys(), source=source, overrides=overrides)
        )
    return config


def _missing_engine(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name = chosen(data.get("engine"), "name")
    if (
        isinstance(name, str)
        and name not in _CHUNK_SIZE
        and name != "auto"
        and name not in (names := engine_names())
    ):
        sentence = f"no such engine; there are {', '.join(names)}"
        yield {"type": "choice", "loc": ("engine", "name"), "input": name, "msg": sentence}


def engine_names() -> tuple[str, ...]:
    """The engines a configuration may name: ours, then those that other packages installed."""
    return (
        *_CHUNK_SIZE,
        *sorted({entry.name for entry in metadata.entry_points(group=ENGINE_GROUP)}),
    )


@cache
def _keys() -> tuple[Key, ...]:
    """Every key of every section, with the choices that bring it in."""
    return tuple(keys_of(RunConfig))
