"""The axes of a sweep: which values a parameter takes, and how axes are put together."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, StrictBool, StrictStr, ValidationError
from pydantic_core import PydanticCustomError

from .complaints import Key
from .sections import Breach, Range, Section, about, at_most_one, keys_of

#: Points that a sweep may have: each is a run of its own with a row in memory.
MOST_POINTS = 100_000

_CONTEXT = decimal.Context(prec=40, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
_DIGITS = decimal.Context(prec=12)
_WORD = 1 << 64


def _of_three(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise PydanticCustomError("rule", "must be [first, last, how many]")
    return value


_Real = Annotated[float, Range(-1e300, 1e300)]
_Count = Annotated[int, Range(1, 10**12)]
_Grid = Annotated[tuple[_Real, _Real, _Count], BeforeValidator(_of_three)]


class _Named(Section):
    """The keys that all axes have."""

    path: Annotated[
        StrictStr, about("the key that changes, such as engine.link.fidelity or protocol.seed")
    ]
    name: Annotated[
        StrictStr | None, about("what tables and plots call it (default: the last word of path)")
    ] = None
    unit: Annotated[StrictStr | None, about("its unit (default: that of the key)")] = None
    whole: Annotated[StrictBool, about("round the values to whole numbers")] = False

    def _rules(self) -> Iterator[Breach]:
        for key in ("name", "unit"):
            text = getattr(self, key)
            if text is not None and (not text.isprintable() or len(text) > 60):
                yield key, "must be one short line of text", "rule"
        if self.name is not None and not self.name.strip():
            yield "name", "is empty; name it or leave it out", "rule"


class AxisConfig(_Named):
    """A parameter and the values that it takes."""

    values: Annotated[list[Any] | None, about("the values, one by one")] = None
    linspace: Annotated[
        _Grid | None, about("[first, last, how many]: values at equal distances, ends included")
    ] = None
    logspace: Annotated[
        _Grid | None, about("[first, last, how many]: values at equal ratios, ends included")
    ] = None

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        kinds = ("values", "linspace", "logspace")
        yield from at_most_one(given, *kinds)
        if not any(kind in given for kind in kinds):
            yield "", "an axis without values; give one of values, linspace, logspace", "none"

    def _rules(self) -> Iterator[Breach]:
        yield from super()._rules()
        if self.values is not None and not self.values:
            yield "values", "an empty axis; give it a value at least", "rule"
        if self.logspace is not None and min(self.logspace[:2]) <= 0:
            yield "logspace", "must have ends above 0", "rule"

    def __len__(self) -> int:
        grid = self.linspace or self.logspace
        return grid[2] if grid else len(self.values or ())

    def points(self) -> list[Any]:
        """The values, the same on every machine."""
        if self.values is not None:
            found = list(self.values)
        elif self.linspace is not None:
            found = _grid(*self.linspace, log=False)
        else:
            assert self.logspace is not None
            found = _grid(*self.logspace, log=True)
        if self.whole:
            return [_rounded(value) for value in found]
        return found


class LatinAxisConfig(_Named):
    """A parameter of a Latin hypercube and the range of its values."""

    range: Annotated[
        tuple[_Real, _Real],
        BeforeValidator(lambda value: _of_two(value)),
        about("[least, most]"),
    ]
    scale: Annotated[Literal["linear", "log"], about("how values spread over the range")] = "linear"

    def _rules(self) -> Iterator[Breach]:
        yield from super()._rules()
        low, high = self.range
        if not low < high:
            yield "range", "must rise from the least to the most", "rule"
        if self.scale == "log" and low <= 0:
            yield "range", "must be above 0 with scale: log", "rule"


def _of_two(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise PydanticCustomError("rule", "must be [least, most]")
    return value


class LatinConfig(Section):
    """A Latin hypercube: points that fill a box evenly, each range cut into as many parts as points."""

    points: Annotated[int, Range(1, 10**12), about("how many points")]
    seed: Annotated[int, Range(0), about("seed of where they are")]
    axes: Annotated[list[Any], about("its parameters, each with path and range")]


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter of a sweep: its key, what tables call it, its unit, and the dimension it belongs to."""

    path: str
    name: str
    unit: str
    group: int


@dataclass(frozen=True, slots=True)
class Group:
    """Axes that change together: one axis, zipped ones, or a Latin hypercube; ``size`` points."""

    where: str
    axes: tuple[_Named, ...]
    size: int
    latin: LatinConfig | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """The points of the group: a value of each axis for each."""
        columns = []
        for number, axis in enumerate(self.axes):
            if self.latin is None:
                columns.append(axis.points())  # type: ignore[attr-defined]
            else:
                columns.append(_latin(axis, self.size, self.latin.seed, number))
        return list(zip(*columns, strict=True))


class Problems(Exception):
    """What is wrong with axes: errors as pydantic gives them, and the keys that there are."""

    def __init__(self, errors: list[dict[str, Any]], keys: Sequence[Key] = ()) -> None:
        super().__init__(errors)
        self.errors = errors
        self.keys = list(keys)


def read_groups(entries: object) -> list[Group]:
    """The ``axes`` of a sweep, checked; raises `Problems` with all that is wrong."""
    if not isinstance(entries, list) or not entries:
        example = "[{path: engine.link.fidelity, values: [0.9, 1]}]"
        sentence = f"must be a list of axes, such as {example}"
        raise _problem(("axes",), entries, sentence)
    return _all_of(_group, entries, ("axes",))


def _all_of(
    read: Callable[[object, tuple[Any, ...]], Any],
    entries: list[Any],
    where: tuple[Any, ...],
) -> list[Any]:
    """What ``read`` makes of each entry; all that is wrong with any of them is raised together."""
    found = []
    errors: list[dict[str, Any]] = []
    keys: list[Key] = []
    for number, entry in enumerate(entries):
        try:
            found.append(read(entry, (*where, number)))
        except Problems as problems:
            errors += problems.errors
            keys += problems.keys
    if errors:
        raise Problems(errors, keys)
    return found


def _group(entry: object, where: tuple[Any, ...]) -> Group:
    if isinstance(entry, Mapping) and "latin" in entry:
        return _latin_group(entry, where)
    if isinstance(entry, Mapping) and "zip" in entry:
        return _zip_group(entry, where)
    axis = _section(AxisConfig, entry, where)
    return Group(_dotted(where), (axis,), len(axis))


def _dotted(where: tuple[Any, ...]) -> str:
    return ".".join(map(str, where))


def _zip_group(entry: Mapping[str, Any], where: tuple[Any, ...]) -> Group:
    inside = entry["zip"]
    place = (*where, "zip")
    if len(entry) > 1 or not isinstance(inside, list) or not inside:
        raise _problem(place, inside, "must be a list of axes, alone")
    axes = _sections(AxisConfig, inside, place)
    sizes = {len(axis) for axis in axes}
    if len(sizes) > 1:
        told = ", ".join(f"{axis.path} has {len(axis)}" for axis in axes)
        sentence = f"axes of different lengths ({told}); zipped ones need as many values each"
        raise _problem(place, None, sentence)
    return Group(_dotted(where), tuple(axes), sizes.pop())


def _latin_group(entry: Mapping[str, Any], where: tuple[Any, ...]) -> Group:
    place = (*where, "latin")
    if len(entry) > 1:
        raise _problem(place, None, "must stand alone in its entry")
    cube = _section(LatinConfig, entry["latin"], place)
    inside = (*place, "axes")
    if not cube.axes:
        raise _problem(inside, None, "a hypercube without axes; give it one")
    axes = _sections(LatinAxisConfig, cube.axes, inside)
    return Group(_dotted(where), tuple(axes), cube.points, cube)


def _sections(kind: type[Any], entries: list[Any], where: tuple[Any, ...]) -> list[Any]:
    return _all_of(partial(_section, kind), entries, where)


def _section(kind: type[Any], entry: object, where: tuple[Any, ...]) -> Any:
    if not isinstance(entry, Mapping):
        raise _problem(where, entry, "must be a section with the path of a key")
    try:
        return kind.model_validate(dict(entry))
    except ValidationError as invalid:
        errors = []
        for error in invalid.errors(include_url=False):
            place = (*where, *error["loc"])
            errors.append({**error, "loc": place})
        keys = keys_of(kind, f"{_dotted(where)}.")
        raise Problems(errors, list(keys)) from None


def _problem(loc: tuple[Any, ...], value: object, sentence: str) -> Problems:
    kind = "none" if value is None else "rule"
    return Problems([{"type": kind, "loc": loc, "input": value, "msg": sentence}])


# ── values, the same on every machine ────────────────────────────────────────────────────────────


def _grid(first: float, last: float, count: int, *, log: bool) -> list[float]:
    """Values from first to last, computed in decimal arithmetic and rounded to 12 digits.

    >>> _grid(0.9, 1.0, 6, log=False), _grid(1e4, 1e6, 3, log=True)
    ([0.9, 0.92, 0.94, 0.96, 0.98, 1.0], [10000.0, 100000.0, 1000000.0])
    """
    if count == 1:
        return [first]
    found = [first]
    for i in range(1, count - 1):
        share = Decimal(i) / (count - 1)
        found.append(_between(first, last, share, log=log))
    return [*found, last]


def _between(first: float, last: float, share: Decimal, *, log: bool) -> float:
    with decimal.localcontext(_CONTEXT):
        low = Decimal(repr(first))
        high = Decimal(repr(last))
        exact = low + (high - low) * share
        if log:
            ratio = high.ln() - low.ln()
            exact = (low.ln() + ratio * share).exp()
        return float(_DIGITS.plus(exact))


def _latin(axis: Any, count: int, seed: int, number: int) -> list[Any]:
    """A value in each of ``count`` equal parts of the axis' range, in a random order."""
    source = np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(number,)))
    order = np.argsort(source.random_raw(count), kind="stable").tolist()
    words = source.random_raw(count)
    low, high = axis.range
    found = []
    for part, word in zip(order, words, strict=True):
        offset = Decimal(int(word)) / _WORD
        share = (part + offset) / count
        value = _between(low, high, share, log=axis.scale == "log")
        found.append(_rounded(value) if axis.whole else value)
    return found


def _rounded(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return round(value) if is_number else value
