"""The blocks of `outcomes`, compiled by numba: the same words of the generator, the same bits.

Importing this compiles, or loads what was kept, and raises `ImportError` without numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...machine.jit import compiler, helper
from ...pairs import Tally
from . import outcomes, sums
from .kernel import SOURCES
from .outcomes import Law
from .tables import ONE, Words

I64 = NDArray[np.int64]

_jit = compiler(*SOURCES)

# Kinds of planes; from _TABLE on, the number of a table.
_ZEROS, _ONES, _RAW, _TABLE = 0, 1, 2, 3

# Words of each column that are counted and noted at once.
_NEAR = 512


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A law as arrays: the kinds of its twelve planes, and the tables one after the other.

    The planes: Alice's and Bob's bases; flips in Z and in X; of Alice's bits, and then of Bob's, falls
    in Z, in X, rises in Z, in X.
    """

    kinds: I64
    values: NDArray[np.uint8]
    wholes: I64
    rest_values: NDArray[np.uint8]
    rest_bounds: Words
    rest_counts: I64


class Blocks:
    """Draws the blocks of one chunk in their order, with the words of one generator.

    It ``sums`` the columns of ``summed`` outcomes, too, if there are any and they make whole stretches.
    """

    def __init__(self, law: Law, seed: np.random.SeedSequence, summed: int = 0) -> None:
        plan = compile_plan(law)
        rests = (plan.rest_values, plan.rest_bounds, plan.rest_counts)
        self._law = (plan.kinds, plan.values, plan.wholes, *rests)
        self._planes: Words | None = None
        state: Any = np.random.SFC64(seed).state
        self._state = np.array(state["state"]["state"], np.uint64)
        self._work = np.empty((2, outcomes.FULL), np.uint64)
        self._late = np.empty(8 * outcomes.FULL, np.int64)
        self._counts = np.zeros(5, np.int64)
        stretches, rest = divmod(summed, 64 * sums.STRETCH)
        self._notes = np.empty((4, 0 if rest else stretches, 8), np.uint64)
        self.sums = self._notes.size > 0

    def draw(self, planes: Words, first: int) -> Tally:
        """Fill ``planes``, of shape (4, words): Alice's bases and bits, then Bob's; and count.

        ``first`` is the number of their first word.  Words behind those that are summed are drawn, not counted.
        """
        work = (*self._work, self._late, self._counts)
        _block(self._state, *self._law, *planes, *work, self._notes, first)
        return self._tally()

    def sum_up(self, first: int, sizes: Sequence[int]) -> Tally:
        """Draw blocks of so many words, one after the other in the same place, and count them together."""
        if self._planes is None:
            self._planes = np.empty((4, outcomes.FULL), np.uint64)
        words = np.array(sizes, np.int64)
        work = (*self._work, self._late, self._counts)
        _blocks(self._state, *self._law, *self._planes, *work, self._notes, first, words)
        return self._tally()

    def _tally(self) -> Tally:
        words, either_x, errors_z, sifted_x, errors_x = self._counts.tolist()
        return Tally(64 * words - either_x, errors_z, sifted_x, errors_x)

    def checksum(self) -> int | None:
        """Of the four columns, once all blocks are drawn; None where they are not summed."""
        return sums.digest(self._notes) if self.sums else None


@lru_cache(maxsize=64)
def compile_plan(law: Law) -> Plan:
    """The law's planes and tables; planes of one probability are of one kind."""
    rises = {name: -min(getattr(law, name), 0) for name in _FALLS}
    falls = {name: max(getattr(law, name), 0) for name in _FALLS}
    probabilities = [law.alice_x, law.bob_x, law.flip_z, law.flip_x]
    for side in ("alice", "bob"):
        for change in (falls, rises):
            probabilities += [change[f"{side}_fall_z"], change[f"{side}_fall_x"]]
    numbers = {0: _ZEROS, ONE: _ONES, ONE >> 1: _RAW}
    for probability in probabilities:
        numbers.setdefault(probability, len(numbers))
    found = [outcomes.byte_table(p) for p, kind in numbers.items() if kind >= _TABLE]
    width = max([1, *(len(table.rest_values) for table in found)])
    values = np.zeros((max(1, len(found)), 1 << 16), np.uint8)
    rest_values = np.zeros((len(values), width), np.uint8)
    rest_bounds = np.zeros((len(values), width), np.uint64)
    for row, table in enumerate(found):
        values[row] = table.values
        rest_values[row, : len(table.rest_values)] = table.rest_values
        rest_bounds[row, : len(table.rest_bounds)] = table.rest_bounds
    return Plan(
        kinds=np.array([numbers[probability] for probability in probabilities], np.int64),
        values=values,
        wholes=np.array([table.whole for table in found] or [0], np.int64),
        rest_values=rest_values,
        rest_bounds=rest_bounds,
        rest_counts=np.array([len(table.rest_bounds) for table in found] or [0], np.int64),
    )


_FALLS = ("alice_fall_z", "alice_fall_x", "bob_fall_z", "bob_fall_x")


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
def _fill(state: Any, out: Any) -> None:
    """Words of SFC64 (Doty-Humphrey, PractRand), as numpy makes them."""
    a, b, c, count = state[0], state[1], state[2], state[3]
    for i in range(len(out)):
        word = a + b + count
        count += np.uint64(1)
        a = b ^ (b >> np.uint64(11))
        b = c + (c << np.uint64(3))
        c = _as_is(((c << np.uint64(24)) | (c >> np.uint64(40))) + word)
        out[i] = word
    state[0], state[1], state[2], state[3] = a, b, c, count


@helper
def _look_up(state: Any, values: Any, whole: Any, out: Any, late: Any) -> int:
    """Four codes of a word are four bytes; where codes have no owner is listed in ``late``."""
    fours = out.view(np.uint32)
    mask = np.uint64(0xFFFF)
    limit = np.uint64(whole)
    found = 0
    a, b, c, count = state[0], state[1], state[2], state[3]
    for i in range(len(fours)):
        word = a + b + count
        count += np.uint64(1)
        a = b ^ (b >> np.uint64(11))
        b = c + (c << np.uint64(3))
        c = _as_is(((c << np.uint64(24)) | (c >> np.uint64(40))) + word)
        code0 = word & mask
        code1 = (word >> np.uint64(16)) & mask
        code2 = (word >> np.uint64(32)) & mask
        code3 = word >> np.uint64(48)
        low = np.uint32(values[code0]) | (np.uint32(values[code1]) << np.uint32(8))
        high = np.uint32(values[code2]) | (np.uint32(values[code3]) << np.uint32(8))
        fours[i] = low | (high << np.uint32(16))
        if (code0 >= limit) | (code1 >= limit) | (code2 >= limit) | (code3 >= limit):
            for j, code in enumerate((code0, code1, code2, code3)):
                if code >= limit:
                    late[found] = 4 * i + j
                    found += 1
    state[0], state[1], state[2], state[3] = a, b, c, count
    return found


@helper
def _settle(state: Any, rest_values: Any, rest_bounds: Any, out: Any, late: Any) -> None:
    """Each late byte takes one word and the left-over law."""
    eights = out.view(np.uint8)
    word = np.empty(1, np.uint64)
    for place in late:
        _fill(state, word)
        low, high = 0, len(rest_bounds)
        while low < high:
            middle = (low + high) >> 1
            if word[0] < rest_bounds[middle]:
                high = middle
            else:
                low = middle + 1
        eights[place] = rest_values[low]


@helper
def _toss(state: Any, kind: Any, laws: Any, out: Any, late: Any) -> None:
    """A plane of independent bits."""
    values, wholes, rest_values, rest_bounds, rest_counts = laws
    if kind == _RAW:
        _fill(state, out)
    elif kind == _ZEROS:
        out[:] = np.uint64(0)
    elif kind == _ONES:
        out[:] = ~np.uint64(0)
    else:
        row = kind - _TABLE
        found = _look_up(state, values[row], wholes[row], out, late)
        bounds = rest_bounds[row, : rest_counts[row]]
        _settle(state, rest_values[row], bounds, out, late[:found])


@helper
def _toss_by_basis(state: Any, kinds: Any, laws: Any, basis: Any, planes: Any, late: Any) -> None:
    """The first of two planes: bits of the kind for Z, and of that for X where the basis is X."""
    plane, other = planes
    _toss(state, kinds[0], laws, plane, late)
    if kinds[1] != kinds[0]:
        _toss(state, kinds[1], laws, other, late)
        for i in range(len(plane)):
            plane[i] ^= (plane[i] ^ other[i]) & basis[i]


@helper
def _fall(state: Any, kinds: Any, laws: Any, side: Any, planes: Any, late: Any) -> None:
    """Falls of a side's bits, then rises."""
    basis, bit = side
    fallen = planes[0]
    if kinds[0] != _ZEROS or kinds[1] != _ZEROS:
        _toss_by_basis(state, kinds[:2], laws, basis, planes, late)
        for i in range(len(bit)):
            bit[i] &= ~fallen[i]
    if kinds[2] != _ZEROS or kinds[3] != _ZEROS:
        _toss_by_basis(state, kinds[2:], laws, basis, planes, late)
        for i in range(len(bit)):
            bit[i] |= fallen[i]


@helper
def _count(a_basis: Any, a_bit: Any, b_basis: Any, b_bit: Any, counts: Any) -> None:
    """Words, rows with an X, errors in Z, rows with two X, errors in X: added to the counts."""
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
def _count_and_note(
    a_basis: Any, a_bit: Any, b_basis: Any, b_bit: Any, counts: Any, notes: Any, first: Any
) -> None:
    """Count, and note for the checksum: both while few words are in the nearest cache."""
    counts[:] = 0
    total = sums.STRETCH * notes.shape[1]
    if not total:
        _count(a_basis, a_bit, b_basis, b_bit, counts)
        return
    end = min(len(a_basis), total - first)
    for start in range(0, end, _NEAR):
        some = slice(start, min(start + _NEAR, end))
        columns = a_basis[some], a_bit[some], b_basis[some], b_bit[some]
        _count(columns[0], columns[1], columns[2], columns[3], counts)
        place = first + start
        is_last = first + some.stop == total
        for column in range(4):
            sums.note(columns[column], place, notes[column], is_last and column == 3)


@_jit(
    "void(uint64[::1], int64[::1], uint8[:,::1], int64[::1], uint8[:,::1], uint64[:,::1], "
    "int64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1], "
    "int64[::1], int64[::1], uint64[:,:,::1], int64)"
)
def _block(
    state: Any, kinds: Any, values: Any, wholes: Any, rest_values: Any, rest_bounds: Any,
    rest_counts: Any, a_basis: Any, a_bit: Any, b_basis: Any, b_bit: Any, plane: Any, other: Any,
    late: Any, counts: Any, notes: Any, first: Any,
) -> None:  # fmt: skip
    laws = values, wholes, rest_values, rest_bounds, rest_counts
    words = len(a_basis)
    planes = plane[:words], other[:words]
    _toss(state, kinds[0], laws, a_basis, late)
    _toss(state, kinds[1], laws, b_basis, late)
    _fill(state, a_bit)
    _fill(state, b_bit)
    _toss_by_basis(state, kinds[2:4], laws, a_basis, planes, late)
    for i in range(words):
        unrelated = (a_basis[i] ^ b_basis[i]) & b_bit[i]
        b_bit[i] = unrelated ^ a_bit[i] ^ plane[i]
    _fall(state, kinds[4:8], laws, (a_basis, a_bit), planes, late)
    _fall(state, kinds[8:12], laws, (b_basis, b_bit), planes, late)
    _count_and_note(a_basis, a_bit, b_basis, b_bit, counts, notes, first)


@_jit(
    "void(uint64[::1], int64[::1], uint8[:,::1], int64[::1], uint8[:,::1], uint64[:,::1], "
    "int64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1], "
    "int64[::1], int64[::1], uint64[:,:,::1], int64, int64[::1])"
)
def _blocks(
    state: Any, kinds: Any, values: Any, wholes: Any, rest_values: Any, rest_bounds: Any,
    rest_counts: Any, a_basis: Any, a_bit: Any, b_basis: Any, b_bit: Any, plane: Any, other: Any,
    late: Any, counts: Any, notes: Any, first: Any, sizes: Any,
) -> None:  # fmt: skip
    """Blocks of these sizes, each in the place of the one before; their counts are added up."""
    together = np.zeros(len(counts), np.int64)
    for words in sizes:
        _block(
            state, kinds, values, wholes, rest_values, rest_bounds, rest_counts,
            a_basis[:words], a_bit[:words], b_basis[:words], b_bit[:words], plane, other,
            late, counts, notes, first,
        )  # fmt: skip
        first += words
        together += counts
    counts[:] = together
