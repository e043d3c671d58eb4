"""What an analysis finds, as values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

#: The probability that a sound file has any finding.
LEVEL = 1e-3


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its verdict.

    ``p`` is the probability that a sound file shows at least as much (a bound where no closed form
    is at hand, over everything the check looked at), None where the check does not apply; then ``found``
    says why.  ``finding`` tells whether it fails, all checks taken together (Holm).  ``found`` is what
    was looked at and the worst of it, ``where`` its place, ``chunks`` its chunks and ``rows`` its rows,
    from the first to behind the last, where it has a place.
    """

    name: str
    p: float | None
    found: str
    finding: bool = False
    where: str = ""
    chunks: tuple[int, ...] = ()
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Qber:
    """Errors among sifted pairs of one basis, with their exact 95 % interval and the closed form."""

    basis: str
    errors: int
    sifted: int
    value: float | None
    low: float
    high: float
    expected: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """Sifted pairs and errors of the rows from ``row`` on, up to the next stage."""

    row: int
    sifted_z: int
    errors_z: int
    sifted_x: int
    errors_x: int


@dataclass(frozen=True, slots=True)
class Lag:
    """The correlation of a stream with itself ``lag`` rows later, and its standard deviation in a sound file."""

    stream: str
    lag: int
    correlation: float
    sigma: float


@dataclass(frozen=True, slots=True)
class LongLag:
    """The strongest correlation of a stream with itself among lags ``first`` to ``last``, both among them.

    ``score`` is in standard deviations at that lag alone, of ones so rare that their coincidences are not
    normal those of a normal value as unlikely.  Of n lags of a sound file the strongest is about √(2·ln n) off.
    """

    stream: str
    first: int
    last: int
    lag: int
    correlation: float
    score: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """All of it; `as_dict` has plain values for JSON.

    ``outcomes`` are the counts of the 16 outcomes, number 8·A + 4·a + 2·B + b for Alice's basis A
    and bit a, Bob's basis B and bit b; ``expected`` their probabilities, None without a closed form.  ``causes``
    are sentences that name what explains the findings.  ``notes`` say what was not looked at, or not
    all of.  ``lags`` are single short ones, ``long_lags`` the strongest of each octave beyond.  ``level``
    is the probability that a sound file has any finding.
    """

    path: str
    complete: bool
    engine: str
    rows: int
    chunks: int
    level: float
    checks: tuple[Check, ...]
    causes: tuple[str, ...]
    notes: tuple[str, ...]
    outcomes: tuple[int, ...]
    expected: tuple[float, ...] | None
    qber: tuple[Qber, ...]
    stages: tuple[Stage, ...]
    lags: tuple[Lag, ...]
    long_lags: tuple[LongLag, ...] = ()

    @property
    def findings(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.finding)

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = _plain({"sound": self.sound, **asdict(self)})
        assert isinstance(plain, dict)
        return plain


def _plain(value: Any) -> Any:
    """Lists for tuples, and None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
