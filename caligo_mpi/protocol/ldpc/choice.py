"""Which of the long codes to take: by what was measured, for the error rate expected and the doubt about it.

A word of n bits fails where more of them are wrong than its code can take.  Both numbers are nearly normal, so the
share of failures is a normal tail, taken from a table; nothing here rounds differently on another machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, sqrt

from ..types import Announced, QberEstimate
from .adapt import Layout
from .family import Family, available_families, load_family

#: Bits of a word, about: shorter ones have more tags, and errors that vary more from word to word.
WORD_BITS = 450_000
#: The same where the error rate is known so well that what is left to allow for is how errors vary from word to word.
LONGER_WORD_BITS = 900_000
#: Keys below this are for the shorter codes: no lift of the families is as short.
SHORTEST = 131_072

#: One-sided tail of the normal distribution → how many standard deviations away it begins.
TAILS: tuple[tuple[float, float], ...] = (
    (0.2, 0.8416),
    (0.15, 1.0364),
    (0.1, 1.2816),
    (0.07, 1.4758),
    (0.05, 1.6449),
    (0.04, 1.7507),
    (0.03, 1.8808),
    (0.025, 1.9600),
    (0.02, 2.0537),
    (0.015, 2.1701),
    (0.01, 2.3263),
    (0.007, 2.4573),
    (0.005, 2.5758),
    (0.004, 2.6521),
    (0.003, 2.7478),
    (0.0025, 2.8070),
    (0.002, 2.8782),
    (0.0015, 2.9677),
    (0.001, 3.0902),
    (7e-4, 3.1947),
    (5e-4, 3.2905),
    (3e-4, 3.4316),
    (2e-4, 3.5401),
    (1e-4, 3.7190),
)

_AT_FIRST = -1.2816  # blind: standard deviations from the expected errors to those of the first try
_AT_LAST = 3.0902  # and to those that can be corrected when all is told


@dataclass(frozen=True, slots=True)
class Expected:
    """The error rate, and the standard deviation of what it was estimated from."""

    qber: float
    doubt: float = 0.0

    @classmethod
    def of(cls, errors: int, tested: int) -> Expected:
        """After so many errors among so many tested bits (Laplace's rule: never 0).

        >>> Expected.of(99, 9_998).qber
        0.01
        """
        qber = (errors + 1) / (tested + 2)
        variance = qber * (1 - qber) / (tested + 2)
        return cls(qber, sqrt(variance))


def expect(own: QberEstimate, announced: Announced | None = None) -> Expected:
    """The error rate of a block after its ``own`` test and what was ``announced`` of all, and the doubt about it.

    Where blocks are alike it is that of all; the more they differ, the more the block's own test counts.
    """
    alone = Expected.of(own.errors, own.tested)
    if announced is None:
        return alone
    of_all = Expected.of(announced.errors, announced.tested)
    noise = alone.doubt * alone.doubt
    trust = announced.drift / (announced.drift + noise)
    rest = (1 - trust) * of_all.doubt
    qber = of_all.qber + trust * (alone.qber - of_all.qber)
    variance = trust * noise + rest * rest
    return Expected(qber, sqrt(variance))


def deviations(failures: float) -> float:
    """Standard deviations that leave no more than this share beyond them; infinitely many below 1e-4.

    >>> deviations(0.0012)
    3.0902
    """
    for share, far in TAILS:
        if share <= failures:
            return far
    return inf


def tail(far: float) -> float:
    """The share beyond so many standard deviations, by the table: 1 below the first, 1e-4 above the last.

    >>> tail(2.4), tail(0.1)
    (0.01, 1.0)
    """
    for share, begin in reversed(TAILS):
        if begin <= far:
            return share
    return 1.0


def distance(
    family: Family,
    splits: int,
    expected: Expected,
    size: int,
) -> float:
    """From the errors expected in ``size`` bits to those that are too many, in standard deviations."""
    limit = family.limit(splits)
    qber = expected.qber
    variance = (qber * (1 - qber) + limit.spread) / size
    deviation = sqrt(variance + expected.doubt**2)
    return (limit.qber - qber) / deviation


def reaches(
    family: Family,
    splits: int,
    size: int,
    failures: float,
) -> float:
    """The highest error rate at which keys of ``size`` bits fail no more often than ``failures``; or 0."""
    far = deviations(failures)
    low = 0.0
    high = family.limit(splits).qber
    for _ in range(40):
        qber = (low + high) / 2
        if (
            distance(
                family,
                splits,
                Expected(qber),
                size,
            )
            >= far
        ):
            low = qber
        else:
            high = qber
    return low


def choose_cheapest(size: int, expected: Expected, *, as_first: bool = False) -> Layout | None:
    """For keys of ``size`` bits the code that costs least, told and lost bits together; ``None`` where none is fit.

    Codes are taken as they were measured ``as_first``, or as they are now.
    A key that fails is told from end to end, so one in a hundred costs a hundredth of the bits.
    """
    best = None
    least = 1.0
    for family, splits in _all(size, as_first):
        told = _told(family, splits, size)
        far = distance(
            family,
            splits,
            expected,
            size,
        )
        lost = tail(far) + family.floor * size
        cost = told + lost * (1 - told)
        if cost < least:
            best = family, splits
            least = cost
    return _layout(best, size, 1)


def choose_safe(
    size: int,
    expected: Expected,
    failures: float,
    *,
    as_first: bool = False,
) -> Layout | None:
    """The code that tells least about keys of ``size`` bits of which no more than a share of ``failures`` fails.

    Words were shorter ``as_first``.
    """
    words = max(1, round(size / (WORD_BITS if as_first else LONGER_WORD_BITS)))
    part = -(-size // words)
    best = None
    least = inf
    for family, splits in _all(part, as_first):
        told = _told(family, splits, part)
        far = distance(
            family,
            splits,
            expected,
            part,
        )
        left = failures - family.floor * size
        if told < least and far >= deviations(left / words):
            best = family, splits
            least = told
    return _layout(best, size, words)


def choose_range(
    size: int,
    expected: Expected,
    *,
    as_first: bool = False,
) -> tuple[Family, int] | None:
    """For blind reconciliation: a family and the splits to begin with, at which a tenth of the keys decodes.

    Of the families whose splits go on to where one key in a thousand is left, that which tells least at first.
    """
    best = None
    least = inf
    for family in _families(size, as_first):
        if (
            distance(
                family,
                family.splits,
                expected,
                size,
            )
            < _AT_LAST
        ):
            continue
        first = 0
        for splits in range(family.splits):
            if (
                distance(
                    family,
                    splits,
                    expected,
                    size,
                )
                <= _AT_FIRST
            ):
                first = splits
        told = family.share(first)
        if told < least:
            best = family, first
            least = told
    return best


def _families(size: int, as_first: bool) -> Iterator[Family]:
    for name in available_families():
        family = load_family(name, as_first=as_first)
        shortest = family.least_lift * family.columns
        if size >= shortest and family.limits:
            yield family


def _all(size: int, as_first: bool) -> Iterator[tuple[Family, int]]:
    for family in _families(size, as_first):
        for splits in range(family.splits + 1):
            yield family, splits


def _told(family: Family, splits: int, size: int) -> float:
    """Syndrome bits per bit of the key."""
    checks = len(family.base) + splits
    return checks * lift_for(family, size) / size


def lift_for(family: Family, size: int) -> int:
    """The lift whose words hold ``size`` bits."""
    return -(-size // family.columns)


def _layout(best: tuple[Family, int] | None, size: int, words: int) -> Layout | None:
    """Keys of ``size`` bits in so many ``words`` of the ``best`` family with its splits."""
    if best is None:
        return None
    family, splits = best
    part = -(-size // words)
    code = family.code(lift_for(family, part), splits)
    return Layout(code, size, words)
