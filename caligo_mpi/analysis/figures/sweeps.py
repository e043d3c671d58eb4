"""Figures of sweeps: curves on closed forms, and maps over two parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .pairs import figure
from .style import BASIS, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column."""


_COLORS = (BASIS["Z"], BASIS["X"], GREEN, ORANGE, PURPLE, SKY, INK, FAINT)


@figure()
def plot_sweep_qber(data: Results, ax: Axes) -> None:
    """Error rates over the first parameter, per basis and with exact intervals, on the closed form.

    ``data`` is what `read_sweep` gives.  Of several parameters the others are held at their first values.  Words
    stand beside each other.
    """
    first, chosen = _first_curve(data)
    if first is None:
        return
    x = _places(data, first)[chosen]
    order = np.argsort(x)
    ends = []
    for basis in "ZX":
        name = f"qber_{basis.lower()}"
        rate, low, high, closed = (
            100 * _numbers(data, column)[chosen][order]
            for column in (name, f"{name}_low", f"{name}_high", f"expected_{name}")
        )
        if np.isfinite(rate).any():
            bars = np.maximum(0, [rate - low, high - rate])
            ax.errorbar(x[order], rate, bars, fmt="o", ms=3.5, capsize=2, color=BASIS[basis])
            last = np.flatnonzero(np.isfinite(rate))[-1]
            ends.append(_End(float(x[order][last]), float(rate[last]), basis, BASIS[basis]))
        _line(ax, (x[order], closed), _is_number(data, first), color=INK, lw=1, ls="--")
    _name_places(ax, data, first)
    label(ax, "Error rate over the sweep", _with_unit(data, first), "QBER / %")
    note(ax, f"points: exact intervals; dashed: closed form{_held(data, chosen)}")
    _name_ends(ax, ends)


@figure()
def plot_sweep_key(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over the first parameter: made, by the finite-size formula, and in the limit.

    ``data`` is what `read_sweep` gives; a curve for each value of the other parameters.
    """
    curves = list(_curves(data))
    if not curves:
        return
    shown = curves[: len(_COLORS)]
    ends = [
        end
        for number, (first, told, chosen) in enumerate(shown)
        if (end := _key_curve(ax, data, first, told, chosen, number))
    ]
    first = curves[0][0]
    _name_places(ax, data, first)
    label(ax, "Key over the sweep", _with_unit(data, first), "secret bits per sifted bit")
    ax.set_ylim(bottom=-0.02)
    more = f"; {len(shown)} of {len(curves)} curves" if len(curves) > len(shown) else ""
    note(ax, f"points: made; lines: finite-size formula; dashed: limit{more}")
    if len(curves) > 1:
        _name_ends(ax, ends)


def _key_curve(
    ax: Axes, data: Results, first: str, told: str, chosen: NDArray[np.bool_], number: int
) -> _End | None:
    """One curve; its end where any key was made."""
    x = _places(data, first)[chosen]
    order = np.argsort(x)
    color, is_number = _COLORS[number], _is_number(data, first)
    made, finite, limit = (
        _numbers(data, name)[chosen][order]
        for name in ("key_per_sifted", "finite_per_sifted", "asymptotic_per_sifted")
    )
    ax.plot(x[order], made, "o", ms=4, color=color)
    _line(ax, (x[order], np.maximum(finite, 0)), is_number, color=color, lw=1)
    if number == 0:
        _line(ax, (x[order], np.maximum(limit, 0)), is_number, color=INK, lw=1, ls="--")
    good = np.flatnonzero(np.isfinite(made))
    if not len(good):
        return None
    return _End(float(x[order][good[-1]]), float(made[good[-1]]), told, color)


@figure(height=3.4)
def plot_map(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over two parameters; hatched where there is no key.

    ``data`` is what `read_sweep` gives; without keys the error rate is drawn.  Further parameters are averaged over.
    """
    axes = varying(data)
    if len(axes) < 2:
        raise ValueError(f"a map needs two parameters that vary; this sweep has {len(axes)}")
    has_key = np.isfinite(_numbers(data, "key_per_sifted")).any()
    name, told = ("key_per_sifted", "secret bits per sifted bit") if has_key else ("qber", "QBER")
    xs, ys, cells = _grid(data, axes[0], axes[1], name)
    mesh = ax.pcolormesh(
        np.arange(len(xs) + 1), np.arange(len(ys) + 1), cells, cmap="cividis", edgecolors="face"
    )
    figure_of = ax.get_figure()
    assert figure_of is not None
    figure_of.colorbar(mesh, ax=ax, label=told)
    _contours(ax, cells)
    if has_key:
        _hatch(ax, cells)
    for axis, values in ((ax.xaxis, xs), (ax.yaxis, ys)):
        step = max(1, len(values) // 8)
        places = np.arange(len(values))[::step]
        axis.set_ticks(places + 0.5, [f"{values[place]:.4g}" for place in places])
    title = "Key over two parameters" if has_key else "Error rate over two parameters"
    label(ax, title, *(_with_unit(data, axis) for axis in axes[:2]))
    note(ax, "hatched: no key; lines: equal values" if has_key else "lines: equal values")


def varying(data: Results) -> list[str]:
    """The parameters that are numbers and have several values."""
    return [name for name in changing(data) if _is_number(data, name)]


def changing(data: Results) -> list[str]:
    """The parameters that have several values, those that are numbers first."""
    several = [name for name in data.axes if len(set(_words(data, name))) > 1]
    return sorted(several, key=lambda name: not _is_number(data, name))


def _is_number(data: Results, name: str) -> bool:
    return data[name].dtype.kind in "iuf"


def _words(data: Results, name: str) -> list[str]:
    """A parameter's values as text."""
    if _is_number(data, name):
        return [f"{value:.6g}" for value in data[name].tolist()]
    return [str(value) for value in data[name].tolist()]


def _places(data: Results, name: str) -> NDArray[np.float64]:
    """Where a parameter's values stand on an axis: numbers where they are, words beside each other."""
    if _is_number(data, name):
        return data[name].astype(float)
    words = _words(data, name)
    order = {word: place for place, word in enumerate(dict.fromkeys(words))}
    return np.array([order[word] for word in words], float)


def _first_curve(data: Results) -> tuple[str | None, NDArray[np.bool_]]:
    for first, _, chosen in _curves(data):
        return first, chosen
    return None, np.zeros(0, bool)


def _curves(data: Results) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """The first parameter, what is held, and the points of each curve: one for each value of the others."""
    axes = changing(data)
    if not axes:
        return
    first, others = axes[0], _independent(data, axes)
    if not others:
        yield first, "", np.ones(len(data[first]), bool)
        return
    table = np.stack([_places(data, name) for name in others], axis=1)
    for values in np.unique(table, axis=0):
        chosen = (table == values).all(axis=1)
        yield first, _told(data, others, chosen), chosen


def _told(data: Results, names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """The values that some points share."""
    row = int(np.flatnonzero(chosen)[0])
    told = []
    for name in names:
        value = _words(data, name)[row]
        told.append(f"{name} {value}" if _is_number(data, name) else value)
    return ", ".join(told)


def _independent(data: Results, axes: Sequence[str]) -> list[str]:
    """The parameters after the first that do not just follow it, as zipped ones do."""
    first = _places(data, axes[0])
    found = []
    for name in axes[1:]:
        both = np.stack([first, _places(data, name)], axis=1)
        if len(np.unique(both, axis=0)) > len(np.unique(first)):
            found.append(name)
    return found


def _grid(data: Results, x: str, y: str, name: str) -> tuple[Any, Any, NDArray[np.float64]]:
    """The values of both parameters, and the mean of a column at each pair of them (NaN where there is none)."""
    xs, column = np.unique(data[x], return_inverse=True)
    ys, row = np.unique(data[y], return_inverse=True)
    values = _numbers(data, name)
    good = np.isfinite(values)
    sums, counts = np.zeros((len(ys), len(xs))), np.zeros((len(ys), len(xs)))
    np.add.at(sums, (row[good], column[good]), values[good])
    np.add.at(counts, (row[good], column[good]), 1)
    with np.errstate(invalid="ignore"):
        return xs, ys, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _contours(ax: Axes, cells: NDArray[np.float64]) -> None:
    if min(cells.shape) < 3 or not np.isfinite(cells).all() or np.ptp(cells) == 0:
        return
    places = [np.arange(size) + 0.5 for size in cells.shape[::-1]]
    lines = ax.contour(*places, cells, 4, colors="#ffffff", linewidths=0.8)
    ax.clabel(lines, fontsize=7)


def _hatch(ax: Axes, cells: NDArray[np.float64]) -> None:
    """Mark the region without a key."""
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(np.nan_to_num(cells) <= 0):
        ax.add_patch(
            Rectangle((column, row), 1, 1, fill=False, hatch="////", edgecolor="#ffffff", lw=0)
        )


def _numbers(data: Results, name: str) -> NDArray[np.float64]:
    """A column as numbers, NaN where there is none."""
    if name not in data.columns:
        return np.full(len(data[data.columns[0]]), np.nan)
    return np.array([np.nan if value is None else float(value) for value in data[name].tolist()])


def _with_unit(data: Results, name: str) -> str:
    unit = data.units.get(name, "")
    return f"{name} / {unit}" if unit else name


def _held(data: Results, chosen: NDArray[np.bool_]) -> str:
    told = _told(data, _independent(data, changing(data)), chosen)
    return f"; at {told}" if told else ""


#: Letters of a word on an axis before words are turned.
_SHORT_WORD = 8


def _name_places(ax: Axes, data: Results, name: str) -> None:
    """Ticks of words, or the scale of numbers."""
    x = _places(data, name)
    if _is_number(data, name):
        if x.min() > 0 and x.max() / x.min() >= 50:
            ax.set_xscale("log")
        return
    words = list(dict.fromkeys(_words(data, name)))
    is_long = len(words) > 2 and max(map(len, words)) > _SHORT_WORD
    ax.set_xticks(
        range(len(words)), words, rotation=25 if is_long else 0, ha="right" if is_long else "center"
    )
    ax.set_xlim(-0.5, len(words) - 0.5)


def _line(ax: Axes, points: tuple[Any, Any], is_number: bool, **style: Any) -> None:
    """A line through points; between words there is nothing, so each of them has its own."""
    x, y = points
    if is_number:
        ax.plot(x, y, **style)
        return
    there = np.isfinite(y)
    ax.hlines(y[there], x[there] - 0.3, x[there] + 0.3, **style)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a curve ends, and its name."""

    x: float
    y: float
    name: str
    color: str


#: Points of height that a name takes.
_NAME_HEIGHT = 11.0


def _name_ends(ax: Axes, ends: Sequence[_End]) -> None:
    """Names at the ends of curves, apart from each other where the ends are not."""
    if not ends:
        return
    ax.autoscale_view()
    figure_of = ax.get_figure()
    assert figure_of is not None
    scale = 72 / figure_of.dpi
    ordered = sorted(ends, key=lambda end: end.y)
    heights = [scale * float(ax.transData.transform((end.x, end.y))[1]) for end in ordered]
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + _NAME_HEIGHT) if placed else height)
    too_high = (sum(placed) - sum(heights)) / len(heights)
    style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8.5}
    for end, height, place in zip(ordered, heights, placed, strict=True):
        shift = place - too_high - height
        ax.annotate(end.name, (end.x, end.y), (7, shift), color=end.color, weight="bold", **style)
