"""What a report says of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...machine.wording import counted
from ...runs.sweeps.reading import Sweep, read_sweep
from .. import figures
from ..figures.style import can_draw
from . import html
from .section import Figure, Section

#: Points of the table that are shown.
_MOST_POINTS = 250
#: Results of a point that are shown, beside its parameters.
_COLUMNS = (
    "state", "pairs", "sifted", "qber_z", "expected_qber_z", "qber_x", "expected_qber_x", "key_bits", "key_per_sifted",
    "finite_per_sifted", "abort",
)  # fmt: skip


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


def _done(sweep: Sweep) -> int:
    return int(np.count_nonzero(sweep["state"] == "done"))


def _summary(sweep: Sweep) -> dict[str, object]:
    return {
        "points": f"{len(sweep):,}",
        "parameters": ", ".join(sweep.axes),
        "largest distance / σ": f"{_farthest(sweep):.2f}",
        "verdict": _verdict(sweep),
    }


def _verdict(sweep: Sweep) -> html.Marked:
    done, all_ = _done(sweep), len(sweep)
    if done == all_:
        return html.good(f"complete: {counted(all_, 'point')}")
    failed = int(np.count_nonzero(sweep["state"] == "failed"))
    told = f", {failed} failed" if failed else ""
    return html.bad(f"{done:,} of {counted(all_, 'point')} done{told}")


def _farthest(sweep: Sweep) -> float:
    scores = [np.array(sweep[name], float) for name in ("z_score_z", "z_score_x")]
    found = np.abs(np.concatenate(scores))
    return float(found[np.isfinite(found)].max(initial=0.0))


def _facts(sweep: Sweep) -> Iterator[tuple[str, object]]:
    yield "points", f"{_done(sweep):,} of {len(sweep):,} done"
    for name in sweep.axes:
        values = sweep[name]
        unit = f" {sweep.units[name]}" if name in sweep.units else ""
        if values.dtype.kind in "iuf":
            few = len(np.unique(values))
            yield (
                name,
                f"{counted(few, 'value')} from {values.min():.6g} to {values.max():.6g}{unit}",
            )
        else:
            yield name, ", ".join(dict.fromkeys(map(str, values)))
    yield "largest distance from the closed forms", f"{_farthest(sweep):.2f} σ"


def _figures(sweep: Sweep) -> Iterator[Figure]:
    if not figures.changing(sweep):
        return
    yield Figure("qber", figures.plot_sweep_qber(sweep))
    # A sweep without a protocol has no such column.
    if "key_bits" in sweep.columns and np.isfinite(np.array(sweep["key_bits"], float)).any():
        yield Figure("key", figures.plot_sweep_key(sweep))
    if len(figures.varying(sweep)) > 1:
        yield Figure("map", figures.plot_map(sweep))


def _points(sweep: Sweep) -> Iterator[str]:
    yield html.heading(3, "Points")
    names = [*sweep.axes, *(name for name in _COLUMNS if name in sweep.columns)]
    columns = [sweep[name].tolist()[:_MOST_POINTS] for name in names]
    rows = [[_cell(value) for value in row] for row in zip(*columns, strict=True)]
    right = [place for place, name in enumerate(names) if name not in ("state", "abort")]
    yield html.table([name.replace("_", " ") for name in names], rows, numbers=right)
    if len(sweep) > _MOST_POINTS:
        yield html.paragraph(f"The first {_MOST_POINTS} of {len(sweep):,} points.", kind="faint")


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:.5g}"
        if isinstance(value, float)
        else str(value)
    )
