"""What arrays of pairs must be like, for arrays that come from somebody else.

Each function returns a sentence about the first thing that is wrong, naming the column, the first
bad row and its value; nothing if all is well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..machine.wording import counted
from . import bits
from .table import BITS, ColumnSpec

if TYPE_CHECKING:
    from .columns import PairArrays, Pairs

_BITS = tuple(column.name for column in BITS)


def breach_of_arrays(pairs: PairArrays) -> str:
    """For unpacked pairs: four columns of bits of one length, and what `breach_of_places` says."""
    columns = dict(zip(_BITS, pairs[:4], strict=True))
    lengths = {}
    for name, column in columns.items():
        if sentence := breach_of_bits(name, column):
            return sentence
        lengths[name] = len(column)
    rows = lengths["alice_basis"]
    for name, length in lengths.items():
        if length != rows:
            return (
                f"{name} has {counted(length, 'row')} and alice_basis has {rows:,}; "
                "all columns are equally long"
            )
    return breach_of_places(pairs.index, pairs.time, rows)


def breach_of_bits(name: str, column: object) -> str:
    """For a column of bits: one-dimensional, of booleans or integers, only 0 and 1."""
    array = _vector(column)
    if isinstance(array, str):
        return f"{name} {array}"
    if array.dtype.kind not in "bui":
        return f"{name} is of dtype {array.dtype}; bits are booleans or integers, 0 and 1"
    if array.dtype.kind == "b":
        return ""
    wrong = (array != 0) & (array != 1)
    return _first(name, array, wrong, "must be 0 or 1")


def breach_of_packed(pairs: Pairs) -> str:
    """For packed pairs: the columns' dtype, shape and pad bits, and what `breach_of_places` says."""
    columns, rows = pairs.columns, pairs.count
    if not isinstance(rows, int | np.integer) or rows < 0:
        return f"count={rows} must be a whole number of at least 0"
    shape = (len(_BITS), bits.nbytes(int(rows)))
    if not isinstance(columns, np.ndarray) or columns.dtype != np.uint8 or columns.shape != shape:
        found = f"{getattr(columns, 'dtype', type(columns).__name__)} {np.shape(columns)}"
        return f"columns of {counted(int(rows), 'row')} are {found}; packed uint8 of shape {shape} is due"
    if rows & 7:
        padding = columns[:, -1] >> np.uint8(rows & 7)
        if padding.any():
            name = _BITS[int(np.flatnonzero(padding)[0])]
            return f"{name} has bits beyond its {counted(int(rows), 'row')}; pad bits are 0"
    return breach_of_places(pairs.index, pairs.time, int(rows))


def breach_of_places(index: object, time: object, rows: int) -> str:
    """For emission numbers (whole, strictly increasing) and times (finite) of so many rows."""
    if index is not None and (sentence := _breach_of_index(index, rows)):
        return sentence
    if time is None:
        return ""
    array = _vector(time)
    if isinstance(array, str):
        return f"time {array}"
    if array.dtype.kind not in "fui":
        return f"time is of dtype {array.dtype}; times are numbers, in ns"
    if len(array) != rows:
        return f"time has {counted(len(array), 'row')} and the other columns have {rows:,}"
    return _first("time", array, ~np.isfinite(array), "must be finite")


def breach_of_declared(pairs: Pairs, declared: tuple[ColumnSpec, ...]) -> str:
    """For declared columns: these and no others, in this order, of the right type and length, values in flags."""
    names = [column.name for column in declared]
    if list(pairs.extra) != names:
        return f"extra columns {', '.join(pairs.extra) or 'none'}; due are {', '.join(names) or 'none'}"
    for column in declared:
        values = pairs.extra[column.name]
        due = f"one-dimensional {column.kind.name} is due"
        if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype != column.kind:
            found = f"{getattr(values, 'dtype', type(values).__name__)} {np.shape(values)}"
            return f"{column.name} is {found}; {due}"
        if len(values) != pairs.count:
            return f"{column.name} has {len(values)} values for {pairs.count} rows"
        if column.flags:
            wrong = ~np.isin(values, list(column.flags))
            if sentence := _first(column.name, values, wrong, "is none of its flags"):
                return sentence
    return ""


def _breach_of_index(index: object, rows: int) -> str:
    array = _vector(index)
    if isinstance(array, str):
        return f"index {array}"
    if array.dtype.kind not in "ui":
        return f"index is of dtype {array.dtype}; emission numbers are integers"
    if len(array) != rows:
        return f"index has {counted(len(array), 'row')} and the other columns have {rows:,}"
    if rows and array[0] < 0:
        return f"index[0]={array[0]} must be at least 0"
    wrong = np.zeros(rows, bool)
    wrong[1:] = array[1:] <= array[:-1]
    return _first("index", array, wrong, "must be above the one before: emissions are in order")


def _vector(column: object) -> NDArray[Any] | str:
    """The column as an array, or what is wrong with it as a whole."""
    if isinstance(column, np.ma.MaskedArray):
        return "is a masked array; give the rows that count, unmasked"
    try:
        array = np.asarray(column)
    except ValueError:
        return "is a ragged list; it must be one-dimensional"
    if array.ndim != 1:
        return f"has the shape {array.shape}; it must be one-dimensional"
    return array


def _first(name: str, array: NDArray[Any], wrong: NDArray[np.bool_], rule: str) -> str:
    rows = np.flatnonzero(wrong)
    return f"{name}[{rows[0]}]={array[rows[0]]} {rule}" if len(rows) else ""
