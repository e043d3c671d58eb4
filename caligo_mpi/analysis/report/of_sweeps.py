"""What a report says of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...machine.wording import counted
from ...runs.sweeps.reading import Sweep, read_sweep
from .. import figures
from ..figures.points import is_number, numbers
from ..figures.style import can_draw
from . import html
from .section import Figure, Section

#: Points of the table that are shown.
_MOST_POINTS = 250
#: Results of a point that are shown, beside its parameters.
_COLUMNS = (
    "state",
    "pairs",
    "sifted",
    "qber_z",
    "expected_qber_z",
    "qber_x",
    "expected_qber_x",
    "key_bits",
    "key_per_sifted",
    "finite_per_sifted",
    "abort",
)
#: Those of them that are words.
_WORDS = ("state", "abort")


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
    if len(figures.varying(sweep)) > 1:
        yield Figure("map", figures.plot_map(sweep))


def _points(sweep: Sweep) -> Iterator[str]:
    results = [name for name in _COLUMNS if name in sweep.columns]
    names = [*sweep.axes, *results]
    columns = [_cells(sweep, name) for name in names]
    rows = zip(*columns, strict=True)
    right = [place for place, name in enumerate(names) if name not in _WORDS]
    yield html.heading(3, "Points")
    yield html.table(
        html.words(names),
        rows,
        numbers=right,
    )
    yield from html.first_of(
        _MOST_POINTS,
        len(sweep),
        "points",
    )


def _cells(sweep: Sweep, name: str) -> list[str]:
    """The values of a column that are shown."""
    values = sweep[name].tolist()
    return [_cell(value) for value in values[:_MOST_POINTS]]


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)
