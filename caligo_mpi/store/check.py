"""Looking at files without touching them: how far a run is, and whether every bit is as it was written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import StoreError
from ..pairs import CHUNK_COUNTS, ChunkList, Tally
from . import layout as layouts
from . import output
from .again import Simulate, is_of
from .info import RunInfo
from .launches import metrics_of, read_table
from .layout import Layout
from .lock import lock_path, owner
from .names import existing, final_path, input_name, output_name, part_path
from .prepare import PairsKind
from .records import damaged_chunks, intact, read_records, recorded, scan, table_digest


@dataclass(frozen=True, slots=True, eq=False)
class Status:
    """Where a run stands.  Counts are sums over its committed chunks; times are seconds since 1970.

    ``duration_ns`` is the simulated time of its chunks, one after the other; 0 without times.

    ``path`` is the file that was looked at, partial or finished; ``slowest`` is the longest time of a chunk;
    ``metrics`` has a row per launch and rank of what it did with its time, as last written.
    ``owner`` describes the launch that is writing it, as far as the lock file tells, and is empty otherwise.
    """

    path: Path
    info: RunInfo
    complete: bool
    data_digest: str
    chunks_done: int
    chunks_total: int
    pairs_done: int
    rows: int
    tally: Tally
    alice_clicks: int
    bob_clicks: int
    duration_ns: float
    seconds: float
    slowest: float
    runs: NDArray[Any]
    faults: NDArray[Any]
    metrics: NDArray[Any]
    last_commit: float
    owner: str

    @property
    def pairs(self) -> int:
        """Emissions of the whole run."""
        return self.info.pairs

    @property
    def full_bytes(self) -> int:
        """Bytes of the whole run's file with all of its columns; an estimate until it is complete."""
        rows = self.rows if self.complete else self.info.capacity
        return layouts.full_size(self.info, rows)

    @property
    def digest(self) -> str:
        """The digest of the configuration: of everything that changes bits."""
        return self.info.config_digest

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self.info.engine

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.info.seed


# A file that is written at the moment is looked at so often, with so much time between, before it is called damaged.
_LOOKS, _LOOK_AGAIN_S = 5, 0.05


def status(path: str | os.PathLike[str]) -> Status:
    """How far a finished, running or stopped run is; ``path`` may be the final name while only the partial file exists.

    Raises `StoreError` where neither can be read.
    """
    path = input_name(path)
    final = final_path(path)
    part = part_path(final)
    for _ in range(_LOOKS):
        only_part = part.exists() and not final.exists()
        try:
            return _status_of(part if only_part else path, final)
        except (StoreError, FileNotFoundError):
            # A launch that creates, publishes or sets aside files may be between two names.
            if not lock_path(final).exists():
                break
            time.sleep(_LOOK_AGAIN_S)
    if final.exists():
        path = final
    elif part.exists():
        path = part
    return _status_of(path, final)


def _status_of(path: Path, final: Path) -> Status:
    fd, layout = layouts.read_open(path)
    try:
        return _status(path, layout, fd, owner(final))
    finally:
        os.close(fd)


def _status(
    path: Path,
    layout: Layout,
    fd: int,
    owner: str,
) -> Status:
    sums = _sums_of_chunks(fd, layout)
    runs = read_table(fd, layout, "runs")
    return Status(
        path=path,
        info=layout.info,
        complete=bool(layout.data_digest),
        data_digest=layout.data_digest,
        chunks_total=len(layout.info.partition),
        runs=runs,
        faults=read_table(fd, layout, "faults"),
        metrics=metrics_of(fd, layout),
        last_commit=float(runs["last_commit"].max(initial=0.0)),
        owner=owner,
        **sums,
    )


def _sums_of_chunks(fd: int, layout: Layout) -> dict[str, Any]:
    """What a `Status` says of all chunks that are in and intact."""
    sums = dict.fromkeys(CHUNK_COUNTS, 0)
    done = 0
    seconds = 0.0
    slowest = 0.0
    duration = 0.0
    chunks = range(len(layout.info.partition))
    for first, records in recorded(fd, layout, chunks):
        good = records[intact(records, first, layout)]
        done += len(good)
        seconds += float(good["seconds"].sum())
        duration += float(good["duration_ns"].sum())
        slowest = max(slowest, float(good["seconds"].max(initial=0.0)))
        for name in CHUNK_COUNTS:
            sums[name] += int(good[name].sum())
    tally = Tally(
        sifted_z=sums["sifted_z"],
        errors_z=sums["errors_z"],
        sifted_x=sums["sifted_x"],
        errors_x=sums["errors_x"],
    )
    return {
        "chunks_done": done,
        "pairs_done": sums["count"],
        "rows": sums["rows"],
        "tally": tally,
        "alice_clicks": sums["alice_clicks"],
        "bob_clicks": sums["bob_clicks"],
        "duration_ns": duration,
        "seconds": seconds,
        "slowest": slowest,
    }


def completed(path: str | os.PathLike[str], info: RunInfo) -> Status | None:
    """The status of ``path`` if it is a finished file of this run with at least its pairs; else None.

    A partial file that a kill left behind while the finished one was published is removed.
    """
    path = output_name(path)
    if not output.completed(path, PairsKind(info)):
        return None
    return _status_of(path, path)


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify_file` found; chunk indices are in order.

    ``records`` are chunks whose record is damaged, ``data`` those whose rows are, ``differing`` those that came out
    otherwise when they were simulated again.  ``digest_fits`` is None for a partial file, which has no digest yet.
    ``provenance_fits`` is about all attributes, ``/runs`` and ``/faults``; None for a partial file and in format 1.0.
    ``moved`` says that another tool wrote the file anew: its contents are ours, its layout is not.  ``keep`` is what
    the file keeps; without columns there are no ``data`` to be damaged.
    """

    path: Path
    complete: bool
    chunks: int
    records: tuple[int, ...]
    data: tuple[int, ...]
    digest_fits: bool | None
    resampled: tuple[int, ...]
    differing: tuple[int, ...]
    provenance_fits: bool | None = None
    moved: bool = False
    keep: str = "pairs"

    @property
    def ok(self) -> bool:
        """Whether all is as it was written, and as it is simulated."""
        return not (
            self.records
            or self.data
            or self.differing
            or False in (self.digest_fits, self.provenance_fits)
        )


def verify_file(
    path: str | os.PathLike[str],
    *,
    resample: Simulate | None = None,
    chunks: Iterable[int] = (),
) -> Verification:
    """Compute every checksum of a file again; with ``resample``, also simulate ``chunks`` again and compare bits.

    ``resample`` takes a chunk's index and returns its pairs as they were stored, with global emission numbers.
    Chunks of a partial file that are not committed yet are left out; ``path`` may be the final name while only the
    partial file exists.
    """
    path = existing(input_name(path))
    fd, layout = layouts.read_open(path)
    every = range(len(layout.info.partition))
    try:
        state = scan(fd, layout)
        complete = bool(layout.data_digest)
        behind = [range(state.next, len(every))] if complete else state.broken.ranges
        missing = {*state.holes, *ChunkList(behind)}
        there = range(state.next)
        again = [index for index in chunks if index in there and index not in missing]
        return Verification(
            path=path,
            complete=complete,
            chunks=state.next - len(state.holes),
            records=tuple(sorted(missing)),
            data=tuple(damaged_chunks(fd, layout, every[: state.next])),
            digest_fits=_digest_fits(fd, layout, state.rows) if complete else None,
            resampled=tuple(again) if resample else (),
            differing=tuple(_differing(fd, layout, again, resample) if resample else ()),
            provenance_fits=layouts.checksum_fits(layout.metadata, fd) if complete else None,
            moved=layout.moved,
            keep=layout.info.keep,
        )
    finally:
        os.close(fd)


def _digest_fits(fd: int, layout: Layout, rows: int) -> bool:
    return table_digest(fd, layout) == layout.data_digest and rows == layout.rows


def _differing(
    fd: int,
    layout: Layout,
    chunks: list[int],
    resample: Simulate,
) -> Iterator[int]:
    for index in chunks:
        record = read_records(fd, layout, index, index + 1)[0]
        if not is_of(resample(index), record):
            yield index
