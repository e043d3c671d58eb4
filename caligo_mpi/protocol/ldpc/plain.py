"""One decoding sweep over all checks in numpy: many frames side by side, a layer at a time.

Check nodes by approximate min* (Jones, Vallés, Smith and Villasenor, MILCOM 2003): the least
reliable bit of a check gets the exact combination of the others, all others get that of the whole
check.  Two magnitudes combine as min(x, y) + c(x + y) − c(|x − y|) with c(d) = ln(1 + e^−d), here the
line max(0, ⌊(38 − d)/4⌋) in units of 1/16: integers throughout, so every machine decodes alike.
"""

from __future__ import annotations

import numpy as np

from .code import I16, Code, Flags

#: The largest magnitude that enters or leaves a check, in units of 1/16: with 96 of them and `SURE`, 16 bits suffice.
LIMIT = 255
#: Prior of a known bit.
SURE = 8191
FAR = 2047


def lanes(code: Code) -> int:
    """Frames to decode side by side."""
    return max(16, 8192 // code.lift)


def sweep(code: Code, total: I16, messages: I16, syndromes: I16) -> None:
    """Update ``total`` (n, lanes) and ``messages`` (edges, lanes) in place; ``syndromes`` (m, lanes) is 0 and −1."""
    lift = code.lift
    frames = total.shape[1]
    most = max(len(layer) for layer in code.layers)
    space = np.empty((3, most, lift, frames), np.int16)
    scratch = np.empty((6, lift, frames), np.int16)
    least, others, whole, flip, *spare = scratch
    edge = 0
    for row, layer in enumerate(code.layers):
        degree = len(layer)
        values, magnitude, sign = space[:, :degree]
        end = edge + degree * lift
        old = messages[edge:end].reshape(values.shape)
        edge = end
        np.take(total, layer, axis=0, out=values, mode="clip")
        values -= old
        np.abs(values, out=magnitude)
        np.minimum(magnitude, LIMIT, out=magnitude)
        np.right_shift(values, 15, out=sign)
        np.bitwise_xor.reduce(sign, axis=0, out=flip)
        check = row * lift
        flip ^= syndromes[check : check + lift]
        sign ^= flip
        _combine_all(
            magnitude,
            least,
            others,
            spare,
        )
        np.copyto(whole, others)
        _combine(whole, least, spare)
        np.copyto(old, whole)
        is_least = magnitude == least
        np.copyto(old, others, where=is_least)
        old ^= sign
        old -= sign
        values += old
        total[layer] = values


def satisfied(code: Code, total: I16, syndromes: I16) -> Flags:
    """Which lanes' signs have their syndrome."""
    lift = code.lift
    sign = (total >> 15).astype(np.int8)
    wrong = np.zeros(total.shape[1], bool)
    for row, layer in enumerate(code.layers):
        check = row * lift
        odd = np.bitwise_xor.reduce(sign[layer], axis=0)
        differs = odd != syndromes[check : check + lift]
        wrong |= differs.any(axis=0)
    return ~wrong


def _combine_all(
    magnitude: I16,
    least: I16,
    others: I16,
    spare: list[I16],
) -> None:
    """Set ``least`` to the least magnitude of each check and ``others`` to the combination of the rest."""
    least.fill(FAR)
    others.fill(FAR)
    more = np.empty_like(least)
    for each in magnitude:
        np.maximum(least, each, out=more)
        np.minimum(least, each, out=least)
        _combine(others, more, spare)


def _combine(x: I16, y: I16, spare: list[I16]) -> None:
    """Combine ``y`` into ``x``."""
    near, far = spare
    np.add(x, y, out=far)
    np.subtract(x, y, out=near)
    np.abs(near, out=near)
    np.minimum(x, y, out=x)
    for correction in (far, near):
        np.subtract(38, correction, out=correction)
        np.right_shift(correction, 2, out=correction)
        np.maximum(correction, 0, out=correction)
    x += far
    x -= near
