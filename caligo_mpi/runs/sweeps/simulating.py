"""The chunks of all points of a sweep, in one pool."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import store as pairs_store
from ...config.points import Point
from ...config.sweep import SweepConfig
from ...errors import StoreError
from ...pairs import ChunkResult, Partition, Tally
from ...pairs.stopping import Decision, decide, is_decided, next_place
from ...parallel.job import Map
from ...store.sweep_data import Partial
from ...store.sweep_journal import of_anew
from ..generate import is_complete
from ..identity import engine_for
from ..job import Meter
from ..until import course_of_file
from .goals import expected_pairs
from .point_file import PointFile
from .pool import Pool
from .work import ChunkTasks, Made, about_engine, chunk_work

if TYPE_CHECKING:
    from .campaign import Campaign

_SUMMED = ("rows", "sifted_z", "errors_z", "sifted_x", "errors_x", "alice_clicks", "bob_clicks")
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
    config, total = point.config, len(Partition(point.config.pairs, point.config.chunk_size))
    if config.until is None or not is_decided(partial.chunks, total):
        return None
    sums = partial.sums
    counts = Tally(*(sums[name] for name in ("sifted_z", "errors_z", "sifted_x", "errors_x")))
    pairs = min(config.pairs, partial.chunks * config.chunk_size)
    last = partial.chunks == total
    return decide(config.until.goal, partial.chunks, pairs, counts, last=last)


def is_whole(sweep: SweepConfig, point: Point, partial: Partial | None) -> bool:
    """Whether all chunks of a point are in: as many as it has, or as its goal takes."""
    if partial is None or not partial.chunks:
        return False
    if "stopped" in partial.sums:  # a finished file, or drawn counts, where that was decided
        return True
    found = decision(point, partial)
    return bool(found and found.reason) or partial.chunks == point_chunks(sweep, point)


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
    return [
        point
        for point in campaign.points
        if point.key not in campaign.rows
        and point.index not in campaign.failures
        and not is_whole(campaign.sweep, point, campaign.partial.get(point.key))
    ]


def _round(campaign: Campaign, map_: Map, waiting: list[Point]) -> None:
    todo = [_todo(campaign, point) for point in waiting]
    pool = Pool.of([point_chunks(campaign.sweep, point) for point in waiting])
    items = pool.items(todo)
    meter = Meter(before=_pairs_done(campaign), total=sum(map(expected_pairs, campaign.points)))
    configs = [json.dumps(point.config.resolved()) for point in waiting]
    numbers = [point.index for point in waiting]
    tasks = ChunkTasks(configs, numbers, campaign.sweep.keep, pool)
    seen = 0
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(_Sink(campaign))
        results = map_(functools.partial(chunk_work, tasks), items)
        stack.enter_context(contextlib.closing(results))
        for rank, made in results:
            task, _ = pool.locate(items[seen])
            seen += 1
            emissions = sink.take(waiting[task], made, rank=rank)
            campaign.observer.progress(meter.add(emissions))
            if campaign.failures and campaign.fail_fast:
                break
    campaign.stopped = seen < len(items) or bool(campaign.failures and campaign.fail_fast)
    campaign.launched += meter.launched
    campaign.seconds += meter.seconds


def _todo(campaign: Campaign, point: Point) -> list[range]:
    """The chunks of a point that are not there yet."""
    total = point_chunks(campaign.sweep, point)
    partial = campaign.partial.get(point.key)
    have = partial.chunks if partial else 0
    if campaign.sweep.keep != "pairs" or have == total:
        return [range(have, _next_place(point, have, total))]
    path = pairs_file(campaign.store.path, point)
    if is_complete(point.config, path):
        take_file(campaign, point)
        return []
    if not path.exists() and not pairs_store.working_files(path)[0].exists():
        return [range(_next_place(point, 0, total))]
    with contextlib.closing(PointFile(path, point.config)) as opened:
        if opened.finish():
            take_file(campaign, point)
            return []
        opened.make_room()
        store = opened.store
        most = _next_place(point, store.ready, total)
        return [
            range(some.start, min(some.stop, most))
            for some in store.todo.ranges
            if some.start < most
        ]


def take_file(campaign: Campaign, point: Point) -> None:
    """The sums of a point whose pairs file is finished."""
    path, config = pairs_file(campaign.store.path, point), point.config
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
        pairs = int(records["count"].sum())
        partial.add({"stopped": reason, "pairs": pairs, "chunks": len(records)})
    campaign.add_chunks(
        point, partial.sums, np.array(records["checksum"]), np.array(records["rows"])
    )


def _pairs_done(campaign: Campaign) -> int:
    """Emissions that earlier launches have simulated."""
    done = 0
    for point in campaign.points:
        partial = campaign.partial.get(point.key)
        if point.key in campaign.rows:
            done += point.config.pairs
        elif partial is not None:
            done += min(point.config.pairs, partial.chunks * point.config.chunk_size)
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
        if self.point is not point:
            self.flush()
            self.point = point
        if made.error:
            self.campaign.fail(point, made.error)
        if point.index in self.campaign.failures or made.chunk is None:
            return 0
        record = made.chunk.record
        if self.campaign.sweep.keep == "pairs":
            self._into_file(point, made.chunk, rank)
            return int(record["count"][0])
        self.records.append(record)
        if made.values:
            self.about = made.values
        if (
            int(record["index"][0]) == point_chunks(self.campaign.sweep, point) - 1
            or self.campaign.store.is_due
        ):
            self.flush()
            if self.campaign.store.is_due:
                self.campaign.store.commit()
        return int(record["count"][0])

    def flush(self) -> None:
        """Hand on the chunks that have come since the last time."""
        if self.point is None or not self.records:
            return
        records = np.concatenate(self.records)
        sums = {**sums_of(records), **self.about}
        self.records, self.about = [], {}
        self.campaign.add_chunks(
            self.point, sums, records["checksum"].copy(), records["rows"].copy()
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
    whole = {name: int(records[name].sum()) for name in _SUMMED}
    whole["duration_ticks"] = sum(round(time * TICKS) for time in records["duration_ns"].tolist())
    return {**whole, "seconds": float(records["seconds"].sum())}
