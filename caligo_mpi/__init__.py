"""Entangled-pair experiments on MPI: one YAML in, one HDF5 file of measured pairs out.

The public names are loaded on first use, so importing the package costs nothing
and needs neither MPI nor a simulator.
"""

from __future__ import annotations

from ._version import __version__

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from typing import Any

    from .analysis import Analysis, analyze
    from .analysis.many import Runs, open_runs
    from .config import RunConfig, load_config, parse_config
    from .config.protocol import load_protocol, parse_protocol
    from .engines.link import Expected
    from .errors import CaligoError, ConfigError, EngineError, EnvironmentProblem, StoreError
    from .pairs import Chunk, ColumnSpec, PairArrays, Pairs, Tally, tally
    from .parallel.job import Progress
    from .protocol.run import run_protocol
    from .protocol.types import KeyResult
    from .runs.again import open_pairs, read_pairs
    from .runs.generate import Summary
    from .runs.in_memory import generate_pairs
    from .runs.sweeps.reading import Sweep, read_sweep
    from .store import PairsFile, status
    from .store.keys import read_keys


_HOME = {
    "analysis": ("Analysis", "analyze"),
    "analysis.many": ("Runs", "open_runs"),
    "config": (
        "RunConfig",
        "load_config",
        "parse_config",
    ),
    "config.protocol": (
        "load_protocol",
        "parse_protocol",
    ),
    "engines.link": ("Expected",),
    "errors": (
        "CaligoError",
        "ConfigError",
        "EngineError",
        "EnvironmentProblem",
        "StoreError",
    ),
    "pairs": (
        "Chunk",
        "ColumnSpec",
        "PairArrays",
        "Pairs",
        "Tally",
        "tally",
    ),
    "parallel.job": ("Progress",),
    "protocol.run": ("run_protocol",),
    "protocol.types": ("KeyResult",),
    "runs.again": (
        "open_pairs",
        "read_pairs",
    ),
    "runs.generate": ("Summary",),
    "runs.in_memory": ("generate_pairs",),
    "runs.sweeps.reading": ("Sweep", "read_sweep"),
    "store": (
        "PairsFile",
        "status",
    ),
    "store.keys": ("read_keys",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Analysis",
    "CaligoError",
    "Chunk",
    "ColumnSpec",
    "ConfigError",
    "EngineError",
    "EnvironmentProblem",
    "Expected",
    "KeyResult",
    "PairArrays",
    "Pairs",
    "PairsFile",
    "Progress",
    "RunConfig",
    "Runs",
    "StoreError",
    "Summary",
    "Sweep",
    "Tally",
    "__version__",
    "analyze",
    "generate_pairs",
    "load_config",
    "load_protocol",
    "open_pairs",
    "open_runs",
    "parse_config",
    "parse_protocol",
    "read_keys",
    "read_pairs",
    "read_sweep",
    "run_protocol",
    "status",
    "tally",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f".{_MODULE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
