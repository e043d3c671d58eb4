"""The blocks of `outcomes`, compiled by numba: the same words of the generator, the same bits.

Importing this compiles, or loads what was kept, and raises `ImportError` without numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from ...machine.jit import compiler, helper
from ...pairs import Tally
from . import outcomes, sums
from .kernel import SOURCES
from .outcomes import Law
from .plan import ONES, RAW, TABLE, ZEROS, compile_plan
from .tables import Words

_jit = compiler(*SOURCES)

# Words of each column that are counted and noted at once.
_NEAR = 512


class Blocks:
    """Draws the blocks of one chunk in their order, with the words of one generator.

    It ``sums`` the columns of ``summed`` outcomes, too, if there are any and they make whole stretches.
    """

    def __init__(self, law: Law, seed: np.random.SeedSequence, summed: int = 0) -> None:
        plan = compile_plan(law)
        tables = plan[1:]
        self._plan = plan.kinds, tables
        self._planes: Words | None = None
        state: Any = np.random.SFC64(seed).state
        self._state = np.array(state["state"]["state"], np.uint64)
        plane, other = np.empty((2, outcomes.FULL), np.uint64)
        late = np.empty(8 * outcomes.FULL, np.int64)
        self._space = plane, other, late
        stretches, rest = divmod(summed, 64 * sums.STRETCH)
        self.sums = stretches > 0 and rest == 0
        self._counts = np.zeros(5, np.int64)
        self._notes = np.empty((4, stretches if self.sums else 0, 8), np.uint64)
        self._found = self._counts, self._notes

    def draw(self, planes: Words, first: int) -> Tally:
        """Fill ``planes``, of shape (4, words): Alice's bases and bits, then Bob's; and count.

        ``first`` is the number of their first word.  Words behind those that are summed are drawn, not counted.
        """
        columns = tuple(planes)
        _block(
            self._state,
            self._plan,
            columns,
            self._space,
            self._found,
            first,
        )
        return self._tally()

    def sum_up(self, first: int, sizes: Sequence[int]) -> Tally:
        """Draw blocks of so many words, one after the other in the same place, and count them together."""
        if self._planes is None:
            self._planes = np.empty((4, outcomes.FULL), np.uint64)
        columns = tuple(self._planes)
        borders = np.array([*accumulate(sizes, initial=first)], np.int64)
        _blocks(
            self._state,
            self._plan,
            columns,
            self._space,
            self._found,
            borders,
        )
        return self._tally()

    def _tally(self) -> Tally:
        words, either_x, errors_z, sifted_x, errors_x = self._counts.tolist()
        sifted_z = 64 * words - either_x
        return Tally(sifted_z, errors_z, sifted_x, errors_x)

    def checksum(self) -> int | None:
        """Of the four columns, once all blocks are drawn; None where they are not summed."""
        return sums.digest(self._notes) if self.sums else None


# ── compiled ─────────────────────────────────────────────────────────────────────────────────────


def _counting(context: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return numba.int64(numba.uint64), code


_ones: Any = intrinsic(_counting)


def _hiding(context: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word_type = args[0].type
        unchanged = ir.FunctionType(word_type, [word_type])
        return builder.asm(unchanged, "", "=r,0", [args[0]], side_effect=False)

    return numba.uint64(numba.uint64), code


# The word itself, but the compiler cannot tell: it would else regroup the sums of several rounds of the
# generator, to no good, and need half as much time again.
_as_is: Any = intrinsic(_hiding)


@helper
def _next(a: Any, b: Any, c: Any, count: Any) -> Any:
    """A word of SFC64 (Doty-Humphrey, PractRand), as numpy makes it, and the state behind it."""
    word = a + b + count
    next_a = b ^ (b >> 11)
    next_b = c + (c << 3)
    turned = (c << 24) | (c >> 40)
    next_c = _as_is(turned + word)
    next_count = count + np.uint64(1)
    return word, next_a, next_b, next_c, next_count


@helper
def _fill(state: Any, out: Any) -> None:
    """The generator's next words."""
    a = state[0]
    b = state[1]
    c = state[2]
    count = state[3]
    for i in range(len(out)):
        word, a, b, c, count = _next(a, b, c, count)
        out[i] = word
    state[0] = a
    state[1] = b
    state[2] = c
    state[3] = count


@helper
def _look_up(state: Any, values: Any, whole: Any, out: Any, late: Any) -> int:
    """Four codes of a word are four bytes; where codes have no owner is listed in ``late``."""
    fours = out.view(np.uint32)
    mask = np.uint64(0xFFFF)
    limit = np.uint64(whole)
    found = 0
    a = state[0]
    b = state[1]
    c = state[2]
    count = state[3]
    for i in range(len(fours)):
        word, a, b, c, count = _next(a, b, c, count)
        code0 = word & mask
        code1 = (word >> 16) & mask
        code2 = (word >> 32) & mask
        code3 = word >> 48
        low = values[code0] | (values[code1] << 8)
        high = values[code2] | (values[code3] << 8)
        fours[i] = low | (high << 16)
        is_late_low = (code0 >= limit) | (code1 >= limit)
        is_late_high = (code2 >= limit) | (code3 >= limit)
        if is_late_low | is_late_high:
            codes = code0, code1, code2, code3
            for j, code in enumerate(codes):
                if code >= limit:
                    late[found] = 4 * i + j
                    found += 1
    state[0] = a
    state[1] = b
    state[2] = c
    state[3] = count
    return found


@helper
def _settle(
    state: Any,
    rest_values: Any,
    rest_bounds: Any,
    out: Any,
    late: Any,
) -> None:
    """Each late byte takes one word and the left-over law."""
    eights = out.view(np.uint8)
    word = np.empty(1, np.uint64)
    for place in late:
        _fill(state, word)
        low = 0
        high = len(rest_bounds)
        while low < high:
            middle = (low + high) >> 1
            if word[0] < rest_bounds[middle]:
                high = middle
            else:
                low = middle + 1
        eights[place] = rest_values[low]


@helper
def _toss(
    state: Any,
    kind: Any,
    tables: Any,
    out: Any,
    late: Any,
) -> None:
    """A plane of independent bits."""
    values, wholes, rest_values, rest_bounds, rest_counts = tables
    if kind == RAW:
        _fill(state, out)
    elif kind == ZEROS:
        out[:] = np.uint64(0)
    elif kind == ONES:
        out[:] = ~np.uint64(0)
    else:
        row = kind - TABLE
        found = _look_up(state, values[row], wholes[row], out, late)
        bounds = rest_bounds[row, : rest_counts[row]]
        late_ones = late[:found]
        _settle(state, rest_values[row], bounds, out, late_ones)


@helper
def _toss_by_basis(
    state: Any,
    kinds: Any,
    tables: Any,
    basis: Any,
    space: Any,
) -> None:
    """In the first plane of the space: bits of the kind for Z, and of that for X where the basis is X."""
    plane, other, late = space
    _toss(state, kinds[0], tables, plane, late)
    if kinds[1] != kinds[0]:
        _toss(state, kinds[1], tables, other, late)
        for i in range(len(plane)):
            differs = plane[i] ^ other[i]
            plane[i] ^= differs & basis[i]


@helper
def _fall(
    state: Any,
    kinds: Any,
    tables: Any,
    basis: Any,
    bit: Any,
    space: Any,
) -> None:
    """Falls of a side's bits, then rises."""
    falls = kinds[:2]
    rises = kinds[2:]
    changed = space[0]
    if falls[0] != ZEROS or falls[1] != ZEROS:
        _toss_by_basis(state, falls, tables, basis, space)
        for i in range(len(bit)):
            bit[i] &= ~changed[i]
    if rises[0] != ZEROS or rises[1] != ZEROS:
        _toss_by_basis(state, rises, tables, basis, space)
        for i in range(len(bit)):
            bit[i] |= changed[i]


@helper
def _count(columns: Any, counts: Any) -> None:
    """Words, rows with an X, errors in Z, rows with two X, errors in X: added to the counts."""
    a_basis, a_bit, b_basis, b_bit = columns
    either_x = errors_z = sifted_x = errors_x = 0
    for i in range(len(a_basis)):
        union = a_basis[i] | b_basis[i]
        both = a_basis[i] & b_basis[i]
        differs = a_bit[i] ^ b_bit[i]
        either_x += _ones(union)
        errors_z += _ones(differs & ~union)
        sifted_x += _ones(both)
        errors_x += _ones(differs & both)
    counts[0] += len(a_basis)
    counts[1] += either_x
    counts[2] += errors_z
    counts[3] += sifted_x
    counts[4] += errors_x


@helper
def _cut(columns: Any, start: Any, end: Any) -> Any:
    """Words from ``start`` to ``end`` of each column."""
    a_basis, a_bit, b_basis, b_bit = columns
    return (
        a_basis[start:end],
        a_bit[start:end],
        b_basis[start:end],
        b_bit[start:end],
    )


@helper
def _count_and_note(columns: Any, found: Any, first: Any) -> None:
    """Count, and note for the checksum: both while few words are in the nearest cache."""
    counts, notes = found
    counts[:] = 0
    total = sums.STRETCH * notes.shape[1]
    if not total:
        _count(columns, counts)
        return
    words = len(columns[0])
    end = min(words, total - first)
    for start in range(0, end, _NEAR):
        stop = min(start + _NEAR, end)
        some = _cut(columns, start, stop)
        _count(some, counts)
        place = first + start
        is_last = first + stop == total
        for column in range(4):
            is_end = is_last and column == 3
            sums.note(some[column], place, notes[column], is_end)


# Types of arguments.  What belongs together is a plain tuple: numba takes in a named one in twice the time.
_STATE = "uint64[::1]"
_TABLES = "Tuple((uint8[:,::1], int64[::1], uint8[:,::1], uint64[:,::1], int64[::1]))"
_PLAN = f"Tuple((int64[::1], {_TABLES}))"
_COLUMNS = "UniTuple(uint64[::1], 4)"
_SPACE = "Tuple((uint64[::1], uint64[::1], int64[::1]))"
_FOUND = "Tuple((int64[::1], uint64[:,:,::1]))"
_COMMON = f"{_STATE}, {_PLAN}, {_COLUMNS}, {_SPACE}, {_FOUND}"


@_jit(f"void({_COMMON}, int64)")
def _block(
    state: Any,
    plan: Any,
    columns: Any,
    space: Any,
    found: Any,
    first: Any,
) -> None:
    """Draw columns, whose first word has the number ``first``; count and note what they hold."""
    kinds, tables = plan
    a_basis, a_bit, b_basis, b_bit = columns
    plane, other, late = space
    words = len(a_basis)
    unequal = plane[:words]
    fitting = unequal, other[:words], late
    flips = kinds[2:4]
    alice_changes = kinds[4:8]
    bob_changes = kinds[8:12]
    _toss(state, kinds[0], tables, a_basis, late)
    _toss(state, kinds[1], tables, b_basis, late)
    _fill(state, a_bit)
    _fill(state, b_bit)
    _toss_by_basis(state, flips, tables, a_basis, fitting)
    for i in range(words):
        differing_bases = a_basis[i] ^ b_basis[i]
        unrelated = differing_bases & b_bit[i]
        b_bit[i] = unrelated ^ a_bit[i] ^ unequal[i]
    _fall(state, alice_changes, tables, a_basis, a_bit, fitting)
    _fall(state, bob_changes, tables, b_basis, b_bit, fitting)
    _count_and_note(columns, found, first)


@_jit(f"void({_COMMON}, int64[::1])")
def _blocks(
    state: Any,
    plan: Any,
    columns: Any,
    space: Any,
    found: Any,
    borders: Any,
) -> None:
    """Blocks between these borders, each in the place of the one before; their counts are added up."""
    counts, _ = found
    together = np.zeros(len(counts), np.int64)
    for i in range(len(borders) - 1):
        first = borders[i]
        end = borders[i + 1]
        words = end - first
        block = _cut(columns, 0, words)
        _block(state, plan, block, space, found, first)
        together += counts
    counts[:] = together
