"""Sections of the SeQUeNCe engine that several test modules simulate."""

from __future__ import annotations

from typing import Any

import numpy as np

from caligo_mpi.config import SequenceConfig
from caligo_mpi.engines import Engine, make_engine
from caligo_mpi.pairs import Pairs


def memories(**fields: Any) -> dict[str, Any]:
    """A section of mode barrett_kok: the link's keys, ``alice`` and ``bob``."""
    sides = {key: fields.pop(key) for key in ("alice", "bob") if key in fields}
    link = {"length_km": 0.0, **fields}
    return {"name": "sequence", "mode": "barrett_kok", "link": link, **sides}


def photons(mu: float, period_ns: float = 100.0, **fields: Any) -> dict[str, Any]:
    """A section of mode spdc."""
    source = {"mu": mu, "period_ns": period_ns}
    return {"name": "sequence", "mode": "spdc", "source": source, **fields}


def engine_of(section: dict[str, Any]) -> Engine:
    return make_engine(SequenceConfig.model_validate(section))


def sample_of(section: dict[str, Any], count: int, chunk: int = 0) -> Pairs:
    return engine_of(section).sample(count, np.random.SeedSequence(2024, spawn_key=(chunk,)))


DECLARED = memories(fidelity=0.9)
#: Loss, and dark clicks in a tenth of the windows.
LOSSY = memories(
    length_km=0.4,
    detector_efficiency=0.8,
    p_loss_init=0.05,
    fidelity=0.95,
    dark_count_rate_hz=3e5,
    window_ns=200,
)
#: Memories that decay differently, read-out that favors a bit.
STORED = memories(
    alice={
        "storage_time_ns": 1000,
        "T1_ns": 5000,
        "T2_ns": 3000,
        "readout_flip": 0.02,
        "basis_bias": 0.6,
    },
    bob={"storage_time_ns": 500, "T2_ns": 2000, "p_read1_given0": 0.1},
)
#: No photon is ever detected: every pair is one of dark counts.
DARK = memories(detector_efficiency=0.0, dark_count_rate_hz=2.5e6, window_ns=200)
PHOTONS = photons(
    0.6,
    loss={
        "alice": {"length_km": 5, "detector_efficiency": 0.7, "dark_count_rate_hz": 1e5},
        "bob": {"detector_efficiency": 0.9, "dark_count_rate_hz": 3e5, "gate_width_ns": 50},
    },
    alice={"readout_flip": 0.01, "basis_bias": 0.4},
)
#: Detectors that are blind for two pulses after a click.
BLIND = photons(2.0, loss={side: {"dead_time_ns": 250} for side in ("alice", "bob")})
