"""A figure of what ranks did, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...machine.wording import counted
from ..glance import Glance, Table, glance
from .pairs import Source
from .style import FAINT, GREEN, INK, ORANGE, SKY, figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What ranks do besides chunks, in the order of the bars.
_REST = (("writing", GREEN, 1.0), ("communicating", ORANGE, 1.0), ("idle", FAINT, 0.4))
#: Lanes that are named.
_LANES = 16
#: Chunks of a lane that have an edge each.
_EDGED = 80
_SIZES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@figure()
def plot_timeline(data: Source, ax: Axes) -> None:
    """What each rank did: its chunks end to end, then writing, messages, idle; how long the launch took.

    The file knows how long each chunk took and when the launch began and ended, not when a chunk was begun,
    and of what is no chunk only the sums.
    """
    seen = glance(data)
    lanes = seen.work
    if not len(lanes):
        raise ValueError(f"a timeline needs chunks that a rank has made; {seen.path} has none")
    unit, scale = _unit_of(lanes["seconds"])
    for place in range(len(lanes)):
        end = _draw_chunks(ax, seen, place, scale)
        _draw_rest(
            ax,
            seen,
            place,
            end,
            scale,
        )
    for run in np.unique(lanes["run"]).tolist():
        _mark_launch(ax, seen, run, scale)
    named = range(
        0,
        len(lanes),
        -(-len(lanes) // _LANES),
    )
    names = [_lane(seen, place) for place in named]
    ax.set_yticks(named, names)
    ax.invert_yaxis()
    label(ax, "Work of each rank", f"time / {unit} (line: the launch's last commit)", "")
    rest = ", then\ngreen: writing, orange: messages, gray: idle" if len(seen.metrics) else ""
    note(ax, f"blue: chunks end to end{rest}")


def _unit_of(seconds: Table) -> tuple[str, float]:
    """The unit in which the longest lane is read well, and how many of it are a second."""
    longest = float(seconds.max(initial=0.0))
    if longest < 1:
        return "ms", 1e3
    if longest < 7200:
        return "s", 1.0
    return "h", 1 / 3600


def _of_rank(table: Table, row: Table) -> Table:
    """The rows of a table that are of a lane's launch and rank."""
    of_run = table["run"] == row["run"]
    of_rank = table["rank"] == row["rank"]
    found: Table = table[of_run & of_rank]
    return found


def _draw_chunks(ax: Axes, seen: Glance, place: int, scale: float) -> float:
    """Bars of a lane's chunks; gives where they end."""
    row = seen.work[place]
    chunks = _of_rank(seen.segments, row)["seconds"]
    if not len(chunks):
        chunks = row["seconds"][None]
    lengths = scale * chunks
    ends = np.cumsum(lengths)
    has_edges = len(lengths) <= _EDGED
    ax.barh(
        np.full(len(lengths), place),
        lengths,
        left=ends - lengths,
        height=0.7,
        color=SKY,
        edgecolor=INK if has_edges else None,
        linewidth=0.3 if has_edges else None,
    )
    return float(ends[-1])


def _draw_rest(ax: Axes, seen: Glance, place: int, end: float, scale: float) -> None:
    """Bars of what a lane's rank did besides, where the file says so of this rank alone."""
    told = _of_rank(seen.metrics, seen.work[place])
    for found in told[told["ranks"] == 1]:
        for name, color, alpha in _REST:
            length = scale * float(found[name])
            ax.barh(
                place,
                length,
                left=end,
                height=0.7,
                color=color,
                alpha=alpha,
                linewidth=0,
            )
            end += length


def _lane(seen: Glance, place: int) -> str:
    """The name of a rank's lane; how many chunks and bytes it made stands below where there is room."""
    row = seen.work[place]
    name = f"rank {int(row['rank'])}"
    if len(seen.runs) > 1:
        launch = int(row["run"]) + 1
        name = f"launch {launch}, {name}"
    if len(seen.work) > _LANES // 2:
        return name
    number = int(row["chunks"])
    chunks = counted(number, "chunk")
    if seen.info.has_columns:
        rows = int(row["rows"])
        chunks += f", {_size(seen, rows)}"
    return f"{name}\n{chunks}"


def _size(seen: Glance, rows: int) -> str:
    """How many bytes of the file so many rows are."""
    found = 0
    for column in seen.info.table:
        found += column.items(rows) * column.shown.itemsize
    for unit, scale in _SIZES:
        if found >= scale:
            return f"{found / scale:.3g} {unit}"
    return f"{found:.3g} B"


def _mark_launch(ax: Axes, seen: Glance, run: int, scale: float) -> None:
    """A line across a launch's lanes at the time of its last commit."""
    if run >= len(seen.runs):
        return
    row = seen.runs[run]
    seconds = float(row["last_commit"] - row["started"])
    took = seconds * scale
    places = np.flatnonzero(seen.work["run"] == run)
    if took > 0:
        first, last = places[0], places[-1]
        ax.vlines(
            took,
            first - 0.45,
            last + 0.45,
            color=INK,
            lw=1,
        )
