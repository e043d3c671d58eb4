"""Engines: given (count, seed), return pairs.

An engine is chosen by ``engine.name`` in the configuration; `caligo_mpi.config.BUILT_IN` lists
ours.
Others are found in the entry-point group `ENGINE_GROUP`: a callable that
takes the engine's configuration and returns an `Engine`; `caligo_mpi.testing.EngineTests`
is the contract it has to keep.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Protocol, cast, runtime_checkable

import numpy as np

from ..config import BUILT_IN, ENGINE_GROUP
from ..errors import ConfigError, EnvironmentProblem
from ..pairs import ColumnSpec, Pairs, Sink, Summed, Tally, Tick
from ..pairs.table import checked
from .link import Expected


class Engine(Protocol):
    """What a run needs of a simulator.

    The same ``seed`` gives the same pairs in any process, and ``sample(n, seed)`` is a
    prefix of ``sample(m, seed)`` for n < m (clicks and durations count only what was asked for).
    An engine that cannot keep the latter says so by an attribute ``prefix = False``; then
    ``pairs`` cannot be raised later, except where the last chunk is whole.
    """

    #: What provenance calls it.
    name: str
    #: Raised whenever the same configuration would give other bits; part of the run's identity.
    stream_version: int
    #: Pairs can be lost, so rows carry their emission index.
    has_index: bool
    #: Rows carry a simulated time.
    has_time: bool
    #: The integers that its random decisions compare with, stored in the file.  JSON values only;
    #: may be empty.
    thresholds: dict[str, object]
    #: Closed-form rates of this configuration.
    expected: Expected
    #: Further columns of its rows, given as `Pairs.extra`; an engine without any may leave this out.
    columns: tuple[ColumnSpec, ...] = ()

    def sample(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> Pairs:
        """Simulate ``count`` emissions; call ``tick`` every few milliseconds of work at most."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An engine of ours that counts sifted pairs and errors while it makes them."""

    def sample_counted(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> tuple[Pairs, Tally]:
        """What `Engine.sample` gives, and what `caligo_mpi.pairs.tally` would count in it."""
        ...


@runtime_checkable
class Summing(Protocol):
    """An engine of ours that need not keep the pairs whose record is all that is wanted."""

    def sum_up(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
        sink: Sink | None = None,
    ) -> Summed | None:
        """Counts and checksum of the same pairs, which need not be anywhere; None where that takes the pairs.

        Only where each emission gives a pair.  A ``sink`` gets their columns, block by block; none if the answer is
        None.
        """
        ...


class EngineConfig(Protocol):
    """What all engine configurations share."""

    @property
    def name(self) -> str:
        """The engine's name."""
        ...


def make_engine(
    config: EngineConfig,
    thresholds: dict[str, object] | None = None,
    stream_version: int | None = None,
) -> Engine:
    """The engine that ``config.name`` names, built from the configuration.

    ``thresholds`` and ``stream_version`` are the stored ones of a run that is resumed; plug-ins
    are called with the configuration alone.  Raises `ConfigError` for an unknown name, and for a
    stream that this installation does not make.  Raises `EnvironmentProblem` where something that
    the engine needs is missing.
    """
    engine = _built(config, thresholds, stream_version)
    if stream_version is not None and engine.stream_version != stream_version:
        raise ConfigError(
            f"stream_version={stream_version} of engine {config.name} is not made by this "
            f"installation, which makes {engine.stream_version}; "
            "use the version of the software that the file was made with"
        )
    return engine


def _built(
    config: EngineConfig, thresholds: dict[str, object] | None, stream_version: int | None
) -> Engine:
    name = config.name
    if name in BUILT_IN:
        if reason := _missing(name):
            raise EnvironmentProblem(reason)
        _, kind_name = BUILT_IN[name].home
        kind = getattr(_imported(name), kind_name)
        if stream_version in getattr(kind, "older_streams", ()):
            return cast(Engine, kind(config, thresholds, stream_version))
        return cast(Engine, kind(config, thresholds))
    plugins = _plugins()
    if name not in plugins:
        known = ", ".join([*BUILT_IN, *plugins])
        raise ConfigError(
            f"engine.name={name!r} is not an installed engine; choose one of: {known}"
        )
    make = plugins[name].load()
    return cast(Engine, make(config))


def declared_columns(engine: Engine) -> tuple[ColumnSpec, ...]:
    """The columns that an engine declares beside those of every pair; `ConfigError` where they cannot be."""
    columns = getattr(engine, "columns", ())
    if not columns:
        return ()
    return checked(columns, who=f"engine {engine.name}")


def is_ours(engine: Engine) -> bool:
    """Whether an engine is one of this package's."""
    return type(engine).__module__.startswith(f"{__name__}.")


def available() -> dict[str, str | None]:
    """Names of all installed engines, each with what it misses to be usable, or None.

    >>> available()["noise"] is None
    True
    """
    plugins = {name: _unloadable(plugin) for name, plugin in _plugins().items()}
    ours = {name: _missing(name) for name in BUILT_IN}
    return plugins | ours


def missing(name: str) -> str | None:
    """What one of our engines lacks to be usable here, or None.

    Engines of other packages are not imported to find out: one that cannot be says so when it is made.
    """
    return _missing(name) if name in BUILT_IN else None


def version(name: str) -> str:
    """The installed release of what the engine needs; nothing where it needs nothing.

    >>> version("noise")
    ''
    """
    entry = BUILT_IN.get(name)
    if entry is None or not entry.needs or _missing(name):
        return ""
    return metadata.version(entry.needs)


def keeps_prefixes(engine: Engine) -> bool:
    """Whether a shorter sample of the engine is the beginning of a longer one: yes unless declared."""
    return bool(getattr(engine, "prefix", True))


def _module(name: str) -> ModuleType:
    module, _ = BUILT_IN[name].home
    return importlib.import_module(f".{module}", __name__)


def _imported(name: str) -> ModuleType:
    try:
        return _module(name)
    except ImportError as error:
        needs = BUILT_IN[name].needs
        raise EnvironmentProblem(
            f"engine {name!r} cannot be imported: {error}; repair it with: "
            f"pip install --force-reinstall {needs}"
        ) from error


def _missing(name: str) -> str | None:
    needs = BUILT_IN[name].needs
    if needs:
        return _not_installed(name, needs)
    try:
        probe = getattr(_module(name), "probe", None)
    except ImportError as error:
        return f"engine {name!r} cannot be imported: {error}"
    return cast("str | None", probe()) if probe else None


def _not_installed(name: str, needs: str) -> str | None:
    """Found without importing it: that of some simulators takes seconds."""
    try:
        metadata.version(needs)
    except metadata.PackageNotFoundError:
        return (
            f"engine {name!r} needs {needs}, which is not installed; "
            f"get it with: pip install 'caligo-mpi[{name}]'"
        )
    return None


def _plugins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENGINE_GROUP)}


def _unloadable(plugin: EntryPoint) -> str | None:
    try:
        plugin.load()
    except (ImportError, AttributeError) as error:
        return f"{plugin.value} cannot be loaded: {error}"
    return None
