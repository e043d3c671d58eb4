"""Configurations that can be read once only, kept for as long as ranks may need them."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..config.reading import MOST_BYTES
from ..errors import ConfigError
from ..launch import mpirun as launch


@contextmanager
def lasting(config: str | None) -> Iterator[str | None]:
    """The name under which ranks can read this configuration, in every launch anew; None where none is given.

    What comes from a pipe or a terminal (``/dev/stdin``, ``<(…)``) can be read once only, and by this process alone:
    a copy in TMPDIR, for this user's eyes only, stands for it meanwhile.
    """
    if config is None or launch.is_launched() or not _is_fleeting(config):
        yield config
        return
    with launch.temporary_errors():
        folder = Path(tempfile.mkdtemp(prefix="caligo-"))
    source = Path(config)
    copy = folder / source.name
    try:
        _copy_for_us(source, copy)
        yield str(copy)
    finally:
        copy.unlink(missing_ok=True)
        folder.rmdir()


def _is_fleeting(config: str) -> bool:
    """Whether a file of this name is another one for each process, or is gone when it has been read."""
    try:
        mode = Path(config).stat().st_mode
    except (OSError, ValueError):
        return False  # the reader says what is wrong
    # Standard input may be a regular file: then the ranks would find another one there.
    is_there_for_all = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return not is_there_for_all or config.startswith(_PER_PROCESS)


_PER_PROCESS = ("/dev/", "/proc/")


def _copy_for_us(source: Path, copy: Path) -> None:
    """Copy the beginning of ``source``, to one byte beyond what a configuration may have."""
    try:
        with source.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    with launch.temporary_errors():
        copy.touch(0o600, exist_ok=False)
        copy.write_bytes(text)
