"""Belief propagation on syndromes: log domain, layered schedule, many frames side by side.

Frames fill lanes; a lane whose frame is done takes the next one, so a frame that does not
converge holds up nobody.  What becomes of a frame does not depend on the frames beside it, nor
on whether the sweep is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ...pairs.bits import U8
from . import plain
from .code import I16, I64, Code, Flags

Decoded = tuple[U8, Flags, I64]


class Exempt(NamedTuple):
    """Bits that the error rate does not speak of: those ``erased``, of which nothing is known, and those ``known``."""

    erased: I64 | None = None
    known: I64 | None = None


def decode(
    code: Code,
    received: U8,
    syndromes: U8,
    *,
    qber: float,
    exempt: Exempt | None = None,
    max_iterations: int = 100,
) -> Decoded:
    """The words next to ``received`` (frames, n) that have the ``syndromes`` (frames, m).

    Each received bit is wrong with probability ``qber``, except those that are ``exempt``.
    Returns bits (frames, n), whether they have the syndrome, and the iterations spent on each frame.
    """
    prior = _prior(code.n, qber, exempt or Exempt())
    kernel = _kernel()
    words = None if kernel is plain else _words()
    if words is not None and code.lift >= words.SHORTEST_LIFT:
        bits = received.copy()
        ok, iterations = words.decode_words(
            code,
            bits,
            syndromes,
            prior,
            max_iterations,
        )
        return bits, ok, iterations
    work = _Work(
        code,
        received,
        syndromes,
        prior,
        max_iterations,
    )
    return _decode_in_lanes(work, kernel)


class _Work(NamedTuple):
    """What is to be decoded, as in `decode`."""

    code: Code
    received: U8
    syndromes: U8
    prior: I16
    max_iterations: int


def _decode_in_lanes(work: _Work, kernel: ModuleType) -> Decoded:
    """`decode`, frames side by side."""
    code = work.code
    bits = work.received.copy()
    frames = len(bits)
    ok = np.zeros(frames, bool)
    iterations = np.zeros(frames, np.int64)
    side_by_side = kernel.lanes(code)
    if kernel is plain:
        side_by_side = max(1, min(side_by_side, frames))
    lanes = _Lanes.empty(code, side_by_side)
    waiting = 0
    while waiting < frames or len(lanes.busy):
        new = lanes.next_frames(waiting, frames)
        if len(new):
            lanes.fill(new, work)
            waiting += len(new)
        kernel.sweep(
            code,
            lanes.total,
            lanes.messages,
            lanes.wanted,
        )
        busy = lanes.busy
        decoded = lanes.frame[busy]
        iterations[decoded] += 1
        has_met = kernel.satisfied(code, lanes.total, lanes.wanted)
        met = has_met[busy]
        ok[decoded] = met
        is_late = iterations[decoded] >= work.max_iterations
        ended = met | is_late
        bits[decoded[ended]] = lanes.release(busy[ended])
        is_half_empty = 2 * len(lanes.busy) <= len(lanes.frame)
        if kernel is plain and waiting == frames and is_half_empty:
            lanes.shrink()
    return bits, ok, iterations


@dataclass(slots=True)
class _Lanes:
    """What is being decoded: ``frame`` is the number of each lane's frame, −1 where it is free.

    ``total`` (n, lanes) and ``messages`` (edges, lanes) are as in `plain.sweep`, ``wanted`` (m, lanes) are the
    syndromes as 0 and −1.
    """

    frame: I64
    total: I16
    messages: I16
    wanted: I16

    @classmethod
    def empty(cls, code: Code, lanes: int) -> _Lanes:
        circulants = int(np.count_nonzero(code.base >= 0))
        heights = (code.n, circulants * code.lift, code.m)
        arrays = [np.zeros((height, lanes), np.int16) for height in heights]
        return cls(np.full(lanes, -1), *arrays)

    @property
    def busy(self) -> I64:
        return np.flatnonzero(self.frame >= 0)

    def next_frames(self, first: int, stop: int) -> I64:
        """The frames from ``first`` on that are taken now: none before an eighth of the lanes is free."""
        free = int(np.count_nonzero(self.frame < 0))
        count = min(free, stop - first)
        is_little = count < len(self.frame) // 8
        if is_little and count < stop - first:
            count = 0
        return np.arange(first, first + count)

    def fill(self, frames: I64, work: _Work) -> None:
        """Put ``frames`` into free lanes."""
        prior = work.prior[:, None]
        received = work.received[frames]
        told = work.syndromes[frames].astype(np.int16)
        is_free = self.frame < 0
        free = np.flatnonzero(is_free)[: len(frames)]
        self.frame[free] = frames
        self.total[:, free] = np.where(received.T, -prior, prior)
        self.messages[:, free] = 0
        self.wanted[:, free] = -told.T

    def release(self, lanes: I64) -> Flags:
        """Free these lanes; the bits (lanes, n) of their frames."""
        self.frame[lanes] = -1
        negative: Flags = self.total[:, lanes] < 0
        return negative.T

    def shrink(self) -> None:
        """Keep the busy lanes alone."""
        left = self.busy
        self.frame = self.frame[left]
        self.total = np.ascontiguousarray(self.total[:, left])
        self.messages = np.ascontiguousarray(self.messages[:, left])
        self.wanted = np.ascontiguousarray(self.wanted[:, left])


@cache
def _kernel() -> ModuleType:
    """The compiled sweep where numba is installed."""
    try:
        from . import compiled
    except ImportError:
        return plain
    return compiled


@cache
def _words() -> ModuleType | None:
    """The compiled decoder of long words where numba is installed."""
    try:
        from . import words
    except ImportError:
        return None
    return words


def _prior(n: int, qber: float, exempt: Exempt) -> I16:
    """Log-likelihood ratio of each received bit, in units of 1/16."""
    q = Decimal(min(max(qber, 1e-6), 0.5))
    ratio = ((1 - q) / q).ln()  # decimal: ln rounds alike everywhere
    prior = np.full(n, round(16 * ratio), np.int16)
    if exempt.erased is not None:
        prior[exempt.erased] = 0
    if exempt.known is not None:
        prior[exempt.known] = plain.SURE
    return prior
