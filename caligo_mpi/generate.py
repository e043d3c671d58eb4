"""Configuration in, one file of pairs out.  Knows nothing of MPI: it is handed a map."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import store
from .config import RunConfig
from .engines import Engine, Tick, make_engine
from .errors import EngineError
from .link import Expected
from .pairs import CHUNK_DTYPE, Chunk, ChunkResult, PairArrays, Pairs, Partition, Tally, tally
from .provenance import provenance

Work = Callable[[int, "Tick | None"], ChunkResult]
#: Calls the work function that ``setup()`` makes on each item; yields (rank, result) in the order of the items.
#: It may end early, after having been asked to stop.
Map = Callable[[Callable[[], Work], Sequence[int]], Iterator[tuple[int, ChunkResult]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: emissions simulated, seconds and emissions of this launch alone."""

    pairs: int
    total: int
    rows: int
    tally: Tally
    seconds: float
    pairs_now: int


@dataclass(frozen=True, slots=True)
class Summary:
    """How a launch ended."""

    path: Path
    complete: bool
    already_complete: bool
    pairs: int
    total: int
    rows: int
    tally: Tally
    expected: Expected
    seconds: float
    pairs_now: int
    data_digest: str = ""
    messages: list[str] = field(default_factory=list)


def serial_map(
    setup: Callable[[], Work], items: Sequence[int], *, stop: Callable[[], int] = lambda: 0
) -> Iterator[tuple[int, ChunkResult]]:
    """The map of a single process.  ``stop()`` above 0 ends it between two items, above 1 within one."""

    def tick() -> None:
        if stop() > 1:
            raise _StopNow

    work = setup()
    with contextlib.suppress(_StopNow):
        for item in items:
            if stop():
                return
            yield 0, work(int(item), tick)


class _StopNow(BaseException):
    """Leaves an engine in the middle of a chunk."""


def chunk_work(config: RunConfig, thresholds: dict[str, object] | None) -> Work:
    """The function that simulates one chunk; made once in each process."""
    engine = make_engine(config.engine, thresholds)
    partition = Partition(config.pairs, config.chunk_size)

    def work(index: int, tick: Tick | None = None) -> ChunkResult:
        return run_chunk(engine, partition[index], config.seed, tick=tick)

    return work


def run_chunk(engine: Engine, chunk: Chunk, seed: int, *, tick: Tick | None = None) -> ChunkResult:
    """Simulate one chunk and fill in its record: counts and checksum are made where the data are made."""
    start = time.perf_counter()
    pairs = _placed(engine, chunk, engine.sample(chunk.count, chunk.seed_sequence(seed), tick=tick))
    counts = tally(pairs.columns, pairs.count)
    record = np.zeros(1, CHUNK_DTYPE)
    record["index"], record["start"], record["count"], record["rows"] = chunk.index, chunk.start, chunk.count, pairs.count
    record["sifted_z"], record["errors_z"] = counts.sifted_z, counts.errors_z
    record["sifted_x"], record["errors_x"] = counts.sifted_x, counts.errors_x
    record["alice_clicks"], record["bob_clicks"] = pairs.alice_clicks, pairs.bob_clicks
    record["duration_ns"] = pairs.duration_ns
    record["checksum"] = pairs.checksum()
    record["seconds"] = time.perf_counter() - start
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
    index = pairs.index + np.uint64(chunk.start)
    return Pairs(
        pairs.columns, pairs.count, index, pairs.time, pairs.alice_clicks, pairs.bob_clicks, pairs.duration_ns
    )


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
    report: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Simulate the run into ``path``, or go on with it; the same call does both.

    The pairs grow in ``path`` + ``.part``, which becomes ``path`` when the last chunk is in.  ``map`` decides where
    chunks are simulated, ``launch`` is noted in the file's ``/runs`` beside `provenance`, ``force`` sets a finished
    file of another configuration aside.  ``report`` is called after each chunk.  Raises `StoreError`.
    """
    path, begin = Path(path), time.perf_counter()
    engine = make_engine(config.engine)
    info = run_info(config, engine)
    if not force and (status := store.completed(path, info)):
        return _summary(status, engine, begin, already_complete=True)
    work_done = 0
    with store.PairStore.open(
        path, info, launch={**info.software, **(launch or {})}, durability=config.output.durability, force=force
    ) as pair_store:
        setup = functools.partial(chunk_work, config, pair_store.thresholds)
        with contextlib.closing(map(setup, pair_store.todo)) as results:
            for rank, result in results:
                pair_store.append(result, rank=rank)
                work_done += int(result.record["count"][0])
                report(Progress(config.pairs, pair_store, time.perf_counter() - begin, work_done))
        if pair_store.is_complete:
            pair_store.finish()
        messages = list(pair_store.messages)
    return _summary(store.status(path), engine, begin, pairs_now=work_done, messages=messages)


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
    return PairArrays(*(None if column[0] is None else np.concatenate(column) for column in columns))
