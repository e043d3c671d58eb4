"""The command line: a module per group of verbs, one short function for each verb.

Everything heavy is imported by the verb that needs it, and the parsers of other verbs are not made, so that ``--help``
answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import errno
import os
import sys

from .._version import __version__
from ..errors import DONE, WRONG_USE, CaligoError
from ..machine import streams
from . import catalog

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    streams.prepare()
    given = sys.argv[1:] if argv is None else list(argv)
    if given in (["--help"], ["-h"]):
        streams.tell(catalog.command_help().rstrip("\n"))
        return DONE
    if given == ["--version"]:
        streams.tell(f"caligo-mpi {__version__}")
        return DONE
    from ..machine import environment
    from .parsing import parse

    environment.one_thread_each()
    args = parse(given)
    verb: Callable[[argparse.Namespace], int] = args.verb
    try:
        return verb(args)
    except CaligoError as error:
        streams.say(str(error))
        return WRONG_USE
    except (OSError, ImportError) as error:
        reason = _too_many_files(error)
        if not reason:
            raise
        streams.say(f"{reason}; raise `ulimit -n` and run the same command again")
        return WRONG_USE


def _too_many_files(error: OSError | ImportError) -> str:
    """What the system says where it lets nobody open another file; a library that cannot be loaded has only words."""
    for number in (errno.EMFILE, errno.ENFILE):
        reason = os.strerror(number)
        if getattr(error, "errno", None) == number or str(error).endswith(reason):
            return reason
    return ""
