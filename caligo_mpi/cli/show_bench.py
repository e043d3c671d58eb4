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
    widths = []
    for column in zip(head, *rows, strict=True):
        widths.append(max(map(len, column)))
    lines = []
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        for cell, width in zip(row[1:], widths[1:], strict=True):
            cells.append(cell.rjust(width))
        line = "  ".join(cells)
        lines.append(line.rstrip())
    return "\n".join(lines)


def plan_text(planned: Planned, outlooks: Sequence[Outlook]) -> str:
    """What ``bench --plan`` prints: a row per case, and how long all runs will take."""
    bench = planned.bench
    rounds = bench.warmup + bench.repeats
    names = varying(planned.cases)
    rows = [_plan_row(one, names) for one in outlooks]
    problems = []
    seconds = 0.0
    for one in outlooks:
        if one.problem:
            problems.append(f"{one.case.engine}: {one.problem[1]}")
        else:
            seconds += rounds * one.forecast.seconds
    head = [
        "engine",
        *map(_title, names),
        "a run",
        "memory",
        "estimate",
    ]
    usable = len(outlooks) - len(problems)
    runs = counted(rounds * usable, "run")
    each = f"{bench.warmup} + {bench.repeats} of each"
    lines = [
        table(head, rows),
        *dict.fromkeys(problems),
        f"{runs} ({each}), about {duration(seconds)}",
    ]
    return "\n".join(lines)


def _plan_row(one: Outlook, names: Sequence[str]) -> list[str]:
    cells = [one.case.engine, *_parameters(one.case.parameters, names)]
    if one.problem:
        state = one.problem[0]
        return [*cells, state, "", ""]
    foreseen = one.forecast
    return [
        *cells,
        duration(foreseen.seconds),
        f"{foreseen.bytes >> 20} MiB",
        foreseen.source,
    ]


def _parameters(values: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those of a case's parameters that vary, for people."""
    return [shown(values[name]) for name in names]


def plan_dict(outlooks: Sequence[Outlook]) -> list[dict[str, Any]]:
    """What ``bench --plan --json`` prints."""
    found = []
    for one in outlooks:
        state, problem = one.problem or (OK, None)
        found.append(
            {
                "case": one.case.id,
                "engine": one.case.engine,
                "parameters": one.case.parameters,
                "state": state,
                "problem": problem,
                "seconds": one.forecast.seconds,
                "bytes": one.forecast.bytes,
                "estimate": one.forecast.source,
            }
        )
    return found


def run_text(
    case: Case,
    names: list[str],
    record: Mapping[str, Any],
    measure: str,
) -> str:
    """A run that has ended, in a line."""
    kind = "warm-up" if record["warmup"] else f"run {record['round']}"
    what = f"{label(case, names)}, {kind}"
    state = record["state"]
    if state != OK:
        return f"{what}: {state}: {record['problem']}"
    seconds = record["seconds"]
    whole = duration(seconds["process"])
    measured = seconds[measure]
    speed = "no time"
    if measured:
        speed = rate(case.pairs / measured)
    return f"{what}: {speed}, process {whole}"


def summary_text(
    summary: Mapping[str, Any],
    comparison: Mapping[str, Any],
    cases: list[Case],
    folder: str,
) -> str:
    """The table at the end of a bench: a row per case, what failed, fits, states."""
    entries = summary["cases"]
    names = varying(cases)
    ratios = _ratios(comparison)
    rows = [_row(entry, names, ratios) for entry in entries]
    head = [
        "engine",
        *map(_title, names),
        "pairs/s",
        "95 %",
        "over ref",
        "σ Z",
        "σ X",
        "memory",
        "state",
    ]
    problems = []
    for entry in entries:
        if entry["problem"]:
            problems.append(f"{entry['engine']}: {entry['state']}: {entry['problem']}")
    fits = [_fit(one) for one in summary["fits"]]
    states = [f"{number} {state}" for state, number in summary["states"].items()]
    count = counted(len(entries), "case")
    last = f"{folder}: {count}: {', '.join(states)}"
    if not summary["finished"]:
        last += "; stopped, run the same command again to go on"
    lines = [
        table(head, rows),
        *dict.fromkeys(problems),
        *fits,
        last,
    ]
    return "\n".join(lines)


def _ratios(comparison: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Speeds over the reference's, by engine and parameters."""
    found = {}
    for point in comparison["points"]:
        parameters = repr(point["parameters"])
        for row in point["engines"]:
            found[row["engine"], parameters] = row["over_reference"]
    return found


def _row(
    entry: Mapping[str, Any],
    names: list[str],
    ratios: Mapping[tuple[str, str], Any],
) -> list[str]:
    engine = entry["engine"]
    parameters = entry["parameters"]
    ratio = ratios.get((engine, repr(parameters)))
    rates = entry["rates"] or {}
    peak = entry["peak_bytes"]
    return [
        engine,
        *_parameters(parameters, names),
        *_speed(entry["pairs_per_second"]),
        f"{ratio['value']:.3g}" if ratio else "-",
        _sigma(rates.get("sigma_qber_z")),
        _sigma(rates.get("sigma_qber_x")),
        f"{int(peak) >> 20} MiB" if peak else "-",
        entry["state"],
    ]


def _speed(measured: Mapping[str, float] | None) -> tuple[str, str]:
    """Pairs per second, and their interval."""
    if not measured:
        return "-", "-"
    low = quantity(measured["low"]).strip()
    high = quantity(measured["high"]).strip()
    return quantity(measured["value"]).strip(), f"{low} … {high}"


def _sigma(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _fit(one: Mapping[str, Any]) -> str:
    """The serial fraction of an engine, with its interval, in a line."""
    fraction = one["serial_fraction"]
    value = 100 * fraction["value"]
    low = 100 * fraction["low"]
    high = 100 * fraction["high"]
    measured = f"{value:.1f} % ({low:.1f} … {high:.1f} %)"
    if value > 100:
        measured = "none, more ranks were slower"
    ranks = ", ".join(map(str, one["parameters"]["ranks"]))
    return f"{one['engine']}: serial fraction {measured}, {one['law']}, ranks {ranks}"


def differences_text(
    differences: Sequence[Difference],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
) -> str:
    """What ``bench --compare`` prints."""
    lines = [f"speed of {second['id']} over {first['id']}"]
    if first["machine"]["processor"] != second["machine"]["processor"]:
        lines.append("the machines differ: only what was measured on one of them can be compared")
    if differences:
        rows = [_difference_row(one) for one in differences]
        lines.append(table(["case", "ratio", "99 %", "verdict"], rows))
    return "\n".join(lines)


def _difference_row(one: Difference) -> list[str]:
    given = []
    for name, value in one.parameters.items():
        if value not in (None, "", False):
            given.append(f"{name}={shown(value)}")
    case = f"{one.engine} {' '.join(given)}"
    ratio = one.ratio
    if not ratio:
        return [case, "-", one.why, one.verdict]
    return [
        case,
        f"{ratio.value:.3f}",
        f"{ratio.low:.3f} … {ratio.high:.3f}",
        one.verdict,
    ]


def differences_dict(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """What ``bench --compare --json`` prints."""
    found = []
    for one in differences:
        found.append(
            {
                "engine": one.engine,
                "parameters": dict(one.parameters),
                "verdict": one.verdict,
                "ratio": one.ratio._asdict() if one.ratio else None,
                "why": one.why,
            }
        )
    return found
