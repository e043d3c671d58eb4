"""Benches for people: plans, progress, results and comparisons as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..bench.bench import Outlook, Planned
from ..bench.compare import Difference
from ..bench.plan import OK, Case, label, shown, varying
from ..machine.wording import counted, duration, quantity, rate


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left and the others to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in (head, *rows):
        cells = [f"{row[0]:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def plan_text(planned: Planned, outlooks: Sequence[Outlook]) -> str:
    """What ``bench --plan`` prints."""
    names = varying(planned.cases)
    rounds = planned.bench.warmup + planned.bench.repeats
    rows = []
    problems = []
    total = 0.0
    for one in outlooks:
        cells = [one.case.engine, *(shown(one.case.parameters[name]) for name in names)]
        if one.problem:
            rows.append([*cells, one.problem[0], "", ""])
            problems.append(f"{one.case.engine}: {one.problem[1]}")
            continue
        total += rounds * one.forecast.seconds
        memory = f"{one.forecast.bytes >> 20} MiB"
        rows.append([*cells, duration(one.forecast.seconds), memory, one.forecast.source])
    head = ["engine", *map(_title, names), "a run", "memory", "estimate"]
    runs = counted(rounds * (len(outlooks) - len(problems)), "run")
    last = f"{runs} ({planned.bench.warmup} + {planned.bench.repeats} of each), about {duration(total)}"
    return "\n".join([table(head, rows), *dict.fromkeys(problems), last])


def plan_dict(outlooks: Sequence[Outlook]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "case": one.case.id,
            "engine": one.case.engine,
            "parameters": one.case.parameters,
            "state": one.problem[0] if one.problem else OK,
            "problem": one.problem[1] if one.problem else None,
            "seconds": one.forecast.seconds,
            "bytes": one.forecast.bytes,
            "estimate": one.forecast.source,
        }
        for one in outlooks
    ]


def run_text(case: Case, names: list[str], record: Mapping[str, Any], measure: str) -> str:
    """A run that has ended, in a line."""
    kind = "warm-up" if record["warmup"] else f"run {record['round']}"
    what = f"{label(case, names)}, {kind}"
    if record["state"] != OK:
        return f"{what}: {record['state']}: {record['problem']}"
    seconds = record["seconds"][measure]
    speed = rate(case.pairs / seconds) if seconds else "no time"
    return f"{what}: {speed}, process {duration(record['seconds']['process'])}"


def summary_text(
    summary: Mapping[str, Any], comparison: Mapping[str, Any], cases: list[Case], folder: str
) -> str:
    """The table at the end of a bench."""
    names = varying(cases)
    ratios = _ratios(comparison)
    rows = [_row(entry, names, ratios) for entry in summary["cases"]]
    head = ["engine", *map(_title, names), "pairs/s", "95 %", "over ref", "σ Z", "σ X", "memory"]
    problems = [
        f"{entry['engine']}: {entry['state']}: {entry['problem']}"
        for entry in summary["cases"]
        if entry["problem"]
    ]
    fits = [_fit(one) for one in summary["fits"]]
    states = ", ".join(f"{number} {state}" for state, number in summary["states"].items())
    last = f"{folder}: {counted(len(summary['cases']), 'case')}: {states}"
    if not summary["finished"]:
        last += "; stopped, run the same command again to go on"
    return "\n".join([table([*head, "state"], rows), *dict.fromkeys(problems), *fits, last])


def _ratios(comparison: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (row["engine"], repr(point["parameters"])): row["over_reference"]
        for point in comparison["points"]
        for row in point["engines"]
    }


def _row(
    entry: Mapping[str, Any], names: list[str], ratios: Mapping[tuple[str, str], Any]
) -> list[str]:
    speed = entry["pairs_per_second"]
    ratio = ratios.get((entry["engine"], repr(entry["parameters"])))
    rates = entry["rates"] or {}
    peak = entry["peak_bytes"]
    return [
        entry["engine"],
        *(shown(entry["parameters"][name]) for name in names),
        quantity(speed["value"]).strip() if speed else "-",
        f"{quantity(speed['low']).strip()} … {quantity(speed['high']).strip()}" if speed else "-",
        f"{ratio['value']:.3g}" if ratio else "-",
        _sigma(rates.get("sigma_qber_z")),
        _sigma(rates.get("sigma_qber_x")),
        f"{int(peak) >> 20} MiB" if peak else "-",
        entry["state"],
    ]


def _sigma(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _fit(one: Mapping[str, Any]) -> str:
    """A serial fraction in a line."""
    fraction = one["serial_fraction"]
    ranks = ", ".join(map(str, one["parameters"]["ranks"]))
    return (
        f"{one['engine']}: serial fraction {100 * fraction['value']:.1f} % "
        f"({100 * fraction['low']:.1f} … {100 * fraction['high']:.1f} %), {one['law']}, ranks {ranks}"
    )


def differences_text(
    differences: Sequence[Difference], first: Mapping[str, Any], second: Mapping[str, Any]
) -> str:
    """What ``bench --compare`` prints."""
    rows = []
    for one in differences:
        ratio = f"{one.ratio.value:.3f}" if one.ratio else "-"
        interval = f"{one.ratio.low:.3f} … {one.ratio.high:.3f}" if one.ratio else one.why
        about = " ".join(
            f"{name}={shown(value)}"
            for name, value in one.parameters.items()
            if value not in (None, "", False)
        )
        rows.append([f"{one.engine} {about}", ratio, interval, one.verdict])
    lines = [f"speed of {second['id']} over {first['id']}"]
    if first["machine"]["processor"] != second["machine"]["processor"]:
        lines.append("the machines differ: only what was measured on one of them can be compared")
    if rows:
        lines.append(table(["case", "ratio", "99 %", "verdict"], rows))
    return "\n".join(lines)


def differences_dict(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "engine": one.engine,
            "parameters": dict(one.parameters),
            "verdict": one.verdict,
            "ratio": one.ratio._asdict() if one.ratio else None,
            "why": one.why,
        }
        for one in differences
    ]
