"""Belief propagation on syndromes: log domain, layered schedule, many frames side by side.

Frames fill lanes; a lane whose frame is done takes the next one, so a frame that does not
converge holds up nobody.  What becomes of a frame does not depend on the frames beside it, nor
on whether the sweep is compiled.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ...pairs.bits import U8
from . import plain
from .code import Code

I16 = NDArray[np.int16]
I64 = NDArray[np.int64]


def decode(
    code: Code,
    received: U8,
    syndromes: U8,
    *,
    qber: float,
    erased: I64 | None = None,
    known: I64 | None = None,
    max_iterations: int = 100,
) -> tuple[U8, NDArray[np.bool_], NDArray[np.int64]]:
    """The words next to ``received`` (frames, n) that have the ``syndromes`` (frames, m).

    Each received bit is wrong with probability ``qber``, except those ``erased``, of which nothing is
    known, and those ``known``, which are right.  Returns bits (frames, n), whether they have the syndrome, and
    the iterations spent on each frame.
    """
    bits = received.copy()
    ok = np.zeros(len(bits), bool)
    iterations = np.zeros(len(bits), np.int64)
    prior = _prior(code.n, qber, erased, known)
    kernel = _kernel()
    lanes = kernel.lanes(code)
    total = np.zeros((code.n, lanes), np.int16)
    messages = np.zeros((len(code.edges[0]), lanes), np.int16)
    wanted = np.zeros((code.m, lanes), np.int16)
    frame = np.full(lanes, -1)
    waiting = 0
    while waiting < len(bits) or (frame >= 0).any():
        free = np.flatnonzero(frame < 0)[: len(bits) - waiting]
        if len(free) >= lanes // 8 or (len(free) and len(free) == len(bits) - waiting):
            new = np.arange(waiting, waiting + len(free))
            waiting += len(free)
            frame[free] = new
            total[:, free] = np.where(received[new].T, -prior[:, None], prior[:, None])
            messages[:, free] = 0
            wanted[:, free] = -syndromes[new].T.astype(np.int16)
        kernel.sweep(code, total, messages, wanted)
        busy = np.flatnonzero(frame >= 0)
        iterations[frame[busy]] += 1
        met = kernel.satisfied(code, total, wanted)[busy]
        ok[frame[busy]] = met
        done = busy[met | (iterations[frame[busy]] >= max_iterations)]
        bits[frame[done]] = (total[:, done] < 0).T
        frame[done] = -1
        left = np.flatnonzero(frame >= 0)
        if kernel is plain and waiting == len(bits) and 2 * len(left) <= len(frame):
            frame = frame[left]
            total, messages, wanted = (
                np.ascontiguousarray(array[:, left]) for array in (total, messages, wanted)
            )
    return bits, ok, iterations


@cache
def _kernel() -> ModuleType:
    """The compiled sweep where numba is installed."""
    try:
        from . import compiled
    except ImportError:
        return plain
    return compiled


def _prior(n: int, qber: float, erased: I64 | None, known: I64 | None) -> I16:
    """Log-likelihood ratio of each received bit, in units of 1/16."""
    q = Decimal(min(max(qber, 1e-6), 0.5))
    prior = np.full(
        n, round(16 * ((1 - q) / q).ln()), np.int16
    )  # decimal: ln rounds alike everywhere
    if erased is not None:
        prior[erased] = 0
    if known is not None:
        prior[known] = plain.SURE
    return prior
