"""What the chunk table of a pairs file tells, without a look at its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import RunConfig
from ..engines.link import Expected
from ..errors import CaligoError
from ..pairs import CHUNK_COUNTS, Tally
from ..runs import devices
from ..store import PairsFile, RunInfo, open_pairs

#: Stages that the course of a run is cut into at most.
STAGES = 120
#: Chunks that are drawn one by one.
SEGMENTS = 2000
#: Records that are read at a time.
_BATCH = 1 << 16
_COURSE = np.dtype(
    [
        ("start", "<i8"),
        ("seconds", "<f8"),
        *((name, "<i8") for name in CHUNK_COUNTS),
    ]
)
_WORK = np.dtype(
    [
        ("run", "<i8"),
        ("rank", "<i8"),
        ("chunks", "<i8"),
        ("seconds", "<f8"),
        ("rows", "<i8"),
    ]
)
_SEGMENT = np.dtype(
    [
        ("run", "<i8"),
        ("rank", "<i8"),
        ("seconds", "<f8"),
    ]
)

Table = NDArray[Any]
#: Chunks, busy seconds and rows of each launch and rank.
Work = dict[tuple[int, int], list[float]]


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """A run as its chunk table tells it.

    ``course`` has a row per stage: ``start`` (emission), ``seconds`` and sums over its chunks of
    count, rows, sifted pairs, errors and clicks.  ``work`` has a row per launch and rank: ``run``,
    ``rank``, ``chunks``, ``seconds`` (busy), ``rows``.  ``segments`` are launch, rank and seconds
    of each chunk in order, empty where there are more than `SEGMENTS`.  ``expected`` are the closed
    forms, None where there are none; ``runs``, ``faults`` and ``metrics`` are the file's tables.
    """

    path: str
    info: RunInfo
    complete: bool
    data_digest: str
    chunks: int
    course: Table
    work: Table
    segments: Table
    expected: Expected | None
    runs: Table
    faults: Table
    metrics: Table
    duration_ns: float

    @property
    def tally(self) -> Tally:
        """Sifted pairs and errors of all rows."""
        return Tally(
            self.total("sifted_z"),
            self.total("errors_z"),
            self.total("sifted_x"),
            self.total("errors_x"),
        )

    def total(self, name: str) -> int:
        """The sum of a column of ``course``."""
        return int(self.course[name].sum())


def glance(source: str | os.PathLike[str] | PairsFile | Glance) -> Glance:
    """What the chunk table of a pairs file tells; a file that is open stays open.

    Raises `StoreError` where it cannot be read.
    """
    if isinstance(source, Glance):
        return source
    if isinstance(source, PairsFile):
        return _glance(source)
    with open_pairs(source) as file:
        return _glance(file)


def _glance(file: PairsFile) -> Glance:
    chunks = file.chunk_count
    per_stage = max(1, -(-chunks // STAGES))
    stages: list[Table] = []
    work: Work = {}
    segments: list[Table] = []
    duration = 0.0
    for records in _batches(file, chunks, per_stage):
        stages.append(_stages(records, per_stage))
        _add_work(work, records)
        duration += float(records["duration_ns"].sum())
        if chunks <= SEGMENTS:
            segments.append(records[["run", "rank", "seconds"]])
    return Glance(
        path=str(file.path),
        info=file.info,
        complete=file.complete,
        data_digest=file.data_digest,
        chunks=chunks,
        course=np.concatenate([*stages, np.zeros(0, _COURSE)]),
        work=_work_table(work),
        segments=_segments(segments),
        expected=closed_forms(file.info),
        runs=file.runs,
        faults=file.faults,
        metrics=file.metrics,
        duration_ns=duration,
    )


def closed_forms(info: RunInfo) -> Expected | None:
    """The closed-form rates of a file's run, None where there are none."""
    try:
        run = RunConfig.from_json(info.config)
        return devices.expected(run)
    except CaligoError:
        return None  # an engine that is not installed here


def _batches(file: PairsFile, chunks: int, per_stage: int) -> Iterator[Table]:
    """The records, some whole stages at a time."""
    size = max(per_stage, _BATCH // per_stage * per_stage)
    for start in range(0, chunks, size):
        stop = min(start + size, chunks)
        yield file.chunk_records(start, stop)


def _stages(records: Table, per_stage: int) -> Table:
    firsts = np.arange(
        0,
        len(records),
        per_stage,
    )
    found = np.zeros(len(firsts), _COURSE)
    found["start"] = records["start"][firsts]
    for name in ("seconds", *CHUNK_COUNTS):
        found[name] = np.add.reduceat(records[name], firsts)
    return found


def _add_work(work: Work, records: Table) -> None:
    run = records["run"].astype(np.int64)
    rank = records["rank"].astype(np.int64)
    names, places = np.unique(run << 32 | rank, return_inverse=True)
    columns = (
        np.bincount(places),
        np.bincount(places, records["seconds"]),
        np.bincount(places, records["rows"].astype(float)),
    )
    for number, name in enumerate(names.tolist()):
        who = (name >> 32, name & 0xFFFFFFFF)
        sums = work.setdefault(who, [0.0, 0.0, 0.0])
        for place, column in enumerate(columns):
            sums[place] += float(column[number])


def _work_table(work: Work) -> Table:
    rows = []
    for (run, rank), sums in sorted(work.items()):
        rows.append((run, rank, *sums))
    return np.array(rows, _WORK)


def _segments(parts: list[Table]) -> Table:
    chunks = sum(len(part) for part in parts)
    found = np.zeros(chunks, _SEGMENT)
    if parts:
        for name in ("run", "rank", "seconds"):
            found[name] = np.concatenate([part[name] for part in parts])
    return found
