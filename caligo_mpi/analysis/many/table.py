"""`open_runs`: many runs as one table that reads what is asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CaligoError, ConfigError
from ...runs.sweeps.reading import array_of
from ...store import PairsFile
from .finding import Name, find
from .frames import RunFrames, near
from .reading import Source, opened, sources

_FIRST = ("file", "kind")


@dataclass(frozen=True, slots=True, eq=False)
class Runs(RunFrames):
    """A row per run: a pairs file, a keys file, or a point of a sweep.

    ``runs["engine.link.fidelity"]`` is a parameter and ``runs["qber_z"]`` a result as an array, with NaN or None where
    a row has none.  Parameters have the names of the configuration, those of the protocol behind ``protocol.``; results
    have the names of a sweep's columns.  Parameters are known at once; the chunk tables are read when the first
    result is asked for, rows of pairs never.  ``runs[mask]``, ``runs[2:5]`` and ``runs[[0, 3]]`` are some of the rows.
    """

    sources: tuple[Source, ...]
    skipped: tuple[tuple[Path, str], ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def __repr__(self) -> str:
        kinds = Counter(source.kind for source in self.sources)
        counts = [f"{count} {kind}" for kind, count in kinds.items()]
        rows = ", ".join(counts) or "none"
        axes = ", ".join(self.axes) or "none"
        return f"<Runs: {rows}; parameters that differ: {axes}>"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters of any row, in the order of the configuration."""
        found: dict[str, None] = {}
        for source in self.sources:
            found |= dict.fromkeys(source.parameters)
        return tuple(found)

    @property
    def axes(self) -> tuple[str, ...]:
        """The parameters that are not the same in all rows that can have them."""
        return tuple(name for name in self.parameters if len(self._different(name)) > 1)

    def _different(self, name: str) -> set[str]:
        """The values of a parameter; a pairs file has none of a protocol's."""
        is_protocol = name.startswith("protocol.")
        found = set()
        for source in self.sources:
            if not is_protocol or source.kind != "pairs":
                value = source.parameters.get(name)
                found.add(repr(value))
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns: file and kind, the parameters that differ, results, the other parameters."""
        results: dict[str, None] = {}
        for source in self.sources:
            results |= dict.fromkeys(source.names())
        names = (
            *_FIRST,
            *self.axes,
            *results,
            *self.parameters,
        )
        return tuple(dict.fromkeys(names))

    def __getitem__(self, item: str | slice | Sequence[int] | NDArray[Any]) -> Any:
        """A column by its name, or some of the rows."""
        if isinstance(item, str):
            return array_of(self.column(item))
        wanted = item if isinstance(item, slice) else np.asarray(item)
        rows = np.arange(len(self))[wanted]
        places = np.atleast_1d(rows).tolist()
        chosen = tuple(self.sources[place] for place in places)
        return Runs(chosen, self.skipped)

    def column(self, name: str) -> list[Any]:
        """A value per row, None where it has none.  `KeyError` for a name that is no column."""
        if name not in self.columns:
            told = near(name, self.columns)
            raise KeyError(f"{name} is no column of these runs; there are {told}")
        return [_value(source, name) for source in self.sources]

    def rows(self) -> list[dict[str, Any]]:
        """The rows as mappings of column to value, None where there is none."""
        columns = self.columns
        rows = []
        for source in self.sources:
            row = {name: _value(source, name) for name in columns}
            rows.append(row)
        return rows

    def open(self, row: int) -> PairsFile:
        """The pairs file of a row, for its pairs.  Raises `StoreError` for a row of another kind."""
        return opened(self.sources[row])


def open_runs(*names: Name, skip_unreadable: bool = False) -> Runs:
    """Many files as one table with their parameters as columns, read lazily.

    ``names`` are files, directories and patterns such as ``"*.h5"`` or ``"runs/**/*.h5"``, in any
    mixture: pairs files, finished or partial, keys files, and sweeps, which have a row per point.
    Only what says whose a file is is read at once.  Raises `ConfigError` where a pattern fits
    nothing, and `StoreError` for a file that is none of ours or damaged; with ``skip_unreadable``
    those are left out, and ``skipped`` says which and why.
    """
    found: list[Source] = []
    skipped: list[tuple[Path, str]] = []
    for path in find(names):
        try:
            found += sources(path)
        except CaligoError as error:
            if not skip_unreadable:
                raise
            skipped.append((path, str(error)))
    if not found:
        _, reason = skipped[0]
        raise ConfigError(f"none of {len(skipped)} files can be read; the first: {reason}")
    return Runs(tuple(found), tuple(skipped))


def _value(source: Source, name: str) -> Any:
    if name in source.parameters:
        return source.parameters[name]
    if name == "file":
        return str(source.path)
    if name == "kind":
        return source.kind
    if name in source.names():
        return source.results().get(name)
    return None
