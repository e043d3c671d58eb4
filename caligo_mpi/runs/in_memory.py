"""A run without a file."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import numpy as np

from ..config import RunConfig
from ..pairs import PairArrays, Pairs, Partition, tally
from ..pairs.stopping import Course
from ..parallel.job import Setup
from ..parallel.serial import serial_map
from .chunks import pairs_work


def generate_pairs(config: RunConfig) -> PairArrays:
    """Simulate the run in memory: unpacked outcomes and bases (uint8), index and time where the engine has them.

    Columns that the engine declares are in ``extra``, by name.  A run with ``until`` ends where its goal is met.

    >>> from caligo_mpi import parse_config
    >>> config = parse_config({"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 1.0}}})
    >>> pairs = generate_pairs(config)
    >>> same = pairs.alice_basis == pairs.bob_basis
    >>> bool((pairs.alice_outcome[same] == pairs.bob_outcome[same]).all())
    True
    """
    setup = functools.partial(pairs_work, config, None)
    chunks = []
    for pairs in _as_needed(config, setup):
        arrays = PairArrays.unpacked(pairs)
        chunks.append(arrays.named())
    columns = {}
    for name in chunks[0]:
        pieces = [chunk[name] for chunk in chunks]
        columns[name] = np.concatenate(pieces)
    return PairArrays.of(columns)


def _as_needed(config: RunConfig, setup: Setup[Pairs]) -> Iterator[Pairs]:
    """The chunks in order, up to where the run's goal is met if it has one."""
    partition = Partition(config.pairs, config.chunk_size)
    course = None
    if config.until is not None:
        course = Course(config.until.goal, partition)
    numbers = range(len(partition))
    with contextlib.closing(serial_map(setup, numbers)) as found:
        for chunk, (_, pairs) in zip(partition, found, strict=True):
            yield pairs
            if course is not None:
                counts = tally(pairs.columns, pairs.count)
                course.add(chunk.count, counts)
                if course.met:
                    return
