"""``output.keep: counts``: the outcome counts of a run straight from their law, without a pair."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xxhash

from .. import store
from ..config import NoiseConfig, RunConfig
from ..engines import Engine, make_engine
from ..engines.noise.law import LAW_VERSION, draw_counts
from ..engines.noise.timed import is_timed
from ..errors import ConfigError
from ..pairs import CHUNK_DTYPE, ChunkResult, OutcomeCounts, Partition, Tick, stopping
from ..pairs.stopping import Course
from ..parallel.job import Work


def counts_of(config: RunConfig, engine: Engine | None = None) -> OutcomeCounts:
    """The sixteen outcome counts of ``config.pairs`` emissions, drawn with ``config.seed``.

    They have the law of the run's pairs and are not counted from them, as those of another seed are not.  A million
    and 1e15 emissions take the same millisecond.  A run with ``until`` draws a step from each look at its goal to the
    next, up to where it is met.  ``engine`` spares making the run's engine again.  Raises `ConfigError` for an engine
    whose law is not known.
    """
    described = config.engine
    if not isinstance(described, NoiseConfig):
        raise ConfigError(
            f"output.keep=counts: engine.name={described.name} has no law that counts could be "
            "drawn from; choose noise, or keep records"
        )
    if is_timed(described):
        raise ConfigError(
            "output.keep=counts: of a link whose attempts take time counts alone are not drawn; keep records"
        )
    engine = engine or make_engine(described)
    counts, _ = _drawn(config, engine.thresholds)
    return counts


def course_of_counts(config: RunConfig, thresholds: dict[str, object]) -> Course:
    """The decisions of a run with a goal whose counts are drawn."""
    _, course = _drawn(config, thresholds)
    assert course is not None
    return course


def _drawn(
    config: RunConfig,
    thresholds: dict[str, object],
    tick: Tick | None = None,
) -> tuple[OutcomeCounts, Course | None]:
    """The counts, and the decisions where the run has a goal."""
    if config.until is None:
        at_once = draw_counts(thresholds, config.pairs, config.seed)
        return at_once, None
    partition = Partition(config.pairs, config.chunk_size)
    course = Course(config.until.goal, partition)
    steps = _steps(config, thresholds, course)
    drawn = next(steps)
    for step in steps:
        drawn += step
        if tick:
            tick()
    return drawn, course


def _steps(
    config: RunConfig,
    thresholds: dict[str, object],
    course: Course,
) -> Iterator[OutcomeCounts]:
    """Counts from each look at the goal to the next; ``course`` takes them in."""
    total = len(course.partition)
    while course.met is None:
        place = stopping.next_place(course.chunks, total)
        end = min(place * config.chunk_size, config.pairs)
        emissions = end - course.pairs
        step = draw_counts(
            thresholds,
            emissions,
            config.seed,
            len(course.decisions),
        )
        course.add(emissions, step.tally, chunks=place - course.chunks)
        yield step


def info_of_counts(info: store.RunInfo, config: RunConfig, engine: Engine) -> store.RunInfo:
    """What a file of counts says: all emissions are one chunk, and the number of them is part of its identity."""
    drawn = counts_of(config, engine)
    pairs = drawn.emissions
    return replace(
        info,
        pairs=pairs,
        engine=f"{info.engine} ({store.LABEL})",
        config_digest=law_digest(info.config_digest, config, pairs),
        chunk_size=-(-pairs // 8) * 8,
        outcome_counts=drawn.counts,
    )


def law_digest(config_digest: str, config: RunConfig, pairs: int) -> str:
    """The identity of counts of so many emissions: another one than that of the bits.

    Counts that were drawn in steps, up to a goal, are others than those that were drawn at once.
    """
    words = [config_digest, store.LABEL, LAW_VERSION, pairs]
    if config.until is not None:
        words.append("in steps")
    text = json.dumps(words)
    return hashlib.sha256(text.encode()).hexdigest()


def counts_work(config: RunConfig, thresholds: dict[str, object]) -> Work[ChunkResult]:
    """The function that draws the counts and makes the record of the one chunk."""

    def work(index: int, tick: Tick | None = None) -> ChunkResult:
        result, _ = counts_result(config, thresholds, tick)
        return result

    return work


def counts_result(
    config: RunConfig,
    thresholds: dict[str, object],
    tick: Tick | None = None,
) -> tuple[ChunkResult, Course | None]:
    """The record of a run's counts, and the decisions where it has a goal."""
    begin = time.perf_counter()
    counts, course = _drawn(config, thresholds, tick)
    result = ChunkResult(_record(counts), None)
    result.record["seconds"] = time.perf_counter() - begin
    return result, course


def _record(counts: OutcomeCounts) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    record = np.zeros(1, CHUNK_DTYPE)
    tally = counts.tally
    record["count"] = counts.emissions
    record["rows"] = counts.rows
    record["sifted_z"] = tally.sifted_z
    record["errors_z"] = tally.errors_z
    record["sifted_x"] = tally.sifted_x
    record["errors_x"] = tally.errors_x
    record["alice_clicks"] = counts.alice_clicks
    record["bob_clicks"] = counts.bob_clicks
    table = counts.table().astype("<u8")
    record["checksum"] = xxhash.xxh3_64_intdigest(table.tobytes())
    return record
