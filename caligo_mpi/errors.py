"""The exceptions this package raises on purpose.

::

    CaligoError
     ├── ConfigError       (ValueError)    the configuration or the command line is wrong; nothing was run
     ├── StoreError        (OSError)       a file is not ours, damaged, locked, or belongs to another run
     ├── EngineError       (RuntimeError)  an engine broke its contract
     └── EnvironmentProblem(RuntimeError)  a library, launcher or resource is missing

Each message is one sentence for a person: the thing and its value, the
constraint, and what to do.  The command line prints it alone and exits with 2.
"""

from __future__ import annotations

#: Exit codes of the command: done; crash; wrong use or environment; stopped cleanly, run the same command again.
DONE, CRASHED, WRONG_USE, STOPPED = 0, 1, 2, 75


class CaligoError(Exception):
    """Base class of every error this package raises on purpose."""


class ConfigError(CaligoError, ValueError):
    """The configuration or the command line is wrong; nothing was run."""


class StoreError(CaligoError, OSError):
    """A file is not ours, damaged, locked, or belongs to another run."""


class EngineError(CaligoError, RuntimeError):
    """An engine returned something its contract does not allow."""


class EnvironmentProblem(CaligoError, RuntimeError):
    """A library, launcher or resource that the request needs is missing."""
