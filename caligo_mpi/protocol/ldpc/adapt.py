"""Fitting a code to an error rate and to keys of any length.

A key is cut into equal parts, one per word of the code.  Bits of a word that hold no key are
**shortened** (0, known to both) or **punctured** (Alice's private random bits, of which Bob knows
nothing).  Elkouss, Martinez-Mateo and Martin, Quantum Inf. Comput. 11:226 (2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ...errors import ConfigError
from ...pairs.bits import U8
from .code import I64, Code, Curve, Point, available_codes, load_code


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Keys of ``size`` bits spread over ``words`` words each, ``punctured`` bits of a word being punctured."""

    code: Code
    size: int
    words: int
    punctured: int = 0

    @property
    def leak_bits(self) -> int:
        """What the syndromes of one key tell about it: the punctured bits mask as many of theirs."""
        return self.words * (self.code.m - self.punctured)

    @property
    def erased(self) -> I64:
        """Punctured positions."""
        return self.code.puncture_order[: self.punctured]

    @property
    def shortened(self) -> I64:
        """Positions known to be 0."""
        order = self.code.shorten_order
        if self.punctured:
            is_erased = np.isin(order, self.erased)
            order = order[~is_erased]
        part = -(-self.size // self.words)
        return order[: self.code.n - self.punctured - part]

    def spread(self, keys: U8) -> U8:
        """Words (keys × words, n) that hold the ``keys`` (keys, size), 0 elsewhere."""
        held = self._held()
        room = len(held)
        count = len(keys)
        padded = np.zeros((count, self.words * room), np.uint8)
        padded[:, : self.size] = keys
        words = count * self.words
        out = np.zeros((words, self.code.n), np.uint8)
        out[:, held] = padded.reshape(words, room)
        return out

    def gather(self, words: U8) -> U8:
        """The keys that `spread` put into the ``words``."""
        parts = words[:, self._held()]
        count = len(words) // self.words
        keys = parts.reshape(count, -1)
        return keys[:, : self.size]

    def _held(self) -> I64:
        held = np.ones(self.code.n, bool)
        held[self.erased] = False
        held[self.shortened] = False
        return np.flatnonzero(held)


def choose_layout(
    size: int,
    qber: float,
    *,
    target: float,
    blind: bool = False,
) -> Layout:
    """The least telling code for keys of ``size`` bits of which a share of ``target`` fails at the most.

    Goes by the measured curves of the codes in the package (`predicted_failure`).  With ``blind`` every
    word has punctured bits, and the failures are those left when all of them have been told.

    >>> layout = choose_layout(12_000, 0.03, target=1e-2)
    >>> layout.code.name, layout.words, layout.leak_bits
    ('n4096-r70', 3, 3648)
    """
    layouts = []
    for name in available_codes():
        layout = fit(
            load_code(name),
            size,
            qber,
            target=target,
            blind=blind,
        )
        if layout is not None:
            layouts.append(layout)
    if not layouts:
        raise ConfigError(
            f"qber={qber} is more than the codes here correct in keys of {size} bits with a failure "
            f"probability of {target}; allow more failures, ask for shorter keys, or use Cascade where that is allowed"
        )
    return min(layouts, key=lambda layout: layout.leak_bits)


def fit(
    code: Code,
    size: int,
    qber: float,
    *,
    target: float,
    blind: bool = False,
) -> Layout | None:
    """The fewest words of one code for `choose_layout`; ``None`` where none of its curves promises as much.

    A curve speaks for every word in which Bob knows all bits that he knew when it was measured, and maybe more.
    """
    spare = _spare(code) if blind else 0
    curves = [curve for curve in code.curves if not curve.punctured]
    for curve in sorted(curves, key=lambda curve: curve.shortened):
        room = _room(code, spare, curve.shortened)
        words = -(-size // room)
        failures = words * predicted_failure(curve, qber)
        if failures <= target:
            return Layout(
                code,
                size,
                words,
                spare,
            )
    return None


def predicted_failure(curve: Curve, qber: float) -> float:
    """Frame errors expected at ``qber``: between measured points P = exp(−x²), with x on a straight line.

    That follows a normal tail, which the spread of the number of errors makes of P; a straight line of ln P promises
    less than fails.  1 above the highest measured point, below the lowest as there.  Where fewer than three frames
    failed, three count: the upper end (95 %) of what no failure allows.
    """
    points = sorted(curve.points, key=lambda point: point.qber)
    above = [point for point in points if point.qber >= qber]
    below = [point for point in points if point.qber < qber]
    if not above:
        return 1.0
    high = above[0]
    if not below:
        return _rate(high)
    low = below[-1]
    part = (qber - low.qber) / (high.qber - low.qber)
    begin = _root(low)
    end = _root(high)
    x = begin + Decimal(part) * (end - begin)
    return float((-(x**2)).exp())


def _root(point: Point) -> Decimal:
    """The x of a measured point; decimal: the same choice on every machine."""
    logarithm = Decimal(_rate(point)).ln()
    return (-logarithm).sqrt()


def _rate(point: Point) -> float:
    return max(point.failures, 3) / point.frames


def _room(code: Code, spare: int, shortened: int) -> int:
    """Bits of a word left for the key if the first ``shortened`` bits are known once ``spare`` punctured ones are told.

    Those punctured are of low degree, and knowing them helps less than knowing as many others.
    """
    known = code.shorten_order[:shortened]
    told = code.puncture_order[:spare]
    in_both = np.isin(known, told)
    twice = int(np.count_nonzero(in_both))
    return code.n - spare - shortened + twice


def _spare(code: Code) -> int:
    """Bits to puncture for blind use: a tenth of the word, or as many as there are."""
    return min(code.n // 10, len(code.puncture_order))
