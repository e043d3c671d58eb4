"""Whether a later session is slower than an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import statistics
from .plan import FAILED, KILLED, MEMORY, OK, TIMEOUT, WRONG

#: Wider than that of a single figure, since a session has many cases.
CONFIDENCE = 0.99
#: Runs on each side without which a difference says nothing.
LEAST_RUNS = 3

SLOWER, FASTER, SAME, BROKEN, UNKNOWN = (
    "slower",
    "faster",
    "not significant",
    "broken",
    "not comparable",
)


@dataclass(frozen=True)
class Difference:
    """A case in both sessions: speed of the second over the first, and what that means."""

    engine: str
    parameters: Mapping[str, Any]
    verdict: str
    ratio: statistics.Estimate | None
    why: str = ""


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], tolerance: float
) -> list[Difference]:
    """Every case that both summaries have.

    ``tolerance`` is the loss of speed that is no regression even where it is significant.
    """
    if first["measure"] != second["measure"]:
        return []
    known = {one["key"]: one for one in first["cases"]}
    found = []
    for after in second["cases"]:
        before = known.get(after["key"])
        if before is not None:
            found.append(_difference(before, after, tolerance))
    return found


def is_regression(difference: Difference) -> bool:
    """Whether it is one to stop for."""
    return difference.verdict in (SLOWER, BROKEN)


def is_comparable(difference: Difference) -> bool:
    """Whether anything can be said."""
    return difference.verdict != UNKNOWN


def _difference(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    tolerance: float,
) -> Difference:
    ratio = None
    verdict, why = _without_ratio(before, after)
    if not verdict:
        ratio = statistics.ratio(
            after["speeds"],
            before["speeds"],
            CONFIDENCE,
        )
        verdict = _verdict(ratio, tolerance)
    return Difference(
        after["engine"],
        after["parameters"],
        verdict,
        ratio,
        why,
    )


def _without_ratio(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
    """The verdict on cases whose speeds cannot be compared, and why; empty where they can."""
    first = before["state"]
    second = after["state"]
    if first != OK:
        return UNKNOWN, f"the first is {first}"
    if second != OK:
        # One that is not installed, or beyond this machine, tells nothing of the engine.
        is_broken = second in (WRONG, FAILED, KILLED, TIMEOUT, MEMORY)
        verdict = BROKEN if is_broken else UNKNOWN
        return verdict, f"the second is {second}"
    runs = min(len(before["speeds"]), len(after["speeds"]))
    if runs < LEAST_RUNS:
        return UNKNOWN, f"fewer than {LEAST_RUNS} runs that count"
    return "", ""


def _verdict(ratio: statistics.Estimate, tolerance: float) -> str:
    if ratio.high < 1 and ratio.value < 1 - tolerance:
        return SLOWER
    if ratio.low > 1 and ratio.value > 1 + tolerance:
        return FASTER
    return SAME
