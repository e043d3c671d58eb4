"""A range of a file's rows as the tables of other libraries, each imported only where it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, EnvironmentProblem
from ..pairs import PairArrays, Pairs
from .info import RunInfo

if TYPE_CHECKING:
    from .column import Column

    class _File(Protocol):
        """What an open pairs file has."""

        info: RunInfo
        rows: int
        data_digest: str

        @property
        def columns(self) -> dict[str, Column]: ...

        def blocks(
            self,
            rows: int = ...,
            *,
            start: int = ...,
            stop: int | None = ...,
        ) -> Iterator[Pairs]: ...


_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Selection:
    """Some rows and columns of an open file; `select` makes one."""

    file: _File
    start: int
    stop: int
    names: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows were selected."""
        return self.stop - self.start

    @property
    def kinds(self) -> dict[str, np.dtype[Any]]:
        """The columns' types by name."""
        columns = self.file.columns
        return {name: columns[name].dtype for name in self.names}

    @property
    def notes(self) -> dict[str, str]:
        """What belongs to every table: whose rows these are."""
        info = self.file.info
        return {
            "config": info.config,
            "config_digest": info.config_digest,
            "data_digest": self.file.data_digest,
        }

    def blocks(self) -> Iterator[dict[str, NDArray[Any]]]:
        """The rows as named arrays, a block at a time, every checksum verified."""
        for block in self.file.blocks(_ROWS, start=self.start, stop=self.stop):
            arrays = PairArrays.unpacked(block).named()
            yield {name: arrays[name] for name in self.names}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The selected columns as arrays in memory, by name."""
        found = {name: np.empty(self.rows, kind) for name, kind in self.kinds.items()}
        at = 0
        for block in self.blocks():
            for name, values in block.items():
                found[name][at : at + len(values)] = values
            at += len(next(iter(block.values())))
        return found


def select(
    file: _File,
    start: int = 0,
    stop: int | None = None,
    columns: Sequence[str] | None = None,
) -> Selection:
    """Rows ``start`` to ``stop`` of some columns, all of them unless named, in the order of the file.

    Raises `ConfigError` for rows and columns that the file does not have.
    """
    if stop is None:
        stop = file.rows
    if not 0 <= start <= stop <= file.rows:
        raise ConfigError(
            f"rows={start}:{stop} are not within the file's {file.rows:,} rows; "
            f"give two numbers from 0 to {file.rows}, the smaller one first"
        )
    known = tuple(file.columns)
    if columns is None:
        return Selection(file, start, stop, known)
    if isinstance(columns, str) or not columns:
        raise ConfigError(f"columns={columns!r} must be a list of names of: {', '.join(known)}")
    for name in columns:
        if name not in known:
            raise ConfigError(f"columns={name!r}: the file has {', '.join(known)}")
    names = [name for name in known if name in columns]
    return Selection(file, start, stop, tuple(names))


class Frames:
    """Adds tables of other libraries to an open pairs file.

    Each takes rows ``start`` to ``stop`` and the ``columns`` that are named, all unless given, and holds
    them in memory, a byte per bit.  Raises `ConfigError` for what the file does not have,
    `EnvironmentProblem` where the library is not installed, `StoreError` for damaged rows.
    """

    def to_pandas(
        self: _File,
        start: int = 0,
        stop: int | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> Any:
        """A `pandas.DataFrame` whose index are the row numbers; ``attrs`` say whose rows they are."""
        pandas = library("pandas")
        chosen = select(self, start, stop, columns)
        index = pandas.RangeIndex(chosen.start, chosen.stop, name="row")
        frame = pandas.DataFrame(chosen.arrays(), index=index, copy=False)
        frame.attrs.update(chosen.notes)
        return frame

    def to_polars(
        self: _File,
        start: int = 0,
        stop: int | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> Any:
        """A `polars.DataFrame` with a column for each of the file."""
        polars = library("polars")
        return polars.DataFrame(select(self, start, stop, columns).arrays())

    def to_arrow(
        self: _File,
        start: int = 0,
        stop: int | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> Any:
        """A `pyarrow.Table` with configuration and digests as its metadata."""
        pyarrow = library("pyarrow")
        chosen = select(self, start, stop, columns)
        return pyarrow.table(chosen.arrays()).replace_schema_metadata(chosen.notes)

    def to_xarray(
        self: _File,
        start: int = 0,
        stop: int | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> Any:
        """An `xarray.Dataset` over ``row`` with units, descriptions and CF flags as attributes."""
        xarray = library("xarray")
        chosen = select(self, start, stop, columns)
        columns_of = self.columns
        variables = {
            name: ("row", values, _cf(columns_of[name])) for name, values in chosen.arrays().items()
        }
        rows = {"row": np.arange(chosen.start, chosen.stop)}
        return xarray.Dataset(variables, coords=rows, attrs=chosen.notes)


def _cf(column: Column) -> dict[str, Any]:
    """The attributes of a column by the CF conventions."""
    found: dict[str, Any] = {}
    if column.unit:
        found["units"] = column.unit
    if column.description:
        found["long_name"] = column.description
    if column.flags:
        found["flag_values"] = np.array(list(column.flags), column.dtype)
        found["flag_meanings"] = " ".join(column.flags.values())
    return found


def library(name: str) -> Any:
    """The library of that name; `EnvironmentProblem` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise EnvironmentProblem(
            f"{name} is not installed: python -m pip install {name}, or 'caligo-mpi[frames]'"
        ) from None
