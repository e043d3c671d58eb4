"""Checks of a pairs file that simulate some of its chunks again."""

from __future__ import annotations

import os
import random

from .. import store
from ..errors import ConfigError
from .again import Simulator


def verify(path: str | os.PathLike[str], *, resample: int = 0) -> store.Verification:
    """Check every checksum of a file; with ``resample``, simulate that many of its chunks again and compare bits."""
    if not resample:
        return store.verify_file(path)
    info = store.status(path).info
    store.require_bits(store.input_name(path), info, to="simulate again")
    if "sequential" in info.engine:
        raise ConfigError(
            f"resample={resample}: {path} is one sequential simulation; run it again and compare digests"
        )
    chunks = len(info.partition)
    # Which chunks is no part of any result, so chance may choose anew each time.
    source = random.SystemRandom()
    chosen = source.sample(range(chunks), min(resample, chunks))
    simulate = Simulator()(info)
    return store.verify_file(path, resample=simulate, chunks=sorted(chosen))
