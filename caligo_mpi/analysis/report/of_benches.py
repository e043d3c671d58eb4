"""What a report says of a bench."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

from ...errors import StoreError
from ...machine.wording import counted, quantity
from .. import figures
from ..figures.benches import Summary, gain_of, named
from ..figures.style import can_draw
from . import html
from .of_launches import moment
from .section import Figure, Section

_FILE = "summary.json"
_FORMAT = "caligo-mpi bench summary"
_CASES = (
    "case",
    "release",
    "pairs",
    "ranks",
    "pairs/s",
    "95 % interval",
    "memory",
    "state",
    "records",
)


def is_bench(path: str) -> bool:
    """Whether ``path`` is a directory with a bench's results."""
    return (Path(path) / _FILE).is_file()


def section(path: str) -> Section:
    """The section of a bench.  Raises `StoreError` where its summary cannot be read."""
    summary = _read(Path(path) / _FILE)
    verdict = _verdict(summary)
    line = {
        "bench": summary["title"],
        "cases": f"{len(summary['cases']):,}",
        "verdict": verdict,
    }
    return Section(
        title=str(summary["id"]),
        summary=line,
        parts=[f"<p>{verdict}</p>", html.facts(_facts(summary))],
        figures=[*_figures(summary)] if can_draw() else [],
        after=[*_tables(summary)],
    )


def _read(path: Path) -> Summary:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); run the bench again") from None
    if not isinstance(found, dict) or found.get("schema") != _FORMAT or found.get("version") != 1:
        raise StoreError(f"{path} is no summary of a bench that this version reads")
    return found


def _verdict(summary: Summary) -> html.Marked:
    good = len(figures.good_cases(summary))
    all_ = len(summary["cases"])
    cases = counted(all_, "case")
    if good == all_ and summary["finished"]:
        return html.good(f"{cases} measured")
    return html.bad(f"{good:,} of {cases} measured")


def _facts(summary: Summary) -> Iterator[tuple[str, object]]:
    measure = summary["measure"]
    yield "bench", summary["title"]
    yield "started", _moment(summary["started"], "–")
    yield "finished", _moment(summary["finished"], "not finished")
    yield "measured", "whole runs, as the command says" if measure == "run" else measure
    for name, value in summary["machine"].items():
        told = f"{quantity(value)}B" if name == "memory_bytes" else value
        yield name.removesuffix("_bytes").replace("_", " "), told
    for fit in summary["fits"]:
        yield _share(fit)


def _moment(time: str | None, otherwise: str) -> str:
    """A time of a summary for people, or what is said where there is none."""
    if not time:
        return otherwise
    return moment(datetime.datetime.fromisoformat(time).timestamp())


def _share(fit: Summary) -> tuple[str, str]:
    """The serial share of a fit, with its interval; where it is none, how much slower more ranks were."""
    share = fit["serial_fraction"]
    parameters = fit["parameters"]
    scaling = "weak" if parameters["weak"] else "strong"
    kind = f"{scaling} scaling of {fit['engine']} ({fit['law']})"
    if share["value"] > 1:
        most = max(parameters["ranks"])
        gain = gain_of(fit, most)
        ranks = counted(most, "rank")
        return kind, f"more ranks were slower: {ranks} had {gain:.2g} of the speed of one"
    value = f"{100 * share['value']:.3g}"
    low = f"{100 * share['low']:.3g}"
    high = f"{100 * share['high']:.3g}"
    return kind, f"serial share {value} % ({low} to {high} %)"


def _figures(summary: Summary) -> Iterator[Figure]:
    if not figures.good_cases(summary):
        return
    yield Figure("speeds", figures.plot_speeds(summary))
    if any(figures.scalings(summary)):
        yield Figure("scaling", figures.plot_scaling(summary))


def _tables(summary: Summary) -> Iterator[str]:
    cases = summary["cases"]
    rows = [_row(case, cases) for case in cases]
    yield html.heading(3, "Cases")
    yield html.table(
        _CASES,
        rows,
        numbers=range(2, 7),
    )


def _row(case: Summary, cases: list[Summary]) -> tuple[object, ...]:
    speed = case["pairs_per_second"]
    memory = case["peak_bytes"]
    problem = case["problem"]
    return (
        named(case, cases),
        case["release"] or "–",
        f"{case['pairs']:,}",
        case["ranks"],
        quantity(speed["value"]) if speed else "–",
        _interval(speed) if speed else "–",
        f"{quantity(memory)}B" if memory else "–",
        f"{case['state']}: {problem}" if problem else case["state"],
        case["case"],
    )


def _interval(speed: Summary) -> str:
    low = quantity(speed["low"]).strip()
    high = quantity(speed["high"]).strip()
    return f"{low} to {high}"
