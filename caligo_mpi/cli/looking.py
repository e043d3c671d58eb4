"""Verbs that look: at configurations, files, engines."""

from __future__ import annotations

from argparse import SUPPRESS

from ..errors import CRASHED, DONE, ConfigError
from ..machine import streams
from . import arguments, starters
from .arguments import rows, whole

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare the verbs that look at configurations, files and engines."""
    _add_configuration_verbs(verb)
    _add_file_verbs(verb)
    _add_engine_verbs(verb)
    _add_completion(verb)


# ── configurations ───────────────────────────────────────────────────────────────────────────────


def _add_configuration_verbs(verb: AddVerb) -> None:
    sub = verb("init", _init)
    where = "where to (default: caligo.yaml, or NAME.yaml; - prints it)"
    sub.add_argument("path", nargs="?", help=where)
    known = starters.names()
    like = f"start from an example, not from all keys: {', '.join(known)}"
    sub.add_argument(
        "--like",
        choices=known,
        metavar="NAME",
        help=like,
    )
    sub = verb("validate", _validate)
    arguments.add_config(sub)
    arguments.add_json(sub)
    sub = verb("schema", _schema)
    of = sub.add_mutually_exclusive_group()
    of.add_argument("--protocol", action="store_true", help="of the configuration of distill")
    of.add_argument("--bench", action="store_true", help="of a bench")
    of.add_argument("--bench-summary", action="store_true", help="of a bench's summary.json")


def _init(args: argparse.Namespace) -> int:
    from pathlib import Path

    text = starters.text(args.like)
    path = f"{args.like or 'caligo'}.yaml" if args.path is None else args.path
    if not path:
        raise ConfigError("the name of a file is empty; give it one")
    if path == "-":
        streams.deliver(text, end="")
        return DONE
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem = f"{path} exists already and is left alone; name another file"
        raise ConfigError(problem) from None
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror}); name another file"
        raise ConfigError(problem) from None
    streams.tell(f"{path} written; look at it, then: {starters.next_command(text, path)}")
    return DONE


def _validate(args: argparse.Namespace) -> int:
    from ..config import load_config
    from ..config.settings import from_environment, sources
    from ..runs.auto import settle_engine
    from ..runs.fleeting import lasting
    from ..runs.forecast import forecast
    from . import show, show_settings

    with lasting(args.config) as path:
        assert path is not None
        loaded = load_config(path, [*from_environment(), *args.overrides])
        origins = sources(path, args.overrides, loaded)
    config = settle_engine(loaded, say=streams.say)
    plan = forecast(config)
    values = show.forecast_dict(config, plan)
    values["settings"] = show_settings.settings_dict(origins)
    foreseen = show.forecast_text(config, plan)
    settings = show_settings.settings_text(origins)
    arguments.deliver(args, values, f"{foreseen}\n{settings}")
    return DONE


def _schema(args: argparse.Namespace) -> int:
    import json

    streams.deliver(json.dumps(_schema_of(args), indent=2))
    return DONE


def _schema_of(args: argparse.Namespace) -> dict[str, Any]:
    from ..bench import summary
    from ..config import schema
    from ..config.bench import bench_schema
    from ..config.protocol import protocol_schema

    if args.bench_summary:
        return summary.schema()
    if args.bench:
        return bench_schema()
    return protocol_schema() if args.protocol else schema()


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def _add_file_verbs(verb: AddVerb) -> None:
    _add_status(verb)
    _add_verify(verb)
    _add_analyze(verb)
    _add_export(verb)


def _add_status(verb: AddVerb) -> None:
    sub = verb("status", _status)
    several = "pairs or keys file; several, or a directory of them, in one table with --watch"
    sub.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help=several,
    )
    live = "look again and again until all are complete, by reading alone"
    sub.add_argument("--watch", action="store_true", help=live)
    often = "seconds between two looks of --watch (default: 2)"
    sub.add_argument(
        "--interval",
        type=whole(1, 86_400),
        default=2,
        metavar="S",
        help=often,
    )
    arguments.add_json(sub)


def _add_verify(verb: AddVerb) -> None:
    sub = verb("verify", _verify)
    sub.add_argument("file")
    text = "simulate N random chunks again, too"
    sub.add_argument(
        "--resample",
        type=whole(1, 10**15),
        metavar="N",
        default=0,
        help=text,
    )
    arguments.add_json(sub)


def _add_export(verb: AddVerb) -> None:
    sub = verb("export", _export)
    sub.add_argument("file")
    sub.add_argument("--to", required=True, choices=["npz", "csv", "parquet", "bytes", "joint"])
    part = "only rows A to B, B not included; either may be left out"
    sub.add_argument(
        "--rows",
        metavar="A:B",
        type=rows,
        default=(0, None),
        help=part,
    )
    some = "only these columns, such as alice_basis,alice_outcome"
    sub.add_argument("--columns", metavar="A,B", help=some)
    text = "default: the file's name with another ending"
    sub.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help=text,
    )


def _add_analyze(verb: AddVerb) -> None:
    sub = verb("analyze", _analyze)
    sub.add_argument("file")
    arguments.add_ranks(sub)
    arguments.add_quiet(sub)
    arguments.add_json(sub)
    # Ranks touch this file, by which their launcher sees that they are at work.
    sub.add_argument("--pulse", default="", help=SUPPRESS)


def _status(args: argparse.Namespace) -> int:
    if args.watch:
        return _watch(args)
    for file in args.files:
        _show_status(args, file)
    return DONE


def _show_status(args: argparse.Namespace, file: str) -> None:
    from .. import store
    from ..runs.sweeps.reading import is_sweep
    from ..store.keys import is_keys_file, keys_status
    from . import show, show_keys, sweeping

    if is_sweep(file):
        sweeping.show_status(args, file)
    elif is_keys_file(file):
        keys = keys_status(file)
        text = show_keys.keys_status_text(keys)
        arguments.deliver(args, show_keys.keys_status_dict(keys), text)
    else:
        status = store.status(file)
        text = show.status_text(status)
        arguments.deliver(args, show.status_dict(status), text)


def _watch(args: argparse.Namespace) -> int:
    from ..analysis.watch import files_of
    from .watching import watch

    if args.json:
        raise ConfigError(
            "--watch and --json exclude each other; run status --json as often as needed"
        )
    paths = files_of(args.files)
    if not paths:
        raise ConfigError(f"{args.files[0]} holds no HDF5 file yet; name a file, or wait for one")
    return watch(paths, seconds=args.interval)


def _verify(args: argparse.Namespace) -> int:
    from ..runs.verify import verify
    from ..store.keys import is_keys_file
    from . import show_verification

    if is_keys_file(args.file):
        return _verify_keys(args)
    found = verify(args.file, resample=args.resample)
    text = show_verification.verification_text(found)
    arguments.deliver(
        args,
        show_verification.verification_dict(found),
        text,
    )
    return DONE if found.ok else CRASHED


def _verify_keys(args: argparse.Namespace) -> int:
    from ..store.keys import verify_keys
    from . import show_keys

    if args.resample:
        raise ConfigError(
            f"resample={args.resample} is for pairs files; {args.file} holds keys: distill again"
        )
    found = verify_keys(args.file)
    text = show_keys.keys_verification_text(found)
    arguments.deliver(
        args,
        show_keys.keys_verification_dict(found),
        text,
    )
    return DONE if found.ok else CRASHED


def _analyze(args: argparse.Namespace) -> int:
    import tempfile
    from pathlib import Path

    from ..analysis.job import AnalyzeJob, Piece, find
    from ..runs.execute import Task, execute
    from .show_analysis import AnalysisObserver

    def job() -> AnalyzeJob:
        path = find(args.file)
        line = [
            "analyze",
            arguments.operand(str(path)),
            f"--pulse={pulse}",
            *arguments.given_flags(args, "quiet", "json"),
        ]
        return AnalyzeJob(path, Path(pulse), line)

    observer = AnalysisObserver(quiet=args.quiet, json=args.json)
    with tempfile.TemporaryDirectory(prefix="caligo-") as scratch, observer:
        pulse = args.pulse or f"{scratch}/pulse"
        Path(pulse).touch()
        return execute(Task(job, Piece, observer), args.ranks)


def _export(args: argparse.Namespace) -> int:
    from ..runs.again import export
    from ..store.names import input_name

    file = input_name(args.file)
    ending = ".joint.json" if args.to == "joint" else f".{args.to}"
    target = args.output or file.with_suffix(ending)
    columns = None if args.columns is None else args.columns.split(",")
    written = export(
        file,
        target,
        kind=args.to,
        rows=args.rows,
        columns=columns,
    )
    streams.tell(str(written))
    return DONE


# ── engines ──────────────────────────────────────────────────────────────────────────────────────


def _add_engine_verbs(verb: AddVerb) -> None:
    sub = verb("engines", _engines)
    text = "check a simulator that is installed apart against the closed forms"
    sub.add_argument("--accept", choices=["netsquid", "sequence"], help=text)
    text = "pairs per check of --accept (default: 6000)"
    sub.add_argument(
        "--pairs",
        type=whole(1, 10**15),
        default=6000,
        help=text,
    )
    text = "with --accept: also write all its numbers, releases and times to FILE (JSON), to be sent back"
    sub.add_argument("--report", metavar="FILE", help=text)
    arguments.add_json(sub)


def _add_completion(verb: AddVerb) -> None:
    sub = verb("completion", _completion)
    where = "source it in the shell, or put it where that looks for completions"
    sub.add_argument("shell", choices=["bash", "zsh", "fish"], help=where)


def _completion(args: argparse.Namespace) -> int:
    from .completion import script

    streams.deliver(script(args.shell), end="")
    return DONE


def _engines(args: argparse.Namespace) -> int:
    if args.accept:
        return _accept(args.accept, args.pairs, args.report)
    if args.report:
        raise ConfigError("--report goes with --accept: it is the report of an acceptance run")
    from ..engines import available, version
    from ..engines.noise.kernel import describe
    from .show_engines import engines_text

    engines = available()
    uses = {name: version(name) for name in engines} | {"noise": describe()}
    arguments.deliver(args, engines, engines_text(engines, uses))
    return DONE


def _accept(name: str, pairs: int, report: str | None) -> int:
    import importlib
    from pathlib import Path

    from ..engines import available
    from ..errors import EnvironmentProblem

    if missing := available()[name]:
        raise EnvironmentProblem(missing)
    module = importlib.import_module(f"..engines.{name}.acceptance", __package__)
    accepted = module.accept(streams.tell, pairs=pairs, report=report and Path(report))
    if report is not None:
        streams.tell(f"{report} has all of it: please send it to the project")
    return DONE if accepted else CRASHED
