"""The chunk table: totals, chunks whose counts are unlike the others', chunks that are equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..pairs import CHUNK_COUNTS
from ..store import PairsFile
from .probability import deviance

#: Records that are read at a time.
_RECORDS = 1 << 14
#: Checksums that are compared with each other, about; of more chunks a part, by their value.
_SUMS = 1 << 22
#: Rows of a chunk from which on its checksum is compared with others.
_ENOUGH = 64

#: A count of a chunk, of how many, and what it is called.
RATES = (
    ("sifted_z", "rows", "pairs sifted in Z"),
    ("sifted_x", "rows", "pairs sifted in X"),
    ("errors_z", "sifted_z", "errors in Z"),
    ("errors_x", "sifted_x", "errors in X"),
    ("rows", "count", "rows"),
    ("alice_clicks", "count", "clicks of Alice"),
    ("bob_clicks", "count", "clicks of Bob"),
)


@dataclass(frozen=True, slots=True)
class Outlier:
    """A count that is furthest off: of which chunk or cell, of what, and by which `deviance`."""

    where: int
    what: str
    count: int
    trials: int
    rate: float
    off: float


@dataclass(frozen=True, slots=True)
class Table:
    """What the records say; ``tested`` counts were looked at for ``outlier``.

    ``equal`` are pairs of chunks with rows of one checksum, the earlier one first; ``compared`` is
    how many chunks were compared.
    """

    totals: dict[str, int] = field(default_factory=dict)
    outlier: Outlier | None = None
    tested: int = 0
    equal: tuple[tuple[int, int], ...] = ()
    compared: int = 0


def read_table(file: PairsFile) -> Table:
    """Look at all records of a file, some at a time, twice."""
    totals = dict.fromkeys(CHUNK_COUNTS, 0)
    share = -(-file.chunk_count // _SUMS) or 1
    checksums = [np.zeros(0, np.uint64)]
    numbers = [np.zeros(0, np.uint64)]
    for records in _batches(file):
        for name in CHUNK_COUNTS:
            totals[name] += int(records[name].sum())
        is_shared = records["checksum"] % np.uint64(share) == 0
        taken = records[is_shared & (records["rows"] >= _ENOUGH)]
        checksums.append(taken["checksum"])
        numbers.append(taken["index"])
    compared = np.concatenate(checksums)
    equal = equal_pairs(compared, np.concatenate(numbers))
    outlier, tested = _outlier(file, totals)
    return Table(
        totals,
        outlier,
        tested,
        equal,
        len(compared),
    )


def _batches(file: PairsFile) -> Iterator[np.ndarray]:
    chunks = file.chunk_count
    for first in range(0, chunks, _RECORDS):
        stop = min(first + _RECORDS, chunks)
        yield file.chunk_records(first, stop)


def _outlier(file: PairsFile, totals: dict[str, int]) -> tuple[Outlier | None, int]:
    """The count that is furthest off the mean of all chunks, and how many were looked at."""
    best: Outlier | None = None
    rates = [rate for rate in RATES if totals[rate[1]]]
    for records in _batches(file):
        for name, of, what in rates:
            mean = totals[name] / totals[of]
            off = deviance(records[name], records[of], mean)
            worst = int(np.argmax(off))
            if best is None or off[worst] > best.off:
                record = records[worst]
                best = Outlier(
                    where=int(record["index"]),
                    what=what,
                    count=int(record[name]),
                    trials=int(record[of]),
                    rate=mean,
                    off=float(off[worst]),
                )
    return best, file.chunk_count * len(rates)


def equal_pairs(
    values: np.ndarray, numbers: np.ndarray, most: int = 100
) -> tuple[tuple[int, int], ...]:
    """Chunks with equal values, each with the first one that has its value; at most so many.

    >>> equal_pairs(np.array([5, 7, 5, 5]), np.array([0, 1, 2, 3]))
    ((0, 2), (0, 3))
    """
    order = np.lexsort((numbers, values))
    values = values[order]
    numbers = numbers[order]
    is_new = np.ones(len(values), bool)
    is_new[1:] = values[1:] != values[:-1]
    places = np.arange(len(values))
    first_places = np.maximum.accumulate(np.where(is_new, places, 0))
    again = np.flatnonzero(~is_new)[:most]
    firsts = numbers[first_places[again]].tolist()
    later = numbers[again].tolist()
    return tuple(sorted(zip(firsts, later, strict=True)))
