"""A run without a file."""

from __future__ import annotations

import functools

import numpy as np

from ..config import RunConfig
from ..pairs import PairArrays, Partition
from ..parallel.serial import serial_map
from .chunks import pairs_work


def generate_pairs(config: RunConfig) -> PairArrays:
    """Simulate the run in memory: unpacked outcomes and bases (uint8), index and time where the engine has them.

    Columns that the engine declares are in ``extra``, by name.

    >>> from caligo_mpi import parse_config
    >>> config = parse_config({"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 1.0}}})
    >>> pairs = generate_pairs(config)
    >>> same = pairs.alice_basis == pairs.bob_basis
    >>> bool((pairs.alice_outcome[same] == pairs.bob_outcome[same]).all())
    True
    """
    setup = functools.partial(pairs_work, config, None)
    items = range(len(Partition(config.pairs, config.chunk_size)))
    chunks = [PairArrays.unpacked(pairs).named() for _, pairs in serial_map(setup, items)]
    columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return PairArrays.of(columns)
