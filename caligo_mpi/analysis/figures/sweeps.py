"""Figures of sweeps over one parameter: curves on closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .ends import End, name_ends
from .points import Column, Results, curves, different, held, is_number, numbers, places, with_unit
from .style import BASIS, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = (BASIS["Z"], BASIS["X"], GREEN, ORANGE, PURPLE, SKY, INK, FAINT)
#: Letters of a word on an axis before words are turned.
_SHORT_WORD = 8
#: From this ratio of the largest to the smallest on, numbers stand on a logarithmic scale.
_WIDE = 50
#: With more points than this, those of a curve become a line: they would run into each other.
_MANY = 40
#: How bases are drawn: X so that Z is seen below it.
_LINES: dict[str, Any] = {"Z": {"lw": 4, "alpha": 0.45}, "X": {"lw": 1}}
_MARKS: dict[str, Any] = {
    "Z": {"fmt": "o", "ms": 3.5, "capsize": 2, "lw": 1},
    "X": {"fmt": "s", "ms": 5.5, "capsize": 4, "lw": 1, "mfc": "none"},
}
#: Runs of values that a note lists.
_RUNS = 4


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

    @property
    def is_long(self) -> bool:
        """Whether there are too many points for a mark each."""
        return len(self.rows) > _MANY and is_number(self.data, self.name)

    def column(self, name: str) -> Column:
        """A result at each point."""
        return numbers(self.data, name)[self.rows]

    @property
    def has_key(self) -> bool:
        """Whether a key was made at any of the points."""
        made = self.column("key_per_sifted")
        return bool((np.nan_to_num(made) > 0).any())

    def end(self, y: Column, name: str, color: str) -> End | None:
        """The last point that has a value."""
        good = np.flatnonzero(np.isfinite(y))
        if not len(good):
            return None
        last = good[-1]
        x = float(self.x[last])
        return End(
            x,
            float(y[last]),
            name,
            color,
        )


#: Curves with the values of the other parameters, in words.
_Named = Sequence[tuple[_Curve, str]]


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
    at_others = f"\nat {others}" if others else ""
    told = "wide: Z, thin: X" if curve.is_long else "filled: Z, open: X"
    note(ax, f"{told}; exact 95 % intervals; dashed: closed form{at_others}")
    name_ends(ax, ends)


def _draw_rate(ax: Axes, curve: _Curve, basis: str) -> End | None:
    """A basis's error rate; its end where any was measured."""
    name = f"qber_{basis.lower()}"
    color = BASIS[basis]
    rate = 100 * curve.column(name)
    low = 100 * curve.column(f"{name}_low")
    high = 100 * curve.column(f"{name}_high")
    end = curve.end(rate, basis, color)
    if end is not None and curve.is_long:
        ax.fill_between(
            curve.x,
            low,
            high,
            color=color,
            alpha=0.2,
            lw=0,
        )
        ax.plot(
            curve.x,
            rate,
            color=color,
            **_LINES[basis],
        )
    elif end is not None:
        below = rate - low
        above = high - rate
        ax.errorbar(
            curve.x,
            rate,
            np.maximum(0, [below, above]),
            color=color,
            **_MARKS[basis],
        )
    _draw_closed_form(ax, curve, name)
    return end


def _draw_closed_form(ax: Axes, curve: _Curve, name: str) -> None:
    """Dashes, with wide gaps where they would hide the line of points that lies on them."""
    closed = 100 * curve.column(f"expected_{name}")
    dashes = (0, (4, 8)) if curve.is_long else "--"
    _line(
        ax,
        curve,
        closed,
        color=INK,
        lw=1,
        ls=dashes,
    )


@figure()
def plot_sweep_key(data: Results, ax: Axes) -> None:
    """Secret bits per sifted bit over the first parameter: made, by the finite-size formula, and in the limit.

    ``data`` is what `read_sweep` gives; a curve for each value of the other parameters
    at which there is any key.
    """
    found = list(curves(data))
    if not found:
        return
    first = found[0][0]
    drawn = [(_curve(data, first, chosen), told) for _, told, chosen in found]
    seen = [one for one in drawn if one[0].has_key]
    shown = _spread(seen or drawn[:1])
    ends = []
    for color, (curve, told) in zip(_COLORS, shown, strict=False):
        end = _draw_key(ax, curve, told, color)
        ends.append(end)
        _draw_limit(ax, curve, color if len(shown) > 1 else INK)
    _name_places(ax, data, first)
    label(
        ax,
        "Key over the sweep",
        with_unit(data, first),
        "secret bits per sifted bit",
    )
    ax.set_ylim(bottom=-0.02)
    marks = "wide" if shown[0][0].is_long else "points"
    lines = [f"{marks}: made; lines: finite-size formula; dashed: limit"]
    if len(seen) > len(shown):
        lines[0] += f"; {len(shown)} of {len(seen)} curves"
    if len(seen) < len(drawn) > 1:
        lines.append(_keyless(drawn))
    note(ax, "\n".join(lines))
    if len(found) > 1:
        name_ends(ax, ends)


def _spread(curves_: _Named) -> _Named:
    """As many of the curves as there are colors, from the first to the last of them."""
    most = min(len(curves_), len(_COLORS))
    chosen = np.linspace(0, len(curves_) - 1, most).round()
    return [curves_[number] for number in chosen.astype(int)]


def _keyless(drawn: _Named) -> str:
    """Where there is no key at all, in words: neighbors in a row are told by the first and the last of them."""
    runs: list[list[str]] = [[]]
    for curve, told in drawn:
        if not curve.has_key:
            runs[-1].append(told)
        elif runs[-1]:
            runs.append([])
    found = [_ends_of(run) for run in runs if run]
    told = ", ".join(found[:_RUNS])
    more = " …" if len(found) > _RUNS else ""
    name, _, _ = runs[0][0].rpartition(" ")
    if name:
        # The parameter's name stands once, before the first value.
        told = f"{name} " + told.replace(f"{name} ", "")
    return f"no key at {told}{more}"


def _ends_of(run: Sequence[str]) -> str:
    """Some values in a row, in words."""
    if len(run) == 1:
        return run[0]
    between = " … " if len(run) > 2 else ", "
    return f"{run[0]}{between}{run[-1]}"


def _draw_key(ax: Axes, curve: _Curve, told: str, color: str) -> End | None:
    """One curve; its end where any key was made."""
    made = curve.column("key_per_sifted")
    finite = curve.column("finite_per_sifted")
    marks: dict[str, Any] = {"marker": "o", "ms": 4, "ls": "none"}
    if curve.is_long:
        marks = {"lw": 4, "alpha": 0.45}
    ax.plot(curve.x, made, color=color, **marks)
    _line(
        ax,
        curve,
        np.maximum(finite, 0),
        color=color,
        lw=1,
    )
    return curve.end(made, told, color)


def _draw_limit(ax: Axes, curve: _Curve, color: str) -> None:
    """What ever more pairs would give."""
    limit = curve.column("asymptotic_per_sifted")
    _line(
        ax,
        curve,
        np.maximum(limit, 0),
        color=color,
        lw=1,
        ls="--",
    )


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
