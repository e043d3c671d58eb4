"""Figures of sweeps: curves on closed forms, and maps over two parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    ``data`` is what `read_sweep` gives.  Of several parameters the others are held at their first values.
    """
    first, chosen = _first_curve(data)
    if first is None:
        return
    x = data[first][chosen].astype(float)
    order = np.argsort(x)
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
            _name(
                ax,
                (x[order][last], rate[last]),
                basis,
                BASIS[basis],
                shift=8 if basis == "Z" else -8,
            )
        ax.plot(x[order], closed, color=INK, lw=1, ls="--")
    label(ax, "Error rate over the sweep", _with_unit(data, first), "QBER / %")
    note(ax, f"points: exact intervals; dashed: closed form{_held(data, first, chosen)}")


@figure()
def plot_sweep_key(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over the first parameter: made, by the finite-size formula, and in the limit.

    ``data`` is what `read_sweep` gives; a curve for each value of the second parameter.
    """
    first, curves = None, list(_curves(data))
    for number, (first, told, chosen) in enumerate(curves[: len(_COLORS)]):
        x = data[first][chosen].astype(float)
        order = np.argsort(x)
        color = _COLORS[number]
        made, finite, limit = (
            _numbers(data, name)[chosen][order]
            for name in ("key_per_sifted", "finite_per_sifted", "asymptotic_per_sifted")
        )
        ax.plot(x[order], made, "o", ms=4, color=color)
        ax.plot(x[order], np.maximum(finite, 0), color=color, lw=1)
        if number == 0:
            ax.plot(x[order], np.maximum(limit, 0), color=INK, lw=1, ls="--")
        good = np.flatnonzero(np.isfinite(made))
        if told and len(good):
            _name(ax, (x[order][good[-1]], made[good[-1]]), told, color)
    if first is not None:
        _scale(ax, data[first].astype(float))
        label(ax, "Key over the sweep", _with_unit(data, first), "secret bits per sifted bit")
        ax.set_ylim(bottom=-0.02)
        more = f"; {len(_COLORS)} of {len(curves)} curves" if len(curves) > len(_COLORS) else ""
        note(ax, f"points: made; lines: finite-size formula; dashed: limit{more}")


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
    found = []
    for name in data.axes:
        values = data[name]
        if values.dtype.kind in "iuf" and len(np.unique(values)) > 1:
            found.append(name)
    return found


def _first_curve(data: Results) -> tuple[str | None, NDArray[np.bool_]]:
    for first, _, chosen in _curves(data):
        return first, chosen
    return None, np.zeros(0, bool)


def _curves(data: Results) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """The first parameter, what is held, and the points of each curve: one for each value of the others."""
    axes = varying(data)
    if not axes:
        return
    first, others = axes[0], _independent(data, axes)
    if not others:
        yield first, "", np.ones(len(data[first]), bool)
        return
    table = np.stack([data[name].astype(float) for name in others], axis=1)
    for values in np.unique(table, axis=0):
        told = ", ".join(f"{name} {value:.4g}" for name, value in zip(others, values, strict=True))
        yield first, told, (table == values).all(axis=1)


def _independent(data: Results, axes: Sequence[str]) -> list[str]:
    """The parameters after the first that do not just follow it, as zipped ones do."""
    first = data[axes[0]]
    found = []
    for name in axes[1:]:
        both = np.stack([first.astype(float), data[name].astype(float)], axis=1)
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


def _held(data: Results, first: str, chosen: NDArray[np.bool_]) -> str:
    told = [f"{name} = {data[name][chosen][0]:.4g}" for name in _independent(data, varying(data))]
    return f"; at {', '.join(told)}" if told else ""


def _scale(ax: Axes, x: NDArray[np.float64]) -> None:
    if x.min() > 0 and x.max() / x.min() >= 50:
        ax.set_xscale("log")


def _name(ax: Axes, at: tuple[float, float], text: str, color: str, *, shift: int = 0) -> None:
    spot: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8.5}
    ax.annotate(text, at, (7, shift), color=color, weight="bold", **spot)
