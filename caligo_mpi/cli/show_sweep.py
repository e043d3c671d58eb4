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
    """The last words of ``sweep``."""
    state = "complete" if done.complete else "not finished"
    head = f"{done.directory}: {state}, {_states(done.table)}"
    if done.launched:
        head += f"; {quantity(done.launched).rstrip()} pairs simulated in {duration(done.seconds)}"
    lines = [head, *_rows(done.table), *_worst(done.table)]
    if not done.complete:
        lines.append("  run the same command again to go on")
    else:
        lines.append(f"  {done.directory / 'results.csv'}")
    return "\n".join(lines)


def sweep_dict(done: SweepSummary) -> dict[str, Any]:
    """The same for machines."""
    return {
        "path": str(done.directory),
        "complete": done.complete,
        **{state: done.table.count(state) for state in STATES},
        "launched": done.launched,
        "seconds": done.seconds,
        "points": [{name: row.get(name) for name in done.table.columns} for row in done.table.rows],
        "messages": list(done.messages),
    }


def status_text(summary: SweepSummary, owner: str) -> str:
    """What ``status`` prints of a sweep's directory."""
    state = "complete" if summary.complete else f"being written by {owner}" if owner else "stopped"
    lines = [f"{summary.directory}: {state}, {_states(summary.table)}"]
    for wanted in STATES[1:]:
        numbers = [row["point"] for row in summary.table.rows if row["state"] == wanted]
        if numbers:
            lines.append(f"  {wanted}: {ranges_text(numbers)}")
    lines += [f"  {row['error']}" for row in summary.table.rows if row["state"] == "failed"][:5]
    return "\n".join([*lines, *_rows(summary.table)])


def _states(table: Table) -> str:
    told = [f"{table.count(state):,} {state}" for state in STATES if table.count(state)]
    law = f", {LABEL}" if "law" in table.columns else ""
    return f"{counted(len(table.rows), 'point')} ({', '.join(told)}){law}"


def _rows(table: Table) -> Iterator[str]:
    """The points as a small table: parameters, QBER per basis with its interval, and the key."""
    rows = [row for row in table.rows if row["state"] == "done"]
    if not rows:
        return
    names = [*table.axes, "QBER Z", "QBER X"]
    has_key = "key_bits" in table.columns
    names += ["key bits", "key/sifted", "formula"] if has_key else []
    cells = [names, *(_cells(table, row, has_key) for row in rows[:_LISTED])]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        padded = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        yield "  " + "  ".join(padded)
    if len(rows) > _LISTED:
        yield f"  … {len(rows) - _LISTED} more"


def _cells(table: Table, row: dict[str, Any], has_key: bool) -> list[str]:
    cells = [_value(row[name]) for name in table.axes]
    cells += [_percent(row, basis) for basis in ("z", "x")]
    if has_key:
        key = row.get("key_bits")
        cells.append("-" if key is None else f"{key:,}")
        share = row.get("key_per_sifted")
        cells.append("-" if share is None else f"{share:.4f}")
        finite = row.get("finite_per_sifted")
        cells.append("-" if finite is None else f"{finite:.4f}")
    return cells


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _percent(row: dict[str, Any], basis: str) -> str:
    rate = row[f"qber_{basis}"]
    if rate is None:
        return "-"
    half = (row[f"qber_{basis}_high"] - row[f"qber_{basis}_low"]) / 2
    return f"{100 * rate:.4f} ± {100 * half:.2g} %"


def _worst(table: Table) -> Iterator[str]:
    """How far the measured rates are off the closed forms."""
    scores = [
        (abs(row[name]), row["point"])
        for row in table.rows
        for name in ("z_score_z", "z_score_x")
        if row.get(name) is not None
    ]
    if scores:
        score, point = max(scores)
        yield f"  largest distance from the closed forms: {score:.2f} σ of {len(scores)}, at point {point}"


def plan_text(found: SweepPlan) -> str:
    """What ``sweep --plan`` prints."""
    hours = found.seconds / 3600
    keys = (
        f", of which the protocol takes {duration(found.key_seconds)}" if found.key_seconds else ""
    )
    return "\n".join(
        [
            f"points: {found.points:,}",
            f"pairs: {found.pairs:,} in {counted(found.chunks, 'chunk')}",
            f"time: about {hours:.3g} core-hours ({duration(found.seconds)} of one core{keys})",
            f"disk: {quantity(found.disk)}B",
            f"memory: {quantity(found.memory)}B per rank",
        ]
    )


def plan_dict(found: SweepPlan) -> dict[str, Any]:
    """The same for machines."""
    return {
        "points": found.points,
        "pairs": found.pairs,
        "chunks": found.chunks,
        "core_seconds": found.seconds,
        "key_core_seconds": found.key_seconds,
        "disk_bytes": found.disk,
        "memory_bytes_per_rank": found.memory,
    }
