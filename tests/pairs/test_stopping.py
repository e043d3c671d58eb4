"""Where runs stop: decisions from counts in order, the estimate without bias, the coverage of the interval."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from caligo_mpi.config import LinkConfig, NoiseConfig
from caligo_mpi.engines.noise import NoiseEngine
from caligo_mpi.pairs import CHUNK_DTYPE, Partition, Tally, tally
from caligo_mpi.pairs.intervals import clopper_pearson
from caligo_mpi.pairs.stopping import (
    DECISION_DTYPE,
    STEP,
    Course,
    Goal,
    decide,
    expected_pairs,
    is_decided,
    unbiased_rate,
)

PERCENT = Goal(of="qber_z", relative_error=0.01)
TALLY = Tally(sifted_z=1000, errors_z=30, sifted_x=500, errors_x=25)


def course_of(goal: Goal, chunks: int, each: Tally, most: int = 10**6) -> Course:
    course = Course(goal, Partition(1000 * most, 1000))
    for _ in range(chunks):
        course.add(1000, each)
    return course


def test_decisions_are_due_at_fixed_places():
    due = [chunks for chunks in range(1, 400) if is_decided(chunks, 1000)]
    assert due == [1, 2, 4, 8, 16, 32, *range(STEP, 400, STEP)]
    assert [chunks for chunks in range(1, 4) if is_decided(chunks, 3)] == [1, 2, 3]
    assert not is_decided(0, 5)


def test_a_decision_has_the_exact_interval_of_its_rate():
    for of, counts in (("qber_z", (1000, 30)), ("qber_x", (500, 25)), ("qber", (1500, 55))):
        found = decide(Goal(of=of, relative_error=0.1, confidence=0.9), 3, 3000, TALLY)
        assert (found.sifted, found.errors) == counts
        assert (found.low, found.high) == clopper_pearson(counts[1], counts[0], 0.9)
        assert found.reason == ""
        half_width = (found.high - found.low) / 2
        assert found.relative_error == half_width / (counts[1] / counts[0])


def test_a_relative_error_is_met_at_the_first_place_where_it_is_small_enough():
    course = course_of(PERCENT, 2000, TALLY)
    met = course.met
    assert met is not None
    assert met.reason == "relative_error"
    before = course.decisions[course.decisions.index(met) - 1]
    assert met.relative_error <= 0.01 < before.relative_error
    assert met.chunks - before.chunks == STEP
    # z² (1 − p) / r² errors at about
    assert before.errors < 1.96**2 * 0.97 / 0.01**2 < met.errors + 30 * STEP


def test_errors_and_upper_limits_are_goals():
    met = course_of(Goal(errors=100), 50, TALLY).met
    assert met is not None
    assert (met.reason, met.chunks, met.errors) == ("errors", 2, 110)
    perfect = Tally(sifted_z=400, sifted_x=400)
    zero = course_of(Goal(relative_error=0.01, upper_limit=1e-3), 50, perfect).met
    assert zero is not None
    assert (zero.reason, zero.chunks, zero.low) == ("upper_limit", 8, 0.0)
    assert zero.high <= 1e-3
    never = course_of(PERCENT, 9, perfect, most=9).met
    assert never is not None
    assert (never.reason, never.chunks, never.relative_error) == ("max_pairs", 9, math.inf)
    nothing = course_of(PERCENT, 9, Tally(), most=9).met
    assert nothing is not None
    assert (nothing.reason, nothing.rate, nothing.high) == ("max_pairs", None, 1.0)


def test_records_in_any_pieces_give_one_course():
    rng = np.random.default_rng(2)
    records = np.zeros(300, CHUNK_DTYPE)
    records["count"] = 1000
    for name in ("sifted_z", "sifted_x"):
        records[name] = rng.integers(200, 300, 300)
    for name in ("errors_z", "errors_x"):
        records[name] = rng.integers(0, 20, 300)
    whole, parts = (Course(PERCENT, Partition(10**9, 1000)) for _ in "ab")
    whole.add_records(records)
    for start in range(0, 300, 7):
        parts.add_records(records[start : start + 7])
    assert whole.decisions == parts.decisions
    assert whole.report() == parts.report()
    table = whole.table()
    assert table.dtype == DECISION_DTYPE
    assert table["chunks"].tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 192, 256]
    assert table["sifted"][-1] == records["sifted_z"][:256].sum()


def test_a_short_chunk_is_taken_in_at_the_end_only():
    records = np.zeros(3, CHUNK_DTYPE)
    records["count"] = [1000, 1000, 500]
    inside, at_the_end = (Course(PERCENT, Partition(pairs, 1000)) for pairs in (5000, 2500))
    inside.add_records(records)
    at_the_end.add_records(records)
    assert (inside.chunks, inside.met) == (2, None)
    assert at_the_end.met is not None
    assert (at_the_end.met.reason, at_the_end.pairs) == ("max_pairs", 2500)


# ── the estimate ─────────────────────────────────────────────────────────────────────────────────


def test_with_a_decision_after_every_pair_the_estimate_is_that_of_haldane():
    for goal, sifted in [(2, 2), (2, 30), (50, 1000), (10_000, 10**12)]:
        found = unbiased_rate(goal, sifted - 1, sifted, goal)
        assert found == pytest.approx((goal - 1) / (sifted - 1), rel=1e-12)


@pytest.mark.parametrize("goal", [1, 2, 3])
@pytest.mark.parametrize("ends", [(3, 5, 9), (1, 2, 4, 8), (2, 11)])
def test_the_estimate_has_no_bias(goal, ends):
    """All outcomes of a run of a few pairs, by their probabilities: the mean is the rate, but for rounding."""
    rate = Fraction(1, 7)
    measured = corrected = Fraction(0)
    sizes = np.diff([0, *ends])
    for parts in product(*(range(size + 1) for size in sizes)):
        weight = Fraction(1)
        for size, errors in zip(sizes.tolist(), parts, strict=True):
            weight *= math.comb(size, errors) * rate**errors * (1 - rate) ** (size - errors)
        sums = np.cumsum(parts).tolist()
        stop = next((i for i, errors in enumerate(sums) if errors >= goal), len(ends) - 1)
        before = ends[stop - 1] if stop else 0
        measured += weight * Fraction(sums[stop], ends[stop])
        if sums[stop] >= goal:
            estimate = unbiased_rate(goal, before, ends[stop], sums[stop])
        else:  # it ended by its length
            estimate = sums[stop] / ends[stop]
        corrected += weight * Fraction(estimate)
    assert float(corrected) == pytest.approx(float(rate), rel=1e-12)
    assert measured > rate or ends[0] < goal == ends[0] + 1


def test_a_course_that_stopped_by_errors_gives_that_estimate():
    course = course_of(Goal(errors=100, of="qber"), 2, TALLY)
    assert course.report()["estimate"] == unbiased_rate(100, 1500, 3000, 110)
    assert course.report()["estimate"] <= course.report()["rate"] == 110 / 3000
    beyond = course_of(Goal(errors=100, of="qber"), 3, TALLY)
    assert beyond.report()["estimate"] == 165 / 4500
    assert course_of(PERCENT, 3, TALLY).estimate() == 0.03


def test_large_counts_have_an_estimate():
    found = unbiased_rate(10**9, 10**12, 10**12 + 10**10, 10**9 + 10**7 // 2)
    assert found == pytest.approx(1e-3, rel=1e-2)


# ── the interval ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("goal", [{"relative_error": 0.2}, {"errors": 60}], ids=str)
def test_the_interval_covers_as_often_as_it_says(goal):
    """2,000 runs of the engine, seeds fixed.  At 95 % exactly, 1853 or fewer would have P < 1e-6."""
    engine = NoiseEngine(NoiseConfig(name="noise", link=LinkConfig(fidelity=0.9)))
    rate = engine.expected.qber_z
    covered = 0
    estimates = []
    for seed in range(2000):
        course = Course(Goal(of="qber_z", **goal), Partition(10**6, 1024))
        columns = engine.sample(32 * 1024, np.random.SeedSequence(seed)).columns
        while course.met is None:
            part = columns[:, 128 * course.chunks :][:, :128]
            course.add(1024, tally(part, 1024))
        covered += course.met.low <= rate <= course.met.high
        estimates.append(course.estimate())
        assert course.met.reason == next(iter(goal))
    assert covered > 1853
    spread = np.std(estimates) / 2000**0.5
    if "errors" in goal:  # the corrected estimate is right on average
        assert abs(np.mean(estimates) - rate) < 5 * spread


def test_the_length_of_a_run_is_foretold():
    assert expected_pairs(Goal(errors=100), 0.05, 0.5) == 4000
    pairs = expected_pairs(PERCENT, 0.05, 0.25)
    assert pairs == pytest.approx(1.96**2 * 0.95 / 0.01**2 / 0.05 / 0.25, rel=1e-3)
    assert expected_pairs(PERCENT, 0.0, 0.25) == math.inf
    zero = expected_pairs(Goal(relative_error=0.1, upper_limit=1e-3), 0.0, 0.5)
    assert clopper_pearson(0, round(zero / 2))[1] == pytest.approx(1e-3, rel=0.01)
