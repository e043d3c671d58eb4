"""What ranks do for a sweep: a chunk or a block of some point, or the sentence why it cannot be."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...config import RunConfig
from ...config.run import Keep
from ...engines import Engine, make_engine
from ...engines.link import Expected
from ...pairs import ChunkResult, Partition, Tick
from ...pairs.bits import U8
from ...parallel.job import Work
from ..chunks import record_chunk, run_chunk
from ..counts import counts_result
from .pool import Pool

#: Engines and protocols that a rank keeps: points come one after the other.
KEPT = 4
_HEAD = struct.Struct("<QQ")  # whether a chunk follows, and the length of the JSON before it


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """An item's result on its way to rank 0: sums or an ``error`` as JSON values, and a chunk if it is one.

    ``parts`` and ``whole`` turn it into bytes and back.
    """

    values: dict[str, Any]
    chunk: ChunkResult | None = None

    @property
    def error(self) -> str:
        """Why there is no result; empty if there is one."""
        return str(self.values.get("error", ""))

    def parts(self) -> list[U8]:
        """The bytes, in pieces."""
        text = json.dumps(self.values).encode()
        text += b" " * (-len(text) % 8)
        head = _HEAD.pack(self.chunk is not None, len(text)) + text
        parts = [np.frombuffer(head, np.uint8)]
        if self.chunk is not None:
            parts += self.chunk.parts()
        return parts

    @classmethod
    def whole(cls, buffer: U8) -> Made:
        """What stands in ``buffer``."""
        has_chunk, length = _HEAD.unpack_from(buffer.data)
        end = _HEAD.size + length
        text = buffer[_HEAD.size : end].tobytes()
        values = json.loads(text)
        if not has_chunk:
            return cls(values)
        chunk = ChunkResult.whole(buffer[end:])
        return cls(values, chunk)


# ── chunks ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ChunkTasks:
    """The points whose chunks are to be simulated: their configurations as JSON, and what is kept of their pairs.

    With ``counts`` a point has one item: its counts, drawn from their law.
    """

    configs: Sequence[str]
    numbers: Sequence[int]
    keep: Keep
    pool: Pool


def chunk_work(tasks: ChunkTasks) -> Work[Made]:
    """The function that simulates a chunk of any point; made once in each process."""
    failed: dict[int, str] = {}

    @lru_cache(KEPT)
    def prepared(task: int) -> tuple[RunConfig, Engine]:
        config = RunConfig.from_json(tasks.configs[task])
        return config, make_engine(config.engine)

    def work(item: int, tick: Tick | None = None) -> Made:
        task, number = tasks.pool.locate(item)
        if task in failed:
            return Made({"error": failed[task]})
        try:
            config, engine = prepared(task)
            if tasks.keep == "counts":
                return _drawn(config, engine, tick)
            result = _simulated(
                config,
                engine,
                number,
                tick,
                tasks.keep,
            )
        except Exception as error:
            failed[task] = failure(tasks.numbers[task], f"chunk {number}", error)
            return Made({"error": failed[task]})
        about = {} if number else about_engine(engine)
        return Made(about, result)

    return work


def _simulated(
    config: RunConfig,
    engine: Engine,
    number: int,
    tick: Tick | None,
    keep: Keep,
) -> ChunkResult:
    chunk = Partition(config.pairs, config.chunk_size)[number]
    run = run_chunk if keep == "pairs" else record_chunk
    return run(
        engine,
        chunk,
        config.seed,
        tick=tick,
    )


def _drawn(config: RunConfig, engine: Engine, tick: Tick | None) -> Made:
    """The counts of a point; where and why drawing them stopped, if it has a goal."""
    result, course = counts_result(config, engine.thresholds, tick)
    about = about_engine(engine)
    if course is not None and course.met:
        met = course.met
        about |= {
            "stopped": met.reason,
            "pairs": met.pairs,
            "chunks": met.chunks,
        }
    return Made(about, result)


def failure(point: int, what: str, error: Exception) -> str:
    """The sentence of an exception in a point."""
    text = " ".join(str(error).split())
    return f"point {point}: {what} failed ({type(error).__name__}: {text})"


def about_engine(engine: Engine) -> dict[str, Any]:
    """What the row of a point says of its engine."""
    return {"stream_version": engine.stream_version, **about_law(engine.expected)}


def about_law(law: Expected) -> dict[str, float]:
    """What a row says of closed forms."""
    return {
        "expected_qber_z": float(law.qber_z),
        "expected_qber_x": float(law.qber_x),
        "expected_sifted_z": float(law.sifted_z),
        "expected_sifted_x": float(law.sifted_x),
        "expected_coincidence": float(law.coincidence),
        "expected_alice_click": float(law.alice_click),
        "expected_bob_click": float(law.bob_click),
    }
