"""A launch of a sweep: all points' chunks, then all points' blocks, in one pool each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import RunConfig
from ...config.points import Point
from ...config.sweep import SweepConfig
from ...errors import StoreError
from ...parallel.job import Map
from ...store.records import data_digest
from ...store.sweep_data import UNNAMED, Partial, Row, blank_row, same_results
from ...store.sweep_journal import of_chunks, of_points, of_row
from ...store.sweep_store import SweepStore
from ..counts import law_digest
from ..job import Observer
from . import goals
from .results import Listed, Table
from .simulating import TICKS, decision, is_whole, pairs_file, point_chunks, simulate


def listed(points: Sequence[Point]) -> list[Listed]:
    """The points as a table lists them."""
    return [(point.index, point.key, json.dumps(dict(point.parameters))) for point in points]


def _stops_alike(point: Point, row: Row) -> bool:
    """Whether a finished row is of a point with the same goal, if any."""
    there = RunConfig.from_json(row["config"])
    return there.until == point.config.until


class Campaign:
    """The points of a launch: ``rows`` are those that are finished, ``failures`` sentences by number of the point."""

    def __init__(
        self,
        sweep: SweepConfig,
        points: Sequence[Point],
        store: SweepStore,
        observer: Observer,
        *,
        fail_fast: bool = False,
    ) -> None:
        self.fail_fast = fail_fast
        self.sweep = sweep
        self.points = points
        self.store = store
        self.observer = observer
        self.rows: dict[str, Row] = {}
        for key, row in store.found.rows.items():
            if row["state"] == "done":
                self.rows[key] = row
        self.partial = store.found.partial
        self.failures: dict[int, str] = {}
        self.launched = 0
        self.seconds = 0.0
        self.expected: dict[str, Row] = {}  # rows whose pairs files are made again
        self.stopped = False  # before everything was done

    @property
    def gives_up(self) -> bool:
        """Whether a point has failed after which no other one is wanted."""
        return self.fail_fast and bool(self.failures)

    @property
    def complete(self) -> bool:
        """Whether every point is finished."""
        return all(point.key in self.rows for point in self.points)

    def table(self) -> Table:
        """The results so far, of all points of the sweep."""
        failed = {}
        for point in self.points:
            if point.index in self.failures:
                failed[point.key] = self.failures[point.index]
        rows = {**self.store.found.rows, **self.rows}
        return Table.of(
            self.store.info,
            listed(self.sweep.points),
            rows,
            failed,
            self.partial,
        )

    def ordered_rows(self) -> list[Row]:
        """The finished rows in the order of the sweep, then those that it no longer names."""
        rest = dict(self.rows)
        rows = []
        for point in self.sweep.points:
            if point.key in rest:
                row = rest.pop(point.key)
                rows.append({**row, "number": point.index})
        for row in rest.values():
            rows.append({**row, "number": UNNAMED})
        return rows

    def compute(self, map_: Map) -> None:
        """Both pools, one after the other; ends early when asked to stop."""
        goals.take_up(self)
        self._say_what_is_there()
        known = [(key, parameters) for _, key, parameters in listed(self.sweep.points)]
        if known != self.store.found.points:
            self.store.put(of_points(known))
            self.store.commit()
        simulate(self, map_)
        if self.partial and not self.stopped:
            # The protocol is loaded where it is needed.
            from .distilling import distill_points

            distill_points(self, map_)
        self.store.commit()

    def _say_what_is_there(self) -> None:
        have = sum(point.key in self.rows for point in self.points)
        if have or self.partial:
            done = f"{have} of {len(self.points)} points are done"
            self.observer.say(f"going on with {self.store.path.parent}: {done}")
        if self.sweep.keep != "pairs":
            return
        for point in self.points:
            file = pairs_file(self.store.path, point)
            if point.key in self.rows and not file.exists():
                row = self.rows.pop(point.key)
                if _stops_alike(point, row):
                    self.expected[point.key] = row
                self.observer.say(f"{file} of point {point.index} is missing: it is made again")

    def add_chunks(
        self,
        point: Point,
        sums: Mapping[str, Any],
        checksums: NDArray[np.uint64],
        rows: NDArray[np.uint64],
    ) -> None:
        """The next chunks of a point; its row where they are the last ones and no key is wanted."""
        partial = self.partial.setdefault(point.key, Partial())
        partial.add(sums)
        partial.chunks += len(checksums)
        partial.checksums.append(checksums)
        partial.chunk_rows.append(rows)
        done = is_whole(self.sweep, point, partial)
        if done and not self._is_distilled(point, partial):
            self.finish(point)
        else:
            entry = of_chunks(
                point.key,
                sums,
                checksums,
                rows,
            )
            self.store.put(entry)

    def fail(self, point: Point, sentence: str) -> None:
        """A point cannot be computed: said at once, and again at the end."""
        if point.index in self.failures:
            return
        self.failures[point.index] = sentence
        self.observer.say(sentence)
        row = {
            **_begun(self.sweep, point),
            "state": "failed",
            "error": sentence,
        }
        self.store.put(of_row(row))
        self.store.commit()

    def _is_distilled(self, point: Point, partial: Partial) -> bool:
        """Whether a point's pairs are made into keys: not where one block is more than a rank should hold."""
        if point.protocol is None or self.sweep.keep == "counts":
            return False
        from ...protocol.run import plan_blocks

        rows = int(partial.sums["rows"])
        plan = plan_blocks(rows, point.protocol)
        largest = max(block.count for block in plan)
        return largest <= self.sweep.protocol_limit

    def finish(self, point: Point) -> None:
        """The row of a point of which everything is in."""
        partial = self.partial[point.key]
        row = {
            **_begun(self.sweep, point),
            **partial.sums,
            "state": "done",
            "error": "",
        }
        row["duration_ns"] = row.pop("duration_ticks") / TICKS
        row["distilled"] = int(partial.blocks > 0)
        found = None if row["stopped"] else decision(point, partial)
        if found is not None:
            row |= {
                "pairs": found.pairs,
                "chunks": found.chunks,
                "stopped": found.reason,
            }
        if point.protocol is not None and not partial.blocks:
            row["abort"] = _why_not_distilled(self.sweep)
        version = int(row["stream_version"])
        row["config_digest"] = point.config.digest(version)
        if self.sweep.keep == "counts":
            pairs = int(row["pairs"])
            row["config_digest"] = law_digest(row["config_digest"], point.config, pairs)
        row["data_digest"] = data_digest(row["config_digest"], partial.checksums)
        self._require_expected(point, row)
        del self.partial[point.key]
        self.rows[point.key] = row
        self.store.put(of_row(row))
        if self.store.is_due:
            self.store.commit()

    def _require_expected(self, point: Point, row: Row) -> None:
        """Raise `StoreError` where a pairs file that was made again is another one."""
        expected = self.expected.pop(point.key, None)
        if expected is None or same_results(expected, row):
            return
        file = pairs_file(self.store.path, point)
        now = row["data_digest"][:12]
        before = expected["data_digest"][:12]
        raise StoreError(
            f"{file} was made again and is another one than before "
            f"(data digest {now}, it was {before}); "
            "use the release that made the sweep, or set it aside with --force"
        )


def _why_not_distilled(sweep: SweepConfig) -> str:
    if sweep.keep == "counts":
        return "not run: only counts are drawn"
    return f"not run: a block is larger than protocol_limit={sweep.protocol_limit}"


def _begun(sweep: SweepConfig, point: Point) -> Row:
    """What a point's row says before anything is simulated."""
    protocol = ""
    if point.protocol is not None:
        protocol = json.dumps(point.protocol.resolved())
    return {
        **blank_row(),
        "key": point.key,
        "number": point.index,
        "parameters": json.dumps(dict(point.parameters)),
        "config": json.dumps(point.config.resolved()),
        "protocol": protocol,
        "pairs": point.config.pairs,
        "chunks": point_chunks(sweep, point),
    }
