"""From what was counted to verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from ..pairs.intervals import clopper_pearson
from ..store import PairsFile
from .causes import causes
from .course import check_course, stages
from .evidence import ERRORS_X, ERRORS_Z, SIFTED_X, SIFTED_Z, Evidence
from .places import check_places, lag_table
from .probability import holm
from .rows import check_rows
from .verdicts import LEVEL, Analysis, Check, Qber


def judge(file: PairsFile, evidence: Evidence) -> Analysis:
    """All checks, their verdicts taken together, and what explains the findings."""
    found = [
        *check_rows(evidence),
        *check_places(evidence),
        *check_course(evidence),
    ]
    checks = _together(found)
    return Analysis(
        path=str(file.path),
        complete=file.complete,
        engine=file.engine,
        rows=evidence.plan.rows,
        chunks=evidence.plan.chunks,
        level=LEVEL,
        checks=checks,
        causes=causes(file, evidence, checks),
        notes=tuple(_notes(evidence)),
        outcomes=tuple(evidence.outcomes.tolist()),
        expected=evidence.law.outcomes,
        qber=tuple(_rates(evidence)),
        stages=stages(evidence),
        lags=lag_table(evidence),
        long_lags=tuple(chain.from_iterable(lags.octaves for lags in evidence.long)),
    )


def _together(checks: list[Check]) -> tuple[Check, ...]:
    """Which checks fail so that a sound file has a finding with probability `LEVEL` at most."""
    p_values = {check.name: check.p for check in checks if check.p is not None}
    failed = holm([*p_values.values()], LEVEL)
    verdicts = dict(zip(p_values, failed, strict=True))
    return tuple(_judged(check, verdicts.get(check.name, False)) for check in checks)


def _judged(check: Check, finding: bool) -> Check:
    """The check with its verdict; the place of the worst means nothing where it is no worse than chance."""
    if finding:
        return replace(check, finding=True)
    return replace(
        check,
        finding=False,
        where="",
        chunks=(),
        rows=None,
    )


def _rates(evidence: Evidence) -> Iterator[Qber]:
    expected = evidence.law.expected
    z = None if expected is None else expected.qber_z
    x = None if expected is None else expected.qber_x
    yield _rate(
        "Z",
        evidence.count(ERRORS_Z),
        evidence.count(SIFTED_Z),
        z,
    )
    yield _rate(
        "X",
        evidence.count(ERRORS_X),
        evidence.count(SIFTED_X),
        x,
    )


def _rate(basis: str, errors: int, sifted: int, expected: float | None) -> Qber:
    low, high = clopper_pearson(errors, sifted)
    return Qber(
        basis=basis,
        errors=errors,
        sifted=sifted,
        value=errors / sifted if sifted else None,
        low=low,
        high=high,
        expected=expected,
    )


def _notes(evidence: Evidence) -> Iterator[str]:
    """What was not looked at, or not all of."""
    plan = evidence.plan
    compared = evidence.table.compared
    if evidence.law.note:
        yield evidence.law.note
    if plan.close > 1:
        rows = evidence.sums.rows
        share = 100 * rows / plan.rows
        yield f"positions and lags: {rows:,} rows over the whole file ({share:.3g} %)"
    if evidence.long:
        stretch = evidence.long[0].rows
        yield f"long lags and runs: a stretch of {stretch:,} rows"
    if plan.step > 1:
        yield f"borders and beginnings: one in {plan.step} chunks"
    if 0 < compared < plan.chunks // 2:
        yield f"equal checksums: among {compared:,} chunks"
