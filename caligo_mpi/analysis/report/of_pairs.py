"""What a report says of a pairs file."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import RunConfig, dump_config
from ...errors import CaligoError
from ...machine.wording import counted, duration
from ...pairs.intervals import clopper_pearson, z_score
from ...store import PairsFile
from .. import figures
from ..figures.style import can_draw
from ..glance import Glance, glance
from ..law import law_of
from ..verdicts import Analysis
from . import html
from .section import Figure, Section

#: Rows of a table of launches or faults that are shown.
_MOST_ROWS = 50


def section(file: PairsFile, analysis: Analysis | None) -> Section:
    """The file's section; ``analysis`` are the verdicts on it, None where nobody asked for them."""
    seen = glance(file)
    return Section(
        title=Path(seen.path).name,
        summary=summary(seen, analysis),
        parts=[*_parts(seen, analysis)],
        figures=[*_figures(file, seen, analysis)] if can_draw() else [],
        after=[*_verdicts(analysis), *_background(seen)],
    )


def summary(seen: Glance, analysis: Analysis | None) -> dict[str, object]:
    """One line of the comparison of several files."""
    line: dict[str, object] = {
        "pairs": f"{seen.total('count'):,}",
        "rows": f"{seen.total('rows'):,}",
        "engine": seen.info.engine,
    }
    for basis, sifted, errors, closed in _bases(seen):
        line[f"QBER {basis} / %"] = f"{100 * errors / sifted:.4f}" if sifted else "–"
        line[f"closed form {basis} / %"] = "–" if math.isnan(closed) else f"{100 * closed:.4f}"
    line["verdict"] = verdict(seen, analysis)
    return line


def verdict(seen: Glance, analysis: Analysis | None) -> html.Marked:
    """In a few words: complete or not, and what the analysis says."""
    if analysis is None:
        return html.good("complete") if seen.complete else html.bad("not finished")
    if analysis.sound:
        return html.good(f"sound: {counted(len(analysis.checks), 'check')}, no finding")
    return html.bad(f"{counted(len(analysis.findings), 'finding')}")


def _parts(seen: Glance, analysis: Analysis | None) -> Iterator[str]:
    yield f"<p>{verdict(seen, analysis)}</p>"
    for cause in analysis.causes if analysis else ():
        yield f"<p>{html.bad(cause)}</p>"
    yield html.columns(html.facts(_facts(seen)), _rates(seen))


def _facts(seen: Glance) -> Iterator[tuple[str, object]]:
    info = seen.info
    done, total = seen.total("count"), info.pairs
    state = "complete" if seen.complete else f"not finished, {100 * done / total:.1f} %"
    yield "state", state
    yield "pairs", f"{done:,} of {total:,}" if done != total else f"{total:,}"
    yield "rows", f"{seen.total('rows'):,}"
    yield "engine", f"{info.engine}, seed {info.seed}"
    yield "chunks", f"{seen.chunks:,} of {info.chunk_size:,} pairs"
    yield "work", f"{duration(float(seen.work['seconds'].sum()))} of one core"
    if seen.duration_ns:
        yield "simulated time", f"{seen.duration_ns / 1e9:.6g} s"
    launches = counted(len(seen.runs), "launch", "launches")
    yield "launches", f"{launches}, {counted(len(seen.faults), 'fault')}"
    yield "configuration digest", info.config_digest
    if seen.data_digest:
        yield "data digest", seen.data_digest


def _bases(seen: Glance) -> Iterator[tuple[str, int, int, float]]:
    tally, law = seen.tally, seen.expected
    yield "Z", tally.sifted_z, tally.errors_z, math.nan if law is None else law.qber_z
    yield "X", tally.sifted_x, tally.errors_x, math.nan if law is None else law.qber_x


def _rates(seen: Glance) -> str:
    header = (
        "basis",
        "sifted",
        "errors",
        "QBER / %",
        "95 % interval / %",
        "closed form / %",
        "off",
    )
    rows = []
    for basis, sifted, errors, closed in _bases(seen):
        low, high = clopper_pearson(errors, sifted)
        known = not math.isnan(closed)
        rows.append(
            (
                basis,
                f"{sifted:,}",
                f"{errors:,}",
                f"{100 * errors / sifted:.4f}" if sifted else "–",
                f"{100 * low:.4f} to {100 * high:.4f}",
                f"{100 * closed:.4f}" if known else "none",
                f"{z_score(errors, sifted, closed):+.2f} σ" if known and sifted else "–",
            )
        )
    return html.table(header, rows, numbers=range(1, 7))


def _verdicts(analysis: Analysis | None) -> Iterator[str]:
    if analysis is None:
        return
    yield html.heading(3, "Verdicts")
    yield html.paragraph(
        f"A sound file has any finding with probability {analysis.level:g}; p is how likely a sound file shows as much."
    )
    rows = []
    for check in analysis.checks:
        word = html.bad("finding") if check.finding else html.good("as it should be")
        if check.p is None:
            word = html.Marked("does not apply")
        p = "–" if check.p is None else f"{check.p:.2g}"
        rows.append((check.name, word, p, check.found, check.where))
    yield html.table(("check", "verdict", "p", "what was found", "where"), rows, numbers=(2,))
    for note in analysis.notes:
        yield html.paragraph(note, kind="faint")


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
    return _Outcomes(tuple(ordered.tolist()), law_of(file.info).outcomes)


def _background(seen: Glance) -> Iterator[str]:
    yield html.heading(3, "Launches")
    yield html.table(
        ("started", "last commit", "ranks", "host", "MPI", "job"), _launches(seen), numbers=(2,)
    )
    if len(seen.metrics):
        yield html.heading(3, "Ranks")
        yield html.table(_RANKS, _ranks(seen), numbers=range(2, 13))
    if len(seen.faults):
        yield html.heading(3, "Faults")
        yield html.table(
            ("time", "launch", "rank", "host", "what", "chunks redone"), _faults(seen), numbers=(5,)
        )
    yield html.heading(3, "Configuration and software")
    yield html.columns(
        html.code(configuration(seen.info.config)), html.facts(software(seen.info.software))
    )


def _launches(seen: Glance) -> Iterator[tuple[object, ...]]:
    for row in seen.runs[:_MOST_ROWS]:
        times = (moment(row["started"]), moment(row["last_commit"]))
        yield (*times, int(row["ranks"]), *(_text(row[name]) for name in ("host", "mpi", "job")))


#: The columns of the table of ranks.
_RANKS = (
    "launch", "rank", "time / s", "busy / %", "writing / %", "communicating / %", "idle / %", "chunks",
    "messages", "bytes", "memory / MB", "efficiency / %", "load / %", "host", "cores",
)  # fmt: skip


def _ranks(seen: Glance) -> Iterator[tuple[object, ...]]:
    for row in seen.metrics[-_MOST_ROWS:]:
        seconds = max(float(row["seconds"]), 1e-9)
        states = ("busy", "writing", "communicating", "idle")
        shares = [f"{100 * float(row[name]) / seconds:.1f}" for name in states]
        ranks = int(row["ranks"])
        who = f"{int(row['rank'])}" if ranks == 1 else f"{ranks} from {int(row['rank'])}"
        counts = [f"{int(row[name]):,}" for name in ("chunks", "messages", "bytes")]
        rest = [f"{100 * float(row[name]):.0f}" for name in ("efficiency", "balance")]
        memory = f"{int(row['peak_memory']) / 1e6:,.0f}"
        where = [_text(row[name]) for name in ("host", "cores")]
        yield (int(row["run"]) + 1, who, f"{seconds:.3g}", *shares, *counts, memory, *rest, *where)


def _faults(seen: Glance) -> Iterator[tuple[object, ...]]:
    for row in seen.faults[:_MOST_ROWS]:
        who = (int(row["run"]) + 1, int(row["rank"]), _text(row["host"]))
        yield (moment(row["time"]), *who, _text(row["what"]), int(row["chunks"]))


def configuration(text: str) -> str:
    """A run's resolved configuration as YAML, or as it stands where this installation does not know it."""
    try:
        return dump_config(RunConfig.from_json(text)).rstrip()
    except CaligoError:
        return json.dumps(json.loads(text), indent=2)


def software(said: Any) -> Iterator[tuple[str, object]]:
    """What was noted of the software, a line each."""
    for name, value in said.items():
        yield name, value if isinstance(value, str | int | float) else json.dumps(value)


def moment(seconds: float) -> str:
    """A time since 1970 for people, in UTC; a dash where there is none."""
    if not seconds:
        return "–"
    when = datetime.datetime.fromtimestamp(float(seconds), datetime.timezone.utc)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace") or "–"
