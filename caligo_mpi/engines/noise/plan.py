"""A law in the form that compiled code takes: kinds of planes, and tables, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .outcomes import Law, byte_table
from .tables import ONE, Table, Words

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

# Kinds of planes; from TABLE on, the number of a table.
ZEROS, ONES, RAW, TABLE = 0, 1, 2, 3


class Plan(NamedTuple):
    """A law as arrays: the kinds of its twelve planes, and its tables (`tables.Table`), a row for each.

    The planes: Alice's and Bob's bases; flips in Z and in X; of Alice's bits, and then of Bob's, falls
    in Z, in X, rises in Z, in X.
    """

    kinds: I64
    values: U8
    wholes: I64
    rest_values: U8
    rest_bounds: Words
    rest_counts: I64


@lru_cache(maxsize=64)
def compile_plan(law: Law) -> Plan:
    """The law's planes and tables; planes of one probability are of one kind."""
    probabilities = [
        law.alice_x,
        law.bob_x,
        law.flip_z,
        law.flip_x,
        *_falls_and_rises(law.alice_fall_z, law.alice_fall_x),
        *_falls_and_rises(law.bob_fall_z, law.bob_fall_x),
    ]
    numbers = {
        0: ZEROS,
        ONE: ONES,
        ONE >> 1: RAW,
    }
    tables: list[Table] = []
    for probability in probabilities:
        if probability not in numbers:
            numbers[probability] = TABLE + len(tables)
            tables.append(byte_table(probability))
    kinds = [numbers[probability] for probability in probabilities]
    return _in_rows(np.array(kinds, np.int64), tables)


def _falls_and_rises(z: int, x: int) -> tuple[int, int, int, int]:
    """Probabilities of falls in Z and in X, then of rises, which a law writes as negative falls."""
    return max(z, 0), max(x, 0), -min(z, 0), -min(x, 0)


def _in_rows(kinds: I64, tables: Sequence[Table]) -> Plan:
    """A plan with these tables; where there is none, with one row that nobody reads."""
    rows = max(1, len(tables))
    widths = [len(table.rest_values) for table in tables]
    width = max([1, *widths])
    plan = Plan(
        kinds=kinds,
        values=np.zeros((rows, 1 << 16), np.uint8),
        wholes=np.zeros(rows, np.int64),
        rest_values=np.zeros((rows, width), np.uint8),
        rest_bounds=np.zeros((rows, width), np.uint64),
        rest_counts=np.zeros(rows, np.int64),
    )
    for row, table in enumerate(tables):
        values = table.rest_values
        bounds = table.rest_bounds
        plan.values[row] = table.values
        plan.wholes[row] = table.whole
        plan.rest_values[row, : len(values)] = values
        plan.rest_bounds[row, : len(bounds)] = bounds
        plan.rest_counts[row] = len(bounds)
    return plan
