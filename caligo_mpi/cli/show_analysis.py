"""What ``analyze`` prints: a line per check, the findings first."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

from ..analysis import Analysis, Check, Qber
from ..machine import streams
from ..machine.wording import counted, percent
from .arguments import in_form
from .observer import TerminalObserver

_WIDTH = 80
#: Letters of a check's name, and of its chance.
_NAME = 18
_P = 8


class AnalysisObserver(TerminalObserver):
    """An observer whose result is an analysis."""

    def result(self, summary: Any) -> None:
        """Print the analysis."""
        self._stack.close()
        assert isinstance(summary, Analysis)
        values = summary.as_dict()
        text = analysis_text(summary)
        streams.deliver(in_form(values, text, json=self.json))


def analysis_text(found: Analysis) -> str:
    """All of it, at most 80 columns wide but for the file's name."""
    lines = [_head(found)]
    for cause in found.causes:
        lines += _wrapped(cause, first="  => ", further="     ")
    title = f"{'check':<{_NAME}} {'chance':>{_P}}"
    lines.append(f"  {title}  what was looked at, and its worst")
    for check in sorted(found.checks, key=_order):
        lines += _check_lines(check)
    for rate in found.qber:
        lines.append(_qber_line(rate))
    for note in found.notes:
        lines += _wrapped(note, first="  ", further="  ")
    return "\n".join(lines)


def _wrapped(words: str, *, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        words,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
    )


def _head(found: Analysis) -> str:
    verdict = "sound"
    if not found.sound:
        verdict = counted(len(found.findings), "FINDING", "FINDINGS")
    kind = "complete" if found.complete else "partial"
    rows = counted(found.rows, "row")
    chunks = counted(found.chunks, "chunk")
    lines = [
        f"{found.path}: {verdict}",
        f"  {kind}, {rows} in {chunks}, engine {found.engine}",
    ]
    return "\n".join(lines)


def _order(check: Check) -> int:
    """Findings first, then what applies, then the rest."""
    if check.finding:
        return 0
    return 2 if check.p is None else 1


def _check_lines(check: Check) -> Iterator[str]:
    mark = "!" if check.finding else " "
    chance = _chance(check.p)
    head = f"{mark} {check.name:<{_NAME}} {chance:>{_P}}  "
    words = check.found
    if check.where:
        words += f"; {check.where}"
    room = _WIDTH - len(head)
    first, *others = textwrap.wrap(words, room) or [""]
    yield (head + first).rstrip()
    for other in others:
        yield " " * len(head) + other


def _chance(p: float | None) -> str:
    """A probability in a few letters.

    >>> _chance(None), _chance(0.0), _chance(1.0), _chance(0.0312), _chance(3e-12)
    ('–', '<1e-300', '1', '0.031', '3e-12')
    """
    if p is None:
        return "–"
    if p < 1e-300:
        return "<1e-300"
    if p < 1e-3:
        return f"{p:.0e}"
    return f"{p:.2g}"


def _qber_line(rate: Qber) -> str:
    if rate.value is None:
        return f"  {rate.basis}: no sifted pairs"
    measured = percent(rate.value)
    low = 100 * rate.low
    about = f"95 %: {low:.4f} to {percent(rate.high)}"
    if rate.expected is not None and not math.isnan(rate.expected):
        about += f"; closed form {percent(rate.expected)}"
    return f"  {rate.basis}: QBER {measured} ({about})"
