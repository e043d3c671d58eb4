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
from .glance import Table, glance

#: A rank below this share of the median rate of all is called slow …
_SLOW = 0.7
#: … once it has made so many chunks.
_CHUNKS = 2
#: A file that seems damaged is looked at so often, with so much time between: it may be between two names.
_LOOKS = 3
_LOOK_AGAIN_S = 0.05
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
            return _look(place, now)
        except (CaligoError, OSError) as error:
            problem = str(error)
        if not place.exists() and not part_path(place).exists():
            return Look(
                place,
                now,
                "waiting",
                problem=problem,
            )
        time.sleep(_LOOK_AGAIN_S)  # it may just have got its final name
    return Look(
        place,
        now,
        "unreadable",
        problem=problem,
    )


def _look(path: Path, now: float) -> Look:
    if is_sweep(path):
        return _at_sweep(path, now)
    if is_keys_file(path):
        return _at_keys(path, now)
    return _at_pairs(path, now)


def rate_between(before: Look | None, after: Look) -> float | None:
    """Pairs per second from one look to the next; None without an earlier one."""
    if before is None or not before.total:
        return None
    seconds = after.when - before.when
    pairs = after.done - before.done
    return max(0, pairs) / seconds if seconds > 0 else None


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
    done = table.count("done")
    total = len(table.rows)
    is_complete = done == total
    return Look(
        path=path,
        when=now,
        state=_state(is_complete, not is_complete and sweep_owner(path)),
        done=done,
        total=total,
        faults=table.count("failed"),
        noun="point",
    )


def _at_keys(path: Path, now: float) -> Look:
    seen = keys_status(path)
    share = seen.blocks_done / max(1, seen.info.blocks)
    return Look(
        path=path,
        when=now,
        state=_state(seen.keys, seen.owner),
        done=round(share * seen.info.rows),
        total=seen.info.rows,
        last_commit=seen.path.stat().st_mtime,
    )


def _state(complete: object, owner: object) -> str:
    """How a file stands: done, or somebody's who writes it, or nobody's."""
    if complete:
        return "complete"
    return "running" if owner else "stopped"


def _at_pairs(path: Path, now: float) -> Look:
    seen = status(path)
    state = _state(seen.complete, seen.owner)
    ranks = 0
    average: float | None = None
    slow: tuple[int, ...] = ()
    if len(seen.runs):
        ranks = int(seen.runs[-1]["ranks"])
    if ranks:
        average, slow = _of_last_launch(seen)
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
    average: float | None = None
    if seen.chunks_total > _MOST_CHUNKS:
        if last == 0 and took > 0:
            average = seen.pairs_done / took
        return average, ()
    work = glance(seen.path).work
    is_mine = (work["run"] == last) & (work["seconds"] > 0)
    mine = work[is_mine]
    made = int(mine["chunks"].sum()) * seen.info.chunk_size
    if made and took > 0:
        average = min(made, seen.pairs_done) / took
    return average, _slow(mine)


def _slow(work: Table) -> tuple[int, ...]:
    """The ranks that are slower than the others."""
    if len(work) < 2:
        return ()
    rates = work["chunks"] / work["seconds"]
    is_slow = rates < _SLOW * np.median(rates)
    has_enough = work["chunks"] >= _CHUNKS
    ranks: list[int] = work["rank"][is_slow & has_enough].tolist()
    return tuple(ranks)
