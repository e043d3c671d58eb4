"""The verb that makes a page: report."""

from __future__ import annotations

from ..errors import DONE
from ..machine import streams

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    import argparse

    from .arguments import AddVerb


def add_verbs(verb: AddVerb) -> None:
    """Declare the verb ``report``."""
    sub = verb("report", _report)
    sub.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="pairs file, keys file, directory of a sweep or bench; several are compared",
    )
    where = "page (default: report.html; an earlier report is replaced, nothing else)"
    sub.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        default="report.html",
        help=where,
    )
    folder = "also write each figure as PNG, SVG and PDF into this directory, new or empty"
    sub.add_argument("--figures", metavar="DIR", help=folder)
    skip = "no verdicts: do not read pairs files whole"
    sub.add_argument(
        "--no-analyze",
        dest="judged",
        action="store_false",
        help=skip,
    )


def _report(args: argparse.Namespace) -> int:
    from ..analysis.figures.style import MISSING, can_draw
    from ..analysis.report import report

    page = report(
        args.files,
        args.output,
        figures=args.figures,
        judged=args.judged,
    )
    size = page.stat().st_size / 1000
    if not can_draw():
        streams.say(f"{page} has no figures: {MISSING}")
    streams.tell(f"{page} written, {size:,.0f} kB; open it in a browser")
    return DONE
