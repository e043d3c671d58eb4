"""A sweep as a job: where it can be executed, and how its launch goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...config.points import Point, ranges_text
from ...config.run import DEFAULT_MPI, MpiConfig
from ...config.sweep import SweepConfig
from ...errors import ConfigError, EngineError, StoreError
from ...launch.supervise import State
from ...machine.provenance import provenance
from ...parallel.job import Map, Rules
from ...store.names import part_path
from ...store.sweep_data import Row, SweepInfo
from ...store.sweep_store import (
    SweepStore,
    existing,
    preflight_sweep,
    require_place,
    require_same_sweep,
)
from ..job import Observer, Protection
from ..modes import mode_of
from .campaign import Campaign, listed
from .goals import is_enough
from .reading import FILE, items_done
from .results import Table, table_of, write_results
from .simulating import pairs_file, point_chunks
from .summary import SweepSummary


def sweep_info(sweep: SweepConfig) -> SweepInfo:
    """What the sweep's file says of it."""
    axes = [[axis.path, axis.name, axis.unit, axis.group] for axis in sweep.axes]
    settings = {
        "confidence": sweep.confidence,
        "efficiency": sweep.efficiency,
    }
    return SweepInfo(
        identity=sweep.identity,
        axes=axes,
        settings=settings,
        software=provenance(),
    )


def require_devices(points: Sequence[Point]) -> None:
    """Raise `ConfigError` for points whose devices the protocol must not trust, all in one message."""
    wrong: dict[str, list[int]] = {}
    for point in points:
        if point.protocol is not None:
            mode = mode_of(point.protocol.mode)
            try:
                mode.require_devices(point.config, source="a point's run")
            except ConfigError as error:
                wrong.setdefault(str(error), []).append(point.index)
    if wrong:
        told = [f"points {ranges_text(some)}: {sentence}" for sentence, some in wrong.items()]
        raise ConfigError("\n  ".join(told))


@dataclass(frozen=True, slots=True)
class SweepJob:
    """A `caligo_mpi.runs.job.Job` that makes a sweep's directory; ``points`` are those that are asked for."""

    sweep: SweepConfig
    points: tuple[Point, ...]
    directory: Path
    arguments: list[str]
    forced: bool = False
    fail_fast: bool = False
    mpi: MpiConfig = DEFAULT_MPI
    noun: ClassVar[str] = "chunk"
    hint: ClassVar[str] = ""

    @property
    def path(self) -> Path:
        """The sweep's file."""
        return self.directory / FILE

    @property
    def rules(self) -> Rules:
        """How items are shared."""
        schedule = self.points[0].config.schedule
        return Rules(schedule.policy, schedule.rank0_computes)

    @property
    def protection(self) -> Protection:
        """What is done when ranks die."""
        return Protection(self.sweep.restarts)

    def __len__(self) -> int:
        return sum(point_chunks(self.sweep, point) for point in self.points)

    def preflight(self) -> None:
        """Raise now what `run` would raise at its start."""
        require_devices(self.points)
        require_place(self.directory)
        if self.directory.is_dir():
            preflight_sweep(
                self.path,
                sweep_info(self.sweep),
                force=self.forced,
            )

    def is_complete(self) -> bool:
        """Whether every point that is asked for is done, and published."""
        return not self.forced and self._finished() is not None

    def state(self) -> State:
        """What the file holds so far."""
        try:
            return State(items_done(self.directory), len(self))
        except (StoreError, OSError):
            return State()

    def run(
        self,
        map_: Map,
        launch: Mapping[str, object],
        observer: Observer,
        *,
        force: bool,
    ) -> bool:
        """Compute the points; raises `EngineError` at the end if some have failed."""
        self.preflight()
        rows = None if force else self._finished()
        if rows is not None:
            return self._already(rows, observer)
        self.directory.mkdir(exist_ok=True)
        info = sweep_info(self.sweep)
        with SweepStore.open(self.path, info, launch=launch, force=force) as store:
            for message in store.messages:
                observer.say(message)
            earlier = table_of(store.found)
            campaign = Campaign(
                self.sweep,
                self.points,
                store,
                observer,
                fail_fast=self.fail_fast,
            )
            campaign.compute(map_)
            table = campaign.table()
            write_results(
                self.directory,
                table,
                store=store,
                observer=observer,
                earlier=earlier,
            )
            if campaign.complete:
                store.finish(campaign.ordered_rows())
        return self._told(campaign, table, observer)

    def _told(self, campaign: Campaign, table: Table, observer: Observer) -> bool:
        summary = SweepSummary(
            directory=self.directory,
            table=table,
            launched=campaign.launched,
            seconds=campaign.seconds,
            complete=campaign.complete,
        )
        observer.result(summary)
        if campaign.failures:
            sentences = list(campaign.failures.values())
            told = "; ".join(sentences[:3])
            numbers = ranges_text(sorted(campaign.failures))
            raise EngineError(
                f"{len(campaign.failures)} of {len(self.points)} points failed ({numbers}): {told}; "
                "the others are kept, and the same command tries these again"
            )
        return campaign.complete

    def _finished(self) -> dict[str, Row] | None:
        """The rows of the finished file, if all points are in it as they are asked for; else None."""
        if not self.path.exists() or part_path(self.path).exists():
            return None
        try:
            found = existing(self.path)
        except StoreError:
            return None
        if found is None or not found.info.goes_with(sweep_info(self.sweep)):
            return None
        for point in self.points:
            row = found.rows.get(point.key)
            if row is None or row["state"] != "done" or not is_enough(point, row):
                return None
            if self.sweep.keep == "pairs" and not pairs_file(self.path, point).exists():
                return None
        return found.rows

    def _already(self, rows: dict[str, Row], observer: Observer) -> bool:
        """The answer where there is nothing to do; tables that were changed are written again."""
        found = existing(self.path)
        assert found is not None
        info = sweep_info(self.sweep)
        require_same_sweep(self.directory, found.info, info)
        table = Table.of(info, listed(self.sweep.points), rows)
        write_results(
            self.directory,
            table,
            store=None,
            observer=observer,
            earlier=table_of(found),
        )
        message = f"{self.directory} is already complete: {len(self.points)} points"
        observer.say(message)
        summary = SweepSummary(
            self.directory,
            table,
            launched=0,
            seconds=0.0,
            complete=True,
            messages=(message,),
        )
        observer.result(summary)
        return True
