"""One finding of the doctor: a line for people, an object for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what helps where it is not well."""

    what: str
    verdict: Verdict
    told: str
    remedy: str = ""


def ok(what: str, told: str) -> Finding:
    """All is well."""
    return Finding(what, "ok", told)


def warning(what: str, told: str, remedy: str) -> Finding:
    """It will run, but slower or less safely than it could."""
    return Finding(
        what,
        "warning",
        told,
        remedy,
    )


def failure(what: str, told: str, remedy: str) -> Finding:
    """A run would not work like this."""
    return Finding(
        what,
        "failure",
        told,
        remedy,
    )


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict != "failure" for finding in findings)
