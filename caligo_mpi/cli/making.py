"""Verbs that make files: generate, distill, sequential; and slurm, which has others make them."""

from __future__ import annotations

from ..errors import DONE
from ..terminal import streams
from . import arguments
from .arguments import whole

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse

    from ..runs.distill import DistillJob
    from ..runs.generate import GenerateJob
    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare them."""
    _add_generate(verb)
    _add_distill(verb)
    _add_slurm(verb)
    _add_sequential(verb)


# ── generate ─────────────────────────────────────────────────────────────────────────────────────


def _add_generate(verb: AddVerb) -> None:
    text = "simulate the pairs of a configuration into one file, or go on with it"
    sub = verb("generate", _generate, text)
    arguments.add_config(sub)
    arguments.add_output(sub)
    for flag, key in (("--restarts", "faults.restarts"), ("--retries", "faults.retries")):
        override = f"{key}={{}}".format
        sub.add_argument(
            flag, dest="overrides", action="append", type=override, metavar="K", help=f"set {key}"
        )
    survive = "faults.mode=survive"
    sub.add_argument(
        "--survive", dest="overrides", action="append_const", const=survive, help=f"set {survive}"
    )
    only = "simulate this chunk alone, here; write nothing"
    sub.add_argument("--only-chunk", type=int, metavar="I", help=only)
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
    with lasting(args.config, ranks=args.ranks) as args.config, observer:
        return execute(Task(lambda: _generate_job(args), ChunkResult, observer), args.ranks)


def _generate_job(args: argparse.Namespace) -> GenerateJob:
    from ..runs.generate import GenerateJob

    config, path = arguments.config_and_path(args)
    line = ["generate", arguments.operand(args.config), *arguments.rank_arguments(args, path)]
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
    sub = verb("distill", _distill, "make keys of a finished pairs file, or go on with it")
    sub.add_argument("run", help="pairs file")
    example = "YAML file, such as configs/bbm92.yaml"
    sub.add_argument("--config", required=True, metavar="PROTOCOL", help=example)
    arguments.add_set(sub, example="qber_limit=0.05")
    sub.add_argument("-o", "--output", metavar="FILE", required=True, help="keys file")
    launches = "launches after the first (default: 100)"
    sub.add_argument(
        "--restarts", type=whole(0, 1_000_000), default=100, metavar="K", help=launches
    )
    again = "simulate a file's pairs again, even for more than an hour of one core"
    sub.add_argument("--yes", action="store_true", help=again)
    arguments.add_execution(sub, aside="set another file aside and start anew")


def _distill(args: argparse.Namespace) -> int:
    from ..runs.blocks import Finished
    from ..runs.execute import Task, execute
    from ..runs.fleeting import lasting
    from .observer import TerminalObserver

    observer = TerminalObserver(quiet=args.quiet, json=args.json)
    with lasting(args.config, ranks=args.ranks) as args.config, observer:
        return execute(Task(lambda: _distill_job(args), Finished, observer), args.ranks)


def _distill_job(args: argparse.Namespace) -> DistillJob:
    from ..config.protocol import load_protocol
    from ..runs.distill import DistillJob, prepare
    from ..store import output_name

    path = output_name(args.output)
    protocol = load_protocol(args.config, args.overrides)
    plan = prepare(args.run, protocol, yes=args.yes)
    files = [arguments.operand(args.run), f"--config={args.config}"]
    agreed = ["--yes"] if args.yes else []
    line = ["distill", *files, *agreed, *arguments.rank_arguments(args, path)]
    return DistillJob(plan, path, line, restarts=args.restarts, forced=args.force)


# ── slurm, sequential ────────────────────────────────────────────────────────────────────────────


def _add_slurm(verb: AddVerb) -> None:
    text = "print a batch script for a run, with ranks, time and memory from a short trial"
    sub = verb("slurm", _slurm, text)
    arguments.add_config(sub)
    arguments.add_output(sub)
    arguments.add_ranks(sub, text="ranks (default: half an hour's, at most a node)")
    limit = "time limit as sbatch takes it (default: by the trial)"
    sub.add_argument("--time", metavar="TIME", help=limit)


def _slurm(args: argparse.Namespace) -> int:
    from ..runs import slurm
    from ..runs.forecast import forecast
    from ..runs.generate import preflight

    limit = slurm.minutes(args.time) if args.time else None
    config, path = arguments.config_and_path(args)
    preflight(config, path)
    command = slurm.Command(args.config, path, args.overrides)
    script = slurm.script(config, forecast(config), command, ranks=args.ranks, limit=limit)
    streams.deliver(script, end="")
    return DONE


def _add_sequential(verb: AddVerb) -> None:
    text = "pairs and protocol inside one NetSquid simulation, for validation"
    sub = verb("sequential", _sequential, text)
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
    outcome = run_sequential(config, path, trace=args.trace, force=args.force)
    arguments.tell(args, show.sequential_dict(outcome), show.sequential_text(outcome))
    return DONE
