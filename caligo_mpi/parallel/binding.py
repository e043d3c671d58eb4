"""Where ranks run: what each one is bound to, and whether they get into each other's way.

A rank is bound only where the launcher has left it alone.  Whoever is bound to cores claims them from all of this
program's launches on the host, by names that the kernel gives to one process at a time and takes back when that ends:
so two launches beside each other never share a core by binding.
"""

from __future__ import annotations

import os
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..machine import environment
from ..machine.topology import Cpus, Topology, online, ranges, topology
from ..machine.wording import counted

_NAMES = {"core": "core", "socket": "socket", "numa": "NUMA node"}

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
        cores = sorted(os.sched_getaffinity(0))
        return cls(os.uname().nodename, tuple(cores))

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
    choices = [groups[place] for place in order]
    if wanted == "core":
        if len(masks) > len(groups):
            ranks = counted(len(masks), "rank")
            cores = counted(len(groups), "core")
            return _looked_at(f"left unbound: {ranks} for {cores}")
        group = _first_claimed(choices)
        if group is None:
            return _looked_at("left unbound: other launches have the cores")
    else:
        group = choices[0]
    try:
        os.sched_setaffinity(0, group)
    except OSError as error:
        return _looked_at(f"left unbound: {error.strerror}")
    name = _NAMES[wanted]
    return replace(Place.here(), why=f"bound to a {name} each")


def reason_to_leave(kind: str, masks: Sequence[Cpus], whole: Cpus) -> str:
    """Why ranks with these processors of the ``whole`` host are not to be bound; empty where they are."""
    if kind == "none":
        return "left unbound as asked"
    first = masks[0]
    differ = len(set(masks)) > 1
    has_one_of_many = len(first) == 1 and len(whole) > 1
    if differ or (len(masks) == 1 and has_one_of_many):
        return "bound by the launcher"
    if kind == "auto" and not is_exclusive(first):
        return "left unbound: whether these cores are this run's alone is not known"
    return ""


def is_exclusive(mask: Cpus) -> bool:
    """Whether a batch system has given just these processors to this job."""
    given = environment.text(environment.CPUS)
    own = str(len(mask))
    return environment.is_set("SLURM_JOB_ID") and given == own


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
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    for cpu in sorted(cpus):
        name = socket.socket(socket.AF_UNIX, kind)
        taken.append(name)
        try:
            name.bind(f"\0caligo-mpi/cpu/{cpu}")
        except OSError:
            for one in taken:
                one.close()
            return False
    _CLAIMS.extend(taken)
    return True


def _first_claimed(choices: Sequence[Cpus]) -> Cpus | None:
    """The first core that nobody else has; it is this process's then."""
    for core in choices:
        if claim(core):
            return core
    return None


def _looked_at(why: str) -> Place:
    """The place of a process that is not bound here; where somebody else bound it to a core, others are to know."""
    place = replace(Place.here(), why=why)
    own = frozenset(place.cores)
    whole = online()
    found: Topology = topology(whole)
    is_in_core = any(own <= core for core in found.cores)
    if is_in_core and len(whole) > 1 and not claim(own):
        return replace(place, taken=place.cores)
    return place


# ── what rank 0 makes of it ──────────────────────────────────────────────────────────────────────


def summary(places: Sequence[Place]) -> str:
    """How the ranks are bound, in a few words."""
    reasons = Counter(place.why for place in places)
    if len(reasons) == 1:
        return places[0].why
    told = []
    for why, number in sorted(reasons.items()):
        ranks = counted(number, "rank")
        told.append(f"{ranks} {why}")
    return "; ".join(told)


def warnings(places: Sequence[Place]) -> Iterator[str]:
    """A sentence for each way in which ranks get into each other's way."""
    for host in dict.fromkeys(place.host for place in places):
        here = {rank: place for rank, place in enumerate(places) if place.host == host}
        cores: set[int] = set()
        for place in here.values():
            cores.update(place.cores)
        if len(here) > len(cores):
            ranks = counted(len(here), "rank")
            shared = counted(len(cores), "core")
            yield (
                f"oversubscribed: {ranks} share {shared} of {host}; "
                "as many ranks as cores do as much"
            )
            continue
        yield from _shared(host, here)
        yield from _taken(host, here)


def _shared(host: str, here: dict[int, Place]) -> Iterator[str]:
    """Ranks that are bound to one core together while there are enough for all."""
    by_cores: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for rank, place in here.items():
        by_cores[place.cores].append(rank)
    for cores, ranks in by_cores.items():
        if len(ranks) > len(cores):
            who = ", ".join(map(str, ranks[:8]))
            if len(ranks) > 8:
                who += ", …"
            where = ranges(cores)
            yield (
                f"ranks {who} share core {where} of {host}, which has others; "
                "look at what the launcher binds to, or let it bind nothing"
            )


def _taken(host: str, here: dict[int, Place]) -> Iterator[str]:
    """Ranks that are bound to a core which another launch has claimed."""
    users = Counter(place.cores for place in here.values())
    for rank, place in here.items():
        if place.taken and users[place.cores] == 1:
            where = ranges(place.taken)
            yield (
                f"rank {rank} is bound to core {where} of {host}, and so is another launch; "
                "start both with --bind-to none, or with --ranks"
            )
