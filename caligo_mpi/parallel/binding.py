"""Where ranks run: what each one is bound to, and whether they get into each other's way.

A rank is bound only where the launcher has left it alone.  Whoever is bound to cores claims them from all of this
program's launches on the host, by names that the kernel gives to one process at a time and takes back when that ends:
so two launches beside each other never share a core by binding.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..machine import environment
from ..machine.topology import Cpus, Topology, online, ranges, topology
from ..machine.wording import counted

_NAMES = {
    "core": "core",
    "socket": "socket",
    "numa": "NUMA node",
}

#: What the reasons of ranks that were to be bound and are not begin with.
LEFT = "left unbound"

# What this process has claimed, for as long as it lives.
_CLAIMS: list[socket.socket] = []


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rank runs: its host and the processors that it may use.

    ``why`` says how that came about; ``taken`` are processors that it is bound to and another launch has claimed.
    """

    host: str
    cores: tuple[int, ...]
    why: str = ""
    taken: tuple[int, ...] = ()

    @classmethod
    def here(cls) -> Place:
        """Of this process."""
        return cls(os.uname().nodename, tuple(sorted(os.sched_getaffinity(0))))

    def __str__(self) -> str:
        """For a table: ``host:0-3``."""
        return f"{self.host}:{ranges(self.cores)}"


def settle(kind: str, masks: Sequence[Cpus], rank: int) -> Place:
    """Bind this process as ``kind`` says, and return where it really is then.

    ``masks`` are the processors that each rank on this host may use, of which this is number ``rank``.
    """
    own = masks[rank]
    if left := reason_to_leave(kind, masks, online()):
        return _looked_at(left)
    wanted = "core" if kind == "auto" else kind
    groups = topology(own).groups(wanted)
    order = preferred(len(groups), len(masks), rank)
    if wanted == "core":
        if len(masks) > len(groups):
            ranks, cores = counted(len(masks), "rank"), counted(len(groups), "core")
            return _looked_at(f"left unbound: {ranks} for {cores}")
        group = next((groups[place] for place in order if claim(groups[place])), None)
        if group is None:
            return _looked_at("left unbound: other launches have the cores")
    else:
        group = groups[order[0]]
    try:
        os.sched_setaffinity(0, group)
    except OSError as error:
        return _looked_at(f"left unbound: {error.strerror}")
    return replace(Place.here(), why=f"bound to a {_NAMES[wanted]} each")


def reason_to_leave(kind: str, masks: Sequence[Cpus], whole: Cpus) -> str:
    """Why ranks with these processors of the ``whole`` host are not to be bound; empty where they are."""
    if kind == "none":
        return "left unbound as asked"
    if len(set(masks)) > 1 or (len(masks) == 1 and len(masks[0]) == 1 and len(whole) > 1):
        return "bound by the launcher"
    if kind == "auto" and not is_exclusive(masks[0]):
        return "left unbound: whether these cores are this run's alone is not known"
    return ""


def is_exclusive(mask: Cpus) -> bool:
    """Whether a batch system has given just these processors to this job."""
    given = environment.text(environment.CPUS)
    return environment.is_set("SLURM_JOB_ID") and given == str(len(mask))


def preferred(groups: int, ranks: int, rank: int) -> list[int]:
    """Groups in the order in which a rank tries them: ranks are spread over all of them, then the next ones.

    >>> preferred(8, 2, 1), preferred(2, 4, 3)
    ([4, 5, 6, 7, 0, 1, 2, 3], [1, 0])
    """
    first = rank * groups // ranks
    return [(first + step) % groups for step in range(groups)]


def claim(cpus: Cpus) -> bool:
    """Take processors for this process; False, and none is taken, where another one has some of them."""
    taken: list[socket.socket] = []
    for cpu in sorted(cpus):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        taken.append(name)
        try:
            name.bind(f"\0caligo-mpi/cpu/{cpu}")
        except OSError:
            for one in taken:
                one.close()
            return False
    _CLAIMS.extend(taken)
    return True


def _looked_at(why: str) -> Place:
    """The place of a process that is not bound here; where somebody else bound it to a core, others are to know."""
    place = Place.here()
    found: Topology = topology(online())
    is_bound = any(set(place.cores) <= core for core in found.cores) and len(online()) > 1
    if is_bound and not claim(frozenset(place.cores)):
        return replace(place, why=why, taken=place.cores)
    return replace(place, why=why)


# ── what rank 0 makes of it ──────────────────────────────────────────────────────────────────────


def summary(places: Sequence[Place]) -> str:
    """How the ranks are bound, in a few words."""
    reasons = Counter(place.why for place in places)
    if len(reasons) == 1:
        return next(iter(reasons))
    return "; ".join(f"{counted(number, 'rank')} {why}" for why, number in sorted(reasons.items()))


def warnings(places: Sequence[Place]) -> Iterator[str]:
    """A sentence for each way in which ranks get into each other's way."""
    for host in dict.fromkeys(place.host for place in places):
        here = [(rank, place) for rank, place in enumerate(places) if place.host == host]
        cores = {core for _, place in here for core in place.cores}
        if len(here) > len(cores):
            yield (
                f"oversubscribed: {counted(len(here), 'rank')} share {counted(len(cores), 'core')} of {host}; "
                "as many ranks as cores do as much"
            )
            continue
        yield from _shared(host, here)
        for rank, place in here:
            if place.taken and sum(other.cores == place.cores for _, other in here) == 1:
                yield (
                    f"rank {rank} is bound to core {ranges(place.taken)} of {host}, and so is another launch; "
                    "start both with --bind-to none, or with --ranks"
                )


def _shared(host: str, here: list[tuple[int, Place]]) -> Iterator[str]:
    """Ranks that are bound to one core together while there are enough for all."""
    by_core: dict[tuple[int, ...], list[int]] = {}
    for rank, place in here:
        by_core.setdefault(place.cores, []).append(rank)
    for cores, ranks in by_core.items():
        if len(ranks) > len(cores):
            who = ", ".join(map(str, ranks[:8])) + (", …" if len(ranks) > 8 else "")
            yield (
                f"ranks {who} share core {ranges(cores)} of {host}, which has others; "
                "look at what the launcher binds to, or let it bind nothing"
            )
