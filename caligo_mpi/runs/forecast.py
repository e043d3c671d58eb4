"""What a run will need: rows, bytes and seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .. import store
from ..config import OutputConfig, RunConfig
from ..engines import Engine, make_engine
from ..engines.link import Expected
from ..pairs import Chunk, Partition
from .chunks import run_chunk
from .identity import run_info
from .until import foretold


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will need.  ``seconds`` is for one rank, from a trial of a few chunks; bytes are of the file.

    ``pairs`` are those that a run with a goal takes by its closed forms; ``full_bytes`` are those of the file with all
    of its columns, whatever it keeps.  ``carries`` says that ranks send columns, and so hold several chunks of
    ``rank_bytes``, not the one that they work on.
    """

    pairs: int
    rows: float
    chunks: int
    file_bytes: int
    rank_bytes: int
    seconds: float
    expected: Expected
    full_bytes: int
    carries: bool = True


def forecast(config: RunConfig) -> Forecast:
    """Rows, sizes and time of a run; simulates for a fraction of a second to learn the speed."""
    engine = make_engine(config.engine)
    config = foretold(config, engine.expected)
    partition = Partition(config.pairs, config.chunk_size)
    info = run_info(config, engine)
    full = run_info(_with_pairs(config), engine)
    rows = config.pairs * engine.expected.coincidence
    full_bytes = store.file_size(full, full.capacity)
    if info.is_law:
        return Forecast(
            pairs=config.pairs,
            rows=rows,
            chunks=1,
            file_bytes=store.file_size(info, 0),
            full_bytes=full_bytes,
            rank_bytes=0,
            seconds=0.0,
            expected=engine.expected,
        )
    row_bytes = sum(column.items(8) * column.shown.itemsize for column in info.table) / 8
    largest = partition[0].count
    return Forecast(
        pairs=config.pairs,
        rows=rows,
        chunks=len(partition),
        file_bytes=store.file_size(info, info.capacity),
        full_bytes=full_bytes,
        rank_bytes=int(largest * engine.expected.coincidence * row_bytes),
        seconds=_seconds_per_pair(config, engine, largest) * config.pairs,
        expected=engine.expected,
        carries=info.has_columns,
    )


def _seconds_per_pair(config: RunConfig, engine: Engine, largest: int) -> float:
    """From chunks that grow until one takes long enough to tell, or is the ``largest``."""
    tried = 0
    seconds = 0.0
    count = min(largest, 1000)
    run_chunk(engine, Chunk(0, 0, count), config.seed)  # the first one makes the engine's tables
    while seconds < 0.1 and count <= largest:
        tried = count
        start = time.perf_counter()
        run_chunk(engine, Chunk(0, 0, tried), config.seed)
        seconds = time.perf_counter() - start
        count *= 4
    return seconds / tried


def _with_pairs(config: RunConfig) -> RunConfig:
    """The same run with its bits."""
    return config.model_copy(update={"output": OutputConfig()})
