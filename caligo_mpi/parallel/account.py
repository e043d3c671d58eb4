"""What each rank does with its time: its own account, and the ledger of all accounts on rank 0.

Sums travel inside messages that are sent anyway: in every announcement of results, and in the answer to the end of
a map.  A rank's time is split without gaps: what is neither work nor messages nor writing is idle.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..machine.topology import remote_bytes
from ..machine.wording import quantity
from .binding import Place

#: Of a `Ledger.table`, a row per rank; seconds, bytes, and items that were worked on.
RANK_DTYPE = np.dtype(
    [
        ("rank", "<u4"),
        ("seconds", "<f8"),
        ("busy", "<f8"),
        ("idle", "<f8"),
        ("communicating", "<f8"),
        ("writing", "<f8"),
        ("items", "<u8"),
        ("messages", "<u8"),
        ("bytes", "<u8"),
        ("peak_memory", "<u8"),
    ]
)


class Stopwatch:
    """Adds up the seconds that are spent within it."""

    def __init__(self) -> None:
        self._seconds = self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._seconds += time.perf_counter() - self._begun

    def add(self, seconds: float) -> None:
        """What was measured elsewhere."""
        self._seconds += seconds

    def take(self) -> float:
        """The seconds since the last call."""
        seconds = self._seconds
        self._seconds = 0.0
        return seconds


#: What work functions of this process spend on writing their results into the file by themselves.
WRITING = Stopwatch()


class Sums(NamedTuple):
    """An account as it travels: times in ns since the rank's start, counts, bytes.

    ``remote`` is memory on another NUMA node than the rank's; it is looked at once, at the end of a map.
    """

    elapsed: int = 0
    busy: int = 0
    communicating: int = 0
    writing: int = 0
    items: int = 0
    messages: int = 0
    bytes: int = 0
    peak_memory: int = 0
    remote: int = 0


@dataclass(slots=True)
class Account:
    """What one rank has done since ``begun``: seconds of each kind, and messages sent or received."""

    begun: float = field(default_factory=time.perf_counter)
    busy: float = 0.0
    communicating: float = 0.0
    writing: float = 0.0
    items: int = 0
    messages: int = 0
    bytes: int = 0

    def count(self, nbytes: int) -> None:
        """One more message."""
        self.messages += 1
        self.bytes += nbytes

    @property
    def elsewhere(self) -> float:
        """Seconds that were spent on messages and on writing, which may have been within work."""
        return self.communicating + self.writing

    def worked(self, since: float, elsewhere: float) -> float:
        """One more item, begun at ``since``, when so much had been spent `elsewhere`; returns its seconds.

        What was spent elsewhere meanwhile is no work.
        """
        seconds = time.perf_counter() - since
        self.items += 1
        self.writing += WRITING.take()
        no_work = self.elsewhere - elsewhere
        self.busy += seconds - no_work
        return seconds

    def credit(self, items: int, seconds: float) -> None:
        """Items that took so long together; what they were interrupted for was taken off before."""
        written = WRITING.take()
        self.items += items
        self.writing += written
        self.busy += seconds - written

    def sums(self) -> Sums:
        """All of it, up to now."""
        elapsed = time.perf_counter() - self.begun
        return Sums(
            elapsed=_nanoseconds(elapsed),
            busy=_nanoseconds(self.busy),
            communicating=_nanoseconds(self.communicating),
            writing=_nanoseconds(self.writing),
            items=self.items,
            messages=self.messages,
            bytes=self.bytes,
            peak_memory=peak_memory(),
        )


def _nanoseconds(seconds: float) -> int:
    return int(1e9 * max(seconds, 0.0))


def last_sums(account: Account) -> Sums:
    """The same at the end of a map."""
    sums = account.sums()
    remote = remote_bytes(os.sched_getaffinity(0))
    return sums._replace(remote=remote)


def peak_memory() -> int:
    """Bytes of this process that were in memory at once, at the most."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * 1024


class Ledger:
    """The accounts of all ranks as rank 0 knows them: its own now, the others' as last heard.

    It lasts for a launch, whatever number of maps that takes.  ``rank`` is the number of rank 0 at the start: where
    ranks outlive others, it is not always 0.
    """

    def __init__(self, rank: int = 0) -> None:
        self.rank = rank
        self.own = Account()
        self.heard: dict[int, Sums] = {}
        self.places: list[Place] = []  # of each rank at the start, where that is known

    def hear(self, rank: int, sums: Sums) -> None:
        """A rank has told what it did so far."""
        self.heard[rank] = sums

    def far_memory(self) -> Iterator[str]:
        """A sentence for each rank of whose memory more than a quarter is on another NUMA node than its cores."""
        for rank, sums in sorted(self.heard.items()):
            if 4 * sums.remote > sums.peak_memory:
                remote = quantity(sums.remote)
                yield (
                    f"rank {rank} has {remote}B of memory on another NUMA node than its cores; "
                    "bind ranks with --binding numa or core"
                )

    def table(self) -> NDArray[np.void]:
        """A row for each rank that has been heard of, in their order, of `RANK_DTYPE`."""
        accounts = {**self.heard, self.rank: self.own.sums()}
        ranks = sorted(accounts)
        table = np.zeros(len(ranks), RANK_DTYPE)
        table["rank"] = ranks
        sums = np.array([accounts[rank] for rank in ranks], np.int64)
        columns = dict(zip(Sums._fields, sums.T, strict=True))
        for name in ("items", "messages", "bytes", "peak_memory"):
            table[name] = columns[name]
        for name in ("busy", "communicating", "writing"):
            table[name] = columns[name] * 1e-9
        table["seconds"] = columns["elapsed"] * 1e-9
        spent = table["busy"] + table["communicating"] + table["writing"]
        table["idle"] = np.maximum(table["seconds"] - spent, 0.0)
        return table


def balance(table: NDArray[np.void]) -> NDArray[np.float64]:
    """For each rank its work and writing as a part of the most that any rank has, 0 to 1; 1 where nobody has any."""
    useful = table["busy"] + table["writing"]
    most = useful.max(initial=0.0)
    if not most:
        return np.ones(len(table))
    part: NDArray[np.float64] = useful / most
    return part


def efficiency(table: NDArray[np.void]) -> NDArray[np.float64]:
    """For each rank the part of its time in which it simulated, 0 to 1; 0 where it had no time."""
    seconds = np.maximum(table["seconds"], 1e-9)
    part: NDArray[np.float64] = np.minimum(table["busy"] / seconds, 1.0)
    return part
