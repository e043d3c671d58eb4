"""Verbs for many runs of one base: sweep, and merge."""

from __future__ import annotations

from ..errors import DONE
from ..machine import streams
from . import arguments
from .arguments import whole

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..config.points import Point
    from ..config.sweep import SweepConfig
    from ..runs.forecast import Forecast
    from ..runs.slurm import Command
    from ..runs.sweeps.job import SweepJob
    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare the verbs ``sweep`` and ``merge``."""
    _add_sweep(verb)
    sub = verb("merge", _merge)
    sub.add_argument(
        "directories",
        nargs="+",
        metavar="DIR",
        help="directories of sweeps",
    )
    sub.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="directory to make",
    )
    arguments.add_json(sub)


def _add_sweep(verb: AddVerb) -> None:
    sub = verb("sweep", _sweep)
    file = "YAML file, such as configs/sweep-fidelity.yaml"
    sub.add_argument("config", metavar="SWEEP", help=file)
    arguments.add_set(sub, example="base.pairs=1e6")
    sub.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="directory of the results",
    )
    sub.add_argument("--plan", action="store_true", help="say what it takes; run nothing")
    sub.add_argument(
        "--point",
        type=whole(0, 1 << 40),
        metavar="K",
        help="this point alone",
    )
    text = "with --point: print the configuration of the equivalent single run"
    sub.add_argument(
        "--config",
        dest="single",
        action="store_true",
        help=text,
    )
    either = sub.add_mutually_exclusive_group()
    text = "compute the other points when one fails (the default)"
    either.add_argument("--keep-going", action="store_true", help=text)
    either.add_argument("--fail-fast", action="store_true", help="stop when a point fails")
    arguments.add_mpi(sub)
    arguments.add_execution(sub, aside="set the file of another sweep aside and start anew")


def _sweep(args: argparse.Namespace) -> int:
    if args.single:
        return _print_point(args)
    if args.plan:
        return _plan(args)
    from ..runs.execute import Task, execute
    from ..runs.fleeting import lasting
    from ..runs.sweeps.work import Made
    from .observer import TerminalObserver

    observer = TerminalObserver(quiet=args.quiet, json=args.json)
    with lasting(args.config) as args.config, observer:
        return execute(Task(lambda: _sweep_job(args), Made, observer), args.ranks)


def _sweep_job(args: argparse.Namespace) -> SweepJob:
    from pathlib import Path

    from ..config.settings import mpi_settings, sweep_settings
    from ..config.sweep import load_sweep
    from ..errors import ConfigError
    from ..runs.sweeps.job import SweepJob
    from ..runs.sweeps.plan import require_fit

    if not args.output:
        raise ConfigError("output is not given; name the directory of the results with -o DIR")
    sweep = load_sweep(args.config, [*sweep_settings(), *args.overrides])
    chosen = _chosen(sweep, args)
    directory = Path(args.output)
    require_fit(sweep, chosen, directory)
    return SweepJob(
        sweep,
        chosen,
        directory,
        _sweep_line(args, directory),
        mpi=mpi_settings(arguments.mpi_overrides(args), chosen[0].config.mpi),
        forced=args.force,
        fail_fast=args.fail_fast,
    )


def _sweep_line(args: argparse.Namespace, directory: Path) -> list[str]:
    """The command line of ranks that work on the same sweep."""
    line = ["sweep", arguments.operand(args.config)]
    line += arguments.rank_arguments(args, directory)
    if args.point is not None:
        line.append(f"--point={args.point}")
    if args.fail_fast:
        line.append("--fail-fast")
    return line


def _chosen(sweep: SweepConfig, args: argparse.Namespace) -> tuple[Point, ...]:
    """All points, or the one that the command line names."""
    if args.point is None:
        return sweep.points
    return (_point(sweep, args.point),)


def _point(sweep: SweepConfig, number: int) -> Point:
    from ..errors import ConfigError

    last = len(sweep.points) - 1
    if number > last:
        raise ConfigError(f"point={number} is not a point of {sweep.source}; they are 0 to {last}")
    return sweep.points[number]


def _print_point(args: argparse.Namespace) -> int:
    from ..config import dump_config
    from ..config.strict_yaml import dump_yaml
    from ..config.sweep import load_sweep
    from ..errors import ConfigError

    if args.point is None:
        raise ConfigError("--config prints the configuration of a point; name it with --point K")
    sweep = load_sweep(args.config, args.overrides)
    point = _point(sweep, args.point)
    streams.deliver(dump_config(point.config), end="")
    if point.protocol is None:
        return DONE
    protocol = dump_yaml(point.protocol.resolved())
    lines = ["# distill it with:"]
    for line in protocol.splitlines():
        lines.append(f"# {line}")
    streams.deliver("\n".join(lines))
    return DONE


def _plan(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..config.sweep import load_sweep
    from ..runs.sweeps.plan import plan, require_fit
    from . import show_sweep

    sweep = load_sweep(args.config, args.overrides)
    chosen = _chosen(sweep, args)
    require_fit(sweep, chosen, Path(args.output or "."))
    found = plan(sweep, chosen)
    arguments.deliver(
        args,
        show_sweep.plan_dict(found),
        show_sweep.plan_text(found),
    )
    return DONE


def _merge(args: argparse.Namespace) -> int:
    from ..runs.sweeps.merge import merge
    from . import show_sweep
    from .observer import TerminalObserver

    observer = TerminalObserver(quiet=True, json=args.json)
    found = merge(args.directories, args.output, observer=observer)
    arguments.tell(
        args,
        show_sweep.sweep_dict(found),
        show_sweep.sweep_text(found),
    )
    return DONE


def slurm_command(args: argparse.Namespace) -> tuple[Forecast, Command]:
    """What a batch script for a sweep says and calls."""
    from ..machine.wording import quantity
    from ..runs import slurm
    from ..runs.sweeps.plan import as_forecast, plan

    # What the verb `sweep` would have parsed.
    args.force = args.fail_fast = args.quiet = args.json = False
    args.point = args.binding = args.metrics = None
    job = _sweep_job(args)
    job.preflight()
    found = plan(job.sweep, job.points)
    disk = f"{quantity(found.disk)}B"
    command = slurm.Command(
        args.config,
        job.directory,
        args.overrides,
        verb="sweep",
        about=f"{found.points:,} points with {found.pairs:,} pairs, {disk}",
    )
    return as_forecast(found), command


def show_status(args: argparse.Namespace, directory: str) -> None:
    """What ``status`` prints of a sweep's directory."""
    from ..runs.sweeps.reading import items_done, sweep_owner, sweep_status
    from . import show_sweep

    found = sweep_status(directory)
    text = show_sweep.status_text(found, sweep_owner(directory))
    values = {**show_sweep.sweep_dict(found), "chunks_done": items_done(directory)}
    arguments.deliver(args, values, text)
