"""What explains findings: a closer look at the place of the worst, and chunks simulated again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan, sqrt

import numpy as np

from ..config import RunConfig
from ..pairs import COLUMNS, bits
from ..pairs.bits import U8
from ..runs.chunks import chunk_work
from ..store import PairsFile
from .course import equal_chunks
from .evidence import Evidence
from .verdicts import Check

# Rows that are looked at, and distances at which a column is tried.
_ROWS, _SHIFTS = 1 << 17, 64
# A stuck bit is seen so often at least; a shifted column is so many standard deviations better.
_STUCK, _SIGMAS = 64, 6.0
_WIDTHS = {8: "byte", 64: "word"}


def causes(file: PairsFile, evidence: Evidence, checks: Sequence[Check]) -> tuple[str, ...]:
    """Sentences that name what explains the findings, as far as that is known."""
    found = {check.name: check for check in checks if check.finding}
    sentences = list(_twins(file, evidence)) if "equal chunks" in found else []
    place, where = _place(evidence, found)
    if place is not None:
        columns = _columns(file, place)
        sentences += _stuck(columns, where)
        sentences += _moved(evidence, columns, where)
    return tuple(sentences)


def _place(evidence: Evidence, found: dict[str, Check]) -> tuple[range | None, str]:
    """The rows to look at, and what they are called."""
    cells = found.get("cells")
    if cells is not None and cells.rows is not None:
        first, stop = cells.rows
        return range(first, min(stop, first + _ROWS)), f"in {cells.where}"
    if {"outcomes", "QBER", "position in byte", "position in word"} & {*found}:
        return range(min(evidence.plan.rows, _ROWS)), "from the first row on"
    return None, ""


def _columns(file: PairsFile, rows: range) -> list[U8]:
    """The four columns, unpacked; ``rows`` begin at a whole byte."""
    (pairs,) = file.blocks(len(rows), start=rows.start, stop=rows.stop, verify=False)
    return [bits.unpack(column, pairs.count) for column in pairs.columns]


def _stuck(columns: list[U8], where: str) -> Iterator[str]:
    """Positions in the byte, or else in the word, at which a column never changes."""
    for name, column in zip(COLUMNS, columns, strict=True):
        if len(set(column[:_STUCK].tolist())) == 1 and column.min() == column.max():
            yield f"{name} is {column[0]} throughout {where}"
            continue
        for width, unit in _WIDTHS.items():
            table = column[: len(column) // width * width].reshape(-1, width)
            if len(table) < _STUCK:
                continue
            constant = np.flatnonzero(table.min(axis=0) == table.max(axis=0)).tolist()
            for place in constant:
                yield f"bit {place} of every {unit} of {name} is {table[0, place]} {where}"
            if constant:
                break


def _moved(evidence: Evidence, columns: list[U8], where: str) -> Iterator[str]:
    """A column that makes the error rate right when it is moved by some rows."""
    sifted, errors = _errors(columns)
    if sifted < 1000:
        return
    now = errors / sifted
    expected = evidence.law.expected
    target = None
    if expected is not None and not isnan(expected.qber_z):
        target = max(expected.qber_z, expected.qber_x)
    best = (now, 0, 0)
    for column in range(len(COLUMNS)):
        for shift in range(-_SHIFTS, _SHIFTS + 1):
            sifted, errors = _errors(_shifted(columns, column, shift))
            best = min(best, (errors / max(sifted, 1), column, shift))
    rate, column, shift = best
    gain = (now - rate) / sqrt(max(now * (1 - now), 1e-9) / sifted)
    if gain < _SIGMAS or (target is not None and rate > 2 * target + 0.01):
        return
    rows = "row" if abs(shift) == 1 else "rows"
    yield (
        f"{COLUMNS[column]} is shifted by {shift:+d} {rows} {where}: "
        f"moved back, the QBER is {100 * rate:.2f} % and not {100 * now:.2f} %"
    )


def _shifted(columns: list[U8], column: int, shift: int) -> list[U8]:
    """The columns without their ends, one of them ``shift`` rows later."""
    size = len(columns[0]) - 2 * _SHIFTS
    firsts = [_SHIFTS + (shift if number == column else 0) for number in range(len(columns))]
    return [values[first : first + size] for values, first in zip(columns, firsts, strict=True)]


def _errors(columns: list[U8]) -> tuple[int, int]:
    """Sifted pairs, and unequal bits among them."""
    a_basis, a_bit, b_basis, b_bit = columns
    sifted = a_basis == b_basis
    return int(sifted.sum()), int((sifted & (a_bit != b_bit)).sum())


def _twins(file: PairsFile, evidence: Evidence) -> Iterator[str]:
    """Which of two equal chunks is not what its seed gives, where simulating them takes moments."""
    if evidence.engine != "noise":
        return
    info = file.info
    work = chunk_work(RunConfig.from_json(info.config), dict(info.thresholds), info.stream_version)
    (pair, *_) = equal_chunks(evidence)
    for number, other in (pair, pair[::-1]):
        stored = file.chunk_records(number, number + 1)["checksum"][0]
        if work(number, None).record["checksum"][0] != stored:
            yield (
                f"chunk {number} is not what its seed gives: it has the rows of chunk {other}, "
                f"copied over it or drawn from the seed of chunk {other}"
            )
