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
    raise NotImplementedError


def generate(
    config: RunConfig,
    path: str | os.PathLike[str],
    *,
    map: Map = serial_map,
    force: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Simulate the run into ``path``, or go on with it; the same call does both.

    The pairs grow in ``path`` + ``.part``, which becomes ``path`` when the last chunk is in.
    """
    raise NotImplementedError
