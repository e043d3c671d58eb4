"""What a report says of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...machine.wording import counted
from ...runs.sweeps.reading import Sweep, read_sweep
from .. import figures
from ..figures.points import is_number, numbers, with_unit
from ..figures.style import can_draw
from . import html
from .section import Figure, Section

#: Points of the table that are shown.
_MOST_POINTS = 250
#: Reasons why points have no key that are told.
_MOST_REASONS = 8
#: What stands where there is no value.
_NONE = "–"
#: The column that says how a point ended.
_OUTCOME = "outcome"
#: What a protocol made of a point, with names for people.
_KEYS = {
    "key_bits": "key / bits",
    "key_per_sifted": "key per sifted bit",
    "finite_per_sifted": "formula per sifted bit",
}
#: A point: its parameters and results by name, None where there is none.
_Point = Mapping[str, Any]


def section(path: str) -> Section:
    """The section of a sweep.  Raises `StoreError` where its file cannot be read."""
    sweep = read_sweep(path)
    return Section(
        title=Path(path).resolve().name,
        summary=_summary(sweep),
        parts=[f"<p>{_verdict(sweep)}</p>", html.facts(_facts(sweep))],
        figures=[*_figures(sweep)] if can_draw() else [],
        after=[*_points(sweep)],
    )


def _summary(sweep: Sweep) -> dict[str, object]:
    return {
        "points": f"{len(sweep):,}",
        "parameters": ", ".join(sweep.axes),
        "largest distance / σ": f"{_farthest(sweep):.2f}",
        "verdict": _verdict(sweep),
    }


def _in_state(sweep: Sweep, state: str) -> int:
    """How many points are in a state."""
    return int(np.count_nonzero(sweep["state"] == state))


def _verdict(sweep: Sweep) -> html.Marked:
    done = _in_state(sweep, "done")
    points = counted(len(sweep), "point")
    if done == len(sweep):
        return html.good(f"complete: {points}")
    failed = _in_state(sweep, "failed")
    told = f", {failed} failed" if failed else ""
    return html.bad(f"{done:,} of {points} done{told}")


def _farthest(sweep: Sweep) -> float:
    """The largest distance of an error rate from its closed form, in standard deviations."""
    z = np.array(sweep["z_score_z"], float)
    x = np.array(sweep["z_score_x"], float)
    scores = np.abs(np.concatenate([z, x]))
    known = scores[np.isfinite(scores)]
    return float(known.max(initial=0.0))


def _facts(sweep: Sweep) -> Iterator[tuple[str, object]]:
    done = _in_state(sweep, "done")
    points = f"{len(sweep):,}"
    yield "points", f"{done:,} of {points} done"
    for name in sweep.axes:
        yield name, _values(sweep, name)
    yield "largest distance from the closed forms", f"{_farthest(sweep):.2f} σ"


def _values(sweep: Sweep, name: str) -> str:
    """What values a parameter has: words themselves, of numbers how many from where to where."""
    values = sweep[name]
    if not is_number(sweep, name):
        words = dict.fromkeys(map(str, values))
        return ", ".join(words)
    different = len(np.unique(values))
    low = f"{values.min():.6g}"
    high = f"{values.max():.6g}"
    told = f"{counted(different, 'value')} from {low} to {high}"
    unit = sweep.units.get(name)
    return told if unit is None else f"{told} {unit}"


def _figures(sweep: Sweep) -> Iterator[Figure]:
    if not figures.changing(sweep):
        return
    yield Figure("qber", figures.plot_sweep_qber(sweep))
    keys = numbers(sweep, "key_bits")
    if np.isfinite(keys).any():
        yield Figure("key", figures.plot_sweep_key(sweep))
    if len(figures.crossed(sweep)) > 1:
        yield Figure("map", figures.plot_map(sweep))


def _points(sweep: Sweep) -> Iterator[str]:
    columns = _columns(sweep)
    names = list(columns)
    cells = columns.values()
    rows = list(zip(*cells, strict=True))
    right = set(range(len(names)))
    right.remove(names.index(_OUTCOME))
    yield html.heading(3, "Points")
    yield from _reasons(sweep)
    yield html.table(
        names,
        rows[:_MOST_POINTS],
        numbers=right,
    )
    yield from html.first_of(
        _MOST_POINTS,
        len(sweep),
        "points",
    )


def _columns(sweep: Sweep) -> dict[str, list[str]]:
    """What is shown of all points: their parameters, how they ended, counts, rates, keys."""
    found = {}
    for name in sweep.axes:
        header = with_unit(sweep, name)
        found[header] = _cells(sweep, name)
    points = sweep.rows()
    found[_OUTCOME] = [_outcome(point) for point in points]
    for name in ("pairs", "sifted"):
        found[name] = _cells(sweep, name)
    for basis in "ZX":
        rates = _rates(sweep, basis)
        found.update(rates)
    for name, header in _KEYS.items():
        if name in sweep.columns:
            found[header] = _cells(sweep, name)
    return found


def _rates(sweep: Sweep, basis: str) -> dict[str, list[str]]:
    """The error rate of a basis, its interval, and the closed form."""
    name = f"qber_{basis.lower()}"
    low = _percents(sweep, f"{name}_low")
    high = _percents(sweep, f"{name}_high")
    intervals = []
    for least, most in zip(low, high, strict=True):
        is_known = least != _NONE
        interval = f"{least} to {most}"
        intervals.append(interval if is_known else _NONE)
    return {
        f"QBER {basis} / %": _percents(sweep, name),
        f"95 % interval {basis} / %": intervals,
        f"closed form {basis} / %": _percents(sweep, f"expected_{name}"),
    }


def _percents(sweep: Sweep, name: str) -> list[str]:
    told = []
    for rate in numbers(sweep, name):
        percent = f"{100 * rate:.4f}"
        is_known = np.isfinite(rate)
        told.append(percent if is_known else _NONE)
    return told


def _outcome(point: _Point) -> str:
    """How a point ended, in a word or two; an abort is told by its step."""
    state = str(point["state"])
    reason = _reason(point)
    has_key = bool(point.get("key_bits"))
    if state != "done":
        return state
    if not reason:
        return "key" if has_key else state
    step, _, _ = reason.partition(":")
    if has_key:
        return f"key, less: {step}"
    return f"no key: {step}"


def _reason(point: _Point) -> str:
    """Why a point failed or aborted; empty where it did not."""
    error = point.get("error")
    abort = point.get("abort")
    return str(error or abort or "")


def _reasons(sweep: Sweep) -> Iterator[str]:
    """Why points have no key, or less of it: each reason once."""
    points = sweep.rows()
    reasons = Counter(map(_reason, points))
    del reasons[""]
    for reason, number in reasons.most_common(_MOST_REASONS):
        who = counted(number, "point")
        why = reason.replace(": ", " – ", 1)
        yield html.paragraph(f"{who}: {why}")
    rest = len(reasons) - _MOST_REASONS
    if rest > 0:
        told = counted(rest, "rarer reason")
        yield html.paragraph(f"And {told}.", kind="faint")


def _cells(sweep: Sweep, name: str) -> list[str]:
    """The values of a column, for people."""
    values = sweep[name].tolist()
    return [_cell(value) for value in values]


def _cell(value: object) -> str:
    if value is None or value != value:
        return _NONE
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)
