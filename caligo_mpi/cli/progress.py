"""A bar or lines of progress on the standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from ..machine import environment, streams
from ..machine.wording import counted, duration, rate
from ..parallel.job import Progress

#: Seconds between two lines of progress where there is no terminal.
LINE_SECONDS = 5.0

#: Given to rich, which would take any number from the environment.
_BAR_LINES = 25

Report = Callable[[Progress], None]


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Report]:
    """A bar on a terminal, else a plain line every few seconds; nothing if ``quiet``."""
    columns = environment.count(environment.TERMINAL, 0)
    if quiet:
        yield lambda progress: None
    elif columns or sys.stderr.isatty():
        with _bar(streams.bounded(columns) if columns else streams.width()) as report:
            yield report
    else:
        yield _lines()


@contextlib.contextmanager
def _bar(columns: int) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    # Under our launcher the standard error is a pipe that ends at a terminal.
    console = Console(
        stderr=True,
        force_terminal=True,
        width=columns,
        height=_BAR_LINES,
    )
    texts = (
        TextColumn("{task.percentage:5.1f} %"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(
        BarColumn(bar_width=None),
        *texts,
        console=console,
        refresh_per_second=5,
    ) as bar:
        task = bar.add_task("", total=None, rate="")

        def report(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.pairs,
                total=progress.total,
                rate=_rate(progress),
            )

        yield report


def _lines() -> Report:
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last < LINE_SECONDS:
            return
        last = time.monotonic()
        seconds_per_pair = progress.seconds / progress.launched
        left = (progress.total - progress.pairs) * seconds_per_pair
        percent = 100 * progress.pairs / progress.total
        whole = counted(progress.total, "pair")
        done = f"{progress.pairs:,} of {whole} ({percent:.1f} %)"
        streams.note(f"{done}, {_rate(progress)}, {duration(left)} left")

    return report


def _rate(progress: Progress) -> str:
    return rate(progress.launched / max(progress.seconds, 1e-9))
