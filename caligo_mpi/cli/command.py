"""The command line: verbs in `making` and `looking`, one short function each.

Everything heavy is imported by the verb that needs it, so that ``--help`` answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import argparse
import errno

from .._version import __version__
from ..errors import WRONG_USE, CaligoError
from ..terminal import streams
from . import doctoring, looking, making

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    streams.prepare()
    args = _parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], int] = args.verb
    try:
        return verb(args)
    except CaligoError as error:
        streams.say(str(error))
        return WRONG_USE
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        streams.say(f"{error.strerror}; raise `ulimit -n` and run the same command again")
        return WRONG_USE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caligo-mpi",
        description="Simulate entangled-pair experiments into HDF5.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"caligo-mpi {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, function: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(verb=function)
        return sub

    making.add_verbs(verb)
    looking.add_verbs(verb)
    doctoring.add_verbs(verb)
    return parser


__all__ = ["main"]
