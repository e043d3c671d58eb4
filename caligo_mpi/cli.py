"""The command line: one short function per verb.

Everything heavy is imported by the verb that needs it, so that ``--help`` answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, signals
from .errors import CaligoError, ConfigError

if TYPE_CHECKING:
    from .config import RunConfig
    from .generate import Map

DONE, CRASHED, WRONG_USE, STOPPED = 0, 1, 2, 75


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
    sub.add_argument("--force", action="store_true", help="set a file of another configuration aside and start anew")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")
    _json_argument(sub)

    sub = verb("slurm", _slurm, "print a batch script for a run, with ranks, time and memory from a short trial")
    _config_arguments(sub)
    sub.add_argument("-o", "--output", metavar="FILE", help="pairs file (default: output in the configuration)")
    sub.add_argument(
        "-n", "--ranks", type=_positive, metavar="N", help="ranks (default: half an hour's, at most a node)"
    )
    sub.add_argument("--time", metavar="TIME", help="time limit as sbatch takes it (default: by the trial)")

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
    config, path = _config_and_path(args)
    if args.ranks:
        from .generate import preflight

        preflight(config, path, force=args.force)
        return launch.run(args.ranks, _arguments(args))
    return _run(args, config, path, _serial_map(), {"ranks": 1})


def _generate_on_ranks(args: argparse.Namespace) -> int:
    """One of several processes: rank 0 runs, the others serve."""
    from . import launch
    from .pairs import ChunkResult

    try:
        from . import mpi

        mpi.check_size(launch.world_size())
    except ImportError as error:
        raise _only_on_first_rank(f"several processes were started but MPI cannot be used: {error}") from error
    except CaligoError as error:
        raise _only_on_first_rank(str(error)) from error
    with mpi.abort_on_error():
        if mpi.rank() > 0:
            mpi.serve(ChunkResult)
            return DONE
        try:
            code = _run_on_rank0(args)
        except CaligoError as error:
            print(f"caligo-mpi: {error}", file=sys.stderr, flush=True)
            code = WRONG_USE
        mpi.release_workers()
        return launch.leave(code)


def _only_on_first_rank(message: str) -> CaligoError | SystemExit:
    """MPI itself is what fails here, so the launcher's word is taken for who comes first."""
    from . import launch
    from .errors import EnvironmentProblem

    return EnvironmentProblem(message) if launch.is_first() else SystemExit(WRONG_USE)


def _run_on_rank0(args: argparse.Namespace) -> int:
    from functools import partial

    from . import mpi
    from .pairs import ChunkResult, Partition
    from .show import say

    config, path = _config_and_path(args)
    chunks = len(Partition(config.pairs, config.chunk_size))
    if mpi.size() > chunks:
        say(f"ranks={mpi.size()} but there are only {chunks} chunks: {mpi.size() - chunks} ranks will be idle")
    map_ = partial(
        mpi.map_over_ranks,
        codec=ChunkResult,
        policy=config.schedule.policy,
        rank0_computes=config.schedule.rank0_computes,
        stop=signals.stop_level,
    )
    return _run(args, config, path, map_, {"ranks": mpi.size(), "mpi": mpi.library()})


def _serial_map() -> Map:
    from functools import partial

    from .generate import serial_map

    return partial(serial_map, stop=signals.stop_level)


def _run(args: argparse.Namespace, config: RunConfig, path: Path, map_: Map, launch: dict[str, Any]) -> int:
    from . import show
    from .generate import generate

    with show.progress(quiet=args.quiet) as report:
        summary = generate(config, path, map=map_, launch=launch, force=args.force, report=report, say=show.say)
    print(json.dumps(show.summary_dict(summary)) if args.json else show.summary_text(summary), flush=True)
    if not summary.status.complete:
        return STOPPED
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


def _slurm(args: argparse.Namespace) -> int:
    from . import batch
    from .generate import forecast, preflight

    limit = batch.minutes(args.time) if args.time else None
    config, path = _config_and_path(args)
    preflight(config, path)
    options = {"config_path": args.config, "output": path, "overrides": args.overrides}
    print(batch.script(config, forecast(config), **options, ranks=args.ranks, limit=limit), end="")
    return DONE


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
