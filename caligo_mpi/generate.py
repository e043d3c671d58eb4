"""Configuration in, one file of pairs out.  Knows nothing of MPI: it is handed a map."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from . import store
from .config import AutoConfig, RunConfig
from .engines import Engine, Tick, available, make_engine
from .errors import ConfigError, EngineError, EnvironmentProblem, StoreError
from .link import Expected
from .pairs import CHUNK_DTYPE, Chunk, ChunkResult, PairArrays, Pairs, Partition, tally
from .provenance import provenance

#: Below this ``engine: auto`` simulates with NetSquid where it can.
_FEW_PAIRS = 1000

#: Above this a stop or a fault costs more than it should.
_LONG_CHUNK_SECONDS = 10.0

R = TypeVar("R")
Items = Sequence[int] | NDArray[np.int64]
Work = Callable[[int, "Tick | None"], ChunkResult]
#: Calls the work function that ``setup()`` makes on each item; yields (rank, result) in the order of the items.
#: It may end early, after having been asked to stop.
Map = Callable[[Callable[[], Work], Items], Generator[tuple[int, ChunkResult], None, None]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a chunk: emissions of the whole run and of this launch, and its seconds so far."""

    pairs: int
    total: int
    rows: int
    launched: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong elsewhere, to be recorded in ``/faults``: its rank, and how many chunks it cost."""

    what: str
    rank: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """How a launch ended: the file's status, the closed forms, emissions and seconds of this launch alone."""

    status: store.Status
    expected: Expected
    launched: int
    seconds: float
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will need.  ``seconds`` is for one rank, from a trial of a few chunks; bytes are of the file."""

    rows: float
    chunks: int
    file_bytes: int
    rank_bytes: int
    seconds: float
    expected: Expected


def serial_map(
    setup: Callable[[], Callable[[int, Tick | None], R]],
    items: Items,
    *,
    retries: int = 0,
    stop: Callable[[], int] = lambda: 0,
) -> Generator[tuple[int, R], None, None]:
    """The map of a single process.  ``stop()`` above 0 ends it between two items, above 1 within one.

    An item whose work raises is tried again ``retries`` times.
    """

    def tick() -> None:
        if stop() > 1:
            raise _StopNow

    work = setup()
    with contextlib.suppress(_StopNow):
        for item in items:
            if stop():
                return
            yield 0, _tried(work, int(item), tick, retries)


def _tried(work: Callable[[int, Tick | None], R], item: int, tick: Tick, retries: int) -> R:
    for _ in range(retries):
        with contextlib.suppress(EngineError):
            return work(item, tick)
    return work(item, tick)


class _StopNow(BaseException):
    """Leaves an engine in the middle of a chunk."""


def chunk_work(config: RunConfig, thresholds: dict[str, object] | None, stream_version: int | None = None) -> Work:
    """The function that simulates one chunk; made once in each process.  It raises nothing but `EngineError`."""
    engine = make_engine(config.engine, thresholds, stream_version)
    partition = Partition(config.pairs, config.chunk_size)

    def work(index: int, tick: Tick | None = None) -> ChunkResult:
        try:
            return run_chunk(engine, partition[index], config.seed, tick=tick)
        except Exception as error:
            raise EngineError(
                f"chunk={index} of seed={config.seed} failed ({type(error).__name__}: {error}); "
                f"repeat it alone, with a traceback: caligo-mpi generate CONFIG --only-chunk {index}"
            ) from error

    return work


def run_chunk(engine: Engine, chunk: Chunk, seed: int, *, tick: Tick | None = None) -> ChunkResult:
    """Simulate one chunk and fill in its record: counts and checksum are made where the data are made."""
    start = time.perf_counter()
    pairs = _placed(engine, chunk, engine.sample(chunk.count, chunk.seed_sequence(seed), tick=tick))
    result = chunk_result(chunk, pairs)
    result.record["seconds"] = time.perf_counter() - start
    return result


def chunk_result(chunk: Chunk, pairs: Pairs, *, seconds: float = 0.0) -> ChunkResult:
    """Pairs with their record: what was counted, and their checksum."""
    counts = tally(pairs.columns, pairs.count)
    record = np.zeros(1, CHUNK_DTYPE)
    record["index"], record["start"], record["count"] = chunk.index, chunk.start, chunk.count
    record["rows"] = pairs.count
    record["sifted_z"], record["errors_z"] = counts.sifted_z, counts.errors_z
    record["sifted_x"], record["errors_x"] = counts.sifted_x, counts.errors_x
    record["alice_clicks"], record["bob_clicks"] = pairs.alice_clicks, pairs.bob_clicks
    record["duration_ns"] = pairs.duration_ns
    record["checksum"] = pairs.checksum()
    record["seconds"] = seconds
    return ChunkResult(record, pairs)


def _placed(engine: Engine, chunk: Chunk, pairs: Pairs) -> Pairs:
    """The engine's pairs with global indices, after a look at what the contract promises."""
    complaint = None
    if (pairs.index is not None) != engine.has_index or (pairs.time is not None) != engine.has_time:
        complaint = f"has_index={engine.has_index}, has_time={engine.has_time} but other columns came"
    elif pairs.columns.dtype != np.uint8 or pairs.columns.shape != (4, (pairs.count + 7) // 8):
        complaint = f"{pairs.count} rows as columns of {pairs.columns.dtype} {pairs.columns.shape}; packed uint8 is due"
    elif not engine.has_index and pairs.count != chunk.count:
        complaint = f"{pairs.count} rows for {chunk.count} emissions, without an index column"
    elif pairs.index is not None and pairs.count and not int(pairs.index[-1]) < chunk.count:
        complaint = f"index {pairs.index[-1]} in a chunk of {chunk.count} emissions"
    if complaint:
        raise EngineError(f"engine {engine.name} broke its contract in chunk {chunk.index}: {complaint}")
    if pairs.index is None or not chunk.start:
        return pairs
    return replace(pairs, index=pairs.index + np.uint64(chunk.start))


def only_chunk(config: RunConfig, index: int, path: str | os.PathLike[str] | None = None) -> dict[str, int | float]:
    """Simulate one chunk as the run into ``path`` would, and give its record; what the engine raises is raised."""
    partition = Partition(config.pairs, config.chunk_size)
    if index not in range(len(partition)):
        raise ConfigError(f"only-chunk={index} is not a chunk of this run; they are 0 to {len(partition) - 1}")
    record = run_chunk(engine_for(config, path), partition[index], config.seed).record
    names = [*(CHUNK_DTYPE.names or ())]
    simulated = [*names[: names.index("run")], "checksum"]  # the rest is known when a chunk is committed
    return {name: record[name][0].item() for name in simulated if name != "row"}


def settle_engine(
    config: RunConfig, path: str | os.PathLike[str] | None = None, *, say: Callable[[str], None] = lambda message: None
) -> RunConfig:
    """The configuration with ``engine.name: auto`` replaced by an engine; others as they are.

    The file at ``path`` goes on with the engine it was begun with.
    """
    if not isinstance(config.engine, AutoConfig):
        return config
    missing = available()["netsquid"]
    if (begun := _engine_of(path)) is not None:
        name, why = begun, f"{path} was begun with it"
    elif config.engine.needs_time and missing:
        raise EnvironmentProblem(f"engine.needs_time=true, which only netsquid can give: {missing}")
    elif config.engine.needs_time:
        name, why = "netsquid", "times are needed"
    elif config.pairs < _FEW_PAIRS and not missing:
        name, why = "netsquid", f"pairs={config.pairs} is below {_FEW_PAIRS}"
    else:
        name, why = "noise", "no times are needed" if config.pairs >= _FEW_PAIRS else "netsquid cannot be used here"
    say(f"engine auto: {name} ({why})")
    return config.with_engine("netsquid" if name == "netsquid" else "noise")


def _engine_of(path: str | os.PathLike[str] | None) -> str | None:
    """The name of the engine that a file at ``path``, partial or not, was begun with."""
    with contextlib.suppress(StoreError):
        if path is not None:
            return store.status(path).engine.split()[0]
    return None


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
                if not launched and (seconds := float(result.record["seconds"][0])) > _LONG_CHUNK_SECONDS:
                    say(
                        f"chunk_size={config.chunk_size} takes {seconds:.0f} s per chunk, which a kill loses; "
                        "a smaller one (it is part of the run's identity) makes that less"
                    )
                launched += int(result.record["count"][0])
                report(Progress(done + launched, config.pairs, pair_store.rows, launched, time.perf_counter() - begin))
        if pair_store.is_complete:
            pair_store.finish()
    return Summary(
        store.status(path), engine.expected, launched, time.perf_counter() - begin, tuple(pair_store.messages)
    )


def _already(path: Path, status: store.Status, expected: Expected, say: Callable[[str], None]) -> Summary:
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
    return len(chunks) * config.chunk_size - (missing if len(chunks) and chunks[-1] == len(partition) - 1 else 0)


def preflight(config: RunConfig, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise now, having touched nothing, what `generate` would raise at its start."""
    store.preflight(path, run_info(config, engine_for(config, path)), force=force)


def is_complete(config: RunConfig, path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a finished file of this configuration with at least its pairs."""
    return store.completed(path, run_info(config, engine_for(config, path))) is not None


def forecast(config: RunConfig) -> Forecast:
    """Rows, sizes and time of a run; simulates for a fraction of a second to learn the speed."""
    engine = make_engine(config.engine)
    info, partition = run_info(config, engine), Partition(config.pairs, config.chunk_size)
    columns = 4 / 8 + 8 * engine.has_index + 8 * engine.has_time
    count, start, seconds = min(partition[0].count, 1000), time.perf_counter(), 0.0
    while seconds < 0.1 and count <= partition[0].count:
        start = time.perf_counter()
        run_chunk(engine, Chunk(0, 0, count), config.seed)
        seconds, tried = time.perf_counter() - start, count
        count *= 4
    return Forecast(
        rows=config.pairs * engine.expected.coincidence,
        chunks=len(partition),
        file_bytes=store.file_size(info, info.capacity),
        rank_bytes=int(partition[0].count * engine.expected.coincidence * columns),
        seconds=seconds / tried * config.pairs,
        expected=engine.expected,
    )


def verify(path: str | os.PathLike[str], *, resample: int = 0) -> store.Verification:
    """Check every checksum of a file; with ``resample``, simulate that many of its chunks again and compare bits."""
    if not resample:
        return store.verify_file(path)
    info = store.status(path).info
    if "sequential" in info.engine:
        raise ConfigError(f"resample={resample}: {path} is one sequential simulation; run it again and compare digests")
    config = RunConfig.from_json(info.config)
    work = chunk_work(config, dict(info.thresholds), info.stream_version)
    chunks = len(Partition(config.pairs, config.chunk_size))
    # Which chunks is no part of any result, so chance may choose anew each time.
    chosen = sorted(random.SystemRandom().sample(range(chunks), min(resample, chunks)))
    return store.verify_file(path, resample=lambda index: work(index, None).pairs, chunks=chosen)


def generate_pairs(config: RunConfig) -> PairArrays:
    """Simulate the run in memory: unpacked outcomes and bases (uint8), index and time where the engine has them.

    >>> from caligo_mpi import parse_config
    >>> config = parse_config({"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 1.0}}})
    >>> pairs = generate_pairs(config)
    >>> same = pairs.alice_basis == pairs.bob_basis
    >>> bool((pairs.alice_outcome[same] == pairs.bob_outcome[same]).all())
    True
    """
    setup = functools.partial(chunk_work, config, None)
    items = range(len(Partition(config.pairs, config.chunk_size)))
    parts = [PairArrays.unpacked(result.pairs) for _, result in serial_map(setup, items)]
    columns = zip(*parts, strict=True)
    return PairArrays._make(None if column[0] is None else np.concatenate(column) for column in columns)
