"""Who gets which items next: the state behind `schedule`'s rules, without any messages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from . import schedule
from .limits import FLIGHT_BYTES, HELD_ITEMS, IN_FLIGHT

# Weight of a new measurement in the averages.
_NEW_SECONDS, _NEW_RATE = 0.2, 0.3


@dataclass
class Load:
    """What is known of one rank."""

    granted: int = 0  # items granted and not yet finished
    flying: int = 0  # items granted and not yet received
    cursor: int = 0  # next own position (static only)
    rate: float = 0.0  # items per second, recent


class Grants:
    """Positions that are not granted yet, and how fast each rank is.

    ``count`` items are shared by ``ranks`` ranks under ``policy``; rank 0 has a share of its own
    if it ``computes``.
    """

    def __init__(
        self,
        count: int,
        ranks: int,
        policy: str,
        *,
        computes: bool,
    ) -> None:
        self.count = count
        self.policy = policy
        self.computes = computes
        self.shared = ranks if computes else ranks - 1
        first = 0 if computes else 1
        self.loads = [Load(cursor=rank - first) for rank in range(ranks)]
        self.next = 0
        self.committed = 0  # positions that rank 0 is done with
        self.window = max(HELD_ITEMS, 2 * IN_FLIGHT * ranks)
        self.seconds = 0.0  # per item, recent
        self.item_bytes = 0  # the same
        self.own: deque[int] = deque()  # positions that rank 0 has taken for itself
        self.rate = 0.0  # items per second of all ranks, recent
        self.unmeasured = self.shared  # ranks that have finished nothing yet

    def for_worker(self, worker: int) -> range | None:
        """The positions to grant to a worker now, or None if it has enough."""
        load = self.loads[worker]
        left = self._left(load)
        if not left or self._is_far(load):
            return None
        share = self._share(worker)
        least = schedule.quantum(self.seconds)
        room = self._room(least) - load.flying
        ahead = schedule.looks_ahead(
            self.policy,
            left=left,
            ranks=self.shared,
            share=share,
        )
        enough = least if ahead else 0
        if load.granted > enough or room <= 0:
            return None
        size = self._size(left, least, share)
        most = IN_FLIGHT // 2 * least
        positions = self._positions(load, min(size, most, room))
        self.gave(worker, len(positions))
        return positions

    def for_itself(self) -> int | None:
        """The position that rank 0 is to work on next, if any; it stays in ``own``."""
        if not self.computes:
            return None
        load = self.loads[0]
        left = self._left(load)
        if left and not self.own and not self._is_far(load):
            least = schedule.quantum(self.seconds)
            size = self._size(left, least, self._share(0))
            positions = self._positions(load, min(size, least))
            self.own.extend(positions)
        return self.own[0] if self.own else None

    def gave(self, worker: int, items: int) -> None:
        """A worker has been sent this many items."""
        load = self.loads[worker]
        load.granted += items
        load.flying += items

    def finished(self, worker: int, items: int, seconds: float) -> None:
        """A worker has finished items in so many seconds altogether; they are still flying."""
        self.loads[worker].granted -= items
        self.measured(worker, items, seconds)

    def received(self, worker: int, items: int) -> None:
        """Results of a worker have come in."""
        self.loads[worker].flying -= items

    def lost(self, worker: int) -> None:
        """An item of a worker failed: nothing is coming."""
        load = self.loads[worker]
        load.granted -= 1
        load.flying -= 1

    def measured(self, rank: int, items: int, seconds: float) -> None:
        """Learn from items that took a rank ``seconds`` altogether."""
        each = max(seconds, 1e-9) / items
        load = self.loads[rank]
        self.seconds = _average(self.seconds, each, _NEW_SECONDS)
        before = load.rate
        load.rate = _average(before, 1 / each, _NEW_RATE)
        self.rate += load.rate - before
        if not before:
            self.unmeasured -= 1

    def _size(self, left: int, least: int, share: float | None) -> int:
        return schedule.grant_size(
            self.policy,
            left=left,
            ranks=self.shared,
            least=least,
            share=share,
        )

    def _room(self, least: int) -> int:
        """Items that a worker may have been granted and not delivered."""
        by_size = FLIGHT_BYTES // self.item_bytes if self.item_bytes else 1
        return min(IN_FLIGHT * least, max(2, by_size))

    def _left(self, load: Load) -> int:
        """How many items a rank can still be granted."""
        if self.policy == "static":
            own = range(load.cursor, self.count, self.shared)
            return len(own)
        return self.count - self.next

    def _is_far(self, load: Load) -> bool:
        """Whether what a rank would be granted next is too many positions ahead of rank 0."""
        first = load.cursor if self.policy == "static" else self.next
        return first >= self.committed + self.window

    def _positions(self, load: Load, size: int) -> range:
        """Take the next ``size`` positions for a rank, or fewer at the end."""
        if self.policy == "static":
            stop = min(load.cursor + size * self.shared, self.count)
            positions = range(load.cursor, stop, self.shared)
            load.cursor += len(positions) * self.shared
            return positions
        first = self.next
        self.next = min(first + size, self.count)
        return range(first, self.next)

    def _share(self, rank: int) -> float | None:
        """A rank's part of the total rate; None until every rank has been measured."""
        if self.unmeasured:
            return None
        return self.loads[rank].rate / self.rate


def _average(before: float, new: float, weight: float) -> float:
    """The moving average after a new measurement; the first one counts in full."""
    if not before:
        return new
    return (1 - weight) * before + weight * new
