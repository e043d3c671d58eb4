"""What a report says of a bench."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import StoreError
from ...machine.wording import counted, quantity
from .. import figures
from ..figures.style import can_draw
from . import html
from .section import Figure, Section

_FILE = "summary.json"
_FORMAT = "caligo-mpi bench summary"


def is_bench(path: str) -> bool:
    """Whether ``path`` is a directory with a bench's results."""
    return (Path(path) / _FILE).is_file()


def section(path: str) -> Section:
    """The section of a bench.  Raises `StoreError` where its summary cannot be read."""
    summary = _read(Path(path) / _FILE)
    good = figures.good_cases(summary)
    return Section(
        title=str(summary["id"]),
        summary={"bench": summary["title"], "cases": f"{len(summary['cases']):,}", "verdict": _verdict(summary)},
        parts=[f"<p>{_verdict(summary)}</p>", html.facts(_facts(summary))],
        figures=[*_figures(summary)] if good and can_draw() else [],
        after=[*_tables(summary)],
    )  # fmt: skip


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); run the bench again") from None
    if not isinstance(found, dict) or found.get("schema") != _FORMAT or found.get("version") != 1:
        raise StoreError(f"{path} is no summary of a bench that this version reads")
    return found


def _verdict(summary: Mapping[str, Any]) -> html.Marked:
    cases, good = summary["cases"], figures.good_cases(summary)
    if len(good) == len(cases) and summary["finished"]:
        return html.good(f"{counted(len(cases), 'case')} measured")
    return html.bad(f"{len(good):,} of {counted(len(cases), 'case')} measured")


def _facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "bench", summary["title"]
    yield "started", summary["started"] or "–"
    yield "finished", summary["finished"] or "not finished"
    yield (
        "measured",
        {"run": "whole runs, as the command says"}.get(summary["measure"], summary["measure"]),
    )
    for name, value in summary["machine"].items():
        told = f"{quantity(value)}B" if name == "memory_bytes" else value
        yield name.removesuffix("_bytes").replace("_", " "), told
    for fit in summary["fits"]:
        share = fit["serial_fraction"]
        kind = f"serial share of {fit['engine']} ({fit['law']})"
        values = [f"{100 * share[name]:.3g}" for name in ("value", "low", "high")]
        yield kind, f"{values[0]} % ({values[1]} to {values[2]} %)"


def _figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    yield Figure("speeds", figures.plot_speeds(summary))
    if any(figures.scalings(summary)):
        yield Figure("scaling", figures.plot_scaling(summary))


def _tables(summary: Mapping[str, Any]) -> Iterator[str]:
    yield html.heading(3, "Cases")
    header = ("case", "release", "pairs", "ranks", "pairs/s", "95 % interval", "memory", "state")
    yield html.table(header, map(_row, summary["cases"]), numbers=range(2, 7))


def _row(case: Mapping[str, Any]) -> tuple[object, ...]:
    speed = case["pairs_per_second"]
    told = ("–", "–")
    if speed is not None:
        told = (
            quantity(speed["value"]),
            f"{quantity(speed['low']).strip()} to {quantity(speed['high']).strip()}",
        )
    memory = f"{quantity(case['peak_bytes'])}B" if case["peak_bytes"] else "–"
    state = case["state"] + (f": {case['problem']}" if case["problem"] else "")
    return (
        case["case"],
        case["release"] or "–",
        f"{case['pairs']:,}",
        case["ranks"],
        *told,
        memory,
        state,
    )
