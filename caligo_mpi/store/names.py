"""The names beside an output's: where it grows, and where it is made."""

from __future__ import annotations

from pathlib import Path

from ..errors import StoreError


class AlreadyComplete(StoreError):
    """What was asked for is there, finished: raised once the lock is held, so that nobody is writing it any more."""


def part_path(path: Path) -> Path:
    """The partial file of ``path``."""
    return path.with_name(path.name + ".part")


def aside_path(path: Path) -> Path:
    """Where a file is made before it gets the name ``path``."""
    return path.with_name(path.name + ".tmp")
