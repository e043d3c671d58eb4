"""``output.keep: counts``: the outcome counts of a run straight from their law, without a pair."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

import numpy as np
import xxhash

from .. import store
from ..config import NoiseConfig, RunConfig
from ..engines import Engine, make_engine
from ..engines.noise.law import LAW_VERSION, draw_counts
from ..engines.noise.timed import is_timed
from ..errors import ConfigError
from ..pairs import CHUNK_DTYPE, ChunkResult, OutcomeCounts, Tick
from ..parallel.job import Work


def counts_of(config: RunConfig, engine: Engine | None = None) -> OutcomeCounts:
    """The sixteen outcome counts of ``config.pairs`` emissions, drawn with ``config.seed``.

    They have the law of the run's pairs and are not counted from them, as those of another seed are not.  A million
    and 1e15 emissions take the same millisecond.  ``engine`` spares making the run's engine again.  Raises
    `ConfigError` for an engine whose law is not known.
    """
    if not isinstance(config.engine, NoiseConfig):
        raise ConfigError(
            f"output.keep=counts: engine.name={config.engine.name} has no law that counts could be drawn from; "
            "choose noise, or keep records"
        )
    if is_timed(config.engine):
        raise ConfigError(
            "output.keep=counts: of a link whose attempts take time counts alone are not drawn; keep records"
        )
    engine = engine or make_engine(config.engine)
    return draw_counts(engine.thresholds, config.pairs, config.seed)


def info_of_counts(info: store.RunInfo, config: RunConfig, engine: Engine) -> store.RunInfo:
    """What a file of counts says: all emissions are one chunk, and the number of them is part of its identity."""
    return replace(
        info,
        engine=f"{info.engine} ({store.LABEL})",
        config_digest=law_digest(info.config_digest, config.pairs),
        chunk_size=-(-config.pairs // 8) * 8,
        outcome_counts=counts_of(config, engine).counts,
    )


def law_digest(config_digest: str, pairs: int) -> str:
    """The identity of counts of so many emissions: another one than that of the bits."""
    identity = json.dumps([config_digest, store.LABEL, LAW_VERSION, pairs])
    return hashlib.sha256(identity.encode()).hexdigest()


def counts_work(config: RunConfig, thresholds: dict[str, object]) -> Work[ChunkResult]:
    """The function that draws the counts and makes the record of the one chunk."""

    def work(index: int, tick: Tick | None = None) -> ChunkResult:
        begin = time.perf_counter()
        counts = draw_counts(thresholds, config.pairs, config.seed)
        result = ChunkResult(_record(counts), None)
        result.record["seconds"] = time.perf_counter() - begin
        return result

    return work


def _record(counts: OutcomeCounts) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    record = np.zeros(1, CHUNK_DTYPE)
    tally = counts.tally
    record["count"], record["rows"] = counts.emissions, counts.rows
    record["sifted_z"], record["errors_z"] = tally.sifted_z, tally.errors_z
    record["sifted_x"], record["errors_x"] = tally.sifted_x, tally.errors_x
    record["alice_clicks"], record["bob_clicks"] = counts.alice_clicks, counts.bob_clicks
    record["checksum"] = xxhash.xxh3_64_intdigest(counts.table().astype("<u8").tobytes())
    return record
