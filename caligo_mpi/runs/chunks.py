"""One chunk: simulate it, look at what the engine promised, fill in its record."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np

from ..config import RunConfig
from ..engines import Engine, Tick, make_engine
from ..errors import ConfigError, EngineError
from ..pairs import CHUNK_DTYPE, Chunk, ChunkResult, Pairs, Partition, tally
from ..parallel.job import Work
from .generate import engine_for


def chunk_work(
    config: RunConfig, thresholds: dict[str, object] | None, stream_version: int | None = None
) -> Work:
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
        complaint = (
            f"has_index={engine.has_index}, has_time={engine.has_time} but other columns came"
        )
    elif pairs.columns.dtype != np.uint8 or pairs.columns.shape != (4, (pairs.count + 7) // 8):
        complaint = f"{pairs.count} rows as columns of {pairs.columns.dtype} {pairs.columns.shape}; packed uint8 is due"
    elif not engine.has_index and pairs.count != chunk.count:
        complaint = f"{pairs.count} rows for {chunk.count} emissions, without an index column"
    elif pairs.index is not None and pairs.count and not int(pairs.index[-1]) < chunk.count:
        complaint = f"index {pairs.index[-1]} in a chunk of {chunk.count} emissions"
    if complaint:
        raise EngineError(
            f"engine {engine.name} broke its contract in chunk {chunk.index}: {complaint}"
        )
    if pairs.index is None or not chunk.start:
        return pairs
    return replace(pairs, index=pairs.index + np.uint64(chunk.start))


def only_chunk(
    config: RunConfig, index: int, path: str | os.PathLike[str] | None = None
) -> dict[str, int | float]:
    """Simulate one chunk as the run into ``path`` would, and give its record; what the engine raises is raised."""
    partition = Partition(config.pairs, config.chunk_size)
    if index not in range(len(partition)):
        raise ConfigError(
            f"only-chunk={index} is not a chunk of this run; they are 0 to {len(partition) - 1}"
        )
    record = run_chunk(engine_for(config, path), partition[index], config.seed).record
    names = [*(CHUNK_DTYPE.names or ())]
    simulated = [
        *names[: names.index("run")],
        "checksum",
    ]  # the rest is known when a chunk is committed
    return {name: record[name][0].item() for name in simulated if name != "row"}
