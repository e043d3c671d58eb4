"""Packed columns of bits: eight per byte, little bit order, so row i is bit i.

A packed column of ``count`` bits is a uint8 array of ``nbytes(count)`` bytes
whose pad bits (beyond ``count``) are 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

U8 = NDArray[np.uint8]


def _table_of_ones() -> U8:
    """How many bits are set in each 16-bit number."""
    numbers = np.arange(1 << 16, dtype=np.uint16)
    halves = numbers.view(np.uint8).reshape(-1, 2)
    flags = np.unpackbits(halves, axis=1)
    counts: U8 = flags.sum(axis=1, dtype=np.uint8)
    return counts


# numpy 2 counts bits in hardware; before that, a table over 16-bit halves.
_POPCOUNT16 = None if hasattr(np, "bitwise_count") else _table_of_ones()


def nbytes(count: int) -> int:
    """Bytes that hold ``count`` bits.

    >>> nbytes(8), nbytes(9)
    (1, 2)
    """
    return (count + 7) >> 3


def pack(bits: NDArray[Any]) -> U8:
    """Pack an array of booleans, or of integers that are 0 or 1.

    Raises `ConfigError` for anything else.

    >>> pack(np.array([1, 0, 0, 0, 0, 0, 0, 0, 1]))
    array([1, 1], dtype=uint8)
    """
    array = np.asarray(bits)
    kind = array.dtype.kind
    if kind not in "bui":
        raise ConfigError(
            f"an array of dtype {array.dtype} holds no bits; give booleans, or 0 and 1"
        )
    if kind != "b" and array.size:
        _require_zeros_and_ones(array)
    flags = array.astype(bool, copy=False)
    return np.packbits(flags, bitorder="little")


def _require_zeros_and_ones(array: NDArray[Any]) -> None:
    if array.min() >= 0 and array.max() <= 1:
        return
    wrong = (array != 0) & (array != 1)
    row = _first(wrong)
    value = array.flat[row]
    raise ConfigError(f"bit {row} is {value}; bits are 0 and 1")


def _first(wrong: NDArray[np.bool_]) -> int:
    """Where the first wrong value is."""
    places = np.flatnonzero(wrong)
    return int(places[0])


def require_bits(**arrays: U8) -> None:
    """Raise `ConfigError` unless each array is of uint8 and holds 0 and 1 only."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
            name_of_type = type(array).__name__
            kind = getattr(array, "dtype", name_of_type)
            raise ConfigError(f"{name} is of {kind}; bits are an array of uint8, 0 and 1")
        if not array.size or array.max() <= 1:
            continue
        place = _first(array > 1)
        value = array.flat[place]
        raise ConfigError(f"bit {place} of {name} is {value}; bits are 0 and 1")


def unpack(packed: U8, count: int, start: int = 0) -> U8:
    """Bits ``start`` to ``start + count`` as a uint8 array of 0 and 1."""
    first = start >> 3
    lead = start & 7
    end = first + nbytes(lead + count)
    values = np.unpackbits(
        packed[first:end],
        count=lead + count,
        bitorder="little",
    )
    return values[lead:]


def clear_padding(packed: U8, count: int) -> None:
    """Set the pad bits behind bit ``count`` to 0, in place (last byte of the column only)."""
    used = count & 7
    if not used:
        return
    last = nbytes(count) - 1
    kept = (1 << used) - 1
    packed[..., last] &= np.uint8(kept)


def extract(packed: U8, start: int, count: int) -> U8:
    """Bits ``start`` to ``start + count``, packed anew from bit 0.

    The result is a view where neither a shift nor new pad bits are needed.

    >>> extract(np.array([0b10110000, 0b1], np.uint8), 4, 5)
    array([27], dtype=uint8)
    """
    size = nbytes(count)
    first = start >> 3
    shift = start & 7
    end = first + nbytes(shift + count)
    part = packed[first:end]
    if not shift:
        if count & 7:
            part = part.copy()
            clear_padding(part, count)
        return part
    out = part[:size] >> np.uint8(shift)
    upper = part[1 : size + 1]
    carried = upper << np.uint8(8 - shift)
    out[: len(carried)] |= carried
    clear_padding(out, count)
    return out


def shift_in(packed: U8, lead: int, first_byte: int | U8 = 0) -> U8:
    """The column moved up by ``lead`` (0–7) bits, with ``first_byte``'s low ``lead`` bits below it.

    This is what an append at bit offset ``8*k + lead`` writes from byte ``k`` on: the bits that
    are there already are kept, and the new ones follow.  The result is at most one byte longer
    than the input.  Several columns at once have shape (columns, bytes), and one first byte each.
    """
    if not lead:
        return packed
    *columns, size = packed.shape
    shape = (*columns, size + 1)
    out = np.zeros(shape, np.uint8)
    lower = packed << np.uint8(lead)
    carried = packed >> np.uint8(8 - lead)
    out[..., :-1] = lower
    out[..., 1:] |= carried
    kept = np.uint8((1 << lead) - 1)
    there = np.asarray(first_byte, np.uint8)
    out[..., 0] |= there & kept
    return out


def count_ones(packed: NDArray[Any]) -> int:
    """How many bits are set in an array of any unsigned dtype."""
    size = packed.size
    are_bytes = packed.itemsize == 1 and packed.ndim == 1
    if are_bytes and size > 64 and packed.flags.c_contiguous:
        whole = size & ~7  # by words it goes several times faster
        words = packed[:whole].view(np.uint64)
        rest = packed[whole:]
        return count_ones(words) + count_ones(rest)
    if _POPCOUNT16 is None:
        ones = np.bitwise_count(packed)
        return int(ones.sum(dtype=np.uint64))
    return _sum_of_table(packed, _POPCOUNT16)


def _sum_of_table(packed: NDArray[Any], counts: U8) -> int:
    """The same by ``counts``, the number of ones in each 16-bit number."""
    flat = np.ascontiguousarray(packed).view(np.uint8).ravel()
    size = len(flat)
    even = size & ~1
    halves = flat[:even].view(np.uint16)
    ones = counts[halves]
    total = int(ones.sum(dtype=np.uint64))
    if even < size:
        last = flat[-1]
        total += int(counts[last])
    return total


def select(packed: U8, mask: U8, count: int) -> U8:
    """The bits of ``packed`` at which ``mask`` is 1, packed anew from bit 0; both have ``count`` bits."""
    values = unpack(packed, count)
    wanted = unpack(mask, count).view(bool)
    return pack(values[wanted])


def joined(parts: Iterable[tuple[U8, int]]) -> Iterator[U8]:
    """Packed columns, each with its number of bits, end to end, as pieces of whole bytes.

    >>> pieces = joined([(np.array([0b101], np.uint8), 3), (np.array([0b11, 0b1], np.uint8), 9)])
    >>> np.concatenate(list(pieces)).tolist()
    [29, 8]
    """
    lead = 0
    last = 0
    for packed, count in parts:
        moved = shift_in(packed, lead, last)
        whole, lead = divmod(lead + count, 8)
        yield moved[:whole]
        last = 0
        if lead:
            last = int(moved[whole])
    if lead:
        yield np.array([last], np.uint8)
