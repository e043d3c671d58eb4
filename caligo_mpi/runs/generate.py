"""Configuration in, one file of pairs out.  Knows nothing of MPI: it is handed a map."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import store
from ..config import RunConfig
from ..engines import Engine, make_engine
from ..engines.link import Expected
from ..errors import StoreError
from ..pairs import Partition
from ..parallel.job import Fault, Map, Progress
from ..parallel.serial import serial_map
from ..provenance import provenance
from .chunks import chunk_work

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


def engine_for(config: RunConfig, path: str | os.PathLike[str] | None) -> Engine:
    """The run's engine, with the older random streams where the file at ``path`` was begun with them."""
    engine = make_engine(config.engine)
    for older in getattr(engine, "older_streams", ()):
        with contextlib.suppress(StoreError):
            if path is not None and store.status(path).info.config_digest == config.digest(older):
                return make_engine(config.engine, stream_version=older)
    return engine


def run_info(config: RunConfig, engine: Engine) -> store.RunInfo:
    """What the file says about its run."""
    return store.RunInfo(
        pairs=config.pairs,
        chunk_size=config.chunk_size,
        seed=config.seed,
        engine=engine.name,
        stream_version=engine.stream_version,
        config=json.dumps(config.resolved()),
        config_digest=config.digest(engine.stream_version),
        thresholds=engine.thresholds,
        has_index=engine.has_index,
        has_time=engine.has_time,
        coincidence=engine.expected.coincidence,
        software=provenance(),
    )


def generate(
    config: RunConfig,
    path: str | os.PathLike[str],
    *,
    map: Map = serial_map,
    launch: Mapping[str, object] | None = None,
    force: bool = False,
    faults: deque[Fault] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda message: None,
) -> Summary:
    """Simulate the run into ``path``, or go on with it; the same call does both.

    The pairs grow in ``path`` + ``.part``, which becomes ``path`` when the last chunk is in.  ``map`` decides where
    chunks are simulated, ``launch`` is noted in the file's ``/runs`` beside `provenance`, ``force`` sets a finished
    file of another configuration aside, ``faults`` are moved into ``/faults``, also those that are added while
    the run goes on.  ``report`` is called after each chunk, ``say`` with each sentence about what was found in the
    file.  Raises `StoreError`, and `EngineError` for a chunk that fails.
    """
    path, begin = Path(path), time.perf_counter()
    engine = engine_for(config, path)
    info = run_info(config, engine)
    if not force and (status := store.completed(path, info)):
        return _already(path, status, engine.expected, say)
    launched = 0
    launch, durability = {**info.software, **(launch or {})}, config.output.durability
    try:
        opened = store.PairStore.open(path, info, launch=launch, durability=durability, force=force)
    except store.AlreadyComplete:
        # Another launch finished it while we waited for its lock.
        if status := store.completed(path, info):
            return _already(path, status, engine.expected, say)
        raise
    with opened as pair_store:
        for message in pair_store.messages:
            say(message)
        _record(faults, pair_store)
        done = config.pairs - _emissions(config, pair_store.todo)
        setup = functools.partial(chunk_work, config, pair_store.thresholds, engine.stream_version)
        with contextlib.closing(map(setup, pair_store.todo)) as results:
            for rank, result in results:
                pair_store.append(result, rank=rank)
                _record(faults, pair_store)
                if (
                    not launched
                    and (seconds := float(result.record["seconds"][0])) > _LONG_CHUNK_SECONDS
                ):
                    say(
                        f"chunk_size={config.chunk_size} takes {seconds:.0f} s per chunk, which a kill loses; "
                        "a smaller one (it is part of the run's identity) makes that less"
                    )
                launched += int(result.record["count"][0])
                report(
                    Progress(
                        done + launched,
                        config.pairs,
                        pair_store.rows,
                        launched,
                        time.perf_counter() - begin,
                    )
                )
        if pair_store.is_complete:
            pair_store.finish()
    return Summary(
        store.status(path),
        engine.expected,
        launched,
        time.perf_counter() - begin,
        tuple(pair_store.messages),
    )


def _already(
    path: Path, status: store.Status, expected: Expected, say: Callable[[str], None]
) -> Summary:
    """The answer where there is nothing to do."""
    message = f"{path} is already complete: pairs={status.pairs}, data digest {status.data_digest}"
    say(message)
    return Summary(status, expected, 0, 0.0, (message,))


def _record(faults: deque[Fault] | None, pair_store: store.PairStore) -> None:
    while faults:
        fault = faults.popleft()
        pair_store.record_fault(fault.what, rank=fault.rank, chunks=fault.chunks)


def _emissions(config: RunConfig, chunks: NDArray[np.int64]) -> int:
    """How many emissions these chunks hold; only the last chunk of a run may be shorter."""
    partition = Partition(config.pairs, config.chunk_size)
    missing = len(partition) * config.chunk_size - config.pairs
    return len(chunks) * config.chunk_size - (
        missing if len(chunks) and chunks[-1] == len(partition) - 1 else 0
    )


def preflight(config: RunConfig, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise now, having touched nothing, what `generate` would raise at its start."""
    store.preflight(path, run_info(config, engine_for(config, path)), force=force)


def is_complete(config: RunConfig, path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a finished file of this configuration with at least its pairs."""
    return store.completed(path, run_info(config, engine_for(config, path))) is not None
