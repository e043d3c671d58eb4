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
_ROWS, _SOME, _OTHERS = 1 << 15, 12, 256
_LEAST_ROWS = 1 << 10
_STREAM = "alice_outcome"


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
    rows = int(min(_ROWS, np.median(chunks.rows))) if len(chunks.rows) else 0
    usable = np.flatnonzero(chunks.rows >= rows)
    if rows < _LEAST_ROWS or len(usable) < 2:
        return None
    rng = np.random.default_rng([len(usable), rows])
    taken = np.sort(rng.permutation(usable)[:_OTHERS])
    some = np.sort(rng.permutation(taken)[:_SOME])
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), len(taken))
    everything = np.zeros(rows, np.float32)
    kept: dict[int, NDArray[np.float32]] = {}
    for sign, which in zip(signs, taken.tolist(), strict=True):
        values = _values(source, which, rows)
        everything += sign * values
        if which in some:
            kept[which] = sign * values
        tick()
    best = (0.0, 0, 0)
    length = 1 << (2 * rows - 1).bit_length()
    of_all = _spectrum(everything, length)
    for which, own in kept.items():
        of_own = _spectrum(own, length)
        found = _strongest(of_own, of_all - of_own, rows)
        best = max(best, (found[0], which, found[1]))
        tick()
    others = len(taken) - 1
    p = at_most_one(erfc(best[0] / sqrt(2 * others)), len(some) * (2 * rows - 1))
    chunk, other = int(chunks.number[best[1]]), -1
    if p < LEVEL:
        other = int(chunks.number[_partner(source, taken, (best[1], best[2], rows))])
    return Shifted(chunk, other, best[2], p, len(some), others, rows)


def _values(source: Source, which: int, rows: int) -> NDArray[np.float32]:
    """The bits of a chunk's first rows, less their mean."""
    bits = stretch(source.file, int(source.chunks.row[which]), rows, _STREAM)
    values = bits.astype(np.float32)
    values -= values.mean()
    spread = float(values.std()) or 1.0
    return values / np.float32(spread)


def _spectrum(values: NDArray[np.float32], length: int) -> NDArray[np.complex64]:
    """The transform of values and zeros behind them, over its length."""
    # Where numpy has nothing to divide by, it transforms in double precision.
    spectrum: NDArray[Any] = np.fft.rfft(values, length, norm="forward")
    return spectrum


def _strongest(
    own: NDArray[np.complex64], others: NDArray[np.complex64], size: int
) -> tuple[float, int]:
    """The largest correlation at any distance, in units of its standard deviation with one other, and the distance."""
    length = 2 * (len(own) - 1)
    products = np.fft.irfft(np.conj(own) * others, length) * float(length) ** 2
    lags = np.concatenate([np.arange(size), np.arange(1 - size, 0)])
    overlap = size - np.abs(lags)
    score = np.abs(products[lags % length]) / np.sqrt(np.maximum(overlap, _LEAST_ROWS))
    best = int(np.argmax(score))
    return float(score[best]), int(lags[best])


def _partner(source: Source, taken: NDArray[np.int64], where: tuple[int, int, int]) -> int:
    """Which other chunk it is that correlates at this distance."""
    which, lag, rows = where
    own = _values(source, which, rows)
    best, found = 0.0, which
    for other in taken.tolist():
        if other == which:
            continue
        values = _values(source, other, rows)
        early, late = (own, values) if lag >= 0 else (values, own)
        product = float(early[: rows - abs(lag)] @ late[abs(lag) :])
        if abs(product) > best:
            best, found = abs(product), other
    return found
