"""A pairs file and a protocol configuration in, one keys file out.  Knows nothing of MPI: it is handed a map."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import struct
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import store
from ..config import RunConfig
from ..config.protocol import ProtocolConfig
from ..engines import Tick
from ..errors import StoreError
from ..launch.supervise import State
from ..pairs import COLUMNS, Pairs, Tally, bits
from ..pairs.bits import U8
from ..parallel.job import Items, Progress
from ..parallel.serial import serial_map
from ..protocol.draw import OLDER_STREAMS, STREAM_VERSION
from ..protocol.estimate import efficiency
from ..protocol.run import combine, plan_blocks, run_block
from ..protocol.transcript import Message
from ..protocol.types import (
    IDEAL,
    Abort,
    Block,
    BlockResult,
    Frame,
    KeyResult,
    Premises,
    QberEstimate,
)
from ..provenance import provenance
from ..store.keys import (
    AlreadyComplete,
    Keys,
    KeysInfo,
    KeysStore,
    completed_keys,
    keys_status,
    preflight_keys,
    table,
)
from . import devices
from .security import statement

_FRAME_COLUMNS = ("bits", "leak_bits", "corrected", "agreed")
#: Columns of ``/blocks``: fields of the tally of all disclosed bits.
_DISCLOSED = {
    "sifted_z": "tested_z",
    "errors_z": "errors_z",
    "sifted_x": "tested_x",
    "errors_x": "errors_x",
}
_UNTESTED = QberEstimate(0, 0, 0.0, 1.0, 0.0)
_LENGTH = struct.Struct("<Q")

Work = Callable[[int, "Tick | None"], "Finished"]
#: As `generate.Map`, for blocks.
Map = Callable[[Callable[[], Work], Items], Generator[tuple[int, "Finished"], None, None]]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A block on its way to the file: its result, or the sentence why its pairs could not be read.

    ``parts`` and ``whole`` turn it into bytes and back, between ranks and in the partial file alike: the length of a
    JSON text, the text, and the packed keys.  A file may come from anywhere, so these are no pickles.
    """

    result: BlockResult | None
    error: str = ""

    def parts(self) -> list[U8]:
        """The bytes, in pieces."""
        if self.result is None:
            return [_head({"error": self.error})]
        keys = [np.ascontiguousarray(key) for key in (self.result.alice, self.result.bob)]
        # An empty stand-in keeps `asdict` from copying keys.
        values = asdict(replace(self.result, alice=keys[0][:0], bob=keys[1][:0]))
        values |= {"alice": keys[0].shape, "bob": keys[1].shape}
        return [_head(values), *(key.reshape(-1) for key in keys)]

    @classmethod
    def whole(cls, buffer: U8) -> Finished:
        """What stands in ``buffer``."""
        (length,) = _LENGTH.unpack_from(buffer.data)
        start = _LENGTH.size + length
        values = json.loads(buffer[_LENGTH.size : start].tobytes())
        if "error" in values:
            return cls(None, values["error"])
        for party in ("alice", "bob"):
            shape = values[party]
            size = int(np.prod(shape))
            values[party] = buffer[start : start + size].reshape(shape)
            start += size
        values["block"] = Block(**values["block"])
        values["estimate"] = values["estimate"] and QberEstimate(**values["estimate"])
        values["per_frame"] = tuple(Frame(**frame) for frame in values.get("per_frame", ()))
        values["disclosed"] = Tally(**values.get("disclosed", {}))
        values["abort"] = values["abort"] and Abort(**values["abort"])
        values["messages"] = tuple(Message(**message) for message in values["messages"])
        return cls(BlockResult(**values))


def _head(values: dict[str, Any]) -> U8:
    text = json.dumps(values, default=lambda number: number.item()).encode()
    return np.frombuffer(_LENGTH.pack(len(text)) + text, np.uint8)


@dataclass(frozen=True, slots=True)
class Source:
    """The pairs that keys are made of; ``alice_clicks`` and ``duration_ns`` are those of the whole file."""

    path: Path
    data_digest: str
    rows: int
    alice_clicks: int
    duration_ns: float
    premises: Premises


@dataclass(frozen=True, slots=True)
class Job:
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
    keys: Keys | None
    blocks_done: int
    launched: int
    seconds: float
    messages: tuple[str, ...] = ()


def prepare(source: str | os.PathLike[str], config: ProtocolConfig) -> Job:
    """Look at the pairs file and at whether the protocol can be used on it.

    Raises `StoreError` for a file that is not finished or whose records were changed, `ConfigError` for ``rot`` on
    pairs of devices that it must not trust.
    """
    path = Path(source)
    with store.open_pairs(path) as file:
        if not file.complete:
            raise StoreError(
                f"{path} is not finished ({file.rows} rows so far); {_how_to_finish(path)}, then distill"
            )
        if not file.digest_fits():
            raise StoreError(
                f"{path}: its records do not have the data digest; restore the file or generate it anew"
            )
        run, chunks = RunConfig.from_json(file.info.config), file.chunks
        found = Source(
            path,
            data_digest=file.data_digest,
            rows=file.rows,
            alice_clicks=int(chunks["alice_clicks"].sum()),
            duration_ns=float(chunks["duration_ns"].sum()),
            premises=IDEAL,
        )
        stored = file.info.config
    if config.mode == "rot":
        devices.require_transfer(run, source=str(path))
    found = replace(found, premises=devices.premises(run, config.mode))
    plan = plan_blocks(found.rows, config)
    info = KeysInfo(
        mode=config.mode,
        seed=config.seed,
        stream_version=STREAM_VERSION,
        config=json.dumps(config.resolved()),
        config_digest=config.digest(),
        source=path.name,
        source_digest=found.data_digest,
        source_config=stored,
        rows=found.rows,
        blocks=len(plan),
        security=statement(config, run, found.premises, plan),
        software=provenance(),
        emissions=run.pairs,
        duration_ns=found.duration_ns,
    )
    return Job(found, config, info, plan)


def _how_to_finish(path: Path) -> str:
    if path.suffix == ".part":
        return "finish its run"
    return f"it is a partial file under a finished one's name: rename it to {path.name}.part, finish its run"


def block_work(source: Source, config: ProtocolConfig) -> Work:
    """The function that distills one block; made once in each process."""
    plan = plan_blocks(source.rows, config)

    def work(index: int, tick: Tick | None = None) -> Finished:
        block = plan[index]
        try:
            pairs = read_block(source, block)
        except StoreError as error:
            # Raised here it would be a crash of this rank; rank 0 can say it in one sentence.
            return Finished(None, str(error))
        result = run_block(
            pairs,
            config,
            block=block,
            blocks=len(plan),
            premises=source.premises,
            tick=tick or (lambda: None),
        )
        return Finished(result)

    return work


def read_block(source: Source, block: Block) -> Pairs:
    """A block's rows, with every checksum verified."""
    with store.open_pairs(source.path) as file:
        if file.data_digest != source.data_digest:
            raise StoreError(
                f"{source.path} was replaced while keys were made of it; run the same command again"
            )
        pieces = list(
            file.blocks(max(1, block.count), start=block.start, stop=block.start + block.count)
        )
    empty = Pairs(np.zeros((len(COLUMNS), bits.nbytes(0)), np.uint8), 0)
    (pairs,) = pieces or [empty]
    return replace(pairs, alice_clicks=source.alice_clicks, duration_ns=source.duration_ns)


def settled(job: Job, path: str | os.PathLike[str]) -> Job:
    """The job itself, or as an older version had it whose keys at ``path`` are to be gone on with."""
    with contextlib.suppress(StoreError, OSError):
        begun = keys_status(path).info
        info = replace(job.info, stream_version=begun.stream_version)
        sound = job.source.premises.quality == 1  # the older version did not look
        if sound and begun.stream_version in OLDER_STREAMS and info.identity == begun.identity:
            premises = replace(job.source.premises, stream_version=begun.stream_version)
            return replace(job, info=info, source=replace(job.source, premises=premises))
    return job


def preflight(job: Job, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise now, having touched nothing, what `distill` would raise at its start."""
    job = settled(job, path)
    _require_other_file(job, Path(path))
    preflight_keys(path, job.info, force=force)


def is_complete(job: Job, path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is the finished keys file of this job."""
    return completed_keys(path, settled(job, path).info) is not None


def state(path: str | os.PathLike[str]) -> State:
    """What a keys file holds so far, for the supervisor."""
    try:
        found = keys_status(path)
    except (StoreError, OSError):
        return State()
    return State(found.blocks_done, found.info.blocks)


def _require_other_file(job: Job, path: Path) -> None:
    if path.exists() and path.samefile(job.source.path):
        raise StoreError(f"{path} is the pairs file itself; choose another output")


def distill(
    job: Job,
    path: str | os.PathLike[str],
    *,
    map: Map = serial_map,
    launch: Mapping[str, object] | None = None,
    force: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda message: None,
) -> Distilled:
    """Make keys of the ``job``'s pairs in ``path``, or go on with it; the same call does both.

    Finished blocks are kept in ``path`` + ``.part``; when the last one is in, the keys file is written and published.
    ``map`` decides where blocks are distilled, ``launch`` is noted in the file's provenance, ``force`` sets another
    file at ``path`` aside.  An abort is a result.  Raises `StoreError`, also for damaged pairs.
    """
    path, begin, job = Path(path), time.perf_counter(), settled(job, path)
    _require_other_file(job, path)
    if not force and (keys := completed_keys(path, job.info)):
        return _already(path, keys, say)
    info = replace(job.info, software={**job.info.software, **(launch or {})})
    launched = 0
    try:
        opened = KeysStore.open(path, info, launch=launch or {}, force=force)
    except AlreadyComplete:
        # Another launch finished it while we waited for its lock.
        if keys := completed_keys(path, job.info):
            return _already(path, keys, say)
        raise
    with opened as keys_store:
        for message in keys_store.messages:
            say(message)
        results = [
            _found(record, block) for record, block in zip(keys_store.found, job.plan, strict=False)
        ]
        todo = np.arange(len(results), len(job.plan))
        before = sum(result.block.count for result in results)
        setup = functools.partial(block_work, job.source, job.config)
        with contextlib.closing(map(setup, todo)) as finished:
            for _, one in finished:
                if one.result is None:
                    raise StoreError(one.error)
                keys_store.append(b"".join(part.tobytes() for part in one.parts()))
                results.append(one.result)
                launched += one.result.block.count
                done = before + launched
                report(
                    Progress(
                        done,
                        max(1, job.info.rows),
                        done,
                        max(1, launched),
                        time.perf_counter() - begin,
                    )
                )
        keys = None
        if len(results) == len(job.plan):
            keys = as_keys(combine(results, job.config), info)
            keys_store.finish(keys)
    seconds = time.perf_counter() - begin
    return Distilled(path, info, keys, len(results), launched, seconds, tuple(keys_store.messages))


def _already(path: Path, keys: Keys, say: Callable[[str], None]) -> Distilled:
    """The answer where there is nothing to do."""
    message = f"{path} is already complete: keys digest {keys.digest}"
    say(message)
    return Distilled(path, keys.info, keys, keys.info.blocks, 0, 0.0, (message,))


def _found(record: bytes, block: Block) -> BlockResult:
    result = Finished.whole(np.frombuffer(record, np.uint8)).result
    if result is None or result.block != block:
        raise StoreError(
            "the partial file's records are not those of this plan; set it aside with --force"
        )
    return result


def as_keys(result: KeyResult, info: KeysInfo) -> Keys:
    """The result as the contents of a keys file."""
    messages = [
        (block.block.index, message) for block in result.blocks for message in block.messages
    ]
    transcript: dict[str, tuple[type, Sequence[Any]]] = {
        "block": (int, [index for index, _ in messages]),
        "sender": (str, [message.sender for _, message in messages]),
        "what": (str, [message.what for _, message in messages]),
        "count": (int, [message.count for _, message in messages]),
        "bits": (int, [message.bits for _, message in messages]),
        "leak_bits": (int, [message.leak_bits for _, message in messages]),
        "time_ns": (float, [message.time_ns for _, message in messages]),
    }
    hidden: dict[str, tuple[type, Sequence[Any]]] = {
        "index": (int, [block.block.index for block in result.blocks]),
        "corrected": (int, [block.corrected for block in result.blocks]),
        "decoded": (int, [int(block.decoded) for block in result.blocks]),
    }
    return Keys(
        info=info,
        key_bits=result.key_bits,
        alice=result.alice,
        bob=result.bob,
        choice=result.choice,
        blocks=_block_table(result.blocks),
        hidden=table(hidden),
        transcript=table(transcript),
        frames=_frame_table(result.blocks),
    )


def _block_table(results: Sequence[BlockResult]) -> NDArray[Any]:
    columns: dict[str, tuple[type, Sequence[Any]]] = {}
    for name in ("index", "start", "count"):
        columns[name] = int, [getattr(result.block, name) for result in results]
    for name in (
        "sifted",
        "reconciled_bits",
        "frames",
        "failed_frames",
        "leak_bits",
        "tag_bits",
        "key_bits",
    ):
        columns[name] = int, [getattr(result, name) for result in results]
    columns["key_start"] = (
        int,
        [0, *itertools.accumulate(result.key_bits for result in results)][:-1],
    )
    estimates = [result.estimate or _UNTESTED for result in results]
    columns["tested"] = int, [estimate.tested for estimate in estimates]
    columns["errors"] = int, [estimate.errors for estimate in estimates]
    for field, name in _DISCLOSED.items():
        columns[name] = int, [getattr(result.disclosed, field) for result in results]
    columns["qber"] = float, [estimate.qber for estimate in estimates]
    columns["qber_low"] = float, [estimate.low for estimate in estimates]
    columns["qber_high"] = float, [estimate.high for estimate in estimates]
    columns["abort_step"] = str, [result.abort.step if result.abort else "" for result in results]
    columns["abort_reason"] = (
        str,
        [result.abort.reason if result.abort else "" for result in results],
    )
    columns["abort_numbers"] = (
        str,
        [_json(result.abort.numbers) if result.abort else "" for result in results],
    )
    return table(columns)


def _frame_table(results: Sequence[BlockResult]) -> NDArray[Any]:
    rows = [(result, frame) for result in results for frame in result.per_frame]
    columns: dict[str, tuple[type, Sequence[Any]]] = {
        "block": (int, [result.block.index for result, _ in rows]),
        "bits": (int, [result.reconciled_bits // len(result.per_frame) for result, _ in rows]),
        "leak_bits": (int, [frame.leak_bits for _, frame in rows]),
        "corrected": (int, [frame.corrected for _, frame in rows]),
        "agreed": (int, [int(frame.agreed) for _, frame in rows]),
    }
    size, leaks, corrected, agreed = (np.array(columns[name][1], float) for name in _FRAME_COLUMNS)
    columns["efficiency"] = (
        float,
        np.where(agreed == 1, efficiency(leaks, size, corrected), np.nan).tolist(),
    )
    return table(columns)


def _json(numbers: Mapping[str, float]) -> str:
    return json.dumps(dict(numbers), default=lambda number: number.item())
