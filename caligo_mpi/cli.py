"""The command line: one short function per verb.

Everything heavy is imported by the verb that needs it, so that ``--help`` answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import argparse
import sys

from . import __version__
from .errors import CaligoError, ConfigError

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from .config import RunConfig
    from .distill import Job
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

    sub = verb("distill", _distill, "make keys of a finished pairs file, or go on with it")
    sub.add_argument("run", help="pairs file")
    sub.add_argument("--config", required=True, metavar="PROTOCOL", help="YAML file, such as configs/bbm92.yaml")
    _set_argument(sub, example="qber_limit=0.05")
    sub.add_argument("-o", "--output", metavar="FILE", required=True, help="keys file")
    sub.add_argument("-n", "--ranks", type=_positive, metavar="N", help="start mpirun with N ranks")
    sub.add_argument("--force", action="store_true", help="set another file aside and start anew")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")
    _json_argument(sub)

    sub = verb("init", _init, "write a commented starter configuration")
    sub.add_argument("path", nargs="?", default="caligo.yaml", help="where to (default: caligo.yaml; - prints it)")

    sub = verb(
        "validate", _validate, "check a configuration; print it resolved, with sizes and an estimate of the time"
    )
    _config_arguments(sub)
    _json_argument(sub)

    sub = verb("status", _status, "show how far a finished, running or stopped pairs or keys file is")
    sub.add_argument("file")
    _json_argument(sub)

    sub = verb("verify", _verify, "recompute every checksum of a pairs or keys file")
    sub.add_argument("file")
    sub.add_argument("--resample", type=_positive, metavar="N", default=0, help="simulate N random chunks again, too")
    _json_argument(sub)

    sub = verb("export", _export, "write a pairs file's rows as plain columns")
    sub.add_argument("file")
    sub.add_argument("--to", required=True, choices=["npz", "csv", "parquet", "bytes"])
    sub.add_argument("-o", "--output", metavar="PATH", help="default: the file's name with another ending")

    _json_argument(verb("engines", _engines, "list the simulation engines, and what keeps one from being used"))
    sub = verb("schema", _schema, "print the JSON Schema of the configuration")
    sub.add_argument("--protocol", action="store_true", help="of the configuration of distill")
    return parser


def _config_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("config", help="YAML file")
    _set_argument(sub, example="engine.link.fidelity=0.97")


def _set_argument(sub: argparse.ArgumentParser, *, example: str) -> None:
    sub.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"override one value, such as {example}",
    )


def _json_argument(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _print(args: argparse.Namespace, values: object, text: str) -> None:
    if args.json:
        import json

        text = json.dumps(values)
    print(text, flush=True)


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return value


# ── generate ─────────────────────────────────────────────────────────────────────────────────────────────────


def _generate(args: argparse.Namespace) -> int:
    from . import launch, signals

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
    from .pairs import ChunkResult

    return _on_ranks(ChunkResult, lambda: _run_on_rank0(args))


def _on_ranks(codec: Any, on_rank0: Callable[[], int]) -> int:
    """Serve as a worker, with ``codec`` for the results, or do what rank 0 is to do; returns the exit code."""
    from . import launch

    try:
        from . import mpi

        mpi.check_size(launch.world_size())
    except ImportError as error:
        raise _only_on_first_rank(f"several processes were started but MPI cannot be used: {error}") from error
    except CaligoError as error:
        raise _only_on_first_rank(str(error)) from error
    with mpi.abort_on_error():
        if mpi.rank() > 0:
            mpi.serve(codec)
            return DONE
        try:
            code = on_rank0()
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

    from . import mpi, signals
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


def _serial_map() -> Any:
    from functools import partial

    from . import signals
    from .generate import serial_map

    return partial(serial_map, stop=signals.stop_level)


def _run(args: argparse.Namespace, config: RunConfig, path: Path, map_: Map, launch: dict[str, Any]) -> int:
    from . import show
    from .generate import generate

    with show.progress(quiet=args.quiet) as report:
        summary = generate(config, path, map=map_, launch=launch, force=args.force, report=report, say=show.say)
    _print(args, show.summary_dict(summary), show.summary_text(summary))
    if not summary.status.complete:
        return STOPPED
    return DONE


def _config_and_path(args: argparse.Namespace) -> tuple[RunConfig, Path]:
    from pathlib import Path

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


# ── distill ──────────────────────────────────────────────────────────────────────────────────────────────────


def _distill(args: argparse.Namespace) -> int:
    from . import launch, signals

    signals.listen()
    if launch.is_launched():
        from .distill import Finished

        return _on_ranks(Finished, lambda: _distill_on_rank0(args))
    from .distill import preflight

    job = _job(args)
    if args.ranks:
        preflight(job, args.output, force=args.force)
        return launch.run(args.ranks, _distill_arguments(args))
    return _run_distill(args, job, _serial_map(), {"ranks": 1})


def _distill_on_rank0(args: argparse.Namespace) -> int:
    from functools import partial

    from . import mpi, signals
    from .distill import Finished
    from .show import say

    job = _job(args)
    if mpi.size() > len(job.plan):
        say(f"ranks={mpi.size()} but blocks={len(job.plan)}: {mpi.size() - len(job.plan)} ranks will be idle")
    map_ = partial(mpi.map_over_ranks, codec=Finished, stop=signals.stop_level)
    return _run_distill(args, job, map_, {"ranks": mpi.size(), "mpi": mpi.library()})


def _job(args: argparse.Namespace) -> Job:
    from .distill import prepare
    from .protocol_config import load_protocol

    return prepare(args.run, load_protocol(args.config, args.overrides))


def _run_distill(args: argparse.Namespace, job: Job, map_: Any, launch: dict[str, Any]) -> int:
    from . import show
    from .distill import distill

    with show.progress(quiet=args.quiet) as report:
        done = distill(job, args.output, map=map_, launch=launch, force=args.force, report=report, say=show.say)
    _print(args, show.distilled_dict(done), show.distilled_text(done))
    return DONE if done.keys else STOPPED


def _distill_arguments(args: argparse.Namespace) -> list[str]:
    """The command line for the ranks: the same without --ranks."""
    line = ["distill", args.run, "--config", args.config, "--output", args.output]
    for override in args.overrides:
        line += ["--set", override]
    return line + [f"--{flag}" for flag in ("force", "quiet", "json") if getattr(args, flag)]


# ── the other verbs ──────────────────────────────────────────────────────────────────────────────────────────


def _init(args: argparse.Namespace) -> int:
    from pathlib import Path

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
    _print(args, show.forecast_dict(config, plan), show.forecast_text(config, plan))
    return DONE


def _status(args: argparse.Namespace) -> int:
    from . import show, store
    from .store.keys import is_keys_file, keys_status

    if is_keys_file(args.file):
        found = keys_status(args.file)
        _print(args, show.keys_status_dict(found), show.keys_status_text(found))
        return DONE
    status = store.status(args.file)
    _print(args, show.status_dict(status), show.status_text(status))
    return DONE


def _verify(args: argparse.Namespace) -> int:
    from . import show
    from .generate import verify
    from .store.keys import is_keys_file, verify_keys

    if is_keys_file(args.file):
        if args.resample:
            raise ConfigError(f"resample={args.resample} is for pairs files; {args.file} holds keys: distill again")
        found = verify_keys(args.file)
        _print(args, show.keys_verification_dict(found), show.keys_verification_text(found))
        return DONE if found.ok else CRASHED
    verification = verify(args.file, resample=args.resample)
    _print(args, show.verification_dict(verification), show.verification_text(verification))
    return DONE if verification.ok else CRASHED


def _export(args: argparse.Namespace) -> int:
    from pathlib import Path

    from . import store

    file = Path(args.file)
    print(store.export(file, args.output or file.with_suffix(f".{args.to}"), kind=args.to))
    return DONE


def _engines(args: argparse.Namespace) -> int:
    from . import show
    from .engines import available

    engines = available()
    _print(args, engines, show.engines_text(engines))
    return DONE


def _schema(args: argparse.Namespace) -> int:
    import json

    from .config import schema
    from .protocol_config import protocol_schema

    print(json.dumps(protocol_schema() if args.protocol else schema(), indent=2))
    return DONE


__all__ = ["main"]
