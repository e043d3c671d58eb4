"""Sentences, numbers and durations for people."""

from __future__ import annotations

_PREFIXES = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}


def quantity(value: float) -> str:
    """A number with a metric prefix.

    >>> quantity(1234567), quantity(12)
    ('1.23 M', '12 ')
    """
    for prefix, size in _PREFIXES.items():
        if value >= size:
            number = value / size
            return f"{number:.3g} {prefix}"
    return f"{value:.3g} "


def percent(share: float) -> str:
    """A share in percent, with four digits behind the point.

    >>> percent(0.05)
    '5.0000 %'
    """
    return f"{100 * share:.4f} %"


def percent_of(part: float, whole: float) -> str:
    """The share of ``part`` in ``whole``, which is not 0, in percent.

    >>> percent_of(1, 8)
    '12.5000 %'
    """
    return f"{100 * part / whole:.4f} %"


def rate(value: float) -> str:
    """Pairs per second.

    >>> rate(1234567), rate(12)
    ('1.23 M pairs/s', '12 pairs/s')
    """
    number = quantity(value)
    return f"{number.rstrip()} pairs/s"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.5), duration(75), duration(9000), duration(200000)
    ('0.5 s', '75 s', '150 min', '55.6 h')
    """
    minutes = seconds / 60
    hours = seconds / 3600
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 10800:
        return f"{minutes:.3g} min"
    return f"{hours:.3g} h"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things; the plural is the noun with an s unless given.

    >>> counted(1, "block"), counted(2000, "rank"), counted(2, "launch", "launches")
    ('1 block', '2,000 ranks', '2 launches')
    """
    if number != 1:
        noun = plural or f"{noun}s"
    return f"{number:,} {noun}"


def so_far(done: int, total: int, noun: str) -> str:
    """How many of all are there; a total of 0 is one that is not known.

    >>> so_far(5, 11, "chunk"), so_far(0, 1, "block"), so_far(0, 0, "chunk")
    ('5 of 11 chunks are in', '0 of 1 block is in', '0 of ? chunks are in')
    """
    whole = f"? {noun}s"
    if total:
        whole = counted(total, noun)
    verb = "is" if total == 1 else "are"
    return f"{done:,} of {whole} {verb} in"
