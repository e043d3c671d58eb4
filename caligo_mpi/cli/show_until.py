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
    found["relative_error"] = None
    if found["errors"]:
        found["relative_error"] = _decision(found).relative_error
    return found


def until_lines(status: Status) -> list[str]:
    """The same as lines of text; none for a run without a goal."""
    found = report(status)
    if found is None:
        return []
    goal = Goal(**found["goal"])
    return [
        f"  until {goal}: {_state(status, found)}",
        f"  {goal.of}: {_estimate(goal, found)}",
    ]


def _state(status: Status, found: dict[str, Any]) -> str:
    """Whether the goal is met, and how far the run may go."""
    if found["met"]:
        after = counted(found["met_after_chunks"], "chunk")
        return f"{_MET[found['met']]} after {after}"
    if status.complete:
        return "not yet"
    room = counted(status.chunks_total, "chunk")
    most = counted(found["max_pairs"], "pair")
    return f"not yet; the file has room for {room} and grows, to {most} at most"


def _estimate(goal: Goal, found: dict[str, Any]) -> str:
    """The rate with its interval and its relative error."""
    now = _decision(found)
    if now.rate is None:
        return "nothing sifted"
    rate = 100 * now.rate
    low = 100 * now.low
    high = 100 * now.high
    confidence = 100 * goal.confidence
    words = f"{rate:.4g} %, {low:.4g} to {high:.4g} % ({confidence:g} %)"
    if now.errors:
        words += f", relative error {now.relative_error:.3g}"
    if found["estimate"] != now.rate:
        unbiased = 100 * found["estimate"]
        words += f"; without the bias of stopping by errors {unbiased:.6g} %"
    return words


def _decision(found: dict[str, Any]) -> Decision:
    return Decision(
        chunks=found["chunks"],
        pairs=found["pairs"],
        sifted=found["sifted"],
        errors=found["errors"],
        low=found["low"],
        high=found["high"],
    )


def until_forecast(config: RunConfig, plan: Forecast) -> list[str]:
    """What ``validate`` says of the goal, as comments."""
    if config.until is None:
        return []
    most = f"{quantity(config.pairs).strip()} pairs at most"
    after = f"about {quantity(plan.pairs).strip()} pairs by the closed forms"
    if plan.pairs >= config.pairs:
        after = "not by the closed forms"
    return [f"# until {config.until.goal}: {after}, {most}"]
