"""An analysis as a job: its parts are counted in this process, or on ranks."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..config.run import DEFAULT_MPI, MpiConfig
from ..errors import CRASHED, DONE, ConfigError, StoreError
from ..launch.supervise import State
from ..pairs import Tick
from ..pairs.bits import U8
from ..parallel.job import Map, Rules, Work
from ..parallel.serial import serial_map
from ..runs.again import open_pairs
from ..runs.job import Meter, Observer, Protection
from ..store import PairsFile, status
from ..store.keys import is_keys_file
from .counting import STREAMS, compiled_for
from .evidence import Evidence
from .judge import judge
from .law import law_of
from .long import LongLags, long_lags
from .plan import Plan, chunks_of, plan_of
from .shifted import Shifted, shifted_chunks
from .stream import count_part, no_tick, source_of
from .sums import Sums, total
from .table import read_table
from .verdicts import Analysis


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One item's result: counts of a part of the file, long lags of a stream, or compared chunks.

    ``error`` says why there is none.  ``parts`` and ``whole`` are its way between ranks.
    """

    sums: Sums | None = None
    long: LongLags | None = None
    shifted: Shifted | None = None
    error: str = ""

    def parts(self) -> list[U8]:
        """The piece as bytes."""
        return [np.frombuffer(pickle.dumps(self), np.uint8)]

    @classmethod
    def whole(cls, buffer: U8) -> Piece:
        """The piece from its bytes, which come from a rank of ours."""
        found = pickle.loads(buffer.data)
        assert isinstance(found, cls)
        return found


def analyze(path: str | os.PathLike[str]) -> Analysis:
    """Look for anything in a pairs file that its configuration does not explain.

    The file may be finished or partial, then its committed rows are looked at.  A sound file has any finding with
    probability 1e-3 at most.  What is checked is described in docs/analyze.md.  Raises `StoreError` where the file
    cannot be read, `ConfigError` where it holds keys or no rows.
    """
    return collect(find(path), serial_map, Observer())


def find(path: str | os.PathLike[str]) -> Path:
    """The pairs file to read: ``path``, or the partial file where only that is there; `ConfigError` for keys."""
    if Path(path).exists() and is_keys_file(path):
        raise ConfigError(
            f"{path} holds keys, and analyze looks at pairs; caligo-mpi verify {path} checks keys"
        )
    return status(path).path


def collect(path: Path, map_: Map, observer: Observer) -> Analysis:
    """Have the map count everything, and judge it."""
    with open_pairs(path) as file:
        if not file.rows:
            raise ConfigError(f"{path} has no rows yet; wait for its first chunk to be written")
        plan = plan_of(file.rows, file.chunk_count)
        meter = Meter(before=0, total=plan.rows)
        pieces = []
        setup = functools.partial(piece_work, path, plan)
        with contextlib.closing(map_(setup, range(items(plan)))) as found:
            for _, piece in found:
                if piece.error:
                    raise StoreError(piece.error)
                pieces.append(piece)
                rows = 0 if piece.sums is None else int(_rows_of(piece.sums, plan))
                observer.progress(meter.add(rows))
        if len(pieces) < items(plan):
            raise Stopped
        return judge(file, _evidence(file, plan, pieces))


class Stopped(Exception):
    """The analysis was asked to end before it had seen everything."""


def _rows_of(sums: Sums, plan: Plan) -> int:
    first = sums.first_cell * plan.cell
    last = first + len(sums.joint) * plan.cell
    return min(plan.rows, last) - first


def items(plan: Plan) -> int:
    """How many pieces there are: long lags of each stream, compared chunks, parts of the file."""
    return len(STREAMS) + 1 + plan.parts


def piece_work(path: Path, plan: Plan) -> Work[Piece]:
    """The function that makes one piece; made once in each process."""
    file = open_pairs(path)
    source = source_of(file, plan)
    # The first items need nothing compiled; meanwhile numba is loaded and the disk fetches rows.
    threading.Thread(target=compiled_for, args=(plan.rows,)).start()
    file.expect(0, plan.part(0).stop)

    def work(item: int, tick: Tick | None = None) -> Piece:
        tick = tick or no_tick
        try:
            if item < len(STREAMS):
                lags = long_lags(
                    file,
                    plan,
                    STREAMS[item],
                    tick,
                )
                return Piece(long=lags)
            if item == len(STREAMS):
                return Piece(shifted=shifted_chunks(source, tick))
            number = item - len(STREAMS) - 1
            return Piece(sums=count_part(source, number, tick))
        except StoreError as error:
            # Raised here it would be a crash of this rank; rank 0 can say it in one sentence.
            return Piece(error=str(error))

    return work


def _evidence(file: PairsFile, plan: Plan, pieces: list[Piece]) -> Evidence:
    shifted = [piece.shifted for piece in pieces if piece.shifted is not None]
    return Evidence(
        plan=plan,
        chunk_size=file.info.chunk_size,
        engine=file.engine,
        law=law_of(file.info),
        chunks=chunks_of(file, plan),
        sums=total([piece.sums for piece in pieces if piece.sums is not None]),
        table=read_table(file),
        long=[piece.long for piece in pieces if piece.long is not None],
        shifted=shifted[0] if shifted else None,
        has_index=file.info.has_index,
        has_time=file.info.has_time,
    )


@dataclass(frozen=True, slots=True)
class AnalyzeJob:
    """A `caligo_mpi.runs.job.Job` that makes nothing but an `Analysis`.

    ``path`` is a file that is touched now and then, by which the launcher sees that ranks are at work.
    """

    source: Path
    path: Path
    arguments: list[str]
    forced: ClassVar[bool] = False
    noun: ClassVar[str] = "part"
    hint: ClassVar[str] = ""
    rules: ClassVar[Rules] = Rules()
    mpi: ClassVar[MpiConfig] = DEFAULT_MPI
    protection: ClassVar[Protection] = Protection(restarts=1)

    def __len__(self) -> int:
        with open_pairs(self.source) as file:
            return items(plan_of(file.rows, file.chunk_count))

    def preflight(self) -> None:
        """Raise now what `run` would raise at its start."""
        with open_pairs(self.source):
            pass

    def is_complete(self) -> bool:
        """Never: what was found is kept nowhere."""
        return False

    def state(self) -> State:
        """Nothing is kept."""
        return State()

    def run(
        self,
        map_: Map,
        launch: Mapping[str, object],
        observer: Observer,
        *,
        force: bool,
    ) -> bool:
        """Analyze the file; the exit code is 1 where there are findings."""
        try:
            pulse = _Pulse(observer, self.path)
            found = collect(self.source, map_, pulse)
        except Stopped:
            observer.say("stopped before every row was seen; run the same command again")
            return False
        observer.result(found)
        observer.code = DONE if found.sound else CRASHED
        return True


class _Pulse(Observer):
    """Passes progress on, and touches a file."""

    def __init__(self, observer: Observer, path: Path) -> None:
        super().__init__()
        self.observer, self.path = observer, path

    def progress(self, where: object) -> None:
        """Another piece is in."""
        self.observer.progress(where)  # type: ignore[arg-type]
        if self.path.exists():
            self.path.touch()
