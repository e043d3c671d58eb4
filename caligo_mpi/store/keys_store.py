"""`KeysStore`: the one writer of a keys file.

While blocks are being distilled, their results are appended to a journal.  When the last block is in, the HDF5 file is
written aside, synced and published under its final name.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from ..errors import StoreError
from ..terminal.wording import so_far
from . import lock as locks
from .differences import differences
from .files import disk_errors, move_new, set_aside, sync_directory, sync_file
from .keys_data import KeysInfo, KeysReport, KeysTables
from .keys_file import MODE, Stream, read_report, write_stream
from .keys_journal import MAGIC, TornHeader, append, is_partial, read_journal, record_at
from .names import (
    AlreadyComplete,
    aside_path,
    not_overwritten,
    output_name,
    part_path,
    remove_leftover,
    require_ours,
)
from .prepare import require_directory


def preflight_keys(path: str | os.PathLike[str], info: KeysInfo, *, force: bool) -> None:
    """Raise now, having touched nothing, what `KeysStore.open` would raise."""
    path = output_name(path)
    require_directory(path)
    if force:
        if os.path.lexists(path):
            require_ours(path)
        return
    if os.path.lexists(path):
        _refuse(path, info)
    part = part_path(path)
    if os.path.lexists(part):
        if not is_partial(part):
            raise StoreError(
                f"{part} is in the way and no partial keys file; {not_overwritten(part)}"
            )
        with suppress(TornHeader):
            _require_same(part, read_journal(part).info, info)


def _refuse(path: Path, info: KeysInfo) -> None:
    """Say why the finished file at ``path`` is in the way, unless it is what was asked for."""
    try:
        found = read_report(path)
    except StoreError as error:
        raise StoreError(f"{error}; {not_overwritten(path)}") from error
    _require_same(path, found.info, info)


def _require_same(path: Path, found: KeysInfo, asked: KeysInfo) -> None:
    if found.identity == asked.identity:
        return
    if found.source_digest != asked.source_digest:
        what = f"comes from other pairs ({found.source}, data digest {found.source_digest[:12]}"
        what += f"; {asked.source} has {asked.source_digest[:12]})"
    elif found.config_digest == asked.config_digest:
        what = f"was made with stream_version={found.stream_version} of the protocol, and this would have "
        what += f"{asked.stream_version}"
    else:
        what = (
            f"belongs to another protocol configuration ({differences(found.config, asked.config)})"
        )
    raise StoreError(f"{path} {what}; choose another output or set it aside with --force")


class KeysStore:
    """The partial file of a keys file while its blocks come in; exactly one process may hold it.

    ``blocks_done`` records are in it, which `records` reads; ``messages`` says what was found.
    """

    def __init__(self, path: Path, info: KeysInfo, lock: locks.Lock) -> None:
        self.path, self.info = path, info
        self.messages: list[str] = []
        self._places: list[tuple[int, int]] = []
        self._lock, self._fd, self._closed = lock, -1, False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        info: KeysInfo,
        *,
        launch: Mapping[str, object],
        force: bool = False,
    ) -> KeysStore:
        """Begin the partial file of ``path``, or go on with the one that is there.

        ``force`` sets other files aside instead of refusing; nothing is deleted.
        """
        path = output_name(path)
        launch = {"id": uuid.uuid4().hex, **launch}
        preflight_keys(path, info, force=force)
        with disk_errors(path, "opening the output"):
            store = cls(path, info, locks.acquire(path, launch))
            try:
                store._prepare(force=force)
            except BaseException:
                store.close()
                raise
        return store

    def __enter__(self) -> KeysStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; a partial one stays and can be resumed."""
        if self._closed:
            return
        self._closed = True
        if self._fd >= 0:
            os.close(self._fd)
        locks.release(self._lock)

    def append(self, record: bytes) -> None:
        """Add the next block's record and press it to the disk."""
        with disk_errors(part_path(self.path), "writing"):
            locks.check(self._lock)
            self._places.append(append(self._fd, record))

    @property
    def blocks_done(self) -> int:
        """How many records there are."""
        return len(self._places)

    def records(self) -> Iterator[bytes]:
        """All records, in order, one at a time."""
        for place in self._places:
            with disk_errors(part_path(self.path), "reading"):
                record = record_at(self._fd, place)
            yield record

    def finish(self, tables: KeysTables, stream: Stream) -> KeysReport:
        """Write the keys file and publish it; it replaces nothing."""
        aside, part = aside_path(self.path), part_path(self.path)
        with disk_errors(self.path, "publishing"):
            locks.check(self._lock)
            remove_leftover(aside)
            report = write_stream(aside, tables, stream)
            sync_file(aside)
            try:
                move_new(aside, self.path)
            except FileExistsError:
                self._require_equal(report)
                aside.unlink()
            part.unlink(missing_ok=True)
            sync_directory(self.path.parent)
        return report

    def _require_equal(self, keys: KeysReport) -> None:
        """Another launch may have published the same keys: possible where locks do not reach other hosts."""
        try:
            digest = read_report(self.path).digest
        except StoreError:
            digest = ""
        if digest != keys.digest:
            raise StoreError(
                f"{self.path} appeared meanwhile; move it away and run the same command again"
            )
        self.messages.append(
            f"{self.path} appeared meanwhile, finished and with the same keys digest: it stays"
        )

    def _prepare(self, *, force: bool) -> None:
        part = part_path(self.path)
        if os.path.lexists(self.path) and force:
            self.messages.append(f"{self.path} is set aside as {set_aside(self.path, 'old').name}")
        elif os.path.lexists(self.path):
            # It was not there, or not finished, before the lock was ours.
            _refuse(self.path, self.info)
            raise AlreadyComplete(f"{self.path} is complete already; --force sets it aside")
        remove_leftover(aside_path(self.path))
        if os.path.lexists(part):
            self._resume(part)
        if not part.exists():
            self._begin(part)
        self._fd = os.open(part, os.O_RDWR | os.O_APPEND)
        os.fchmod(self._fd, MODE)

    def _resume(self, part: Path) -> None:
        """Take over what is intact of the partial file, or set it aside: without ``force`` it is known to be ours."""
        try:
            journal = read_journal(part)
        except TornHeader as error:
            self.messages.append(f"{error}; it is set aside as {set_aside(part, 'damaged').name}")
            return
        if journal.info.identity != self.info.identity:
            self.messages.append(f"{part} is set aside as {set_aside(part, 'old').name}")
            return
        os.truncate(part, journal.end)
        self._places = journal.places
        self.messages.append(
            f"resuming {part}: {so_far(self.blocks_done, self.info.blocks, 'block')}"
        )

    def _begin(self, part: Path) -> None:
        aside = aside_path(part)
        remove_leftover(aside)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        try:
            os.write(fd, MAGIC)
            append(fd, json.dumps(asdict(self.info)).encode())
        finally:
            os.close(fd)
        move_new(aside, part)
        sync_directory(part.parent)
