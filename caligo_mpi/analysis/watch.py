"""How far files are that others are writing, by reading alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CaligoError
from ..runs.sweeps.reading import is_sweep, sweep_owner, sweep_status
from ..store import Status, status
from ..store.keys import is_keys_file, keys_status
from ..store.names import final_path, part_path
from .glance import glance

#: A rank below this share of the median rate of all is called slow, once it has made so many chunks.
_SLOW, _CHUNKS = 0.7, 2
#: A file that seems damaged is looked at so often, with so much time between: it may be between two names.
_LOOKS, _LOOK_AGAIN_S = 3, 0.05
#: Larger chunk tables are not read for each rank's rate.
_MOST_CHUNKS = 200_000


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one file.

    ``state`` is "complete", "running", "stopped", "waiting" (not there yet) or "unreadable", then ``problem`` says why.
    ``done`` of ``total`` pairs are in (``noun``: of a sweep, points);
    ``average`` is pairs per second of the last launch so far; times are seconds
    since 1970.  ``ranks`` are those of the last launch and ``slow`` those of them that are slow.
    """

    path: Path
    when: float
    state: str
    done: int = 0
    total: int = 0
    average: float | None = None
    last_commit: float = 0.0
    ranks: int = 0
    slow: tuple[int, ...] = ()
    faults: int = 0
    problem: str = ""
    noun: str = "pair"

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.state == "complete"


def look(path: str | os.PathLike[str]) -> Look:
    """Look at a pairs or keys file or at a sweep's directory; never raises for what a file is, and touches nothing."""
    place = Path(path)
    problem = ""
    for _ in range(_LOOKS):
        now = time.time()
        try:
            if is_sweep(place):
                return _at_sweep(place, now)
            return _at_keys(place, now) if is_keys_file(place) else _at_pairs(place, now)
        except (CaligoError, OSError) as error:
            problem = str(error)
        if not place.exists() and not part_path(place).exists():
            return Look(place, now, "waiting", problem=problem)
        time.sleep(_LOOK_AGAIN_S)  # it may just have got its final name
    return Look(place, now, "unreadable", problem=problem)


def rate_between(before: Look | None, after: Look) -> float | None:
    """Pairs per second from one look to the next; None without an earlier one."""
    if before is None or after.when <= before.when or not before.total:
        return None
    return max(0, after.done - before.done) / (after.when - before.when)


def files_of(names: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files themselves, and of directories the HDF5 files in them, finished or partial, each once."""
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        is_folder = path.is_dir() and not is_sweep(path)
        inside = sorted(path.iterdir()) if is_folder else [path]
        for one in inside:
            final = final_path(one)
            if not is_folder or final.suffix in (".h5", ".hdf5"):
                found[final] = None
    return list(found)


def _at_sweep(path: Path, now: float) -> Look:
    """Its points in the place of pairs."""
    table = sweep_status(path).table
    done, total = table.count("done"), len(table.rows)
    state = "complete" if done == total else "running" if sweep_owner(path) else "stopped"
    faults = table.count("failed")
    return Look(path, now, state, done, total, faults=faults, noun="point")


def _at_keys(path: Path, now: float) -> Look:
    seen = keys_status(path)
    state = "complete" if seen.keys else "running" if seen.owner else "stopped"
    share = seen.blocks_done / max(1, seen.info.blocks)
    changed = seen.path.stat().st_mtime
    done = round(share * seen.info.rows)
    return Look(path, now, state, done, seen.info.rows, last_commit=changed)


def _at_pairs(path: Path, now: float) -> Look:
    seen = status(path)
    state = "complete" if seen.complete else "running" if seen.owner else "stopped"
    ranks = int(seen.runs[-1]["ranks"]) if len(seen.runs) else 0
    average, slow = _of_last_launch(seen) if ranks else (None, ())
    return Look(
        path=path,
        when=now,
        state=state,
        done=seen.pairs_done,
        total=seen.pairs,
        average=average,
        last_commit=seen.last_commit,
        ranks=ranks,
        slow=slow if state == "running" else (),
        faults=len(seen.faults),
    )


def _of_last_launch(seen: Status) -> tuple[float | None, tuple[int, ...]]:
    """Its rate so far, and its slow ranks; none of them where the chunk table is too large to be read often."""
    last = len(seen.runs) - 1
    launch = seen.runs[last]
    took = float(launch["last_commit"] - launch["started"])
    if seen.chunks_total > _MOST_CHUNKS:
        return (seen.pairs_done / took if last == 0 and took > 0 else None), ()
    work = glance(seen.path).work
    mine = work[(work["run"] == last) & (work["seconds"] > 0)]
    made = int(mine["chunks"].sum()) * seen.info.chunk_size
    average = min(made, seen.pairs_done) / took if took > 0 and made else None
    rates = mine["chunks"] / mine["seconds"]
    enough = mine["chunks"] >= _CHUNKS
    is_slow = (
        enough & (rates < _SLOW * np.median(rates)) if len(mine) > 1 else np.zeros(len(mine), bool)
    )
    return average, tuple(mine["rank"][is_slow].tolist())
