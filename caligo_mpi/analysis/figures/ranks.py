"""How the ranks of a launch spent their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..glance import Table, glance
from .pairs import Source
from .style import FAINT, GREEN, ORANGE, SKY, figure, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What ranks do, in the order of the bars, with colors that everybody can tell apart.
_STATES = (
    ("busy", SKY, 1.0),
    ("writing", GREEN, 1.0),
    ("communicating", ORANGE, 1.0),
    ("idle", FAINT, 0.4),
)
#: Ranks that have a bar each; more of them are drawn as bands.
_BARS = 32
#: Ranks that are named.
_NAMES = 16


def last_launch(metrics: Table) -> Table:
    """The rows of the last launch that told what its ranks did."""
    last = metrics["run"].max(initial=0)
    rows: Table = metrics[metrics["run"] == last]
    return rows


@figure()
def plot_ranks(data: Source, ax: Axes) -> None:
    """The share of its time that each rank of the last launch simulated, wrote, communicated and was idle.

    ``data`` is a pairs file (path, open file or `Glance`).
    """
    seen = glance(data)
    rows = last_launch(seen.metrics)
    if not len(rows):
        raise ValueError(f"a figure of ranks needs the metrics of a launch; {seen.path} has none")
    _draw_bars(ax, rows)
    step = -(-len(rows) // _NAMES)
    names = [_name(row) for row in rows[::step]]
    places = range(
        0,
        len(rows),
        step,
    )
    ax.set_yticks(places, names)
    ax.set_xlim(0, 100)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    label(ax, "How ranks spent their time", "share of the rank's time / %", "")
    busy = 100 * rows["busy"].sum()
    whole = float(rows["seconds"].sum())
    efficiency = busy / max(whole, 1e-9)
    ranks = rows["ranks"].astype(float)
    even = float((rows["balance"] * ranks).sum() / max(ranks.sum(), 1.0))
    note(ax, f"last launch: efficiency {efficiency:.0f} %, load balance {100 * even:.0f} %")
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.42, -0.2),
        ncols=4,
        fontsize=8,
        handlelength=1,
        columnspacing=1.0,
        handletextpad=0.5,
    )


def _draw_bars(ax: Axes, rows: Table) -> None:
    """What each rank did, as shares of its time end to end."""
    seconds = np.maximum(rows["seconds"], 1e-9)
    height = 0.75 if len(rows) <= _BARS else 1.0
    left = np.zeros(len(rows))
    for name, color, alpha in _STATES:
        share = 100 * rows[name] / seconds
        ax.barh(
            np.arange(len(rows)),
            share,
            left=left,
            height=height,
            label=name,
            color=color,
            alpha=alpha,
            linewidth=0,
        )
        left += share


def _name(row: Table) -> str:
    first = int(row["rank"])
    ranks = int(row["ranks"])
    return f"rank {first}" if ranks == 1 else f"{ranks} ranks from {first}"
