"""Processors that all ranks share: how much slower each of them is when many want one at a time."""

from __future__ import annotations

import math


def waiting(cores: float, load: float) -> float:
    """How many times longer something short takes where others have ``load`` cores, at random.

    That is processor sharing, exact for one core and for two (M/M/c).  Up to twenty times; no
    ``cores`` (0) means that nobody else is there.

    >>> waiting(0, 5), waiting(2, 0), waiting(1, 0.5), round(waiting(2, 1), 3)
    (1.0, 1.0, 2.0, 1.333)
    """
    if not cores:
        return 1.0
    part = min(load / cores, 1.0)
    return 1 / max(1 - math.pow(part, cores), 0.05)


def speed(cores: float, wanting: float, looking: int, look: float, tick: float) -> float:
    """The part of a core that whoever wants one gets, from 0 to 1.

    ``wanting`` tasks (a mean number) have work all the time.  ``looking`` ranks besides look for
    messages every ``tick`` seconds, which takes them ``look`` seconds of a core; where cores are
    short a look takes longer and so comes less often.  All of them share ``cores`` equally, as
    Linux has it; no ``cores`` (0) means one for each.

    >>> speed(0, 3, 100, 1e-4, 1e-3)
    1.0
    >>> speed(2, 4, 0, 0.0, 1e-3)
    0.5
    >>> round(speed(2, 1, 1000, 1e-4, 1e-3), 3)
    0.002
    """
    if not cores or wanting + looking * look / max(tick + look, 1e-12) <= cores:
        return 1.0
    if not look or not tick:
        return cores / (wanting + (looking if look else 0))
    # s of a core each: wanting s + looking look / (tick + look / s) = cores, solved for s.
    square = wanting * tick
    linear = wanting * look + looking * look - cores * tick
    constant = cores * look
    if not square:
        return constant / linear
    root = math.sqrt(linear**2 + 4 * square * constant)
    return (root - linear) / (2 * square)
