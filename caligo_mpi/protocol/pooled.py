"""What the tests of all blocks show together: a one-way code has to allow for what is not known of the error rate.

Only what both parties announce goes in, and all blocks of a run are told the same: keys do not depend on the order in
which blocks are distilled, nor on where.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from .types import Announced, QberEstimate

#: Standard deviations by which blocks may differ more than is expected before they are taken for different.
_ALIKE = 3


def together(tests: Iterable[QberEstimate]) -> Announced:
    """The counts of all ``tests``, and the variance of their rates beyond chance (DerSimonian and Laird, 1986).

    >>> together([QberEstimate(10, 1000, 0, 1, 0.9), QberEstimate(14, 1000, 0, 1, 0.9)])
    Announced(errors=24, tested=2000, drift=0.0)
    """
    counts = [(test.errors, test.tested) for test in tests if test.tested]
    errors = sum(wrong for wrong, _ in counts)
    tested = sum(size for _, size in counts)
    freedom = len(counts) - 1
    if freedom < 1 or not 0 < errors < tested:
        return Announced(errors, tested)
    rate = errors / tested
    of_one = rate * (1 - rate)  # variance of a bit
    excess = -float(freedom)
    squares = 0
    for wrong, size in counts:
        away = wrong - size * rate
        excess += away * away / (size * of_one)
        squares += size * size
    if excess <= _ALIKE * sqrt(2 * freedom):
        return Announced(errors, tested)
    return Announced(errors, tested, excess * of_one / (tested - squares / tested))
