"""How messages cross between ranks: what the worker and the coordinator ask of a communicator.

`caligo_mpi.parallel.mpi` provides it over MPI.  Tests provide one in memory, so that the rules of
the coordinator can be tested without a launcher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from ..pairs.bits import U8

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1e-5, 1e-3  # seconds


class Envelope(NamedTuple):
    """A message that has arrived and was not received yet."""

    source: int
    tag: int
    nbytes: int


class Pending(Protocol):
    """A message on its way."""

    def done(self) -> bool:
        """Whether its buffer is free (sending) or filled (receiving)."""
        ...


class Transport(Protocol):
    """One rank's end of a communicator.  Nothing here waits, except for `pause`.

    Messages between two ranks arrive in the order in which they were sent.
    """

    @property
    def rank(self) -> int:
        """The number of this rank, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many ranks there are."""
        ...

    def send(self, target: int, tag: int, payload: U8) -> Pending:
        """Begin to send; ``payload`` must stay as it is until the message is done."""
        ...

    def arrived(self, tag: int | None = None) -> Envelope | None:
        """The next message that has arrived (of this tag, if given), or None."""
        ...

    def take(self, envelope: Envelope) -> U8:
        """Receive a message that has arrived."""
        ...

    def receive(self, source: int, tag: int, buffer: U8) -> Pending:
        """Begin to receive a message into ``buffer``, which has its size."""
        ...

    def pause(self, seconds: float) -> None:
        """Do nothing for a moment."""
        ...


def wait_for(condition: Callable[[], object], transport: Transport) -> None:
    """Ask until ``condition()`` holds, with pauses that grow from 10 µs to 1 ms.

    No rank ever waits inside a blocking call of MPI: that would make it deaf to signals.
    """
    pause = _SHORTEST_PAUSE
    while not condition():
        transport.pause(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
