"""Figures of what an analysis found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .style import BASIS, FAINT, GREEN, INK, ORANGE, SKY, figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colors of columns in the order of their names at the side; further ones are gray.
_STREAMS = (
    BASIS["Z"],
    ORANGE,
    GREEN,
    BASIS["X"],
    SKY,
    INK,
)


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


@figure()
def plot_lags(data: Any, ax: Axes) -> None:
    """The correlation of each column, and of the errors, with itself some rows later, in standard deviations.

    ``data`` is an `Analysis`; in a sound file values are as if drawn from a standard normal distribution.
    """
    streams = list(dict.fromkeys(lag.stream for lag in data.lags))
    ax.axhspan(
        -3,
        3,
        color=FAINT,
        alpha=0.15,
        lw=0,
    )
    for number, stream in enumerate(streams):
        lags = [lag for lag in data.lags if lag.stream == stream]
        _draw_stream(ax, number, lags)
    ax.set_xscale("log", base=2)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -4), max(high, 4))
    label(ax, "Correlation with later rows", "lag / rows", "correlation / σ")
    told = ["shaded: ±3 σ"]
    for check in data.checks:
        if check.name == "long lags" and check.p is not None:
            told.append(check.found)
    note(ax, "\n".join(told))


def _draw_stream(ax: Axes, number: int, lags: list[Any]) -> None:
    """The points of a column, and its name at the side."""
    sized = [lag for lag in lags if lag.sigma > 0]
    if not sized:
        return
    places = [lag.lag for lag in sized]
    scores = [lag.correlation / lag.sigma for lag in sized]
    color = _STREAMS[number] if number < len(_STREAMS) else FAINT
    ax.plot(
        places,
        scores,
        ".",
        ms=4,
        color=color,
    )
    name = sized[0].stream.replace("_", " ")
    ax.text(
        1.01,
        0.95 - 0.11 * number,
        name,
        color=color,
        transform=ax.transAxes,
        fontsize=8.5,
    )
