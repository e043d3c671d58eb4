"""Names at the ends of curves instead of a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .style import beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points of height that a name takes.
_NAME_HEIGHT = 11.0


@dataclass(frozen=True, slots=True)
class End:
    """Where a curve ends, and its name."""

    x: float
    y: float
    name: str
    color: str


def name_ends(ax: Axes, ends: Sequence[End | None]) -> None:
    """Names at the ends of curves, apart from each other where the ends are not."""
    named = [end for end in ends if end is not None]
    if not named:
        return
    ax.autoscale_view()
    ordered = sorted(named, key=lambda end: end.y)
    heights = [_height(ax, end) for end in ordered]
    places = _apart(heights, _floor(ax))
    for end, height, place in zip(ordered, heights, places, strict=True):
        beside(
            ax,
            end.name,
            (end.x, end.y),
            (7, place - height),
            color=end.color,
            weight="bold",
            va="center",
            fontsize=8.5,
        )


def _apart(heights: Sequence[float], floor: float) -> list[float]:
    """Heights in rising order, moved apart as far as names need, but not below the axis."""
    placed: list[float] = []
    for height in heights:
        lowest = placed[-1] + _NAME_HEIGHT if placed else height
        placed.append(max(height, lowest))
    too_high = (sum(placed) - sum(heights)) / len(heights)
    room = max(0.0, placed[0] - floor)
    down = min(too_high, room)
    return [place - down for place in placed]


def _floor(ax: Axes) -> float:
    """The lowest height of a name that stands clear of the numbers on the axis, in points."""
    _, pixels = ax.transAxes.transform((0, 0))
    return _scale(ax) * float(pixels) + _NAME_HEIGHT / 2


def _height(ax: Axes, end: End) -> float:
    """How high the end of a curve is drawn, in points."""
    _, pixels = ax.transData.transform((end.x, end.y))
    return _scale(ax) * float(pixels)


def _scale(ax: Axes) -> float:
    """Points per pixel."""
    drawn = ax.get_figure()
    assert drawn is not None
    return 72 / drawn.dpi
