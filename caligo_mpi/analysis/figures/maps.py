"""Figures of sweeps over two parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .points import Column, Results, numbers, varying, with_unit
from .style import figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WHITE = "#ffffff"


@figure(height=3.4)
def plot_map(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over two parameters; hatched where there is no key.

    ``data`` is what `read_sweep` gives; without keys the error rate is drawn.  Further parameters are averaged over.
    """
    axes = varying(data)
    if len(axes) < 2:
        raise ValueError(f"a map needs two parameters that vary; this sweep has {len(axes)}")
    x, y = axes[:2]
    keys = numbers(data, "key_per_sifted")
    if np.isfinite(keys).any():
        xs, ys, cells = _grid(data, x, y, keys)
        _draw_cells(ax, cells, "secret bits per sifted bit")
        _hatch(ax, cells)
        title = "Key over two parameters"
        lines = "hatched: no key; lines: equal values"
    else:
        xs, ys, cells = _grid(
            data,
            x,
            y,
            numbers(data, "qber"),
        )
        _draw_cells(ax, cells, "QBER")
        title = "Error rate over two parameters"
        lines = "lines: equal values"
    _name_cells(ax.xaxis, xs)
    _name_cells(ax.yaxis, ys)
    label(
        ax,
        title,
        with_unit(data, x),
        with_unit(data, y),
    )
    note(ax, lines)


def _grid(data: Results, x: str, y: str, values: Column) -> tuple[Any, Any, Column]:
    """The values of both parameters, and the mean of a column at each pair of them (NaN where there is none)."""
    xs, column = np.unique(data[x], return_inverse=True)
    ys, row = np.unique(data[y], return_inverse=True)
    good = np.isfinite(values)
    cell = (row[good], column[good])
    shape = (len(ys), len(xs))
    sums = np.zeros(shape)
    counts = np.zeros(shape)
    np.add.at(sums, cell, values[good])
    np.add.at(counts, cell, 1)
    means = sums / np.maximum(counts, 1)
    return xs, ys, np.where(counts > 0, means, np.nan)


def _draw_cells(ax: Axes, cells: Column, told: str) -> None:
    """The cells with a scale beside them, and lines of equal values."""
    rows, columns = cells.shape
    mesh = ax.pcolormesh(
        np.arange(columns + 1),
        np.arange(rows + 1),
        cells,
        cmap="cividis",
        edgecolors="face",
    )
    drawn = ax.get_figure()
    assert drawn is not None
    drawn.colorbar(mesh, ax=ax, label=told)
    is_flat = min(cells.shape) < 3 or np.ptp(cells) == 0
    if is_flat or not np.isfinite(cells).all():
        return
    x = np.arange(columns) + 0.5
    y = np.arange(rows) + 0.5
    lines = ax.contour(
        x,
        y,
        cells,
        4,
        colors=_WHITE,
        linewidths=0.8,
    )
    ax.clabel(lines, fontsize=7)


def _hatch(ax: Axes, cells: Column) -> None:
    """Mark the region without a key."""
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(np.nan_to_num(cells) <= 0):
        mark = Rectangle(
            (column, row),
            1,
            1,
            fill=False,
            hatch="////",
            edgecolor=_WHITE,
            lw=0,
        )
        ax.add_patch(mark)


def _name_cells(axis: Any, values: Column) -> None:
    """Ticks of values, of many only some."""
    step = max(1, len(values) // 8)
    places = np.arange(len(values))[::step]
    names = [f"{value:.4g}" for value in values[::step]]
    axis.set_ticks(places + 0.5, names)
