"""Building quasi-cyclic codes: progressive edge growth on the lifted graph.

Hu, Eleftheriou and Arnold, IEEE Trans. Inf. Theory 51:386 (2005), an edge being a whole circulant as in
Li and Kumar, CISS 2004: each new circulant goes where the shortest cycle it closes is longest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .code import I64, Code

_UNREACHED = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class _Growth:
    """What is the same for every circulant: ``limit`` is how many a row gets before all have as many."""

    lift: int
    depth: int
    limit: int
    reach: int
    draw: np.random.Generator


def build(
    name: str,
    *,
    rows: int,
    degrees: Mapping[int, int],
    lift: int,
    seed: int,
    depth: int = _UNREACHED,
    reach: int = _UNREACHED,
) -> Code:
    """A code of ``rows`` base rows whose base columns have the given ``degrees`` (degree → columns).

    Cycles of more than 2·``depth`` edges are all the same to it: looking for them in long codes takes too long.
    All shifts are below ``reach``.

    >>> code = build("tiny", rows=6, degrees={2: 5, 3: 7}, lift=16, seed=1)
    >>> code.n, code.m, four_cycles(code)
    (192, 96, 0)
    """
    columns = [degree for degree in sorted(degrees) for _ in range(degrees[degree])]
    grow = _Growth(lift, depth, -(-sum(columns) // rows), reach, np.random.default_rng(seed))
    base = np.full((rows, len(columns)), -1, np.int16)
    for column, degree in enumerate(columns):
        for _ in range(degree):
            row, shift = _place(base, column, grow)
            base[row, column] = shift
    _break_four_cycles(base, grow)
    return Code(name, lift, base, _untainted(base))


def four_cycles(code: Code) -> int:
    """Base entries that lie on a cycle of four edges: two bits that share two checks."""
    return len(_on_four_cycles(code.base, code.lift))


def _on_four_cycles(base: NDArray[np.int16], lift: int) -> NDArray[np.int64]:
    """Rows and columns (k, 2) of entries where two rows have the same difference of shifts in two columns."""
    bad = np.zeros(base.shape, bool)
    for i, row in enumerate(base):
        for j, other in enumerate(base[:i]):
            both = np.flatnonzero((row >= 0) & (other >= 0))
            difference = (row[both].astype(np.int64) - other[both]) % lift
            repeated = np.bincount(difference, minlength=lift)[difference] > 1
            bad[i, both[repeated]] = bad[j, both[repeated]] = True
    return np.argwhere(bad)


def _break_four_cycles(base: NDArray[np.int16], grow: _Growth) -> None:
    """Move circulants on cycles of four, one after the other, as long as that leaves fewer of them."""
    bad = _on_four_cycles(base, grow.lift)
    for _ in range(4 * len(bad)):
        if not len(bad):
            return
        row, column = grow.draw.choice(bad)
        shift, base[row, column] = base[row, column], -1
        place, new = _place(base, int(column), grow)
        base[place, column] = new
        left = _on_four_cycles(base, grow.lift)
        if len(left) <= len(bad):
            bad = left
        else:
            base[place, column], base[row, column] = -1, shift


def _place(base: NDArray[np.int16], column: int, grow: _Growth) -> tuple[int, int]:
    """Row and shift of the column's next circulant: farthest away, then in the emptiest row, then by lot."""
    filled = (base >= 0).sum(axis=1)
    free = base[:, column] < 0
    free &= (filled < grow.limit) | (filled[free] >= grow.limit).all()
    distance = _distances(base, column, lift=grow.lift, depth=grow.depth)
    distance[~free] = distance[:, grow.reach :] = -1
    farthest = distance == distance.max()
    emptiest = filled == filled[farthest.any(axis=1)].min()
    row, shift = np.divmod(
        grow.draw.choice(np.flatnonzero(farthest & emptiest[:, None])), grow.lift
    )
    return int(row), int(shift)


def _distances(base: NDArray[np.int16], column: int, *, lift: int, depth: int) -> I64:
    """Steps from bit 0 of the column to every check (rows, lift), as far as ``depth`` of them."""
    row, held = np.nonzero(base >= 0)
    shift = base[row, held].astype(np.int64)
    by_column = np.argsort(held, kind="stable")
    of_bits = _Neighbors(held[by_column], row[by_column], shift[by_column], lift)
    of_checks = _Neighbors(row, held, -shift, lift)
    distance = np.full(base.shape[0] * lift, _UNREACHED, np.int64)
    seen = np.zeros(base.shape[1] * lift, bool)
    bits = np.array([column * lift])
    for step in range(1, depth + 1):
        seen[bits] = True
        checks = of_bits.all_of(bits)
        checks = checks[distance[checks] == _UNREACHED]
        if not len(checks):
            break
        distance[checks] = step
        if step < depth:
            bits = of_checks.all_of(np.unique(checks))
            bits = np.unique(bits[~seen[bits]])
    return distance.reshape(-1, lift)


class _Neighbors:
    """Circulants sorted by ``near``, where they start, to tell the lifted nodes next to others."""

    def __init__(self, near: I64, far: I64, shift: I64, lift: int) -> None:
        self.far, self.shift, self.lift = far, shift, lift
        self.first = np.searchsorted(near, np.arange(near.max(initial=0) + 2))

    def all_of(self, ends: I64) -> I64:
        """The lifted nodes, some more than once, at the other ends of these nodes' edges."""
        base, place = np.divmod(ends, self.lift)
        base = np.minimum(base, len(self.first) - 1)  # one that has no circulants yet
        begin = self.first[base]
        counts = self.first[np.minimum(base + 1, len(self.first) - 1)] - begin
        edge = np.arange(counts.sum()) + np.repeat(begin - np.cumsum(counts) + counts, counts)
        nodes: I64 = (
            self.far[edge] * self.lift + (np.repeat(place, counts) + self.shift[edge]) % self.lift
        )
        return nodes


def _untainted(base: NDArray[np.int16]) -> tuple[int, ...]:
    """Columns no two of which share a row, those with the fewest neighbors first.

    Elkouss, Martinez-Mateo and Martin, IEEE Wireless Commun. Lett. 1:585 (2012).
    """
    held = base >= 0
    neighbors = (held.T.astype(int) @ held > 0).sum(axis=1)
    chosen: list[int] = []
    taken = np.zeros(len(base), bool)
    for column in np.argsort(neighbors, kind="stable"):
        if not taken[held[:, column]].any():
            chosen.append(int(column))
            taken |= held[:, column]
    return tuple(chosen)
