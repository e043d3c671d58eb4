"""What a person at a terminal is told of a run."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from ..machine import streams
from ..parallel.job import Progress
from ..runs.job import Observer
from .arguments import in_form
from .progress import Report, progress


class TerminalObserver(Observer):
    """Sentences and progress on the standard error, the result on the standard output.

    Progress is shown from the first item on; leaving the observer ends it.
    """

    def __init__(self, *, quiet: bool, json: bool) -> None:
        super().__init__()
        self.quiet = quiet
        self.json = json
        self._stack = contextlib.ExitStack()
        self._report: Report | None = None

    def __enter__(self) -> TerminalObserver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def say(self, message: str) -> None:
        """Print a sentence for people."""
        streams.say(message)

    def progress(self, where: Progress) -> None:
        """Show that another item is in."""
        if self._report is None:
            self._report = self._stack.enter_context(progress(quiet=self.quiet))
        self._report(where)

    def result(self, summary: Any) -> None:
        """Print how the run ended."""
        self._stack.close()
        values, text = _shown(summary)
        streams.tell(in_form(values, text, json=self.json))


def _shown(summary: Any) -> tuple[dict[str, Any], str]:
    """A result as values and as text; each kind imports what it needs, as most of a short run is imports."""
    from ..runs.generate import Summary

    if isinstance(summary, Summary):
        from . import show

        return show.summary_dict(summary), show.summary_text(summary)

    from ..runs.sweeps.summary import SweepSummary

    if isinstance(summary, SweepSummary):
        from . import show_sweep

        return show_sweep.sweep_dict(summary), show_sweep.sweep_text(summary)

    from . import show_keys

    return show_keys.distilled_dict(summary), show_keys.distilled_text(summary)
