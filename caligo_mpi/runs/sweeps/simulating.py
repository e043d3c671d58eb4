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
from ...pairs import ChunkResult, Partition
from ...parallel.job import Map
from ...store.sweep_data import Partial
from ...store.sweep_journal import of_anew
from ..identity import engine_for, run_info
from ..job import Meter
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


def simulate(campaign: Campaign, map_: Map) -> None:
    """Simulate what is missing of all points."""
    waiting = [point for point in campaign.points if point.key not in campaign.rows]
    todo = [_todo(campaign, point) for point in waiting]
    pool = Pool.of([point_chunks(campaign.sweep, point) for point in waiting])
    items = pool.items(todo)
    meter = Meter(
        before=_pairs_done(campaign), total=sum(point.config.pairs for point in campaign.points)
    )
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
    campaign.stopped = seen < len(items)
    campaign.launched = meter.launched
    campaign.seconds += meter.seconds


def _todo(campaign: Campaign, point: Point) -> list[range]:
    """The chunks of a point that are not there yet."""
    total = point_chunks(campaign.sweep, point)
    partial = campaign.partial.get(point.key)
    have = partial.chunks if partial else 0
    if campaign.sweep.keep != "pairs" or have == total:
        return [range(have, total)]
    path = pairs_file(campaign.store.path, point)
    info = run_info(point.config, engine_for(point.config, path))
    if pairs_store.completed(path, info):
        take_file(campaign, point)
        return []
    if not path.exists() and not pairs_store.working_files(path)[0].exists():
        return [range(total)]
    launch = {"ranks": 1}
    with pairs_store.PairStore.open(path, info, launch=launch) as opened:
        return list(opened.todo.ranges)


def take_file(campaign: Campaign, point: Point) -> None:
    """The sums of a point whose pairs file is finished."""
    path = pairs_file(campaign.store.path, point)
    if campaign.partial.pop(point.key, None):
        campaign.store.put(of_anew(point.key))
    partial = Partial()
    with pairs_store.open_pairs(path) as file:
        records = file.chunk_records(0, file.chunk_count)
    partial.add(sums_of(records))
    partial.add(about_engine(engine_for(point.config, path)))
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
        self.file: pairs_store.PairStore | None = None

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
            info = run_info(point.config, engine_for(point.config, path))
            durability = point.config.output.durability
            launch = {"ranks": 1}
            self.file = pairs_store.PairStore.open(path, info, launch=launch, durability=durability)
        self.file.append(chunk, rank=rank)
        if self.file.is_complete:
            self.file.finish()
            self.file = None
            take_file(self.campaign, point)
            self.campaign.store.commit()


def sums_of(records: NDArray[Any]) -> dict[str, Any]:
    """What a row says of chunks, from their records."""
    whole = {name: int(records[name].sum()) for name in _SUMMED}
    whole["duration_ticks"] = sum(round(time * TICKS) for time in records["duration_ns"].tolist())
    return {**whole, "seconds": float(records["seconds"].sum())}
