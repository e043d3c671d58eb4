"""Arguments that several verbs share, and what their values mean."""

from __future__ import annotations

import argparse

from ..errors import ConfigError
from ..machine import streams

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Protocol

    from ..config import RunConfig

    class AddVerb(Protocol):
        """Adds a verb to the command line."""

        def __call__(
            self,
            name: str,
            function: Callable[[argparse.Namespace], int],
        ) -> argparse.ArgumentParser:
            """The verb's own parser."""
            ...


# ── declared ─────────────────────────────────────────────────────────────────────────────────────


def add_config(sub: argparse.ArgumentParser) -> None:
    """The file of a run's configuration, and ``--set``."""
    sub.add_argument("config", help="YAML file")
    add_set(sub, example="engine.link.fidelity=0.97")


def add_set(sub: argparse.ArgumentParser, *, example: str) -> None:
    """``--set KEY=VALUE``, which overrides one value of the configuration and may be repeated."""
    sub.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"override one value, such as {example}",
    )


def add_output(sub: argparse.ArgumentParser) -> None:
    """``--output`` of verbs that write a pairs file."""
    text = "pairs file (default: output in the configuration)"
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=text,
    )


def add_json(sub: argparse.ArgumentParser) -> None:
    """``--json`` of verbs that print values, too."""
    sub.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def add_ranks(sub: argparse.ArgumentParser, *, text: str = "start mpirun with N ranks") -> None:
    """``--ranks`` of verbs that can run under MPI."""
    sub.add_argument(
        "-n",
        "--ranks",
        type=whole(1, 1 << 20),
        metavar="N",
        help=text,
    )


def add_execution(sub: argparse.ArgumentParser, *, aside: str) -> None:
    """``--ranks``, ``--force``, ``--quiet`` and ``--json`` of verbs that make a file."""
    add_ranks(sub)
    sub.add_argument("--force", action="store_true", help=aside)
    add_quiet(sub)
    add_json(sub)


def add_quiet(sub: argparse.ArgumentParser) -> None:
    """``--quiet`` of verbs that show how far they are."""
    sub.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="no progress",
    )


def add_mpi(sub: argparse.ArgumentParser) -> None:
    """``--binding`` and ``--metrics``: two keys of the section ``mpi``."""
    kinds = ["auto", "none", "core", "socket", "numa"]
    text = "what each rank is bound to where the launcher has not bound it (sets mpi.binding)"
    sub.add_argument("--binding", choices=kinds, help=text)
    text = "write what ranks do to FILE every few seconds, as Prometheus text (sets mpi.metrics)"
    sub.add_argument("--metrics", metavar="FILE", help=text)


def whole(least: int, most: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from ``least`` to ``most``."""

    def convert(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= 20
        if not is_number or not least <= int(text) <= most:
            problem = f"{text[:40]} is not a whole number from {least} to {most}"
            raise argparse.ArgumentTypeError(problem)
        return int(text)

    return convert


def rows(text: str) -> tuple[int, int | None]:
    """A type of arguments: the first row and the one behind the last, as in ``1000:2000``.

    >>> rows("1000:2000"), rows(":10"), rows("5:")
    ((1000, 2000), (0, 10), (5, None))
    """
    first, colon, last = text.partition(":")
    digits = first + last
    are_numbers = not digits or (digits.isascii() and digits.isdigit())
    if not colon or not are_numbers:
        raise argparse.ArgumentTypeError(f"{text[:40]} is not a range of rows such as 1000:2000")
    start = int(first or 0)
    stop = int(last) if last else None
    return start, stop


# ── read ─────────────────────────────────────────────────────────────────────────────────────────


def config_and_path(args: argparse.Namespace) -> tuple[RunConfig, Path]:
    """The configuration, its engine settled, and the pairs file to write."""
    from ..config import load_config
    from ..config.settings import from_environment
    from ..store import output_name

    overrides = [*from_environment(), *args.overrides, *_overrides(args)]
    config = load_config(args.config, overrides)
    path = output_name(_output(args, config))
    if config.engine.name == "auto":
        from ..runs.auto import settle_engine

        config = settle_engine(config, path, say=streams.say)
    return config, path


def _overrides(args: argparse.Namespace) -> list[str]:
    """Those of `add_mpi`, of verbs that have it."""
    return mpi_overrides(args) if hasattr(args, "binding") else []


def _output(args: argparse.Namespace, config: RunConfig) -> str:
    """The pairs file's name, from the command line or the configuration.

    In the configuration ``~`` and ``${VAR}`` stand for what they stand for in a shell.
    """
    from ..machine.environment import expanded

    if args.output is not None:
        return str(args.output)
    if not config.output.path:
        raise ConfigError(
            "output is not given; name the pairs file with -o FILE or output: in the configuration"
        )
    path = expanded(config.output.path, what="output")
    if path != config.output.path:
        streams.say(f"output: {path}")
    return path


def rank_arguments(args: argparse.Namespace, output: Path) -> list[str]:
    """The command line for ranks, behind its files: the same without ``--ranks``."""
    return [
        *(f"--set={override}" for override in args.overrides),
        f"--output={output}",
        *mpi_flags(args),
        *given_flags(args, "force", "quiet", "json"),
    ]


def given_flags(args: argparse.Namespace, *names: str) -> list[str]:
    """Those of some flags that were given."""
    return [f"--{name}" for name in names if getattr(args, name)]


def mpi_overrides(args: argparse.Namespace) -> list[str]:
    """What `add_mpi` added, as overrides of a configuration."""
    from json import dumps

    found = []
    if args.binding is not None:
        found.append(f"mpi.binding={dumps(args.binding)}")
    if args.metrics is not None:
        found.append(f"mpi.metrics={dumps(args.metrics)}")
    return found


def mpi_flags(args: argparse.Namespace) -> list[str]:
    """The same for the ranks' command line."""
    found = []
    if args.binding is not None:
        found.append(f"--binding={args.binding}")
    if args.metrics is not None:
        found.append(f"--metrics={args.metrics}")
    return found


def operand(name: str) -> str:
    """A file's name for a command line.

    It must not look like an option, nor mean something to mpirun.
    """
    first = name[:1]
    if first.isalnum() or first in "/._":
        return name
    return f"./{name}"


# ── printed ──────────────────────────────────────────────────────────────────────────────────────


def tell(args: argparse.Namespace, values: object, text: str) -> None:
    """Say what has been written to a file."""
    streams.tell(in_form(values, text, json=args.json))


def deliver(args: argparse.Namespace, values: object, text: str) -> None:
    """Print what was asked for on the standard output."""
    streams.deliver(in_form(values, text, json=args.json))


def in_form(values: object, text: str, *, json: bool) -> str:
    """The text, or the values as a line of JSON."""
    if not json:
        return streams.plain(text)
    from json import dumps

    return dumps(values)
