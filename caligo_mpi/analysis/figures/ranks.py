"""How the ranks of a launch spent their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..glance import glance
from .pairs import Source, figure
from .style import FAINT, GREEN, ORANGE, SKY, label, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What ranks do, in the order of the bars, with colors that everybody can tell apart.
_STATES = (("busy", SKY), ("writing", GREEN), ("communicating", ORANGE), ("idle", FAINT))
#: Ranks that have a bar each; more of them are drawn as bands.
_BARS = 32


def last_launch(metrics: NDArray[np.void]) -> NDArray[np.void]:
    """The rows of the last launch that told what its ranks did."""
    last = metrics["run"].max(initial=0)
    rows: NDArray[np.void] = metrics[metrics["run"] == last]
    return rows


@figure()
def plot_ranks(data: Source, ax: Axes) -> None:
    """The share of its time that each rank of the last launch simulated, wrote, communicated and was idle.

    ``data`` is a pairs file (path, open file or `Glance`).
    """
    rows = last_launch(glance(data).metrics)
    whole = np.maximum(rows["seconds"], 1e-9)
    left = np.zeros(len(rows))
    places = np.arange(len(rows))
    for name, color in _STATES:
        share = 100 * rows[name] / whole
        height = 0.75 if len(rows) <= _BARS else 1.0
        alpha = 0.4 if name == "idle" else 1.0
        ax.barh(
            places,
            share,
            left=left,
            height=height,
            label=name,
            color=color,
            alpha=alpha,
            linewidth=0,
        )
        left += share
    step = -(-len(rows) // 16)
    ax.set_yticks(places[::step], [_name(row) for row in rows[::step]])
    ax.set_xlim(0, 100)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    label(ax, "How ranks spent their time", "share of the rank's time / %", "")
    efficiency = 100 * rows["busy"].sum() / max(float(rows["seconds"].sum()), 1e-9)
    ranks = rows["ranks"].astype(float)
    balance = 100 * float((rows["balance"] * ranks).sum() / max(ranks.sum(), 1.0))
    note(ax, f"last launch: efficiency {efficiency:.0f} %, load balance {balance:.0f} %")
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.42, -0.2), ncols=4, fontsize=8,
        handlelength=1, columnspacing=1.0, handletextpad=0.5,
    )  # fmt: skip


def _name(row: np.void) -> str:
    first, ranks = int(row["rank"]), int(row["ranks"])
    return f"rank {first}" if ranks == 1 else f"{ranks} ranks from {first}"
