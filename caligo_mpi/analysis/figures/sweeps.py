"""Figures of sweeps over one parameter: curves on closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .points import Column, Results, curves, different, held, is_number, numbers, places, with_unit
from .style import BASIS, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, beside, figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = (BASIS["Z"], BASIS["X"], GREEN, ORANGE, PURPLE, SKY, INK, FAINT)
#: Letters of a word on an axis before words are turned.
_SHORT_WORD = 8
#: From this ratio of the largest to the smallest on, numbers stand on a logarithmic scale.
_WIDE = 50
#: Points of height that a name takes.
_NAME_HEIGHT = 11.0


@dataclass(frozen=True, slots=True)
class _End:
    """Where a curve ends, and its name."""

    x: float
    y: float
    name: str
    color: str


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    """Points of a sweep in the order of the first parameter."""

    data: Results
    name: str
    rows: Column

    @property
    def x(self) -> Column:
        """Where the points stand on the axis."""
        return places(self.data, self.name)[self.rows]

    def column(self, name: str) -> Column:
        """A result at each point."""
        return numbers(self.data, name)[self.rows]

    def end(self, y: Column, name: str, color: str) -> _End | None:
        """The last point that has a value."""
        good = np.flatnonzero(np.isfinite(y))
        if not len(good):
            return None
        last = good[-1]
        x = float(self.x[last])
        return _End(
            x,
            float(y[last]),
            name,
            color,
        )


def _curve(data: Results, first: str, chosen: Column) -> _Curve:
    x = places(data, first)[chosen]
    order = np.argsort(x)
    rows = np.flatnonzero(chosen)[order]
    return _Curve(data, first, rows)


@figure()
def plot_sweep_qber(data: Results, ax: Axes) -> None:
    """Error rates over the first parameter, per basis and with exact intervals, on the closed form.

    ``data`` is what `read_sweep` gives.  Of several parameters the others are held at their first values.  Words
    stand beside each other.
    """
    found = next(curves(data), None)
    if found is None:
        return
    first, _, chosen = found
    curve = _curve(data, first, chosen)
    ends = [_draw_rate(ax, curve, basis) for basis in "ZX"]
    _name_places(ax, data, first)
    label(
        ax,
        "Error rate over the sweep",
        with_unit(data, first),
        "QBER / %",
    )
    others = held(data, chosen)
    at_others = f"; at {others}" if others else ""
    note(ax, f"points: exact intervals; dashed: closed form{at_others}")
    _name_ends(ax, ends)


def _draw_rate(ax: Axes, curve: _Curve, basis: str) -> _End | None:
    """A basis's error rate; its end where any was measured."""
    name = f"qber_{basis.lower()}"
    color = BASIS[basis]
    rate = 100 * curve.column(name)
    low = 100 * curve.column(f"{name}_low")
    high = 100 * curve.column(f"{name}_high")
    end = curve.end(rate, basis, color)
    if end is not None:
        ax.errorbar(
            curve.x,
            rate,
            np.maximum(0, [rate - low, high - rate]),
            fmt="o",
            ms=3.5,
            capsize=2,
            color=color,
        )
    closed = 100 * curve.column(f"expected_{name}")
    _line(
        ax,
        curve,
        closed,
        color=INK,
        lw=1,
        ls="--",
    )
    return end


@figure()
def plot_sweep_key(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over the first parameter: made, by the finite-size formula, and in the limit.

    ``data`` is what `read_sweep` gives; a curve for each value of the other parameters.
    """
    found = list(curves(data))
    if not found:
        return
    shown = found[: len(_COLORS)]
    ends = []
    for number, (first, told, chosen) in enumerate(shown):
        curve = _curve(data, first, chosen)
        end = _draw_key(ax, curve, told, number)
        ends.append(end)
    first = found[0][0]
    _name_places(ax, data, first)
    label(
        ax,
        "Key over the sweep",
        with_unit(data, first),
        "secret bits per sifted bit",
    )
    ax.set_ylim(bottom=-0.02)
    more = f"; {len(shown)} of {len(found)} curves" if len(found) > len(shown) else ""
    note(ax, f"points: made; lines: finite-size formula; dashed: limit{more}")
    if len(found) > 1:
        _name_ends(ax, ends)


def _draw_key(ax: Axes, curve: _Curve, told: str, number: int) -> _End | None:
    """One curve; its end where any key was made."""
    color = _COLORS[number]
    made = curve.column("key_per_sifted")
    finite = curve.column("finite_per_sifted")
    ax.plot(
        curve.x,
        made,
        "o",
        ms=4,
        color=color,
    )
    _line(
        ax,
        curve,
        np.maximum(finite, 0),
        color=color,
        lw=1,
    )
    if number == 0:
        limit = curve.column("asymptotic_per_sifted")
        _line(
            ax,
            curve,
            np.maximum(limit, 0),
            color=INK,
            lw=1,
            ls="--",
        )
    return curve.end(made, told, color)


def _name_places(ax: Axes, data: Results, name: str) -> None:
    """Ticks of words, or the scale of numbers."""
    if is_number(data, name):
        x = places(data, name)
        least, most = x.min(), x.max()
        if least > 0 and most / least >= _WIDE:
            ax.set_xscale("log")
        return
    words = different(data, name)
    longest = max(len(word) for word in words)
    is_turned = len(words) > 2 and longest > _SHORT_WORD
    ax.set_xticks(
        range(len(words)),
        words,
        rotation=25 if is_turned else 0,
        ha="right" if is_turned else "center",
    )
    ax.set_xlim(-0.5, len(words) - 0.5)


def _line(ax: Axes, curve: _Curve, y: Column, **style: Any) -> None:
    """A line through points; between words there is nothing, so each of them has its own."""
    x = curve.x
    if is_number(curve.data, curve.name):
        ax.plot(x, y, **style)
        return
    there = np.isfinite(y)
    left = x[there] - 0.3
    right = x[there] + 0.3
    ax.hlines(
        y[there],
        left,
        right,
        **style,
    )


def _name_ends(ax: Axes, ends: Sequence[_End | None]) -> None:
    """Names at the ends of curves, apart from each other where the ends are not."""
    named = [end for end in ends if end is not None]
    if not named:
        return
    ax.autoscale_view()
    ordered = sorted(named, key=lambda end: end.y)
    heights = [_height(ax, end) for end in ordered]
    placed: list[float] = []
    for height in heights:
        lowest = placed[-1] + _NAME_HEIGHT if placed else height
        placed.append(max(height, lowest))
    too_high = (sum(placed) - sum(heights)) / len(heights)
    for end, height, place in zip(
        ordered,
        heights,
        placed,
        strict=True,
    ):
        shift = place - too_high - height
        beside(
            ax,
            end.name,
            (end.x, end.y),
            (7, shift),
            color=end.color,
            weight="bold",
            va="center",
            fontsize=8.5,
        )


def _height(ax: Axes, end: _End) -> float:
    """How high the end of a curve is drawn, in points."""
    drawn = ax.get_figure()
    assert drawn is not None
    scale = 72 / drawn.dpi
    _, pixels = ax.transData.transform((end.x, end.y))
    return scale * float(pixels)
