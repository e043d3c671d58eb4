"""A bench from its name to its results; what the command line calls."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.bench import PRESETS, BenchConfig, bench_document, parse_bench
from ..errors import ConfigError
from . import session as sessions
from . import summary
from .estimate import Forecast, forecast
from .plan import OK, WRONG, Case, cases, problem
from .runner import Runner, Say, write_machine
from .session import HISTORY, SUMMARY, Session

#: What a bench's file says, or a summary.
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """A bench with its cases, before anything is run."""

    name: str
    bench: BenchConfig
    cases: list[Case]

    def document(self) -> dict[str, Any]:
        """What plan.json holds."""
        listed = []
        for case in self.cases:
            entry = {
                "engine": case.engine,
                "values": case.values,
                "parameters": case.parameters,
            }
            listed.append(entry)
        plan: dict[str, Any] = {
            "name": self.name,
            "bench": self.bench.model_dump(mode="json"),
            "cases": listed,
        }
        return {**plan, "digest": sessions.digest(plan)}


def plan(name: str, changes: Values) -> Planned:
    """The bench of a preset's name or in a file, with ``changes`` of its keys."""
    document = bench_document(name)
    if isinstance(document, Mapping):
        document = {**document, **_fitting(document, changes)}
    bench = parse_bench(document, source=name)
    cores = len(os.sched_getaffinity(0))
    return Planned(_word(name), bench, cases(bench, cores))


def _word(name: str) -> str:
    """What the folder of a preset's bench, or of one in a file, is called."""
    if name in PRESETS:
        return name
    stem = Path(name).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem) or "bench"


def _fitting(document: Values, changes: Values) -> dict[str, Any]:
    """The changes; engines that are named alone keep the sections that the bench has of them."""
    if "engines" not in changes:
        return dict(changes)
    listed = document.get("engines", [])
    own = listed if isinstance(listed, list) else [listed]
    chosen: list[object] = []
    for name in changes["engines"]:
        same = [engine for engine in own if _name_of(engine) == name]
        chosen += same or [name]
    return {**changes, "engines": chosen}


def _name_of(engine: object) -> object:
    if isinstance(engine, Mapping):
        return engine.get("name")
    return engine


def planned(session: Session) -> Planned:
    """The bench of a session, as it was planned."""
    plan = session.plan
    source = session.folder / sessions.PLAN
    bench = parse_bench(plan["bench"], source=str(source))
    found = [Case(**one) for one in plan["cases"]]
    return Planned(plan["name"], bench, found)


@dataclass(frozen=True)
class Outlook:
    """A case with what keeps it from being run, or else an estimate."""

    case: Case
    problem: tuple[str, str] | None
    forecast: Forecast


def outlook(found: Planned, root: Path | None) -> list[Outlook]:
    """Every case with its availability and estimate."""
    lines = sessions.history(root / HISTORY) if root else []
    outlooks = []
    for case in found.cases:
        reason = problem(case)
        outlooks.append(Outlook(case, reason, forecast(case, lines)))
    return outlooks


def run(root: Path, found: Planned, say: Say) -> tuple[Session, dict[str, Any]]:
    """Run a bench into a folder below ``root``, or go on with it; its session and summary.

    The summary's ``finished`` is None where a signal asked for the end before.
    """
    session = sessions.begin(root, found.name, found.document())
    return session, _run(session, found, say)


def rerun_failed(session: Session, say: Say) -> dict[str, Any]:
    """Run the cases of a session again that are not ok, and only those."""
    path = session.folder / SUMMARY
    if not path.exists():
        raise ConfigError(
            f"{session.folder} is not finished; go on with it by the command that began it"
        )
    before = sessions.read_json(path)
    bad = []
    for one in before["cases"]:
        if one["state"] != OK:
            bad.append(one["case"])
    if not bad:
        return dict(before)
    # Unfinished from here on, so that a kill leaves a session that is gone on with.
    unfinished = {**before, "finished": None}
    sessions.write_json(path, unfinished)
    for case in bad:
        session.forget(case)
    return _run(session, planned(session), say)


def _run(session: Session, found: Planned, say: Say) -> dict[str, Any]:
    write_machine(session)
    runner = Runner(session, found.bench, found.cases, say)
    is_done = runner.run()
    result = summary.write(session, found.cases, finished=is_done)
    if is_done:
        history = session.folder.parent / HISTORY
        line = summary.history_line(result)
        sessions.add_to_history(history, line)
    return result


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a session, or of the latest one in a folder."""
    session = sessions.find(path)
    found = sessions.read_json(session.folder / SUMMARY)
    is_summary = isinstance(found, dict) and found.get("schema") == summary.SCHEMA
    if not is_summary:
        raise ConfigError(f"{path} has no summary of a bench; name a folder that `bench` wrote")
    return dict(found)


def is_good(result: Values) -> bool:
    """Whether every case that could be run is right."""
    states = [one["state"] for one in result["cases"]]
    return WRONG not in states


def numbers(text: str, what: str) -> Sequence[str]:
    """The values of an option, separated by commas; raises `ConfigError` where one is empty."""
    values = [one.strip() for one in text.split(",")]
    if not all(values):
        raise ConfigError(f"--{what} {text}: has an empty value; separate values by single commas")
    return values
