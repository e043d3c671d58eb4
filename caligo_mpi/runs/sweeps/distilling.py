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
from ...protocol.run import of_version, plan_blocks
from ...store.sweep_journal import of_blocks
from ..job import Meter
from ..modes import mode_of
from .keys import KeyTask, block_work
from .pool import Pool
from .simulating import TICKS, is_whole
from .work import Made

if TYPE_CHECKING:
    from .campaign import Campaign


def distill_points(campaign: Campaign, map_: Map) -> None:
    """Distill the pairs of all points that are to end in a key."""
    points = [
        point
        for point in campaign.points
        if point.key in campaign.partial
        and point.key not in campaign.rows
        and point.index not in campaign.failures
        and is_whole(campaign.sweep, point, campaign.partial[point.key])
    ]
    tasks = [_key_task(campaign, point) for point in points]
    blocks = [
        plan_blocks(task.total, _protocol(point)) for task, point in zip(tasks, points, strict=True)
    ]
    sizes = list(map(len, blocks))
    todo = [
        [range(campaign.partial[point.key].blocks, size)]
        for point, size in zip(points, sizes, strict=True)
    ]
    pool = Pool.of(sizes)
    items = pool.items(todo)
    if not len(items):
        return
    before = sum(
        block.count
        for point, plan in zip(points, blocks, strict=True)
        for block in plan[: campaign.partial[point.key].blocks]
    )
    meter = Meter(before=before, total=sum(task.total for task in tasks))
    seen = 0
    work = functools.partial(block_work, tasks, pool)
    with contextlib.closing(map_(work, items)) as results:
        for _, made in results:
            task, number = pool.locate(items[seen])
            seen += 1
            version = tasks[task].premises.stream_version
            last = number == sizes[task] - 1
            _take_block(campaign, points[task], made, last=last, version=version)
            campaign.observer.progress(meter.add(blocks[task][number].count))
            if campaign.failures and campaign.fail_fast:
                break
    campaign.stopped = seen < len(items)
    campaign.seconds += meter.seconds


def _protocol(point: Point) -> ProtocolConfig:
    assert point.protocol is not None
    return point.protocol


def _key_task(campaign: Campaign, point: Point) -> KeyTask:
    partial, protocol = campaign.partial[point.key], _protocol(point)
    plan = plan_blocks(int(np.concatenate(partial.chunk_rows).sum()), protocol)
    premises = of_version(mode_of(protocol.mode).premises(point.config), protocol, plan)
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
        rows=np.concatenate(partial.chunk_rows),
        alice_clicks=partial.sums["alice_clicks"],
        duration_ns=partial.sums["duration_ticks"] / TICKS,
    )


def _take_block(campaign: Campaign, point: Point, made: Made, *, last: bool, version: int) -> None:
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
        campaign.store.put(of_blocks(point.key, made.values, 1, version))
    if campaign.store.is_due:
        campaign.store.commit()
