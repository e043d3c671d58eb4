"""What both parties of a random oblivious transfer know and have agreed on before the first message."""

from __future__ import annotations

from dataclasses import dataclass

from .key_length import (
    TransferFigures,
    TransferLength,
    hoeffding_margin,
    transfer_length,
)
from .types import Detection


@dataclass(frozen=True, slots=True)
class Terms:
    """What both parties know and have agreed on.

    ``rounds`` n are those Alice registered, ``valid`` those of them Bob says he did, ``test`` how
    many of these he opens.  ``last_pair_ns`` is when the last pair was measured.
    """

    session: bytes
    rounds: int
    valid: int
    test: int
    detection: Detection
    epsilon: float
    qber_limit: float
    tag_bits: int
    storage_r: float
    storage_rate: float
    last_pair_ns: float
    wait_ns: float

    @property
    def left(self) -> int:
        """How many rows the test leaves."""
        return self.valid - self.test

    def single_left(self) -> int:
        """The least number m1 of valid single-pair rounds that are left.

        The worst is assumed: Bob chose his losses, and the test took only such rounds.
        """
        odds = self.detection
        margin = hoeffding_margin(self.rounds, self.epsilon)
        share = odds.single - odds.missing + odds.missing_best - 3 * margin
        single = int(share * self.rounds)
        return max(0, single - self.test)

    def length(self, *, set_size: int, leak_bits: int) -> TransferLength:
        """Length of the strings made of sets of ``set_size`` rows with syndromes of ``leak_bits``."""
        figures = TransferFigures(
            rounds=self.rounds,
            single=min(self.single_left(), self.left),
            dropped=self.left - 2 * set_size,
            leak_bits=leak_bits,
            tag_bits=self.tag_bits,
        )
        return transfer_length(
            figures,
            storage_r=self.storage_r,
            storage_rate=self.storage_rate,
            epsilon=self.epsilon,
        )
