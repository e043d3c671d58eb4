"""The blocks of all points of a sweep that are to end in a key, in one pool."""

from __future__ import annotations

import contextlib
import functools
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...config.points import Point
from ...config.protocol import ProtocolConfig
from ...parallel.job import Map
from ...protocol.draw import STREAM_VERSION
from ...protocol.run import after_tests, of_version, plan_blocks, wants_tests
from ...protocol.types import Block, BlockResult, QberEstimate
from ...store.sweep_journal import of_blocks
from ..job import Meter
from ..modes import mode_of
from .keys import KeyTask, announce_work, block_work
from .pool import Pool
from .simulating import TICKS, is_whole
from .work import Made

if TYPE_CHECKING:
    from .campaign import Campaign


def distill_points(campaign: Campaign, map_: Map) -> None:
    """Distill the pairs of all points that are to end in a key."""
    points = _whole_points(campaign)
    tasks = [_key_task(campaign, point) for point in points]
    plans = _plans(points, tasks)
    todo = []
    before = 0  # rows in blocks of earlier launches
    for point, plan in zip(points, plans, strict=True):
        done = campaign.partial[point.key].blocks
        todo.append([range(done, len(plan))])
        before += sum(block.count for block in plan[:done])
    pool = Pool.of([len(plan) for plan in plans])
    items = pool.items(todo)
    if not len(items):
        return
    meter = Meter(before=before, total=sum(task.total for task in tasks))
    if not _learn_tests(campaign, points, tasks, map_):
        campaign.stopped = True
        return
    seen = 0
    work = functools.partial(block_work, tasks, pool)
    with contextlib.closing(map_(work, items)) as results:
        for _, made in results:
            at, number = pool.locate(items[seen])
            seen += 1
            plan = plans[at]
            _take_block(
                campaign,
                points[at],
                made,
                last=number == len(plan) - 1,
                version=tasks[at].premises.stream_version,
            )
            campaign.observer.progress(meter.add(plan[number].count))
            if campaign.gives_up:
                break
    campaign.stopped = seen < len(items)
    campaign.seconds += meter.seconds


def _learn_tests(
    campaign: Campaign,
    points: list[Point],
    tasks: list[KeyTask],
    map_: Map,
) -> bool:
    """Put into the ``tasks`` what all blocks' tests of a point show, where its keys go by that; whether it is done."""
    plans = _plans(points, tasks)
    wanted = [
        len(plan) if wants_tests(task.premises) else 0
        for plan, task in zip(plans, tasks, strict=True)
    ]
    pool = Pool.of([len(plan) for plan in plans])
    items = pool.items([[range(count)] for count in wanted])
    if not len(items):
        return True
    tests: list[list[BlockResult]] = [[] for _ in tasks]
    work = functools.partial(announce_work, tasks, pool)
    seen = 0
    with contextlib.closing(map_(work, items)) as results:
        for _, made in results:
            at, number = pool.locate(items[seen])
            seen += 1
            campaign.store.touch()
            if made.error:
                campaign.fail(points[at], made.error)
            elif found := made.values["estimate"]:
                tests[at].append(BlockResult(plans[at][number], estimate=QberEstimate(**found)))
            if campaign.gives_up:
                break
    for at, count in enumerate(wanted):
        if count:
            premises = after_tests(tasks[at].premises, tests[at])
            tasks[at] = replace(tasks[at], premises=premises)
    return seen == len(items) and not campaign.gives_up


def _plans(points: list[Point], tasks: list[KeyTask]) -> list[list[Block]]:
    """The blocks of each point."""
    both = zip(points, tasks, strict=True)
    return [plan_blocks(task.total, _protocol(point)) for point, task in both]


def _whole_points(campaign: Campaign) -> list[Point]:
    """The points whose pairs are all in and whose key is not."""
    found = []
    for point in campaign.points:
        is_over = point.key in campaign.rows or point.index in campaign.failures
        partial = campaign.partial.get(point.key)
        if not is_over and is_whole(campaign.sweep, point, partial):
            found.append(point)
    return found


def _protocol(point: Point) -> ProtocolConfig:
    assert point.protocol is not None
    return point.protocol


def _key_task(campaign: Campaign, point: Point) -> KeyTask:
    partial = campaign.partial[point.key]
    protocol = _protocol(point)
    rows = np.concatenate(partial.chunk_rows)
    plan = plan_blocks(int(rows.sum()), protocol)
    premises = mode_of(protocol.mode).premises(point.config)
    premises = of_version(premises, protocol, plan)
    if partial.blocks:
        # One set of codes and streams from the first block to the last, whichever release goes on.
        begun = partial.keys_version or STREAM_VERSION
        premises = replace(premises, stream_version=begun)
    return KeyTask(
        point=point.index,
        config=json.dumps(point.config.resolved()),
        protocol=json.dumps(protocol.resolved()),
        premises=premises,
        checksums=np.concatenate(partial.checksums),
        rows=rows,
        alice_clicks=partial.sums["alice_clicks"],
        duration_ns=partial.sums["duration_ticks"] / TICKS,
    )


def _take_block(
    campaign: Campaign,
    point: Point,
    made: Made,
    *,
    last: bool,
    version: int,
) -> None:
    if made.error:
        campaign.fail(point, made.error)
    if point.index in campaign.failures:
        return
    partial = campaign.partial[point.key]
    partial.add(made.values)
    partial.blocks += 1
    partial.keys_version = version
    if last:
        campaign.finish(point)
    else:
        entry = of_blocks(
            point.key,
            made.values,
            1,
            version,
        )
        campaign.store.put(entry)
    if campaign.store.is_due:
        campaign.store.commit()
