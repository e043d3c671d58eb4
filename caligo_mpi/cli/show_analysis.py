"""What ``analyze`` prints: a line per check, the findings first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from ..analysis import Analysis, Check, Qber
from ..machine import streams
from ..machine.wording import counted
from .arguments import in_form
from .observer import TerminalObserver

_WIDTH = 80
_NAME, _P = 18, 8


class AnalysisObserver(TerminalObserver):
    """Delivers an analysis."""

    def result(self, summary: Any) -> None:
        """The analysis is there."""
        self._stack.close()
        assert isinstance(summary, Analysis)
        streams.deliver(in_form(summary.as_dict(), analysis_text(summary), json=self.json))


def analysis_text(found: Analysis) -> str:
    """All of it, at most 80 columns wide but for the file's name."""
    lines = [_head(found)]
    for cause in found.causes:
        lines += textwrap.wrap(cause, _WIDTH, initial_indent="  => ", subsequent_indent="     ")
    lines.append(f"  {'check':<{_NAME}} {'chance':>{_P}}  what was looked at, and its worst")
    for check in sorted(found.checks, key=_order):
        lines += _check_lines(check)
    lines += [_qber_line(rate) for rate in found.qber]
    for note in found.notes:
        lines += textwrap.wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


def _head(found: Analysis) -> str:
    kind = "complete" if found.complete else "partial"
    size = f"{counted(found.rows, 'row')} in {counted(found.chunks, 'chunk')}"
    findings = len(found.findings)
    verdict = "sound" if found.sound else counted(findings, "FINDING", "FINDINGS")
    return f"{found.path}: {verdict}\n  {kind}, {size}, engine {found.engine}"


def _order(check: Check) -> int:
    """Findings first, then what applies, then the rest."""
    if check.finding:
        return 0
    return 2 if check.p is None else 1


def _check_lines(check: Check) -> Iterator[str]:
    mark = "!" if check.finding else " "
    head = f"{mark} {check.name:<{_NAME}} {_chance(check.p):>{_P}}  "
    words = check.found if not check.where else f"{check.found}; {check.where}"
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
    return f"{p:.2g}" if p >= 1e-3 else f"{p:.0e}"


def _qber_line(rate: Qber) -> str:
    if rate.value is None:
        return f"  {rate.basis}: no sifted pairs"
    interval = f"{100 * rate.low:.4f} to {100 * rate.high:.4f} %"
    words = f"  {rate.basis}: QBER {100 * rate.value:.4f} % (95 %: {interval}"
    if rate.expected is not None and rate.expected == rate.expected:
        words += f"; closed form {100 * rate.expected:.4f} %"
    return f"{words})"
