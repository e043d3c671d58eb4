"""Figures of pairs files."""

from __future__ import annotations

import os
from math import isnan, nan
from typing import TYPE_CHECKING

import numpy as np

from ...pairs.intervals import clopper_pearson
from ...store import PairsFile
from ..glance import Glance, Table, glance
from .ends import End, name_ends
from .style import BASIS, GREEN, INK, ORANGE, SKY, beside, figure, label, large_numbers, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Source = str | os.PathLike[str] | PairsFile | Glance
#: Rows of a long file that a histogram is made of.
_SAMPLE = 1_000_000
_UNITS = (("s", 1e-9), ("ms", 1e-6), ("µs", 1e-3), ("ns", 1.0))
#: Who registered: the name on the axis, the column of the chunk table, the closed form, the color.
_CLICKS = (
    ("Alice", "alice_clicks", "alice_click", ORANGE),
    ("Bob", "bob_clicks", "bob_click", SKY),
    ("both", "rows", "coincidence", GREEN),
)


@figure()
def plot_qber(data: Source, ax: Axes) -> None:
    """Error rate per basis with its exact 95 % interval, on the closed form.

    ``data`` is a pairs file (path, open file or `Glance`).
    """
    seen = glance(data)
    for place, basis in enumerate("ZX"):
        _draw_rate(ax, seen, place, basis)
    ax.set_xticks([0, 1], ["Z", "X"])
    ax.set_xlim(-0.5, 1.7)
    ax.margins(y=0.25)
    label(ax, "Error rate per basis", "basis of both", "QBER / %")
    note(ax, "points: measured, with exact 95 % intervals; dashed: closed form")


def _draw_rate(ax: Axes, seen: Glance, place: int, basis: str) -> None:
    """What was measured in a basis, and its closed form, where anything was sifted in it."""
    sifted = seen.total(f"sifted_{basis.lower()}")
    errors = seen.total(f"errors_{basis.lower()}")
    if not sifted:
        return
    rate = errors / sifted
    low, high = clopper_pearson(errors, sifted)
    below = 100 * (rate - low)
    above = 100 * (high - rate)
    percent = 100 * rate
    ax.errorbar(
        [place], [percent], [[below], [above]], fmt="o", color=BASIS[basis], capsize=6, markersize=6
    )
    left, right = place - 0.3, place + 0.3
    beside(
        ax,
        f"{percent:#.4g} %",
        (right, percent),
        (4, 0),
        va="center",
    )
    closed = _closed(seen, basis)
    if not isnan(closed):
        ax.hlines(
            100 * closed,
            left,
            right,
            color=INK,
            lw=1,
            ls="--",
        )


@figure()
def plot_course(data: Source, ax: Axes) -> None:
    """Error rate along the run, per basis, with exact 95 % intervals, on the closed form."""
    seen = glance(data)
    ends = [_draw_course(ax, seen, basis) for basis in "ZX"]
    label(ax, "Error rate along the run", "emission", "QBER / %")
    large_numbers(ax)
    note(ax, "bands: exact 95 % intervals of each stage; dashed: closed form")
    name_ends(ax, ends)


def _draw_course(ax: Axes, seen: Glance, basis: str) -> End | None:
    """The error rate of a basis in the stages in which anything was sifted in it, and its closed form."""
    is_some = seen.course[f"sifted_{basis.lower()}"] > 0
    stages = seen.course[is_some]
    if not len(stages):
        return None
    closed = _closed(seen, basis)
    if not isnan(closed):
        last = stages[-1]
        ax.hlines(
            100 * closed,
            stages["start"][0],
            last["start"] + last["count"],
            color=INK,
            lw=0.8,
            ls="--",
        )
    return _draw_stages(ax, stages, basis)


def _draw_stages(ax: Axes, stages: Table, basis: str) -> End:
    """A line with its band; where it ends."""
    color = BASIS[basis]
    sifted = stages[f"sifted_{basis.lower()}"]
    errors = stages[f"errors_{basis.lower()}"]
    middle = stages["start"] + stages["count"] / 2
    percent = 100 * (errors / sifted)
    low, high = _intervals(errors, sifted)
    ax.fill_between(
        middle,
        100 * low,
        100 * high,
        color=color,
        alpha=0.18,
        lw=0,
    )
    ax.plot(
        middle,
        percent,
        color=color,
        marker=".",
        ms=3,
        lw=1,
    )
    return End(
        float(middle[-1]),
        float(percent[-1]),
        basis,
        color,
    )


def _intervals(errors: Table, sifted: Table) -> tuple[Table, Table]:
    """The lower and the upper ends of the exact 95 % intervals of many rates."""
    ends = []
    for count, trials in zip(errors, sifted, strict=True):
        interval = clopper_pearson(int(count), int(trials))
        ends.append(interval)
    low, high = np.array(ends).T
    return low, high


def _closed(seen: Glance, basis: str) -> float:
    """The closed form of a basis's error rate, NaN where there is none."""
    if seen.expected is None:
        return nan
    rate = getattr(seen.expected, f"qber_{basis.lower()}")
    return float(rate)


@figure()
def plot_losses(data: Source, ax: Axes) -> None:
    """Shares of emissions that Alice, Bob and both registered, on the closed forms."""
    seen = glance(data)
    emitted = seen.total("count")
    for place, (_, column, closed_form, color) in enumerate(_CLICKS):
        share = seen.total(column) / max(1, emitted)
        ax.barh(
            place,
            share,
            color=color,
            height=0.6,
        )
        beside(
            ax,
            f"{share:.4g}",
            (share, place),
            (5, 0),
            va="center",
        )
        if seen.expected is not None:
            closed = getattr(seen.expected, closed_form)
            low, high = place - 0.4, place + 0.4
            ax.vlines(
                closed,
                low,
                high,
                color=INK,
                lw=1.2,
                ls="--",
            )
    names = [name for name, *_ in _CLICKS]
    ax.set_yticks(range(3), names)
    if seen.total("rows") < 0.1 * emitted:
        ax.set_xscale("log")
    ax.margins(x=0.25)
    ax.invert_yaxis()
    label(ax, "Who registered how much", "share of emissions", "registered by")
    note(ax, "bars: measured; dashed: closed form")


@figure()
def plot_gaps(data: PairsFile, ax: Axes) -> None:
    """Distances between the emission numbers of neighboring rows, on the geometric law of independent losses.

    ``data`` is an open pairs file with an index; of a long one the first million rows are taken.
    """
    assert data.index is not None
    rows = min(data.rows, _SAMPLE)
    index = data.index[:rows].astype(np.int64)
    gaps = np.diff(index)
    if not len(gaps):
        label(ax, "Gaps between rows", "emissions", "share of gaps")
        return
    longest = int(gaps.max())
    edges = _edges(longest)
    width = np.diff(edges)
    counts, _ = np.histogram(gaps, edges)
    share = counts / len(gaps)
    ax.stairs(share / width, edges, fill=True, color=SKY)
    chance = max(data.info.coincidence, 1e-15)
    expected = _geometric(edges, chance)
    middle = np.sqrt(edges[:-1] * edges[1:])
    ax.plot(
        middle,
        expected / width,
        color=INK,
        ls="--",
        lw=1,
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    label(
        ax,
        "Gaps between rows",
        "distance to the next row / emissions",
        "share of gaps per emission",
    )
    note(ax, f"filled: {len(gaps):,} gaps; dashed: independent losses, p = {chance:.4g}")


def _geometric(edges: Table, chance: float) -> Table:
    """The probability of a gap in each bin, where every emission leaves a row with the same chance."""
    beyond: Table = (1 - chance) ** (edges - 1)
    return beyond[:-1] - beyond[1:]


def _edges(most: int) -> Table:
    """Edges of bins that grow, each at least one wide."""
    grown = np.geomspace(1, most + 1, 50)
    whole = np.round(grown).astype(np.int64)
    ends = np.unique(whole)
    return ends if len(ends) > 1 else np.array([1, 2])


@figure()
def plot_times(data: PairsFile, ax: Axes) -> None:
    """Histogram of the simulated time between neighboring rows of a chunk, in ns.

    ``data`` is an open pairs file with times; of a long one the first million rows are taken.
    """
    assert data.time is not None
    rows = min(data.rows, _SAMPLE)
    steps = np.diff(data.time[:rows])
    steps = steps[steps >= 0]  # every chunk begins at 0
    longest = float(steps.max(initial=1.0))
    unit, scale = _unit_of(longest)
    ax.hist(steps * scale, 60, color=SKY)
    ax.set_yscale("log")
    label(ax, "Simulated time", f"time to the next row of the chunk / {unit}", "rows")
    mean = steps.mean() * scale if len(steps) else 0
    note(ax, f"{len(steps):,} rows, mean {mean:.4g} {unit}")


def _unit_of(nanoseconds: float) -> tuple[str, float]:
    """The largest unit of which a time is at least one, and how many of it are a nanosecond."""
    for unit, scale in _UNITS:
        if nanoseconds * scale >= 1:
            return unit, scale
    return _UNITS[-1]
