"""From what was counted to verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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
    checks = _together([*check_rows(evidence), *check_places(evidence), *check_course(evidence)])
    law = evidence.law
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
        expected=law.outcomes,
        qber=tuple(_rates(evidence)),
        stages=stages(evidence),
        lags=lag_table(evidence),
    )


def _together(checks: list[Check]) -> tuple[Check, ...]:
    """Which checks fail so that a sound file has a finding with probability `LEVEL` at most."""
    applied = [check for check in checks if check.p is not None]
    failed = holm([check.p or 0.0 for check in applied], LEVEL)
    verdicts = {check.name: verdict for check, verdict in zip(applied, failed, strict=True)}
    found = [replace(check, finding=verdicts.get(check.name, False)) for check in checks]
    # The place of the worst means nothing where it is no worse than chance.
    return tuple(c if c.finding else replace(c, where="", chunks=(), rows=None) for c in found)


def _rates(evidence: Evidence) -> Iterator[Qber]:
    expected = evidence.law.expected
    due = (expected.qber_z, expected.qber_x) if expected is not None else (None, None)
    masks = ((SIFTED_Z, ERRORS_Z), (SIFTED_X, ERRORS_X))
    for basis, (sifted, errors), closed_form in zip("ZX", masks, due, strict=True):
        trials, count = evidence.count(sifted), evidence.count(errors)
        low, high = clopper_pearson(count, trials)
        value = count / trials if trials else None
        yield Qber(basis, count, trials, value, low, high, closed_form)


def _notes(evidence: Evidence) -> Iterator[str]:
    """What was not looked at, or not all of."""
    plan, law = evidence.plan, evidence.law
    if law.note:
        yield law.note
    if plan.close > 1:
        share = 100 * evidence.sums.rows / plan.rows
        yield f"positions and lags: {evidence.sums.rows:,} rows over the whole file ({share:.3g} %)"
    if evidence.long:
        yield f"long lags and runs: a stretch of {evidence.long[0].rows:,} rows"
    if plan.step > 1:
        yield f"borders and beginnings: one in {plan.step} chunks"
    if evidence.table.compared and evidence.table.compared < plan.chunks // 2:
        yield f"equal checksums: among {evidence.table.compared:,} chunks"
