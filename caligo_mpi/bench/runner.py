"""Runs the cases of a bench, in turns, and records each as soon as it has ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..config.bench import BenchConfig
from ..config.strict_yaml import dump_yaml
from ..launch import signals
from ..machine.provenance import provenance
from . import machine
from .child import Child, Limits
from .outcome import KEYS_FILE, PAIRS_FILE, record_of
from .plan import FINAL, Case, in_rounds, problem
from .session import MACHINE, Session, write_json

Say = Callable[[str, dict[str, Any] | None], None]

_POLL_SECONDS = 0.005
#: Of the memory that is free when a bench begins, the share that its runs may take.
_MEMORY_SHARE = 0.8


@dataclass
class _Active:
    """A run that is under way; distilling has a first step, which is not measured."""

    case: Case
    round: int
    attempt: int
    folder: Path
    started: str
    load: float
    steps: Iterator[list[str]]
    stack: ExitStack
    child: Child = field(init=False)
    measured: bool = False


class Runner:
    """Runs what a session lacks.  ``say`` is told of every run: what it is, and its record."""

    def __init__(
        self,
        session: Session,
        bench: BenchConfig,
        cases: list[Case],
        say: Say,
    ) -> None:
        self._session = session
        self._bench = bench
        self._cases = cases
        self._say = say
        self.limits = Limits(bench.timeout_s, _most_bytes(bench))
        self._failed: set[str] = set()
        self._cores = len(os.sched_getaffinity(0))

    def run(self) -> bool:
        """Make every run that is not recorded; False where a signal asked for the end before."""
        self._settle()
        todo = self._todo()
        active: list[_Active] = []
        waiting = next(todo, None)
        while waiting is not None or active:
            if signals.stop_level():
                for one in active:
                    self._abandon(one)
                return False
            while waiting is not None:
                number, case = waiting
                if not self._has_room(active, case):
                    break
                if case.id not in self._failed:  # it may have failed since
                    active.append(self._begun(number, case, attempt=0))
                waiting = next(todo, None)
            watched, active = active, []
            for one in watched:
                active += self._looked_after(one)
            time.sleep(_POLL_SECONDS)
        return True

    def _settle(self) -> None:
        """Name and record, before anything is run, what cannot be."""
        recorded = {record["case"] for record in self._session.records()}
        for case in self._cases:
            found = None if case.id in recorded else problem(case)
            if found is not None:
                state, sentence = found
                told = {
                    "state": state,
                    "problem": sentence,
                    "started": _now(),
                    "load": None,
                }
                self._keep(
                    case,
                    number=0,
                    attempt=0,
                    found=told,
                )

    def _todo(self) -> Iterator[tuple[int, Case]]:
        """Runs that are not recorded; of a case that failed no more."""
        recorded = self._session.records()
        done = {(record["case"], record["round"]) for record in recorded}
        self._failed = {one["case"] for one in recorded if one["state"] in FINAL}
        rounds = self._bench.warmup + self._bench.repeats
        for number, case in in_rounds(self._cases, rounds):
            is_done = (case.id, number) in done
            if not is_done and case.id not in self._failed:
                yield number, case

    def _has_room(self, active: list[_Active], case: Case) -> bool:
        """Whether a run may begin beside others: there have to be cores and memory for it."""
        if not active:
            return True
        busy = sum(one.case.ranks for one in active)
        enough = machine.memory("MemAvailable") > self.limits.bytes
        fits = busy + case.ranks <= self._cores
        return len(active) < self._bench.max_parallel and fits and enough

    # ── one run ──────────────────────────────────────────────────────────────────────────────────

    def _begun(self, number: int, case: Case, attempt: int) -> _Active:
        stack = ExitStack()
        scratch = self._session.scratch(f"{case.id}-{number}")
        folder = stack.enter_context(scratch)
        seed = self._bench.seed + number
        steps = commands(case, folder, seed)
        one = _Active(
            case,
            number,
            attempt,
            folder,
            _now(),
            machine.load(),
            steps,
            stack,
        )
        self._step(one)
        return one

    def _step(self, one: _Active) -> None:
        command = next(one.steps)
        work = one.case.values["work"]
        one.measured = work != "distill" or "distill" in command
        line = [sys.executable, "-m", *command]
        one.child = Child(line, one.folder, self.limits)

    def _looked_after(self, one: _Active) -> list[_Active]:
        """The run where it goes on, is tried again or has another step; nothing once it is recorded."""
        ended = one.child.poll()
        if ended is None:
            return [one]
        found = record_of(
            one.case,
            ended,
            self.limits,
            one.folder,
        )
        is_final = found["state"] in FINAL
        if not one.measured and not is_final:
            self._step(one)
            return [one]
        one.stack.close()
        if is_final and one.attempt < self._bench.retries:
            return [self._begun(one.round, one.case, one.attempt + 1)]
        record = {
            **found,
            "started": one.started,
            "load": one.load,
        }
        self._keep(
            one.case,
            one.round,
            one.attempt,
            record,
        )
        return []

    def _keep(
        self,
        case: Case,
        number: int,
        attempt: int,
        found: dict[str, Any],
    ) -> None:
        record = {
            "case": case.id,
            "round": number,
            "warmup": number < self._bench.warmup,
            "attempts": attempt + 1,
            **found,
        }
        if found["state"] in FINAL:
            self._failed.add(case.id)
        self._session.record(record)
        self._say(case.id, record)

    def _abandon(self, one: _Active) -> None:
        one.child.end()
        while one.child.poll() is None:
            time.sleep(_POLL_SECONDS)
        one.stack.close()


def commands(case: Case, folder: Path, seed: int) -> Iterator[list[str]]:
    """The modules of a case with their arguments, in turn; their files are written to the run's folder."""
    work = case.values["work"]
    run = {**case.values["run"], "seed": seed}
    (folder / "run.yaml").write_text(dump_yaml(run), "utf-8")
    if work == "sample":
        yield ["caligo_mpi.bench.sample", "run.yaml"]
        return
    ranks = ["--ranks", str(case.ranks)] if case.ranks > 1 else []
    generate = [
        "caligo_mpi",
        "generate",
        "run.yaml",
        "-q",
        "--json",
        "-o",
        PAIRS_FILE,
    ]
    if work == "generate":
        yield [*generate, *ranks]
        return
    yield generate
    protocol = dump_yaml(case.values["protocol"])
    (folder / "protocol.yaml").write_text(protocol, "utf-8")
    distill = [
        "caligo_mpi",
        "distill",
        PAIRS_FILE,
        "--config",
        "protocol.yaml",
        "-q",
        "--json",
        "-o",
        KEYS_FILE,
    ]
    yield [*distill, *ranks]


def write_machine(session: Session) -> None:
    """What the bench is run on, and with what; written once."""
    path = session.folder / MACHINE
    if path.exists():
        return
    software = dict(provenance())
    for changing in ("host", "time"):
        software.pop(changing, None)
    found = machine.describe(session.folder)
    write_json(path, {**found, "software": software})


def _most_bytes(bench: BenchConfig) -> int:
    """Bytes that one run may take: as the bench says, or its share of the memory that is free now."""
    if bench.memory_mib:
        return bench.memory_mib << 20
    free = machine.memory("MemAvailable") or 1 << 40
    return int(_MEMORY_SHARE * free / bench.max_parallel)


def _now() -> str:
    now = datetime.now(timezone.utc)
    return now.isoformat(timespec="milliseconds")
