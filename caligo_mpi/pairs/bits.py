"""Packed columns of bits: eight per byte, little bit order, so row i is bit i.

A packed column of ``count`` bits is a uint8 array of ``nbytes(count)`` bytes
whose pad bits (beyond ``count``) are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

# numpy 2 counts bits in hardware; before that, a table over 16-bit halves.
_POPCOUNT16 = (
    None
    if hasattr(np, "bitwise_count")
    else np.unpackbits(
        np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1
    ).sum(axis=1, dtype=np.uint8)
)


def nbytes(count: int) -> int:
    """Bytes that hold ``count`` bits.

    >>> nbytes(8), nbytes(9)
    (1, 2)
    """
    return (count + 7) >> 3


def pack(bits: NDArray[Any]) -> U8:
    """Pack an array of 0/1 (or bool) values.

    >>> pack(np.array([1, 0, 0, 0, 0, 0, 0, 0, 1]))
    array([1, 1], dtype=uint8)
    """
    return np.packbits(np.asarray(bits, dtype=bool), bitorder="little")


def unpack(packed: U8, count: int, start: int = 0) -> U8:
    """Bits ``start`` to ``start + count`` as a uint8 array of 0 and 1."""
    first = start >> 3
    lead = start & 7
    part = packed[first : first + nbytes(lead + count)]
    return np.unpackbits(part, count=lead + count, bitorder="little")[lead:]


def clear_padding(packed: U8, count: int) -> None:
    """Set the pad bits behind bit ``count`` to 0, in place (last byte of the column only)."""
    if count & 7:
        packed[..., nbytes(count) - 1] &= np.uint8((1 << (count & 7)) - 1)


def extract(packed: U8, start: int, count: int) -> U8:
    """Bits ``start`` to ``start + count`` packed anew from bit 0; a view where no shift is needed.

    >>> extract(np.array([0b10110000, 0b1], np.uint8), 4, 5)
    array([27], dtype=uint8)
    """
    size = nbytes(count)
    first, shift = start >> 3, start & 7
    part = packed[first : first + nbytes(shift + count)]
    if not shift:
        if count & 7:
            part = part.copy()
            clear_padding(part, count)
        return part
    out = part[:size] >> np.uint8(shift)
    upper = part[1 : size + 1]
    out[: len(upper)] |= upper << np.uint8(8 - shift)
    clear_padding(out, count)
    return out


def shift_in(packed: U8, lead: int, first_byte: int | U8 = 0) -> U8:
    """The column moved up by ``lead`` (0–7) bits, with ``first_byte``'s low ``lead`` bits below it.

    This is what an append at bit offset ``8*k + lead`` writes from byte ``k`` on: the bits
    already there are kept, the new ones follow.  One byte longer than the input at most.
    Several columns at once have shape (columns, bytes), and one first byte each.
    """
    if not lead:
        return packed
    out = np.zeros((*packed.shape[:-1], packed.shape[-1] + 1), np.uint8)
    out[..., :-1] = packed << np.uint8(lead)
    out[..., 1:] |= packed >> np.uint8(8 - lead)
    out[..., 0] |= np.asarray(first_byte, np.uint8) & np.uint8((1 << lead) - 1)
    return out


def count_ones(packed: NDArray[Any]) -> int:
    """How many bits are set (any unsigned dtype)."""
    if packed.itemsize == 1 and packed.ndim == 1 and packed.size > 64 and packed.flags.c_contiguous:
        whole = packed.size & ~7  # by words it goes several times faster
        return count_ones(packed[:whole].view(np.uint64)) + count_ones(packed[whole:])
    if _POPCOUNT16 is None:
        return int(np.bitwise_count(packed).sum(dtype=np.uint64))
    flat = np.ascontiguousarray(packed).view(np.uint8).ravel()
    even = flat[: len(flat) & ~1].view(np.uint16)
    total = int(_POPCOUNT16[even].sum(dtype=np.uint64))
    return total + (int(_POPCOUNT16[flat[-1]]) if len(flat) & 1 else 0)


def select(packed: U8, mask: U8, count: int) -> U8:
    """The bits of ``packed`` at which ``mask`` is 1, packed anew from bit 0."""
    return pack(unpack(packed, count)[unpack(mask, count).view(bool)])
