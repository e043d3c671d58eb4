"""1-out-of-2 random oblivious transfer in the noisy-storage model.

Alice ends with two strings S_0 and S_1, Bob with his choice c and S_c.  Alice does not learn
c; Bob, whose quantum memory is noisy, does not learn S_(1−c).  `Alice` and `Bob` hold one
party's data and random stream each and know of the other only what the messages say.

Wehner, Curty, Schaffner and Lo, PRA 81:052336 (2010); Schaffner, PRA 82:032308 (2010); König,
Wehner and Wullschleger, IEEE Trans. Inf. Theory 58:1962 (2012); Erven et al., Nat. Commun. 5:3418
(2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..pairs import Tally, X, bits
from ..pairs.bits import U8
from .amplify import amplify, seed_bits
from .commit import Opening, Positions, Rows, commit, open_rows, opens
from .draw import random_bits, random_subset
from .estimate import by_basis, estimate, no_code
from .key_length import dropped_limit, hoeffding_margin
from .sift import Side
from .terms import Terms
from .types import Abort, QberEstimate, Reconciled
from .verify import TagKey, draw_tag_key, tag


class OneWayCode(Protocol):
    """A syndrome code for sets of one size: one message from Alice is all Bob needs."""

    def syndrome(self, key: U8) -> U8:
        """Syndrome bits of ``key``; uint8 of 0 and 1, as all of these."""
        ...

    def decode(self, received: U8, syndrome: U8) -> Reconciled:
        """The string next to ``received`` that has this ``syndrome``."""
        ...


CODE_CONFIDENCE = 0.998  # that the error rate is within what the code is made for

#: (bits per set, what the test showed) → the code that both parties use.
CodeFor = Callable[[int, QberEstimate], OneWayCode]


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Alice's last message: for both sets alike a syndrome, a tag and the seed that makes S_0 or S_1 of it."""

    test: QberEstimate
    syndromes: tuple[U8, U8]
    tag_keys: tuple[TagKey, TagKey]
    tags: tuple[int, int]
    toeplitz: tuple[U8, U8]
    length: int


class Alice:
    """Alice's side; ``source`` is her random stream."""

    def __init__(self, side: Side, terms: Terms, *, source: np.random.PCG64) -> None:
        self.terms = terms
        self.estimate: QberEstimate | None = None
        self.disclosed = Tally()  # the test, by basis
        self.strings: U8 | None = None  # S_0 and S_1 as rows
        self.set_size = 0
        self.syndrome_bits = 0
        self._source = source
        self._basis = bits.unpack(side.basis, side.count)
        self._bit = bits.unpack(side.outcome, side.count)
        self._index = _index(side)
        self._root = b""
        self._test: Positions = np.zeros(0, np.int64)

    def check_losses(self) -> Abort | None:
        """Step 1: the number of rounds Bob says he missed must be what the link explains."""
        rounds = self.terms.rounds
        expected = self.terms.detection.missing
        missing = rounds - self.terms.valid
        margin = hoeffding_margin(rounds, self.terms.epsilon)
        if abs(missing / rounds - expected) <= margin:
            return None
        numbers = {
            "missing": missing,
            "expected": expected * rounds,
            "margin": margin * rounds,
        }
        return Abort(
            "transfer",
            "the number of rounds Bob missed is not what the link explains",
            numbers,
        )

    def choose_test(self, root: bytes) -> Positions:
        """Step 2: having Bob's commitment, draw the rows he is to open."""
        self._root = root
        valid = self.terms.valid
        mask = random_subset(self._source, valid, self.terms.test)
        self._test = np.flatnonzero(bits.unpack(mask, valid))
        return self._test

    def check_opening(self, opening: Opening) -> Abort | None:
        """Step 2: the opening must fit the root and the test set, and where bases agree, bits must."""
        if (reason := self._misfit(opening)) is not None:
            return Abort("commit", reason, {"rows": len(opening.positions)})
        rows = opening.rows
        same = rows.basis == self._basis[self._test]
        own = self._bit[self._test][same]
        his = rows.bit[same]
        in_x = rows.basis[same] == X
        self.disclosed = by_basis(own != his, in_x)
        tested = len(own)
        self.estimate = estimate(bits.pack(own), bits.pack(his), tested)
        qber = self.estimate.qber
        qber_limit = self.terms.qber_limit
        numbers = {
            "qber": qber,
            "qber_limit": qber_limit,
            "tested": tested,
        }
        if not tested:
            return Abort("estimate", "too few pairs: no opened row has equal bases", numbers)
        if qber > qber_limit:
            return Abort("estimate", "the error rate is over the limit", numbers)
        return None

    def _misfit(self, opening: Opening) -> str | None:
        """How an opening is not what was asked for, or not what was committed to."""
        asked = np.array_equal(opening.positions, self._test)
        if not asked or not np.array_equal(opening.rows.index, self._index[self._test]):
            return "Bob opened other rows than he was asked to"
        terms = self.terms
        if not opens(
            self._root,
            opening,
            count=terms.valid,
            session=terms.session,
        ):
            return "the opened rows do not fit Bob's commitment"
        return None

    def reveal_bases(self, now_ns: float) -> U8 | Abort:
        """Step 4: the bases of all rows not opened; not before the opening was checked, nor Δt after the last pair."""
        if self.estimate is None:
            return Abort("transfer", "bases were asked for before the commitment was opened")
        earliest = self.terms.last_pair_ns + self.terms.wait_ns
        if now_ns < earliest:
            numbers = {
                "now_ns": now_ns,
                "earliest_ns": earliest,
            }
            return Abort("transfer", "bases were asked for before the wait was over", numbers)
        return np.delete(self._basis, self._test)

    def make_strings(self, sets: tuple[Positions, Positions], code_for: CodeFor) -> Strings | Abort:
        """Steps 4 and 5: check Bob's two sets, then treat both alike: syndrome, tag, hash."""
        if (abort := self._check_sets(sets)) is not None:
            return abort
        if self.estimate is None:
            raise ValueError("make_strings before check_opening: the error rate is not known yet")
        left = np.delete(self._bit, self._test)
        keys = [left[rows] for rows in sets]
        self.set_size = len(keys[0])
        try:
            code = code_for(self.set_size, self.estimate)
        except ConfigError as error:
            return no_code(str(error), self.estimate, CODE_CONFIDENCE)
        syndromes = [code.syndrome(key) for key in keys]
        self.syndrome_bits = len(syndromes[0])
        found = self.terms.length(set_size=self.set_size, leak_bits=self.syndrome_bits)
        if not found.bits:
            numbers = {
                "qber": self.estimate.qber,
                "min_entropy": found.min_entropy,
                "leak_bits": self.syndrome_bits,
            }
            return Abort("amplify", "no secret bits are left", numbers)
        return self._hashed(keys, syndromes, self.estimate, found.bits)

    def _hashed(
        self,
        keys: list[U8],
        syndromes: list[U8],
        test: QberEstimate,
        length: int,
    ) -> Strings:
        """Draw tags and hashes of both keys and apply them."""
        first, second = keys
        tag_bits = self.terms.tag_bits
        by_first = draw_tag_key(self._source, tag_bits)
        by_second = draw_tag_key(self._source, tag_bits)
        count = seed_bits(self.set_size, length)
        seed_first = random_bits(self._source, count)
        seed_second = random_bits(self._source, count)
        self.strings = np.stack(
            [
                amplify(first, seed_first, length),
                amplify(second, seed_second, length),
            ]
        )
        return Strings(
            test=test,
            syndromes=(syndromes[0], syndromes[1]),
            tag_keys=(by_first, by_second),
            tags=(tag(first, by_first), tag(second, by_second)),
            toeplitz=(seed_first, seed_second),
            length=length,
        )

    def _check_sets(self, sets: tuple[Positions, Positions]) -> Abort | None:
        left = self.terms.left
        limit = dropped_limit(left, self.terms.epsilon)
        first, second = sets
        numbers = {
            "first": len(first),
            "second": len(second),
            "rows": left,
            "dropped_limit": limit,
        }
        reason = None
        if len(first) != len(second) or not len(first):
            reason = "Bob's two sets are empty or differ in size"
        elif not _are_disjoint(first, second, left):
            reason = "Bob's two sets are not sorted, disjoint sets of rows"
        elif left - 2 * len(first) > limit:
            reason = "Bob dropped more rows than chance explains"
        return None if reason is None else Abort("transfer", reason, numbers)


class Bob:
    """Bob's side; ``source`` is his random stream, from which his choice comes unless it is given."""

    def __init__(
        self,
        side: Side,
        terms: Terms,
        *,
        source: np.random.PCG64,
        choice: int | None = None,
    ) -> None:
        self.terms = terms
        self.choice = int(random_bits(source, 1)[0]) if choice is None else choice
        self.output: U8 | None = None
        # For the simulator's report alone: a Bob who told how decoding went would tell his choice.
        self.decoded = False
        self.corrected = 0
        self._source = source
        basis = bits.unpack(side.basis, side.count)
        outcome = bits.unpack(side.outcome, side.count)
        self._rows = Rows(_index(side), basis, outcome)
        self._commitment = commit(self._rows, session=terms.session, source=source)
        self._test: Positions | None = None
        self._left: Positions = np.zeros(0, np.int64)
        self._sets: tuple[Positions, Positions] | None = None

    def commit(self) -> bytes:
        """Step 2: the root of his commitment to every row's basis and bit."""
        return self._commitment.root

    def open(self, test: Positions) -> Opening | Abort:
        """Step 2: open the rows asked for, if they are as many as agreed; once."""
        valid = self.terms.valid
        fair = len(test) == self.terms.test and _ascends(test)
        again = self._test is not None and not np.array_equal(self._test, test)
        if not fair or again or test[0] < 0 or test[-1] >= valid:
            return Abort(
                "commit",
                "Alice asked for other than the agreed number of rows",
                {"rows": len(test)},
            )
        self._test = test
        self._left = np.delete(np.arange(valid), test)
        return open_rows(self._commitment, self._rows, test)

    def sort_rows(self, bases: U8) -> tuple[Positions, Positions] | Abort:
        """Step 4: rows of equal bases to set c, of different ones to set 1 − c, the larger cut down at random."""
        if len(bases) != len(self._left):
            return Abort(
                "transfer",
                "Alice revealed another number of bases than agreed",
                {"bases": len(bases)},
            )
        equal = bases == self._rows.basis[self._left]
        known = np.flatnonzero(equal)
        unknown = np.flatnonzero(~equal)
        size = min(len(known), len(unknown))
        known = self._some(known, size)
        unknown = self._some(unknown, size)
        self._sets = (unknown, known) if self.choice else (known, unknown)
        return self._sets

    def receive(self, strings: Strings, code_for: CodeFor) -> Abort | None:
        """Steps 5 to 7: decode set c and hash it.  If that fails he says nothing and outputs random bits.

        He aborts only for what anybody sees: parts of the wrong shape, be it set 0's or set 1's.
        """
        c = self.choice
        if self._sets is None:
            raise ValueError("receive before sort_rows: there are no sets yet")
        rows = self._left[self._sets[c]]
        own = self._rows.bit[rows]
        size = len(own)
        try:
            code = code_for(size, strings.test)
        except ConfigError as error:
            return no_code(str(error), strings.test, CODE_CONFIDENCE)
        syndrome = len(code.syndrome(own))
        seed = seed_bits(size, strings.length)
        if not _well_formed(strings, syndrome=syndrome, seed=seed):
            return Abort(
                "transfer",
                "Alice's syndromes or seeds are not of the agreed length",
                {"set": size},
            )
        fallback = random_bits(self._source, strings.length)
        corrected = code.decode(own, strings.syndromes[c]).bits
        self.decoded = tag(corrected, strings.tag_keys[c]) == strings.tags[c]
        self.corrected = int(np.count_nonzero(corrected != own))
        self.output = fallback
        if self.decoded:
            self.output = amplify(corrected, strings.toeplitz[c], strings.length)
        return None

    def _some(self, group: Positions, size: int) -> Positions:
        """A group cut down to a size, at random; nothing is drawn where it has that size."""
        count = len(group)
        if count == size:
            return group
        mask = random_subset(self._source, count, size)
        is_chosen = bits.unpack(mask, count)
        some: Positions = group[is_chosen.view(bool)]
        return some


def _are_disjoint(first: Positions, second: Positions, rows: int) -> bool:
    """Whether two sets, neither of them empty, ascend, are within the ``rows`` and have none in common."""
    together = np.concatenate([first, second])
    if not _ascends(first) or not _ascends(second):
        return False
    if together.min() < 0 or together.max() >= rows:
        return False
    return len(np.unique(together)) == len(together)


def _ascends(rows: Positions) -> bool:
    return bool((np.diff(rows) > 0).all())


def _well_formed(strings: Strings, *, syndrome: int, seed: int) -> bool:
    """Whether both sets' syndromes and seeds are bits, and as many as they must be."""
    if strings.length <= 0:
        return False
    syndromes_fit = all(_are_bits(part, syndrome) for part in strings.syndromes)
    seeds_fit = all(_are_bits(part, seed) for part in strings.toeplitz)
    return syndromes_fit and seeds_fit


def _are_bits(part: U8, size: int) -> bool:
    most = part.max(initial=0)
    return len(part) == size and bool(most <= 1)


def _index(side: Side) -> NDArray[np.uint64]:
    if side.index is None:
        return np.arange(side.count, dtype=np.uint64)
    return side.index.astype(np.uint64)
