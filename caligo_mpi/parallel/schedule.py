"""How many chunks to grant to which rank: pure functions of what is left and how fast each rank is.

The schedule changes when and where a chunk is simulated, never a bit of it.

============  ==========================================================================
``static``    chunk i belongs to rank i mod n, whatever happens
``dynamic``   whoever is free gets the next few milliseconds of work
``guided``    half of an equal share of what is left, down to the same few milliseconds
``adaptive``  the same half share, weighted by each rank's measured rate
============  ==========================================================================
"""

from __future__ import annotations

#: A grant is worth at least this much work, so that a message per grant costs nothing beside it.
GRANT_SECONDS = 0.005
MAX_QUANTUM = 4096


def quantum(seconds_per_chunk: float) -> int:
    """Chunks that make up `GRANT_SECONDS` of work; 1 while nothing has been measured (0).

    >>> quantum(0.0), quantum(5.0), quantum(1e-3), quantum(1e-9)
    (1, 1, 5, 4096)
    """
    if seconds_per_chunk <= 0:
        return 1
    return max(1, min(MAX_QUANTUM, round(GRANT_SECONDS / seconds_per_chunk)))


def grant_size(
    policy: str,
    *,
    left: int,
    ranks: int,
    least: int = 1,
    share: float | None = None,
) -> int:
    """Chunks to grant to a rank that asks while ``left`` are not granted yet.

    ``least`` is the quantum.  ``share`` is this rank's part of the total rate, 1/ranks if unknown;
    only the adaptive policy uses it.

    >>> policies = ("static", "dynamic", "guided", "adaptive")
    >>> [grant_size(policy, left=120, ranks=3, least=2, share=0.5) for policy in policies]
    [2, 2, 20, 30]
    >>> grant_size("guided", left=3, ranks=3, least=2)
    2
    >>> grant_size("dynamic", left=1, ranks=3, least=2)
    1
    """
    if policy == "guided":
        size = left // (2 * ranks)
    elif policy == "adaptive":
        part = 1 / ranks if share is None else share
        # The quantum is an average over ranks: a slow rank's share of it takes the same time as
        # a fast one's.
        least = max(1, round(least * part * ranks))
        size = int(left * part / 2)
    else:
        size = least
    return min(max(size, least), left)


def looks_ahead(
    policy: str,
    *,
    left: int,
    ranks: int,
    share: float | None = None,
) -> bool:
    """Whether a rank that is still busy should be given its next grant already.

    Near the end a chunk queued behind a slow rank's current one would only wait there while the
    others go idle, so the last ones wait for whoever is free.

    >>> looks_ahead("dynamic", left=100, ranks=4), looks_ahead("dynamic", left=5, ranks=4)
    (True, False)
    """
    if policy == "static":
        return True
    equal = 1 / ranks
    part = equal if share is None else min(share, equal)
    return left * part >= 2
