"""What this place is good for: a line for each thing that a run depends on, with a remedy where it is not well."""

from __future__ import annotations

from .checkup import checkup, on_ranks
from .findings import Finding, is_well

__all__ = ["Finding", "checkup", "is_well", "on_ranks"]
