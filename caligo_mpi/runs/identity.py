"""Which run a configuration is, and what its file says about it."""

from __future__ import annotations

import contextlib
import json
import os

from .. import store
from ..config import RunConfig
from ..engines import Engine, declared_columns, keeps_prefixes, make_engine
from ..errors import ConfigError, StoreError
from ..machine.provenance import provenance
from .counts import info_of_counts


def engine_for(config: RunConfig, path: str | os.PathLike[str] | None) -> Engine:
    """The run's engine, with the older random streams where the file at ``path`` was begun with them."""
    engine = make_engine(config.engine)
    if path is None:
        return engine
    for older in getattr(engine, "older_streams", ()):
        with contextlib.suppress(StoreError):
            begun = store.status(path).info.config_digest
            if begun == config.digest(older):
                return make_engine(config.engine, stream_version=older)
    return engine


def require_same_maker(config: RunConfig, engine: Engine, path: str | os.PathLike[str]) -> None:
    """Raise `ConfigError` where the engine cannot go on with the unfinished or shorter file at ``path``.

    It cannot where another release of a simulator made the file, whose bits are others, or where
    the last chunk is short and the engine's longer samples do not begin with its shorter ones.
    """
    try:
        found = store.status(path)
    except StoreError:
        return  # none, or one that is refused elsewhere
    if found.info.config_digest != config.digest(engine.stream_version):
        return
    remedy = "choose another output or set it aside with --force"
    if found.info.engine != engine.name:
        raise ConfigError(
            f"{path} was begun with {found.info.engine}, and here is {engine.name}, which makes "
            f"other bits; use the release that it was begun with, {remedy}"
        )
    pairs = found.info.pairs
    is_raised = pairs < config.pairs
    is_whole = pairs % config.chunk_size == 0
    if is_raised and not is_whole and not keeps_prefixes(engine):
        raise ConfigError(
            f"pairs={config.pairs}: {path} has pairs={pairs}, which cannot be raised with "
            f"engine {engine.name}: its longer samples do not begin with its shorter ones; {remedy}"
        )


def run_info(config: RunConfig, engine: Engine) -> store.RunInfo:
    """What the file says about its run."""
    info = _info_of_pairs(config, engine)
    if config.output.keep == "counts":
        return info_of_counts(info, config, engine)
    return info


def _info_of_pairs(config: RunConfig, engine: Engine) -> store.RunInfo:
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
        declared=declared_columns(engine),
        coincidence=_likely_share(engine),
        software=provenance(),
        keep=config.output.keep,
    )


def _likely_share(engine: Engine) -> float:
    """The share of emissions that rows need room for.

    Room is made for independent emissions.  Of pairs that are held together many are discarded
    at once, or none.
    """
    return engine.expected.coincidence if engine.expected.hold == 1 else 1.0
