"""Verbs that make files: generate, distill, sequential; and slurm, which has others make them."""

from __future__ import annotations

from functools import partial

from ..config.modes import DEFAULT_MODE, MODES
from ..errors import DONE, ConfigError
from ..machine import streams
from . import arguments
from .arguments import whole

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from pathlib import Path
    from typing import Literal

    from ..config.protocol import ProtocolConfig
    from ..runs.distill import DistillJob
    from ..runs.forecast import Forecast
    from ..runs.generate import GenerateJob
    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare the verbs that make files."""
    _add_generate(verb)
    _add_distill(verb)
    _add_resume(verb)
    _add_slurm(verb)
    _add_sequential(verb)


# ── generate ─────────────────────────────────────────────────────────────────────────────────────


def _add_generate(verb: AddVerb) -> None:
    sub = verb("generate", _generate)
    arguments.add_config(sub)
    arguments.add_output(sub)
    for flag, key in (("--restarts", "faults.restarts"), ("--retries", "faults.retries")):
        sub.add_argument(
            flag,
            dest="overrides",
            action="append",
            type=f"{key}={{}}".format,
            metavar="K",
            help=f"set {key}",
        )
    survive = "faults.mode=survive"
    sub.add_argument(
        "--survive",
        dest="overrides",
        action="append_const",
        const=survive,
        help=f"set {survive}",
    )
    arguments.add_mpi(sub)
    only = "simulate this chunk alone, here; write nothing"
    sub.add_argument(
        "--only-chunk",
        type=int,
        metavar="I",
        help=only,
    )
    aside = "set a file of another configuration aside and start anew"
    arguments.add_execution(sub, aside=aside)


def _generate(args: argparse.Namespace) -> int:
    if args.only_chunk is not None:
        return _only_chunk(args)
    from ..pairs import ChunkResult
    from ..runs.execute import Task, execute
    from ..runs.fleeting import lasting
    from .observer import TerminalObserver

    observer = TerminalObserver(quiet=args.quiet, json=args.json)
    with lasting(args.config) as args.config, observer:
        task = Task(lambda: _generate_job(args), ChunkResult, observer)
        return execute(task, args.ranks)


def _generate_job(args: argparse.Namespace) -> GenerateJob:
    from ..runs.generate import GenerateJob

    config, path = arguments.config_and_path(args)
    line = [
        "generate",
        arguments.operand(args.config),
        *arguments.rank_arguments(args, path),
    ]
    return GenerateJob(config, path, line, forced=args.force)


def _only_chunk(args: argparse.Namespace) -> int:
    """One chunk, as the run would simulate it; an exception comes with its traceback."""
    from ..config import load_config
    from ..runs.chunks import only_chunk
    from . import show

    config = load_config(args.config, args.overrides)
    record = only_chunk(config, args.only_chunk, args.output or config.output.path)
    arguments.deliver(args, record, show.record_text(record))
    return DONE


# ── distill ──────────────────────────────────────────────────────────────────────────────────────


def _add_distill(verb: AddVerb) -> None:
    sub = verb("distill", _distill)
    sub.add_argument("run", help="pairs file")
    example = "YAML file, such as configs/bbm92.yaml (default: the mode's defaults for this file)"
    sub.add_argument("--config", metavar="PROTOCOL", help=example)
    modes = ", ".join(f"{name} for {mode.gives}" for name, mode in MODES.items())
    without = f"without --config: {modes} (default: {DEFAULT_MODE})"
    sub.add_argument("--mode", choices=list(MODES), help=without)
    arguments.add_set(sub, example="qber_limit=0.05")
    keys = "keys file (default: NAME.keys.h5 beside the pairs file)"
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=keys,
    )
    launches = "launches after the first (default: 100)"
    sub.add_argument(
        "--restarts",
        type=whole(0, 1_000_000),
        metavar="K",
        help=launches,
    )
    arguments.add_mpi(sub)
    again = "simulate a file's pairs again, even for more than an hour of one core"
    sub.add_argument("--yes", action="store_true", help=again)
    arguments.add_execution(sub, aside="set another file aside and start anew")


def _distill(args: argparse.Namespace) -> int:
    from ..runs.blocks import Finished
    from ..runs.execute import Task, execute
    from ..runs.fleeting import lasting
    from .observer import TerminalObserver

    observer = TerminalObserver(quiet=args.quiet, json=args.json)
    with lasting(args.config) as args.config, observer:
        task = Task(lambda: _distill_job(args), Finished, observer)
        return execute(task, args.ranks)


def _distill_job(args: argparse.Namespace) -> DistillJob:
    from ..config.settings import mpi_settings, restarts_setting
    from ..runs.default_protocol import default_output
    from ..runs.distill import DistillJob, prepare
    from ..store import output_name

    output = default_output(args.run) if args.output is None else args.output
    path = output_name(output)
    config, chosen = _protocol(args)
    plan = prepare(
        args.run,
        config,
        yes=args.yes,
        chosen=chosen,
    )
    if chosen and not args.ranks:  # rank 0 of those that are launched says it
        streams.say(chosen)
    restarts = args.restarts
    if restarts is None:
        restarts = restarts_setting()
    return DistillJob(
        plan,
        path,
        _distill_line(args, path, config),
        restarts=restarts,
        forced=args.force,
        mpi=mpi_settings(arguments.mpi_overrides(args)),
    )


def _distill_line(args: argparse.Namespace, path: Path, config: ProtocolConfig) -> list[str]:
    """The command line of ranks that distill the same file."""
    line = ["distill", arguments.operand(args.run)]
    if args.config is None:
        line.append(f"--mode={config.mode}")
    else:
        line.append(f"--config={args.config}")
    if args.yes:
        line.append("--yes")
    return line + arguments.rank_arguments(args, path)


def _protocol(args: argparse.Namespace) -> tuple[ProtocolConfig, str]:
    """The protocol's configuration, and what was chosen where none was given."""
    from ..config.protocol import load_protocol
    from ..runs.default_protocol import choose_protocol

    if args.config is not None and args.mode is not None:
        raise ConfigError(
            f"--mode {args.mode} and --config {args.config} exclude each other: "
            "the file names its mode; leave one of them out"
        )
    if args.config is not None:
        return load_protocol(args.config, args.overrides), ""
    choice = choose_protocol(args.run, args.mode or DEFAULT_MODE, args.overrides)
    return choice.config, choice.sentence


# ── resume ───────────────────────────────────────────────────────────────────────────────────────


def _add_resume(verb: AddVerb) -> None:
    sub = verb("resume", _resume)
    sub.add_argument("file", help="the file, under its own name or its partial one's")
    again = "simulate pairs again for keys, even for more than an hour of one core"
    sub.add_argument("--yes", action="store_true", help=again)
    arguments.add_ranks(sub)
    arguments.add_mpi(sub)
    arguments.add_quiet(sub)
    arguments.add_json(sub)


def _resume(args: argparse.Namespace) -> int:
    from ..pairs import ChunkResult
    from ..runs import resume
    from ..runs.blocks import Finished
    from ..runs.execute import Task, execute
    from .observer import TerminalObserver

    line = [
        "resume",
        arguments.operand(args.file),
        *arguments.given_flags(args, "yes", "quiet", "json"),
        *arguments.mpi_flags(args),
    ]
    overrides = arguments.mpi_overrides(args)

    def distill_job() -> DistillJob:
        return resume.distill_job(args.file, line, overrides, yes=args.yes)

    def generate_job() -> GenerateJob:
        return resume.generate_job(args.file, line, overrides)

    with TerminalObserver(quiet=args.quiet, json=args.json) as observer:
        if resume.holds_keys(args.file):
            task = Task(distill_job, Finished, observer)
        else:
            task = Task(generate_job, ChunkResult, observer)
        return execute(task, args.ranks)


# ── slurm, sequential ────────────────────────────────────────────────────────────────────────────


def _add_slurm(verb: AddVerb) -> None:
    sub = verb("slurm", _slurm)
    arguments.add_config(sub)
    arguments.add_output(sub)
    arguments.add_ranks(sub, text="ranks (default: half an hour's, at most a node)")
    limit = "time limit as sbatch takes it (default: by the trial)"
    sub.add_argument("--time", metavar="TIME", help=limit)


def _slurm(args: argparse.Namespace) -> int:
    from ..config.sweep import is_sweep_config
    from ..runs import slurm
    from ..runs.forecast import forecast
    from ..runs.generate import preflight
    from . import sweeping

    limit = slurm.minutes(args.time) if args.time else None
    if is_sweep_config(args.config):
        foreseen, command = sweeping.slurm_command(args)
    else:
        config, path = arguments.config_and_path(args)
        preflight(config, path)
        foreseen = forecast(config)
        about = slurm.about_run(config, foreseen)
        command = slurm.Command(
            args.config,
            path,
            args.overrides,
            about=about,
        )
    times = partial(_expected_seconds, foreseen)
    script = slurm.script(
        foreseen,
        command,
        ranks=args.ranks,
        limit=limit,
        times=times,
    )
    streams.deliver(script, end="")
    return DONE


def _expected_seconds(foreseen: Forecast, ranks: int) -> float:
    """How long a run takes on so many ranks, by the scaling model and on any file system."""
    from ..analysis.scaling import Costs, Workload, predict
    from ..runs import slurm

    chunks = foreseen.chunks
    writers: Literal["gather", "none"] = "gather" if foreseen.carries else "none"
    workload = Workload(
        chunks,
        foreseen.seconds / chunks,
        foreseen.file_bytes / chunks,
        writers=writers,
    )
    costs = Costs(
        write=slurm.WRITING,
        file_system=slurm.WRITING,
        start=slurm.START,
    )
    return predict(workload, costs, ranks=ranks).seconds


def _add_sequential(verb: AddVerb) -> None:
    sub = verb("sequential", _sequential)
    arguments.add_config(sub)
    arguments.add_output(sub)
    trace = "write the simulator's event log as tab-separated text"
    sub.add_argument("--trace", metavar="FILE", help=trace)
    sub.add_argument("--force", action="store_true", help="set a file that is there aside")
    arguments.add_json(sub)


def _sequential(args: argparse.Namespace) -> int:
    from ..runs.sequential import run_sequential
    from . import show

    config, path = arguments.config_and_path(args)
    outcome = run_sequential(
        config,
        path,
        trace=args.trace,
        force=args.force,
    )
    arguments.tell(
        args,
        show.sequential_dict(outcome),
        show.sequential_text(outcome),
    )
    return DONE
