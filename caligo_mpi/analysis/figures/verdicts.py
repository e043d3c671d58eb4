"""Figures of what an analysis found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import BASIS, FAINT, GREEN, INK, ORANGE, SKY, figure, key, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colors of columns, their marks and these as letters; further ones are gray.
_STREAMS = (
    (BASIS["Z"], "o", "●"),
    (ORANGE, "s", "■"),
    (GREEN, "^", "▲"),
    (BASIS["X"], "v", "▼"),
    (SKY, "D", "◆"),
    (INK, "x", "×"),
)
_FURTHER = (FAINT, ".", "·")
#: Of the dots of a sound file so many are in the band that figures shade: ±3 σ of a single one.
_SHARE = 0.9973


@figure(height=3.4)
def plot_outcomes(data: Any, ax: Axes) -> None:
    """The 16 outcomes: how often each was seen, and how far that is off its closed form in standard deviations.

    ``data`` is an `Analysis`: its ``outcomes`` are counts, number 8·A + 4·a + 2·B + b.
    """
    counts = np.array(data.outcomes, float).reshape(4, 4)
    rows = max(1.0, counts.sum())
    sigmas = _off(counts, data.expected)
    for (row, column), share in np.ndenumerate(counts / rows):
        told = f"{100 * share:.3f} %"
        if data.expected is not None:
            off = float(sigmas[row, column])
            told += "\nimpossible" if np.isinf(off) else f"\n{off:+.1f} σ"
            _tile(ax, row, column, off)
        ax.text(
            column,
            row,
            told,
            ha="center",
            va="center",
            fontsize=8.5,
        )
    ax.set_xlim(-0.5, 3.5)
    ax.set_ylim(3.5, -0.5)
    sides = ["Z0", "Z1", "X0", "X1"]
    ax.set_xticks(range(4), sides)
    ax.set_yticks(range(4), sides)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    label(ax, "The 16 outcomes", "Bob's basis and bit", "Alice's basis and bit")
    if data.expected is not None:
        note(ax, "share of rows; σ off the closed form (orange: more, blue: less)")


def _off(counts: Any, law: Any) -> Any:
    """How many standard deviations each count is off its law: infinitely many where that says that it cannot be."""
    if law is None:
        return np.zeros(counts.shape)
    chances = np.array(law).reshape(counts.shape)
    rows = counts.sum()
    variance = rows * chances * (1 - chances)
    spread = np.sqrt(np.maximum(variance, 1e-300))
    off = (counts - rows * chances) / spread
    never = np.where(counts > 0, np.inf, 0.0)
    return np.where(chances > 0, off, never)


def _tile(ax: Axes, row: int, column: int, off: float) -> None:
    """The ground of an outcome, the stronger the further it is off."""
    from matplotlib.patches import Rectangle

    strength = min(abs(off) / 5, 1.0) * 0.7
    tile = Rectangle(
        (column - 0.48, row - 0.48),
        0.96,
        0.96,
        facecolor=ORANGE if off > 0 else BASIS["Z"],
        alpha=strength,
    )
    ax.add_patch(tile)


@figure(height=3.4)
def plot_lags(data: Any, ax: Axes) -> None:
    """The correlation of each column, and of the errors, with itself some rows later, in standard deviations.

    ``data`` is an `Analysis`.  Short lags stand one by one, of each octave of long ones the strongest; of a
    sound file `_SHARE` of the dots are in the shaded band, which widens with the number of lags that a dot is of.
    """
    streams = dict.fromkeys(lag.stream for lag in (*data.lags, *data.long_lags))
    _draw_band(ax, data.lags, data.long_lags)
    names = []
    for number, stream in enumerate(streams):
        style = _STREAMS[number] if number < len(_STREAMS) else _FURTHER
        color, mark, letter = style
        places, scores = zip(*_dots(data, stream), strict=True)
        ax.plot(
            places,
            scores,
            mark,
            ms=3,
            mew=0,
            color=color,
        )
        name = stream.replace("_", " ")
        names.append((f"{letter} {name}", color))
    ax.set_xscale("log", base=2)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -4), max(high, 4))
    label(ax, "Correlation with later rows", "lag / rows", "correlation / σ")
    told = [f"shaded: {100 * _SHARE:g} % of a sound file's dots"]
    if data.long_lags:
        _draw_limit(ax, data.long_lags[0].first)
        told.append("right of the line: the strongest lag of each octave")
    lines = key(ax, names)
    note(ax, "\n".join(told), above=lines)


def _dots(data: Any, stream: str) -> Iterator[tuple[int, float]]:
    """Lags of a stream, and how many standard deviations their correlations are off."""
    for lag in data.lags:
        if lag.stream == stream:
            yield lag.lag, lag.correlation / lag.sigma
    for lag in data.long_lags:
        if lag.stream == stream:
            yield lag.lag, lag.score


def strongest_of(count: int) -> float:
    """What the strongest of ``count`` normal values exceeds, on either side, with probability 1 − `_SHARE`.

    >>> round(strongest_of(1), 2), round(strongest_of(1 << 19), 2)
    (3.0, 5.84)
    """
    each = -math.expm1(math.log(_SHARE) / count)
    return -NormalDist().inv_cdf(each / 2)


def _draw_band(ax: Axes, short: Sequence[Any], octaves: Sequence[Any]) -> None:
    """Where almost all dots of a sound file are: single lags, then octaves."""
    steps: dict[float, float] = {}
    if short:
        steps[min(lag.lag for lag in short) / sqrt(2)] = strongest_of(1)
    for octave in octaves:
        steps[octave.first - 0.5] = strongest_of(octave.last - octave.first + 1)
    if not steps:
        return
    last = max([lag.lag for lag in short] + [octave.last for octave in octaves])
    places = [*steps, last]
    heights = [*steps.values()]
    heights.append(heights[-1])
    below = [-height for height in heights]
    ax.fill_between(
        places,
        below,
        heights,
        step="post",
        color=FAINT,
        alpha=0.15,
        lw=0,
    )


def _draw_limit(ax: Axes, lag: int) -> None:
    """Where octaves begin."""
    ax.axvline(
        lag - 0.5,
        color=FAINT,
        lw=0.8,
        ls=":",
    )
