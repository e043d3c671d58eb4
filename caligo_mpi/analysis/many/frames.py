"""Runs as tables of other libraries, and the rows of all their pairs in one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import ConfigError
from ...store.frames import library, select
from .reading import opened

if TYPE_CHECKING:
    from .reading import Source

    class _Runs(Protocol):
        """What a table of runs has."""

        @property
        def sources(self) -> tuple[Source, ...]: ...

        @property
        def axes(self) -> tuple[str, ...]: ...

        @property
        def columns(self) -> tuple[str, ...]: ...

        def __len__(self) -> int: ...

        def __getitem__(self, item: Any) -> Any: ...

        def column(self, name: str) -> list[Any]: ...


_MOST_NAMED = 12
_UNITS = {
    "duration_ns": "ns",
    "core_seconds": "s",
    "figure_of_merit": "1/s",
    "seconds_to_1_percent": "s",
}
#: The columns of a file, with their types.
Kinds = dict[str, np.dtype[Any]]


class RunFrames:
    """Adds tables of other libraries to runs.

    Each takes the ``columns`` that are named, all unless given.  Raises `ConfigError` for columns that there are not
    and `EnvironmentProblem` where the library is not installed.
    """

    def to_pandas(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """A `pandas.DataFrame`, a row per run."""
        pandas = library("pandas")
        names = _chosen(self, columns)
        values = {name: self[name] for name in names}
        frame = pandas.DataFrame(values)
        frame.attrs["units"] = {name: _UNITS[name] for name in names if name in _UNITS}
        return frame

    def to_polars(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """A `polars.DataFrame`, a row per run; null where a row has no value."""
        polars = library("polars")
        names = _chosen(self, columns)
        values = {name: _alike(self.column(name)) for name in names}
        return polars.DataFrame(values, strict=False)

    def to_arrow(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """A `pyarrow.Table`, a row per run; null where a row has no value."""
        pyarrow = library("pyarrow")
        names = _chosen(self, columns)
        arrays = {name: _arrow(self.column(name)) for name in names}
        return pyarrow.table(arrays)

    def to_xarray(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """An `xarray.Dataset` over ``run``, the parameters that differ as coordinates along it.

        ``set_index(run=[…]).unstack()`` makes dimensions of them where they are a grid.
        """
        xarray = library("xarray")
        names = _chosen(self, columns)
        variables = {}
        for name in names:
            variables[name] = ("run", self[name], _units(name))
        coordinates: dict[str, Any] = {"run": np.arange(len(self))}
        for name in self.axes:
            if name in variables:
                coordinates[name] = variables.pop(name)
        return xarray.Dataset(variables, coordinates)

    def to_batches(
        self: _Runs,
        columns: Sequence[str] | None = None,
        parameters: Sequence[str] | None = None,
    ) -> Any:
        """The rows of pairs of all pairs files, one file after the other, as a `pyarrow.RecordBatchReader`.

        Each row has the pair's ``columns`` (those that all files have, unless named) and its run's ``parameters``
        (those that differ, unless named) beside it.  A million rows are in memory at a time; every checksum is
        verified.  pandas, polars and DuckDB read such a stream.
        """
        pyarrow = library("pyarrow")
        is_pairs = np.array(self.column("kind")) == "pairs"
        mine = self[is_pairs]
        if not len(mine):
            raise ConfigError("none of these runs is a pairs file; name some that are")
        told = mine.axes if parameters is None else _chosen(mine, parameters)
        values = {name: _arrow(mine.column(name)) for name in told}
        fields = [(name, array.type) for name, array in values.items()]
        for name, kind in _kinds_of_pairs(mine, columns).items():
            fields.append((name, pyarrow.from_numpy_dtype(kind)))
        schema = pyarrow.schema(fields)
        batches = _batches(mine, values, schema)
        return pyarrow.RecordBatchReader.from_batches(schema, batches)


def _arrow(values: list[Any]) -> Any:
    """A column for pyarrow."""
    return library("pyarrow").array(_alike(values))


def _batches(runs: _Runs, values: dict[str, Any], schema: Any) -> Iterator[Any]:
    """Batches of one file after the other."""
    import pyarrow

    names = [name for name in schema.names if name not in values]
    for place, source in enumerate(runs.sources):
        mine = [column[place] for column in values.values()]
        with opened(source) as file:
            for block in select(file, columns=names).blocks():
                rows = len(block[names[0]])
                columns = [pyarrow.repeat(value, rows) for value in mine]
                for name in names:
                    columns.append(pyarrow.array(block[name]))
                yield pyarrow.record_batch(columns, schema=schema)


def _kinds_of_pairs(runs: _Runs, columns: Sequence[str] | None) -> Kinds:
    """The columns that are taken, with their types: those that all files have."""
    shared: Kinds | None = None
    for source in runs.sources:
        with opened(source) as file:
            kinds = select(file, columns=columns).kinds
        if shared is None:
            shared = kinds
        shared = {name: kind for name, kind in shared.items() if name in kinds}
    return shared or {}


def _chosen(runs: _Runs, columns: Sequence[str] | None) -> tuple[str, ...]:
    known = runs.columns
    if columns is None:
        return known
    if isinstance(columns, str) or not columns:
        raise ConfigError(f"columns={columns!r} must be a list of names of columns")
    for name in columns:
        if name not in known:
            told = near(name, known)
            raise ConfigError(f"columns={name!r} is no column of these runs; there are {told}")
    return tuple(columns)


def near(name: str, known: Sequence[str]) -> str:
    """Names that are like one that there is not, or else some of all.

    >>> near("qber", ["pairs", "qber_z", "qber_x"]), near("y", ["pairs", "qber_z"])
    ('qber_z, qber_x', 'pairs, qber_z')
    """
    alike = [one for one in known if name in one] or [*known]
    told = ", ".join(alike[:_MOST_NAMED])
    return f"{told}, …" if len(alike) > _MOST_NAMED else told


def _alike(values: list[Any]) -> list[Any]:
    """Values of one kind: where numbers and text meet, all are text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    kind = float if kinds <= {int, float} else str
    return [None if value is None else kind(value) for value in values]


def _units(name: str) -> dict[str, str]:
    return {"units": _UNITS[name]} if name in _UNITS else {}
