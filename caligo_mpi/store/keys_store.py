"""`KeysStore`: the one writer of a keys file.

While blocks are being distilled, their results are appended to a journal.  When the last block is in, the HDF5 file is
written aside, synced and published under its final name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import StoreError
from ..machine.wording import so_far
from .closing import Closing
from .differences import differences
from .files import disk_errors
from .keys_data import KeysInfo, KeysReport, KeysTables
from .keys_file import MODE, Stream, read_report, write_stream
from .keys_journal import MAGIC, append, is_partial, read_journal, record_at
from .names import not_overwritten, remove_leftover
from .output import Finished, Output, completed, preflight


@dataclass(frozen=True, slots=True)
class KeysKind:
    """Keys files of one source and one protocol configuration: the `Kind` of their outputs."""

    info: KeysInfo

    def finished(self, path: Path) -> Finished:
        """A finished file of the same pairs and configuration."""
        try:
            found = read_report(path)
        except StoreError as error:
            raise StoreError(f"{error}; {not_overwritten(path)}") from error
        _require_same(path, found.info, self.info)
        return Finished(found.digest, "", has_all=True)

    def require_part(self, part: Path) -> None:
        """The journal must be of the same pairs and configuration."""
        if not is_partial(part):
            raise StoreError(
                f"{part} is in the way and no partial keys file; {not_overwritten(part)}"
            )
        _require_same(part, read_journal(part).info, self.info)

    def require_room(self, path: Path) -> None:
        """Keys are small."""

    def is_leftover(self, part: Path) -> bool:
        """A finished file has all blocks."""
        return True


def preflight_keys(path: str | os.PathLike[str], info: KeysInfo, *, force: bool) -> None:
    """Raise now, having touched nothing, what `KeysStore.open` would raise."""
    preflight(path, KeysKind(info), force=force)


def completed_keys(path: str | os.PathLike[str], info: KeysInfo) -> KeysReport | None:
    """What is in ``path`` if it is a finished file of the same pairs and configuration; else None.

    What a kill left behind while the file was published is removed.
    """
    return read_report(path) if completed(path, KeysKind(info)) else None


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


class KeysStore(Closing):
    """The partial file of a keys file while its blocks come in; exactly one process may hold it.

    ``blocks_done`` records are in it, which `records` reads; ``messages`` says what was found.
    """

    def __init__(self, output: Output, info: KeysInfo) -> None:
        self.path = output.path
        self.info = info
        self.messages = output.messages
        self._places: list[tuple[int, int]] = []
        self._output = output
        self._fd = -1
        self._closed = False

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
        output = Output.claim(
            path,
            KeysKind(info),
            launch=launch,
            force=force,
        )
        store = cls(output, info)
        try:
            with disk_errors(output.path, "opening the output"):
                store._prepare()
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
        self._output.release()

    def append(self, record: bytes) -> None:
        """Add the next block's record and press it to the disk."""
        with disk_errors(self._output.part, "writing"):
            self._output.check()
            self._places.append(append(self._fd, record))

    def touch(self) -> None:
        """A sign of life while there is nothing to write: the launcher takes long silence for a hang."""
        os.utime(self._fd)

    @property
    def blocks_done(self) -> int:
        """How many records there are."""
        return len(self._places)

    def records(self) -> Iterator[bytes]:
        """All records, in order, one at a time."""
        for place in self._places:
            with disk_errors(self._output.part, "reading"):
                record = record_at(self._fd, place)
            yield record

    def finish(self, tables: KeysTables, stream: Stream) -> KeysReport:
        """Write the keys file and publish it; it replaces nothing."""
        aside = self._output.aside
        with disk_errors(self.path, "publishing"):
            self._output.check()
            remove_leftover(aside)
            report = write_stream(aside, tables, stream)
            self._output.publish(aside, report.digest, KeysKind(self.info))
        return report

    def _prepare(self) -> None:
        part = self._output.part
        if self._output.resumes:
            journal = read_journal(part)
            os.truncate(part, journal.end)
            self._places = journal.places
            done = so_far(self.blocks_done, self.info.blocks, "block")
            self.messages.append(f"resuming {part}: {done}")
        else:
            self._begin()
        self._fd = os.open(part, os.O_RDWR | os.O_APPEND)
        os.fchmod(self._fd, MODE)

    def _begin(self) -> None:
        making = self._output.making
        fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        try:
            os.write(fd, MAGIC)
            append(fd, json.dumps(asdict(self.info)).encode())
        finally:
            os.close(fd)
        self._output.begin()
