"""The table of columns: what stands in a row of a pairs file, in the order of its checksums.

Four columns of bits are always there.  ``index`` is there where pairs can be lost, and ``time`` where an
engine simulates time.  Behind them stand the columns that an engine declares, in its own order.  Whoever
stores, sends, checks, exports or describes rows follows this table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from . import bits
from .bits import U8

BIT = "bit"
_NUMBERS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")

#: Declared columns that one engine may have: HDF5 keeps so many members of a group in its header.
MOST_DECLARED = 8
_MOST_TEXT, _MOST_FLAGS = 1000, 256
_ENCODING = {
    "encoding": "bit-packed, little bit order: row i is bit i % 8 of byte i // 8",
    "unpack": "numpy.unpackbits(dataset[:], count=file.attrs['rows'], bitorder='little')",
}


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column: its name, its type, and what a reader has to know about it.

    ``dtype`` is ``"bit"`` or a number of fixed width: ``u1 u2 u4 u8 i1 i2 i4 i8 f4 f8``.  ``flags`` maps
    values to words without blanks (``{0: "psi+", 1: "psi-"}``); where it is given, no other value occurs.
    Raises `ConfigError` for what cannot be a column.
    """

    name: str
    dtype: str
    unit: str = ""
    description: str = ""
    flags: Mapping[int, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _is_plain(self.name):
            raise ConfigError(
                f"column name {self.name!r} must be up to 64 lower-case letters, digits and _, "
                "and begin with a letter"
            )
        kinds = (BIT, *_NUMBERS)
        if self.dtype not in kinds:
            known = " ".join(kinds)
            raise ConfigError(
                f"column {self.name} has dtype={self.dtype!r}; choose one of: {known}"
            )
        self._require_text("unit", self.unit)
        self._require_text("description", self.description)
        if sentence := _breach_of_flags(self):
            raise ConfigError(f"column {self.name} has {sentence}")

    def _require_text(self, what: str, text: object) -> None:
        if not isinstance(text, str) or len(text) > _MOST_TEXT:
            raise ConfigError(
                f"column {self.name} has {what}={text!r:.60}; "
                f"it must be text of at most {_MOST_TEXT} characters"
            )

    @property
    def is_bit(self) -> bool:
        """Whether the file holds it packed, eight rows per byte."""
        return self.dtype == BIT

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of its values in `Pairs.extra`, one per row: bool for bits."""
        if self.is_bit:
            return np.dtype(np.bool_)
        return np.dtype(f"<{self.dtype}")

    @property
    def shown(self) -> np.dtype[Any]:
        """The type in which people read it: uint8 (0 and 1) for bits."""
        if self.is_bit:
            return np.dtype("u1")
        return self.kind

    def items(self, rows: int) -> int:
        """How many items of type ``shown`` so many rows take in the file."""
        if self.is_bit:
            return bits.nbytes(rows)
        return rows

    def attributes(self) -> dict[str, object]:
        """What its HDF5 dataset says to a reader without this package, by the names of CF conventions."""
        found: dict[str, object] = dict(_ENCODING) if self.is_bit else {}
        if self.flags:
            values = sorted(self.flags)
            meanings = [self.flags[value] for value in values]
            found["flag_values"] = np.array(values, self.shown)
            found["flag_meanings"] = " ".join(meanings)
        if self.unit:
            found["units"] = self.unit
        if self.description:
            found["long_name"] = self.description
        return found


def _is_plain(name: str) -> bool:
    letters = name.replace("_", "")
    if not name.isascii() or not letters.isalnum():
        return False
    if name != name.lower() or len(name) > 64:
        return False
    return name[0].isalpha()


def _breach_of_flags(column: ColumnSpec) -> str:
    """What is wrong with a column's flags; nothing if they are in order."""
    flags = column.flags
    if not isinstance(flags, Mapping) or len(flags) > _MOST_FLAGS:
        return f"flags={flags!r:.60}; they must map at most {_MOST_FLAGS} values to words"
    if flags and column.kind.kind == "f":
        return f"flags and dtype={column.dtype}; only bits and integers have flags"
    for value, word in flags.items():
        if not isinstance(value, int) or not _fits(value, column):
            return f"a flag for {value!r}, which is no value of dtype={column.dtype}"
        is_word = isinstance(word, str) and word.split() == [word]
        if not is_word:
            return f"flag {value}: {word!r:.60}; a meaning is one word without blanks"
    return ""


def _fits(value: int, column: ColumnSpec) -> bool:
    if column.is_bit:
        return value in (0, 1)
    limits = np.iinfo(column.kind)
    return bool(limits.min <= value <= limits.max)


_BASIS = {0: "Z", 1: "X"}
_BIT = {0: "0", 1: "1"}

#: The columns that every pair has, in the order of ``Pairs.columns``.
BITS = (
    ColumnSpec(
        "alice_basis",
        BIT,
        description="basis that Alice measured in",
        flags=_BASIS,
    ),
    ColumnSpec(
        "alice_outcome",
        BIT,
        description="bit that Alice recorded",
        flags=_BIT,
    ),
    ColumnSpec(
        "bob_basis",
        BIT,
        description="basis that Bob measured in",
        flags=_BASIS,
    ),
    ColumnSpec(
        "bob_outcome",
        BIT,
        description="bit that Bob recorded",
        flags=_BIT,
    ),
)
INDEX = ColumnSpec("index", "u8", description="global emission number of the row")
TIME = ColumnSpec("time", "f8", "ns", "simulated time within the simulation of the row's chunk")
RESERVED = tuple(column.name for column in (*BITS, INDEX, TIME))


def table(
    *,
    has_index: bool,
    has_time: bool,
    declared: tuple[ColumnSpec, ...] = (),
) -> tuple[ColumnSpec, ...]:
    """The columns of a run's rows, in the order of every checksum.

    >>> [column.name for column in table(has_index=False, has_time=True)][3:]
    ['bob_outcome', 'time']
    """
    index = (INDEX,) if has_index else ()
    time = (TIME,) if has_time else ()
    return (*BITS, *index, *time, *declared)


def checked(columns: Iterable[object], *, who: str) -> tuple[ColumnSpec, ...]:
    """The columns that ``who`` declares; `ConfigError` where they cannot stand in one file."""
    declared = []
    names = set(RESERVED)
    for column in columns:
        if not isinstance(column, ColumnSpec):
            raise ConfigError(f"{who} declares {column!r:.60}; a column is a ColumnSpec")
        if column.name in names:
            raise ConfigError(f"{who} declares {column.name}, which is taken; choose another name")
        names.add(column.name)
        declared.append(column)
    if len(declared) > MOST_DECLARED:
        raise ConfigError(f"{who} declares {len(declared)} columns; at most {MOST_DECLARED} fit")
    return tuple(declared)


def to_json(columns: Iterable[ColumnSpec]) -> str:
    """Declared columns as text, for the file."""
    return json.dumps([_fields(column) for column in columns])


def _fields(column: ColumnSpec) -> dict[str, object]:
    flags = [[value, column.flags[value]] for value in sorted(column.flags)]
    return {
        "name": column.name,
        "dtype": column.dtype,
        "unit": column.unit,
        "description": column.description,
        "flags": flags,
    }


def from_json(text: str) -> tuple[ColumnSpec, ...]:
    """The columns that `to_json` wrote; `ValueError` or `TypeError` where the text is something else."""
    found = []
    for fields in json.loads(text):
        flags = {int(value): word for value, word in fields["flags"]}
        known = {**fields, "flags": flags}
        found.append(ColumnSpec(**known))
    return checked(found, who="the file")


def as_bytes(values: NDArray[Any]) -> U8:
    """A column beside the four as the file holds it: bits packed, numbers little-endian."""
    if values.dtype == np.bool_:
        return bits.pack(values)
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.view(np.uint8)
