"""Every classical message of a run: who said what, how long it was, when, and what of the key it gave away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..pairs import Pairs

Party = Literal["alice", "bob"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message, or ``count`` alike, in the same direction.

    ``leak_bits`` is how much of the final key's raw material it discloses at most: syndromes, parities,
    tags, discarded frames.  Bases, positions, seeds and disclosed test bits leak nothing of the key.
    """

    sender: Party
    what: str
    bits: int
    leak_bits: int
    time_ns: float
    count: int = 1


@dataclass(slots=True)
class Transcript:
    """The messages in order, and a simulated clock that starts when the last pair was measured."""

    clock_ns: float = 0.0
    messages: list[Message] = field(default_factory=list)

    def send(
        self, sender: Party, what: str, *, bits: int, leak_bits: int = 0, count: int = 1
    ) -> None:
        """Append a message at the present time."""
        message = Message(
            sender,
            what,
            bits,
            leak_bits,
            self.clock_ns,
            count,
        )
        self.messages.append(message)

    def wait(self, duration_ns: float) -> None:
        """Let simulated time pass."""
        self.clock_ns += duration_ns

    @property
    def bits(self) -> int:
        """Bits sent in both directions."""
        return sum(message.bits for message in self.messages)

    @property
    def leak_bits(self) -> int:
        """Bits of the key given away, at most."""
        return sum(message.leak_bits for message in self.messages)


def last_pair_ns(pairs: Pairs) -> float:
    """When the last pair was measured, at the latest: row times start anew with every chunk, durations add up."""
    if pairs.time is None or not pairs.count:
        return max(pairs.duration_ns, 0.0)
    latest = float(pairs.time.max())
    return max(pairs.duration_ns, latest)
