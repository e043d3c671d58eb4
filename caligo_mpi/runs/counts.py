"""``output.keep: counts``: the outcome counts of a run straight from their law, without a pair."""

from __future__ import annotations

from ..config import NoiseConfig, RunConfig
from ..engines import Engine, make_engine
from ..engines.noise.law import draw_counts
from ..errors import ConfigError
from ..pairs import OutcomeCounts


def counts_of(config: RunConfig, engine: Engine | None = None) -> OutcomeCounts:
    """The sixteen outcome counts of ``config.pairs`` emissions, drawn with ``config.seed``.

    They have the law of the run's pairs and are not counted from them, as those of another seed are not.  A million
    and 1e15 emissions take the same millisecond.  ``engine`` spares making the run's engine again.  Raises
    `ConfigError` for an engine whose law is not known.
    """
    require_law(config)
    engine = engine or make_engine(config.engine)
    return draw_counts(engine.thresholds, config.pairs, config.seed)


def require_law(config: RunConfig) -> None:
    """Raise `ConfigError` unless the engine is the noise engine."""
    if not isinstance(config.engine, NoiseConfig):
        raise ConfigError(
            f"output.keep=counts: engine.name={config.engine.name} has no law that counts could be drawn from; "
            "choose noise, or keep records"
        )
