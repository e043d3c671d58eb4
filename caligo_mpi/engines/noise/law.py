"""The sixteen outcome counts of a run, drawn from their law instead of from its pairs.

The law is that of `outcomes.sample_records`, as integers; the counts are multinomial.  They are
another random stream than the pairs, version 1: docs/stream.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import product
from typing import cast

import numpy as np

from ...pairs.counts import OutcomeCounts
from ...pairs.domains import LAW
from .binomial import draw_binomial
from .outcomes import Law
from .tables import ONE, Raw, raw_words

#: Raised when the same thresholds and seed would give other counts.
LAW_VERSION = 1


def draw_counts(
    thresholds: dict[str, object],
    emissions: int,
    seed: int,
    step: int | None = None,
) -> OutcomeCounts:
    """Outcome counts of so many emissions; ``thresholds`` are those of a `NoiseEngine`.

    Coincidences come first, then the clicks of one side alone, then bases, then outcomes.  A run that is drawn
    in steps draws each ``step`` from a stream of its own.
    """
    known = cast("dict[str, int]", thresholds)
    law = Law(**{field.name: known[field.name] for field in fields(Law)})
    place = (LAW,) if step is None else (LAW, step)
    raw = raw_words(np.random.SeedSequence(seed, spawn_key=place))
    rows = draw_binomial(emissions, known["coincidence"], ONE, raw)
    alice_only = draw_binomial(
        emissions - rows,
        known["alice_only"],
        ONE,
        raw,
    )
    bob_only = draw_binomial(
        emissions - rows - alice_only,
        known["bob_only"],
        ONE,
        raw,
    )
    counts: list[int] = []
    of_bases = _draw_bases(law, rows, raw)
    for bases, number in zip(_BASES, of_bases, strict=True):
        weights = outcome_weights(law, *bases)
        counts += _draw_cells(weights, number, raw)
    return OutcomeCounts(
        counts=tuple(counts),
        emissions=emissions,
        alice_clicks=rows + alice_only,
        bob_clicks=rows + bob_only,
    )


_BASES = tuple(product((0, 1), repeat=2))


def _draw_bases(law: Law, rows: int, raw: Raw) -> list[int]:
    """How many rows have which bases, in the order of `_BASES`."""
    alice_x = draw_binomial(rows, law.alice_x, ONE, raw)
    found = []
    for number in (rows - alice_x, alice_x):
        bob_x = draw_binomial(number, law.bob_x, ONE, raw)
        found += [number - bob_x, bob_x]
    return found


def _draw_cells(weights: Sequence[int], number: int, raw: Raw) -> list[int]:
    """How many of ``number`` fall into each cell, one cell after the other."""
    rest = sum(weights)
    found = []
    for weight in weights[:-1]:
        count = draw_binomial(number, weight, rest, raw)
        found.append(count)
        number -= count
        rest -= weight
    return [*found, number]


def outcome_weights(law: Law, alice_basis: int, bob_basis: int) -> list[int]:
    """Weights of the outcomes (0, 0), (0, 1), (1, 0), (1, 1) of Alice and Bob in these bases."""
    flip = law.flip_x if alice_basis else law.flip_z
    unequal = flip if alice_basis == bob_basis else ONE >> 1
    equal = ONE - unequal
    alice_fall = law.alice_fall_x if alice_basis else law.alice_fall_z
    bob_fall = law.bob_fall_x if bob_basis else law.bob_fall_z
    alice = _falls(alice_fall)
    bob = _falls(bob_fall)
    weights = []
    bits = tuple(product((0, 1), repeat=2))
    for a, b in bits:
        weight = 0
        for i, j in bits:
            before = equal if i == j else unequal
            weight += before * alice[i][a] * bob[j][b]
        weights.append(weight)
    return weights


def _falls(fall: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Probability, in 2^-64, of recording 0 and 1 for 0, and for 1."""
    certain_0 = (ONE, 0)
    certain_1 = (0, ONE)
    if fall < 0:
        rising_0 = (ONE + fall, -fall)
        return rising_0, certain_1
    falling_1 = (fall, ONE - fall)
    return certain_0, falling_1
