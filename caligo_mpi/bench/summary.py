"""From the records of a session to its summary, its comparison of engines, and its line in the history."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib import resources
from typing import Any

from . import statistics
from .outcome import Rates, Verdict, added, verdict
from .plan import FAILED, FINAL, OK, STATES, WRONG, Case
from .session import COMPARISON, MACHINE, SUMMARY, Record, Session, read_json, write_json

SCHEMA = "caligo-mpi bench summary"
VERSION = 1

#: A case in a summary.
Entry = Mapping[str, Any]


def write(session: Session, cases: list[Case], *, finished: bool) -> dict[str, Any]:
    """Write summary.json and comparison.json; returns the former."""
    summary = summarize(session, cases, finished=finished)
    write_json(session.folder / COMPARISON, compare_engines(summary))
    write_json(session.folder / SUMMARY, summary)
    return summary


def summarize(session: Session, cases: list[Case], *, finished: bool) -> dict[str, Any]:
    """What summary.json holds; `schema` describes it."""
    records = session.records()
    by_case: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_case[record["case"]].append(record)
    bench = session.plan["bench"]
    measure = bench["measure"]
    entries = [_entry(case, by_case[case.id], measure) for case in cases]
    states = Counter(entry["state"] for entry in entries)
    starts = [record["started"] for record in records]
    now = datetime.now(timezone.utc)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "id": session.id,
        "name": session.plan["name"],
        "title": bench["title"],
        "measure": measure,
        "started": min(starts, default=None),
        "finished": now.isoformat(timespec="seconds") if finished else None,
        "machine": _machine(session),
        "states": {state: states[state] for state in STATES if states[state]},
        "cases": entries,
        "fits": fits(entries),
    }


def _machine(session: Session) -> dict[str, Any]:
    found = read_json(session.folder / MACHINE)
    software = found["software"]
    return {
        "processor": found["processor"],
        "cores": found["cores"],
        "memory_bytes": found["memory_bytes"],
        "system": found["system"],
        "caligo_mpi": software["caligo_mpi"],
        "numpy": software.get("numpy"),
        "python": software["python"],
    }


def _entry(case: Case, records: list[Record], measure: str) -> dict[str, Any]:
    """A case: its parameters, its state, and medians over the runs that count."""
    ended = [one for one in records if one["state"] in (OK, WRONG)]
    counted = [one for one in ended if not one["warmup"]]
    rates = added(counted)
    state, problem = _case_state(records, counted, rates)
    releases = [one["engine"] for one in counted if one["engine"]]
    times = _seconds(counted)
    speeds = [case.pairs / seconds for seconds in times[measure] if seconds]
    peaks = [one["peak_bytes"] for one in counted]
    return {
        "case": case.id,
        "key": case.key,
        "engine": case.engine,
        "release": releases[0] if releases else None,
        "parameters": case.parameters,
        "pairs": case.pairs,
        "ranks": case.ranks,
        "state": state,
        "problem": problem,
        "runs": len(counted),
        "pairs_per_second": _interval(speeds),
        "speeds": speeds,
        "seconds": {name: _median(values) for name, values in times.items()},
        "cpu_seconds": _median_of(counted, "cpu_seconds"),
        "peak_bytes": max(peaks, default=None),
        "written_bytes": _median_of(counted, "written_bytes"),
        "file_bytes": _median_of(counted, "file_bytes"),
        "key_bits": _median_of(counted, "key_bits"),
        "rates": rates,
    }


def _case_state(
    records: list[Record],
    counted: list[Record],
    rates: Rates | None,
) -> Verdict:
    """The case's state and what is wrong: the last failure, or else the verdict on its rates."""
    bad = [one for one in records if one["state"] in FINAL]
    if bad:
        last = bad[-1]
        return last["state"], last["problem"]
    if not counted:
        return FAILED, "no run of it has ended yet"
    return verdict(rates)


def _seconds(records: list[Record]) -> dict[str, list[float | None]]:
    """What the runs took, by what was timed."""
    times = [one["seconds"] for one in records]
    return {
        "process": [taken["process"] for taken in times],
        "run": [taken["run"] for taken in times],
        "simulate": [taken["simulate"] for taken in times],
    }


def _median_of(records: list[Record], name: str) -> float | None:
    return _median([one[name] for one in records])


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return statistics.median(known).value


def _interval(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return statistics.median(values)._asdict()


def points(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Cases that differ in their engine alone, by their parameters."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        point = _sorted(entry["parameters"])
        found.setdefault(repr(point), []).append(entry)
    return found


def _sorted(parameters: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The same list for equal parameters."""
    return sorted(parameters.items(), key=str)


def _is_ranked(entry: Entry) -> bool:
    """Whether the case has a place among the engines: it is right, and has speeds."""
    return bool(entry["state"] == OK and entry["speeds"])


def compare_engines(summary: Mapping[str, Any]) -> dict[str, Any]:
    """For each set of parameters, engines by speed, each over the reference, which is the first engine."""
    found = []
    for entries in points(summary["cases"]).values():
        ranked = [one for one in entries if _is_ranked(one)]
        reference = ranked[0] if ranked else None
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
    entry: Entry,
    reference: Entry | None,
    places: Mapping[str, int],
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


def fits(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Serial fractions wherever cases differ in their number of ranks alone."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        rest = dict(entry["parameters"])
        rest.pop("ranks", None)
        group = (entry["engine"], _sorted(rest))
        groups.setdefault(repr(group), []).append(entry)
    found = [_fit(group) for group in groups.values()]
    return [fit for fit in found if fit]


def _fit(group: list[Entry]) -> dict[str, Any] | None:
    """The serial fraction of cases that differ in their number of ranks alone, where it can be told."""
    times = {}
    for one in group:
        if _is_ranked(one):
            times[one["ranks"]] = [one["pairs"] / speed for speed in one["speeds"]]
    first = group[0]
    parameters = first["parameters"]
    if parameters["weak"]:
        law = "Gustafson"
        fraction = statistics.gustafson(times)
    else:
        law = "Amdahl"
        fraction = statistics.amdahl(times)
    if fraction is None:
        return None
    return {
        "law": law,
        "engine": first["engine"],
        "parameters": {**parameters, "ranks": sorted(times)},
        "serial_fraction": fraction._asdict(),
    }


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
    head = {name: summary[name] for name in kept}
    return {**head, "cases": cases}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of summary.json."""
    file = resources.files(__package__).joinpath("summary-schema.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found
