"""A pairs file and a protocol configuration in, one keys file out.  Knows nothing of MPI: it is handed a map."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from .. import store
from ..config import RunConfig
from ..config.modes import has_strings
from ..config.protocol import ProtocolConfig
from ..config.run import DEFAULT_MPI, MpiConfig
from ..errors import ConfigError, StoreError
from ..launch.supervise import State
from ..machine.provenance import provenance
from ..machine.wording import counted, duration
from ..pairs import bits
from ..pairs.bits import U8
from ..parallel.job import Map, Rules
from ..parallel.serial import serial_map
from ..protocol.draw import OLDER_STREAMS
from ..protocol.run import of_version, plan_blocks, wants_tests
from ..protocol.types import (
    IDEAL,
    Block,
    BlockResult,
)
from ..store.keys import (
    AlreadyComplete,
    KeysInfo,
    KeysReport,
    KeysStore,
    completed_keys,
    keys_status,
    preflight_keys,
)
from .block_work import Source, block_work, with_tests
from .blocks import Finished
from .job import Meter, Observer, Protection
from .key_tables import KeyTables
from .modes import mode_of
from .security import statement

#: Simulating again for longer needs somebody's word, seconds.
_HOUR = 3600.0

#: Between two sentences on how far the tests before all keys are.
_SAY_SECONDS = 10.0

_WITH_COLUMNS = "generate the pairs with output.keep=pairs first"


@dataclass(frozen=True, slots=True)
class Task:
    """All that is known before the first block."""

    source: Source
    config: ProtocolConfig
    info: KeysInfo
    plan: Sequence[Block]


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """How a launch ended: the finished keys, or None if it was stopped; rows and seconds are of this launch alone."""

    path: Path
    info: KeysInfo
    keys: KeysReport | None
    blocks_done: int
    launched: int
    seconds: float
    messages: tuple[str, ...] = ()


def prepare(
    source: str | os.PathLike[str], config: ProtocolConfig, *, yes: bool = False, chosen: str = ""
) -> Task:
    """Look at the pairs file and at whether the protocol can be used on it.

    A file that keeps records only is simulated again; if that takes more than an hour of one core, ``yes`` has to
    agree.  ``chosen`` is the sentence on a protocol that nobody gave a configuration of; it is noted in the keys file.
    Raises `StoreError` for a file that is not finished or whose records were changed, `ConfigError` for a mode
    that must not trust the devices of these pairs, and where ``yes`` is missing.
    """
    path = Path(source)
    found, stored = _look_at(path)
    run = RunConfig.from_json(stored)
    mode = mode_of(config.mode)
    mode.require_devices(run, source=str(path))
    plan = plan_blocks(found.rows, config)
    premises = of_version(mode.premises(run), config, plan)
    passes = 2 if wants_tests(premises) else 1
    found = replace(found, premises=premises, again_seconds=passes * found.again_seconds)
    if found.again_seconds > _HOUR and not yes:
        raise ConfigError(f"{_again_said(found)}; do it with --yes, or {_WITH_COLUMNS}")
    info = KeysInfo(
        mode=config.mode,
        seed=config.seed,
        stream_version=found.premises.stream_version,
        config=json.dumps(config.resolved()),
        config_digest=config.digest(),
        source=path.name,
        source_digest=found.data_digest,
        source_config=stored,
        rows=found.rows,
        blocks=len(plan),
        security=statement(config, run, found.premises, plan),
        software={**provenance(), **({"chosen": chosen} if chosen else {})},
        emissions=run.pairs,
        duration_ns=found.duration_ns,
    )
    return Task(found, config, info, plan)


def _look_at(path: Path) -> tuple[Source, str]:
    """What the protocol needs to know of a pairs file, before its premises are known, and its run's configuration."""
    with store.open_pairs(path) as file:
        store.require_bits(path, file.info, to="make keys of")
        if not file.complete:
            raise StoreError(
                f"{path} is not finished ({counted(file.rows, 'row')} so far); {_how_to_finish(path)}, then distill"
            )
        if not file.digest_fits():
            raise StoreError(
                f"{path}: its records do not have the data digest; restore the file or generate it anew"
            )
        found = Source(
            path,
            data_digest=file.data_digest,
            rows=file.rows,
            alice_clicks=int(file.total("alice_clicks")),
            duration_ns=file.total("duration_ns"),
            premises=IDEAL,
            again_seconds=0.0 if file.info.has_columns else file.total("seconds"),
        )
        return found, file.info.config


def _again_said(source: Source) -> str:
    took = duration(source.again_seconds)
    return f"{source.path} keeps records only: its chunks are simulated again, about {took} of one core"


def _how_to_finish(path: Path) -> str:
    if path.suffix == ".part":
        return "finish its run"
    return f"it is a partial file under a finished one's name: rename it to {path.name}.part, finish its run"


def settled(task: Task, path: str | os.PathLike[str]) -> Task:
    """The task itself, or as an older version had it whose keys at ``path`` are to be gone on with."""
    with contextlib.suppress(StoreError, OSError):
        begun = keys_status(path).info
        info = replace(task.info, stream_version=begun.stream_version)
        premises = task.source.premises
        sound = premises.quality == 1  # the oldest version did not look
        older = begun.stream_version < premises.stream_version
        known = begun.stream_version not in OLDER_STREAMS or sound
        if older and known and info.identity == begun.identity:
            premises = replace(premises, stream_version=begun.stream_version)
            return replace(task, info=info, source=replace(task.source, premises=premises))
    return task


def preflight(task: Task, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise now, having touched nothing, what `distill` would raise at its start."""
    task = settled(task, path)
    _require_other_file(task, Path(path))
    preflight_keys(path, task.info, force=force)


def is_complete(task: Task, path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is the finished keys file of this task."""
    return completed_keys(path, settled(task, path).info) is not None


def state(path: str | os.PathLike[str]) -> State:
    """What a keys file holds so far, for the supervisor."""
    try:
        found = keys_status(path)
    except (StoreError, OSError):
        return State()
    return State(found.blocks_done, found.info.blocks)


def _require_other_file(task: Task, path: Path) -> None:
    if path.exists() and path.samefile(task.source.path):
        raise StoreError(f"{path} is the pairs file itself; choose another output")


def distill(
    task: Task,
    path: str | os.PathLike[str],
    *,
    map: Map = serial_map,
    launch: Mapping[str, object] | None = None,
    force: bool = False,
    observer: Observer | None = None,
) -> Distilled:
    """Make keys of the ``task``'s pairs in ``path``, or go on with it; the same call does both.

    Finished blocks are kept in ``path`` + ``.part``; when the last one is in, the keys file is
    written and published.  ``map`` decides where blocks are distilled, ``launch`` is noted in the
    file's provenance, ``force`` sets another file at ``path`` aside.  An abort is a result.  Raises
    `StoreError`, also for damaged pairs.
    """
    path, task, observer = Path(path), settled(task, path), observer or Observer()
    _require_other_file(task, path)
    launch = dict(launch or {})
    if observer.faults:
        launch["faults"] = [fault.what for fault in observer.faults]
    info = replace(task.info, software={**task.info.software, **launch})

    def already() -> Distilled | None:
        keys = completed_keys(path, task.info)
        return _already(path, keys, observer) if keys else None

    if not force and (done := already()):
        return done
    try:
        opened = KeysStore.open(path, info, launch=launch, force=force)
    except AlreadyComplete:
        # Another launch finished it while we waited for its lock.
        if done := already():
            return done
        raise
    if task.source.again_seconds:
        observer.say(_again_said(task.source))
    with opened as keys_store:
        return _fill(task, info, keys_store, map, observer)


def _fill(
    task: Task, info: KeysInfo, keys_store: KeysStore, map_: Map, observer: Observer
) -> Distilled:
    """Distill the blocks that are missing; no more than one block's keys are in memory."""
    for message in keys_store.messages:
        observer.say(message)
    tables = KeyTables()
    premises = task.source.premises
    for result in _results(task, keys_store):
        tables.add(result)
        premises = replace(premises, announced=result.announced)
    meter = Meter(before=tables.pairs, total=info.rows)
    task = replace(task, source=replace(task.source, premises=premises))
    with contextlib.closing(_missing(task, keys_store, map_, observer)) as missing:
        for result, record in missing:
            keys_store.append(record)
            tables.add(result)
            observer.progress(meter.add(result.block.count))
    keys = None
    if tables.blocks_done == len(task.plan):
        keys = keys_store.finish(tables.finish(info), functools.partial(_stream, task, keys_store))
    return Distilled(
        path=keys_store.path,
        info=info,
        keys=keys,
        blocks_done=tables.blocks_done,
        launched=meter.launched,
        seconds=meter.seconds,
        messages=tuple(keys_store.messages),
    )


def _missing(
    task: Task, keys_store: KeysStore, map_: Map, observer: Observer
) -> Generator[tuple[BlockResult, bytes], None, None]:
    """The blocks that are not stored yet, with their bytes; fewer after a request to stop."""
    todo = range(keys_store.blocks_done, len(task.plan))
    source: Source | None = task.source
    if todo:
        count = _counting(len(task.plan), keys_store, observer)
        source = with_tests(task.source, task.config, task.plan, map_, count)
    if source is None:
        return
    setup = functools.partial(block_work, source, task.config)
    with contextlib.closing(map_(setup, todo)) as finished:
        for _, one in finished:
            if one.result is None:
                raise StoreError(one.error)
            yield one.result, b"".join(part.tobytes() for part in one.parts())


def _counting(blocks: int, keys_store: KeysStore, observer: Observer) -> Callable[[], None]:
    """What to call after the test of each of so many blocks, where they come before all keys."""
    begin = time.monotonic()
    said = begin
    done = 0

    def count() -> None:
        nonlocal done, said
        keys_store.touch()
        done += 1
        now = time.monotonic()
        if now - said >= _SAY_SECONDS:
            said = now
            left = duration((now - begin) / done * (blocks - done))
            observer.say(f"first the tests of all blocks: {done} of {blocks}, {left} left")

    return count


def _results(task: Task, keys_store: KeysStore) -> Iterator[BlockResult]:
    """The blocks that are in the partial file, one at a time."""
    for record, block in zip(keys_store.records(), task.plan, strict=False):
        result = Finished.whole(np.frombuffer(record, np.uint8)).result
        if result is None or result.block != block:
            raise StoreError(
                "the partial file's records are not those of this plan; set it aside with --force"
            )
        yield result


def _stream(task: Task, keys_store: KeysStore, party: str) -> Iterator[U8]:
    """A party's keys, block after block, as pieces of whole bytes."""
    results = _results(task, keys_store)
    if has_strings(task.config.mode):
        (only,) = results
        return iter([getattr(only, party)])
    return bits.joined((getattr(result, party), result.key_bits) for result in results)


def _already(path: Path, keys: KeysReport, observer: Observer) -> Distilled:
    """The answer where there is nothing to do."""
    message = f"{path} is already complete: keys digest {keys.digest}"
    observer.say(message)
    return Distilled(path, keys.info, keys, keys.info.blocks, 0, 0.0, (message,))


@dataclass(frozen=True, slots=True)
class DistillJob:
    """A `caligo_mpi.runs.job.Job` that makes a keys file."""

    task: Task
    path: Path
    arguments: list[str]
    restarts: int = 100
    forced: bool = False
    mpi: MpiConfig = DEFAULT_MPI
    noun: ClassVar[str] = "block"
    hint: ClassVar[str] = ""
    rules: ClassVar[Rules] = Rules()

    @property
    def protection(self) -> Protection:
        """What is done when ranks die."""
        return Protection(self.restarts)

    def __len__(self) -> int:
        return len(self.task.plan)

    def preflight(self) -> None:
        """Raise now what `run` would raise at its start."""
        preflight(self.task, self.path, force=self.forced)

    def is_complete(self) -> bool:
        """Whether the keys are there."""
        return is_complete(self.task, self.path)

    def state(self) -> State:
        """What the file holds so far."""
        return state(self.path)

    def run(
        self, map_: Map, launch: Mapping[str, object], observer: Observer, *, force: bool
    ) -> bool:
        """Make the keys."""
        done = distill(
            self.task, self.path, map=map_, launch=launch, force=force, observer=observer
        )
        observer.result(done)
        return done.keys is not None
