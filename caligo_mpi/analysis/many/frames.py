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
_UNITS = {"duration_ns": "ns", "core_seconds": "s", "figure_of_merit": "1/s", "seconds_to_1_percent": "s"}  # fmt: skip


class RunFrames:
    """Adds tables of other libraries to runs.

    Each takes the ``columns`` that are named, all unless given.  Raises `ConfigError` for columns that there are not
    and `EnvironmentProblem` where the library is not installed.
    """

    def to_pandas(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """A `pandas.DataFrame`, a row per run."""
        pandas = library("pandas")
        names = _chosen(self, columns)
        frame = pandas.DataFrame({name: self[name] for name in names})
        frame.attrs["units"] = {name: _UNITS[name] for name in names if name in _UNITS}
        return frame

    def to_polars(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """A `polars.DataFrame`, a row per run; null where a row has no value."""
        polars = library("polars")
        values = {name: _alike(self.column(name)) for name in _chosen(self, columns)}
        return polars.DataFrame(values, strict=False)

    def to_arrow(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """A `pyarrow.Table`, a row per run; null where a row has no value."""
        pyarrow = library("pyarrow")
        return pyarrow.table(
            {name: pyarrow.array(_alike(self.column(name))) for name in _chosen(self, columns)}
        )

    def to_xarray(self: _Runs, columns: Sequence[str] | None = None) -> Any:
        """An `xarray.Dataset` over ``run``, the parameters that differ as coordinates along it.

        ``set_index(run=[…]).unstack()`` makes dimensions of them where they are a grid.
        """
        xarray = library("xarray")
        names = _chosen(self, columns)
        variables = {name: ("run", self[name], _units(name)) for name in names}
        coordinates = {name: variables.pop(name) for name in self.axes if name in variables}
        return xarray.Dataset(variables, {"run": np.arange(len(self)), **coordinates})

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
        mine = self[np.array(self.column("kind")) == "pairs"]
        if not len(mine):
            raise ConfigError("none of these runs is a pairs file; name some that are")
        told = mine.axes if parameters is None else _chosen(mine, parameters)
        values = {name: pyarrow.array(_alike(mine.column(name))) for name in told}
        kinds = _kinds_of_pairs(mine, columns)
        fields = [(name, pyarrow.from_numpy_dtype(kind)) for name, kind in kinds.items()]
        schema = pyarrow.schema([*((name, one.type) for name, one in values.items()), *fields])
        return pyarrow.RecordBatchReader.from_batches(schema, _batches(mine, values, schema))


def _batches(runs: _Runs, values: dict[str, Any], schema: Any) -> Iterator[Any]:
    """Batches of one file after the other."""
    import pyarrow

    names = [name for name in schema.names if name not in values]
    for place, source in enumerate(runs.sources):
        with opened(source) as file:
            for block in select(file, columns=names).blocks():
                rows = len(block[names[0]])
                own = [pyarrow.repeat(values[name][place], rows) for name in values]
                pairs = [pyarrow.array(block[name]) for name in names]
                yield pyarrow.record_batch([*own, *pairs], schema=schema)


def _kinds_of_pairs(runs: _Runs, columns: Sequence[str] | None) -> dict[str, np.dtype[Any]]:
    """The columns that are taken, with their types."""
    shared: dict[str, np.dtype[Any]] | None = None
    for source in runs.sources:
        with opened(source) as file:
            kinds = select(file, columns=columns).kinds
        shared = kinds if shared is None else {k: v for k, v in shared.items() if k in kinds}
    return shared or {}


def _chosen(runs: _Runs, columns: Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return runs.columns
    if isinstance(columns, str) or not columns:
        raise ConfigError(f"columns={columns!r} must be a list of names of columns")
    known = runs.columns
    if unknown := [name for name in columns if name not in known]:
        told = near(unknown[0], known)
        raise ConfigError(f"columns={unknown[0]!r} is no column of these runs; there are {told}")
    return tuple(columns)


def near(name: str, known: Sequence[str]) -> str:
    """Names that are like one that there is not, or else some of all.

    >>> near("qber", ["pairs", "qber_z", "qber_x"]), near("y", ["pairs", "qber_z"])
    ('qber_z, qber_x', 'pairs, qber_z')
    """
    alike = [one for one in known if name in one] or [*known]
    more = ", …" if len(alike) > _MOST_NAMED else ""
    return ", ".join(alike[:_MOST_NAMED]) + more


def _alike(values: list[Any]) -> list[Any]:
    """Values of one kind: where numbers and text meet, all are text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]


def _units(name: str) -> dict[str, str]:
    return {"units": _UNITS[name]} if name in _UNITS else {}
