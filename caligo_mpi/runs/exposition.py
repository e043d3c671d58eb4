"""``--metrics FILE``: what the ranks of a launch do as Prometheus text, for a node exporter's textfile collector.

The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..config.run import MpiConfig
from ..errors import ConfigError
from ..machine.environment import expanded
from ..parallel.account import balance, efficiency
from ..parallel.job import Progress
from .job import Observer

#: Between two times that the file is written.
SECONDS = 5.0
_BEGINNING = "# HELP caligo_mpi_"

_SPLIT = ("busy", "communicating", "writing", "idle")
#: Of each rank: name of the metric, type, meaning, and its column.
_OF_RANKS = (
    ("items_total", "counter", "Chunks, blocks or pieces that the rank worked on.", "items"),
    ("messages_total", "counter", "Messages between ranks that it sent or received.", "messages"),
    ("message_bytes_total", "counter", "Bytes in those messages.", "bytes"),
    ("peak_memory_bytes", "gauge", "Most memory that it had at once.", "peak_memory"),
)
#: Of the run: name, type, meaning, and the attribute of `Progress`.
_OF_THE_RUN = (
    ("pairs", "gauge", "Pairs that are done, of all launches.", "pairs"),
    ("pairs_planned", "gauge", "Pairs that the run is to have.", "total"),
    ("rows", "gauge", "Rows that are done.", "rows"),
    ("launch_pairs_total", "counter", "Pairs that this launch has done.", "launched"),
)


def metrics_file(mpi: MpiConfig) -> Path | None:
    """The file to write, None where none is asked for.

    Raises `ConfigError` where it cannot be written, or holds something else.
    """
    if mpi.metrics is None:
        return None
    path = Path(expanded(mpi.metrics, what="mpi.metrics"))
    if not path.name or path.is_dir():
        raise ConfigError(f"metrics={path} is a directory; name a file in it, such as caligo.prom")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"metrics={path}: its directory cannot be written; name another file")
    if path.exists() and not _is_ours(path):
        raise ConfigError(f"metrics={path} exists and holds no metrics of ours; name another file")
    return path


def _is_ours(path: Path) -> bool:
    """Whether an earlier run wrote it."""
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_BEGINNING))
            return path.is_file() and beginning == _BEGINNING.encode()
    except OSError:
        return False


class Watched(Observer):
    """An observer that remembers the progress it passes on to another one."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer
        self.faults = observer.faults
        self.ledger = observer.ledger
        self.last: Progress | None = None

    def say(self, message: str) -> None:
        """A sentence for people."""
        self._observer.say(message)

    def progress(self, where: Progress) -> None:
        """Another item is in."""
        self.last = where
        self._observer.progress(where)

    def result(self, summary: Any) -> None:
        """How the run ended."""
        self._observer.result(summary)
        self.code = self._observer.code


@contextmanager
def exposed(observer: Observer, path: Path | None, file: Path) -> Iterator[Observer]:
    """While in the context, what happens is written to ``path`` every few seconds, and once at its end.

    Yields the observer to be told.  ``file`` is what the run makes.  A disk that cannot take the metrics any more is
    said once, and the run goes on.
    """
    if path is None:
        yield observer
        return
    watched = Watched(observer)
    writer = _Writer(path, watched, file)
    writer.begin()
    try:
        yield watched
    finally:
        writer.end()


class _Writer:
    """A thread beside the run: it writes also while rank 0 is inside a long chunk, and never touches MPI."""

    def __init__(self, path: Path, watched: Watched, file: Path) -> None:
        self.path = path
        self.watched = watched
        self.file = file
        self.failed = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._go_on, name="metrics", daemon=True)

    def begin(self) -> None:
        self._write(running=True)
        self.thread.start()

    def end(self) -> None:
        self.over.set()
        self.thread.join()
        self._write(running=False)

    def _go_on(self) -> None:
        while not self.over.wait(SECONDS):
            self._write(running=True)

    def _write(self, *, running: bool) -> None:
        watched = self.watched
        lines = exposition(
            watched.ledger.table(),
            watched.last,
            self.file,
            running=running,
        )
        try:
            replace(self.path, "\n".join(lines) + "\n")
        except OSError as error:
            if not self.failed:
                why = f"cannot be written ({error.strerror})"
                watched.say(f"metrics={self.path} {why}; the run goes on")
            self.failed = True


def replace(path: Path, text: str) -> None:
    """Write the whole file at once: whoever reads it finds the old text or the new one."""
    # Collectors read *.prom: the file in the making must have another ending.
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_text(text, "utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def exposition(
    table: NDArray[np.void],
    last: Progress | None,
    file: Path,
    *,
    running: bool,
) -> Iterator[str]:
    """The lines of the file; ``table`` is a `Ledger.table`."""
    yield from _of_the_run(table, last, file, running=running)
    yield from _of_all_ranks(table, file)


def _of_the_run(
    table: NDArray[np.void],
    last: Progress | None,
    file: Path,
    *,
    running: bool,
) -> Iterator[str]:
    of_file = _label(file)
    yield from _metric("info", "gauge", "The release that runs.")
    yield f'caligo_mpi_info{{{of_file},version="{__version__}"}} 1'
    yield from _metric("running", "gauge", "1 while the launch goes on, 0 once it has ended.")
    yield f"caligo_mpi_running{{{of_file}}} {int(running)}"
    for name, kind, meaning, attribute in _OF_THE_RUN:
        if last is not None:
            yield from _metric(name, kind, meaning)
            yield f"caligo_mpi_{name}{{{of_file}}} {getattr(last, attribute)}"
    yield from _metric("ranks", "gauge", "Ranks that have told what they do.")
    yield f"caligo_mpi_ranks{{{of_file}}} {len(table)}"


def _of_all_ranks(table: NDArray[np.void], file: Path) -> Iterator[str]:
    of_file = _label(file)
    meaning = "Seconds since the rank's start, by what it did."
    yield from _metric("rank_seconds_total", "counter", meaning)
    for row in table:
        for state in _SPLIT:
            labels = f'{of_file},rank="{row["rank"]}",state="{state}"'
            seconds = float(row[state])
            yield f"caligo_mpi_rank_seconds_total{{{labels}}} {seconds:.9g}"
    for name, kind, meaning, column in _OF_RANKS:
        given = (of_file, table, table[column])
        yield from _of_ranks(
            f"rank_{name}",
            kind,
            meaning,
            given,
        )
    meaning = "Part of its time in which the rank worked."
    given = (of_file, table, efficiency(table))
    yield from _of_ranks("rank_efficiency_ratio", "gauge", meaning, given)
    meaning = "Its work over the most that any rank has."
    given = (of_file, table, balance(table))
    yield from _of_ranks("rank_load_ratio", "gauge", meaning, given)


def _metric(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP caligo_mpi_{name} {meaning}"
    yield f"# TYPE caligo_mpi_{name} {kind}"


def _of_ranks(
    name: str,
    kind: str,
    meaning: str,
    given: tuple[str, NDArray[np.void], NDArray[Any]],
) -> Iterator[str]:
    """One metric of every rank."""
    of_file, table, values = given
    yield from _metric(name, kind, meaning)
    ranks = table["rank"].tolist()
    for rank, value in zip(ranks, values.tolist(), strict=True):
        shown = f"{value:.9g}" if isinstance(value, float) else str(value)
        yield f'caligo_mpi_{name}{{{of_file},rank="{rank}"}} {shown}'


def _label(file: Path) -> str:
    return f'file="{_escaped(str(file))}"'


def _escaped(text: str) -> str:
    """The value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
