"""One column of an open pairs file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs import ColumnSpec


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an open file: ``column[a:b]`` is an array (uint8 0 and 1 for bits), ``column[i]`` one value.

    ``name``, ``dtype``, ``unit``, ``description`` and ``flags`` (value to meaning) say what it holds.
    Slices come straight from the disk; only `PairsFile.blocks` and `read_pairs` verify checksums.  Where the file keeps
    records only, the chunks that hold them are simulated again, and verified.
    """

    rows: int
    read: Callable[[int, int], NDArray[Any]]
    spec: ColumnSpec

    @property
    def name(self) -> str:
        """The name of the column in its file."""
        return self.spec.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values that are read; uint8 for bits."""
        return self.spec.shown

    @property
    def unit(self) -> str:
        """Its physical unit; empty where it has none."""
        return self.spec.unit

    @property
    def description(self) -> str:
        """What the column is, in words."""
        return self.spec.description

    @property
    def flags(self) -> Mapping[int, str]:
        """What each value means; empty where values are numbers."""
        return self.spec.flags

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, item: int | slice) -> Any:
        """Read one row or a slice of rows."""
        if not isinstance(item, slice):
            row = range(self.rows)[item]
            return self.read(row, row + 1)[0]
        wanted = range(self.rows)[item]
        if not wanted:
            return self.read(0, 0)
        low = min(wanted)
        values = self.read(low, max(wanted) + 1)
        return values[wanted.start - low :: wanted.step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole column in memory, as an array of one dimension."""
        return np.asarray(self[:], dtype)
