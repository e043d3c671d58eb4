"""Plain columns for other programs: one value per pair, in memory a block at a time."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ..errors import ConfigError, EnvironmentProblem, StoreError
from .again import Simulator, require_bits
from .files import disk_errors, move_new
from .frames import Selection, select
from .joint import joint, write_mat
from .names import output_name
from .reader import PairsFile, open_pairs

Kind = Literal["npz", "csv", "parquet", "bytes", "joint"]


def export(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str],
    *,
    kind: Kind,
    rows: tuple[int, int | None] = (0, None),
    columns: Sequence[str] | None = None,
    simulator: Simulator | None = None,
) -> Path:
    """Write the rows of a pairs file as plain columns to ``to``, which must not exist; every checksum is verified.

    ``npz``: arrays for `numpy.load`.  ``csv``: a header and one line per row.  ``parquet``: one row group per block
    (needs pyarrow).  ``bytes``: a directory with one raw file per column, ``alice_basis.u1`` … (one byte per value),
    ``index.u8`` and ``time.f8`` (little-endian).  ``joint``: counts and p(a, b | x, y) of
    all rows as JSON, and beside it as .mat where scipy is installed; see `store.joint`.

    Columns are those of the file, declared ones included, or those of them that are named; ``rows`` are the first
    and the one behind the last.  ``simulator`` is as for `open_pairs`.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind={kind!r} must be one of {', '.join(get_args(Kind))}")
    target = Path(to)
    if os.path.lexists(target):
        raise StoreError(f"{target} exists; exports overwrite nothing: choose another name")
    target = output_name(target)
    aside = _aside(target)
    with (
        open_pairs(path, simulator=simulator) as file,
        disk_errors(target, "exporting", remedy="choose another place for it"),
    ):
        if kind == "joint":
            return _export_joint(file, target, whole=rows == (0, None) and columns is None)
        require_bits(file.path, file.info, to="export")
        chosen = select(file, *rows, columns)
        try:
            _WRITERS[kind](chosen, aside)
            _publish(aside, target)
        finally:
            _remove(aside)
    return target


def _write_npz(chosen: Selection, target: Path) -> None:
    """An npz file is a zip of npy files, so each column is one pass over the pairs."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, kind in chosen.kinds.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
                header = {
                    "descr": np.lib.format.dtype_to_descr(kind),
                    "fortran_order": False,
                    "shape": (chosen.rows,),
                }
                np.lib.format.write_array_header_1_0(out, header)
                for block in chosen.blocks():
                    out.write(block[name].tobytes())


def _write_csv(chosen: Selection, target: Path) -> None:
    kinds = chosen.kinds
    names = list(kinds)
    fields = ["%r" if kind.kind == "f" else "%d" for kind in kinds.values()]
    line = ",".join(fields) + "\n"
    with target.open("w") as out:
        out.write(",".join(names) + "\n")
        for block in chosen.blocks():
            columns = [block[name].tolist() for name in names]
            rows = zip(*columns, strict=True)
            out.writelines(map(line.__mod__, rows))


def _write_parquet(chosen: Selection, target: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise EnvironmentProblem(
            "export to parquet needs pyarrow, which is not installed: python -m pip install 'caligo-mpi[parquet]'"
        ) from None
    fields = [(name, pyarrow.from_numpy_dtype(kind)) for name, kind in chosen.kinds.items()]
    schema = pyarrow.schema(fields, metadata=chosen.notes)
    with pyarrow.parquet.ParquetWriter(target, schema) as out:
        for block in chosen.blocks():
            out.write_table(pyarrow.table(block, schema=schema))


def _write_bytes(chosen: Selection, target: Path) -> None:
    target.mkdir()
    with ExitStack() as stack:
        outs = {}
        for name, kind in chosen.kinds.items():
            column = target / f"{name}.{kind.kind}{kind.itemsize}"
            outs[name] = stack.enter_context(column.open("wb"))
        for block in chosen.blocks():
            for name, values in block.items():
                outs[name].write(values.tobytes())


_WRITERS = {
    "npz": _write_npz,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "bytes": _write_bytes,
}


def _export_joint(file: PairsFile, target: Path, *, whole: bool) -> Path:
    if not whole:
        raise ConfigError("--rows and --columns do not go with joint, which counts all rows")
    matlab = target.with_suffix(".mat")
    if matlab == target or os.path.lexists(matlab):
        raise StoreError(f"{matlab} would be overwritten or is no JSON; choose another name")
    values = joint(file)
    aside = _aside(target)
    beside = _aside(matlab)
    try:
        aside.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
        if write_mat(values, beside):
            move_new(beside, matlab)
        move_new(aside, target)
    finally:
        _remove(aside)
        _remove(beside)
    return target


def _aside(target: Path) -> Path:
    """The name under which a file is made."""
    return target.with_name(f"{target.name}.tmp-{os.getpid()}")


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
