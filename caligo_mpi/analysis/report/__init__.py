"""One page about one or several files, with figures, for people who look rather than read."""

from __future__ import annotations

from .make import report

__all__ = ["report"]
