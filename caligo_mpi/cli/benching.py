"""The verb ``bench``: run, plan, repeat and compare benches."""

from __future__ import annotations

from ..errors import CRASHED, DONE, STOPPED, ConfigError
from ..machine import streams
from . import arguments
from .arguments import whole

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from pathlib import Path
    from typing import Any

    from ..bench.bench import Planned
    from ..bench.session import Session
    from .arguments import AddVerb

#: Exit code of ``--compare`` where the two have no case in common, or none that says anything.
_NOTHING_TO_COMPARE = 3
_FOLDER = "bench-results"


def add_verbs(verb: AddVerb) -> None:
    """Declare the verb ``bench``."""
    sub = verb("bench", _bench)
    presets = "peers, scaling, noise-sweep, size-sweep, chunks, batching, store, protocol"
    sub.add_argument("bench", nargs="?", help=f"YAML file, or one of: {presets}")
    where = f"folder of results (default: {_FOLDER})"
    sub.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        default=_FOLDER,
        help=where,
    )
    sub.add_argument("--plan", action="store_true", help="print all cases with estimates; run none")
    _add_changes(sub)
    again = "run the cases again that are not ok, of the session in DIR, and only those"
    sub.add_argument("--rerun-failed", metavar="DIR", help=again)
    text = "speed of session B over A; exit code 1 on a regression, 3 where nothing compares"
    sub.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help=text,
    )
    text = "loss of speed in %% that is no regression (default: 5)"
    sub.add_argument(
        "--tolerance",
        type=whole(0, 100),
        metavar="P",
        default=5,
        help=text,
    )
    arguments.add_quiet(sub)
    arguments.add_json(sub)


def _add_changes(sub: argparse.ArgumentParser) -> None:
    """What the command line may put in the place of a bench's own keys."""
    sub.add_argument("--engines", metavar="A,B", help="these engines instead")
    sub.add_argument("--pairs", metavar="N,M", help="these numbers of pairs instead")
    sub.add_argument("--noise", metavar="Q,R", help="these error rates of a Werner link instead")
    sub.add_argument("--ranks", metavar="N,M", help="these numbers of ranks instead")
    sub.add_argument(
        "--repeats",
        type=whole(1, 10_000),
        metavar="N",
        help="runs that count",
    )


def _bench(args: argparse.Namespace) -> int:
    from pathlib import Path

    chosen = [
        bool(args.bench),
        bool(args.rerun_failed),
        bool(args.compare),
    ]
    if sum(chosen) != 1:
        raise ConfigError("bench needs one of: a YAML file or preset, --rerun-failed, --compare")
    if args.compare:
        return _compare(args)
    if args.rerun_failed:
        return _rerun(args)
    from ..bench import bench

    planned = bench.plan(args.bench, _changes(args))
    root = Path(args.output)
    if args.plan:
        return _plan(args, root, planned)
    return _run(args, root, planned, None)


def _plan(args: argparse.Namespace, root: Path, planned: Planned) -> int:
    from ..bench import bench
    from . import show_bench

    found = bench.outlook(planned, root)
    text = show_bench.plan_text(planned, found)
    arguments.deliver(args, show_bench.plan_dict(found), text)
    return DONE


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    """Keys of the bench that the command line gives."""
    from ..bench.bench import numbers

    changes: dict[str, Any] = {}
    for name in ("engines", "pairs", "noise", "ranks"):
        given = getattr(args, name)
        if given is not None:
            changes[name] = list(numbers(given, name))
    if args.repeats:
        changes["repeats"] = args.repeats
    return changes


def _rerun(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..bench import bench, session

    if given := list(_changes(args)):
        raise ConfigError(
            f"--{given[0]} is not with --rerun-failed, which repeats what was planned"
        )
    found = session.find(Path(args.rerun_failed))
    planned = bench.planned(found)
    return _run(args, found.folder.parent, planned, found)


def _run(
    args: argparse.Namespace,
    root: Path,
    planned: Planned,
    again: Session | None,
) -> int:
    """Run a bench, or the failed cases of a session of it."""
    from ..bench import bench, session
    from ..bench.plan import varying
    from ..launch import signals
    from . import show_bench

    signals.listen()
    cases = {one.id: one for one in planned.cases}
    names = varying(planned.cases)
    measure = planned.bench.measure

    def say(case: str, record: dict[str, Any] | None) -> None:
        if record and not args.quiet:
            line = show_bench.run_text(cases[case], names, record, measure)
            streams.say(line)

    with session.alone(root):
        if again:
            found = again
            result = bench.rerun_failed(again, say)
        else:
            found, result = bench.run(root, planned, say)
    comparison = session.read_json(found.folder / session.COMPARISON)
    text = show_bench.summary_text(
        result,
        comparison,
        planned.cases,
        str(found.folder),
    )
    arguments.tell(args, result, text)
    if not result["finished"]:
        return STOPPED
    return DONE if bench.is_good(result) else CRASHED


def _compare(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..bench import bench, compare
    from . import show_bench

    first, second = (bench.read_summary(Path(name)) for name in args.compare)
    found = compare.compare(first, second, args.tolerance / 100)
    text = show_bench.differences_text(found, first, second)
    arguments.deliver(args, show_bench.differences_dict(found), text)
    if any(map(compare.is_regression, found)):
        return CRASHED
    if not any(map(compare.is_comparable, found)):
        streams.say("nothing could be compared: no case is in both sessions with three runs")
        return _NOTHING_TO_COMPARE
    return DONE
