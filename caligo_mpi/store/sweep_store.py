"""`SweepStore`: the one writer of a sweep's file.

While points are computed, what is known of them is appended to a journal; when the last one is in,
the HDF5 file is written aside, synced and published.  It then replaces the file of the same sweep
with fewer points, all of which are in it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import StoreError
from . import lock as locks
from .closing import Closing
from .differences import differences
from .files import disk_errors, move_new, set_aside, sync_directory, sync_file
from .keys_journal import append_all
from .names import (
    aside_path,
    not_overwritten,
    output_name,
    part_path,
    remove_leftover,
    require_ours,
)
from .output import require_directory
from .sweep_data import Row, SweepInfo, SweepRows
from .sweep_file import read_finished, write_sweep
from .sweep_journal import MAGIC, TornSweep, of_info, of_row, read_sweep_journal

#: Seconds between two commits: what a kill may cost.
_COMMIT_SECONDS = 0.25


def preflight_sweep(path: str | os.PathLike[str], info: SweepInfo, *, force: bool) -> None:
    """Raise now, having touched nothing, what `SweepStore.open` would raise."""
    path = output_name(path)
    require_directory(path)
    if force:
        if os.path.lexists(path):
            require_ours(path)
        return
    found = existing(path)
    if found is not None:
        require_same_sweep(path.parent, found.info, info)


def require_place(folder: Path) -> None:
    """The directory of a sweep is one already, or can be made."""
    if folder.is_dir():
        return
    if folder.exists():
        raise StoreError(f"{folder} is not a directory; name another one for the sweep")
    if not folder.parent.is_dir():
        raise StoreError(f"{folder.parent} is not a directory; create it or choose another one")
    if not os.access(folder.parent, os.W_OK):
        raise StoreError(f"{folder.parent} is not writable; choose another directory")


def existing(path: Path) -> SweepRows | None:
    """What a directory's partial or finished file holds; None where neither is there."""
    part = part_path(path)
    if os.path.lexists(part):
        try:
            return read_sweep_journal(part)[0]
        except TornSweep:
            if not os.path.lexists(path):
                return None
    if not os.path.lexists(path):
        return None
    try:
        return read_finished(path)
    except StoreError as error:
        raise StoreError(f"{error}; {not_overwritten(path)}") from error


def require_same_sweep(where: Path, found: SweepInfo, asked: SweepInfo) -> None:
    """Refuse points of a sweep that has another base, naming the difference."""
    if found.goes_with(asked):
        return
    told = differences(found.identity, asked.identity)
    raise StoreError(
        f"{where} belongs to another sweep ({told}); "
        "choose another directory or set its file aside with --force"
    )


class SweepStore(Closing):
    """A sweep's file while points come in; exactly one process may hold it.

    ``found`` is what was in it; ``messages`` says what was done with files, one sentence each.
    """

    def __init__(self, path: Path, info: SweepInfo, lock: locks.Lock) -> None:
        self.path = path
        self.info = info
        self.messages: list[str] = []
        self.found = SweepRows(info)
        self._lock = lock
        self._fd = -1
        self._closed = False
        self._pending: list[bytes] = []
        self._committed_at = time.monotonic()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        info: SweepInfo,
        *,
        launch: Mapping[str, object],
        force: bool = False,
    ) -> SweepStore:
        """Begin the partial file of ``path``, or go on with what is there; ``force`` sets other files aside."""
        path = output_name(path)
        preflight_sweep(path, info, force=force)
        with disk_errors(path, "opening the output"):
            owner = {"id": uuid.uuid4().hex, **launch}
            store = cls(path, info, locks.acquire(path, owner))
            try:
                store._prepare(force=force)
            except BaseException:
                store.close()
                raise
        return store

    def close(self) -> None:
        """Release the file; a partial one stays and can be resumed."""
        if self._closed:
            return
        self._closed = True
        if self._fd >= 0:
            os.close(self._fd)
        locks.release(self._lock)

    @property
    def is_due(self) -> bool:
        """Whether it is time to commit."""
        return time.monotonic() - self._committed_at >= _COMMIT_SECONDS

    def put(self, record: bytes) -> None:
        """Take a record of `sweep_journal`, to be written with the next commit."""
        self._pending.append(record)

    def commit(self) -> None:
        """Press all that was put to the disk."""
        self._committed_at = time.monotonic()
        if not self._pending:
            return
        with disk_errors(part_path(self.path), "writing"):
            locks.check(self._lock)
            append_all(self._fd, self._pending)
        self._pending.clear()

    def touch(self) -> None:
        """A sign of life while there is nothing to write: the launcher takes long silence for a hang."""
        os.utime(self._fd)

    def finish(self, rows: Sequence[Row]) -> None:
        """Write the file of all these rows and publish it."""
        self.commit()
        aside = aside_path(self.path)
        part = part_path(self.path)
        with disk_errors(self.path, "publishing"):
            locks.check(self._lock)
            remove_leftover(aside)
            write_sweep(aside, self.info, rows)
            sync_file(aside)
            if os.path.lexists(self.path):
                # The same sweep with fewer points, every one of which is in this file.
                require_same_sweep(self.path.parent, read_finished(self.path).info, self.info)
            aside.replace(self.path)
            part.unlink(missing_ok=True)
            sync_directory(self.path.parent)

    def _prepare(self, *, force: bool) -> None:
        part = part_path(self.path)
        for leftover in (aside_path(part), aside_path(self.path)):
            remove_leftover(leftover)
        if force:
            self._set_aside()
        elif (found := existing(self.path)) is not None:
            require_same_sweep(self.path.parent, found.info, self.info)
            self.found = found
        if os.path.lexists(part):
            self._resume(part)
        if not part.exists():
            self._begin(part)
        self._fd = os.open(part, os.O_RDWR | os.O_APPEND)

    def _set_aside(self) -> None:
        for path in (self.path, part_path(self.path)):
            if os.path.lexists(path):
                self.messages.append(f"{path} is set aside as {set_aside(path, 'old').name}")

    def _resume(self, part: Path) -> None:
        """Cut off what a kill left of the last record, or set a file aside that says nothing."""
        try:
            _, end = read_sweep_journal(part)
        except TornSweep as error:
            self.messages.append(f"{error}; it is set aside as {set_aside(part, 'damaged').name}")
            return
        os.truncate(part, end)

    def _begin(self, part: Path) -> None:
        aside = aside_path(part)
        remove_leftover(aside)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(fd, MAGIC)
            rows = map(of_row, self.found.rows.values())
            append_all(fd, [of_info(self.info), *rows])
        finally:
            os.close(fd)
        move_new(aside, part)
        sync_directory(part.parent)
