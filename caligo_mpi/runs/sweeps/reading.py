"""`read_sweep`: a sweep's directory as an object, for notebooks, figures and tables."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import EnvironmentProblem, StoreError
from ...store.lock import owner
from ...store.sweep_file import read_sweep_file
from .results import Table, table_of
from .summary import SweepSummary

FILE = "sweep.h5"


@dataclass(frozen=True, slots=True)
class Sweep:
    """The results of a sweep: a row per point, a column per parameter and result.

    ``sweep["qber_z"]`` is a column as an array, NaN where a point has no value; ``axes`` are the
    names of the parameters, ``columns`` of all columns, ``units`` of those that have one.
    """

    directory: Path
    table: Table
    complete: bool

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the sweep's file."""
        return self.table.axes

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns; docs/sweeps.md says what they are."""
        return self.table.columns

    @property
    def units(self) -> Mapping[str, str]:
        """Units of the columns that have one."""
        return self.table.units

    def __len__(self) -> int:
        return len(self.table.rows)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column: numbers as float64 with NaN where there is none, everything else as objects."""
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise KeyError(f"{name} is no column of {self.directory}; there are {known}")
        return array_of(self.table.column(name))

    def rows(self) -> list[dict[str, Any]]:
        """The points as mappings of column to value, None where there is none."""
        found = []
        for row in self.table.rows:
            found.append({name: row.get(name) for name in self.columns})
        return found

    def to_pandas(self) -> Any:
        """A data frame: a row per point; ``attrs["units"]`` are the units."""
        pandas = _needed("pandas")
        columns = {name: self[name] for name in self.columns}
        frame = pandas.DataFrame(columns)
        frame.attrs["units"] = dict(self.units)
        return frame

    def to_xarray(self) -> Any:
        """A dataset whose dimensions are the axes: results are NaN at points that there are not.

        Axes that change together (zipped ones, Latin hypercubes) share a dimension, called by their
        names with underscores between, and are coordinates along it.
        """
        xarray = _needed("xarray")
        dims = self._dimensions()
        shape = []
        places = []
        coordinates = {}
        for dim, names in dims.items():
            values, at = _positions(self, names)
            shape.append(len(values))
            places.append(np.array(at, int))
            for number, name in enumerate(names):
                column = array_of([value[number] for value in values])
                coordinates[name] = (dim, column, self._attributes(name))
        data = {}
        for name in self.columns:
            if name not in self.axes:
                results = _spread(self[name], tuple(places), shape)
                data[name] = (list(dims), results, self._attributes(name))
        return xarray.Dataset(
            data,
            coordinates,
            {"directory": str(self.directory)},
        )

    def _attributes(self, name: str) -> dict[str, str]:
        if name in self.units:
            return {"units": self.units[name]}
        return {}

    def _dimensions(self) -> dict[str, list[str]]:
        """The axes of each dimension, by its name."""
        groups: dict[Any, list[str]] = {}
        for _, name, _, group in self.table.info.axes:
            together = groups.setdefault(group, [])
            together.append(name)
        return {"_".join(names): names for names in groups.values()}


def _needed(library: str) -> Any:
    """A library that is no dependency; `EnvironmentProblem` where it is missing."""
    try:
        return importlib.import_module(library)
    except ImportError:
        raise EnvironmentProblem(f"{library} is missing; pip install {library}") from None


def read_sweep(directory: str | os.PathLike[str]) -> Sweep:
    """The results in a sweep's directory, finished or not; `StoreError` where there are none."""
    found = sweep_status(directory)
    return Sweep(found.directory, found.table, found.complete)


def sweep_status(directory: str | os.PathLike[str]) -> SweepSummary:
    """The same as a launch leaves it."""
    folder = Path(directory)
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a directory; name that of a sweep")
    found = read_sweep_file(folder / FILE)
    table = table_of(found)
    complete = table.count("done") == len(table.rows)
    return SweepSummary(
        folder,
        table,
        launched=0,
        seconds=0.0,
        complete=complete,
    )


def items_done(directory: str | os.PathLike[str]) -> int:
    """Chunks and blocks that are in a sweep's file."""
    found = read_sweep_file(Path(directory) / FILE)
    done = 0
    for row in found.rows.values():
        done += row["chunks"] + row["blocks"]
    for part in found.partial.values():
        done += part.chunks + part.blocks
    return done


def is_sweep(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a directory with a sweep's file in it, finished or not."""
    folder = Path(path)
    finished = folder / FILE
    partial = folder / f"{FILE}.part"
    return folder.is_dir() and (finished.exists() or partial.exists())


def sweep_owner(directory: str | os.PathLike[str]) -> str:
    """Who is writing a sweep; empty if nobody."""
    return owner(Path(directory) / FILE)


def array_of(values: Sequence[Any]) -> NDArray[Any]:
    """Whole numbers as int64 where none is missing, numbers as float64 with NaN, everything else as objects."""
    given = [value for value in values if value is not None]
    kinds = {type(value) for value in given}
    is_whole = kinds <= {int} and len(given) == len(values)
    if is_whole and all(abs(value) < 1 << 63 for value in given):
        return np.array(values, np.int64)
    if kinds and kinds <= {int, float, bool}:
        numbers = [np.nan if value is None else float(value) for value in values]
        return np.array(numbers)
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _positions(sweep: Sweep, names: Sequence[str]) -> tuple[list[tuple[Any, ...]], list[int]]:
    """The different values of some axes together, in order, and which of them each point has."""
    columns = [sweep.table.column(name) for name in names]
    points = list(zip(*columns, strict=True))
    keys = [repr(point) for point in points]
    different = dict(zip(keys, points, strict=True))
    ordered = list(different)
    is_one = len(names) == 1
    if is_one and all(isinstance(point[0], int | float) for point in points):
        ordered.sort(key=lambda key: different[key][0])
    place = {key: number for number, key in enumerate(ordered)}
    values = [different[key] for key in ordered]
    at = [place[key] for key in keys]
    return values, at


def _spread(
    values: NDArray[Any],
    places: tuple[NDArray[Any], ...],
    shape: list[int],
) -> NDArray[Any]:
    """A column at its places in an array of all axes."""
    full: NDArray[Any]
    if values.dtype == object:
        full = np.full(shape, None, object)
    elif values.dtype == np.int64 and np.prod(shape) == len(values):
        full = np.zeros(shape, np.int64)
    else:
        full = np.full(shape, np.nan, float)
    full[places] = values
    return full
