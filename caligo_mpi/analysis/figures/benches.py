"""Figures of benches, from their ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...machine.wording import counted, quantity
from .ends import End, name_ends
from .style import (
    BASIS,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    beside,
    few_decades,
    figure,
    label,
    large_numbers,
    note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What ``summary.json`` of a bench holds, and one of its parts.
Summary = Mapping[str, Any]
_COLORS = (SKY, ORANGE, GREEN, BASIS["X"], PURPLE, BASIS["Z"])
#: Cases that are drawn; more would not be read.
_MOST = 24
#: Cases whose names stand apart in letters of the usual size.
_FEW = 12
#: From this ratio of the largest to the smallest on, speeds stand on a logarithmic scale.
_WIDE = 8


def good_cases(summary: Summary) -> list[Summary]:
    """The cases that were measured."""
    cases = summary["cases"]
    return [case for case in cases if case["state"] == "ok" and case["speeds"]]


@figure(height=3.8)
def plot_speeds(data: Summary, ax: Axes) -> None:
    """Pairs per second of each case, its median's 95 % interval, and how it is to that of the first engine.

    ``data`` is what ``summary.json`` of a bench holds.
    """
    cases = good_cases(data)[:_MOST]
    speeds = [case["pairs_per_second"] for case in cases]
    ratios = [_over(case, cases) for case in cases]
    names = [named(case, cases) for case in cases]
    for place, (speed, over) in enumerate(zip(speeds, ratios, strict=True)):
        _draw_speed(
            ax,
            place,
            speed,
            over,
        )
    ax.set_yticks(range(len(cases)), names)
    if len(cases) > _FEW:
        ax.tick_params(axis="y", labelsize=7)
    ax.set_ylim(len(cases) - 0.5, -0.5)
    label(ax, "Speed of each case", "pairs/s", "")
    _scale(ax, speeds)
    more = "\n×: over the first engine" if any(ratios) else ""
    note(ax, f"medians, 95 % intervals{more}")


def _scale(ax: Axes, speeds: list[Summary]) -> None:
    """An axis of speeds from 0 on, or of powers where they are far apart; with room for figures beside them."""
    least = min((speed["low"] for speed in speeds), default=1.0)
    most = max((speed["high"] for speed in speeds), default=1.0)
    if most < _WIDE * least:
        ax.set_xlim(0, 1.1 * most)
        large_numbers(ax)
        return
    ax.set_xscale("log")
    ax.margins(x=0.1)
    few_decades(ax.xaxis, [least, most])


def _draw_speed(ax: Axes, place: int, speed: Summary, over: str) -> None:
    """A case's speed with its interval, in figures beside it."""
    value = speed["value"]
    below = value - speed["low"]
    above = speed["high"] - value
    ax.errorbar(
        [value],
        [place],
        xerr=[[below], [above]],
        fmt="o",
        ms=5,
        color=SKY,
        mec=INK,
        capsize=3,
        ecolor=INK,
    )
    told = f"{quantity(value)}/s{over}"
    end = (speed["high"], place)
    beside(
        ax,
        told,
        end,
        (6, 0),
        va="center",
        fontsize=8,
    )


@figure()
def plot_scaling(data: Summary, ax: Axes) -> None:
    """Speed over that of one rank against the number of ranks, with the fits of Amdahl or Gustafson.

    ``data`` is what ``summary.json`` of a bench holds, of cases that differ in their ranks.
    """
    most = 1
    ends = []
    for number, (told, points, fit) in enumerate(scalings(data)):
        color = _COLORS[number % len(_COLORS)]
        end = _draw_scaling(ax, told, points, fit, color)
        ends.append(end)
        most = max(most, *points)
    ax.plot(
        [1, most],
        [1, most],
        color=INK,
        lw=0.8,
        ls="--",
    )
    step = max(1, most // 8)
    ticks = {1, most, *range(1, most + 1, step)}
    ax.set_xticks(sorted(ticks))
    label(ax, "Scaling", "ranks", "speed over one rank")
    note(ax, "dashed: every rank counts in full; lines: fits of a serial share")
    name_ends(ax, ends)


def _draw_scaling(
    ax: Axes, told: str, points: dict[int, float], fit: Summary | None, color: str
) -> End:
    """Measured speeds over that of one rank and their fit; where they end."""
    ranks = np.array(sorted(points))
    speeds = np.array([points[rank] for rank in ranks])
    gain = speeds / speeds[0] * ranks[0]
    ax.plot(
        ranks,
        gain,
        "o",
        color=color,
    )
    if fit is not None:
        grid = np.linspace(
            ranks.min(),
            ranks.max(),
            60,
        )
        ax.plot(
            grid,
            gain_of(fit, grid),
            color=color,
            lw=1,
        )
    return End(
        float(ranks[-1]),
        float(gain[-1]),
        told,
        color,
    )


def scalings(data: Summary) -> Iterator[tuple[str, dict[int, float], Summary | None]]:
    """Cases that differ in their ranks alone: their name, speeds by ranks, and the fit where there is one."""
    groups: dict[tuple[str, str], dict[int, float]] = {}
    for case in good_cases(data):
        points = groups.setdefault(_group(case), {})
        ranks = case["ranks"]
        points[ranks] = case["pairs_per_second"]["value"]
    fits: dict[tuple[str, str], Summary] = {}
    for fit in data["fits"]:
        fits.setdefault(_group(fit), fit)
    for group, points in groups.items():
        engine, rest = group
        if len(points) > 1:
            kind = "weak" if "('weak', True)" in rest else "strong"
            yield f"{engine}, {kind}", points, fits.get(group)


def _group(found: Summary) -> tuple[str, str]:
    """The engine of a case or a fit, and all of its parameters but the ranks."""
    parameters = found["parameters"].items()
    rest = [(name, value) for name, value in parameters if name != "ranks"]
    return found["engine"], repr(sorted(rest))


def gain_of(fit: Summary, ranks: Any) -> Any:
    """The speed over one rank by the law, whose serial share may be more than 1 where ranks only cost."""
    serial = fit["serial_fraction"]["value"]
    if fit["law"] == "Amdahl":
        return 1 / (serial + (1 - serial) / ranks)
    return ranks - serial * (ranks - 1)


def _over(case: Summary, cases: list[Summary]) -> str:
    """Its speed over that of the first engine with the same parameters, where there are several."""
    parameters = case["parameters"]
    alike = [one["pairs_per_second"] for one in cases if one["parameters"] == parameters]
    if len(alike) < 2:
        return ""
    first = alike[0]["value"]
    ratio = case["pairs_per_second"]["value"] / first
    return f", ×{ratio:.3g}"


def named(case: Summary, cases: list[Summary]) -> str:
    """The engine, and those parameters in which cases differ."""
    told = [str(case["engine"])]
    for name, value in case["parameters"].items():
        values = {repr(other["parameters"].get(name)) for other in cases}
        if len(values) > 1:
            told.append(_worded(name, value))
    return ", ".join(told)


def _worded(name: str, value: Any) -> str:
    if name == "ranks":
        return counted(value, "rank")
    if name == "pairs":
        return f"{quantity(value).strip()} pairs"
    if name == "weak":
        return "weak" if value else "strong"
    return f"{name} {value}"
