"""The names beside an output's: where it grows, and where it is made."""

from __future__ import annotations

from pathlib import Path


def part_path(path: Path) -> Path:
    """The partial file of ``path``."""
    return path.with_name(path.name + ".part")


def aside_path(path: Path) -> Path:
    """Where a file is made before it gets the name ``path``."""
    return path.with_name(path.name + ".tmp")
