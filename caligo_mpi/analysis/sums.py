"""What is counted of a part of a file, and its way between ranks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .counting import LAGS, STREAMS, Close, Counts

#: Places whose rows are compared with all others.
BORDERS = ("chunk begins", "chunk ends", "block begins", "block ends")
#: Gaps between emissions are counted by their length in bits.
GAP_BITS = 64

_STREAMS, _LAGS = len(STREAMS), len(LAGS)
_ADDED = (
    "ones",
    "differ",
    "first",
    "second",
    "rows",
    "compared",
    "borders",
    "gaps",
)


def _zeros(*shape: int) -> Counts:
    return np.zeros(shape, np.int64)


@dataclass(slots=True, eq=False)
class Sums:
    """Counts that parts of a file add up to; arrays of int64 unless told.

    ``joint`` (cells, 16) are those of `counting.joint_counts`, of the cells from ``first_cell`` on.
    ``ones`` … ``compared`` are those of `counting.Close`.  ``borders`` (4, 16) are outcomes of the 64
    rows at each kind of border.  ``marks`` (n, 2) are a chunk's number and the fingerprint of its
    first rows.  ``gaps`` are distances to the next row's emission, by their length in bits.
    ``disorder`` is the first row whose emission is not above the one before, ``early`` the first
    whose time is before that of the row before it in its chunk; −1 where there is none.
    """

    first_cell: int = 0
    joint: Counts = field(default_factory=lambda: _zeros(0, 16))
    ones: Counts = field(default_factory=lambda: _zeros(_STREAMS, 64))
    differ: Counts = field(default_factory=lambda: _zeros(_STREAMS, _LAGS))
    first: Counts = field(default_factory=lambda: _zeros(_STREAMS))
    second: Counts = field(default_factory=lambda: _zeros(_STREAMS, _LAGS))
    rows: int = 0
    compared: int = 0
    borders: Counts = field(default_factory=lambda: _zeros(len(BORDERS), 16))
    marks: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    gaps: Counts = field(default_factory=lambda: _zeros(GAP_BITS))
    disorder: int = -1
    early: int = -1

    def look(self, close: Close) -> None:
        """Add a close look at a block."""
        self.ones += close.ones
        self.differ += close.differ
        self.first += close.first
        self.second += close.second
        self.rows += close.rows
        self.compared += close.compared


def total(parts: Iterable[Sums]) -> Sums:
    """The sums of a whole file, from those of its parts in order."""
    found = Sums()
    joints = [found.joint]
    marks = [found.marks]
    for part in parts:
        joints.append(part.joint)
        marks.append(part.marks)
        for name in _ADDED:
            so_far = getattr(found, name)
            added = getattr(part, name)
            setattr(found, name, so_far + added)
        for name in ("disorder", "early"):
            if getattr(found, name) < 0:
                setattr(found, name, getattr(part, name))
    found.joint = np.concatenate(joints)
    found.marks = np.concatenate(marks)
    return found
