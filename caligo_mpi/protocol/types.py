"""What the steps of the protocol hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..bits import U8


@dataclass(frozen=True, slots=True)
class Abort:
    """Why there is no key: a result with its reason, not an exception."""

    step: str
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """One party's outcomes where the two bases agree.

    ``bits`` and ``basis`` (0 = Z, 1 = X) are packed and hold ``count`` rows in emission order.
    """

    bits: U8
    basis: U8
    count: int


@dataclass(frozen=True, slots=True)
class QberEstimate:
    """Errors among the tested bits and the exact (Clopper–Pearson) interval of their rate."""

    errors: int
    tested: int
    low: float
    high: float
    confidence: float

    @property
    def qber(self) -> float:
        """Observed error rate; ½ where nothing was tested."""
        return self.errors / self.tested if self.tested else 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Reconciled:
    """Bob's frame after error correction (several frames: a list of these).

    ``bits`` is uint8 of 0 and 1, one per key bit.  ``leak_bits`` counts every key-dependent bit
    that was sent (parities, syndrome bits, revealed bits), not the verification tag; ``messages``
    counts the messages of both directions.  ``ok`` is what the decoder itself knows (a
    syndrome met, all passes done): equality is for `verify` to show.
    """

    bits: U8
    leak_bits: int
    messages: int
    ok: bool = True
