"""One chunk: simulate it, look at what the engine promised, fill in its record."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import RunConfig
from ..engines import Counting, Engine, Summing, declared_columns, is_ours, make_engine
from ..errors import ConfigError, EngineError
from ..machine.wording import counted
from ..pairs import (
    CHUNK_DTYPE,
    Chunk,
    ChunkResult,
    ColumnSpec,
    Pairs,
    Partition,
    Summed,
    Tally,
    Tick,
    bits,
    tally,
)
from ..pairs.checks import breach_of_declared, breach_of_packed
from ..parallel.account import WRITING
from ..parallel.job import Work
from ..store import ColumnWriter, Places
from .identity import engine_for

R = TypeVar("R")


def chunk_work(
    config: RunConfig,
    thresholds: dict[str, object] | None,
    stream_version: int | None = None,
    stored: tuple[ColumnSpec, ...] | None = None,
    *,
    carry: bool = True,
    places: Places | None = None,
) -> Work[ChunkResult]:
    """The function that simulates one chunk; made once in each process.  It raises nothing but `EngineError`.

    ``stored`` are the declared columns of a file that is gone on with: all that its results have.  They carry
    their columns, unless ``carry`` is false: then they are gone once they are counted.  With ``places`` they are
    written into the file here, where that can be done.
    """
    engine = make_engine(config.engine, thresholds, stream_version)
    writer = places.open() if places else None

    def simulate(chunk: Chunk, tick: Tick | None) -> ChunkResult:
        if writer and places and not engine.has_index and chunk.index >= places.begin:
            if streamed := _streamed(engine, chunk, config.seed, writer, tick):
                return streamed
            result = run_chunk(engine, chunk, config.seed, tick=tick, stored=stored)
            with WRITING:
                return writer.write(result, chunk.start)
        run = run_chunk if carry else record_chunk
        return run(engine, chunk, config.seed, tick=tick, stored=stored)

    work = _by_number(config, simulate)
    return PlacedChunks(work, writer, places) if places and engine.has_index else work


class PlacedChunks:
    """`chunk_work` where pairs can be lost: a chunk is written once it is known how many rows stand before it."""

    def __init__(
        self,
        work: Work[ChunkResult],
        writer: ColumnWriter | None,
        places: Places,
    ) -> None:
        self._work = work
        self._writer = writer
        self._places = places

    def __call__(self, item: int, tick: Tick | None = None) -> ChunkResult:
        """Simulate a chunk."""
        return self._work(item, tick)

    def size(self, result: ChunkResult) -> int:
        """Its rows; none where it takes the place of a damaged chunk."""
        return int(result.record["rows"][0]) if self._is_new(result) else 0

    def place(self, result: ChunkResult, before: int) -> ChunkResult:
        """Write it behind so many rows of this launch."""
        if self._writer is None or not self._is_new(result):
            return result
        return self._writer.write(result, self._places.row + before)

    def _is_new(self, result: ChunkResult) -> bool:
        return int(result.record["index"][0]) >= self._places.begin


def pairs_work(
    config: RunConfig,
    thresholds: dict[str, object] | None,
    stream_version: int | None = None,
    stored: tuple[ColumnSpec, ...] | None = None,
) -> Work[Pairs]:
    """The same for the chunk's pairs alone, not counted."""
    engine = make_engine(config.engine, thresholds, stream_version)

    def simulate(chunk: Chunk, tick: Tick | None) -> Pairs:
        pairs, _ = _simulated(engine, chunk, config.seed, tick)
        return _with_columns(pairs, stored)

    return _by_number(config, simulate)


def _by_number(config: RunConfig, simulate: Callable[[Chunk, Tick | None], R]) -> Work[R]:
    """The function of a chunk as one of its number; what it raises says how to repeat it."""
    partition = Partition(config.pairs, config.chunk_size)

    def work(index: int, tick: Tick | None = None) -> R:
        try:
            return simulate(partition[index], tick)
        except Exception as error:
            kind = type(error).__name__
            raise EngineError(
                f"chunk={index} of seed={config.seed} failed ({kind}: {error}); "
                f"repeat it alone, with a traceback: caligo-mpi generate CONFIG --only-chunk {index}"
            ) from error

    return work


def run_chunk(
    engine: Engine,
    chunk: Chunk,
    seed: int,
    *,
    tick: Tick | None = None,
    stored: tuple[ColumnSpec, ...] | None = None,
) -> ChunkResult:
    """Simulate one chunk and fill in its record: counts and checksum are made where the data are made."""
    start = time.perf_counter()
    pairs, counts = _simulated(engine, chunk, seed, tick)
    result = chunk_result(chunk, _with_columns(pairs, stored), counts)
    result.record["seconds"] = time.perf_counter() - start
    return result


def record_chunk(
    engine: Engine,
    chunk: Chunk,
    seed: int,
    *,
    tick: Tick | None = None,
    stored: tuple[ColumnSpec, ...] | None = None,
) -> ChunkResult:
    """The same record without the pairs, which an engine that can do without them never has as a whole."""
    start = time.perf_counter()
    if is_ours(engine) and isinstance(engine, Summing):
        summed = engine.sum_up(
            chunk.count,
            chunk.seed_sequence(seed),
            tick=tick,
        )
        if summed:
            record = _record_of(chunk, summed)
            record["seconds"] = time.perf_counter() - start
            return ChunkResult(record, None)
    result = run_chunk(
        engine,
        chunk,
        seed,
        tick=tick,
        stored=stored,
    )
    return ChunkResult(result.record, None)


def _streamed(
    engine: Engine,
    chunk: Chunk,
    seed: int,
    writer: ColumnWriter,
    tick: Tick | None,
) -> ChunkResult | None:
    """The record of a lossless chunk whose columns are written while it is simulated; None where that cannot be."""
    if not (is_ours(engine) and isinstance(engine, Summing)):
        return None
    if chunk.start & 7 or not writer.fits(chunk.start, chunk.count):
        return None
    start = time.perf_counter()
    stream = writer.stream(chunk.start)
    try:
        with stream:
            summed = engine.sum_up(
                chunk.count,
                chunk.seed_sequence(seed),
                tick=tick,
                sink=stream,
            )
    finally:
        WRITING.add(stream.waited)
    if summed is None or not stream.is_written:
        return None
    record = _record_of(chunk, summed)
    record["seconds"] = time.perf_counter() - start - stream.waited
    with WRITING:
        return writer.finish(ChunkResult(record, None), chunk.start)


def _record_of(chunk: Chunk, summed: Summed) -> NDArray[np.void]:
    """The record of a chunk each of whose emissions gave a pair, in no simulated time."""
    record = np.zeros(1, CHUNK_DTYPE)
    _number(record, chunk)
    for name in ("rows", "alice_clicks", "bob_clicks"):
        record[name] = chunk.count
    _fill_in(record, summed.tally)
    record["checksum"] = summed.checksum
    return record


def _number(record: NDArray[np.void], chunk: Chunk) -> None:
    record["index"] = chunk.index
    record["start"] = chunk.start
    record["count"] = chunk.count


def _fill_in(record: NDArray[np.void], counts: Tally) -> None:
    record["sifted_z"] = counts.sifted_z
    record["errors_z"] = counts.errors_z
    record["sifted_x"] = counts.sifted_x
    record["errors_x"] = counts.errors_x


def _simulated(
    engine: Engine,
    chunk: Chunk,
    seed: int,
    tick: Tick | None,
) -> tuple[Pairs, Tally | None]:
    """The chunk's pairs, and their counts where the engine is ours and counts as it goes."""
    sequence = chunk.seed_sequence(seed)
    if is_ours(engine) and isinstance(engine, Counting):
        pairs, counts = engine.sample_counted(chunk.count, sequence, tick=tick)
        return _placed(engine, chunk, pairs), counts
    pairs = engine.sample(chunk.count, sequence, tick=tick)
    return _placed(engine, chunk, pairs), None


def _with_columns(pairs: Pairs, stored: tuple[ColumnSpec, ...] | None) -> Pairs:
    """The pairs with those of their declared columns that are stored; with all if that is None."""
    if stored is None or len(stored) == len(pairs.extra):
        return pairs
    kept = {column.name: pairs.extra[column.name] for column in stored}
    return replace(pairs, extra=kept)


def chunk_result(
    chunk: Chunk,
    pairs: Pairs,
    counts: Tally | None = None,
    *,
    seconds: float = 0.0,
) -> ChunkResult:
    """Pairs with their record: what was counted, here unless ``counts`` says it, and their checksum."""
    counts = counts or tally(pairs.columns, pairs.count)
    record = np.zeros(1, CHUNK_DTYPE)
    _number(record, chunk)
    record["rows"] = pairs.count
    _fill_in(record, counts)
    record["alice_clicks"] = pairs.alice_clicks
    record["bob_clicks"] = pairs.bob_clicks
    record["duration_ns"] = pairs.duration_ns
    record["checksum"] = pairs.checksum()
    record["seconds"] = seconds
    return ChunkResult(record, pairs)


def _placed(engine: Engine, chunk: Chunk, pairs: Pairs) -> Pairs:
    """The engine's pairs with global indices, after a look at what the contract promises."""
    if complaint := _complaint(engine, chunk, pairs):
        raise EngineError(
            f"engine {engine.name} broke its contract in chunk {chunk.index}: {complaint}"
        )
    if pairs.index is None or not chunk.start:
        return pairs
    return replace(pairs, index=pairs.index + np.uint64(chunk.start))


def _complaint(engine: Engine, chunk: Chunk, pairs: Pairs) -> str:
    """What breaks the contract, in words."""
    rows = pairs.count
    emissions = chunk.count
    came = (pairs.index is not None, pairs.time is not None)
    if came != (engine.has_index, engine.has_time):
        return f"has_index={engine.has_index}, has_time={engine.has_time} but other columns came"
    dtype = pairs.columns.dtype
    shape = pairs.columns.shape
    if dtype != np.uint8 or shape != (4, bits.nbytes(rows)):
        found = f"{dtype} {shape}"
        return f"{counted(rows, 'row')} as columns of {found}; packed uint8 is due"
    if not engine.has_index and rows != emissions:
        said = f"{counted(rows, 'row')} for {counted(emissions, 'emission')}"
        return f"{said}, without an index column"
    declared = declared_columns(engine)
    if (declared or pairs.extra) and (sentence := breach_of_declared(pairs, declared)):
        return sentence
    if not is_ours(engine) and (sentence := _breach_of_plugin(pairs, emissions)):
        return sentence
    if pairs.index is None or not rows:
        return ""
    last = pairs.index[-1]
    if not int(last) < emissions:
        return f"index {last} in a chunk of {counted(emissions, 'emission')}"
    return ""


def _breach_of_plugin(pairs: Pairs, emissions: int) -> str:
    """A look at every value, which our own engines are spared: their tests have it."""
    if sentence := breach_of_packed(pairs):
        return sentence
    for name, clicks in (("alice_clicks", pairs.alice_clicks), ("bob_clicks", pairs.bob_clicks)):
        if not pairs.count <= clicks <= emissions:
            rows = counted(pairs.count, "row")
            return f"{name}={clicks} of {counted(emissions, 'emission')}, with {rows}"
    if not 0 <= pairs.duration_ns < math.inf:
        return f"duration_ns={pairs.duration_ns} must be finite and at least 0"
    return ""


def only_chunk(
    config: RunConfig, index: int, path: str | os.PathLike[str] | None = None
) -> dict[str, int | float]:
    """Simulate one chunk as the run into ``path`` would, and give its record; what the engine raises is raised."""
    if config.output.keep == "counts":
        raise ConfigError(
            f"only-chunk={index}: counts drawn from their law (output.keep=counts) have no chunks; "
            "keep records or pairs"
        )
    partition = Partition(config.pairs, config.chunk_size)
    if index not in range(len(partition)):
        raise ConfigError(
            f"only-chunk={index} is not a chunk of this run; they are 0 to {len(partition) - 1}"
        )
    engine = engine_for(config, path)
    record = run_chunk(engine, partition[index], config.seed).record
    names = list(CHUNK_DTYPE.names or ())
    # What stands from "run" on, and "row", is known when a chunk is committed.
    simulated = [*names[: names.index("run")], "checksum"]
    simulated.remove("row")
    return {name: record[name][0].item() for name in simulated}
