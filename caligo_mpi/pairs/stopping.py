"""Stop when it is precise enough: decisions from the counts of chunks, in their order.

A goal is looked at after 1, 2, 4, … chunks, from `STEP` chunks on after every `STEP` chunks, and where the run ends.
What is decided depends on the counts of the chunks up to there and on nothing else, so a run stops at the same chunk on
any ranks and after any fault.  The rules, and what they do to estimates, are in docs/precision.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf, log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .chunks import Partition
from .counts import Tally
from .intervals import clopper_pearson

#: Chunks between two decisions, once there are so many.
STEP = 64

_NO_WEIGHT = 1e-18  # from there on, weights of numbers of errors change no digit of their mean

Of = Literal["qber_z", "qber_x", "qber"]

#: One decision: the chunks and emissions up to there, what was counted in them, the interval.
DECISION_DTYPE = np.dtype(
    [
        ("chunks", "<u8"),
        ("pairs", "<u8"),
        ("sifted", "<u8"),
        ("errors", "<u8"),
        ("low", "<f8"),
        ("high", "<f8"),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a run is to reach: a relative error, or so many errors, ``of`` one rate.

    The relative error is half the interval's width over the measured rate.  With ``upper_limit``
    the run also ends once the interval's upper limit is not above it: for rates that may be 0.
    """

    of: Of = "qber"
    confidence: float = 0.95
    relative_error: float | None = None
    errors: int | None = None
    upper_limit: float | None = None

    def counts(self, tally: Tally) -> tuple[int, int]:
        """Sifted pairs and errors that the goal is about."""
        if self.of == "qber_z":
            return tally.sifted_z, tally.errors_z
        if self.of == "qber_x":
            return tally.sifted_x, tally.errors_x
        sifted = tally.sifted_z + tally.sifted_x
        errors = tally.errors_z + tally.errors_x
        return sifted, errors

    def __str__(self) -> str:
        words = f"{self.errors} errors of {self.of}"
        if self.relative_error is not None:
            words = f"relative error {self.relative_error:g} of {self.of}"
        words += f" ({100 * self.confidence:g} % confidence)"
        if self.upper_limit is not None:
            words += f", or upper limit {self.upper_limit:g}"
        return words


#: Why a run stopped.
Reason = Literal["relative_error", "errors", "upper_limit", "max_pairs"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One look at the counts; ``reason`` is empty where the run goes on."""

    chunks: int
    pairs: int
    sifted: int
    errors: int
    low: float
    high: float
    reason: Reason | Literal[""] = ""

    @property
    def rate(self) -> float | None:
        """The measured rate; none where nothing was sifted."""
        return self.errors / self.sifted if self.sifted else None

    @property
    def relative_error(self) -> float:
        """Half the interval's width over the measured rate; infinite where no error was seen."""
        if not self.errors:
            return inf
        half_width = (self.high - self.low) / 2
        return half_width / (self.errors / self.sifted)


def decide(
    goal: Goal,
    chunks: int,
    pairs: int,
    tally: Tally,
    *,
    last: bool = False,
) -> Decision:
    """Look at the counts of the first ``chunks``, which hold ``pairs`` emissions.

    ``last`` says that there are no more: then the reason is at least ``max_pairs``.
    """
    sifted, errors = goal.counts(tally)
    low, high = clopper_pearson(errors, sifted, goal.confidence)
    found = Decision(
        chunks,
        pairs,
        sifted,
        errors,
        low,
        high,
    )
    reason = _reason(goal, found)
    if last and not reason:
        reason = "max_pairs"
    return replace(found, reason=reason)


def _reason(goal: Goal, found: Decision) -> Reason | Literal[""]:
    """What of the goal is reached; the first of these where it is more than one."""
    if goal.relative_error is not None and found.relative_error <= goal.relative_error:
        return "relative_error"
    if goal.errors is not None and found.errors >= goal.errors:
        return "errors"
    if goal.upper_limit is not None and found.high <= goal.upper_limit:
        return "upper_limit"
    return ""


def is_decided(chunks: int, total: int) -> bool:
    """Whether the goal is looked at after so many of ``total`` chunks.

    >>> [chunks for chunks in range(1, 300) if is_decided(chunks, 299)]
    [1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 299]
    """
    if chunks == total:
        return True
    if chunks < STEP:
        return chunks.bit_count() == 1
    return not chunks % STEP


def next_place(chunks: int, total: int) -> int:
    """The number of chunks, above so many, after which the goal is looked at next.

    >>> next_place(0, 299), next_place(5, 299), next_place(64, 299), next_place(256, 299)
    (1, 8, 128, 299)
    """
    place = STEP * (chunks // STEP + 1)
    if chunks < STEP:
        place = 1 << chunks.bit_length()
    return min(place, total)


class Course:
    """The decisions of a run, from the counts of its chunks as they come in order.

    ``partition`` are the chunks of the run at its longest.  ``met`` is the first decision to stop;
    counts that come behind it are taken in, too.
    """

    def __init__(self, goal: Goal, partition: Partition) -> None:
        self.goal = goal
        self.partition = partition
        self.chunks = self.pairs = 0
        self.tally = Tally()
        self.decisions: list[Decision] = []
        self.met: Decision | None = None

    def add(self, count: int, tally: Tally, *, chunks: int = 1) -> Decision | None:
        """Take in the next chunk, of ``count`` emissions; the decision, where one is due.

        Several ``chunks`` can come together if no decision is due before the last of them.
        """
        self.chunks += chunks
        self.pairs += count
        self.tally += tally
        total = len(self.partition)
        if not is_decided(self.chunks, total):
            return None
        last = self.chunks >= total
        decision = decide(
            self.goal,
            self.chunks,
            self.pairs,
            self.tally,
            last=last,
        )
        self.decisions.append(decision)
        if self.met is None and decision.reason:
            self.met = decision
        return decision

    def add_records(self, records: NDArray[np.void]) -> None:
        """Take in the chunks of records (`CHUNK_DTYPE`) that are next; a short chunk only at the end."""
        names = ("count", "sifted_z", "errors_z", "sifted_x", "errors_x")
        columns = [records[name].tolist() for name in names]
        for count, *counts in zip(*columns, strict=True):
            if self.chunks >= len(self.partition):
                return
            due = self.partition[self.chunks]
            if count != due.count:
                return
            self.add(count, Tally(*counts))

    @property
    def last(self) -> Decision:
        """A look at all counts that were taken in, whether or not a decision is due here."""
        last = self.chunks >= len(self.partition)
        return decide(
            self.goal,
            self.chunks,
            self.pairs,
            self.tally,
            last=last,
        )

    def table(self) -> NDArray[np.void]:
        """The decisions as rows of `DECISION_DTYPE`."""
        return as_table(self.decisions)

    def report(self) -> dict[str, Any]:
        """The goal, where and why the run stopped, and the estimate, as JSON values."""
        now = self.last
        met = self.met
        goal = {}
        for name, value in asdict(self.goal).items():
            if value is not None:
                goal[name] = value
        counts = asdict(now)
        del counts["reason"]
        return {
            "goal": goal,
            "max_pairs": self.partition.pairs,
            "met": met.reason if met else "",
            "met_after_chunks": met.chunks if met else 0,
            **counts,
            "rate": now.rate,
            "estimate": self.estimate(),
        }

    def estimate(self) -> float | None:
        """The rate without the bias that stopping by errors gives it (`unbiased_rate`).

        For other goals, and where the run went on behind the goal, the measured rate.
        """
        now = self.last
        goal = self.goal.errors
        at_goal = self.met is not None and self.met.chunks == self.chunks
        if goal is None or not at_goal or now.errors < goal or not now.sifted:
            return now.rate
        before = self.decisions[-2].sifted if len(self.decisions) > 1 else 0
        return unbiased_rate(goal, before, now.sifted, now.errors)


def as_table(decisions: Iterable[Decision]) -> NDArray[np.void]:
    """Decisions as rows of `DECISION_DTYPE`."""
    names = DECISION_DTYPE.names or ()
    rows = []
    for decision in decisions:
        values = [getattr(decision, name) for name in names]
        rows.append(tuple(values))
    return np.array(rows, DECISION_DTYPE)


def unbiased_rate(
    goal: int,
    before: int,
    sifted: int,
    errors: int,
) -> float:
    """The rate, after a run that stopped at the first decision with at least ``goal`` errors.

    At that decision there were ``errors`` among ``sifted`` pairs; at the one before, ``before``
    sifted pairs with less than ``goal`` errors.  The measured rate is too high on average, since
    the run stops where errors are many.  By symmetry each order of the pairs within both parts is
    as likely, so the first pair is an error with the probability E[i | i < goal] / before, where
    i, the errors at the decision before, are drawn without replacement (Girshick, Mosteller and
    Savage, Ann. Math. Stat. 17, 13, 1946).  With a decision after every pair this is
    (goal − 1) / (sifted − 1), the estimate of Haldane, Biometrika 33, 222 (1945).

    >>> unbiased_rate(10, 499, 500, 10) == 9 / 499, unbiased_rate(10, 0, 500, 12) == 12 / 500
    (True, True)
    """
    if not before:
        return errors / sifted
    behind = sifted - before
    least = max(0, errors - behind)
    most = min(goal - 1, errors, before)
    mode = (errors + 1) * (before + 1) // (sifted + 2)
    start = min(max(mode, least), most)
    ratio = partial(
        _ratio,
        before=before,
        sifted=sifted,
        errors=errors,
    )
    total = mean = 0.0
    for i, weight in _weights(start, least, most, ratio):
        total += weight
        mean += weight * (i - start)
    return (start + mean / total) / before


def _weights(
    start: int,
    least: int,
    most: int,
    ratio: Callable[[int], float],
) -> Iterator[tuple[int, float]]:
    """The numbers of errors from ``start`` down, then up, each with its probability over that of ``start``.

    ``ratio`` says how much likelier i + 1 is than i.
    """
    weight = 1.0
    for i in range(start, least - 1, -1):
        if weight <= _NO_WEIGHT:
            break
        yield i, weight
        if i > least:
            weight /= ratio(i - 1)
    weight = ratio(start)
    for i in range(start + 1, most + 1):
        if weight <= _NO_WEIGHT:
            break
        yield i, weight
        weight *= ratio(i)


def _ratio(
    i: int,
    before: int,
    sifted: int,
    errors: int,
) -> float:
    """How much likelier i + 1 errors are than i among the first ``before``."""
    up = (errors - i) * (before - i)
    down = (i + 1) * (sifted - before - errors + i + 1)
    return up / down if down else 0.0


def expected_pairs(goal: Goal, rate: float, sifted_per_pair: float) -> float:
    """Emissions that a run will take at about, by the rate's closed form; infinite for never."""
    if not sifted_per_pair:
        return inf
    if not 0 < rate < 1:
        if rate or goal.upper_limit is None:
            return inf
        tail = (1 - goal.confidence) / 2
        deviate = -log(tail)
        return deviate / goal.upper_limit / sifted_per_pair
    if goal.errors is not None:
        errors: float = goal.errors
    else:
        ratio = _deviations(goal.confidence) / (goal.relative_error or 1)
        errors = (1 - rate) * ratio**2
    return errors / rate / sifted_per_pair


def _deviations(confidence: float) -> float:
    from statistics import NormalDist

    below = (1 + confidence) / 2
    return NormalDist().inv_cdf(below)
