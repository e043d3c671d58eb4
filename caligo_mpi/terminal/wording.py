"""Sentences, numbers and durations for people."""

from __future__ import annotations


def quantity(value: float) -> str:
    """A number with a metric prefix.

    >>> quantity(1234567), quantity(12)
    ('1.23 M', '12 ')
    """
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.5), duration(75), duration(9000), duration(200000)
    ('0.5 s', '75 s', '150 min', '55.6 h')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 10800 else f"{seconds / 3600:.3g} h"


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "block"), counted(2000, "rank")
    ('1 block', '2,000 ranks')
    """
    return f"{number:,} {noun}" + "s" * (number != 1)
