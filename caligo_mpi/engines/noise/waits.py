"""How long held pairs wait for later ones, in closed form."""

from __future__ import annotations

import decimal
from decimal import Decimal
from math import comb

from ..link import DECIMAL


class Cycles:
    """The cycles that each of ``hold`` pairs waits until the last one is there.

    The pair with n pairs after it waits for the sum of n geometric numbers, N.  Where
    ``most`` is given, only waits of at most so many cycles count.
    """

    def __init__(
        self,
        success: float,
        hold: int,
        most: int | None = None,
    ) -> None:
        self._success = success
        self._hold = hold
        self._most = most

    def moments(self, kept: float) -> list[float]:
        """E[xᴺ; N ≤ most] of each pair in the order in which they are made, x = ``kept``.

        With p the probability of success and q = 1 − p it is (px/(1−qx))ⁿ times the probability
        of at least n successes in ``most`` trials of probability 1 − qx: the law of N, tilted by
        x, is again one of n geometric numbers.

        >>> Cycles(0.5, 2).moments(1.0)
        [1.0, 1.0]
        >>> Cycles(0.5, 2, most=1).moments(1.0)
        [0.5, 1.0]
        """
        with decimal.localcontext(DECIMAL):
            tilted = Decimal(kept)
            success = Decimal(self._success)
            failure = (1 - success) * tilted
            ratio = success * tilted / (1 - failure)
            found = []
            for later, tail in enumerate(self._tails(failure)):
                moment = ratio**later * tail
                found.append(float(moment))
        return found[::-1]

    def _tails(self, failure: Decimal) -> list[Decimal]:
        """For each n below ``hold``, the probability of at least n successes in ``most`` trials."""
        most = self._most
        if most is None:
            return [Decimal(1)] * self._hold
        if not failure:
            possible = [later <= most for later in range(self._hold)]
            return [Decimal(int(one)) for one in possible]
        term = failure**most
        odds = (1 - failure) / failure
        tail = Decimal(1)
        tails = [tail]
        for fewer in range(self._hold - 1):
            tail = max(tail - term, Decimal(0))
            tails.append(tail)
            term *= odds * (most - fewer) / (fewer + 1)
        return tails


def larger_of_two(hold: int, alice: float, bob: float) -> tuple[float, float]:
    """Mean and variance of the larger of two binomial numbers of ``hold`` trials."""
    below_a = below_b = 0.0
    reached = mean = square = 0.0
    for gates in range(hold + 1):
        ways = comb(hold, gates)
        others = hold - gates
        below_a += float(ways * alice**gates * (1 - alice) ** others)
        below_b += float(ways * bob**gates * (1 - bob) ** others)
        both_below = below_a * below_b
        chance = both_below - reached
        reached = both_below
        mean += gates * chance
        square += gates * gates * chance
    return mean, square - mean * mean
