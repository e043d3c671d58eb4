"""Checks of the run's course: drift, cells and chunks unlike the others, equal chunks, order."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from ..engines.compare import chi2_tail
from .borders import WINDOW
from .counting import Counts
from .evidence import (
    A_BASIS,
    A_BIT,
    B_BASIS,
    B_BIT,
    ERRORS_X,
    ERRORS_Z,
    SIFTED_X,
    SIFTED_Z,
    UNEQUAL,
    Evidence,
)
from .probability import at_most_one, bridge, chi2, deviance, normal
from .rows import name_of
from .table import Outlier, equal_pairs
from .verdicts import LEVEL, Check, Stage

_ALL = np.ones(16, bool)
#: A share of rows whose course is followed: what, of which rows, its name.
_SERIES = (
    (ERRORS_Z, SIFTED_Z, "QBER in Z"),
    (ERRORS_X, SIFTED_X, "QBER in X"),
    (A_BASIS, _ALL, "alice_basis"),
    (A_BIT, _ALL, "alice_outcome"),
    (B_BASIS, _ALL, "bob_basis"),
    (B_BIT, _ALL, "bob_outcome"),
)
# Below so many events a path is no Brownian bridge.
_EVENTS = 200
_STAGES = 256
# Where equal beginnings are more likely than this by chance, they say nothing.
_TELLING = 1e-9
# Chunks that a check names, at most.
_NAMED = 100


def check_course(evidence: Evidence) -> Iterator[Check]:
    """All of them."""
    yield _drift(evidence)
    yield _cells(evidence)
    yield _chunks(evidence)
    yield _equal(evidence)
    yield _shifted(evidence)
    yield _order(evidence)
    yield _gaps(evidence)
    yield _times(evidence)


def stages(evidence: Evidence) -> tuple[Stage, ...]:
    """Sifted pairs and errors along the run, in at most 256 stages."""
    masks = (
        SIFTED_Z,
        ERRORS_Z,
        SIFTED_X,
        ERRORS_X,
    )
    series = [evidence.along(which) for which in masks]
    cells = len(evidence.cells)
    if not cells:
        return ()
    step = -(-cells // _STAGES)
    firsts = np.arange(0, cells, step)
    sums = [np.add.reduceat(values, firsts) for values in series]
    rows = firsts * evidence.plan.cell
    table = np.stack([rows, *sums], axis=1)
    return tuple(Stage(*values) for values in table.tolist())


# ── drift, outliers ──────────────────────────────────────────────────────────────────────────────


def _drift(evidence: Evidence) -> Check:
    """Sums of deviations along the run (CUSUM), and a trend from its beginning to its end."""
    if len(evidence.cells) < 2:
        return Check("drift", None, "the file is one cell")
    tests = []
    for which, of, name in _SERIES:
        events = evidence.along(which)
        trials = evidence.along(of)
        others = trials - events
        if min(events.sum(), others.sum()) < _EVENTS:
            continue
        for test in _paths(events, trials):
            tests.append((*test, name))
    if not tests:
        return Check("drift", None, f"fewer than {_EVENTS} errors")
    p, what, cell, name = min(tests)
    rows = evidence.rows_of_cell(cell)
    (first, _) = evidence.chunks_of(rows)
    found = f"worst {name}: {what}"
    where = f"it turns at chunk {first}, row {rows[0]:,}"
    return Check(
        "drift",
        at_most_one(p, len(tests)),
        found,
        where=where,
    )


def _paths(events: Counts, trials: Counts) -> list[tuple[float, str, int]]:
    """P-values of the largest sum of deviations and of the trend, in words, with the cell of the largest."""
    total = int(trials.sum())
    rate = int(events.sum()) / total
    variance = rate * (1 - rate)
    spread = sqrt(total * variance)
    deviations = events - rate * trials
    path = np.cumsum(deviations)
    turn = int(np.argmax(np.abs(path)))
    largest = abs(float(path[turn])) / spread
    # How far along each cell is, from −½ to ½.
    before = np.cumsum(trials) - trials / 2
    middles = before / total - 0.5
    size = float((trials * middles**2).sum())
    slope = float((deviations * middles).sum())
    z = change = 0.0
    if size:
        z = slope / sqrt(variance * size)
        change = slope / size / rate
    trend = f"a trend of {100 * change:+.3g} % of itself, {z:+.2f} σ"
    reach = f"sums of deviations reach {largest:.2f} σ (CUSUM)"
    return [
        (bridge(largest), reach, turn),
        (normal(z), trend, turn),
    ]


_FEATURES = (
    *((np.arange(16) == number, name_of(number)) for number in range(16)),
    (A_BASIS, "alice_basis 1"),
    (A_BIT, "alice_outcome 1"),
    (B_BASIS, "bob_basis 1"),
    (B_BIT, "bob_outcome 1"),
    (UNEQUAL, "unequal bits"),
    (ERRORS_Z | ERRORS_X, "errors"),
)


def _cells(evidence: Evidence) -> Check:
    """Cells in which some outcome, bit, or error is too frequent or too rare."""
    cells = len(evidence.cell_rows)
    if cells < 2:
        return Check("cells", None, "the file is one cell")
    which, best = _worst_cell(evidence)
    tests = cells * len(_FEATURES)
    alike = _outlying(
        evidence,
        which,
        best,
        tests,
    )
    share = best.count / best.trials
    found = f"worst of {cells:,} cells: {best.what} {share:.5f} for {best.rate:.5f}"
    if len(alike) > 1:
        found += f" ({len(alike):,} are off)"
    chunks: set[int] = set()
    for cell in alike:
        chunks.update(_chunks_of_cell(evidence, cell))
    first, _ = evidence.rows_of_cell(alike[0])
    _, stop = evidence.rows_of_cell(alike[-1])
    return Check(
        "cells",
        at_most_one(2 * exp(-best.off), tests),
        found,
        where=evidence.place((first, stop)),
        chunks=tuple(sorted(chunks)[:_NAMED]),
        rows=evidence.rows_of_cell(best.where),
    )


def _worst_cell(evidence: Evidence) -> tuple[NDArray[np.bool_], Outlier]:
    """The feature that some cell has too often or too rarely, and that cell."""
    rows = evidence.cell_rows
    found: list[tuple[NDArray[np.bool_], Outlier]] = []
    for which, name in _FEATURES:
        counts = evidence.along(which)
        rate = float(counts.sum()) / evidence.plan.rows
        off = deviance(counts, rows, rate)
        worst = int(np.argmax(off))
        outlier = Outlier(
            where=worst,
            what=name,
            count=int(counts[worst]),
            trials=int(rows[worst]),
            rate=rate,
            off=float(off[worst]),
        )
        found.append((which, outlier))
    return max(found, key=lambda one: one[1].off)


def _outlying(
    evidence: Evidence,
    which: NDArray[np.bool_],
    best: Outlier,
    tests: int,
) -> list[int]:
    """The cells that are as clearly off as a finding has to be, or the worst alone."""
    counts = evidence.along(which)
    off = deviance(counts, evidence.cell_rows, best.rate)
    clear = np.flatnonzero(off > log(2 * tests / LEVEL))
    found: list[int] = clear.tolist() or [best.where]
    return found


def _chunks_of_cell(evidence: Evidence, cell: int) -> range:
    rows = evidence.rows_of_cell(cell)
    first, last = evidence.chunks_of(rows)
    last = min(last, first + _NAMED)
    return range(first, last + 1)


def _chunks(evidence: Evidence) -> Check:
    """Chunks whose records count too many or too few."""
    table = evidence.table
    worst = table.outlier
    if worst is None or evidence.plan.chunks < 2:
        return Check("chunks", None, "the file is one chunk")
    share = worst.count / max(worst.trials, 1)
    found = f"worst of {evidence.plan.chunks:,}: {worst.what} {share:.5f} for {worst.rate:.5f}"
    p = at_most_one(2 * exp(-worst.off), table.tested)
    return Check(
        "chunks",
        p,
        found,
        where=f"chunk {worst.where}",
        chunks=(worst.where,),
    )


# ── equal and shifted chunks ─────────────────────────────────────────────────────────────────────


def equal_chunks(evidence: Evidence) -> tuple[tuple[int, int], ...]:
    """Pairs of chunks with equal checksums or equal first rows, the earlier one first."""
    marks = evidence.sums.marks
    alike = equal_pairs(marks[:, 1], marks[:, 0])
    return tuple(sorted({*evidence.table.equal, *alike}))


def _equal(evidence: Evidence) -> Check:
    """Checksums of all rows, and fingerprints of the first 64."""
    pairs = equal_chunks(evidence)
    compared = max(
        evidence.table.compared,
        len(evidence.sums.marks),
    )
    if compared < 2:
        return Check("equal chunks", None, "no two chunks of 64 rows")
    shares = evidence.outcomes / evidence.plan.rows
    alike = float((shares**2).sum())
    chance = min(1.0, compared**2 / 2 * alike**WINDOW)
    if chance > _TELLING:
        return Check("equal chunks", None, "rows have too little chance to tell chunks apart")
    if not pairs:
        return Check("equal chunks", 1.0, f"none of {compared:,} chunks begins like another")
    first, second = pairs[0]
    same = "all rows" if (first, second) in evidence.table.equal else "the first rows"
    more = f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
    found = f"chunk {second} has {same} of chunk {first} again{more}"
    numbers = tuple(sorted({number for pair in pairs for number in pair}))
    where = f"chunks {first} and {second}"
    return Check(
        "equal chunks",
        chance,
        found,
        where=where,
        chunks=numbers,
    )


def _shifted(evidence: Evidence) -> Check:
    """Correlations of a sample of chunks with others, at all distances."""
    best = evidence.shifted
    if best is None:
        return Check("shifted chunks", None, "no two chunks of 1024 rows")
    compared = f"{best.some} chunks with {best.others} others, {best.rows:,} rows each"
    if best.other < 0:
        return Check("shifted chunks", best.p, f"{compared}: nothing alike")
    where = f"chunks {best.chunk} and {best.other}"
    found = f"row r of chunk {best.chunk} is like row r{best.lag:+,} of chunk {best.other}"
    return Check(
        "shifted chunks",
        best.p,
        found,
        where=where,
        chunks=(best.chunk, best.other),
    )


# ── emissions and times ──────────────────────────────────────────────────────────────────────────


def _order(evidence: Evidence) -> Check:
    """Whether emission numbers rise from row to row."""
    if not evidence.has_index:
        return Check("emission order", None, "rows are emissions: no pair can be lost")
    row = evidence.sums.disorder
    if row < 0:
        return Check("emission order", 1.0, "numbers rise from row to row, none comes twice")
    rows = (row, row + 1)
    found = f"the emission of row {row:,} is not above that of the row before"
    return Check(
        "emission order",
        0.0,
        found,
        where=evidence.place(rows),
        rows=rows,
    )


def _gaps(evidence: Evidence) -> Check:
    """Distances between emissions, against the geometric law."""
    law, gaps = evidence.law, evidence.sums.gaps
    if not evidence.has_index or not law.losses or law.expected is None:
        return Check("gaps", None, "no pair can be lost, or no closed form")
    total = int(gaps.sum())
    due = total * _geometric(law.expected.coincidence)
    statistic, degrees = chi2(gaps.astype(float), due)
    if degrees < 1:
        return Check("gaps", None, "too few rows")
    found = f"{total:,} distances between emissions: χ² {statistic:.4g} on {degrees}"
    return Check(
        "gaps",
        chi2_tail(statistic, degrees),
        found,
    )


def _geometric(chance: float) -> NDArray[np.float64]:
    """Probabilities that a distance has 1, 2, … 64 bits."""
    powers = 2.0 ** np.arange(65) - 1  # distances above this one have at least so many bits
    beyond = np.exp(powers * np.log1p(-chance)) if chance < 1 else (powers == 0).astype(float)
    shares: NDArray[np.float64] = beyond[:-1] - beyond[1:]
    return shares


def _times(evidence: Evidence) -> Check:
    """Whether times rise within each chunk."""
    if not evidence.has_time:
        return Check("time order", None, "the engine does not simulate time")
    row = evidence.sums.early
    if row < 0:
        return Check("time order", 1.0, "times are finite and do not fall within a chunk")
    rows = (row, row + 1)
    found = f"the time of row {row:,} is before that of the row before, or not finite"
    return Check(
        "time order",
        0.0,
        found,
        where=evidence.place(rows),
        rows=rows,
    )
