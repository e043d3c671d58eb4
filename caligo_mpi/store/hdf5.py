"""Opening a file of ours: one sentence for whatever keeps it from being read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ..errors import StoreError
from .files import reason


class Damaged(StoreError):
    """Not a file of ours, or one whose metadata cannot be read."""


@contextmanager
def opened(path: Path, *, holds: str, format: str, version: tuple[int, int]) -> Iterator[h5py.File]:
    """The file, open for reading; ``holds`` says for people what such files hold.

    Raises `StoreError` where it is missing, cannot be read or has another format, and `Damaged` for nearly anything
    that goes wrong while it is open: damaged HDF5 metadata comes out of h5py as nearly any exception.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            _require_format(path, file, format, version)
            yield file
    except (StoreError, MemoryError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        # What the system refuses has a number.
        if "errno = " in text or (isinstance(error, OSError) and error.errno):
            raise StoreError(f"{path} cannot be read ({reason(error)})") from error
        raise Damaged(f"{path} is not an HDF5 file with {holds}, or damaged ({text})") from error


def _require_format(path: Path, file: h5py.File, format: str, version: tuple[int, int]) -> None:
    found = file.attrs["format"]
    if found != format:
        raise StoreError(f"{path} has format={found!r}; this reader knows {format!r}")
    major, minor = (int(part) for part in file.attrs["format_version"])
    if major != version[0]:
        raise StoreError(
            f"{path} has format_version={major}.{minor}; this reader knows {version[0]}.x: use another release"
        )
