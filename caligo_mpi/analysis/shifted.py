"""Chunks that are another one's copy, moved: correlations of some chunks with many others."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs import Tick
from .long import stretch
from .probability import at_most_one
from .stream import Source
from .verdicts import LEVEL

# Rows of a chunk's beginning that are looked at, chunks that are compared with all others, and others.
_ROWS = 1 << 15
_SOME = 12
_OTHERS = 256
_LEAST_ROWS = 1 << 10
_STREAM = "alice_outcome"

Values = NDArray[np.float32]
Spectrum = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Shifted:
    """The strongest correlation of a chunk with another one, ``lag`` rows apart.

    ``other`` is −1 where it is no more than chance.  Row r of ``chunk`` is like row r + lag of
    ``other``.  ``p`` is over all that were compared: ``some`` chunks with ``others`` each, over
    ``rows`` rows from their beginnings on.
    """

    chunk: int
    other: int
    lag: int
    p: float
    some: int
    others: int
    rows: int


def shifted_chunks(source: Source, tick: Tick) -> Shifted | None:
    """Compare a sample of chunks, the same for the same file; None where there are no two to compare."""
    chunks = source.chunks
    if not len(chunks.rows):
        return None
    rows = int(min(_ROWS, np.median(chunks.rows)))
    usable = np.flatnonzero(chunks.rows >= rows)
    if rows < _LEAST_ROWS or len(usable) < 2:
        return None
    rng = np.random.default_rng([len(usable), rows])
    taken = np.sort(rng.permutation(usable)[:_OTHERS])
    some = np.sort(rng.permutation(taken)[:_SOME])
    both = np.array([-1.0, 1.0], np.float32)
    signs = rng.choice(both, len(taken))
    everything = np.zeros(rows, np.float32)
    kept: dict[int, Values] = {}
    for sign, which in zip(signs, taken.tolist(), strict=True):
        values = sign * _values(source, which, rows)
        everything += values
        if which in some:
            kept[which] = values
        tick()
    score, which, lag = _best(kept, everything, tick)
    others = len(taken) - 1
    p_one = erfc(score / sqrt(2 * others))
    p = at_most_one(p_one, len(some) * (2 * rows - 1))
    other = -1
    if p < LEVEL:
        partner = _partner(source, taken, (which, lag, rows))
        other = int(chunks.number[partner])
    return Shifted(
        chunk=int(chunks.number[which]),
        other=other,
        lag=lag,
        p=p,
        some=len(some),
        others=others,
        rows=rows,
    )


def _best(
    kept: dict[int, Values],
    everything: Values,
    tick: Tick,
) -> tuple[float, int, int]:
    """The largest correlation of one with all others, which one it is, and at which distance."""
    rows = len(everything)
    length = 1 << (2 * rows - 1).bit_length()
    of_all = _spectrum(everything, length)
    best = (0.0, 0, 0)
    for which, own in kept.items():
        of_own = _spectrum(own, length)
        score, lag = _strongest(of_own, of_all - of_own, rows)
        best = max(best, (score, which, lag))
        tick()
    return best


def _values(source: Source, which: int, rows: int) -> Values:
    """The bits of a chunk's first rows, less their mean."""
    row = int(source.chunks.row[which])
    bits = stretch(
        source.file,
        row,
        rows,
        _STREAM,
    )
    values = bits.astype(np.float32)
    values -= values.mean()
    spread = float(values.std())
    if spread:
        values /= np.float32(spread)
    return values


def _spectrum(values: Values, length: int) -> Spectrum:
    """The transform of values and zeros behind them, over its length."""
    # Where numpy has nothing to divide by, it transforms in double precision.
    spectrum: NDArray[Any] = np.fft.rfft(values, length, norm="forward")
    return spectrum


def _strongest(own: Spectrum, others: Spectrum, size: int) -> tuple[float, int]:
    """The largest correlation at any distance, in units of its standard deviation with one other, and the distance."""
    length = 2 * (len(own) - 1)
    power = np.conj(own) * others
    products = np.fft.irfft(power, length) * float(length) ** 2
    later = np.arange(size)
    earlier = np.arange(1 - size, 0)
    lags = np.concatenate([later, earlier])
    overlap = size - np.abs(lags)
    spread = np.sqrt(np.maximum(overlap, _LEAST_ROWS))
    score = np.abs(products[lags % length])
    score /= spread
    best = int(np.argmax(score))
    return float(score[best]), int(lags[best])


def _partner(source: Source, taken: NDArray[np.int64], where: tuple[int, int, int]) -> int:
    """Which other chunk it is that correlates at this distance."""
    which, lag, rows = where
    own = _values(source, which, rows)
    best = 0.0
    found = which
    for other in taken.tolist():
        if other == which:
            continue
        values = _values(source, other, rows)
        early, late = (own, values) if lag >= 0 else (values, own)
        apart = abs(lag)
        product = early[: rows - apart] @ late[apart:]
        size = abs(float(product))
        if size > best:
            best = size
            found = other
    return found
