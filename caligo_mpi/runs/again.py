"""Reading pairs files, with the columns that they do not keep simulated again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .. import store
from ..config import RunConfig
from ..errors import ConfigError
from ..pairs import PairArrays, Pairs, Tick
from ..parallel.job import Work
from .chunks import pairs_work


class Simulator:
    """Makes the chunks of a file's run again; the last one is kept, for whoever opens the file anew.

    ``tick`` is called every few milliseconds of simulating.
    """

    def __init__(self) -> None:
        self.tick: Tick | None = None
        self._info: store.RunInfo | None = None
        self._work: Work[Pairs] | None = None
        self._last: tuple[int, Pairs] | None = None

    def __call__(self, info: store.RunInfo) -> store.Simulate:
        """The function that simulates a chunk of this run."""
        if info != self._info:
            self._work = work_again(info)
            self._info = info
            self._last = None
        return self._chunk

    def _chunk(self, index: int) -> Pairs:
        if self._last is None or self._last[0] != index:
            assert self._work is not None
            self._last = None  # two chunks need not be in memory at once
            self._last = index, self._work(index, self.tick)
        return self._last[1]


def work_again(info: store.RunInfo) -> Work[Pairs]:
    """The function that simulates a chunk as the file's run did, by its thresholds and its random streams."""
    if "sequential" in info.engine:
        raise ConfigError(
            f"engine={info.engine}: a sequential simulation has no chunks that could be made again; run it again"
        )
    config = RunConfig.from_json(info.config)
    return pairs_work(
        config,
        dict(info.thresholds),
        info.stream_version,
        info.declared,
    )


def open_pairs(path: str | os.PathLike[str]) -> store.PairsFile:
    """Open a pairs file to read; a partial one under its own name (``.part``), while its run goes on or not.

    Where it keeps records only, chunks are simulated again as their columns are read; they must have the checksums
    of their records.  Raises `StoreError` where the file is missing, not a pairs file, truncated, or of another major
    version.
    """
    return store.open_pairs(path, simulator=Simulator())


def read_pairs(
    path: str | os.PathLike[str],
    start: int = 0,
    stop: int | None = None,
    *,
    verify: bool = True,
) -> PairArrays:
    """Rows ``start`` to ``stop`` as plain arrays; one byte per bit, so 1e9 rows take 4 GB.

    With ``verify`` the chunks that hold them are read whole and `StoreError` names a damaged one; those of a file that
    keeps records only are simulated again, and always verified.
    """
    return store.read_pairs(
        path,
        start,
        stop,
        verify=verify,
        simulator=Simulator(),
    )


def export(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str],
    *,
    kind: store.Kind,
    rows: tuple[int, int | None] = (0, None),
    columns: Sequence[str] | None = None,
) -> Path:
    """Write rows of a pairs file as plain columns, as `store.export` does, whatever the file keeps."""
    simulator = Simulator()
    return store.export(
        path,
        to,
        kind=kind,
        rows=rows,
        columns=columns,
        simulator=simulator,
    )
