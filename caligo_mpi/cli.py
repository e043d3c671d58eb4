"""The command line: one short function per verb.

Everything heavy is imported by the verb that needs it, so that ``--help`` answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__, signals
from .errors import CRASHED, DONE, STOPPED, WRONG_USE, CaligoError, ConfigError

if TYPE_CHECKING:
    from .config import RunConfig
    from .generate import Fault, Map


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    args = _parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], int] = args.verb
    try:
        return verb(args)
    except CaligoError as error:
        print(f"caligo-mpi: {error}", file=sys.stderr)
        return WRONG_USE
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from complaining about it at exit.
        sys.stdout = None
        return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="caligo-mpi", description="Simulate entangled-pair experiments into HDF5.")
    parser.add_argument("--version", action="version", version=f"caligo-mpi {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(verb=function)
        return sub

    sub = verb("generate", _generate, "simulate the pairs of a configuration into one file, or go on with it")
    _config_arguments(sub)
    sub.add_argument("-o", "--output", metavar="FILE", help="pairs file (default: output in the configuration)")
    sub.add_argument("-n", "--ranks", type=_positive, metavar="N", help="start mpirun with N ranks")
    for flag, key in (("--restarts", "faults.restarts"), ("--retries", "faults.retries")):
        sub.add_argument(
            flag, dest="overrides", action="append", type=f"{key}={{}}".format, metavar="K", help=f"set {key}"
        )
    sub.add_argument(
        "--survive",
        dest="overrides",
        action="append_const",
        const="faults.mode=survive",
        help="set faults.mode=survive",
    )
    sub.add_argument("--only-chunk", type=int, metavar="I", help="simulate this chunk alone, here; write nothing")
    sub.add_argument("--force", action="store_true", help="set a file of another configuration aside and start anew")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")
    _json_argument(sub)

    sub = verb("init", _init, "write a commented starter configuration")
    sub.add_argument("path", nargs="?", default="caligo.yaml", help="where to (default: caligo.yaml; - prints it)")

    sub = verb(
        "validate", _validate, "check a configuration; print it resolved, with sizes and an estimate of the time"
    )
    _config_arguments(sub)
    _json_argument(sub)

    sub = verb("status", _status, "show how far a finished, running or stopped pairs file is")
    sub.add_argument("file")
    _json_argument(sub)

    sub = verb("verify", _verify, "recompute every checksum of a pairs file")
    sub.add_argument("file")
    sub.add_argument("--resample", type=_positive, metavar="N", default=0, help="simulate N random chunks again, too")
    _json_argument(sub)

    sub = verb("export", _export, "write a pairs file's rows as plain columns")
    sub.add_argument("file")
    sub.add_argument("--to", required=True, choices=["npz", "csv", "parquet", "bytes"])
    sub.add_argument("-o", "--output", metavar="PATH", help="default: the file's name with another ending")

    _json_argument(verb("engines", _engines, "list the simulation engines, and what keeps one from being used"))
    verb("schema", _schema, "print the JSON Schema of the configuration")
    return parser


def _config_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("config", help="YAML file")
    sub.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one value, such as engine.link.fidelity=0.97",
    )


def _json_argument(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return value


# ── generate ─────────────────────────────────────────────────────────────────────────────────────────────────


def _generate(args: argparse.Namespace) -> int:
    from . import launch

    signals.listen()
    if launch.is_launched():
        return _generate_on_ranks(args)
    if args.only_chunk is not None:
        return _only_chunk(args)
    config, path = _config_and_path(args)
    if args.ranks:
        return _supervise(args, config, path)
    return _run(args, config, path, _serial_map(config), {"ranks": 1})


def _supervise(args: argparse.Namespace, config: RunConfig, path: Path) -> int:
    """Launch ranks, and again if they die."""
    from . import supervise
    from .generate import is_complete, preflight
    from .show import say

    preflight(config, path, force=args.force)
    before = _inode(path) if args.force else None  # then a complete file may be there that is to be made anew

    def complete() -> bool:
        return _inode(path) != before and is_complete(config, path)

    if not complete():
        code = supervise.run(
            args.ranks,
            _arguments(args),
            path=path,
            is_complete=complete,
            restarts=config.faults.restarts,
            survive=config.faults.mode == "survive",
            say=say,
        )
        if code is not None:
            return code
    args.force = False
    return _run(args, config, path, _serial_map(config), {"ranks": args.ranks})


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _generate_on_ranks(args: argparse.Namespace) -> int:
    """One of several processes: rank 0 runs, the others serve."""
    from . import launch
    from .pairs import ChunkResult

    launch.die_with_launcher()
    try:
        from . import mpi

        mpi.check_size(launch.world_size())
    except ImportError as error:
        raise _only_on_first_rank(f"several processes were started but MPI cannot be used: {error}") from error
    except CaligoError as error:
        raise _only_on_first_rank(str(error)) from error
    with mpi.abort_on_error(note=lambda: launch.leave(CRASHED)):
        if launch.SURVIVE in os.environ:
            _survive(args)
        if mpi.rank() > 0:
            mpi.serve(ChunkResult)
            return DONE
        code = _coordinate(args, _map_over_ranks, _earlier_faults())
        mpi.release_workers()
        return launch.leave(code)


def _survive(args: argparse.Namespace) -> NoReturn:
    """The same where ranks may outlive others: any of them may become rank 0."""
    from functools import partial

    from . import launch, mpi, survive
    from .generate import Fault
    from .pairs import ChunkResult
    from .show import say

    faults = _earlier_faults() if mpi.rank() == 0 else deque()

    def lost(what: str, rank: int, chunks: int) -> None:
        say(what)
        faults.append(Fault(what, rank, chunks))

    def coordinate(root: survive.Root[ChunkResult]) -> int:
        return _coordinate(args, lambda config: partial(root.map, retries=config.faults.retries), faults)

    survive.run(
        coordinate,
        codec=ChunkResult,
        leave=launch.leave,
        stop=signals.stop_level,
        lost=lost,
    )


def _earlier_faults() -> deque[Fault]:
    from . import launch
    from .generate import Fault

    return deque(map(Fault, launch.earlier_faults()))


def _only_on_first_rank(message: str) -> CaligoError | SystemExit:
    """MPI itself is what fails here, so the launcher's word is taken for who comes first."""
    from . import launch
    from .errors import EnvironmentProblem

    return EnvironmentProblem(message) if launch.is_first() else SystemExit(WRONG_USE)


def _coordinate(args: argparse.Namespace, map_for: Callable[[RunConfig], Map], faults: deque[Fault]) -> int:
    """What rank 0 does; a mistake is one sentence and exit code 2."""
    from . import launch, mpi
    from .pairs import Partition
    from .show import say

    try:
        config, path = _config_and_path(args)
        chunks = len(Partition(config.pairs, config.chunk_size))
        if mpi.size() > chunks:
            say(f"ranks={mpi.size()} but there are only {chunks} chunks: {mpi.size() - chunks} ranks will be idle")
        about = {"ranks": mpi.size(), "mpi": mpi.library(), **launch.identity()}
        return _run(args, config, path, map_for(config), about, faults)
    except CaligoError as error:
        print(f"caligo-mpi: {error}", file=sys.stderr, flush=True)
        return WRONG_USE


def _map_over_ranks(config: RunConfig) -> Map:
    from functools import partial

    from . import mpi
    from .pairs import ChunkResult

    return partial(
        mpi.map_over_ranks,
        codec=ChunkResult,
        policy=config.schedule.policy,
        rank0_computes=config.schedule.rank0_computes,
        retries=config.faults.retries,
        stop=signals.stop_level,
    )


def _serial_map(config: RunConfig) -> Map:
    from functools import partial

    from .generate import serial_map

    return partial(serial_map, retries=config.faults.retries, stop=signals.stop_level)


def _run(
    args: argparse.Namespace,
    config: RunConfig,
    path: Path,
    map_: Map,
    launch: dict[str, Any],
    faults: deque[Fault] | None = None,
) -> int:
    from . import show
    from .generate import generate

    with show.progress(quiet=args.quiet) as report:
        summary = generate(
            config, path, map=map_, launch=launch, force=args.force, faults=faults, report=report, say=show.say
        )
    print(json.dumps(show.summary_dict(summary)) if args.json else show.summary_text(summary), flush=True)
    if not summary.status.complete:
        return STOPPED
    return DONE


def _only_chunk(args: argparse.Namespace) -> int:
    """One chunk, as the run would simulate it; an exception comes with its traceback."""
    from . import show
    from .config import load_config
    from .generate import only_chunk

    record = only_chunk(load_config(args.config, args.overrides), args.only_chunk)
    print(json.dumps(record) if args.json else show.record_text(record))
    return DONE


def _config_and_path(args: argparse.Namespace) -> tuple[RunConfig, Path]:
    from .config import load_config

    config = load_config(args.config, args.overrides)
    path = args.output or config.output.path
    if not path:
        raise ConfigError("output is not given; name the pairs file with -o FILE or output: in the configuration")
    return config, Path(path)


def _arguments(args: argparse.Namespace) -> list[str]:
    """The command line for the ranks: the same without --ranks."""
    line = ["generate", args.config]
    for override in args.overrides:
        line += ["--set", override]
    if args.output:
        line += ["--output", args.output]
    return line + [f"--{flag}" for flag in ("force", "quiet", "json") if getattr(args, flag)]


# ── the other verbs ──────────────────────────────────────────────────────────────────────────────────────────


def _init(args: argparse.Namespace) -> int:
    from .config import starter_config

    if args.path == "-":
        print(starter_config(), end="")
        return DONE
    try:
        with Path(args.path).open("x", encoding="utf-8") as file:
            file.write(starter_config())
    except FileExistsError:
        raise ConfigError(f"{args.path} exists already and is left alone; name another file") from None
    except OSError as error:
        raise ConfigError(f"{args.path} cannot be written ({error.strerror}); name another file") from None
    print(f"{args.path} written; look at it, then: caligo-mpi generate {args.path} --ranks 2")
    return DONE


def _validate(args: argparse.Namespace) -> int:
    from . import show
    from .config import load_config
    from .generate import forecast

    config = load_config(args.config, args.overrides)
    plan = forecast(config)
    print(json.dumps(show.forecast_dict(config, plan)) if args.json else show.forecast_text(config, plan))
    return DONE


def _status(args: argparse.Namespace) -> int:
    from . import show, store

    status = store.status(args.file)
    print(json.dumps(show.status_dict(status)) if args.json else show.status_text(status))
    return DONE


def _verify(args: argparse.Namespace) -> int:
    from . import show
    from .generate import verify

    verification = verify(args.file, resample=args.resample)
    print(json.dumps(show.verification_dict(verification)) if args.json else show.verification_text(verification))
    return DONE if verification.ok else CRASHED


def _export(args: argparse.Namespace) -> int:
    from . import store

    print(store.export(args.file, args.output, kind=args.to))
    return DONE


def _engines(args: argparse.Namespace) -> int:
    from . import show
    from .engines import available

    engines = available()
    print(json.dumps(engines) if args.json else show.engines_text(engines))
    return DONE


def _schema(args: argparse.Namespace) -> int:
    from .config import schema

    print(json.dumps(schema(), indent=2))
    return DONE


__all__ = ["main"]
