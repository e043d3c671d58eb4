"""Which run a configuration is, and what its file says about it."""

from __future__ import annotations

import contextlib
import json
import os

from .. import store
from ..config import RunConfig
from ..engines import Engine, make_engine
from ..errors import StoreError
from ..provenance import provenance


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
        keep=config.output.keep,
    )
