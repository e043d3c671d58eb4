"""What explains findings: a closer look at the place of the worst, and chunks simulated again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan, sqrt
from typing import NamedTuple

import numpy as np

from ..config import RunConfig
from ..pairs import COLUMNS, bits
from ..pairs.bits import U8
from ..runs.chunks import chunk_work
from ..store import PairsFile
from .course import equal_chunks
from .evidence import Evidence
from .verdicts import Check

#: Rows that are looked at.
_ROWS = 1 << 17
#: Rows by which a column is moved at most.
_SHIFTS = 64
#: A stuck bit is seen so often at least.
_STUCK = 64
#: A moved column is so many standard deviations better, of so many sifted pairs at least.
_SIGMAS, _SIFTED = 6.0, 1000
_WIDTHS = {8: "byte", 64: "word"}
#: Checks that fail where a column is stuck or moved throughout a file.
_THROUGHOUT = {"outcomes", "QBER", "position in byte", "position in word"}


def causes(file: PairsFile, evidence: Evidence, checks: Sequence[Check]) -> tuple[str, ...]:
    """Sentences that name what explains the findings, as far as that is known."""
    found = {check.name: check for check in checks if check.finding}
    sentences: list[str] = []
    if "equal chunks" in found:
        sentences += _twins(file, evidence)
    rows, where = _place(evidence, found)
    if rows is not None:
        columns = _columns(file, rows)
        sentences += _stuck(columns, where)
        sentences += _moved(evidence, columns, where)
    return tuple(sentences)


def _place(evidence: Evidence, found: dict[str, Check]) -> tuple[range | None, str]:
    """The rows to look at, and what they are called."""
    cells = found.get("cells")
    if cells is not None and cells.rows is not None:
        first, stop = cells.rows
        stop = min(stop, first + _ROWS)
        return range(first, stop), f"in {cells.where}"
    if _THROUGHOUT & found.keys():
        stop = min(evidence.plan.rows, _ROWS)
        return range(stop), "from the first row on"
    return None, ""


def _columns(file: PairsFile, rows: range) -> list[U8]:
    """The four columns, unpacked; ``rows`` begin at a whole byte."""
    (pairs,) = file.blocks(
        len(rows),
        start=rows.start,
        stop=rows.stop,
        verify=False,
    )
    return [bits.unpack(column, pairs.count) for column in pairs.columns]


def _stuck(columns: list[U8], where: str) -> Iterator[str]:
    """Positions in the byte, or else in the word, at which a column never changes."""
    for name, column in zip(COLUMNS, columns, strict=True):
        first = column[0]
        if (column == first).all():
            yield f"{name} is {first} throughout {where}"
            continue
        for width, unit in _WIDTHS.items():
            places = _stuck_places(column, width)
            for place in places:
                bit = f"bit {place} of every {unit}"
                yield f"{bit} of {name} is {column[place]} {where}"
            if places:
                break


def _stuck_places(column: U8, width: int) -> list[int]:
    """The positions within a width at which all of many rows have the same bit."""
    many = len(column) // width
    if many < _STUCK:
        return []
    table = column[: many * width].reshape(many, width)
    is_constant = table.min(axis=0) == table.max(axis=0)
    places: list[int] = np.flatnonzero(is_constant).tolist()
    return places


class _Move(NamedTuple):
    """The error rate with a column moved by so many rows."""

    rate: float
    column: int
    shift: int


def _moved(evidence: Evidence, columns: list[U8], where: str) -> Iterator[str]:
    """A column that makes the error rate right when it is moved by some rows."""
    sifted, errors = _errors(columns)
    if sifted < _SIFTED:
        return
    now = errors / sifted
    best = min([_Move(now, 0, 0), *_moves(columns)])
    variance = max(now * (1 - now), 1e-9) / sifted
    gain = (now - best.rate) / sqrt(variance)
    if gain < _SIGMAS or best.rate > _acceptable(evidence):
        return
    name = COLUMNS[best.column]
    rows = "row" if abs(best.shift) == 1 else "rows"
    yield (
        f"{name} is shifted by {best.shift:+d} {rows} {where}: "
        f"moved back, the QBER is {100 * best.rate:.2f} % and not {100 * now:.2f} %"
    )


def _acceptable(evidence: Evidence) -> float:
    """An error rate that may be what the closed form says; any rate where there is none."""
    expected = evidence.law.expected
    if expected is None or isnan(expected.qber_z):
        return 1.0
    return 2 * max(expected.qber_z, expected.qber_x) + 0.01


def _moves(columns: list[U8]) -> Iterator[_Move]:
    """All error rates with one of the columns moved."""
    for column in range(len(COLUMNS)):
        for shift in range(-_SHIFTS, _SHIFTS + 1):
            moved = _shifted(columns, column, shift)
            sifted, errors = _errors(moved)
            yield _Move(
                errors / max(sifted, 1),
                column,
                shift,
            )


def _shifted(columns: list[U8], column: int, shift: int) -> list[U8]:
    """The columns without their ends, one of them ``shift`` rows later."""
    size = len(columns[0]) - 2 * _SHIFTS
    moved = []
    for number, values in enumerate(columns):
        first = _SHIFTS
        if number == column:
            first += shift
        moved.append(values[first : first + size])
    return moved


def _errors(columns: list[U8]) -> tuple[int, int]:
    """Sifted pairs, and unequal bits among them."""
    a_basis, a_bit, b_basis, b_bit = columns
    is_sifted = a_basis == b_basis
    is_error = is_sifted & (a_bit != b_bit)
    return int(is_sifted.sum()), int(is_error.sum())


def _twins(file: PairsFile, evidence: Evidence) -> Iterator[str]:
    """Which of two equal chunks is not what its seed gives, where simulating them takes moments."""
    if evidence.engine != "noise":
        return
    info = file.info
    run = RunConfig.from_json(info.config)
    work = chunk_work(
        run,
        dict(info.thresholds),
        info.stream_version,
    )
    one, other = equal_chunks(evidence)[0]
    for number, twin in ((one, other), (other, one)):
        stored = file.chunk_records(number, number + 1)
        simulated = work(number, None).record
        if simulated["checksum"][0] != stored["checksum"][0]:
            yield (
                f"chunk {number} is not what its seed gives: it has the rows of chunk {twin}, "
                f"copied over it or drawn from the seed of chunk {twin}"
            )
