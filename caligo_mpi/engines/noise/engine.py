"""The noise engine: pairs drawn from the closed-form law of `caligo_mpi.engines.link`, with numpy.

Which bits it makes of which seed is defined in docs/stream.md, version 1.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, cast

import numpy as np

from ...pairs import Pairs, Tick
from .clicks import sample_count, sample_positions
from .model import describe, expected_rates, integer_thresholds
from .outcomes import Law, sample_records
from .tables import ONE, Raw

if TYPE_CHECKING:
    from ...config import NoiseConfig


class NoiseEngine:
    """Exact samples of the configured law, from the stream that docs/stream.md defines."""

    name = "noise"
    stream_version = 1
    has_time = False

    def __init__(self, config: NoiseConfig, thresholds: dict[str, object] | None = None) -> None:
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
        self, count: int, seed: np.random.SeedSequence, *, tick: Tick | None = None
    ) -> Pairs:
        """Simulate ``count`` emissions; about 2^19 pairs pass between two calls of ``tick``."""
        tick = tick or _nothing
        records = _raw(seed)
        if not self.has_index:
            return Pairs(
                sample_records(self._law, count, records, tick),
                count,
                alice_clicks=count,
                bob_clicks=count,
            )
        positions = sample_positions(self._coincidence, count, _raw(seed, 0), tick)
        rows = len(positions)
        clicks = _raw(seed, 1)
        alice_only = sample_count(self._alice_only, count - rows, clicks)
        bob_only = sample_count(self._bob_only, count - rows - alice_only, clicks)
        return Pairs(
            sample_records(self._law, rows, records, tick),
            rows,
            index=positions,
            alice_clicks=rows + alice_only,
            bob_clicks=rows + bob_only,
        )


def _raw(seed: np.random.SeedSequence, *child: int) -> Raw:
    if child:
        seed = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *child))
    return cast(Raw, np.random.SFC64(seed).random_raw)


def _nothing() -> None:
    pass
