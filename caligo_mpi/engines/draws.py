"""What this package draws around a simulator that it did not write: bases, read-out errors, seeds.

Bases and read-out errors come from streams of our own, so they do not depend on the simulator's
generators.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..config.noise import ReadOutConfig

Bits = NDArray[np.uint8]


def child(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """What ``seed.spawn`` would give, without changing ``seed``.

    >>> seed = np.random.SeedSequence(7)
    >>> bool((child(seed, 1).generate_state(4) == seed.spawn(2)[1].generate_state(4)).all())
    True
    """
    key = (*seed.spawn_key, number)
    return np.random.SeedSequence(
        seed.entropy,
        spawn_key=key,
        pool_size=seed.pool_size,
    )


def read_errors(side: ReadOutConfig) -> tuple[float, float]:
    """P(read 1 | 0) and P(read 0 | 1)."""
    flip = side.readout_flip
    if flip is not None:
        return flip, flip
    return side.p_read1_given0 or 0.0, side.p_read0_given1 or 0.0


def bases_of(side: ReadOutConfig, seed: np.random.SeedSequence, count: int) -> Bits:
    """``count`` random bases of one side, 0 = Z and 1 = X."""
    in_x = chances(seed, count, side.basis_bias)
    return in_x.view(np.uint8)


def misread(side: ReadOutConfig, seed: np.random.SeedSequence, outcomes: Bits) -> Bits:
    """What the read-out of one side makes of ``outcomes``."""
    of_0, of_1 = read_errors(side)
    count = len(outcomes)
    flips_0 = chances(seed, count, of_0)
    flips_1 = chances(seed, count, of_1)
    flips = np.where(outcomes, flips_1, flips_0)
    return outcomes ^ flips.view(np.uint8)


def chances(seed: np.random.SeedSequence, count: int, probability: float) -> NDArray[np.bool_]:
    """Independent events; a shorter array is a prefix of a longer one."""
    generator = np.random.PCG64(seed)
    words = generator.random_raw(count) >> np.uint64(11)
    threshold = int(probability * (1 << 53))
    happens: NDArray[np.bool_] = words < np.uint64(threshold)
    return happens


@contextmanager
def global_generators(python: int, numpy: int) -> Iterator[None]:
    """Seed the two global generators that third-party code draws from; afterwards they are as before."""
    kept = random.getstate()
    kept_numpy = np.random.get_state()  # noqa: NPY002
    try:
        random.seed(python)
        np.random.seed(numpy)  # noqa: NPY002
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)  # noqa: NPY002
