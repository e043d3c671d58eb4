"""The noise engine: pairs drawn from the closed-form law of `caligo_mpi.engines.link`, with numpy.

Which bits it makes of which seed is defined in docs/stream.md, version 1.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, cast

import numpy as np

from ...pairs import Pairs, Sink, Summed, Tally, Tick
from .clicks import sample_count, sample_positions
from .kernel import require_choice, sample_counted, sum_up
from .model import describe, expected_rates, integer_thresholds
from .outcomes import Law
from .tables import ONE, raw_words
from .timed import describe_timed, is_timed, timed_rates
from .timed_engine import TimedEngine

if TYPE_CHECKING:
    from ...config import NoiseConfig
    from ..link import Expected


class NoiseEngine:
    """Exact samples of the configured law, from the stream that docs/stream.md defines."""

    name = "noise"
    stream_version = 1
    has_time = False

    def __init__(self, config: NoiseConfig, thresholds: dict[str, object] | None = None) -> None:
        require_choice()
        described = describe(config)
        self.expected = expected_rates(config, described)
        self.thresholds = (
            integer_thresholds(config, described) if thresholds is None else thresholds
        )
        known = cast("dict[str, int]", self.thresholds)
        self._law = Law(**{field.name: known[field.name] for field in fields(Law)})
        self._coincidence, self._alice_only, self._bob_only = (
            known[name] for name in ("coincidence", "alice_only", "bob_only")
        )
        self.has_index = self._coincidence < ONE

    def sample(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> Pairs:
        """Simulate ``count`` emissions; about 2^19 pairs pass between two calls of ``tick``."""
        pairs, _ = self.sample_counted(count, seed, tick=tick)
        return pairs

    def sample_counted(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
    ) -> tuple[Pairs, Tally]:
        """The same, with the sifted pairs and errors among them."""
        tick = tick or _nothing
        if not self.has_index:
            columns, counts = sample_counted(self._law, count, seed, tick)
            return Pairs(columns, count, alice_clicks=count, bob_clicks=count), counts
        positions = sample_positions(
            self._coincidence,
            count,
            raw_words(seed, 0),
            tick,
        )
        rows = len(positions)
        clicks = raw_words(seed, 1)
        alice_only = sample_count(self._alice_only, count - rows, clicks)
        bob_only = sample_count(self._bob_only, count - rows - alice_only, clicks)
        columns, counts = sample_counted(self._law, rows, seed, tick)
        pairs = Pairs(
            columns,
            rows,
            index=positions,
            alice_clicks=rows + alice_only,
            bob_clicks=rows + bob_only,
        )
        return pairs, counts

    def sum_up(
        self,
        count: int,
        seed: np.random.SeedSequence,
        *,
        tick: Tick | None = None,
        sink: Sink | None = None,
    ) -> Summed | None:
        """Counts and checksum of the same pairs, which are not kept; None where they have to be.

        A ``sink`` gets their columns, block by block.
        """
        if self.has_index:
            return None
        return sum_up(
            self._law,
            count,
            seed,
            tick or _nothing,
            sink,
        )


def noise_engine(
    config: NoiseConfig, thresholds: dict[str, object] | None = None
) -> NoiseEngine | TimedEngine:
    """The engine of a configuration: whether its link's attempts take time decides."""
    return (TimedEngine if is_timed(config) else NoiseEngine)(config, thresholds)


def expected_of(config: NoiseConfig) -> Expected:
    """The closed-form rates of a configuration."""
    if is_timed(config):
        return timed_rates(describe_timed(config))
    return expected_rates(config, describe(config))


def _nothing(*told: object) -> None:
    pass
