"""What the steps of the protocol hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..pairs import Tally
from ..pairs.bits import U8
from .draw import STREAM_VERSION
from .transcript import Message


@dataclass(frozen=True, slots=True)
class Abort:
    """Why there is no key: a result with its reason, not an exception."""

    step: str
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """One party's outcomes where the two bases agree.

    ``bits`` and ``basis`` (0 = Z, 1 = X) are packed and hold ``count`` rows in emission order;
    ``index`` is their emission number where the pairs have one.
    """

    bits: U8
    basis: U8
    count: int
    index: NDArray[np.uint64] | None = None


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


@dataclass(frozen=True, slots=True)
class Block:
    """``count`` rows from row ``start`` on, from which one key is made."""

    index: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Detection:
    """What is known beforehand about one round in which Alice registered something.

    ``single``: probability that exactly one pair was sent; ``missing``: that honest Bob registers
    nothing; ``missing_best``: the same for a dishonest Bob with perfect devices, at the least.
    """

    single: float = 1.0
    missing: float = 0.0
    missing_best: float = 0.0


@dataclass(frozen=True, slots=True)
class Announced:
    """What the tests of all blocks showed together.

    So many ``errors`` among so many ``tested`` bits; ``drift`` is the variance of the blocks' error rates where they
    differ by more than chance explains, else 0.
    """

    errors: int
    tested: int
    drift: float = 0.0


@dataclass(frozen=True, slots=True)
class Premises:
    """What a block is told beside its pairs and the configuration.

    ``detection`` is for ``rot``; the ``quality`` q of Alice's measurements, whether a sifted row is as likely in
    Z as in X (``even``), and what was ``announced`` of all blocks are for ``bbm92``.  ``stream_version`` is that of the
    random streams.
    """

    detection: Detection = Detection()
    stream_version: int = STREAM_VERSION
    quality: float = 1.0
    even: bool = True
    announced: Announced | None = None


#: No losses, BB84 measurements, fair coins.
IDEAL = Premises()


@dataclass(frozen=True, slots=True)
class Frame:
    """How reconciliation went in one frame: what it told, what Bob changed, and whether the tags agreed."""

    leak_bits: int
    corrected: int
    agreed: bool


@dataclass(frozen=True, slots=True, eq=False)
class BlockResult:
    """What a block gave, seen by someone who looks over both parties' shoulders.

    ``alice`` and ``bob`` are the packed keys of ``key_bits`` bits: one each in ``bbm92``; in ``rot``
    Alice's two strings as rows of (2, nbytes), and Bob's one, that of his ``choice``.  ``corrected`` bits
    of Bob's were changed by reconciliation; ``decoded`` is False where his string is wrong, which in
    ``rot`` nobody but the simulator learns.  ``disclosed`` are all bits that were told, by basis;
    ``per_frame`` is there for each of the ``frames`` that were reconciled.  Where ``abort`` is set there is no key.
    ``announced`` is what the block was told of all tests, if it was.
    """

    block: Block
    sifted: int = 0
    estimate: QberEstimate | None = None
    disclosed: Tally = field(default_factory=Tally)
    reconciled_bits: int = 0
    corrected: int = 0
    frames: int = 0
    failed_frames: int = 0
    per_frame: tuple[Frame, ...] = ()
    leak_bits: int = 0
    tag_bits: int = 0
    key_bits: int = 0
    alice: U8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    bob: U8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    choice: int | None = None
    decoded: bool = True
    abort: Abort | None = None
    messages: tuple[Message, ...] = ()
    announced: Announced | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KeyResult:
    """The keys of a run: the blocks' keys end to end, shaped as in `BlockResult`."""

    mode: str
    pairs: int
    blocks: tuple[BlockResult, ...]
    key_bits: int
    alice: U8
    bob: U8
    choice: int | None = None

    @property
    def aborts(self) -> list[Abort]:
        """Why blocks gave no key."""
        return [result.abort for result in self.blocks if result.abort]
