"""The command line: verbs in `making` and `looking`, one short function each.

Everything heavy is imported by the verb that needs it, so that ``--help`` answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import argparse
import errno

from .._version import __version__
from ..errors import WRONG_USE, CaligoError
from ..machine import streams
from . import benching, catalog, doctoring, looking, making, reporting, sweeping

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    streams.prepare()
    args = parser().parse_args(argv)
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


class _Overview(argparse.ArgumentParser):
    """The parser of the command itself, whose help has the verbs in groups."""

    def format_help(self) -> str:
        """The usage, what all is for, and the verbs."""
        usage = self.format_usage()
        verbs = catalog.overview(self.get_default("sentences"))
        return f"{usage}\n{self.description}\n\n{verbs}\n\n{self.epilog}\n"


def parser() -> argparse.ArgumentParser:
    """The command line with all of its verbs."""
    sentences: dict[str, str] = {}
    command = _Overview(
        prog="caligo-mpi",
        description="Simulate entangled-pair experiments into HDF5, and make keys of them.",
        epilog="`caligo-mpi VERB --help` has a verb's options and two examples; --version the version.",
        allow_abbrev=False,
    )
    command.set_defaults(sentences=sentences)
    command.add_argument("--version", action="version", version=f"caligo-mpi {__version__}")
    kind = argparse.ArgumentParser
    verbs = command.add_subparsers(required=True, metavar="VERB", parser_class=kind)

    def verb(
        name: str, function: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name,
            help=text,
            description="\n".join(catalog.wrapped(text, 79)),
            epilog=catalog.epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.set_defaults(verb=function)
        sentences[name] = text
        return sub

    making.add_verbs(verb)
    sweeping.add_verbs(verb)
    looking.add_verbs(verb)
    reporting.add_verbs(verb)
    benching.add_verbs(verb)
    doctoring.add_verbs(verb)
    return command


__all__ = ["main", "parser"]
