"""What arrays of pairs must be like, for arrays that come from somebody else.

Each function returns a sentence about the first thing that is wrong, naming the column, the first
bad row and its value; nothing if all is well.
"""

from __future__ import annotations

from collections.abc import Iterable
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
            own = counted(length, "row")
            return f"{name} has {own} and alice_basis has {rows:,}; all columns are equally long"
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
    if not isinstance(pairs.count, int | np.integer) or pairs.count < 0:
        return f"count={pairs.count} must be a whole number of at least 0"
    rows = int(pairs.count)
    sentence = _breach_of_columns(pairs.columns, rows)
    return sentence or breach_of_places(pairs.index, pairs.time, rows)


def _breach_of_columns(columns: object, rows: int) -> str:
    """What is wrong with the four packed columns of so many rows."""
    length = counted(rows, "row")
    shape = (len(_BITS), bits.nbytes(rows))
    if not isinstance(columns, np.ndarray) or columns.dtype != np.uint8 or columns.shape != shape:
        found = _described(columns)
        due = f"packed uint8 of shape {shape} is due"
        return f"columns of {length} are {found}; {due}"
    used = rows & 7
    if not used:
        return ""
    padding = columns[:, -1] >> np.uint8(used)
    wrong = np.flatnonzero(padding)
    if not len(wrong):
        return ""
    name = _BITS[int(wrong[0])]
    return f"{name} has bits beyond its {length}; pad bits are 0"


def _described(values: Any) -> str:
    """The type and the shape of what was given for an array."""
    name = type(values).__name__
    kind = getattr(values, "dtype", name)
    shape = np.shape(values)
    return f"{kind} {shape}"


def breach_of_places(index: object, time: object, rows: int) -> str:
    """For emission numbers (whole, strictly increasing) and times (finite) of so many rows."""
    sentence = _breach_of_index(index, rows)
    return sentence or _breach_of_time(time, rows)


def _breach_of_time(time: object, rows: int) -> str:
    if time is None:
        return ""
    array = _vector(time)
    if isinstance(array, str):
        return f"time {array}"
    if array.dtype.kind not in "fui":
        return f"time is of dtype {array.dtype}; times are numbers, in ns"
    if sentence := _breach_of_length("time", array, rows):
        return sentence
    wrong = ~np.isfinite(array)
    return _first("time", array, wrong, "must be finite")


def breach_of_declared(pairs: Pairs, declared: tuple[ColumnSpec, ...]) -> str:
    """For declared columns: these and no others, in this order, of the right type and length, values in flags."""
    due = [column.name for column in declared]
    if list(pairs.extra) != due:
        found = _listed(pairs.extra)
        return f"extra columns {found}; due are {_listed(due)}"
    for column in declared:
        values = pairs.extra[column.name]
        if sentence := _breach_of_column(column, values, pairs.count):
            return sentence
    return ""


def _breach_of_column(column: ColumnSpec, values: object, rows: int) -> str:
    """What is wrong with the values of one declared column."""
    name = column.name
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype != column.kind:
        due = f"one-dimensional {column.kind.name} is due"
        return f"{name} is {_described(values)}; {due}"
    if len(values) != rows:
        return f"{name} has {len(values)} values for {rows} rows"
    if not column.flags:
        return ""
    allowed = list(column.flags)
    wrong = ~np.isin(values, allowed)
    return _first(
        name,
        values,
        wrong,
        "is none of its flags",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _breach_of_index(index: object, rows: int) -> str:
    if index is None:
        return ""
    array = _vector(index)
    if isinstance(array, str):
        return f"index {array}"
    if array.dtype.kind not in "ui":
        return f"index is of dtype {array.dtype}; emission numbers are integers"
    if sentence := _breach_of_length("index", array, rows):
        return sentence
    if rows and array[0] < 0:
        return f"index[0]={array[0]} must be at least 0"
    wrong = np.zeros(rows, bool)
    wrong[1:] = array[1:] <= array[:-1]
    return _first(
        "index",
        array,
        wrong,
        "must be above the one before: emissions are in order",
    )


def _breach_of_length(name: str, array: NDArray[Any], rows: int) -> str:
    """What is wrong with a column that is not as long as the others."""
    length = len(array)
    if length == rows:
        return ""
    own = counted(length, "row")
    return f"{name} has {own} and the other columns have {rows:,}"


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


def _first(
    name: str,
    array: NDArray[Any],
    wrong: NDArray[np.bool_],
    rule: str,
) -> str:
    """A sentence about the first row that is wrong; nothing if none is."""
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return ""
    row = rows[0]
    return f"{name}[{row}]={array[row]} {rule}"
