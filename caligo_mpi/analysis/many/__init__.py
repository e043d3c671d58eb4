"""Many files as one table: a row per run, their parameters and results as columns, read when they are asked for."""

from __future__ import annotations

from .table import Runs, open_runs

__all__ = ["Runs", "open_runs"]
