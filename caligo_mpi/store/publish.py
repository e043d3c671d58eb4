"""After the last chunk: the file gets its final name, which never replaces another file."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from . import layout as layouts
from . import lock as locks
from .files import move_new, set_aside, sync_directory, sync_file, write_at
from .layout import Layout, RunInfo
from .names import aside_path, part_path, remove_leftover
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


def publish(path: Path, layout: Layout, fd: int, stopped: Stopped | None = None) -> list[str]:
    """Give the partial file behind ``fd`` its final name; every step may be the last before a kill.

    Where the run ``stopped`` before its file was full, what has its name then is the beginning.
    """
    info = layout.info
    if stopped:
        rows = len(stopped.decisions)
        info = replace(info, pairs=stopped.pairs, config=stopped.config)
        info = replace(info, until=stopped.until, decisions=rows)
    part, chunks = part_path(path), len(info.partition)
    state = scan(fd, layout, chunks)
    if state.next < chunks or len(state.holes):
        raise StoreError(
            f"{part}: records were damaged while the run went on; run the same command again"
        )
    digest = table_digest(fd, layout, chunks)
    has_room_to_spare = info.has_index and info.has_columns
    source = part
    if stopped or has_room_to_spare:
        decisions = stopped.decisions if stopped else None
        source = _compact(path, layout, fd, (info, state.rows), decisions)
    layouts.complete(source, rows=state.rows, data_digest=digest)
    sync_file(source)
    if _is_there(path, info, digest):
        source.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        return [
            f"{path} appeared while the run went on, finished and with the same data digest: it stays"
        ]
    messages = _make_way(path, info)
    move_new(source, path)
    part.unlink(missing_ok=True)
    sync_directory(path.parent)
    return messages


def clear_leftovers(path: Path, final: Layout) -> None:
    """Remove what a finished run left behind that was killed while it published, unless a launch is at it."""
    part = part_path(path)
    if not part.exists() and not locks.lock_path(path).exists():
        return
    with suppress(StoreError, OSError):
        lock = locks.acquire(path, {"id": "clearing up"}, patience=0.0)
        try:
            if _is_left_over(part, final.info):
                part.unlink()
                remove_leftover(aside_path(path))
        finally:
            locks.release(lock)


def _is_left_over(part: Path, final: RunInfo) -> bool:
    """Whether a partial file holds nothing that the finished one has not."""
    fd, layout = layouts.read_open(part)
    try:
        if layout.info.config_digest != final.config_digest:
            return False
        if layout.info.pairs == final.pairs:
            return True
        return bool(final.until) and scan(fd, layout).next <= len(final.partition)
    finally:
        os.close(fd)


def _compact(
    path: Path,
    layout: Layout,
    fd: int,
    wanted: tuple[RunInfo, int],
    decisions: NDArray[np.void] | None,
) -> Path:
    """Copy the rows that are ``wanted`` into a file of their exact size and check all of it."""
    info, rows = wanted
    aside = aside_path(path)
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


def _copy_checked(fd: int, layout: Layout, target: int, exact: Layout, rows: int) -> None:
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


def _is_there(path: Path, info: RunInfo, digest: str) -> bool:
    """Whether another launch has published the same run: possible where locks do not reach other hosts."""
    try:
        found = layouts.read(path)
    except StoreError:
        return False
    return found.info.pairs == info.pairs and found.data_digest == digest


def _make_way(path: Path, info: RunInfo) -> list[str]:
    """Set aside the shorter file of the same run that this one extends."""
    if not os.path.lexists(path):
        return []
    found = layouts.read(path).info
    if found.config_digest != info.config_digest or found.pairs >= info.pairs:
        raise StoreError(
            f"{path} appeared while the run went on; move it away and run the same command again"
        )
    return [
        f"the shorter {path} (pairs={found.pairs}) is set aside as {set_aside(path, 'old').name}"
    ]
