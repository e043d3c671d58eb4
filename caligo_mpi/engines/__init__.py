"""Engines: given (count, seed), return pairs.

An engine is chosen by ``engine.name`` in the configuration.  Built in: ``noise`` and
``netsquid``.  Others are found in the entry-point group ``caligo_mpi.engines``: a
callable that takes the engine's configuration and returns an `Engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..link import Expected
from ..pairs import Pairs

Tick = Callable[[], None]


class Engine(Protocol):
    """What a run needs of a simulator.

    The same ``seed`` gives the same pairs in any process, and ``sample(n, seed)`` is a
    prefix of ``sample(m, seed)`` for n < m (clicks and durations count only what was asked for).
    """

    #: What provenance calls it.
    name: str
    #: Raised whenever the same configuration would give other bits than before; part of the run's identity.
    stream_version: int
    #: Pairs can be lost, so rows carry their emission index.
    has_index: bool
    #: Rows carry a simulated time.
    has_time: bool
    #: The integers its random decisions compare with, stored in the file (JSON values only; may be empty).
    thresholds: dict[str, object]
    #: Closed-form rates of this configuration.
    expected: Expected

    def sample(self, count: int, seed: np.random.SeedSequence, *, tick: Tick | None = None) -> Pairs:
        """Simulate ``count`` emissions; call ``tick`` every few milliseconds of work at most."""
        ...
