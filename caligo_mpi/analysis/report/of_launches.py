"""What a report says of how a pairs file was made: launches, ranks, faults, configuration, software."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...config import RunConfig, dump_config
from ...errors import CaligoError
from ..glance import Glance
from . import html

#: Rows of a table of launches, ranks or faults that are shown.
_MOST_ROWS = 50

_LAUNCHES = (
    "started",
    "last commit",
    "ranks",
    "host",
    "MPI",
    "job",
)
_RANKS = (
    "launch",
    "rank",
    "time / s",
    "busy / %",
    "writing / %",
    "communicating / %",
    "idle / %",
    "chunks",
    "messages",
    "bytes",
    "memory / MB",
    "efficiency / %",
    "load / %",
    "host",
    "cores",
)
_FAULTS = (
    "time",
    "launch",
    "rank",
    "host",
    "what",
    "chunks redone",
)


def background(seen: Glance) -> Iterator[str]:
    """The end of a file's section."""
    launches = [_launch(row) for row in seen.runs[:_MOST_ROWS]]
    yield html.heading(3, "Launches")
    yield html.table(_LAUNCHES, launches, numbers=(2,))
    yield from html.first_of(_MOST_ROWS, len(seen.runs), "launches")
    if len(seen.metrics):
        ranks = [_rank(row) for row in seen.metrics[-_MOST_ROWS:]]
        yield html.heading(3, "Ranks")
        yield html.table(
            _RANKS,
            ranks,
            numbers=range(2, 13),
        )
        yield from html.last_of(_MOST_ROWS, len(seen.metrics), "rows, the latest launch at the end")
    if len(seen.faults):
        faults = [_fault(row) for row in seen.faults[:_MOST_ROWS]]
        yield html.heading(3, "Faults")
        yield html.table(_FAULTS, faults, numbers=(5,))
        yield from html.first_of(_MOST_ROWS, len(seen.faults), "faults")
    config = html.code(configuration(seen.info.config))
    said = html.facts(software(seen.info.software))
    yield html.heading(3, "Configuration and software")
    yield html.columns(config, said)


def _launch(row: np.void) -> tuple[object, ...]:
    return (
        moment(row["started"]),
        moment(row["last_commit"]),
        int(row["ranks"]),
        _text(row["host"]),
        _text(row["mpi"]),
        _text(row["job"]),
    )


def _rank(row: np.void) -> tuple[object, ...]:
    first, ranks = int(row["rank"]), int(row["ranks"])
    seconds = max(float(row["seconds"]), 1e-9)
    megabytes = int(row["peak_memory"]) / 1e6
    states = ("busy", "writing", "communicating", "idle")
    shares = [f"{100 * float(row[name]) / seconds:.1f}" for name in states]
    counts = [f"{int(row[name]):,}" for name in ("chunks", "messages", "bytes")]
    return (
        int(row["run"]) + 1,
        f"{first}" if ranks == 1 else f"{ranks} from {first}",
        f"{seconds:.3g}",
        *shares,
        *counts,
        f"{megabytes:,.0f}",
        f"{100 * float(row['efficiency']):.0f}",
        f"{100 * float(row['balance']):.0f}",
        _text(row["host"]),
        _text(row["cores"]),
    )


def _fault(row: np.void) -> tuple[object, ...]:
    return (
        moment(row["time"]),
        int(row["run"]) + 1,
        int(row["rank"]),
        _text(row["host"]),
        _text(row["what"]),
        int(row["chunks"]),
    )


def configuration(text: str) -> str:
    """A run's resolved configuration as YAML, or as it stands where this installation does not know it."""
    try:
        run = RunConfig.from_json(text)
        return dump_config(run).rstrip()
    except CaligoError:
        return json.dumps(json.loads(text), indent=2)


def software(said: Any) -> Iterator[tuple[str, object]]:
    """What was noted of the software, a line each."""
    for name, value in said.items():
        is_plain = isinstance(value, str | int | float)
        yield name, value if is_plain else json.dumps(value)


def moment(seconds: float) -> str:
    """A time since 1970 for people, in UTC; a dash where there is none."""
    if not seconds:
        return "–"
    utc = datetime.timezone.utc
    when = datetime.datetime.fromtimestamp(float(seconds), utc)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace") or "–"
