"""``engine: auto``: which engine a run gets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from .. import store
from ..config import AutoConfig, RunConfig
from ..engines import available
from ..errors import StoreError

#: Below this ``engine: auto`` simulates with NetSquid where it can.
_FEW_PAIRS = 1000


def settle_engine(
    config: RunConfig,
    path: str | os.PathLike[str] | None = None,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> RunConfig:
    """The configuration with ``engine.name: auto`` replaced by an engine; others as they are.

    The file at ``path`` goes on with the engine it was begun with.
    """
    if not isinstance(config.engine, AutoConfig):
        return config
    missing = available()["netsquid"]
    if (begun := _engine_of(path)) is not None:
        name, why = begun, f"{path} was begun with it"
    elif config.engine.has_time:
        name, why = "netsquid", "times are needed"
        if missing:
            name, why = "noise", "times are needed, and netsquid cannot be used here"
    elif config.output.keep == "counts":
        name, why = "noise", "counts are drawn from its law"
    elif config.pairs < _FEW_PAIRS and not missing:
        name, why = "netsquid", f"pairs={config.pairs} is below {_FEW_PAIRS}"
    elif config.pairs < _FEW_PAIRS:
        name, why = "noise", "netsquid cannot be used here"
    else:
        name, why = "noise", "no times are needed"
    say(f"engine auto: {name} ({why})")
    return config.with_engine("netsquid" if name == "netsquid" else "noise")


def _engine_of(path: str | os.PathLike[str] | None) -> str | None:
    """The name of the engine that a file at ``path``, partial or not, was begun with."""
    with contextlib.suppress(StoreError):
        if path is not None:
            name, *_ = store.status(path).engine.split()
            return name
    return None
