"""Plain columns for other programs: one value per pair, in memory a block at a time."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import EnvironmentProblem, StoreError
from ..pairs import PairArrays
from .again import Simulator, require_bits
from .files import disk_errors, move_new
from .names import output_name
from .reader import PairsFile, open_pairs

Kind = Literal["npz", "csv", "parquet", "bytes"]

_ROWS = 1 << 20


def export(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str],
    *,
    kind: Kind,
    simulator: Simulator | None = None,
) -> Path:
    """Write the rows of a pairs file as plain columns to ``to``, which must not exist; every checksum is verified.

    ``npz``: arrays for `numpy.load`.  ``csv``: a header and one line per row.  ``parquet``: one row group per block
    (needs pyarrow).  ``bytes``: a directory with one raw file per column, ``alice_basis.u1`` … (one byte per value),
    ``index.u8`` and ``time.f8`` (little-endian).  Columns are those of the file, declared ones included;
    ``simulator`` is as for `open_pairs`.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind={kind!r} must be one of {', '.join(get_args(Kind))}")
    target = Path(to)
    if os.path.lexists(target):
        raise StoreError(f"{target} exists; exports overwrite nothing: choose another name")
    target = output_name(target)
    write = {
        "npz": _write_npz,
        "csv": _write_csv,
        "parquet": _write_parquet,
        "bytes": _write_bytes,
    }[kind]
    aside = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    with (
        open_pairs(path, simulator=simulator) as file,
        disk_errors(target, "exporting", remedy="choose another place for it"),
    ):
        require_bits(file.path, file.info, to="export")
        try:
            write(file, aside)
            _publish(aside, target)
        finally:
            _remove(aside)
    return target


def _blocks(file: PairsFile) -> Iterator[dict[str, NDArray[Any]]]:
    """The rows as named arrays, a block at a time."""
    for block in file.blocks(_ROWS):
        yield PairArrays.unpacked(block).named()


def _columns(file: PairsFile) -> dict[str, np.dtype[Any]]:
    return {name: column.dtype for name, column in file.columns.items()}


def _write_npz(file: PairsFile, target: Path) -> None:
    """An npz file is a zip of npy files, so each column is one pass over the pairs."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, kind in _columns(file).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
                header = {
                    "descr": np.lib.format.dtype_to_descr(kind),
                    "fortran_order": False,
                    "shape": (file.rows,),
                }
                np.lib.format.write_array_header_1_0(out, header)
                for block in _blocks(file):
                    out.write(block[name].tobytes())


def _write_csv(file: PairsFile, target: Path) -> None:
    kinds = _columns(file)
    names = list(kinds)
    fields = ["%r" if kind.kind == "f" else "%d" for kind in kinds.values()]
    line = ",".join(fields) + "\n"
    with target.open("w") as out:
        out.write(",".join(names) + "\n")
        for block in _blocks(file):
            columns = [block[name].tolist() for name in names]
            rows = zip(*columns, strict=True)
            out.writelines(map(line.__mod__, rows))


def _write_parquet(file: PairsFile, target: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise EnvironmentProblem(
            "export to parquet needs pyarrow, which is not installed: python -m pip install 'caligo-mpi[parquet]'"
        ) from None
    fields = [(name, pyarrow.from_numpy_dtype(kind)) for name, kind in _columns(file).items()]
    notes = {
        "config": file.info.config,
        "config_digest": file.digest,
        "data_digest": file.data_digest,
    }
    schema = pyarrow.schema(fields, metadata=notes)
    with pyarrow.parquet.ParquetWriter(target, schema) as out:
        for block in _blocks(file):
            out.write_table(pyarrow.table(block, schema=schema))


def _write_bytes(file: PairsFile, target: Path) -> None:
    target.mkdir()
    with ExitStack() as stack:
        outs = {}
        for name, kind in _columns(file).items():
            column = target / f"{name}.{kind.kind}{kind.itemsize}"
            outs[name] = stack.enter_context(column.open("wb"))
        for block in _blocks(file):
            for name, values in block.items():
                outs[name].write(values.tobytes())


def _publish(aside: Path, target: Path) -> None:
    if aside.is_dir():
        # A rename would replace an empty directory, and a hard link to a directory does not exist.
        target.mkdir()
        aside.rename(target)
    else:
        move_new(aside, target)


def _remove(aside: Path) -> None:
    if aside.is_dir():
        shutil.rmtree(aside)
    else:
        aside.unlink(missing_ok=True)
