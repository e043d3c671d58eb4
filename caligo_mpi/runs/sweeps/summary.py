"""How a launch of a sweep ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .results import Table


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """How a launch ended: a row per point that was asked for, in order; pairs and seconds of this launch alone."""

    directory: Path
    table: Table
    launched: int
    seconds: float
    complete: bool
    messages: tuple[str, ...] = ()
