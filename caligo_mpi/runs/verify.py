"""Checks of a pairs file that simulate some of its chunks again."""

from __future__ import annotations

import os
import random

from .. import store
from ..config import RunConfig
from ..errors import ConfigError
from ..pairs import Partition
from .chunks import chunk_work


def verify(path: str | os.PathLike[str], *, resample: int = 0) -> store.Verification:
    """Check every checksum of a file; with ``resample``, simulate that many of its chunks again and compare bits."""
    if not resample:
        return store.verify_file(path)
    info = store.status(path).info
    if "sequential" in info.engine:
        raise ConfigError(
            f"resample={resample}: {path} is one sequential simulation; run it again and compare digests"
        )
    config = RunConfig.from_json(info.config)
    work = chunk_work(config, dict(info.thresholds), info.stream_version)
    chunks = len(Partition(config.pairs, config.chunk_size))
    # Which chunks is no part of any result, so chance may choose anew each time.
    chosen = sorted(random.SystemRandom().sample(range(chunks), min(resample, chunks)))
    return store.verify_file(path, resample=lambda index: work(index, None).pairs, chunks=chosen)
