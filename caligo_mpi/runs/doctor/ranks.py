"""The ranks of this launch: where each one runs, how far apart they are, how well they work side by side."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from ...config import parse_config
from ...engines import make_engine
from ...machine.wording import counted, quantity, rate
from ...pairs import Chunk
from ...parallel.binding import Place
from . import disk
from .findings import Finding, ok, warning

#: How long each rank simulates to measure efficiency.
_TRIAL_SECONDS = 0.5
#: How many pairs at a time.
_TRIAL_PAIRS = 1 << 21
#: Bytes of a message that tells latency, and how often it goes there and back.
_SMALL = 8
_ROUNDS = 50
#: The same of one that tells bandwidth.
_LARGE = 8 << 20
_LARGE_ROUNDS = 3
#: Clocks that differ by more make the times in a file, and in its lock, misleading.
_CLOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Speeds:
    """What a rank reached alone (rank 0 only) and beside all others: pairs/s, and bytes/s to the disk."""

    pairs_alone: float
    pairs_together: float
    bytes_alone: float
    bytes_together: float


def measure(folder: Path) -> Speeds:
    """Simulate and write, first on rank 0 alone, then on all ranks; all of them call it."""
    from ...parallel import mpi

    simulate = functools.partial(simulating_speed, _TRIAL_SECONDS)
    write = functools.partial(disk.writing_speed, folder)
    simulating_speed(0.0)  # tables are made on first use
    first = mpi.rank() == 0
    pairs_alone, pairs_together = _alone_then_together(simulate, mpi.meet, first=first)
    bytes_alone, bytes_together = _alone_then_together(write, mpi.meet, first=first)
    return Speeds(
        pairs_alone,
        pairs_together,
        bytes_alone,
        bytes_together,
    )


def _alone_then_together(
    work: Callable[[], float],
    meet: Callable[[], None],
    *,
    first: bool,
) -> tuple[float, float]:
    meet()
    alone = work() if first else 0.0
    meet()
    together = work()
    meet()
    return alone, together


def simulating_speed(seconds: float) -> float:
    """Pairs per second of the noise engine in this process."""
    config = parse_config(_TRIAL)
    engine = make_engine(config.engine)
    chunk = Chunk(0, 0, config.pairs)
    seed = chunk.seed_sequence(config.seed)
    begin = time.perf_counter()
    done = 0
    while done == 0 or time.perf_counter() - begin < seconds:
        pairs = engine.sample(chunk.count, seed)
        done += pairs.count
    return done / (time.perf_counter() - begin)


_TRIAL = {
    "pairs": _TRIAL_PAIRS,
    "seed": 1,
    "engine": {"name": "noise", "link": {"fidelity": 0.95}},
}


# ── what rank 0 makes of it ──────────────────────────────────────────────────────────────────────


def placement(places: list[Place]) -> Iterator[Finding]:
    """Ranks to hosts and cores, and whether they get into each other's way."""
    by_host = Counter(place.host for place in places)
    ranks = counted(len(places), "rank")
    hosts = counted(len(by_host), "host")
    listed = "; ".join(f"{rank} on {place}" for rank, place in enumerate(places[:8]))
    more = "" if len(places) <= 8 else f"; … {len(places) - 8} more"
    yield ok("ranks", f"{ranks} on {hosts}: {listed}{more}")
    for host, number in by_host.items():
        cores: set[int] = set()
        for place in places:
            if place.host == host:
                cores.update(place.cores)
        if number > len(cores):
            yield _crowded(host, number, len(cores))


def _crowded(host: str, ranks: int, cores: int) -> Finding:
    told = f"{counted(ranks, 'rank')} share {counted(cores, 'core')} of {host}"
    remedy = "start as many ranks as cores, or let the launcher bind each to a core of its own"
    return warning("cores", told, remedy)


def distances(speeds: list[tuple[float, float, float]]) -> Iterator[Finding]:
    """Latency (s), bandwidth (B/s) and clock offset (s) of rank 0 to each other rank."""
    if not speeds:
        return
    latencies, bandwidths, offsets = zip(*speeds, strict=True)
    latency = median(latencies)
    bandwidth = min(bandwidths)
    told = f"messages take {1e6 * latency:.3g} µs one way, {quantity(bandwidth)}B/s at the least"
    if latency > 1e-2:
        remedy = "look for the transport that MPI chose; on one host it should be shared memory"
        yield warning("messages", told, remedy)
    else:
        yield ok("messages", told)
    offset = max(map(abs, offsets))
    told = f"clocks differ by {1e3 * offset:.3g} ms at the most"
    if offset > _CLOCK_SECONDS:
        yield warning("clocks", told, "let the hosts keep time by NTP")
    else:
        yield ok("clocks", told)


def efficiency(speeds: list[Speeds]) -> Iterator[Finding]:
    """How much of what each rank could do alone all of them do together."""
    alone = speeds[0].pairs_alone
    together = sum(one.pairs_together for one in speeds)
    number = len(speeds)
    share = together / (alone * number)
    reached = f"{rate(together)} on {counted(number, 'rank')}"
    told = f"{reached}, {100 * share:.0f} % of {number} × {rate(alone)}"
    if share < 0.7:
        remedy = "fewer ranks, or a core for each, may do as much"
        yield warning("simulating", told, remedy)
    else:
        yield ok("simulating", told)
    yield _disk_speed(speeds)


def _disk_speed(speeds: list[Speeds]) -> Finding:
    alone = speeds[0].bytes_alone
    if not alone:
        told = "nothing could be written to the output directory"
        return warning("writing", told, "choose another output directory")
    together = sum(one.bytes_together for one in speeds)
    told = f"{quantity(alone)}B/s by one rank, {quantity(together)}B/s by {len(speeds)}"
    return ok("writing", told)


def ping(peer: int) -> tuple[float, float, float]:
    """Latency, bandwidth and clock offset between rank 0, which calls this, and a peer that `answer`s."""
    from ...parallel import mpi

    small = np.zeros(_SMALL, np.uint8)
    large = np.zeros(_LARGE, np.uint8)
    small_trip = min(mpi.round_trip(peer, small) for _ in range(_ROUNDS))
    large_trip = min(mpi.round_trip(peer, large) for _ in range(_LARGE_ROUNDS))
    stamp = np.zeros(1)
    begin = time.time()
    mpi.round_trip(peer, stamp.view(np.uint8))
    end = time.time()
    latency = small_trip / 2
    bandwidth = 2 * _LARGE / large_trip
    offset = float(stamp[0]) - (begin + end) / 2
    return latency, bandwidth, offset


def answer() -> None:
    """What a peer of `ping` does."""
    from ...parallel import mpi

    for size, rounds in ((_SMALL, _ROUNDS), (_LARGE, _LARGE_ROUNDS)):
        buffer = np.zeros(size, np.uint8)
        for _ in range(rounds):
            mpi.echo(buffer)
    stamp = np.zeros(1)
    mpi.echo(stamp.view(np.uint8), fill=lambda: stamp.fill(time.time()))
