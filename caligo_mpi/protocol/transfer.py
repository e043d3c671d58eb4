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
from .estimate import by_basis, estimate, likely_at_most, no_code
from .key_length import (
    TransferFigures,
    TransferLength,
    dropped_limit,
    hoeffding_margin,
    transfer_length,
)
from .sift import Side
from .types import Abort, Detection, QberEstimate, Reconciled
from .verify import TagKey, draw_tag_key, tag


class OneWayCode(Protocol):
    """A syndrome code for sets of one size: one message from Alice is all Bob needs."""

    def syndrome(self, key: U8) -> U8:
        """Syndrome bits of ``key``; uint8 of 0 and 1, as all of these."""
        ...

    def decode(self, received: U8, syndrome: U8) -> Reconciled:
        """The string next to ``received`` that has this ``syndrome``."""
        ...


_CODE_CONFIDENCE = 0.998  # that the error rate is within what the code is made for

#: (bits per set, QBER) → the code that both parties use.
CodeFor = Callable[[int, float], OneWayCode]


@dataclass(frozen=True, slots=True)
class Terms:
    """What both parties know and have agreed on.

    ``rounds`` n are those Alice registered, ``valid`` those of them Bob says he did, ``test`` how
    many of these he opens.  ``last_pair_ns`` is when the last pair was measured.
    """

    session: bytes
    rounds: int
    valid: int
    test: int
    detection: Detection
    epsilon: float
    qber_limit: float
    tag_bits: int
    storage_r: float
    storage_rate: float
    last_pair_ns: float
    wait_ns: float

    def single_left(self) -> int:
        """The least number m1 of valid single-pair rounds that are left.

        The worst is assumed: Bob chose his losses, and the test took only such rounds.
        """
        odds = self.detection
        margin = hoeffding_margin(self.rounds, self.epsilon)
        share = odds.single - odds.missing + odds.missing_best - 3 * margin
        return max(0, int(share * self.rounds) - self.test)

    def length(self, *, set_size: int, leak_bits: int) -> TransferLength:
        """Length of the strings made of sets of ``set_size`` rows with syndromes of ``leak_bits``."""
        left = self.valid - self.test
        figures = TransferFigures(
            rounds=self.rounds,
            single=min(self.single_left(), left),
            dropped=left - 2 * set_size,
            leak_bits=leak_bits,
            tag_bits=self.tag_bits,
        )
        return transfer_length(
            figures,
            storage_r=self.storage_r,
            storage_rate=self.storage_rate,
            epsilon=self.epsilon,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Alice's last message: for both sets alike a syndrome, a tag and the seed that makes S_0 or S_1 of it."""

    qber: float
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
        self.set_size = self.syndrome_bits = 0
        self._source = source
        self._basis = bits.unpack(side.basis, side.count)
        self._bit = bits.unpack(side.outcome, side.count)
        self._index = _index(side)
        self._root = b""
        self._test: Positions = np.zeros(0, np.int64)

    def check_losses(self) -> Abort | None:
        """Step 1: the number of rounds Bob says he missed must be what the link explains."""
        terms = self.terms
        missing, margin = terms.rounds - terms.valid, hoeffding_margin(terms.rounds, terms.epsilon)
        if abs(missing / terms.rounds - terms.detection.missing) <= margin:
            return None
        expected = terms.detection.missing * terms.rounds
        numbers = {"missing": missing, "expected": expected, "margin": margin * terms.rounds}
        return Abort(
            "transfer", "the number of rounds Bob missed is not what the link explains", numbers
        )

    def choose_test(self, root: bytes) -> Positions:
        """Step 2: having Bob's commitment, draw the rows he is to open."""
        self._root = root
        mask = random_subset(self._source, self.terms.valid, self.terms.test)
        self._test = np.flatnonzero(bits.unpack(mask, self.terms.valid))
        return self._test

    def check_opening(self, opening: Opening) -> Abort | None:
        """Step 2: the opening must fit the root and the test set, and where bases agree, bits must."""
        asked = np.array_equal(opening.positions, self._test)
        if not asked or not np.array_equal(opening.rows.index, self._index[self._test]):
            return Abort(
                "commit",
                "Bob opened other rows than he was asked to",
                {"rows": len(opening.positions)},
            )
        if not opens(self._root, opening, count=self.terms.valid, session=self.terms.session):
            return Abort(
                "commit",
                "the opened rows do not fit Bob's commitment",
                {"rows": len(opening.positions)},
            )
        same = opening.rows.basis == self._basis[self._test]
        own, his = self._bit[self._test][same], opening.rows.bit[same]
        self.disclosed = by_basis(own != his, opening.rows.basis[same] == X)
        self.estimate = estimate(bits.pack(own), bits.pack(his), len(own))
        numbers = {
            "qber": self.estimate.qber,
            "qber_limit": self.terms.qber_limit,
            "tested": len(own),
        }
        if not len(own):
            return Abort("estimate", "too few pairs: no opened row has equal bases", numbers)
        if self.estimate.qber > self.terms.qber_limit:
            return Abort("estimate", "the error rate is over the limit", numbers)
        return None

    def reveal_bases(self, now_ns: float) -> U8 | Abort:
        """Step 4: the bases of all rows not opened; not before the opening was checked, nor Δt after the last pair."""
        if self.estimate is None:
            return Abort("transfer", "bases were asked for before the commitment was opened")
        earliest = self.terms.last_pair_ns + self.terms.wait_ns
        if now_ns < earliest:
            numbers = {"now_ns": now_ns, "earliest_ns": earliest}
            return Abort("transfer", "bases were asked for before the wait was over", numbers)
        return np.delete(self._basis, self._test)

    def make_strings(self, sets: tuple[Positions, Positions], code_for: CodeFor) -> Strings | Abort:
        """Steps 4 and 5: check Bob's two sets, then treat both alike: syndrome, tag, hash."""
        if (abort := self._check_sets(sets)) is not None:
            return abort
        if self.estimate is None:
            raise ValueError("make_strings before check_opening: the error rate is not known yet")
        keys = [np.delete(self._bit, self._test)[rows] for rows in sets]
        self.set_size = len(keys[0])
        qber = likely_at_most(self.estimate, _CODE_CONFIDENCE)
        try:
            code = code_for(len(keys[0]), qber)
        except ConfigError as error:
            return no_code(str(error), self.estimate, _CODE_CONFIDENCE)
        syndromes = (code.syndrome(keys[0]), code.syndrome(keys[1]))
        self.syndrome_bits = len(syndromes[0])
        found = self.terms.length(set_size=len(keys[0]), leak_bits=len(syndromes[0]))
        if not found.bits:
            numbers = {
                "qber": self.estimate.qber,
                "min_entropy": found.min_entropy,
                "leak_bits": len(syndromes[0]),
            }
            return Abort("amplify", "no secret bits are left", numbers)
        by = (
            draw_tag_key(self._source, self.terms.tag_bits),
            draw_tag_key(self._source, self.terms.tag_bits),
        )
        count = seed_bits(len(keys[0]), found.bits)
        seeds = (random_bits(self._source, count), random_bits(self._source, count))
        self.strings = np.stack(
            [amplify(key, seed, found.bits) for key, seed in zip(keys, seeds, strict=True)]
        )
        return Strings(
            qber, syndromes, by, (tag(keys[0], by[0]), tag(keys[1], by[1])), seeds, found.bits
        )

    def _check_sets(self, sets: tuple[Positions, Positions]) -> Abort | None:
        left = self.terms.valid - self.terms.test
        limit = dropped_limit(left, self.terms.epsilon)
        together = np.concatenate(sets)
        numbers = {
            "first": len(sets[0]),
            "second": len(sets[1]),
            "rows": left,
            "dropped_limit": limit,
        }
        if len(sets[0]) != len(sets[1]) or not len(sets[0]):
            return Abort("transfer", "Bob's two sets are empty or differ in size", numbers)
        ordered = all((np.diff(rows) > 0).all() for rows in sets)
        if (
            not ordered
            or together.min() < 0
            or together.max() >= left
            or len(np.unique(together)) != len(together)
        ):
            return Abort(
                "transfer", "Bob's two sets are not sorted, disjoint sets of rows", numbers
            )
        if left - len(together) > limit:
            return Abort("transfer", "Bob dropped more rows than chance explains", numbers)
        return None


class Bob:
    """Bob's side; ``source`` is his random stream, from which his choice comes unless it is given."""

    def __init__(
        self, side: Side, terms: Terms, *, source: np.random.PCG64, choice: int | None = None
    ) -> None:
        self.terms = terms
        self.choice = int(random_bits(source, 1)[0]) if choice is None else choice
        self.output: U8 | None = None
        # For the simulator's report alone: a Bob who told how decoding went would tell his choice.
        self.decoded, self.corrected = False, 0
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
        fair = len(test) == self.terms.test and (np.diff(test) > 0).all()
        again = self._test is not None and not np.array_equal(self._test, test)
        if not fair or again or test[0] < 0 or test[-1] >= self.terms.valid:
            return Abort(
                "commit",
                "Alice asked for other than the agreed number of rows",
                {"rows": len(test)},
            )
        self._test = test
        self._left = np.delete(np.arange(self.terms.valid), test)
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
        groups = [np.flatnonzero(equal), np.flatnonzero(~equal)]
        size = min(len(group) for group in groups)
        cut = [group if len(group) == size else self._some(group, size) for group in groups]
        self._sets = (cut[self.choice], cut[1 - self.choice])
        return self._sets

    def receive(self, strings: Strings, code_for: CodeFor) -> Abort | None:
        """Steps 5 to 7: decode set c and hash it.  If that fails he says nothing and outputs random bits.

        He aborts only for what anybody sees: parts of the wrong shape, be it set 0's or set 1's.
        """
        c = self.choice
        if self._sets is None:
            raise ValueError("receive before sort_rows: there are no sets yet")
        own = self._rows.bit[self._left][self._sets[c]]
        try:
            code = code_for(len(own), strings.qber)
        except ConfigError as error:
            return Abort("reconcile", str(error), {"qber": strings.qber})
        syndrome = len(code.syndrome(own))
        seed = seed_bits(len(own), strings.length)
        if not _well_formed(strings, syndrome=syndrome, seed=seed):
            return Abort(
                "transfer",
                "Alice's syndromes or seeds are not of the agreed length",
                {"set": len(own)},
            )
        fallback = random_bits(self._source, strings.length)
        corrected = code.decode(own, strings.syndromes[c])
        self.decoded = tag(corrected.bits, strings.tag_keys[c]) == strings.tags[c]
        self.corrected = int(np.count_nonzero(corrected.bits != own))
        self.output = fallback
        if self.decoded:
            self.output = amplify(corrected.bits, strings.toeplitz[c], strings.length)
        return None

    def _some(self, group: Positions, size: int) -> Positions:
        mask = random_subset(self._source, len(group), size)
        is_chosen = bits.unpack(mask, len(group)).view(bool)
        some: Positions = group[is_chosen]
        return some


def _well_formed(strings: Strings, *, syndrome: int, seed: int) -> bool:
    """Whether both sets' syndromes and seeds are bits, and as many as they must be."""
    if strings.length <= 0:
        return False
    syndromes_fit = all(_are_bits(part, syndrome) for part in strings.syndromes)
    seeds_fit = all(_are_bits(part, seed) for part in strings.toeplitz)
    return syndromes_fit and seeds_fit


def _are_bits(part: U8, size: int) -> bool:
    return len(part) == size and bool(part.max(initial=0) <= 1)


def _index(side: Side) -> NDArray[np.uint64]:
    if side.index is None:
        return np.arange(side.count, dtype=np.uint64)
    return side.index.astype(np.uint64)
