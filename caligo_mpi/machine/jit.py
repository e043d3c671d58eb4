"""Compiling by numba, once per machine: what is compiled is kept on disk for the next process.

Kept under the user's cache directory, in a folder for this very source, Python, numba and CPU that nobody else may
write to: what is loaded from there is run.  Where there is no such folder, every process compiles for itself.
Importing this raises `ImportError` without numba, and where the environment says that nothing is to be compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import environment

if environment.compiling() == "off":
    raise ImportError(f"{environment.COMPILE}=off in the environment")

import llvmlite
import numba
from llvmlite import binding

_settings: Any = numba.config
#: Where numba keeps code is one setting for the whole process.
_SETTING = threading.Lock()


def helper(function: Any) -> Any:
    """A function that only compiled ones call: it becomes part of them."""
    return numba.njit(error_model="numpy")(function)


def compiler(*files: str) -> Callable[[str], Callable[[Any], Any]]:
    """A decorator that compiles for one signature at once; ``files`` are all whose text the code depends on."""
    folder = _folder(files)

    def jit(signature: str) -> Callable[[Any], Any]:
        def compiled(function: Any) -> Any:
            if folder is None:
                jit_now = numba.njit(signature, error_model="numpy", nogil=True)
                return jit_now(function)
            with _SETTING, _alone(folder), _kept_in(folder):
                jit_kept = numba.njit(
                    signature,
                    error_model="numpy",
                    nogil=True,
                    cache=True,
                )
                return jit_kept(function)

        return compiled

    return jit


def is_kept(*files: str) -> bool:
    """Whether code for these very files is kept on disk, so that it is only loaded."""
    folder = _folder(files)
    return folder is not None and any(folder.rglob("*.nbi"))


def _folder(files: tuple[str, ...]) -> Path | None:
    """Where to keep code; None where there is no place that is safe."""
    key = _key(files)
    try:
        root = Path(environment.text("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = root / "caligo-mpi" / key
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_ours = _private(folder) and _private(folder.parent)
    except (OSError, RuntimeError):  # no home, no space, not ours
        return None
    return folder if is_ours else None


def _key(files: tuple[str, ...]) -> str:
    """What tells this source, Python, numba and CPU from every other."""
    key = hashlib.sha256()
    versions = (sys.version, numba.__version__, llvmlite.__version__)
    features = binding.get_host_cpu_features()
    host = (features.flatten(), binding.get_host_cpu_name())
    asked = (_settings.CPU_NAME, _settings.CPU_FEATURES)
    words = repr((*versions, host, asked))
    key.update(words.encode())
    for file in files:
        source = Path(file)
        key.update(source.read_bytes())
    return key.hexdigest()[:16]


def _private(folder: Path) -> bool:
    """Whether this user alone can put something there."""
    found = folder.lstat()
    mode = found.st_mode
    ours = stat.S_ISDIR(mode) and found.st_uid == os.geteuid()
    return ours and not mode & 0o022 and os.access(folder, os.W_OK)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: the first compiles, those that waited load."""
    flags = os.O_RDWR | os.O_CREAT
    try:
        lock = os.open(folder / "lock", flags, 0o600)
    except OSError:
        yield
        return
    try:
        # On a file system without locks numba replaces whole files, all alike.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    before = _settings.CACHE_DIR
    _settings.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        _settings.CACHE_DIR = before
