"""Exact sampling of small discrete laws by table, from raw generator words and integers only.

A law over a few thousand values is cut into 2^16 codes: each value gets as many whole codes as
its probability holds, and a random 16-bit code is looked up.  What the whole codes leave over
shares the last few codes; a draw that hits one of them takes a 64-bit word more, which picks
a value by the left-over law.  The result is exact to 2^-64 and costs a quarter of a word and a
look-up per draw, whatever the law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Raw = Callable[[int], Words]

ONE = 1 << 64  # probability 1; all stored probabilities count in 2^-64
_CODES = 1 << 16


def raw_words(seed: np.random.SeedSequence, *child: int) -> Raw:
    """The words of SFC64 for this seed, or for a child of it."""
    if child:
        key = (*seed.spawn_key, *child)
        seed = np.random.SeedSequence(seed.entropy, spawn_key=key)
    generator = np.random.SFC64(seed)
    return cast(Raw, generator.random_raw)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A compiled law.

    A code below ``whole`` stands for ``values[code]``; the others take the left-over law, whose
    values and cumulative bounds (in 2^-64) are ``rest_values`` and ``rest_bounds``.
    """

    values: NDArray[Any]
    whole: int
    rest_values: NDArray[Any]
    rest_bounds: Words

    def draw(self, count: int, raw: Raw) -> NDArray[Any]:
        """``count`` independent values of the law.

        Takes the codes from ``raw``, four to a word, then a word for each draw that hits the
        left-over law.
        """
        words = raw((count + 3) >> 2)
        codes = words.view(np.uint16)[:count]
        # No code is outside; mode="wrap" is the fastest.
        drawn = self.values.take(codes.astype(np.intp), mode="wrap")
        if self.whole < _CODES:
            late = np.flatnonzero(codes >= self.whole)
            again = raw(len(late))
            second = self.rest_bounds.searchsorted(again, side="right")
            drawn[late] = self.rest_values[second]
        return drawn


def compile_table(values: NDArray[Any], weights: Sequence[int]) -> Table:
    """The law that gives ``values[i]`` with probability ``weights[i]`` over their sum."""
    total = sum(weights)
    whole_codes: list[int] = []
    rest: list[int] = []
    reached = [0]
    for place, weight in enumerate(weights):
        whole, left = divmod(weight * _CODES, total)
        whole_codes.append(whole)
        if left:
            rest.append(place)
            reached.append(reached[-1] + left)
    owned = np.repeat(values, whole_codes)
    shared_codes = _CODES - len(owned)
    shared = np.zeros(shared_codes, values.dtype)
    left_over = total * shared_codes
    bounds = [(sum_so_far << 64) // left_over for sum_so_far in reached[1:-1]]
    return Table(
        values=np.concatenate([owned, shared]),
        whole=len(owned),
        rest_values=values[rest],
        rest_bounds=np.array(bounds, np.uint64),
    )
