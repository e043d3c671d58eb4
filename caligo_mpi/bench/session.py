"""The folder of a bench: its plan, a file for each run, and whose turn it is to write there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import ConfigError, StoreError

PLAN, SUMMARY, COMPARISON = "plan.json", "summary.json", "comparison.json"
MACHINE, HISTORY, LATEST = "machine.json", "history.jsonl", "latest"
RUNS, WORK = "runs", "work"

_COMPACT = (",", ":")

Record = dict[str, Any]


def write_json(path: Path, values: object) -> None:
    """The whole file or none: a kill leaves the old one."""
    aside = path.with_name(f".{path.name}.tmp")
    text = json.dumps(values, indent=1, allow_nan=False)
    aside.write_text(f"{text}\n", "utf-8")
    aside.replace(path)


def read_json(path: Path) -> Any:
    """What `write_json` wrote; raises `StoreError`."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason: str | None = "it is not JSON"
        if isinstance(error, OSError):
            reason = error.strerror
        raise StoreError(f"{path} cannot be read ({reason}); name a folder of a bench") from None


def digest(plan: Mapping[str, Any]) -> str:
    """The same for equal benches with equal cases."""
    text = json.dumps(plan, sort_keys=True, separators=_COMPACT)
    found = hashlib.sha256(text.encode())
    return found.hexdigest()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else benches into this folder meanwhile; the kernel frees the lock of a dead process."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / ".lock", flags, 0o644)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}); choose another folder with -o"
        ) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(
                f"{folder} is in use by another bench; wait for it or choose another folder with -o"
            ) from None
        yield
    finally:
        os.close(fd)


class Session:
    """One bench on its way: ``folder`` is below the folder of all benches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: dict[str, Any] = read_json(folder / PLAN)

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def is_finished(self) -> bool:
        """Whether all runs are in."""
        with suppress(StoreError):
            summary = read_json(self.folder / SUMMARY)
            return bool(summary["finished"])
        return False

    def records(self) -> list[Record]:
        """What is known of every run, in the order in which they were made.

        A record that a power failure has cut is none: its run is made again.
        """
        found = []
        for path in (self.folder / RUNS).glob("*.json"):
            with suppress(StoreError):
                found.append(read_json(path))
        return sorted(found, key=lambda record: (record["round"], record["started"]))

    def record(self, values: Record) -> None:
        """Keep what is known of a run."""
        case = values["case"]
        number = values["round"]
        path = self.folder / RUNS / f"{case}-{number:04}.json"
        write_json(path, values)

    def forget(self, case: str) -> None:
        """Remove what is known of a case's runs."""
        for path in (self.folder / RUNS).glob(f"{case}-*.json"):
            path.unlink()

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder for one run."""
        folder = self.folder / WORK / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def begin(root: Path, name: str, plan: dict[str, Any]) -> Session:
    """A session of this plan: the newest one that is unfinished, or else a new one."""
    for folder in reversed(sessions(root)):
        session = Session(folder)
        is_same = session.plan["digest"] == plan["digest"]
        if is_same and not session.is_finished:
            return session
    now = datetime.now(timezone.utc)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    folder = root / f"{stamp}-{name}"
    while folder.exists():  # two within a second
        folder = folder.with_name(f"{folder.name}x")
    # Under its name only once it is whole.
    aside = root / f".{folder.name}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    (aside / RUNS).mkdir(parents=True)
    write_json(aside / PLAN, plan)
    aside.rename(folder)
    _point(root / LATEST, folder.name)
    return Session(folder)


def _point(link: Path, name: str) -> None:
    aside = link.with_name(".latest.tmp")
    aside.unlink(missing_ok=True)
    aside.symlink_to(name)
    aside.replace(link)


def sessions(root: Path) -> list[Path]:
    """Folders of sessions below ``root``, the oldest first."""
    folders = [plan.parent for plan in root.glob(f"*/{PLAN}")]
    return sorted(folder for folder in folders if not folder.is_symlink())


def find(path: Path) -> Session:
    """The session in a folder, or the latest one below it; raises `ConfigError`."""
    for folder in (path, path / LATEST):
        plan = folder / PLAN
        if plan.is_file():
            return Session(folder.resolve())
    found = sessions(path) if path.is_dir() else []
    if found:
        return Session(found[-1])
    raise ConfigError(f"{path} is not a folder of a bench; name one that has {PLAN}, or its parent")


def add_to_history(path: Path, entry: Mapping[str, Any]) -> None:
    """Append a line under a lock; what another process writes at the same time stays whole."""
    text = json.dumps(entry, separators=_COMPACT, allow_nan=False)
    line = f"{text}\n"
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def history(path: Path) -> list[dict[str, Any]]:
    """Every line of a history that can be read; a last one may be cut by a power failure."""
    found = []
    with suppress(OSError):
        text = path.read_text("utf-8", errors="replace")
        for line in text.splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found
