"""Model of a bench: one experiment, engines × parameters, and how often each is run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, StrictBool, StrictStr, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import ConfigError
from .complaints import Key, complain
from .json_schema import tidy
from .reading import read_yaml
from .run import Policy
from .sections import Breach, Range, Section, about, keys_of

#: Benches that are part of this package, by name.
PRESETS = (
    "peers",
    "scaling",
    "noise-sweep",
    "size-sweep",
    "chunks",
    "batching",
    "store",
    "protocol",
)
_REMEDY = f"or name a preset: {', '.join(PRESETS)}"


def _listed(value: object) -> object:
    """A single value stands for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _section(value: object) -> object:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise PydanticCustomError("rule", "must be a section of keys")
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        problem = "must be made of text, finite numbers, true, false, null, lists and sections"
        raise PydanticCustomError("rule", problem) from None


def _engine(value: object) -> object:
    section = {"name": value} if isinstance(value, str) else value
    made: Any = _section(section)
    if not isinstance(made.get("name"), str) or not made["name"]:
        raise PydanticCustomError("rule", "must be the name of an engine, or a section with it")
    for key, kind in (("pairs", _OWN_PAIRS), ("chunk_size", _OWN_CHUNK_SIZE)):
        if key in made:
            made[key] = kind.validate_python(made[key])
    return made


def _output(value: object) -> object:
    return _section({"keep": value} if isinstance(value, str) else value)


def _ranks(value: object) -> object:
    return 0 if value == "auto" else value


Free = dict[str, Any]
Engine = Annotated[Free, BeforeValidator(_engine)]
Output = Annotated[Free, BeforeValidator(_output)]
Ranks = Annotated[int, Range(0, 1 << 20), BeforeValidator(_ranks)]
Pairs = Annotated[int, Range(1, 10**15)]
Qber = Annotated[float, Range(0, 0.5)]
ChunkSize = Annotated[int, Range(8, 1 << 28, multiple_of=8)]
Listed = BeforeValidator(_listed)

_OWN_PAIRS: TypeAdapter[int] = TypeAdapter(Pairs)
_OWN_CHUNK_SIZE: TypeAdapter[int] = TypeAdapter(ChunkSize)


class BenchConfig(Section):
    """A bench.  Every combination of the listed parameters is a case; a single value is a list of one."""

    title: Annotated[StrictStr, about("what the bench is for, in a sentence")] = ""
    work: Annotated[
        Literal["sample", "generate", "distill"],
        about(
            "what is measured: an engine alone, making a file of pairs, or keys of pairs that were made before"
        ),
    ] = "generate"
    engines: Annotated[
        tuple[Engine, ...],
        Listed,
        about(
            "names of engines, or sections with their own keys (pairs, chunk_size, too); the first is the reference"
        ),
    ] = ({"name": "noise"},)
    experiment: Annotated[
        Free, BeforeValidator(_section), about("keys that all engines are given: link, alice, bob")
    ] = {"link": {"fidelity": 0.95}}  # noqa: RUF012
    pairs: Annotated[tuple[Pairs, ...], Listed, about("emissions to simulate")] = (1_000_000,)
    noise: Annotated[
        tuple[Qber, ...],
        Listed,
        about("QBER of a Werner link in the place of the experiment's link", symbol="Q"),
    ] = ()
    ranks: Annotated[
        tuple[Ranks, ...],
        Listed,
        about("ranks; 1 starts no mpirun, 0 or auto means 1, 2, 4, … up to the cores"),
    ] = (1,)
    weak: Annotated[
        tuple[StrictBool, ...], Listed, about("whether pairs are counted per rank (weak scaling)")
    ] = (False,)
    chunk_size: Annotated[
        tuple[ChunkSize, ...],
        Listed,
        about("emissions per chunk; each engine's own unless given"),
    ] = ()
    policy: Annotated[tuple[Policy, ...], Listed, about("how chunks are granted to ranks")] = (
        "dynamic",
    )
    output: Annotated[
        tuple[Output, ...],
        Listed,
        about("what the file keeps (pairs, records), or a section of output"),
    ] = ({},)
    protocol: Annotated[
        tuple[Annotated[Free, BeforeValidator(_section)], ...],
        Listed,
        about("of work: distill, the protocol's section"),
    ] = ()
    seed: Annotated[int, Range(0), about("seed of the first run; repeats count on from it")] = 1
    warmup: Annotated[
        int, Range(0, 100), about("runs of every case that are recorded but not counted")
    ] = 1
    repeats: Annotated[int, Range(1, 10_000), about("runs of every case that count")] = 5
    timeout_s: Annotated[
        float, Range(1, 1e7), about("a run that takes longer is ended", unit="s")
    ] = 600.0
    retries: Annotated[
        int, Range(0, 100), about("how often a run that fails, hangs or is killed is tried again")
    ] = 0
    max_parallel: Annotated[
        int, Range(1, 4096), about("runs at a time; 1 for timings that mean something")
    ] = 1
    memory_mib: Annotated[
        Annotated[int, Range(16, 1 << 40)] | None,
        about("a run that takes more is ended; most of what is free unless given", unit="MiB"),
    ] = None
    measure: Annotated[
        Literal["simulate", "run", "process"],
        about(
            "which seconds count: of all chunks in their engine, of the run, or of the whole process"
        ),
    ] = "run"

    def _rules(self) -> Iterator[Breach]:
        if self.work == "distill" and not self.protocol:
            yield "protocol", "missing; work: distill needs it, such as {mode: bbm92}", "none"
        if self.work != "distill" and self.protocol:
            yield "protocol", "only with work: distill; remove it", "rule"
        if self.work != "generate" and self.measure == "simulate":
            yield "measure", "only with work: generate; must be run or process", "rule"
        if self.work == "sample" and set(self.ranks) != {1}:
            yield "ranks", "only with other work than sample, which is one process", "rule"
        for key in ("engines", "pairs", "ranks", "weak", "policy", "output"):
            if not getattr(self, key):
                yield key, "is empty; give at least one", "rule"


def load_bench(name: str | os.PathLike[str]) -> BenchConfig:
    """The bench of a preset's name or in a YAML file; raises `ConfigError`."""
    return parse_bench(bench_document(name), source=os.fspath(name))


def bench_document(name: str | os.PathLike[str]) -> Any:
    """What a preset or a YAML file says, before it is checked."""
    if name in PRESETS:
        home = resources.files(__package__.rpartition(".")[0]).joinpath("bench", "presets")
        with resources.as_file(home.joinpath(f"{name}.yaml")) as path:
            return read_yaml(path, remedy=_REMEDY)
    return read_yaml(name, remedy=_REMEDY)


def parse_bench(data: object, *, source: str = "bench") -> BenchConfig:
    """The bench in a mapping; raises `ConfigError` with everything that is wrong."""
    if not isinstance(data, Mapping):
        kind = "empty" if data is None else type(data).__name__
        raise ConfigError(f"{source}: must be a mapping of keys to values, not {kind}; {_REMEDY}")
    try:
        return BenchConfig.model_validate(dict(data))
    except ValidationError as invalid:
        errors: list[Any] = list(invalid.errors(include_url=False))
    keys: tuple[Key, ...] = tuple(keys_of(BenchConfig))
    raise ConfigError(
        complain(errors, given=data, keys=keys, source=source, overrides=(), answers={})
    )


def bench_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a bench."""
    body = tidy(BenchConfig.model_json_schema())
    fields = {name: _as_read(name, field) for name, field in body["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A bench of caligo-mpi",
        **body,
        "properties": fields,
    }


#: What an item of a list may also be.
_ALSO: Mapping[str, dict[str, Any]] = {
    "engines": {"type": "string"},
    "output": {"type": "string"},
    "ranks": {"const": "auto"},
}


def _as_read(name: str, field: dict[str, Any]) -> dict[str, Any]:
    """The field as it may be written: a single value for a list, text for a section."""
    if field.get("type") != "array":
        return field
    item = field["items"]
    one = {"anyOf": [_ALSO[name], item]} if name in _ALSO else item
    rest = {key: value for key, value in field.items() if key not in ("type", "items")}
    return {**rest, "anyOf": [one, {"type": "array", "items": one}]}
