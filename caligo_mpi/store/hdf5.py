"""Writing HDF5 files that `walk` can vouch for: checksummed headers, text of fixed length, nothing in a heap."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .metadata import pieces

# Object headers of HDF5 1.8 carry checksums, so that damaged metadata is noticed; newer ones mark a
# file as open for writing and would refuse it after a SIGKILL.
_LIBVER = (h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)

# h5py looks this codec up while a file is open; there may be no descriptor left then to import it.
codecs.lookup("ascii")

# Attributes stay in the checksummed header, however many there are.
_MOST_ATTRIBUTES, _LEAST_IN_HEAP = 65535, 0


def create(path: Path, *, size: int = 0, mode: int = 0o666) -> h5py.File:
    """Make a new file, open for writing; `FileExistsError` where the name is taken.

    A file that may not become ``size`` bytes long is refused here: some releases of HDF5 crash on it.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    try:
        os.ftruncate(fd, size)
    finally:
        os.close(fd)
    plan = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plan.set_attr_phase_change(_MOST_ATTRIBUTES, _LEAST_IN_HEAP)
    access = _access()
    access.set_alignment(1 << 16, 1 << 12)
    file_id = h5py.h5f.create(
        os.fsencode(path),
        h5py.h5f.ACC_TRUNC,
        plan,
        access,
    )
    return h5py.File(file_id)


def change(path: Path) -> h5py.File:
    """Open a file of ours to write over attributes that have their size already."""
    file_id = h5py.h5f.open(
        os.fsencode(path),
        h5py.h5f.ACC_RDWR,
        _access(),
    )
    return h5py.File(file_id)


def _access() -> Any:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(*_LIBVER)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    return access


def seed_value(seed: int) -> np.uint64 | str:
    """A seed as an attribute: text where 64 bits do not hold it."""
    if seed < 1 << 64:
        return np.uint64(seed)
    return str(seed)


def describe(owner: h5py.Group | h5py.Dataset, attributes: Mapping[str, object]) -> None:
    """Set attributes; text becomes UTF-8 of fixed length, in pieces where it is long."""
    for name, value in attributes.items():
        if not isinstance(value, str):
            owner.attrs[name] = value
            continue
        for piece, encoded in pieces(name, value).items():
            kind = h5py.string_dtype("utf-8", max(1, len(encoded)))
            owner.attrs.create(piece, np.array(encoded, kind), dtype=kind)


def create_early(
    file: h5py.File,
    name: str,
    kind: np.dtype[Any],
    shape: tuple[int, ...],
) -> h5py.Dataset:
    """A contiguous dataset whose place in the file is fixed now and whose bytes are a hole until written."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return file.create_dataset(name, shape, kind, dcpl=plan)
