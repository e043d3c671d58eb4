"""From names and patterns to files: what is meant, each once, in order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import ConfigError, StoreError
from ...runs.sweeps.reading import FILE, is_sweep
from ...store.names import final_path, part_path

Name = str | os.PathLike[str]
_ENDINGS = (".h5", ".hdf5")
#: What stands beside a file of ours and is none.
_BESIDE = (".lock", ".tmp")


def find(names: Sequence[Name]) -> list[Path]:
    """The files and directories of sweeps that ``names`` mean, each once.

    A name is a file, a directory of a sweep, another directory (of which its HDF5 files and sweeps
    are taken), or a pattern with ``*``, ``?``, ``[…]``, and ``**`` for any folders.  Raises
    `ConfigError` where nothing is named or a pattern fits nothing, `StoreError` where a file is missing.
    """
    if not names:
        raise ConfigError("no file is named; name files, directories or patterns such as '*.h5'")
    found: dict[Path, None] = {}
    for name in names:
        for path in _meant(name):
            found[path] = None
    return list(found)


def _meant(name: Name) -> Iterator[Path]:
    text = os.fspath(name)
    path = Path(text)
    if not text:
        raise ConfigError("the name of a file is empty; name a file or a pattern such as '*.h5'")
    if path.exists() or part_path(path).exists():
        yield from _inside(path)
    elif glob.has_magic(text):
        yield from _fitting(text)
    else:
        raise StoreError(f"{text} does not exist; name a file, a directory or a pattern")


def _fitting(pattern: str) -> Iterator[Path]:
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207 - a Path takes no absolute pattern
    fitting = [Path(one) for one in sorted(names)]
    files = [one for one in fitting if one.suffix not in _BESIDE]
    if not files:
        raise ConfigError(f"no file fits {pattern!r} in {Path.cwd()}; name another pattern")
    for one in files:
        if not one.is_dir() or is_sweep(one):
            yield _named(one)


def _inside(path: Path) -> Iterator[Path]:
    if not path.is_dir() or is_sweep(path):
        yield _named(path)
        return
    inside = sorted(path.iterdir())
    mine = [one for one in inside if _is_candidate(one)]
    if not mine:
        raise ConfigError(f"{path} holds neither HDF5 files nor sweeps; name another directory")
    yield from map(_named, mine)


def _is_candidate(path: Path) -> bool:
    if path.is_dir():
        return is_sweep(path)
    return final_path(path).suffix in _ENDINGS


def _named(path: Path) -> Path:
    """The name under which a run is known: that of a partial file is its final one, of a sweep its directory."""
    final = final_path(path)
    return final.parent if final.name == FILE and is_sweep(final.parent) else final
