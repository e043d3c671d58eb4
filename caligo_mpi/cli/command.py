"""The command line: one short function per verb.

Everything heavy is imported by the verb that needs it, so that ``--help`` answers at once.
Exit codes: 0 done, 1 crash, 2 wrong use, 75 stopped cleanly, run the same command again.
"""

from __future__ import annotations

import argparse
import errno

from .._version import __version__
from ..errors import CRASHED, DONE, STOPPED, WRONG_USE, CaligoError, ConfigError
from ..terminal import streams

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from ..config import RunConfig
    from ..runs.distill import Job as Task
    from ..runs.execute import Faults, Job


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
        prog="caligo-mpi", description="Simulate entangled-pair experiments into HDF5."
    )
    parser.add_argument("--version", action="version", version=f"caligo-mpi {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, function: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(verb=function)
        return sub

    sub = verb(
        "generate",
        _generate,
        "simulate the pairs of a configuration into one file, or go on with it",
    )
    _config_arguments(sub)
    sub.add_argument(
        "-o", "--output", metavar="FILE", help="pairs file (default: output in the configuration)"
    )
    sub.add_argument("-n", "--ranks", type=_ranks, metavar="N", help="start mpirun with N ranks")
    for flag, key in (("--restarts", "faults.restarts"), ("--retries", "faults.retries")):
        sub.add_argument(
            flag,
            dest="overrides",
            action="append",
            type=f"{key}={{}}".format,
            metavar="K",
            help=f"set {key}",
        )
    sub.add_argument(
        "--survive",
        dest="overrides",
        action="append_const",
        const="faults.mode=survive",
        help="set faults.mode=survive",
    )
    sub.add_argument(
        "--only-chunk", type=int, metavar="I", help="simulate this chunk alone, here; write nothing"
    )
    sub.add_argument(
        "--force",
        action="store_true",
        help="set a file of another configuration aside and start anew",
    )
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")
    _json_argument(sub)

    sub = verb("distill", _distill, "make keys of a finished pairs file, or go on with it")
    sub.add_argument("run", help="pairs file")
    sub.add_argument(
        "--config", required=True, metavar="PROTOCOL", help="YAML file, such as configs/bbm92.yaml"
    )
    _set_argument(sub, example="qber_limit=0.05")
    sub.add_argument("-o", "--output", metavar="FILE", required=True, help="keys file")
    sub.add_argument("-n", "--ranks", type=_ranks, metavar="N", help="start mpirun with N ranks")
    sub.add_argument(
        "--restarts",
        type=_restarts,
        default=100,
        metavar="K",
        help="launches after the first (default: 100)",
    )
    sub.add_argument("--force", action="store_true", help="set another file aside and start anew")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")
    _json_argument(sub)

    sub = verb(
        "slurm",
        _slurm,
        "print a batch script for a run, with ranks, time and memory from a short trial",
    )
    _config_arguments(sub)
    sub.add_argument(
        "-o", "--output", metavar="FILE", help="pairs file (default: output in the configuration)"
    )
    sub.add_argument(
        "-n",
        "--ranks",
        type=_ranks,
        metavar="N",
        help="ranks (default: half an hour's, at most a node)",
    )
    sub.add_argument(
        "--time", metavar="TIME", help="time limit as sbatch takes it (default: by the trial)"
    )

    sub = verb("init", _init, "write a commented starter configuration")
    sub.add_argument(
        "path",
        nargs="?",
        default="caligo.yaml",
        help="where to (default: caligo.yaml; - prints it)",
    )

    sub = verb(
        "validate",
        _validate,
        "check a configuration; print it resolved, with sizes and an estimate of the time",
    )
    _config_arguments(sub)
    _json_argument(sub)

    sub = verb("status", _status, "show how far a finished, running or stopped pairs file is")
    sub.add_argument("file")
    _json_argument(sub)

    sub = verb("verify", _verify, "recompute every checksum of a pairs file")
    sub.add_argument("file")
    sub.add_argument(
        "--resample",
        type=_positive,
        metavar="N",
        default=0,
        help="simulate N random chunks again, too",
    )
    _json_argument(sub)

    sub = verb("export", _export, "write a pairs file's rows as plain columns")
    sub.add_argument("file")
    sub.add_argument("--to", required=True, choices=["npz", "csv", "parquet", "bytes"])
    sub.add_argument(
        "-o", "--output", metavar="PATH", help="default: the file's name with another ending"
    )

    sub = verb(
        "sequential",
        _sequential,
        "pairs and protocol inside one NetSquid simulation, for validation",
    )
    _config_arguments(sub)
    sub.add_argument(
        "-o", "--output", metavar="FILE", help="pairs file (default: output in the configuration)"
    )
    sub.add_argument(
        "--trace", metavar="FILE", help="write the simulator's event log as tab-separated text"
    )
    sub.add_argument("--force", action="store_true", help="set a file that is there aside")
    _json_argument(sub)

    sub = verb(
        "engines", _engines, "list the simulation engines, and what keeps one from being used"
    )
    sub.add_argument(
        "--accept",
        choices=["netsquid"],
        help="check the licensed simulator against the closed forms",
    )
    sub.add_argument(
        "--pairs", type=_positive, default=6000, help="pairs per check of --accept (default: 6000)"
    )
    _json_argument(sub)

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


def _in_form(args: argparse.Namespace, values: object, text: str) -> str:
    if not args.json:
        return streams.plain(text)
    import json

    return json.dumps(values)


def _tell(args: argparse.Namespace, values: object, text: str) -> None:
    """Say what has been written to a file."""
    streams.tell(_in_form(args, values, text))


def _deliver(args: argparse.Namespace, values: object, text: str) -> None:
    """Print what was asked for."""
    streams.deliver(_in_form(args, values, text))


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from ``least`` to ``most``."""

    def convert(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= 20
        if not is_number or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:40]} is not a whole number from {least} to {most}"
            )
        return int(text)

    return convert


_ranks, _restarts = _whole(1, 1 << 20), _whole(0, 1_000_000)
_positive = _whole(1, 10**15)


# ── generate ─────────────────────────────────────────────────────────────────────────────────────────────────


def _generate(args: argparse.Namespace) -> int:
    if args.only_chunk is not None:
        return _only_chunk(args)
    from ..pairs import ChunkResult
    from ..runs import execute as ranks

    with ranks.lasting(args.config, ranks=args.ranks) as args.config:
        return ranks.execute(lambda: _generate_job(args), codec=ChunkResult, ranks=args.ranks)


def _generate_job(args: argparse.Namespace) -> Job:
    from ..launch import supervise
    from ..pairs import Partition
    from ..runs.execute import Job
    from ..runs.generate import is_complete, preflight

    config, path = _config_and_path(args)
    return Job(
        items=len(Partition(config.pairs, config.chunk_size)),
        noun="chunk",
        hint="a smaller chunk_size would share the work more evenly",
        path=path,
        arguments=["generate", _operand(args.config), *_options(args, path)],
        run=lambda map_, about, faults, force: _run_generate(
            args, config, path, map_, about, faults, force
        ),
        preflight=lambda: preflight(config, path, force=args.force),
        is_complete=lambda: is_complete(config, path),
        forced=args.force,
        state=lambda: supervise.pairs_state(path),
        policy=config.schedule.policy,
        rank0_computes=config.schedule.rank0_computes,
        restarts=config.faults.restarts,
        retries=config.faults.retries,
        survive=config.faults.mode == "survive",
    )


def _run_generate(
    args: argparse.Namespace,
    config: RunConfig,
    path: Path,
    map_: Any,
    launch: dict[str, Any],
    faults: Faults,
    force: bool,
) -> int:
    from ..runs.generate import generate
    from . import progress, show

    with progress.progress(quiet=args.quiet) as report:
        summary = generate(
            config,
            path,
            map=map_,
            launch=launch,
            force=force,
            faults=faults,
            report=report,
            say=streams.say,
        )
    _tell(args, show.summary_dict(summary), show.summary_text(summary))
    return DONE if summary.status.complete else STOPPED


def _only_chunk(args: argparse.Namespace) -> int:
    """One chunk, as the run would simulate it; an exception comes with its traceback."""
    from ..config import load_config
    from ..runs.chunks import only_chunk
    from . import show

    config = load_config(args.config, args.overrides)
    record = only_chunk(config, args.only_chunk, args.output or config.output.path)
    _deliver(args, record, show.record_text(record))
    return DONE


def _config_and_path(args: argparse.Namespace) -> tuple[RunConfig, Path]:
    from ..config import load_config
    from ..store import output_name

    config = load_config(args.config, args.overrides)
    path = output_name(_output(args, config))
    if config.engine.name == "auto":
        from ..runs.auto import settle_engine

        config = settle_engine(config, path, say=streams.say)
    return config, path


def _output(args: argparse.Namespace, config: RunConfig) -> str:
    """The pairs file's name, as the command line gives it or the configuration, where ``~`` and ``${VAR}`` stand."""
    from ..environment import expanded

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


def _operand(name: str) -> str:
    """A file's name for a command line, where it must not look like an option or mean something to mpirun."""
    return name if name[:1].isalnum() or name[:1] in "/._" else f"./{name}"


def _options(args: argparse.Namespace, output: Path) -> list[str]:
    """The command line for the ranks, behind its files: the same without --ranks."""
    line = [f"--set={override}" for override in args.overrides]
    line.append(f"--output={output}")
    return line + [f"--{flag}" for flag in ("force", "quiet", "json") if getattr(args, flag)]


# ── distill ──────────────────────────────────────────────────────────────────────────────────────────────────


def _distill(args: argparse.Namespace) -> int:
    from ..runs import execute as ranks
    from ..runs.distill import Finished

    with ranks.lasting(args.config, ranks=args.ranks) as args.config:
        return ranks.execute(lambda: _distill_job(args), codec=Finished, ranks=args.ranks)


def _distill_job(args: argparse.Namespace) -> Job:
    from ..config.protocol import load_protocol
    from ..runs.distill import is_complete, preflight, prepare, state
    from ..runs.execute import Job
    from ..store import output_name

    path = output_name(args.output)
    task = prepare(args.run, load_protocol(args.config, args.overrides))
    return Job(
        items=len(task.plan),
        noun="block",
        path=path,
        arguments=["distill", _operand(args.run), f"--config={args.config}", *_options(args, path)],
        run=lambda map_, about, faults, force: _run_distill(
            args, task, path, map_, about, faults, force
        ),
        preflight=lambda: preflight(task, path, force=args.force),
        is_complete=lambda: is_complete(task, path),
        forced=args.force,
        state=lambda: state(path),
        restarts=args.restarts,
    )


def _run_distill(
    args: argparse.Namespace,
    task: Task,
    path: Path,
    map_: Any,
    launch: dict[str, Any],
    faults: Faults,
    force: bool,
) -> int:
    from ..runs.distill import distill
    from . import progress, show_keys

    if faults:
        launch["faults"] = [fault.what for fault in faults]
    with progress.progress(quiet=args.quiet) as report:
        done = distill(
            task, path, map=map_, launch=launch, force=force, report=report, say=streams.say
        )
    _tell(args, show_keys.distilled_dict(done), show_keys.distilled_text(done))
    return DONE if done.keys else STOPPED


# ── the other verbs ──────────────────────────────────────────────────────────────────────────────────────────


def _slurm(args: argparse.Namespace) -> int:
    from ..runs import slurm as batch
    from ..runs.forecast import forecast
    from ..runs.generate import preflight

    limit = batch.minutes(args.time) if args.time else None
    config, path = _config_and_path(args)
    preflight(config, path)
    options = {"config_path": args.config, "output": path, "overrides": args.overrides}
    streams.deliver(
        batch.script(config, forecast(config), **options, ranks=args.ranks, limit=limit), end=""
    )
    return DONE


def _init(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..config import starter_config

    if not args.path:
        raise ConfigError("the name of a file is empty; give it one")
    if args.path == "-":
        streams.deliver(starter_config(), end="")
        return DONE
    try:
        with Path(args.path).open("x", encoding="utf-8") as file:
            file.write(starter_config())
    except FileExistsError:
        raise ConfigError(
            f"{args.path} exists already and is left alone; name another file"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{args.path} cannot be written ({error.strerror}); name another file"
        ) from None
    streams.tell(
        f"{args.path} written; look at it, then: caligo-mpi generate {args.path} --ranks 2"
    )
    return DONE


def _validate(args: argparse.Namespace) -> int:
    from ..config import load_config
    from ..runs.auto import settle_engine
    from ..runs.forecast import forecast
    from . import show

    config = settle_engine(load_config(args.config, args.overrides), say=streams.say)
    plan = forecast(config)
    _deliver(args, show.forecast_dict(config, plan), show.forecast_text(config, plan))
    return DONE


def _status(args: argparse.Namespace) -> int:
    from .. import store
    from ..store.keys import is_keys_file, keys_status
    from . import show, show_keys

    if is_keys_file(args.file):
        found = keys_status(args.file)
        _deliver(args, show_keys.keys_status_dict(found), show_keys.keys_status_text(found))
        return DONE
    status = store.status(args.file)
    _deliver(args, show.status_dict(status), show.status_text(status))
    return DONE


def _verify(args: argparse.Namespace) -> int:
    from ..runs.verify import verify
    from ..store.keys import is_keys_file, verify_keys
    from . import show, show_keys

    if is_keys_file(args.file):
        if args.resample:
            raise ConfigError(
                f"resample={args.resample} is for pairs files; {args.file} holds keys: distill again"
            )
        found = verify_keys(args.file)
        _deliver(
            args, show_keys.keys_verification_dict(found), show_keys.keys_verification_text(found)
        )
        return DONE if found.ok else CRASHED
    verification = verify(args.file, resample=args.resample)
    _deliver(args, show.verification_dict(verification), show.verification_text(verification))
    return DONE if verification.ok else CRASHED


def _export(args: argparse.Namespace) -> int:
    from .. import store
    from ..store.names import input_name

    file = input_name(args.file)
    streams.tell(
        str(store.export(file, args.output or file.with_suffix(f".{args.to}"), kind=args.to))
    )
    return DONE


def _sequential(args: argparse.Namespace) -> int:
    from ..runs.sequential import run_sequential
    from . import show

    config, path = _config_and_path(args)
    outcome = run_sequential(config, path, trace=args.trace, force=args.force)
    _tell(args, show.sequential_dict(outcome), show.sequential_text(outcome))
    return DONE


def _engines(args: argparse.Namespace) -> int:
    if args.accept:
        return _accept(args.pairs)
    from ..engines import available
    from . import show

    engines = available()
    _deliver(args, engines, show.engines_text(engines))
    return DONE


def _accept(pairs: int) -> int:
    from ..engines import available
    from ..errors import EnvironmentProblem

    if missing := available()["netsquid"]:
        raise EnvironmentProblem(missing)
    from ..engines.netsquid.acceptance import accept

    return DONE if accept(pairs=pairs) else CRASHED


def _schema(args: argparse.Namespace) -> int:
    import json

    from ..config import schema
    from ..config.protocol import protocol_schema

    streams.deliver(json.dumps(protocol_schema() if args.protocol else schema(), indent=2))
    return DONE


__all__ = ["main"]
