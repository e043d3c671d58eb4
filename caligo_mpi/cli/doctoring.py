"""The verb that looks at the place: doctor."""

from __future__ import annotations

from ..errors import CRASHED, DONE
from . import arguments

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..runs.doctor import Finding
    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare the verb ``doctor``."""
    sub = verb("doctor", _doctor)
    where = "file or directory that the output would go to (default: here)"
    sub.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        default=".",
        help=where,
    )
    arguments.add_ranks(sub)
    arguments.add_json(sub)


def _doctor(args: argparse.Namespace) -> int:
    from ..launch.mpirun import is_launched
    from ..machine.environment import RANKS, is_set
    from ..runs import doctor

    folder = _folder(args.output)
    if args.ranks and not is_launched():
        found: list[Finding] | None = doctor.on_ranks(args.ranks, ["doctor", f"--output={folder}"])
    else:
        found = doctor.checkup(folder)
    if found is None:
        return DONE  # another rank speaks
    values = []
    for one in found:
        values.append(
            {
                "what": one.what,
                "verdict": one.verdict,
                "told": one.told,
                "remedy": one.remedy,
            }
        )
    arguments.deliver(args, values, _text(found))
    # What we launched reports to us; mpirun would add a page of its own to another exit code.
    is_done = doctor.is_well(found) or is_set(RANKS)
    return DONE if is_done else CRASHED


def _folder(output: str) -> Path:
    """The directory that a file or a directory of that name would stand in, or be."""
    from pathlib import Path

    path = Path(output)
    if path.is_dir() or not path.suffix:
        return path
    return path.absolute().parent


#: What a line begins with.
_MARKS = {
    "ok": "  ok     ",
    "warning": "  warning",
    "failure": "  FAILURE",
}


def _text(findings: Sequence[Finding]) -> str:
    width = max(len(one.what) for one in findings)
    lines: list[str] = []
    for one in findings:
        lines += _lines(one, width)
    lines.append(_verdict(findings))
    return "\n".join(lines)


def _lines(one: Finding, width: int) -> Iterator[str]:
    """What was found out about one thing, and below it what helps."""
    from .catalog import wrapped

    room = 84 - width
    first, *further = wrapped(one.told, room) or [""]
    if one.remedy:
        further += wrapped(f"-> {one.remedy}", room)
    mark = _MARKS[one.verdict]
    what = one.what.ljust(width)
    yield f"{mark}  {what}  {first}"
    below = " " * (13 + width)
    for line in further:
        yield below + line


def _verdict(findings: Sequence[Finding]) -> str:
    from ..machine.wording import counted

    verdicts = [one.verdict for one in findings]
    bad = verdicts.count("failure")
    odd = verdicts.count("warning")
    if not bad and not odd:
        return "all is well"
    return f"{counted(bad, 'failure')}, {counted(odd, 'warning')}"
