"""The life of an output file, whatever it holds: from its name to a finished file that replaces nothing.

``NAME`` grows as ``NAME.part``, under a lock, and gets its name when all of it is there.  The same command goes on
with a partial file, leaves a finished one alone, and refuses what is of another run; with ``force`` that is set aside.
Nothing is ever deleted or written over, and a kill at any moment leaves files that the next launch understands.

A new kind of file says what is its own in a `Kind`, and is written like this::

    preflight(path, kind, force=force)           # before anything is computed
    output = Output.claim(path, kind, launch={"id": …}, force=force)
    try:
        if not output.resumes:
            make_file(output.making)             # whole: with everything that says whose it is
            output.begin()                       # now it is the partial file
        ...                                      # write to output.part, output.check() before each commit
        output.publish(output.part, digest, kind)
    finally:
        output.release()

`claim` raises `AlreadyComplete` where all is there; `completed` asks that without a lock.  ``output.messages`` has
sentences for whoever started the run.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import StoreError
from . import lock as locks
from .files import disk_errors, move_new, set_aside, sync_directory, sync_file
from .metadata import Damaged
from .names import (
    AlreadyComplete,
    aside_path,
    output_name,
    part_path,
    remove_leftover,
    require_ours,
)


class Finished(NamedTuple):
    """A finished file of the run: what tells its contents from others', how much it holds, and if that is all."""

    digest: str
    size: str
    has_all: bool


class Kind(Protocol):
    """What a kind of file knows of its own: whose it is, and how far it is."""

    def finished(self, path: Path) -> Finished:
        """The finished file at ``path``; `StoreError`, with a remedy, where it is not of this run."""
        ...

    def require_part(self, part: Path) -> None:
        """Raise `StoreError` where the partial file cannot be gone on with, `Damaged` where it cannot be read."""
        ...

    def require_room(self, path: Path) -> None:
        """Raise `StoreError` where the disk has no room for a new file."""
        ...

    def is_leftover(self, part: Path) -> bool:
        """Whether all of the partial file is in the finished one beside it, which has all that is asked for."""
        ...


def require_directory(path: Path) -> None:
    """The output's directory must be there and writable."""
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent} is not a directory; create it or choose another output")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"{path.parent} is not writable; choose another output directory")


def working_files(path: Path) -> tuple[Path, ...]:
    """What may stand beside ``path`` while its run goes on; one of them changes at every commit."""
    part = part_path(path)
    return part, aside_path(part), aside_path(path), locks.lock_path(path)


def preflight(path: str | os.PathLike[str], kind: Kind, *, force: bool = False) -> None:
    """Raise now, having touched nothing, what claiming the output would raise."""
    path = output_name(path)
    part = part_path(path)
    require_directory(path)
    is_there = os.path.lexists(path)
    if force:
        if is_there:
            require_ours(path)
        return
    if is_there:
        kind.finished(path)
    if os.path.lexists(part):
        with suppress(Damaged):
            kind.require_part(part)
    elif not is_there:
        kind.require_room(path)


def completed(path: str | os.PathLike[str], kind: Kind) -> bool:
    """Whether ``path`` is a finished file of this run with all that is asked for.

    What a kill left behind while it was published is removed, unless a launch is at it.
    """
    path = output_name(path)
    if not path.exists():
        return False
    try:
        found = kind.finished(path)
    except StoreError:
        return False
    if found.has_all:
        _clear_leftovers(path, kind)
    return found.has_all


def _clear_leftovers(path: Path, kind: Kind) -> None:
    part = part_path(path)
    aside = aside_path(path)
    if not any(name.exists() for name in (part, aside, locks.lock_path(path))):
        return
    with suppress(StoreError, OSError):
        lock = locks.acquire(path, {"id": "clearing up"}, patience=0.0)
        try:
            if not part.exists() or kind.is_leftover(part):
                part.unlink(missing_ok=True)
                remove_leftover(aside)
        finally:
            locks.release(lock)


@dataclass(slots=True)
class Output:
    """An output that this process holds the lock of.

    ``resumes`` says that there is a partial file to go on with, ``extends`` that there is a finished file which has
    less than is asked for.
    """

    path: Path
    lock: locks.Lock
    messages: list[str] = field(default_factory=list)
    resumes: bool = False
    extends: bool = False

    @classmethod
    def claim(
        cls,
        path: str | os.PathLike[str],
        kind: Kind,
        *,
        launch: Mapping[str, object],
        force: bool = False,
    ) -> Output:
        """Lock the output and look at what is there; ``launch`` says in the lock who holds it.

        ``force`` sets other files aside instead of refusing.  Raises `StoreError`, having changed nothing, where a file
        is another run's or somebody holds the lock, and `AlreadyComplete`.
        """
        path = output_name(path)
        require_directory(path)
        with disk_errors(path, "opening the output"):
            owner = {"id": uuid.uuid4().hex, **launch}
            output = cls(path, locks.acquire(path, owner))
            try:
                output._look(kind, force=force)
            except BaseException:
                output.release()
                raise
        return output

    @property
    def part(self) -> Path:
        """The partial file."""
        return part_path(self.path)

    @property
    def making(self) -> Path:
        """Where a partial file is made, before `begin`."""
        return aside_path(self.part)

    @property
    def aside(self) -> Path:
        """Where a finished file is made that is not the partial file itself, before `publish`."""
        return aside_path(self.path)

    def check(self) -> None:
        """Raise `StoreError` where another launch has the lock by now."""
        locks.check(self.lock)

    def begin(self) -> None:
        """Make what was written to `making` the partial file, in the place of one that it goes on with."""
        sync_file(self.making)
        if self.resumes:
            self.making.replace(self.part)
        else:
            move_new(self.making, self.part)
        sync_directory(self.path.parent)
        self.resumes = True

    def publish(self, source: Path, digest: str, kind: Kind) -> None:
        """Give ``source`` the final name, which replaces nothing; every step may be the last before a kill.

        A shorter file that it extends is set aside.  Another launch may have published the same: possible where
        locks do not reach other hosts.
        """
        self.check()
        sync_file(source)
        if os.path.lexists(self.path) and self._is_there(digest, kind):
            source.unlink(missing_ok=True)
        else:
            move_new(source, self.path)
        self.part.unlink(missing_ok=True)
        sync_directory(self.path.parent)

    def release(self) -> None:
        """Give the lock back; a partial file stays and can be resumed."""
        locks.release(self.lock)

    def _look(self, kind: Kind, *, force: bool) -> None:
        if taken_from := self.lock.taken_from:
            self.messages.append(f"took over the lock left behind by {taken_from}")
        for leftover in (self.making, self.aside):
            remove_leftover(leftover)
        if self.part.exists() and self.path.exists() and self.part.samefile(self.path):
            # A kill came between the link and the unlink of publishing.
            self.part.unlink()
        if os.path.lexists(self.path):
            self.extends = self._takes_final(kind, force=force)
        if os.path.lexists(self.part):
            self.resumes = self._takes_part(kind, force=force)

    def _takes_final(self, kind: Kind, *, force: bool) -> bool:
        if force:
            require_ours(self.path)
            self._set_aside(self.path, "old")
            return False
        found = kind.finished(self.path)
        if found.has_all:
            size = f" ({found.size})" if found.size else ""
            raise AlreadyComplete(f"{self.path} is complete already{size}; --force sets it aside")
        return True

    def _takes_part(self, kind: Kind, *, force: bool) -> bool:
        try:
            kind.require_part(self.part)
        except Damaged as error:
            aside = set_aside(self.part, "damaged").name
            self.messages.append(f"{error}; it is set aside as {aside} and the run starts again")
            return False
        except StoreError:
            if not force:
                raise
            self._set_aside(self.part, "old")
            return False
        return True

    def _is_there(self, digest: str, kind: Kind) -> bool:
        """Whether the file that stands at the final name is what was made; a shorter one is set aside."""
        found = kind.finished(self.path)
        if found.digest == digest:
            what = f"{self.path} appeared while the run went on, finished and with the same digest"
            self.messages.append(f"{what}: it stays")
            return True
        if found.has_all:
            raise StoreError(
                f"{self.path} appeared while the run went on; move it away and run the same command again"
            )
        self._set_aside(self.path, "old", what=f"the shorter {self.path} ({found.size})")
        return False

    def _set_aside(self, path: Path, tag: str, *, what: str = "") -> None:
        name = set_aside(path, tag).name
        self.messages.append(f"{what or path} is set aside as {name}")
