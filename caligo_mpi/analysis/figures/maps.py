"""Figures of sweeps over two parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .points import Column, Results, crossed, numbers, with_unit
from .style import few_decades, few_ticks, figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Not quite white, which a page on dark ground replaces.
_WHITE = "#fefefe"
#: Cells whose values are not even that have a name each, along the axis and up.
_NAMED = {"x": 5, "y": 9}


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """The values of a parameter along a map: where cells stand and end, and the scale that makes them even."""

    values: Column
    scale: str
    is_even: bool
    centers: Column
    edges: Column

    def name(self, axis: Any) -> None:
        """Numbers on the axis; of values that are even on no scale, some of them."""
        axis.set_tick_params(length=3)
        if not self.is_even:
            step = -(-len(self.values) // _NAMED[axis.axis_name])
            names = [f"{value:.3g}" for value in self.values[::step]]
            axis.set_ticks(self.centers[::step], names)
        elif self.scale == "log":
            few_decades(axis, self.edges)
        else:
            few_ticks(axis)


def _side(values: Column) -> _Side:
    """How the values of a parameter stand along a map."""
    values = values.astype(float)
    if _is_even(values):
        return _Side(
            values,
            scale="linear",
            is_even=True,
            centers=values,
            edges=_edges(values),
        )
    powers = np.log(np.maximum(values, np.finfo(float).tiny))
    if _is_even(powers):
        return _Side(
            values,
            scale="log",
            is_even=True,
            centers=values,
            edges=np.exp(_edges(powers)),
        )
    places = np.arange(len(values)) + 0.5
    return _Side(
        values,
        scale="linear",
        is_even=False,
        centers=places,
        edges=_edges(places),
    )


def _is_even(values: Column) -> bool:
    """Whether values are as far from each other everywhere."""
    steps = np.diff(values)
    return np.allclose(
        steps,
        steps[0],
        rtol=1e-2,
        atol=0,
    )


def _edges(centers: Column) -> Column:
    """The ends of cells of one width."""
    half = (centers[1] - centers[0]) / 2
    return np.append(centers - half, centers[-1] + half)


@figure(height=3.4)
def plot_map(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over two parameters; hatched where there is no key, blank where nothing is known.

    ``data`` is what `read_sweep` gives; without keys the error rate is drawn.  Further parameters are averaged over.
    """
    axes = crossed(data)
    if len(axes) < 2:
        raise ValueError(
            "a map needs two parameters that vary apart from each other; "
            f"this sweep has {len(axes)}"
        )
    x, y = axes[:2]
    keys = _keys(data)
    has_keys = bool(np.isfinite(keys).any())
    shown = keys if has_keys else 100 * numbers(data, "qber")
    xs, ys, cells = _grid(data, x, y, shown)
    across = _side(xs)
    up = _side(ys)
    ax.set_xscale(across.scale)
    ax.set_yscale(up.scale)
    title = "Key" if has_keys else "Error rate"
    told = _draw(ax, across, up, cells, has_keys)
    across.name(ax.xaxis)
    up.name(ax.yaxis)
    label(
        ax,
        f"{title} over two parameters",
        with_unit(data, x),
        with_unit(data, y),
    )
    note(ax, "; ".join(told))


def _keys(data: Results) -> Column:
    """Secret bits per sifted bit: none where no bit was sifted, NaN where it is not known."""
    shares = numbers(data, "key_per_sifted")
    bits = numbers(data, "key_bits")
    return np.where(bits == 0, 0.0, shares)


def _draw(ax: Axes, across: _Side, up: _Side, cells: Column, has_keys: bool) -> list[str]:
    """The cells, where there is no key, and lines of equal values; how to read what was drawn."""
    told = []
    lined = cells
    if has_keys:
        _draw_cells(ax, across, up, cells, "secret bits per sifted bit")
        _hatch(ax, across, up, cells)
        if (cells <= 0).any():
            told.append("hatched: no key")
        lined = np.where(cells > 0, cells, np.nan)
    else:
        _draw_cells(ax, across, up, cells, "QBER / %")
    if not np.isfinite(cells).all():
        told.append("blank: no result")
    if _draw_lines(ax, across, up, lined):
        told.append("lines: equal values")
    return told


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


def _draw_cells(ax: Axes, across: _Side, up: _Side, cells: Column, told: str) -> None:
    """The cells with a scale beside them."""
    mesh = ax.pcolormesh(
        across.edges,
        up.edges,
        cells,
        cmap="cividis",
        edgecolors="face",
    )
    drawn = ax.get_figure()
    assert drawn is not None
    drawn.colorbar(mesh, ax=ax, label=told)


def _draw_lines(ax: Axes, across: _Side, up: _Side, cells: Column) -> bool:
    """Lines of equal values where there are enough cells that have one; whether there are."""
    is_known = np.isfinite(cells)
    above = is_known[1:] & is_known[:-1]
    corners = above[:, 1:] & above[:, :-1]
    if min(cells.shape) < 3 or not corners.any():
        return False
    if np.ptp(cells[is_known]) == 0:
        return False
    lines = ax.contour(
        across.centers,
        up.centers,
        np.ma.masked_invalid(cells),
        4,
        colors=_WHITE,
        linewidths=0.8,
    )
    ax.clabel(lines, fontsize=8)
    return True


def _hatch(ax: Axes, across: _Side, up: _Side, cells: Column) -> None:
    """Mark the region without a key; where nothing is known of one there is no mark."""
    from matplotlib.patches import Rectangle

    widths = np.diff(across.edges)
    heights = np.diff(up.edges)
    for row, column in np.argwhere(cells <= 0):
        mark = Rectangle(
            (across.edges[column], up.edges[row]),
            widths[column],
            heights[row],
            fill=False,
            hatch="////",
            edgecolor=_WHITE,
            lw=0,
        )
        ax.add_patch(mark)
