"""The chunks of all points of a sweep, in one pool."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import store as pairs_store
from ...config.points import Point
from ...config.sweep import SweepConfig
from ...errors import StoreError
from ...pairs import ROW_COUNTS, ChunkResult, Partition
from ...pairs.stopping import Decision, decide, is_decided, next_place
from ...parallel.job import Map
from ...store.sweep_data import Partial
from ...store.sweep_journal import of_anew
from ..generate import is_complete
from ..identity import engine_for
from ..job import Meter
from ..until import course_of_file
from .goals import expected_pairs, tally_of
from .point_file import PointFile
from .pool import Pool
from .work import ChunkTasks, Made, about_engine, chunk_work

if TYPE_CHECKING:
    from .campaign import Campaign

#: Per nanosecond: times are summed up as whole numbers, whose sum does not depend on where a launch was cut.
TICKS = 1 << 20


def point_chunks(sweep: SweepConfig, point: Point) -> int:
    """How many chunks a point has; one where its counts are drawn from their law."""
    if sweep.keep == "counts":
        return 1
    return len(Partition(point.config.pairs, point.config.chunk_size))


def pairs_file(sweep_file: Path, point: Point) -> Path:
    """The pairs file of a point, where those are kept: named by its parameters, which stay as points are added."""
    return sweep_file.parent / f"{point.key}.h5"


def decision(point: Point, partial: Partial) -> Decision | None:
    """Where the point's goal stands, if it has one that is looked at after so many chunks."""
    config = point.config
    chunks = partial.chunks
    total = len(Partition(config.pairs, config.chunk_size))
    if config.until is None or not is_decided(chunks, total):
        return None
    return decide(
        config.until.goal,
        chunks,
        _emissions(point, chunks),
        tally_of(partial.sums),
        last=chunks == total,
    )


def _emissions(point: Point, chunks: int) -> int:
    """Of so many chunks of a point."""
    config = point.config
    return min(config.pairs, chunks * config.chunk_size)


def is_whole(sweep: SweepConfig, point: Point, partial: Partial | None) -> bool:
    """Whether all chunks of a point are in: as many as it has, or as its goal takes."""
    if partial is None or not partial.chunks:
        return False
    if "stopped" in partial.sums:  # a finished file, or drawn counts, where that was decided
        return True
    found = decision(point, partial)
    is_met = found is not None and found.reason
    return bool(is_met) or partial.chunks == point_chunks(sweep, point)


def _next_place(point: Point, chunks: int, total: int) -> int:
    """Up to where a point is simulated before it is looked at: to the end, or to where its goal is."""
    if point.config.until is None:
        return total
    return next_place(chunks, total)


def simulate(campaign: Campaign, map_: Map) -> None:
    """Simulate what is missing of all points; those with a goal in rounds, from one look at it to the next."""
    waiting = _waiting(campaign)
    while waiting and not campaign.stopped:
        _round(campaign, map_, waiting)
        waiting = [point for point in _waiting(campaign) if point.config.until is not None]


def _waiting(campaign: Campaign) -> list[Point]:
    """The points of which chunks are missing."""
    waiting = []
    for point in campaign.points:
        is_over = point.key in campaign.rows or point.index in campaign.failures
        partial = campaign.partial.get(point.key)
        if not is_over and not is_whole(campaign.sweep, point, partial):
            waiting.append(point)
    return waiting


def _round(campaign: Campaign, map_: Map, waiting: list[Point]) -> None:
    todo = [_todo(campaign, point) for point in waiting]
    pool = Pool.of([point_chunks(campaign.sweep, point) for point in waiting])
    items = pool.items(todo)
    meter = Meter(
        before=_pairs_done(campaign),
        total=sum(map(expected_pairs, campaign.points)),
    )
    tasks = ChunkTasks(
        configs=[json.dumps(point.config.resolved()) for point in waiting],
        numbers=[point.index for point in waiting],
        keep=campaign.sweep.keep,
        pool=pool,
    )
    work = functools.partial(chunk_work, tasks)
    seen = 0
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(_Sink(campaign))
        results = map_(work, items)
        stack.enter_context(contextlib.closing(results))
        for rank, made in results:
            task, _ = pool.locate(items[seen])
            seen += 1
            emissions = sink.take(waiting[task], made, rank=rank)
            campaign.observer.progress(meter.add(emissions))
            if campaign.gives_up:
                break
    campaign.stopped = seen < len(items) or campaign.gives_up
    campaign.launched += meter.launched
    campaign.seconds += meter.seconds


def _todo(campaign: Campaign, point: Point) -> list[range]:
    """The chunks of a point that are not there yet."""
    total = point_chunks(campaign.sweep, point)
    partial = campaign.partial.get(point.key)
    have = partial.chunks if partial else 0
    if campaign.sweep.keep != "pairs" or have == total:
        place = _next_place(point, have, total)
        return [range(have, place)]
    path = pairs_file(campaign.store.path, point)
    if is_complete(point.config, path):
        take_file(campaign, point)
        return []
    partial_file, *_ = pairs_store.working_files(path)
    if not path.exists() and not partial_file.exists():
        place = _next_place(point, 0, total)
        return [range(place)]
    with contextlib.closing(PointFile(path, point.config)) as opened:
        if opened.finish():
            take_file(campaign, point)
            return []
        opened.make_room()
        place = _next_place(point, opened.store.ready, total)
        return _up_to(place, opened.store.todo.ranges)


def _up_to(place: int, missing: Iterable[range]) -> list[range]:
    """The chunks of these that come before ``place``."""
    before = []
    for some in missing:
        if some.start < place:
            before.append(range(some.start, min(some.stop, place)))
    return before


def take_file(campaign: Campaign, point: Point) -> None:
    """The sums of a point whose pairs file is finished."""
    config = point.config
    path = pairs_file(campaign.store.path, point)
    if campaign.partial.pop(point.key, None):
        campaign.store.put(of_anew(point.key))
    partial = Partial()
    with pairs_store.open_pairs(path) as file:
        records = file.chunk_records(0, file.chunk_count)
    partial.add(sums_of(records))
    partial.add(about_engine(engine_for(config, path)))
    if config.until is not None:
        met = course_of_file(config, path).met
        reason = met.reason if met else "max_pairs"
        stopped = {
            "stopped": reason,
            "pairs": int(records["count"].sum()),
            "chunks": len(records),
        }
        partial.add(stopped)
    campaign.add_chunks(
        point,
        partial.sums,
        np.array(records["checksum"]),
        np.array(records["rows"]),
    )


def _pairs_done(campaign: Campaign) -> int:
    """Emissions that earlier launches have simulated."""
    done = 0
    for point in campaign.points:
        partial = campaign.partial.get(point.key)
        if point.key in campaign.rows:
            done += point.config.pairs
        elif partial is not None:
            done += _emissions(point, partial.chunks)
    return done


class _Sink:
    """Takes chunks in the order of points: into sums, and into a point's pairs file where it is kept."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.point: Point | None = None
        self.about: dict[str, Any] = {}
        self.records: list[NDArray[Any]] = []
        self.file: PointFile | None = None

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.file is not None:
            with contextlib.suppress(StoreError):
                self.file.close()
        if error is None:
            self.flush()

    def take(self, point: Point, made: Made, *, rank: int) -> int:
        """The next chunk of a point; returns its emissions, 0 of one that failed."""
        campaign = self.campaign
        if self.point is not point:
            self.flush()
            self.point = point
        if made.error:
            campaign.fail(point, made.error)
        if point.index in campaign.failures or made.chunk is None:
            return 0
        record = made.chunk.record
        emissions = int(record["count"][0])
        if campaign.sweep.keep == "pairs":
            self._into_file(point, made.chunk, rank)
            return emissions
        self.records.append(record)
        if made.values:
            self.about = made.values
        following = int(record["index"][0]) + 1
        is_last = following == point_chunks(campaign.sweep, point)
        if is_last or campaign.store.is_due:
            self.flush()
            if campaign.store.is_due:
                campaign.store.commit()
        return emissions

    def flush(self) -> None:
        """Hand on the chunks that have come since the last time."""
        if self.point is None or not self.records:
            return
        records = np.concatenate(self.records)
        sums = sums_of(records) | self.about
        self.records = []
        self.about = {}
        self.campaign.add_chunks(
            self.point,
            sums,
            records["checksum"].copy(),
            records["rows"].copy(),
        )

    def _into_file(self, point: Point, chunk: ChunkResult, rank: int) -> None:
        path = pairs_file(self.campaign.store.path, point)
        if self.file is None or self.file.path != path:
            if self.file is not None:
                self.file.close()
            self.file = PointFile(path, point.config)
        self.file.append(chunk, rank)
        if self.file.finish():
            self.file = None
            take_file(self.campaign, point)
            self.campaign.store.commit()


def sums_of(records: NDArray[Any]) -> dict[str, Any]:
    """What a row says of chunks, from their records."""
    sums: dict[str, Any] = {name: int(records[name].sum()) for name in ROW_COUNTS}
    durations = records["duration_ns"].tolist()
    sums["duration_ticks"] = sum(round(time * TICKS) for time in durations)
    sums["seconds"] = float(records["seconds"].sum())
    return sums
