"""After the last chunk: the file gets its digest, its exact size and its final name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from . import layout as layouts
from .files import write_at
from .info import RunInfo
from .layout import Layout
from .output import Output
from .prepare import PairsKind
from .records import damaged_chunks, mark_for_redoing, scan, table_digest
from .rows import copy_rows, copy_tables


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a run has come to its goal.

    Its emissions, the configuration of the plain run of as many (JSON), what is said about the goal
    (JSON), and the decisions.
    """

    pairs: int
    config: str
    until: str
    decisions: NDArray[np.void]


def publish(
    output: Output,
    layout: Layout,
    fd: int,
    stopped: Stopped | None = None,
) -> None:
    """Give the partial file behind ``fd`` its final name; every step may be the last before a kill.

    Where the run ``stopped`` before its file was full, what has its name then is the beginning.
    """
    info = layout.info
    if stopped:
        rows = len(stopped.decisions)
        info = replace(info, pairs=stopped.pairs, config=stopped.config)
        info = replace(info, until=stopped.until, decisions=rows)
    chunks = len(info.partition)
    state = scan(fd, layout, chunks)
    if state.next < chunks or len(state.holes):
        raise StoreError(
            f"{output.part}: records were damaged while the run went on; run the same command again"
        )
    digest = table_digest(fd, layout, chunks)
    has_room_to_spare = info.has_index and info.has_columns
    source = output.part
    if stopped or has_room_to_spare:
        decisions = stopped.decisions if stopped else None
        source = _compact(
            output.aside,
            layout,
            fd,
            (info, state.rows),
            decisions,
        )
    layouts.complete(source, rows=state.rows, data_digest=digest)
    output.publish(source, digest, PairsKind(info))


def _compact(
    aside: Path,
    layout: Layout,
    fd: int,
    wanted: tuple[RunInfo, int],
    decisions: NDArray[np.void] | None,
) -> Path:
    """Copy the rows that are ``wanted`` into a file of their exact size and check all of it."""
    info, rows = wanted
    aside.unlink(missing_ok=True)
    try:
        exact = layouts.create(aside, info, capacity=rows)
        target = os.open(aside, os.O_RDWR)
        try:
            if decisions is not None and len(decisions):
                write_at(target, decisions, exact.offsets["decisions"])
            _copy_checked(fd, layout, target, exact, rows)
        finally:
            os.close(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


def _copy_checked(
    fd: int,
    layout: Layout,
    target: int,
    exact: Layout,
    rows: int,
) -> None:
    chunks = len(exact.info.partition)
    copy_rows(fd, layout, target, exact, rows)
    copy_tables(fd, layout, target, exact, chunks)
    bad = list(damaged_chunks(target, exact, range(chunks)))
    for index in bad:
        mark_for_redoing(fd, layout, index)
    if bad:
        raise StoreError(
            f"chunks {bad} were damaged on the disk while the run went on; run the same command again"
        )
    os.fsync(target)
