"""Whether SeQUeNCe can run here, and what to do where it cannot."""

from __future__ import annotations

import re
import sys
from importlib import metadata

#: The releases that the engine is tested with; another may have other events, and so other bits.
LOWEST, BELOW = (1, 3, 0), (1, 4, 0)
PYTHON = (3, 12)
#: What its modules import that the engine runs; the rest of what it asks for is for notebooks.
IMPORTED = (
    "gmpy2",
    "lazy-loader",
    "matplotlib",
    "networkx",
    "numpy",
    "qutip",
    "qutip-qip",
    "scipy",
    "stim",
    "tqdm",
)

_REMEDY = (
    "get them in an environment of its own with Python 3.12 or newer, as the first lines of "
    "requirements-sequence.txt say"
)


def probe() -> str | None:
    """What is missing to run the engine ``sequence`` here and how to get it; None if nothing is.

    Reads installed versions only and imports nothing.
    """
    missing = [name for name in IMPORTED if not _version(name)]
    if sys.version_info < PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        missing.insert(0, f"Python >= 3.12 (found {found})")
    version = _version("sequence")
    if not LOWEST <= _release(version) < BELOW:
        is_there = f"found {version}" if version else "not installed"
        missing.insert(0, f"sequence>=1.3,<1.4 ({is_there})")
    return f"engine 'sequence' needs {', '.join(missing)}; {_REMEDY}" if missing else None


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _release(version: str) -> tuple[int, ...]:
    """The first three release numbers.

    >>> _release("1.3.1"), _release("1.3"), _release("")
    ((1, 3, 1), (1, 3, 0), (0, 0, 0))
    """
    numbers = [int(part) for part in re.findall(r"\d+", version)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))
