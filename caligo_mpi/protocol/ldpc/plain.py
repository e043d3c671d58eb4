"""One decoding sweep over all checks in numpy: many frames side by side, a layer at a time.

Check nodes by approximate min* (Jones, Vallés, Smith and Villasenor, MILCOM 2003): the least
reliable bit of a check gets the exact combination of the others, all others get that of the whole
check.  Two magnitudes combine as min(x, y) + c(x + y) − c(|x − y|) with c(d) = ln(1 + e^−d), here the
line max(0, ⌊(38 − d)/4⌋) in units of 1/16: integers throughout, so every machine decodes alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .code import I16, Code, Flags

#: The largest magnitude that enters or leaves a check, in units of 1/16: with 96 of them and `SURE`, 16 bits suffice.
LIMIT = 255
#: Prior of a known bit.
SURE = 8191
FAR = 2047
#: `FAR` combined with itself: what a check of one bit says of it.
_NOTHING = FAR - 9

#: Checks of a layer from which on copying runs of bits is faster than taking one after the other.
_LONG = 128

# Ready made: turning a Python number into one of these takes as long as a short vector's sum.
_REACH = np.int16(38)
_QUARTER = np.int16(2)


def lanes(code: Code) -> int:
    """Frames to decode side by side."""
    return max(16, 8192 // code.lift)


def sweep(code: Code, total: I16, messages: I16, syndromes: I16) -> None:
    """Update ``total`` (n, lanes) and ``messages`` (edges, lanes) in place; ``syndromes`` (m, lanes) is 0 and −1."""
    lift = code.lift
    frames = total.shape[1]
    most = max(len(layer) for layer in code.layers)
    space = np.empty((3, most, lift, frames), np.int16)
    scratch = np.empty((4, lift, frames), np.int16)
    least, others, whole, flip = scratch
    room = _Room(lift, frames)
    edge = 0
    for row, layer in enumerate(code.layers):
        degree = len(layer)
        values, magnitude, sign = space[:, :degree]
        end = edge + degree * lift
        old = messages[edge:end].reshape(values.shape)
        edge = end
        _gather(code, row, total, values)
        values -= old
        np.abs(values, out=magnitude)
        np.minimum(magnitude, room.limit, out=magnitude)
        np.right_shift(values, 15, out=sign)
        np.bitwise_xor.reduce(sign, axis=0, out=flip)
        check = row * lift
        flip ^= syndromes[check : check + lift]
        sign ^= flip
        _combine_all(magnitude, least, others, room)
        np.copyto(whole, others)
        _combine(whole, least, room)
        # Of the whole check; of the others for the least.  By masks: copying ``where`` takes ten times as long.
        np.subtract(least, magnitude, out=old)
        np.right_shift(old, 15, out=old)
        whole ^= others
        old &= whole
        old ^= others
        old ^= sign
        old -= sign
        values += old
        _scatter(code, row, values, total)


def satisfied(code: Code, total: I16, syndromes: I16) -> Flags:
    """Which lanes' signs have their syndrome."""
    lift = code.lift
    sign = (total >> 15).astype(np.int8)
    wrong = np.zeros(total.shape[1], bool)
    most = max(len(layer) for layer in code.layers)
    space = np.empty((most, lift, total.shape[1]), np.int8)
    for row, layer in enumerate(code.layers):
        check = row * lift
        values = space[: len(layer)]
        _gather(code, row, sign, values)
        odd = np.bitwise_xor.reduce(values, axis=0)
        differs = odd != syndromes[check : check + lift]
        wrong |= differs.any(axis=0)
    return ~wrong


def _gather(
    code: Code,
    row: int,
    total: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """What is in ``total`` (n, lanes) of the bits of a layer, into ``values`` (degree, Z, lanes)."""
    lift = code.lift
    if lift < _LONG:
        np.take(total, code.layers[row], axis=0, out=values, mode="clip")
        return
    # A circulant is two runs of bits.
    for own, (bit, shift) in zip(values, code.circulants[row], strict=True):
        rest = bit + lift - shift
        own[shift:] = total[bit:rest]
        own[:shift] = total[rest : bit + lift]


def _scatter(
    code: Code,
    row: int,
    values: I16,
    total: I16,
) -> None:
    """The way back of `_gather`."""
    lift = code.lift
    if lift < _LONG:
        total[code.layers[row]] = values
        return
    for own, (bit, shift) in zip(values, code.circulants[row], strict=True):
        rest = bit + lift - shift
        total[bit:rest] = own[shift:]
        total[rest : bit + lift] = own[:shift]


class _Room:
    """Room for two magnitudes of each check, and numbers as large arrays: with them numpy is quicker than with one."""

    def __init__(self, lift: int, frames: int) -> None:
        self.spare = np.empty((2, lift, frames), np.int16)
        self.zeros = np.zeros_like(self.spare)
        self.limit = np.full((lift, frames), LIMIT, np.int16)


def _combine_all(magnitude: I16, least: I16, others: I16, room: _Room) -> None:
    """Set ``least`` to the least magnitude of each check and ``others`` to the combination of the rest.

    Of each magnitude and the least one before, the greater is combined into ``others``.
    """
    np.copyto(least, magnitude[0])
    others.fill(_NOTHING)
    more = np.empty_like(least)
    for k, each in enumerate(magnitude[1:]):
        # What is combined with nothing stays as it is.
        np.maximum(least, each, out=more if k else others)
        np.minimum(least, each, out=least)
        if k:
            _combine(others, more, room)


def _combine(x: I16, y: I16, room: _Room) -> None:
    """Combine ``y`` into ``x``."""
    spare = room.spare
    far, near = spare
    np.add(x, y, out=far)
    np.subtract(x, y, out=near)
    np.abs(near, out=near)
    np.minimum(x, y, out=x)
    # Both corrections at once: on short vectors the calls are what takes time.
    np.subtract(_REACH, spare, out=spare)
    np.maximum(spare, room.zeros, out=spare)
    np.right_shift(spare, _QUARTER, out=spare)
    x += far
    x -= near
