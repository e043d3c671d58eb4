"""Configuration in, one file of pairs out.  Knows nothing of MPI: it is handed a map."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .. import store
from ..config import RunConfig
from ..config.run import LEAST_CHUNK_SIZE, MpiConfig
from ..engines import Engine
from ..engines.link import Expected
from ..launch.supervise import State, pairs_state
from ..pairs import ChunkResult, Partition
from ..pairs.stopping import Course
from ..parallel.job import Map, Rules, Setup
from ..parallel.serial import serial_map
from . import until, writers
from .chunks import chunk_work
from .counts import counts_work, course_of_counts
from .identity import engine_for, require_same_maker, run_info
from .job import Meter, Observer, Protection
from .metrics import Metrics

#: Above this a stop or a fault costs more than it should.
_LONG_CHUNK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Summary:
    """How a launch ended: the file's status, the closed forms, emissions and seconds of this launch alone."""

    status: store.Status
    expected: Expected
    launched: int
    seconds: float
    messages: tuple[str, ...] = ()


def generate(
    config: RunConfig,
    path: str | os.PathLike[str],
    *,
    map: Map = serial_map,
    launch: Mapping[str, object] | None = None,
    force: bool = False,
    observer: Observer | None = None,
) -> Summary:
    """Simulate the run into ``path``, or go on with it; the same call does both.

    The pairs grow in ``path`` + ``.part``, which becomes ``path`` when the last chunk is in.
    ``map`` decides where chunks are simulated, ``launch`` is noted in the file's ``/runs`` beside
    `provenance`, ``force`` sets a finished file of another configuration aside, ``observer`` is told
    what happens.  Raises `StoreError`, and `EngineError` for a chunk that fails.
    """
    path = Path(path)
    observer = observer or Observer()
    if map is serial_map:
        map = functools.partial(serial_map, ledger=observer.ledger)
    engine = engine_for(config, path)
    info = until.asked(config, run_info(config, engine), path)
    if not force:
        if done := _already(path, config, info, engine.expected, observer):
            return done
        require_same_maker(config, engine, path)
        force = until.counts_up_to_a_goal(config, info, path) is not None
    try:
        opened = _opened(config, info, path, launch, force=force)
    except store.AlreadyComplete:
        # Another launch finished it while we waited for its lock.
        if done := _already(path, config, info, engine.expected, observer):
            return done
        raise
    with opened as pair_store:
        meter = _complete(config, engine, (pair_store, info), map, observer)
    messages = tuple(pair_store.messages)
    return Summary(store.status(path), engine.expected, meter.launched, meter.seconds, messages)


def _opened(
    config: RunConfig,
    info: store.RunInfo,
    path: Path,
    launch: Mapping[str, object] | None,
    *,
    force: bool,
) -> store.PairStore:
    """The file, begun or gone on with."""
    return store.PairStore.open(
        path,
        info,
        launch={**info.software, **(launch or {})},
        durability=config.output.durability,
        force=force,
    )


def _finish(config: RunConfig, pair_store: store.PairStore, course: Course | None) -> None:
    """Publish the file if all chunks are in, or as many as its goal takes."""
    if course and until.is_enough(course, pair_store):
        pair_store.finish(until.stopped(config, course))
    elif not course and pair_store.is_complete:
        stopped = None
        if config.until:
            drawn = course_of_counts(config, pair_store.thresholds)
            stopped = until.stopped(config, drawn)
        pair_store.finish(stopped)


def _complete(
    config: RunConfig,
    engine: Engine,
    run: tuple[store.PairStore, store.RunInfo],
    map_: Map,
    observer: Observer,
) -> Meter:
    """Fill the open file up to the pairs or to the goal that the configuration asks for, and finish it."""
    pair_store, info = run
    course = None
    if config.until and not info.is_law:
        course = until.course_of_store(config, pair_store)
    meter = _fill(
        config,
        engine,
        (pair_store, course),
        map_,
        observer,
    )
    _finish(config, pair_store, course)
    return meter


def _fill(
    config: RunConfig,
    engine: Engine,
    run: tuple[store.PairStore, Course | None],
    map_: Map,
    observer: Observer,
) -> Meter:
    """Simulate and append the chunks that are missing, or those that the run's course needs."""
    pair_store, _ = run
    for message in pair_store.messages:
        observer.say(message)
    _record(observer, pair_store)
    pairs = pair_store.info.pairs
    missing = _emissions(pair_store.info, pair_store.todo)
    meter = Meter(before=pairs - missing, total=pairs)
    metrics = Metrics(pair_store, observer.ledger)
    with contextlib.closing(_results(config, engine, run, map_)) as results:
        for rank, result in results:
            meter.total = pair_store.info.pairs
            pair_store.append(result, rank=rank)
            _record(observer, pair_store)
            metrics.note()
            if not meter.launched:
                seconds = float(result.record["seconds"][0])
                _warn_of_long_chunks(config, seconds, observer)
            emissions = int(result.record["count"][0])
            observer.progress(meter.add(emissions, pair_store.rows))
    metrics.write()
    return meter


def _results(
    config: RunConfig,
    engine: Engine,
    run: tuple[store.PairStore, Course | None],
    map_: Map,
) -> Generator[tuple[int, ChunkResult], None, None]:
    """Results to be appended; where the run has a course, as far as it needs them."""
    pair_store, course = run
    if course is None:
        setup = _setup(config, engine, pair_store)
        with contextlib.closing(map_(setup, pair_store.todo)) as found:
            yield from found
        return

    setup_for = functools.partial(_setup_for, config, engine, pair_store)
    with contextlib.closing(until.results(course, pair_store, map_, setup_for)) as found:
        yield from found


def _setup_for(
    config: RunConfig,
    engine: Engine,
    pair_store: store.PairStore,
    pairs: int,
) -> Setup[ChunkResult]:
    """The same for so many emissions."""
    longer = config.model_copy(update={"pairs": pairs})
    return _setup(longer, engine, pair_store)


def _setup(config: RunConfig, engine: Engine, pair_store: store.PairStore) -> Setup[ChunkResult]:
    """What each process makes its work of: by the thresholds that the file began with."""
    thresholds = pair_store.thresholds
    info = pair_store.info
    if info.is_law:
        return functools.partial(counts_work, config, thresholds)
    begun_with = (thresholds, engine.stream_version, info.declared)
    places = writers.places(config, pair_store)
    return functools.partial(
        chunk_work,
        config,
        *begun_with,
        carry=info.has_columns,
        places=places,
    )


def _warn_of_long_chunks(config: RunConfig, seconds: float, observer: Observer) -> None:
    if seconds > _LONG_CHUNK_SECONDS:
        remedy = ""
        if config.chunk_size > LEAST_CHUNK_SIZE:
            remedy = "; a smaller one (it is part of the run's identity) makes that less"
        observer.say(
            f"chunk_size={config.chunk_size} takes {seconds:.0f} s per chunk, "
            f"which a kill loses{remedy}"
        )


def _already(
    path: Path,
    config: RunConfig,
    info: store.RunInfo,
    expected: Expected,
    observer: Observer,
) -> Summary | None:
    """The answer where there is nothing to do, or None where ``path`` is not complete."""
    status = until.completed(config, info, path)
    if not status:
        return None
    more = ""
    if config.until and status.pairs < config.pairs:
        more = f", enough for {config.until.goal}"
    elif not config.until and status.pairs > config.pairs:
        more = f", more than the {config.pairs} asked for"
    there = f"pairs={status.pairs}{more}, data digest {status.data_digest}"
    message = f"{path} is already complete: {there}"
    observer.say(message)
    return Summary(
        status,
        expected,
        launched=0,
        seconds=0.0,
        messages=(message,),
    )


def _record(observer: Observer, pair_store: store.PairStore) -> None:
    """Move what went wrong elsewhere into ``/faults``."""
    while observer.faults:
        fault = observer.faults.popleft()
        pair_store.record_fault(fault.what, rank=fault.rank, chunks=fault.chunks)


def _emissions(info: store.RunInfo, chunks: Sequence[int]) -> int:
    """How many emissions these chunks hold; only the last chunk of a run may be shorter."""
    last = len(info.partition) - 1
    emissions = len(chunks) * info.chunk_size
    if len(chunks) and chunks[-1] == last:
        emissions -= (last + 1) * info.chunk_size - info.pairs
    return emissions


def preflight(config: RunConfig, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise now, having touched nothing, what `generate` would raise at its start."""
    engine = engine_for(config, path)
    info = until.asked(config, run_info(config, engine), path)
    is_redrawn = until.counts_up_to_a_goal(config, info, path) is not None
    store.preflight(path, info, force=force or is_redrawn)
    if not force and not is_complete(config, path):
        require_same_maker(config, engine, path)


def is_complete(config: RunConfig, path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a finished file of this configuration with at least its pairs."""
    engine = engine_for(config, path)
    info = run_info(config, engine)
    return until.completed(config, info, path) is not None


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """A `caligo_mpi.runs.job.Job` that makes a pairs file."""

    config: RunConfig
    path: Path
    arguments: list[str]
    forced: bool = False
    noun: ClassVar[str] = "chunk"

    @property
    def hint(self) -> str:
        """What helps where there are few chunks."""
        if self.config.chunk_size == LEAST_CHUNK_SIZE or self.config.output.keep == "counts":
            return ""
        return "a smaller chunk_size would share the work more evenly"

    @property
    def rules(self) -> Rules:
        """How chunks are shared."""
        schedule = self.config.schedule
        faults = self.config.faults
        return Rules(schedule.policy, schedule.rank0_computes, faults.retries)

    @property
    def mpi(self) -> MpiConfig:
        """Its ranks."""
        return self.config.mpi

    @property
    def protection(self) -> Protection:
        """What is done when ranks die."""
        faults = self.config.faults
        return Protection(faults.restarts, survive=faults.mode == "survive")

    def __len__(self) -> int:
        if self.config.output.keep == "counts":
            return 1
        return len(Partition(self.config.pairs, self.config.chunk_size))

    def preflight(self) -> None:
        """Raise now what `run` would raise at its start."""
        preflight(self.config, self.path, force=self.forced)

    def is_complete(self) -> bool:
        """Whether the pairs are there."""
        return is_complete(self.config, self.path)

    def state(self) -> State:
        """What the file holds so far."""
        return pairs_state(self.path)

    def run(
        self,
        map_: Map,
        launch: Mapping[str, object],
        observer: Observer,
        *,
        force: bool,
    ) -> bool:
        """Simulate the pairs."""
        summary = generate(
            self.config,
            self.path,
            map=map_,
            launch=launch,
            force=force,
            observer=observer,
        )
        observer.result(summary)
        return summary.status.complete
