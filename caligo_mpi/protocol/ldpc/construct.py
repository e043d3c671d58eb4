"""Building quasi-cyclic codes: progressive edge growth on the lifted graph.

Hu, Eleftheriou and Arnold, IEEE Trans. Inf. Theory 51:386 (2005), an edge being a whole circulant as in
Li and Kumar, CISS 2004: each new circulant goes where the shortest cycle it closes is longest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .code import I16, I64, Code

_UNREACHED = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class _Growth:
    """What is the same for every circulant: ``limit`` is how many a row gets before all have as many."""

    lift: int
    depth: int
    limit: int
    reach: int
    draw: np.random.Generator


class Within(NamedTuple):
    """Cycles of more than 2·``depth`` edges are not looked for, which takes long; all shifts are below ``reach``."""

    depth: int = _UNREACHED
    reach: int = _UNREACHED


def build(
    name: str,
    *,
    rows: int,
    degrees: Mapping[int, int],
    lift: int,
    seed: int,
    within: Within | None = None,
) -> Code:
    """A code of ``rows`` base rows whose base columns have the given ``degrees`` (degree → columns).

    >>> code = build("tiny", rows=6, degrees={2: 5, 3: 7}, lift=16, seed=1)
    >>> code.n, code.m, four_cycles(code)
    (192, 96, 0)
    """
    depth, reach = within or Within()
    columns = []
    for degree in sorted(degrees):
        columns += degrees[degree] * [degree]
    limit = -(-sum(columns) // rows)
    draw = np.random.default_rng(seed)
    grow = _Growth(
        lift,
        depth,
        limit,
        reach,
        draw,
    )
    base = np.full((rows, len(columns)), -1, np.int16)
    for column, degree in enumerate(columns):
        for _ in range(degree):
            row, shift = _place(base, column, grow)
            base[row, column] = shift
    _break_four_cycles(base, grow)
    return Code(
        name,
        lift,
        base,
        _untainted(base),
    )


def four_cycles(code: Code) -> int:
    """Base entries that lie on a cycle of four edges: two bits that share two checks."""
    entries = _on_four_cycles(code.base, code.lift)
    return len(entries)


def _on_four_cycles(base: I16, lift: int) -> I64:
    """Rows and columns (k, 2) of entries where two rows have the same difference of shifts in two columns."""
    bad = np.zeros(base.shape, bool)
    for i, row in enumerate(base):
        for j, other in enumerate(base[:i]):
            in_both = (row >= 0) & (other >= 0)
            both = np.flatnonzero(in_both)
            shift = row[both].astype(np.int64)
            difference = (shift - other[both]) % lift
            count = np.bincount(difference, minlength=lift)
            repeated = both[count[difference] > 1]
            bad[i, repeated] = True
            bad[j, repeated] = True
    return np.argwhere(bad)


def _break_four_cycles(base: I16, grow: _Growth) -> None:
    """Move circulants on cycles of four, one after the other, as long as that leaves fewer of them."""
    bad = _on_four_cycles(base, grow.lift)
    for _ in range(4 * len(bad)):
        if not len(bad):
            return
        row, column = grow.draw.choice(bad)
        shift = base[row, column]
        base[row, column] = -1
        place, new = _place(base, int(column), grow)
        base[place, column] = new
        left = _on_four_cycles(base, grow.lift)
        if len(left) <= len(bad):
            bad = left
        else:
            base[place, column] = -1
            base[row, column] = shift


def _place(base: I16, column: int, grow: _Growth) -> tuple[int, int]:
    """Row and shift of the column's next circulant: farthest away, then in the emptiest row, then by lot."""
    filled = (base >= 0).sum(axis=1)
    free = base[:, column] < 0
    is_full = filled >= grow.limit
    if not is_full[free].all():
        free &= ~is_full
    distance = _distances(
        base,
        column,
        lift=grow.lift,
        depth=grow.depth,
    )
    distance[~free] = -1
    distance[:, grow.reach :] = -1
    farthest = distance == distance.max()
    of_rows = farthest.any(axis=1)
    emptiest = filled == filled[of_rows].min()
    fit = farthest & emptiest[:, None]
    chosen = grow.draw.choice(np.flatnonzero(fit))
    row, shift = np.divmod(chosen, grow.lift)
    return int(row), int(shift)


def _distances(
    base: I16,
    column: int,
    *,
    lift: int,
    depth: int,
) -> I64:
    """Steps from bit 0 of the column to every check (rows, lift), as far as ``depth`` of them."""
    row, held = np.nonzero(base >= 0)
    shift = base[row, held].astype(np.int64)
    by_column = np.argsort(held, kind="stable")
    of_bits = _Neighbors(
        held[by_column],
        row[by_column],
        shift[by_column],
        lift,
    )
    of_checks = _Neighbors(
        row,
        held,
        -shift,
        lift,
    )
    rows, columns = base.shape
    distance = np.full(rows * lift, _UNREACHED, np.int64)
    seen = np.zeros(columns * lift, bool)
    bits = np.array([column * lift])
    for step in range(1, depth + 1):
        seen[bits] = True
        checks = of_bits.all_of(bits)
        is_new = distance[checks] == _UNREACHED
        checks = checks[is_new]
        if not len(checks):
            break
        distance[checks] = step
        if step < depth:
            bits = of_checks.all_of(np.unique(checks))
            is_seen = seen[bits]
            bits = np.unique(bits[~is_seen])
    return distance.reshape(-1, lift)


class _Neighbors:
    """Circulants sorted by ``near``, where they start, to tell the lifted nodes next to others."""

    def __init__(
        self,
        near: I64,
        far: I64,
        shift: I64,
        lift: int,
    ) -> None:
        self.far = far
        self.shift = shift
        self.lift = lift
        nodes = near.max(initial=0) + 1
        self.first = np.searchsorted(near, np.arange(nodes + 1))

    def all_of(self, ends: I64) -> I64:
        """The lifted nodes, some more than once, at the other ends of these nodes' edges."""
        base, place = np.divmod(ends, self.lift)
        last = len(self.first) - 1
        base = np.minimum(base, last)  # one that has no circulants yet
        following = np.minimum(base + 1, last)
        begin = self.first[base]
        counts = self.first[following] - begin
        before = np.cumsum(counts) - counts
        offset = np.repeat(begin - before, counts)
        edge = np.arange(counts.sum()) + offset
        start = np.repeat(place, counts)
        new_place = (start + self.shift[edge]) % self.lift
        nodes: I64 = self.far[edge] * self.lift + new_place
        return nodes


def _untainted(base: I16) -> tuple[int, ...]:
    """Columns no two of which share a row, those with the fewest neighbors first.

    Elkouss, Martinez-Mateo and Martin, IEEE Wireless Commun. Lett. 1:585 (2012).
    """
    held = base >= 0
    shared = held.T.astype(int) @ held
    is_neighbor = shared > 0
    neighbors = is_neighbor.sum(axis=1)
    chosen: list[int] = []
    taken = np.zeros(len(base), bool)
    for column in np.argsort(neighbors, kind="stable"):
        rows = held[:, column]
        if not taken[rows].any():
            chosen.append(int(column))
            taken |= rows
    return tuple(chosen)
