"""When a run has simulated enough: the section ``until``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from ..pairs import stopping
from ..pairs.intervals import LEAST_CONFIDENCE, MOST_CONFIDENCE
from .sections import Breach, Range, Section, about, exactly_one

MOST_PAIRS = 10**15


class UntilConfig(Section):
    """A goal of precision, and the emissions after which the run ends in any case."""

    relative_error: Annotated[
        Annotated[float, Range(0, 1, open_low=True)] | None,
        about("half the width of the exact interval over the measured rate; or errors"),
    ] = None
    errors: Annotated[
        Annotated[int, Range(1, 10**12)] | None,
        about("instead of relative_error: so many errors"),
    ] = None
    of: Annotated[
        stopping.Of, about("the rate: of sifted pairs in Z, in X, or in both together")
    ] = "qber"
    confidence: Annotated[
        Annotated[float, Range(LEAST_CONFIDENCE, MOST_CONFIDENCE)],
        about("of the exact (Clopper-Pearson) interval"),
    ] = 0.95
    upper_limit: Annotated[
        Annotated[float, Range(0, 1, open_low=True)] | None,
        about("the run also ends once the interval's upper limit is not above this"),
    ] = None
    max_pairs: Annotated[
        int, Range(1, MOST_PAIRS), about("emissions after which the run ends in any case")
    ]

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        yield from exactly_one(given, "relative_error", "errors")

    @property
    def goal(self) -> stopping.Goal:
        """The goal, as `stopping` takes it."""
        return stopping.Goal(
            of=self.of,
            confidence=self.confidence,
            relative_error=self.relative_error,
            errors=self.errors,
            upper_limit=self.upper_limit,
        )
