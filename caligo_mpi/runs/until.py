"""Runs that stop when a rate is known precisely enough: how far to simulate, and when to end.

The partial file has room for so many chunks, and more once they are in: it never needs the disk for all the
emissions that the run may take.  What is decided comes from the chunks' records in order.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import store
from ..config import RunConfig
from ..engines.link import Expected
from ..errors import ConfigError, StoreError
from ..pairs import ChunkResult, Partition, stopping
from ..pairs.stopping import Course
from ..parallel.job import Map, Setup

#: Records read together.
_BATCH = 4096


def asked(
    config: RunConfig,
    info: store.RunInfo,
    path: str | os.PathLike[str],
) -> store.RunInfo:
    """The run as the file at ``path`` is laid out for it next; the same where the run has no goal.

    Counts that are drawn from their law are drawn up to the goal before anything is laid out.
    """
    if config.until is None or info.is_law:
        return info
    least = stopping.STEP * config.chunk_size
    room = store.room(path, info, least=least)
    return replace(info, pairs=room)


def completed(
    config: RunConfig,
    info: store.RunInfo,
    path: str | os.PathLike[str],
) -> store.Status | None:
    """The status of ``path`` if it is finished and holds what the configuration asks for; else None."""
    if config.until is None:
        return store.completed(path, info)
    if info.is_law:
        found = store.completed(path, info) or counts_up_to_a_goal(config, info, path)
        return found if found and _is_met(config, found) else None
    found = store.completed(path, replace(info, pairs=1))
    if found is None or found.pairs >= config.pairs:
        return found
    course = course_of_file(config, found.path)
    return found if course.met else None


def counts_up_to_a_goal(
    config: RunConfig,
    info: store.RunInfo,
    path: str | os.PathLike[str],
) -> store.Status | None:
    """The status of ``path`` if it holds counts of the same run that were drawn up to a goal, whichever; else None."""
    try:
        found = store.status(path)
    except StoreError:
        return None
    is_wanted = config.until and info.is_law
    if not (is_wanted and found.info.is_law and found.info.until):
        return None
    version = info.stream_version
    if found.info.stream_version != version:
        return None
    there = RunConfig.from_json(found.info.config)
    is_same = there.digest(version) == config.digest(version)
    return found if is_same else None


def _is_met(config: RunConfig, found: store.Status) -> bool:
    """Whether counts that were drawn up to some goal are enough for this one."""
    report = json.loads(found.info.until)
    seen = stopping.decide(
        _required(config),
        report["chunks"],
        found.pairs_done,
        found.tally,
        last=found.pairs_done >= config.pairs,
    )
    return bool(seen.reason)


def course_of_file(config: RunConfig, path: str | os.PathLike[str]) -> Course:
    """The decisions of the configuration's goal on the chunks that a file holds."""
    course = _course(config, config.pairs)
    with store.open_pairs(path) as file:
        for start in range(0, file.chunk_count, _BATCH):
            records = file.chunk_records(start, start + _BATCH)
            course.add_records(records)
    return course


def course_of_store(config: RunConfig, pair_store: store.PairStore) -> Course:
    """The course of a run that goes on: with what is in already.

    What an earlier launch with a higher goal has made beyond this one's emissions stays.
    """
    size = config.chunk_size
    room = pair_store.info.pairs
    stored = min(pair_store.ready * size, room)
    most = config.pairs
    if room > most:
        most = -(-most // size) * size
    course = _course(config, max(most, stored))
    _catch_up(course, pair_store)
    return course


def _course(config: RunConfig, most: int) -> Course:
    goal = _required(config)
    partition = Partition(most, config.chunk_size)
    return Course(goal, partition)


def _required(config: RunConfig) -> stopping.Goal:
    if config.until is None:
        raise ConfigError("until is missing in this configuration")
    return config.until.goal


def is_enough(course: Course, pair_store: store.PairStore) -> bool:
    """Whether the run can end: the goal is met, and no chunk is missing before the last one."""
    return course.met is not None and pair_store.is_whole


def results(
    course: Course,
    pair_store: store.PairStore,
    map_: Map,
    setup: Callable[[int], Setup[ChunkResult]],
) -> Generator[tuple[int, ChunkResult], None, None]:
    """Results to be appended, until the goal is met or the map was asked to stop.

    ``setup(pairs)`` makes the work of a run of so many emissions.
    """
    while not is_enough(course, pair_store):
        work = setup(pair_store.info.pairs)
        with contextlib.closing(map_(work, pair_store.todo)) as found:
            for rank, result in found:
                yield rank, result
                follow(course, pair_store, result.record)
                if is_enough(course, pair_store):
                    return
        if not pair_store.is_complete:
            return
        grow(course, pair_store)


def grow(course: Course, pair_store: store.PairStore) -> None:
    """Make room for more chunks, once all that there is room for are in."""
    least = stopping.STEP * course.partition.chunk_size
    most = replace(pair_store.info, pairs=course.partition.pairs)
    more = store.grown(pair_store.info.pairs, most, least=least)
    pair_store.grow(more)


def stopped(config: RunConfig, course: Course) -> store.Stopped:
    """What the finished file says of the goal; its configuration is that of the plain run.

    Of counts that were drawn up to the goal no plain run has the same; theirs is the one that was asked for.
    """
    plain = config
    if config.output.keep != "counts":
        plain = config.model_copy(update={"until": None, "pairs": course.pairs})
    return store.Stopped(
        course.pairs,
        json.dumps(plain.resolved()),
        json.dumps(course.report()),
        course.table(),
    )


def follow(course: Course, pair_store: store.PairStore, record: NDArray[np.void]) -> None:
    """Take in the chunk that was appended, if all before it are in."""
    if int(record["index"][0]) == course.chunks:
        course.add_records(record)
    if pair_store.ready > course.chunks:  # it was a damaged chunk that was done again
        _catch_up(course, pair_store)


def _catch_up(course: Course, pair_store: store.PairStore) -> None:
    if pair_store.ready > course.chunks:
        for records in pair_store.records(course.chunks, pair_store.ready):
            course.add_records(records)


def report(status: store.Status) -> dict[str, Any] | None:
    """The goal of the file's run and where the counts stand to it, as `Course.report`; None without a goal."""
    if status.info.until:
        found: dict[str, Any] = json.loads(status.info.until)
        return found
    if status.complete or status.info.is_law:
        return None
    config = RunConfig.from_json(status.info.config)
    if config.until is None:
        return None
    course = _course(config, config.pairs)
    course.chunks = status.chunks_done
    course.pairs = status.pairs_done
    course.tally = status.tally
    return course.report()


def foretold(config: RunConfig, expected: Expected) -> RunConfig:
    """The run with as many emissions as its goal takes by the closed forms: a place of decision, or all."""
    if config.until is None:
        return config
    goal = config.until.goal
    share, rate = _of_basis(goal.of, expected)
    pairs = stopping.expected_pairs(goal, rate, share * expected.coincidence)
    if not pairs < config.pairs:
        return config
    chunks = math.ceil(pairs / config.chunk_size)
    place = stopping.STEP * -(-chunks // stopping.STEP)
    if chunks < stopping.STEP:
        place = 1 << (chunks - 1).bit_length()
    most = min(place * config.chunk_size, config.pairs)
    return config.model_copy(update={"pairs": most})


def _of_basis(rate: str, expected: Expected) -> tuple[float, float]:
    """The share of the registered pairs that an error rate is of, and that rate."""
    if rate == "qber_z":
        return expected.sifted_z, expected.qber_z
    if rate == "qber_x":
        return expected.sifted_x, expected.qber_x
    share = expected.sifted_z + expected.sifted_x
    errors_z = expected.sifted_z * expected.qber_z
    errors_x = expected.sifted_x * expected.qber_x
    return share, (errors_z + errors_x) / share if share else 0.0
