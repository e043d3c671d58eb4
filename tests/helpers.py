"""What tests and fixtures share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from caligo_mpi.parallel.job import Progress, Rules
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.job import Observer

ROOT = Path(__file__).parent.parent
PLUGINS = Path(__file__).parent / "plugins"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a subprocess: finds this package and the test engines."""
    paths = [str(ROOT), str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **extra}


def names(folder: Path | str) -> list[str]:
    """Names in a folder, sorted."""
    return sorted(path.name for path in Path(folder).iterdir())


#: The examples that configure runs; the others configure protocols.
RUN_CONFIGS = sorted(
    path for path in (ROOT / "configs").glob("*.yaml") if "\nmode:" not in path.read_text("utf-8")
)


class Recorder(Observer):
    """An observer that keeps what it is told, and passes progress on to ``report``."""

    def __init__(self, report: Callable[[Progress], object] = lambda progress: None) -> None:
        super().__init__()
        self.said: list[str] = []
        self.reports: list[Progress] = []
        self._report = report

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, where: Progress) -> None:
        self.reports.append(where)
        self._report(where)


def stopping_after(items: int) -> Callable[..., object]:
    """A map that is asked to stop once so many items are in."""
    done: list[int] = []

    def some(setup, todo):
        rules = Rules(stop=lambda: int(len(done) >= items))
        for found in serial_map(setup, todo, rules):
            done.append(1)
            yield found

    return some


def of_version_1(job: Any) -> Any:
    """The job as the first version of the protocol's random streams had it."""
    premises = replace(job.source.premises, stream_version=1)
    return replace(
        job, info=replace(job.info, stream_version=1), source=replace(job.source, premises=premises)
    )
