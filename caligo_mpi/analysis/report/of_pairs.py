"""What a report says of a pairs file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

from ...machine.wording import counted, duration
from ...pairs.intervals import clopper_pearson, z_score
from ...store import PairsFile
from .. import figures
from ..figures.style import can_draw
from ..glance import Glance, glance
from ..law import law_of
from ..verdicts import Analysis, Check
from . import html
from .of_launches import background
from .section import Figure, Section

_RATES = (
    "basis",
    "sifted",
    "errors",
    "QBER / %",
    "95 % interval / %",
    "closed form / %",
    "off",
)
_CHECKS = (
    "check",
    "verdict",
    "p",
    "what was found",
    "where",
)


def section(file: PairsFile, analysis: Analysis | None) -> Section:
    """The file's section; ``analysis`` are the verdicts on it, None where nobody asked for them."""
    seen = glance(file)
    return Section(
        title=Path(seen.path).name,
        summary=summary(seen, analysis),
        parts=[*_parts(seen, analysis)],
        figures=[*_figures(file, seen, analysis)] if can_draw() else [],
        after=[*_verdicts(analysis), *background(seen)],
    )


def summary(seen: Glance, analysis: Analysis | None) -> dict[str, object]:
    """One line of the comparison of several files."""
    line: dict[str, object] = {
        "pairs": f"{seen.total('count'):,}",
        "rows": f"{seen.total('rows'):,}",
        "engine": seen.info.engine,
    }
    for rate in _rates(seen):
        line[f"QBER {rate.basis} / %"] = rate.measured
        closed = "–" if isnan(rate.closed) else _percent(rate.closed)
        line[f"closed form {rate.basis} / %"] = closed
    line["verdict"] = verdict(seen, analysis)
    return line


def verdict(seen: Glance, analysis: Analysis | None) -> html.Marked:
    """In a few words: complete or not, and what the analysis says."""
    if analysis is None and seen.complete:
        return html.good("complete")
    if analysis is None:
        return html.bad("not finished")
    found = _found(analysis)
    if seen.complete:
        return found
    state = html.bad("not finished")
    return html.Marked(f"{state}, {found}")


def _found(analysis: Analysis) -> html.Marked:
    """What the analysis says, in a few words."""
    if analysis.sound:
        checks = counted(len(analysis.checks), "check")
        return html.good(f"sound: {checks}, no finding")
    findings = counted(len(analysis.findings), "finding")
    return html.bad(findings)


def _parts(seen: Glance, analysis: Analysis | None) -> Iterator[str]:
    yield f"<p>{verdict(seen, analysis)}</p>"
    for cause in analysis.causes if analysis else ():
        yield f"<p>{html.bad(cause)}</p>"
    rows = [_row_of_rate(rate) for rate in _rates(seen)]
    facts = html.facts(_facts(seen))
    rates = html.table(
        _RATES,
        rows,
        numbers=range(1, 7),
    )
    yield html.columns(facts, rates)


def _facts(seen: Glance) -> Iterator[tuple[str, object]]:
    info = seen.info
    done = seen.total("count")
    total = info.pairs
    seconds = float(seen.work["seconds"].sum())
    launches = counted(
        len(seen.runs),
        "launch",
        "launches",
    )
    faults = counted(len(seen.faults), "fault")
    state, pairs = "complete", f"{done:,}"
    if not seen.complete:
        percent = 100 * done / total
        state = f"not finished, {percent:.1f} %"
    if done != total:
        pairs += f" of {total:,}"
    yield "state", state
    yield "pairs", pairs
    yield "rows", f"{seen.total('rows'):,}"
    yield "engine", f"{info.engine}, seed {info.seed}"
    yield "chunks", f"{seen.chunks:,} of {info.chunk_size:,} pairs"
    yield "work", f"{duration(seconds)} of one core"
    if seen.duration_ns:
        simulated = seen.duration_ns / 1e9
        yield "simulated time", f"{simulated:.6g} s"
    yield "launches", f"{launches}, {faults}"
    yield "configuration digest", info.config_digest
    if seen.data_digest:
        yield "data digest", seen.data_digest


# ── error rates ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Rate:
    """The error rate of a basis, and its closed form, NaN where there is none."""

    basis: str
    sifted: int
    errors: int
    closed: float

    @property
    def measured(self) -> str:
        """In per cent, as text."""
        if not self.sifted:
            return "–"
        rate = self.errors / self.sifted
        return _percent(rate)


def _rates(seen: Glance) -> tuple[_Rate, _Rate]:
    tally = seen.tally
    z, x = nan, nan
    if seen.expected is not None:
        z, x = seen.expected.qber_z, seen.expected.qber_x
    of_z = _Rate(
        "Z",
        tally.sifted_z,
        tally.errors_z,
        z,
    )
    of_x = _Rate(
        "X",
        tally.sifted_x,
        tally.errors_x,
        x,
    )
    return of_z, of_x


def _row_of_rate(rate: _Rate) -> tuple[str, ...]:
    low, high = clopper_pearson(rate.errors, rate.sifted)
    closed, off = "none", "–"
    if not isnan(rate.closed):
        closed = _percent(rate.closed)
        if rate.sifted:
            score = z_score(rate.errors, rate.sifted, rate.closed)
            off = f"{score:+.2f} σ"
    interval = f"{_percent(low)} to {_percent(high)}"
    return (
        rate.basis,
        f"{rate.sifted:,}",
        f"{rate.errors:,}",
        rate.measured,
        interval,
        closed,
        off,
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.4f}"


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────


def _verdicts(analysis: Analysis | None) -> Iterator[str]:
    if analysis is None:
        return
    yield html.heading(3, "Verdicts")
    yield html.paragraph(
        f"A sound file has any finding with probability {analysis.level:g}; p is how likely a sound file shows as much."
    )
    rows = [_row_of_check(check) for check in analysis.checks]
    yield html.table(
        _CHECKS,
        rows,
        numbers=(2,),
    )
    for note in analysis.notes:
        yield html.paragraph(note, kind="faint")


def _row_of_check(check: Check) -> tuple[str, ...]:
    word = html.good("as it should be")
    p = "–"
    if check.finding:
        word = html.bad("finding")
    if check.p is None:
        word = html.Marked("does not apply")
    else:
        p = f"{check.p:.2g}"
    return (
        check.name,
        word,
        p,
        check.found,
        check.where,
    )


# ── figures ──────────────────────────────────────────────────────────────────────────────────────


def _figures(file: PairsFile, seen: Glance, analysis: Analysis | None) -> Iterator[Figure]:
    yield Figure("qber", figures.plot_qber(seen))
    if analysis is not None:
        yield Figure("outcomes", figures.plot_outcomes(analysis))
    elif file.outcome_counts is not None:
        yield Figure("outcomes", figures.plot_outcomes(_of_law(file)))
    if len(seen.course) > 1:
        yield Figure("course", figures.plot_course(seen))
    if analysis is not None and analysis.lags:
        yield Figure("lags", figures.plot_lags(analysis))
    if len(seen.work):
        yield Figure("timeline", figures.plot_timeline(seen))
    if len(figures.last_launch(seen.metrics)) > 1:
        yield Figure("ranks", figures.plot_ranks(seen))
    if seen.info.has_index:
        yield Figure("losses", figures.plot_losses(seen))
    if file.index is not None and file.rows > 1:
        yield Figure("gaps", figures.plot_gaps(file))
    if file.time is not None and file.rows > 1:
        yield Figure("times", figures.plot_times(file))


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """Counts that were drawn from their law, in the order of `Analysis`."""

    outcomes: tuple[int, ...]
    expected: tuple[float, ...] | None


def _of_law(file: PairsFile) -> _Outcomes:
    counts = file.outcome_counts
    assert counts is not None
    ordered = counts.transpose(0, 2, 1, 3).ravel()
    outcomes = tuple(ordered.tolist())
    return _Outcomes(outcomes, law_of(file.info).outcomes)
