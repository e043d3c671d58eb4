"""The engines that a configuration may name.

A built-in engine is one entry of `BUILT_IN`, its section in this package, and its own package under
`caligo_mpi.engines`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from importlib import metadata
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, StrictStr, Tag

from .netsquid import AutoConfig, NetsquidConfig
from .noise import NoiseConfig, takes_time
from .peers import HandmadeConfig, PeerConfig
from .sections import Breach, Section, about, chosen
from .sequence import SequenceConfig

#: Entry points of this group name the engines of other packages.
ENGINE_GROUP = "caligo_mpi.engines"

#: ``engine.name`` of a run whose engine is settled when it begins.
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """An engine of this package.

    ``section`` is its configuration, ``home`` its module and what makes it, below
    `caligo_mpi.engines`, ``chunk_size`` how many emissions a chunk holds unless told: part of a run's identity, so it
    never changes.  ``needs`` is the distribution that has to be installed, by an extra of the
    engine's name.
    """

    section: type[Section]
    home: tuple[str, str]
    chunk_size: int
    needs: str = ""


#: The noise engine's where rows have times: they take some twenty bytes, not half a byte.
TIMED_CHUNK_SIZE = 1 << 20

_OTHERS_CHUNK_SIZE = PLUGIN_CHUNK_SIZE = 1 << 16


def _peer(module: str, kind: str, needs: str) -> BuiltIn:
    return BuiltIn(PeerConfig, (f"peers.{module}", kind), _OTHERS_CHUNK_SIZE, needs)


def _handmade(kind: str) -> BuiltIn:
    return BuiltIn(HandmadeConfig, ("peers.handmade", kind), _OTHERS_CHUNK_SIZE)


BUILT_IN: Mapping[str, BuiltIn] = {
    "noise": BuiltIn(NoiseConfig, ("noise", "noise_engine"), chunk_size=1 << 24),
    "netsquid": BuiltIn(NetsquidConfig, ("netsquid", "NetsquidEngine"), chunk_size=1000),
    "sequence": BuiltIn(SequenceConfig, ("sequence", "SequenceEngine"), chunk_size=1000),
    "stim": _peer("stim", "StimEngine", "stim"),
    "qiskit-aer": _peer("aer", "AerEngine", "qiskit-aer"),
    "cirq": _peer("cirq", "CirqEngine", "cirq-core"),
    "qsim": _peer("qsim", "QsimEngine", "qsimcirq"),
    "pennylane": _peer("pennylane", "PennylaneEngine", "pennylane"),
    "plain": _handmade("PlainEngine"),
    "loop": _handmade("LoopEngine"),
    "threads": _handmade("ThreadsEngine"),
    "processes": _handmade("ProcessesEngine"),
}


class PluginConfig(Section):
    """An engine of another package: its name and its own keys, kept as they are given."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]

    name: Annotated[
        StrictStr,
        about("entry point in the group caligo_mpi.engines"),
        Field(json_schema_extra={"not": {"enum": [*BUILT_IN]}}),
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


def _tag(value: object) -> str | None:
    name = chosen(value, "name")
    if not isinstance(name, str):
        return None
    section = BUILT_IN[name].section if name in BUILT_IN else PluginConfig
    return _tag_of(AutoConfig if name == AUTO else section)


def _tag_of(section: type[Section]) -> str:
    return f"<{section.__name__}>"


if TYPE_CHECKING:

    class AnyEngine(Section):
        """The section of any engine."""

        name: str

else:
    _OURS = dict.fromkeys(entry.section for entry in BUILT_IN.values())
    _SECTIONS = (*_OURS, AutoConfig, PluginConfig)
    AnyEngine = Annotated[
        reduce(or_, (Annotated[section, Tag(_tag_of(section))] for section in _SECTIONS)),
        Discriminator(
            _tag,
            custom_error_type="choice",
            custom_error_message=(
                "must be a section with the name of an engine, such as {name: noise, link: …}"
            ),
        ),
    ]


def usual_chunk_size(engine: object) -> int:
    """Emissions per chunk of the engine in this section, given or validated, unless told."""
    name = chosen(engine, "name")
    if name == AUTO:
        name = "noise"  # until the engine is settled
    entry = BUILT_IN.get(name) if isinstance(name, str) else None
    if name == "noise" and takes_time(chosen(engine, "link")):
        return TIMED_CHUNK_SIZE
    return entry.chunk_size if entry else PLUGIN_CHUNK_SIZE


def missing_engine(engine: object) -> str:
    """A sentence if the section names an engine that is not installed, else nothing."""
    name = chosen(engine, "name")
    if not isinstance(name, str) or name in (*BUILT_IN, AUTO):
        return ""
    names = engine_names()
    return "" if name in names else f"no such engine; there are {', '.join(names)}"


def engine_names() -> tuple[str, ...]:
    """The engines a configuration may name: ours, then those that other packages installed."""
    installed = {entry.name for entry in metadata.entry_points(group=ENGINE_GROUP)}
    return (*BUILT_IN, *sorted(installed))
