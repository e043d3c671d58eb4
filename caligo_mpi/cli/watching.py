"""A live view of files that others are writing: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis.watch import Look, look, rate_between
from ..errors import DONE
from ..machine import streams
from ..machine.wording import counted, duration, rate

if TYPE_CHECKING:
    from rich.table import Table

#: A look may take this share of the time between two: large tables are looked at less often.
_SHARE = 0.1
#: Seconds over which the rate of now is taken, at least.
_WINDOW = 5.0


def watch(paths: Sequence[Path], *, seconds: float) -> int:
    """Show the files every ``seconds`` until all are complete, or until Ctrl-C."""
    view = View(paths)
    show = _live if sys.stdout.isatty() else _lines
    with contextlib.suppress(KeyboardInterrupt):
        show(view, seconds)
    return DONE


class View:
    """The last looks at each file, from which rates are taken."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._looks: dict[Path, list[Look]] = {path: [] for path in paths}

    def refresh(self) -> float:
        """Look at all files; returns how long that took."""
        begin = time.perf_counter()
        for path, looks in self._looks.items():
            if not (looks and looks[-1].is_over):
                looks.append(look(path))
            _forget(looks)
        return time.perf_counter() - begin

    @property
    def is_over(self) -> bool:
        """Whether every file is complete."""
        return all(looks[-1].is_over for looks in self._looks.values())

    def rows(self) -> list[tuple[Look, float | None]]:
        """The last look at each file, and its rate now."""
        found = []
        for looks in self._looks.values():
            first = looks[0] if len(looks) > 1 else None
            last = looks[-1]
            found.append((last, rate_between(first, last)))
        return found


def _forget(looks: list[Look]) -> None:
    """Drop the looks that no rate is taken from: before there was anything, and before the window."""
    while len(looks) > 1 and not looks[0].total:
        looks.pop(0)
    last = looks[-1]
    while len(looks) > 2 and last.when - looks[1].when >= _WINDOW:
        looks.pop(0)


def sentence(seen: Look, now: float | None) -> str:
    """What is said of one file, in one line."""
    if not seen.total:
        problem = f" ({seen.problem})" if seen.problem else ""
        return f"{seen.path}: {seen.state}{problem}"
    done = 100 * seen.done / seen.total
    whole = counted(seen.total, seen.noun)
    parts = [f"{done:.1f} % of {whole}", *_rates(seen, now)]
    if seen.ranks:
        ranks = counted(seen.ranks, "rank")
        if seen.slow:
            ranks += f", slow: {_slow(seen)}"
        parts.append(ranks)
    if seen.last_commit and not seen.is_over:
        parts.append(f"last commit {_age(seen)} ago")
    if seen.faults:
        parts.append(counted(seen.faults, "fault"))
    return f"{seen.path}: {seen.state}, {', '.join(parts)}"


def _rates(seen: Look, now: float | None) -> list[str]:
    found = []
    if seen.state == "running" and now is not None:
        speed = rate(now)
        if seen.noun != "pair":
            speed = f"{now:.3g} {seen.noun}s/s"
        found.append(f"{speed} now")
    if seen.average is not None:
        found.append(f"{rate(seen.average)} on average")
    left = _left(seen, now)
    if left is not None:
        found.append(f"{duration(left)} left")
    return found


def _left(seen: Look, now: float | None) -> float | None:
    """Seconds until the file is complete, at its average rate."""
    speed = seen.average or now
    if seen.state != "running" or not speed:
        return None
    return (seen.total - seen.done) / speed


def _slow(seen: Look) -> str:
    listed = ", ".join(map(str, seen.slow[:5]))
    more = " …" if len(seen.slow) > 5 else ""
    return f"rank {listed}{more}"


def _age(seen: Look) -> str:
    seconds = time.time() - seen.last_commit
    return duration(max(0.0, seconds))


def _lines(view: View, seconds: float) -> None:
    over: set[Path] = set()
    while True:
        took = view.refresh()
        for seen, now in view.rows():
            if seen.path not in over:
                line = sentence(seen, now)
                streams.tell(line)
            if seen.is_over:
                over.add(seen.path)
        if view.is_over:
            return
        _wait(seconds, took)


def _wait(seconds: float, took: float) -> None:
    """Until the next look, longer where a look takes long."""
    time.sleep(max(seconds, took / _SHARE))


def _live(view: View, seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(width=streams.width())
    with Live(console=console, auto_refresh=False) as live:
        while True:
            took = view.refresh()
            table = _table(view.rows())
            live.update(table, refresh=True)
            if view.is_over:
                return
            _wait(seconds, took)


def _table(rows: Sequence[tuple[Look, float | None]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("file", "state"):
        table.add_column(name, justify="left", overflow="fold")
    for name in ("done", "now", "average", "left", "ranks", "commit", "faults"):
        table.add_column(name, justify="right", overflow="fold")
    for seen, now in rows:
        cells = map(streams.plain, _cells(seen, now))
        table.add_row(*cells)
    return table


def _cells(seen: Look, now: float | None) -> list[str]:
    if not seen.total:
        nothing = ["–"] * 7
        return [str(seen.path), seen.state, *nothing]
    done = 100 * seen.done / seen.total
    left = _left(seen, now)
    ranks = str(seen.ranks or "–")
    if seen.slow:
        ranks = f"{seen.ranks}, slow: {_slow(seen)}"
    return [
        str(seen.path),
        seen.state,
        f"{_bar(seen)} {done:.1f} %",
        "–" if seen.is_over else _per_second(now),
        _per_second(seen.average),
        "–" if left is None else duration(left),
        ranks,
        _age(seen) if seen.last_commit else "–",
        str(seen.faults),
    ]


def _per_second(speed: float | None) -> str:
    if speed is None:
        return "–"
    pairs = rate(speed).removesuffix(" pairs/s")
    return f"{pairs}/s"


def _bar(seen: Look) -> str:
    full = int(8 * seen.done / seen.total)
    return "━" * full + "·" * (8 - full)
