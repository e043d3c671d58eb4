"""The parser of the command line, of all its verbs or only of those that are asked for."""

from __future__ import annotations

import argparse
from importlib import import_module

from .._version import __version__
from . import catalog

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Verb = Callable[[argparse.Namespace], int]


class _Command(argparse.ArgumentParser):
    """The parser of the command itself, whose help has the verbs in groups."""

    def format_help(self) -> str:
        """The same text as without a parser."""
        return catalog.command_help()


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line with all of its verbs, or with those that stand in the module of the verb ``only``."""
    command = _Command(prog="caligo-mpi", description=catalog.DESCRIPTION, allow_abbrev=False)
    command.add_argument("--version", action="version", version=f"caligo-mpi {__version__}")
    kind = argparse.ArgumentParser
    verbs = command.add_subparsers(required=True, metavar="VERB", parser_class=kind)

    def verb(name: str, function: Verb) -> argparse.ArgumentParser:
        _, sentence = catalog.VERBS[name]
        sub = verbs.add_parser(
            name,
            help=sentence,
            description="\n".join(catalog.wrapped(sentence, 79)),
            epilog=catalog.epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.set_defaults(verb=function)
        return sub

    for name in _modules(only):
        module = import_module(f".{name}", __package__)
        module.add_verbs(verb)
    return command


def _modules(only: str | None) -> list[str]:
    """The modules to ask for verbs, each once."""
    if only is not None:
        module, _ = catalog.VERBS[only]
        return [module]
    modules = dict.fromkeys(module for module, _ in catalog.VERBS.values())
    return list(modules)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments in ``argv``; ``verb`` is the function that does what they ask for.

    Only the parsers of the verb's own module are made, unless there is something to say of other verbs.
    """
    only = None
    if argv and argv[0] in catalog.VERBS:
        only = argv[0]
    command = parser(only)
    return command.parse_args(argv)
