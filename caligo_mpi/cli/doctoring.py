"""The verb that looks at the place: doctor."""

from __future__ import annotations

from ..errors import CRASHED, DONE
from . import arguments

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..runs.doctor import Finding
    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare it."""
    sub = verb("doctor", _doctor)
    where = "file or directory that the output would go to (default: here)"
    sub.add_argument("-o", "--output", metavar="PATH", default=".", help=where)
    arguments.add_ranks(sub)
    arguments.add_json(sub)


def _doctor(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..launch.mpirun import is_launched
    from ..machine.environment import RANKS, is_set
    from ..runs import doctor

    path = Path(args.output)
    folder = path if path.is_dir() or not path.suffix else path.absolute().parent
    if args.ranks and not is_launched():
        found: list[Finding] | None = doctor.on_ranks(args.ranks, ["doctor", f"--output={folder}"])
    else:
        found = doctor.checkup(folder)
    if found is None:
        return DONE  # another rank speaks
    values = [
        {"what": one.what, "verdict": one.verdict, "told": one.told, "remedy": one.remedy}
        for one in found
    ]
    arguments.deliver(args, values, _text(found))
    # What we launched reports to us; mpirun would add a page of its own to another exit code.
    return DONE if doctor.is_well(found) or is_set(RANKS) else CRASHED


#: What a line begins with.
_MARKS = {"ok": "  ok     ", "warning": "  warning", "failure": "  FAILURE"}


def _text(findings: Sequence[Finding]) -> str:
    from ..machine.wording import counted
    from .catalog import wrapped

    width = max(len(one.what) for one in findings)
    lines = []
    for one in findings:
        first, *further = wrapped(one.told, 84 - width) or [""]
        lines.append(f"{_MARKS[one.verdict]}  {one.what:{width}}  {first}")
        if one.remedy:
            further += wrapped(f"-> {one.remedy}", 84 - width)
        lines += [f"{'':13}{'':{width}}{line}" for line in further]
    bad = sum(one.verdict == "failure" for one in findings)
    odd = sum(one.verdict == "warning" for one in findings)
    if not bad and not odd:
        lines.append("all is well")
    else:
        lines.append(f"{counted(bad, 'failure')}, {counted(odd, 'warning')}")
    return "\n".join(lines)
