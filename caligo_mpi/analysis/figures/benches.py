"""Figures of benches, from their ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...machine.wording import counted, quantity
from .pairs import figure
from .style import BASIS, GREEN, INK, ORANGE, PURPLE, SKY, label, large_numbers, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Summary = Mapping[str, Any]
_COLORS = (SKY, ORANGE, GREEN, BASIS["X"], PURPLE, BASIS["Z"])
#: Cases that are drawn; more would not be read.
_MOST = 24


def good_cases(summary: Summary) -> list[Mapping[str, Any]]:
    """The cases that were measured."""
    return [case for case in summary["cases"] if case["state"] == "ok" and case["speeds"]]


@figure(height=3.8)
def plot_speeds(data: Summary, ax: Axes) -> None:
    """Pairs per second of each case, its median's 95 % interval, and how it is to that of the first engine.

    ``data`` is what ``summary.json`` of a bench holds.
    """
    cases = good_cases(data)[:_MOST]
    names = [_named(case, cases) for case in cases]
    style: dict[str, Any] = {
        "fmt": "o",
        "ms": 5,
        "color": SKY,
        "mec": INK,
        "capsize": 3,
        "ecolor": INK,
    }
    spot: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
    for place, case in enumerate(cases):
        speed = case["pairs_per_second"]
        bars = [[speed["value"] - speed["low"]], [speed["high"] - speed["value"]]]
        ax.errorbar([speed["value"]], [place], xerr=bars, **style)
        told = f"{quantity(speed['value'])}/s{_over(case, cases)}"
        ax.annotate(told, (speed["high"], place), (6, 0), **spot)
    ax.set_yticks(range(len(cases)), names)
    ax.set_ylim(len(cases) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.margins(x=0.25)
    label(ax, "Speed of each case", "pairs/s", "")
    large_numbers(ax)
    note(ax, "medians, 95 % intervals; ×: over the first engine")


@figure()
def plot_scaling(data: Summary, ax: Axes) -> None:
    """Speed over that of one rank against the number of ranks, with the fits of Amdahl or Gustafson.

    ``data`` is what ``summary.json`` of a bench holds, of cases that differ in their ranks.
    """
    most = 1
    for number, (told, points, fit) in enumerate(scalings(data)):
        color = _COLORS[number % len(_COLORS)]
        ranks = np.array(sorted(points))
        most = max(most, int(ranks.max()))
        gain = np.array([points[rank] for rank in ranks]) / points[int(ranks[0])] * ranks[0]
        ax.plot(ranks, gain, "o", color=color)
        if fit is not None:
            grid = np.linspace(ranks.min(), ranks.max(), 60)
            ax.plot(grid, _law(fit, grid), color=color, lw=1)
        spot: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "color": color}
        ax.annotate(told, (ranks[-1], gain[-1]), (-4, -12), ha="right", **spot)
    ax.plot([1, most], [1, most], color=INK, lw=0.8, ls="--")
    ax.set_xticks(sorted({1, most, *range(1, most + 1, max(1, most // 8))}))
    label(ax, "Scaling", "ranks", "speed over one rank")
    note(ax, "dashed: every rank counts in full; lines: fits of a serial share")


def scalings(data: Summary) -> Iterator[tuple[str, dict[int, float], Mapping[str, Any] | None]]:
    """Cases that differ in their ranks alone: their name, speeds by ranks, and the fit where there is one."""
    groups: dict[tuple[str, str], dict[int, float]] = {}
    for case in good_cases(data):
        key = (case["engine"], _rest(case["parameters"]))
        groups.setdefault(key, {})[case["ranks"]] = case["pairs_per_second"]["value"]
    for (engine, rest), points in groups.items():
        if len(points) > 1:
            fit = next((one for one in data["fits"] if _is_of(one, engine, rest)), None)
            kind = "weak" if "('weak', True)" in rest else "strong"
            yield f"{engine}, {kind}", points, fit


def _rest(parameters: Mapping[str, Any]) -> str:
    """All parameters but the ranks, as a key."""
    return repr(sorted((name, value) for name, value in parameters.items() if name != "ranks"))


def _is_of(fit: Mapping[str, Any], engine: str, rest: str) -> bool:
    return bool(fit["engine"] == engine and _rest(fit["parameters"]) == rest)


def _law(fit: Mapping[str, Any], ranks: Any) -> Any:
    """The speed over one rank by the law, whose serial share may be more than 1 where ranks only cost."""
    serial = fit["serial_fraction"]["value"]
    if fit["law"] == "Amdahl":
        return 1 / (serial + (1 - serial) / ranks)
    return ranks - serial * (ranks - 1)


def _over(case: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> str:
    """Its speed over that of the first engine with the same parameters, where there are several."""
    alike = [one for one in cases if one["parameters"] == case["parameters"]]
    if len(alike) < 2:
        return ""
    ratio = case["pairs_per_second"]["value"] / alike[0]["pairs_per_second"]["value"]
    return f", ×{ratio:.3g}"


def _named(case: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> str:
    """The engine, and those parameters in which cases differ."""
    told = [str(case["engine"])]
    for name, value in case["parameters"].items():
        if len({repr(other["parameters"].get(name)) for other in cases}) > 1:
            told.append(_worded(name, value))
    return ", ".join(told)


def _worded(name: str, value: Any) -> str:
    if name == "ranks":
        return counted(value, "rank")
    if name == "pairs":
        return f"{quantity(value)}".strip() + " pairs"
    if name == "weak":
        return "weak" if value else "strong"
    return f"{name} {value}"
