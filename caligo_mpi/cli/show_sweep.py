"""What a person reads of sweeps, and the same as plain values for ``--json``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..config.points import ranges_text
from ..machine.wording import counted, duration, quantity
from ..runs.sweeps.plan import SweepPlan
from ..runs.sweeps.results import Table
from ..runs.sweeps.summary import SweepSummary
from ..store import LABEL

#: Points that are listed; the table has all of them.
_LISTED = 40

STATES = ("done", "failed", "running", "waiting")


def sweep_text(done: SweepSummary) -> str:
    """The last words of ``sweep``: states of its points, and their table."""
    state = "complete" if done.complete else "not finished"
    head = f"{done.directory}: {state}, {_states(done.table)}"
    if done.launched:
        pairs = quantity(done.launched).rstrip()
        head += f"; {pairs} pairs simulated in {duration(done.seconds)}"
    last = "  run the same command again to go on"
    if done.complete:
        last = f"  {done.directory / 'results.csv'}"
    lines = [
        head,
        *_rows(done.table),
        *_worst(done.table),
        last,
    ]
    return "\n".join(lines)


def sweep_dict(done: SweepSummary) -> dict[str, Any]:
    """What ``sweep --json`` prints."""
    table = done.table
    points = []
    for row in table.rows:
        points.append({name: row.get(name) for name in table.columns})
    return {
        "path": str(done.directory),
        "complete": done.complete,
        **{state: table.count(state) for state in STATES},
        "launched": done.launched,
        "seconds": done.seconds,
        "points": points,
        "messages": list(done.messages),
    }


def status_text(summary: SweepSummary, owner: str) -> str:
    """What ``status`` prints of a sweep's directory."""
    state = "stopped"
    if summary.complete:
        state = "complete"
    elif owner:
        state = f"being written by {owner}"
    table = summary.table
    lines = [f"{summary.directory}: {state}, {_states(table)}"]
    for wanted in STATES[1:]:
        numbers = [row["point"] for row in _in_state(table, wanted)]
        if numbers:
            lines.append(f"  {wanted}: {ranges_text(numbers)}")
    for row in _in_state(table, "failed")[:5]:
        lines.append(f"  {row['error']}")
    return "\n".join([*lines, *_rows(table)])


def _in_state(table: Table, state: str) -> list[dict[str, Any]]:
    return [row for row in table.rows if row["state"] == state]


def _states(table: Table) -> str:
    """How many points there are, and how many in each state."""
    told = []
    for state in STATES:
        if number := table.count(state):
            told.append(f"{number:,} {state}")
    points = counted(len(table.rows), "point")
    words = f"{points} ({', '.join(told)})"
    if "law" in table.columns:
        words += f", {LABEL}"
    return words


def _rows(table: Table) -> Iterator[str]:
    """The points as a small table: parameters, QBER per basis with its interval, and the key."""
    rows = _in_state(table, "done")
    if not rows:
        return
    axes = [_headed(name, table.units.get(name)) for name in table.axes]
    names = [*axes, "QBER Z", "QBER X"]
    has_key = "key_bits" in table.columns
    if has_key:
        names += ["key bits", "key/sifted", "formula"]
    lines = [names]
    for row in rows[:_LISTED]:
        lines.append(_cells(table, row, has_key))
    widths = []
    for column in zip(*lines, strict=True):
        widths.append(max(map(len, column)))
    for line in lines:
        padded = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        yield "  " + "  ".join(padded)
    if len(rows) > _LISTED:
        yield f"  … {len(rows) - _LISTED} more"


def _headed(name: str, unit: str | None) -> str:
    if not unit:
        return name
    return f"{name} / {unit}"


def _cells(table: Table, row: dict[str, Any], has_key: bool) -> list[str]:
    cells = [_value(row[name]) for name in table.axes]
    cells += [_percent(row, basis) for basis in ("z", "x")]
    if has_key:
        cells += [
            _or_dash(row.get("key_bits"), ","),
            _or_dash(row.get("key_per_sifted"), ".4f"),
            _or_dash(row.get("finite_per_sifted"), ".4f"),
        ]
    return cells


def _or_dash(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value:{form}}"


def _value(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:g}"
    return str(value)


def _percent(row: dict[str, Any], basis: str) -> str:
    name = f"qber_{basis}"
    rate = row[name]
    if rate is None:
        return "-"
    low = row[f"{name}_low"]
    high = row[f"{name}_high"]
    half = (high - low) / 2
    return f"{100 * rate:.4f} ± {100 * half:.2g} %"


def _worst(table: Table) -> Iterator[str]:
    """How far the measured rates are off the closed forms."""
    scores = []
    for row in table.rows:
        for name in ("z_score_z", "z_score_x"):
            score = row.get(name)
            if score is not None:
                scores.append((abs(score), row["point"]))
    if not scores:
        return
    largest, point = max(scores)
    distance = f"{largest:.2f} σ of {len(scores)}"
    yield f"  largest distance from the closed forms: {distance}, at point {point}"


def plan_text(found: SweepPlan) -> str:
    """What ``sweep --plan`` prints."""
    hours = found.seconds / 3600
    chunks = counted(found.chunks, "chunk")
    spent = f"{duration(found.seconds)} of one core"
    if found.key_seconds:
        spent += f", of which the protocol takes {duration(found.key_seconds)}"
    lines = [
        f"points: {found.points:,}",
        f"pairs: {found.pairs:,} in {chunks}",
        f"time: about {hours:.3g} core-hours ({spent})",
        f"disk: {quantity(found.disk)}B",
        f"memory: {quantity(found.memory)}B per rank",
    ]
    return "\n".join(lines)


def plan_dict(found: SweepPlan) -> dict[str, Any]:
    """What ``sweep --plan --json`` prints."""
    return {
        "points": found.points,
        "pairs": found.pairs,
        "chunks": found.chunks,
        "core_seconds": found.seconds,
        "key_core_seconds": found.key_seconds,
        "disk_bytes": found.disk,
        "memory_bytes_per_rank": found.memory,
    }
