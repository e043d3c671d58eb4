"""After the last chunk: the file gets its final name, which never replaces another file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import StoreError
from . import layout as layouts
from . import lock as locks
from .files import move_new, set_aside, sync_directory, sync_file
from .layout import Layout
from .names import aside_path, part_path, remove_leftover
from .records import damaged_chunks, mark_for_redoing, scan, table_digest
from .rows import copy_rows, copy_tables


def publish(path: Path, layout: Layout, fd: int) -> list[str]:
    """Give the partial file behind ``fd`` its final name; every step may be the last before a kill."""
    part, chunks = part_path(path), len(layout.info.partition)
    state = scan(fd, layout)
    if state.next < chunks or len(state.holes):
        raise StoreError(
            f"{part}: records were damaged while the run went on; run the same command again"
        )
    digest = table_digest(fd, layout)
    has_room_to_spare = layout.info.has_index and layout.info.has_columns
    source = _compact(path, layout, fd, rows=state.rows) if has_room_to_spare else part
    layouts.complete(source, rows=state.rows, data_digest=digest)
    sync_file(source)
    if _is_there(path, layout, digest):
        source.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        return [
            f"{path} appeared while the run went on, finished and with the same data digest: it stays"
        ]
    messages = _make_way(path, layout)
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
            found = layouts.read(part).info
            if (found.config_digest, found.pairs) == (final.info.config_digest, final.info.pairs):
                part.unlink()
                remove_leftover(aside_path(path))
        finally:
            locks.release(lock)


def _compact(path: Path, layout: Layout, fd: int, *, rows: int) -> Path:
    """Copy the used rows into a file of their exact size and check all of it."""
    aside = aside_path(path)
    aside.unlink(missing_ok=True)
    try:
        exact = layouts.create(aside, layout.info, capacity=rows)
        target = os.open(aside, os.O_RDWR)
        try:
            _copy_checked(fd, layout, target, exact, rows)
        finally:
            os.close(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


def _copy_checked(fd: int, layout: Layout, target: int, exact: Layout, rows: int) -> None:
    chunks = len(layout.info.partition)
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


def _is_there(path: Path, layout: Layout, digest: str) -> bool:
    """Whether another launch has published the same run: possible where locks do not reach other hosts."""
    try:
        found = layouts.read(path)
    except StoreError:
        return False
    return found.info.pairs == layout.info.pairs and found.data_digest == digest


def _make_way(path: Path, layout: Layout) -> list[str]:
    """Set aside the shorter file of the same run that this one extends."""
    if not os.path.lexists(path):
        return []
    found = layouts.read(path).info
    if found.config_digest != layout.info.config_digest or found.pairs >= layout.info.pairs:
        raise StoreError(
            f"{path} appeared while the run went on; move it away and run the same command again"
        )
    return [
        f"the shorter {path} (pairs={found.pairs}) is set aside as {set_aside(path, 'old').name}"
    ]
