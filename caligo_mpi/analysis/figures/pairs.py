"""Figures of pairs files."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from ...machine.wording import counted
from ...pairs.intervals import clopper_pearson
from ...store import PairsFile
from ..glance import Glance, glance
from .style import (
    BASIS,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    SKY,
    label,
    large_numbers,
    new_axes,
    note,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Source = str | os.PathLike[str] | PairsFile | Glance
Plot = Callable[..., "Axes"]
_BASES = ("z", "x")
_SAMPLE = 1_000_000
# What ranks do besides chunks, in the order of the bars of a timeline.
_REST = (("writing", GREEN, 1.0), ("communicating", ORANGE, 1.0), ("idle", FAINT, 0.4))
#: Lanes of a timeline that are named.
_LANES = 16
_SIZES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))
_UNITS = (("s", 1e-9), ("ms", 1e-6), ("µs", 1e-3), ("ns", 1.0))


def figure(height: float = 3.0) -> Callable[[Callable[[Any, Axes], None]], Plot]:
    """Make a function that draws into axes one that makes them where none are given."""

    def around(draw: Callable[[Any, Axes], None]) -> Plot:
        @wraps(draw)
        def plot(data: Any, ax: Axes | None = None) -> Axes:
            with styled():
                if ax is None:
                    ax = new_axes(height=height)
                draw(data, ax)
            return ax

        return plot

    return around


@figure()
def plot_qber(data: Source, ax: Axes) -> None:
    """Error rate per basis with its exact 95 % interval, on the closed form.

    ``data`` is a pairs file (path, open file or `Glance`).
    """
    seen = glance(data)
    for place, basis in enumerate("ZX"):
        errors, sifted = (
            getattr(seen.tally, f"{what}_{basis.lower()}") for what in ("errors", "sifted")
        )
        if not sifted:
            continue
        rate = errors / sifted
        low, high = clopper_pearson(errors, sifted)
        bars = [[100 * (rate - low)], [100 * (high - rate)]]
        ax.errorbar(
            [place], [100 * rate], bars, fmt="o", color=BASIS[basis], capsize=6, markersize=6
        )
        ax.annotate(
            f"{100 * rate:#.4g} %",
            (place, 100 * rate),
            (10, 0),
            textcoords="offset points",
            va="center",
        )
        if seen.expected is not None and not np.isnan(_closed(seen, basis)):
            ax.hlines(
                100 * _closed(seen, basis), place - 0.3, place + 0.3, color=INK, lw=1, ls="--"
            )
    ax.set_xticks([0, 1], ["Z", "X"])
    ax.set_xlim(-0.5, 1.7)
    ax.margins(y=0.25)
    label(ax, "Error rate per basis", "basis of both", "QBER / %")
    note(ax, "points: measured, with exact 95 % intervals; dashed: closed form")


@figure()
def plot_course(data: Source, ax: Axes) -> None:
    """Error rate along the run, per basis, with exact 95 % intervals, on the closed form."""
    seen = glance(data)
    middle = seen.course["start"] + seen.course["count"] / 2
    for basis in "ZX":
        sifted, errors = (seen.course[f"{what}_{basis.lower()}"] for what in ("sifted", "errors"))
        some = sifted > 0
        if not some.any():
            continue
        rate = errors[some] / sifted[some]
        ends = np.array(
            [
                clopper_pearson(int(e), int(n))
                for e, n in zip(errors[some], sifted[some], strict=True)
            ]
        )
        ax.fill_between(
            middle[some], 100 * ends[:, 0], 100 * ends[:, 1], color=BASIS[basis], alpha=0.18, lw=0
        )
        ax.plot(middle[some], 100 * rate, color=BASIS[basis], marker=".", ms=3, lw=1)
        end = (middle[some][-1], 100 * rate[-1])
        ax.annotate(
            basis,
            end,
            (6, 0),
            textcoords="offset points",
            color=BASIS[basis],
            weight="bold",
            va="center",
        )
        if seen.expected is not None and not np.isnan(_closed(seen, basis)):
            ax.axhline(100 * _closed(seen, basis), color=INK, lw=0.8, ls="--")
    label(ax, "Error rate along the run", "emission", "QBER / %")
    large_numbers(ax)
    note(ax, "bands: exact 95 % intervals of each stage; dashed: closed form")


@figure()
def plot_timeline(data: Source, ax: Axes) -> None:
    """What each rank did: its chunks end to end, then writing, messages, idle; how long the launch took.

    The file knows how long each chunk took and when the launch began and ended, not when a chunk was begun,
    and of what is no chunk only the sums.
    """
    seen = glance(data)
    lanes = [(int(row["run"]), int(row["rank"])) for row in seen.work]
    top = max([1e-9, *map(float, seen.work["seconds"])])
    unit, scale = ("ms", 1e3) if top < 1 else ("s", 1.0) if top < 7200 else ("h", 1 / 3600)
    for place in range(len(lanes)):
        end = _draw_chunks(ax, seen, place, scale)
        _draw_rest(ax, seen, place, end, scale)
    for run in sorted({run for run, _ in lanes}):
        _mark_launch(ax, seen, run, [at for at, lane in enumerate(lanes) if lane[0] == run], scale)
    step = -(-len(lanes) // _LANES)
    ax.set_yticks(
        range(0, len(lanes), step), [_lane(seen, at) for at in range(0, len(lanes), step)]
    )
    ax.invert_yaxis()
    label(ax, "Work of each rank", f"time / {unit} (line: the launch's last commit)", "")
    rest = ", then\ngreen: writing, orange: messages, gray: idle" if len(seen.metrics) else ""
    note(ax, f"blue: chunks end to end{rest}")


def _draw_chunks(ax: Axes, seen: Glance, place: int, scale: float) -> float:
    """Bars of a lane's chunks; gives where they end."""
    row = seen.work[place]
    is_mine = (seen.segments["run"] == row["run"]) & (seen.segments["rank"] == row["rank"])
    mine = seen.segments[is_mine]["seconds"]
    lengths = scale * (mine if len(mine) else row["seconds"][None])
    ends = np.cumsum(lengths)
    edge: dict[str, Any] = {"edgecolor": INK, "linewidth": 0.3}
    lines = edge if len(lengths) <= 300 else {}
    places = np.full(len(lengths), place)
    ax.barh(places, lengths, left=ends - lengths, height=0.7, color=SKY, **lines)
    return float(ends[-1])


def _draw_rest(ax: Axes, seen: Glance, place: int, end: float, scale: float) -> None:
    """Bars of what a lane's rank did besides, where the file says so of this rank alone."""
    row, told = seen.work[place], seen.metrics
    is_it = (told["run"] == row["run"]) & (told["rank"] == row["rank"]) & (told["ranks"] == 1)
    for found in told[is_it]:
        for name, color, alpha in _REST:
            length = scale * float(found[name])
            ax.barh(place, length, left=end, height=0.7, color=color, alpha=alpha, linewidth=0)
            end += length


def _lane(seen: Glance, place: int) -> str:
    """The name of a rank's lane; how many chunks and bytes it made stands below where there is room."""
    row = seen.work[place]
    name = f"rank {int(row['rank'])}"
    if len(seen.runs) > 1:
        name = f"launch {int(row['run']) + 1}, {name}"
    chunks = counted(int(row["chunks"]), "chunk")
    if seen.info.has_columns:
        chunks += f", {_size(seen, int(row['rows']))}"
    return f"{name}\n{chunks}" if len(seen.work) <= _LANES // 2 else name


def _size(seen: Glance, rows: int) -> str:
    """How many bytes of the file so many rows are."""
    found = sum(column.items(rows) * column.shown.itemsize for column in seen.info.table)
    unit, scale = next((name, by) for name, by in _SIZES if found >= by or by == 1)
    return f"{found / scale:.3g} {unit}"


def _mark_launch(ax: Axes, seen: Glance, run: int, places: list[int], scale: float) -> None:
    if run < len(seen.runs):
        row = seen.runs[run]
        took = float(row["last_commit"] - row["started"]) * scale
        if took > 0:
            ax.vlines(took, min(places) - 0.45, max(places) + 0.45, color=INK, lw=1)


@figure()
def plot_losses(data: Source, ax: Axes) -> None:
    """Shares of emissions that Alice, Bob and both registered, on the closed forms."""
    seen = glance(data)
    emitted = seen.total("count")
    kinds = (("alice_clicks", "alice_click"), ("bob_clicks", "bob_click"), ("rows", "coincidence"))
    for place, (name, closed) in enumerate(kinds):
        share = seen.total(name) / max(1, emitted)
        ax.barh(place, share, color=(ORANGE, SKY, GREEN)[place], height=0.6)
        ax.annotate(f"{share:.4g}", (share, place), (5, 0), textcoords="offset points", va="center")
        if seen.expected is not None:
            ax.vlines(
                getattr(seen.expected, closed), place - 0.4, place + 0.4, color=INK, lw=1.2, ls="--"
            )
    ax.set_yticks(range(3), ["Alice", "Bob", "both"])
    if seen.total("rows") < 0.1 * emitted:
        ax.set_xscale("log")
        ax.margins(x=0.6)
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
    index = data.index[: min(data.rows, _SAMPLE)].astype(np.int64)
    gaps = np.diff(index)
    if not len(gaps):
        label(ax, "Gaps between rows", "emissions", "share of gaps")
        return
    chance = max(data.info.coincidence, 1e-15)
    edges = _edges(int(gaps.max()))
    counts, _ = np.histogram(gaps, edges)
    expected = (1 - chance) ** (edges[:-1] - 1) - (1 - chance) ** (edges[1:] - 1)
    width = np.diff(edges)
    ax.stairs(counts / len(gaps) / width, edges, fill=True, color=SKY)
    middle = np.sqrt(edges[:-1] * edges[1:])
    ax.plot(middle, expected / width, color=INK, ls="--", lw=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    label(
        ax,
        "Gaps between rows",
        "distance to the next row / emissions",
        "share of gaps per emission",
    )
    note(ax, f"filled: {len(gaps):,} gaps; dashed: independent losses, p = {chance:.4g}")


@figure()
def plot_times(data: PairsFile, ax: Axes) -> None:
    """Histogram of the simulated time between neighboring rows of a chunk, in ns.

    ``data`` is an open pairs file with times; of a long one the first million rows are taken.
    """
    assert data.time is not None
    steps = np.diff(data.time[: min(data.rows, _SAMPLE)])
    steps = steps[steps >= 0]  # every chunk begins at 0
    top = float(steps.max(initial=1.0))
    unit, scale = next(((name, by) for name, by in _UNITS if top * by >= 1), _UNITS[-1])
    ax.hist(steps * scale, 60, color=SKY)
    ax.set_yscale("log")
    label(ax, "Simulated time", f"time to the next row of the chunk / {unit}", "rows")
    note(ax, f"{len(steps):,} rows, mean {steps.mean() * scale if len(steps) else 0:.4g} {unit}")


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
            told += f"\n{off:+.1f} σ"
            strength = min(abs(off) / 5, 1.0) * 0.7
            spot = {"xy": (column - 0.48, row - 0.48), "width": 0.96, "height": 0.96}
            _tile(ax, spot, ORANGE if off > 0 else BASIS["Z"], strength)
        ax.text(column, row, told, ha="center", va="center", fontsize=8.5)
    ax.set_xlim(-0.5, 3.5)
    ax.set_ylim(3.5, -0.5)
    sides = [f"{basis}{bit}" for basis in "ZX" for bit in "01"]
    ax.set_xticks(range(4), sides)
    ax.set_yticks(range(4), sides)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    label(ax, "The 16 outcomes", "Bob's basis and bit", "Alice's basis and bit")
    if data.expected is not None:
        note(ax, "share of rows; σ off the closed form (orange: more, blue: less)")


def _off(counts: Any, law: Any) -> Any:
    """How many standard deviations each count is off its law."""
    if law is None:
        return np.zeros(counts.shape)
    chances = np.array(law).reshape(counts.shape)
    rows = counts.sum()
    spread = np.sqrt(np.maximum(rows * chances * (1 - chances), 1e-300))
    return np.where(chances > 0, (counts - rows * chances) / spread, 0.0)


def _tile(ax: Axes, spot: dict[str, Any], color: str, strength: float) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle(**spot, facecolor=color, alpha=strength))


@figure()
def plot_lags(data: Any, ax: Axes) -> None:
    """The correlation of each column, and of the errors, with itself some rows later, in standard deviations.

    ``data`` is an `Analysis`; in a sound file values are as if drawn from a standard normal distribution.
    """
    streams = list(dict.fromkeys(lag.stream for lag in data.lags))
    colors = dict(zip(streams, (BASIS["Z"], ORANGE, GREEN, BASIS["X"], SKY, INK), strict=False))
    ax.axhspan(-3, 3, color=FAINT, alpha=0.15, lw=0)
    for number, stream in enumerate(streams):
        mine = [lag for lag in data.lags if lag.stream == stream and lag.sigma > 0]
        if not mine:
            continue
        color = colors.get(stream, FAINT)
        scores = [lag.correlation / lag.sigma for lag in mine]
        ax.plot([lag.lag for lag in mine], scores, ".", ms=4, color=color)
        name = stream.replace("_", " ")
        ax.text(1.01, 0.95 - 0.11 * number, name, color=color, transform=ax.transAxes, fontsize=8.5)
    ax.set_xscale("log", base=2)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -4), max(high, 4))
    label(ax, "Correlation with later rows", "lag / rows", "correlation / σ")
    note(ax, "shaded: ±3 σ")


def _edges(most: int) -> Any:
    """Edges of bins that grow, each at least one wide."""
    ends = np.unique(np.round(np.geomspace(1, most + 1, 50)).astype(np.int64))
    return ends if len(ends) > 1 else np.array([1, 2])


def _closed(seen: Glance, basis: str) -> float:
    assert seen.expected is not None
    return float(getattr(seen.expected, f"qber_{basis.lower()}"))
