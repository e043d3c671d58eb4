"""What a person reads of a run that stops when a rate is known precisely enough."""

from __future__ import annotations

from typing import Any

from ..config import RunConfig
from ..machine.wording import counted, quantity
from ..pairs.stopping import Decision, Goal
from ..runs.forecast import Forecast
from ..runs.until import report
from ..store import Status

_MET = {
    "relative_error": "met",
    "errors": "met",
    "upper_limit": "ended by the interval's upper limit",
    "max_pairs": "not met: ended by max_pairs",
}


def until_dict(status: Status) -> dict[str, Any] | None:
    """The goal and where the run stands to it, for ``--json``; None for a run without a goal."""
    found = report(status)
    if found is None:
        return None
    return {**found, "relative_error": _decision(found).relative_error if found["errors"] else None}


def until_lines(status: Status) -> list[str]:
    """The same as lines of text; none for a run without a goal."""
    found = report(status)
    if found is None:
        return []
    goal = Goal(**found["goal"])
    now = _decision(found)
    state = "not yet"
    if not status.complete:
        state += f"; the file has room for {counted(status.chunks_total, 'chunk')} and grows"
        state += f", to {counted(found['max_pairs'], 'pair')} at most"
    if found["met"]:
        after = counted(found["met_after_chunks"], "chunk")
        state = f"{_MET[found['met']]} after {after}"
    lines = [f"  until {goal}: {state}"]
    if now.rate is None:
        return [*lines, f"  {goal.of}: nothing sifted"]
    percent = f"{100 * goal.confidence:g} %"
    interval = f"{100 * now.low:.4g} to {100 * now.high:.4g} % ({percent})"
    shown = f"  {goal.of}: {100 * now.rate:.4g} %, {interval}"
    if now.errors:
        shown += f", relative error {now.relative_error:.3g}"
    if found["estimate"] != now.rate:
        shown += f"; without the bias of stopping by errors {100 * found['estimate']:.6g} %"
    return [*lines, shown]


def _decision(found: dict[str, Any]) -> Decision:
    names = ("chunks", "pairs", "sifted", "errors", "low", "high")
    return Decision(*(found[name] for name in names))


def until_forecast(config: RunConfig, plan: Forecast) -> list[str]:
    """What ``validate`` says of the goal, as comments."""
    if config.until is None:
        return []
    most = f"{quantity(config.pairs).strip()} pairs at most"
    after = f"about {quantity(plan.pairs).strip()} pairs by the closed forms"
    if plan.pairs >= config.pairs:
        after = "not by the closed forms"
    return [f"# until {config.until.goal}: {after}, {most}"]
