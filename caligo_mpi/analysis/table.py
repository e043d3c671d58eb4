"""The chunk table: totals, chunks whose counts are unlike the others', chunks that are equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..store import PairsFile
from .probability import deviance

_RECORDS = 1 << 14
# Checksums that are compared with each other, about; of more chunks a part, by their value.
_SUMS = 1 << 22

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
_COLUMNS = ("count", "rows", "sifted_z", "errors_z", "sifted_x", "errors_x", "alice_clicks", "bob_clicks")  # fmt: skip


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
    totals = dict.fromkeys(_COLUMNS, 0)
    share = -(-file.chunk_count // _SUMS) or 1
    sums, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for records in _batches(file):
        for name in _COLUMNS:
            totals[name] += int(records[name].sum())
        taken = (records["checksum"] % np.uint64(share) == 0) & (records["rows"] >= 64)
        sums.append(records["checksum"][taken])
        numbers.append(records["index"][taken])
    checksums, indices = np.concatenate(sums), np.concatenate(numbers)
    outlier, tested = _outlier(file, totals)
    equal = equal_pairs(checksums, indices)
    return Table(totals, outlier, tested, equal, len(checksums))


def _batches(file: PairsFile) -> Iterator[np.ndarray]:
    for first in range(0, file.chunk_count, _RECORDS):
        yield file.chunk_records(first, min(first + _RECORDS, file.chunk_count))


def _outlier(file: PairsFile, totals: dict[str, int]) -> tuple[Outlier | None, int]:
    best: Outlier | None = None
    rates = [(rate, totals[rate[0]] / totals[rate[1]]) for rate in RATES if totals[rate[1]]]
    for records in _batches(file):
        for (name, of, what), mean in rates:
            counts, trials = records[name], records[of]
            off = deviance(counts, trials, mean)
            worst = int(np.argmax(off))
            if best is None or off[worst] > best.off:
                number = int(records["index"][worst])
                found = int(counts[worst]), int(trials[worst])
                best = Outlier(number, what, *found, mean, float(off[worst]))
    return best, file.chunk_count * len(rates)


def equal_pairs(
    values: np.ndarray, numbers: np.ndarray, most: int = 100
) -> tuple[tuple[int, int], ...]:
    """Chunks with equal values, each with the first one that has its value; at most so many.

    >>> equal_pairs(np.array([5, 7, 5, 5]), np.array([0, 1, 2, 3]))
    ((0, 2), (0, 3))
    """
    order = np.lexsort((numbers, values))
    values, numbers = values[order], numbers[order]
    new = np.ones(len(values), bool)
    new[1:] = values[1:] != values[:-1]
    firsts = np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
    again = np.flatnonzero(~new)[:most]
    return tuple(sorted(zip(numbers[firsts[again]].tolist(), numbers[again].tolist(), strict=True)))
