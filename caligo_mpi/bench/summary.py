"""From the records of a session to its summary, its comparison of engines, and its line in the history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib import resources
from typing import Any

from . import statistics
from .outcome import added, verdict
from .plan import FINAL, OK, STATES, WRONG, Case
from .session import COMPARISON, SUMMARY, Record, Session, read_json, write_json

SCHEMA = "caligo-mpi bench summary"
VERSION = 1


def write(session: Session, cases: list[Case], *, finished: bool) -> dict[str, Any]:
    """Write summary.json and comparison.json; returns the former."""
    summary = summarize(session, cases, finished=finished)
    write_json(session.folder / COMPARISON, compare_engines(summary))
    write_json(session.folder / SUMMARY, summary)
    return summary


def summarize(session: Session, cases: list[Case], *, finished: bool) -> dict[str, Any]:
    """What summary.json holds; `schema` describes it."""
    records = session.records()
    by_case: dict[str, list[Record]] = {case.id: [] for case in cases}
    for record in records:
        by_case.setdefault(record["case"], []).append(record)
    measure = session.plan["bench"]["measure"]
    entries = [_entry(case, by_case[case.id], measure) for case in cases]
    states = Counter(entry["state"] for entry in entries)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "id": session.id,
        "name": session.plan["name"],
        "title": session.plan["bench"]["title"],
        "measure": measure,
        "started": min((record["started"] for record in records), default=None),
        "finished": now if finished else None,
        "machine": _machine(session),
        "states": {state: states[state] for state in STATES if states[state]},
        "cases": entries,
        "fits": fits(entries),
    }


def _machine(session: Session) -> dict[str, Any]:
    found = read_json(session.folder / "machine.json")
    return {name: found[name] for name in ("processor", "cores", "memory_bytes", "system")} | {
        "caligo_mpi": found["software"]["caligo_mpi"],
        "numpy": found["software"].get("numpy"),
        "python": found["software"]["python"],
    }


def _entry(case: Case, records: list[Record], measure: str) -> dict[str, Any]:
    """A case: its parameters, its state, and medians over the runs that count."""
    counted = [one for one in records if not one["warmup"] and one["state"] in (OK, WRONG)]
    bad = [one for one in records if one["state"] in FINAL]
    rates = added(counted)
    state, problem = verdict(rates)
    if bad:
        state, problem = bad[-1]["state"], bad[-1]["problem"]
    elif not counted:
        state, problem = "failed", "no run of it has ended yet"
    speeds = [case.pairs / seconds for one in counted if (seconds := one["seconds"][measure])]
    return {
        "case": case.id,
        "key": case.key,
        "engine": case.engine,
        "release": next((one["engine"] for one in counted if one["engine"]), None),
        "parameters": case.parameters,
        "pairs": case.pairs,
        "ranks": case.ranks,
        "state": state,
        "problem": problem,
        "runs": len(counted),
        "pairs_per_second": _interval(speeds),
        "speeds": speeds,
        "seconds": {
            name: _median([one["seconds"][name] for one in counted])
            for name in ("process", "run", "simulate")
        },
        "cpu_seconds": _median([one["cpu_seconds"] for one in counted]),
        "peak_bytes": max((one["peak_bytes"] for one in counted), default=None),
        "written_bytes": _median([one["written_bytes"] for one in counted]),
        "file_bytes": _median([one["file_bytes"] for one in counted]),
        "key_bits": _median([one["key_bits"] for one in counted]),
        "rates": rates,
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known).value if known else None


def _interval(values: list[float]) -> dict[str, float] | None:
    return statistics.median(values)._asdict() if values else None


def points(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Cases that differ in their engine alone, by their parameters."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        found.setdefault(repr(sorted(entry["parameters"].items(), key=str)), []).append(entry)
    return found


def compare_engines(summary: Mapping[str, Any]) -> dict[str, Any]:
    """For each set of parameters, engines by speed, each over the reference, which is the first engine."""
    found = []
    for entries in points(summary["cases"]).values():
        reference = next((one for one in entries if one["state"] == OK and one["speeds"]), None)
        ranked = [one for one in entries if one["state"] == OK and one["speeds"]]
        ranked.sort(key=lambda one: -one["pairs_per_second"]["value"])
        places = {one["case"]: place for place, one in enumerate(ranked, 1)}
        rows = [_row(one, reference, places) for one in entries]
        found.append(
            {
                "parameters": entries[0]["parameters"],
                "reference": reference["engine"] if reference else None,
                "engines": rows,
            }
        )
    return {
        "id": summary["id"],
        "measure": summary["measure"],
        "confidence": statistics.CONFIDENCE,
        "points": found,
    }


def _row(
    entry: Mapping[str, Any], reference: Mapping[str, Any] | None, places: Mapping[str, int]
) -> dict[str, Any]:
    ratio = None
    if entry is reference:
        ratio = statistics.Estimate(1.0, 1.0, 1.0)
    elif reference is not None and entry["speeds"]:
        ratio = statistics.ratio(entry["speeds"], reference["speeds"])
    return {
        "engine": entry["engine"],
        "release": entry["release"],
        "state": entry["state"],
        "rank": places.get(entry["case"]),
        "pairs_per_second": entry["pairs_per_second"],
        "over_reference": ratio._asdict() if ratio else None,
    }


def fits(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Serial fractions wherever cases differ in their number of ranks alone."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        rest = {name: value for name, value in entry["parameters"].items() if name != "ranks"}
        groups.setdefault(repr((entry["engine"], sorted(rest.items(), key=str))), []).append(entry)
    found = []
    for group in groups.values():
        times = {
            one["ranks"]: [one["pairs"] / speed for speed in one["speeds"]]
            for one in group
            if one["speeds"] and one["state"] == OK
        }
        is_weak = group[0]["parameters"]["weak"]
        law = statistics.gustafson if is_weak else statistics.amdahl
        if fraction := law(times):
            found.append(
                {
                    "law": "Gustafson" if is_weak else "Amdahl",
                    "engine": group[0]["engine"],
                    "parameters": {**group[0]["parameters"], "ranks": sorted(times)},
                    "serial_fraction": fraction._asdict(),
                }
            )
    return found


def history_line(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A session in a line: what is needed to compare with it later."""
    cases = {
        one["key"]: {
            "engine": one["engine"],
            "state": one["state"],
            "speeds": one["speeds"],
        }
        for one in summary["cases"]
    }
    kept = ("id", "name", "measure", "started", "finished", "machine")
    return {**{name: summary[name] for name in kept}, "cases": cases}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of summary.json."""
    text = resources.files(__package__).joinpath("summary-schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
