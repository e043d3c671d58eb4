"""The points of a sweep as figures need them: parameters on axes, curves, columns of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: One value for each point.
Column = NDArray[Any]


class Results(Protocol):
    """What `read_sweep` gives: columns by name, and which of them are parameters."""

    @property
    def axes(self) -> Sequence[str]:
        """Names of the parameters."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of all columns."""

    @property
    def units(self) -> Mapping[str, str]:
        """Units of the columns that have one."""

    def __getitem__(self, name: str) -> Column:
        """A column."""


def varying(data: Results) -> list[str]:
    """The parameters that are numbers and have several values."""
    return [name for name in changing(data) if is_number(data, name)]


def changing(data: Results) -> list[str]:
    """The parameters that have several values, those that are numbers first."""
    numeric: list[str] = []
    words: list[str] = []
    for name in data.axes:
        if len(different(data, name)) > 1:
            kind = numeric if is_number(data, name) else words
            kind.append(name)
    return numeric + words


def crossed(data: Results) -> list[str]:
    """The parameters that are numbers and vary apart from each other: not those that just follow the first."""
    axes = varying(data)
    if not axes:
        return []
    others = _independent(data, axes)
    return [axes[0], *others]


def is_number(data: Results, name: str) -> bool:
    """Whether a parameter's values are numbers."""
    return data[name].dtype.kind in "iuf"


def _words(data: Results, name: str) -> list[str]:
    """A parameter's values as text."""
    values = data[name].tolist()
    if is_number(data, name):
        return [f"{value:.6g}" for value in values]
    return [str(value) for value in values]


def different(data: Results, name: str) -> list[str]:
    """A parameter's values as text, each once."""
    words = _words(data, name)
    return list(dict.fromkeys(words))


def places(data: Results, name: str) -> Column:
    """Where a parameter's values stand on an axis: numbers where they are, words beside each other."""
    if is_number(data, name):
        return data[name].astype(float)
    order = different(data, name)
    found = [order.index(word) for word in _words(data, name)]
    return np.array(found, float)


def numbers(data: Results, name: str) -> Column:
    """A column as numbers, NaN where there is none."""
    if name not in data.columns:
        points = len(data[data.columns[0]])
        return np.full(points, np.nan)
    found = []
    for value in data[name].tolist():
        is_known = value is not None
        found.append(float(value) if is_known else np.nan)
    return np.array(found)


def with_unit(data: Results, name: str) -> str:
    """A parameter's name and unit."""
    unit = data.units.get(name, "")
    return f"{name} / {unit}" if unit else name


def curves(data: Results) -> Iterator[tuple[str, str, Column]]:
    """The first parameter, what is held, and the points of each curve: one for each value of the others."""
    axes = changing(data)
    if not axes:
        return
    first = axes[0]
    others = _independent(data, axes)
    if not others:
        points = len(data[first])
        yield first, "", np.ones(points, bool)
        return
    columns = [places(data, name) for name in others]
    table = np.stack(columns, axis=1)
    for values in np.unique(table, axis=0):
        chosen = (table == values).all(axis=1)
        yield first, _told(data, others, chosen), chosen


def held(data: Results, chosen: Column) -> str:
    """The parameters that are the same at all points of a curve, empty where there are none."""
    others = _independent(data, changing(data))
    return _told(data, others, chosen)


def _told(data: Results, names: Sequence[str], chosen: Column) -> str:
    """The values that some points share."""
    row = int(np.flatnonzero(chosen)[0])
    told = []
    for name in names:
        value = data[name][row]
        word = str(value)
        if is_number(data, name):
            word = f"{name} {value:.4g}"
        told.append(word)
    return ", ".join(told)


def _independent(data: Results, axes: Sequence[str]) -> list[str]:
    """The parameters after the first that do not just follow it, as zipped ones do."""
    first = places(data, axes[0])
    alone = len(np.unique(first))
    found = []
    for name in axes[1:]:
        other = places(data, name)
        both = np.stack([first, other], axis=1)
        together = np.unique(both, axis=0)
        if len(together) > alone:
            found.append(name)
    return found
