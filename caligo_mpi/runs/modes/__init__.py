"""What a kind of run has to know of each mode of the protocol: one module per mode."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .mode import Formula, Mode, Rates, Tested

__all__ = ["Formula", "Mode", "Rates", "Tested", "mode_of"]


def mode_of(name: str) -> Mode[Any]:
    """The mode of that name, which has an entry in `caligo_mpi.config.modes.MODES`."""
    found: Mode[Any] = import_module(f".{name}", __name__).MODE
    return found
