"""What a sweep will take: time by a trial of a few points, disk and memory by arithmetic."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ... import store
from ...config import RunConfig
from ...config.points import Point
from ...config.protocol import ProtocolConfig
from ...config.sweep import SweepConfig
from ...engines import make_engine
from ...engines.link import Expected
from ...errors import ConfigError
from ...pairs import Chunk
from ...parallel.limits import IN_FLIGHT
from ...protocol.types import Block
from ...store.files import require_space
from .. import devices
from ..chunks import run_chunk
from ..forecast import Forecast, forecast
from ..identity import run_info
from ..modes import mode_of
from .goals import expected_pairs
from .simulating import point_chunks

#: Bytes of a point's row.
_ROW_BYTES = 3000
#: Bytes of a chunk that is not in a row yet.
_CHUNK_BYTES = 16
#: Bytes of Python, numpy and what they load.
_RESIDENT = 130 << 20
#: Points that are tried.
_TRIED_POINTS = 3
#: Rows that are distilled of each of them.
_TRIED_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a sweep takes: seconds of one core, bytes of disk, bytes of memory per rank."""

    points: int
    pairs: int
    chunks: int
    seconds: float
    key_seconds: float
    disk: int
    memory: int


def plan(sweep: SweepConfig, points: Sequence[Point]) -> SweepPlan:
    """The plan of these points; simulates and distills for a moment to learn the speed."""
    step = math.ceil(len(points) / _TRIED_POINTS)
    tried = points[::step]
    simulating = 0.0
    if sweep.keep != "counts":
        # A short point's pair costs more than a long one's, so each tried one speaks for those next to it.
        for start in range(0, len(points), step):
            some = points[start : start + step]
            longest = max(some, key=expected_pairs)
            per_pair = _seconds_per_pair(longest)
            simulating += per_pair * sum(map(expected_pairs, some))
    distilled = [point for point in points if _distilled(sweep, point)]
    key_seconds = 0.0
    if distilled:
        per_row = sum(map(_key_seconds_per_row, tried)) / len(tried)
        rows = sum(_registered(point.config) for point in distilled)
        key_seconds = per_row * rows
    return SweepPlan(
        points=len(points),
        pairs=sum(map(expected_pairs, points)),
        chunks=sum(point_chunks(sweep, point) for point in points),
        seconds=simulating + key_seconds,
        key_seconds=key_seconds,
        disk=disk_bytes(sweep, points),
        memory=_memory(sweep, points),
    )


def as_forecast(found: SweepPlan) -> Forecast:
    """The plan as that of a run, for whoever asks for ranks and time; the sweep's blocks are its longest chunks."""
    return Forecast(
        pairs=found.pairs,
        rows=float(found.pairs),
        chunks=found.chunks,
        file_bytes=found.disk,
        full_bytes=found.disk,
        rank_bytes=max(0, found.memory - _RESIDENT) // IN_FLIGHT,
        seconds=found.seconds,
        expected=Expected(math.nan, math.nan),
    )


def require_fit(sweep: SweepConfig, points: Sequence[Point], directory: Path) -> None:
    """Raise, before anything runs, what the disk or this machine's memory cannot hold."""
    folder = directory if directory.is_dir() else directory.parent
    if folder.is_dir():
        require_space(
            folder,
            disk_bytes(sweep, points),
            f"{directory} ({len(points):,} points)",
        )
    need = _memory(sweep, points)
    there = _memory_there()
    if need > there:
        largest = max(points, key=lambda point: _block_pairs(sweep, point))
        pairs = _block_pairs(sweep, largest)
        raise ConfigError(
            f"{sweep.source}: a rank needs {need / 1e9:.3g} GB for a block of "
            f"{pairs:,} pairs (point {largest.index}), this machine has "
            f"{there / 1e9:.3g} GB; lower protocol_limit or protocol.block_size"
        )


def disk_bytes(sweep: SweepConfig, points: Sequence[Point]) -> int:
    """Bytes of the sweep's file, its tables, and the pairs files where those are kept."""
    chunks = sum(point_chunks(sweep, point) for point in points)
    total = 4 * _ROW_BYTES * len(points) + _CHUNK_BYTES * chunks
    if sweep.keep == "pairs":
        total += sum(map(_file_bytes, points))
    return total


def _file_bytes(point: Point) -> int:
    engine = make_engine(point.config.engine)
    info = run_info(point.config, engine)
    return store.file_size(info, info.capacity)


def _memory(sweep: SweepConfig, points: Sequence[Point]) -> int:
    chunk = max(min(point.config.pairs, point.config.chunk_size) for point in points)
    block = max(_block_bytes(sweep, point) for point in points)
    return _RESIDENT + chunk + block


def _block_bytes(sweep: SweepConfig, point: Point) -> int:
    if point.protocol is None:
        return 0
    mode = mode_of(point.protocol.mode)
    return mode.block_bytes * _block_pairs(sweep, point)


def _distilled(sweep: SweepConfig, point: Point) -> bool:
    return _block_pairs(sweep, point) > 0


def _block_pairs(sweep: SweepConfig, point: Point) -> int:
    """Rows of the largest block that is distilled, if every pair is registered; 0 of none."""
    if point.protocol is None or sweep.keep == "counts":
        return 0
    from ...protocol.run import plan_blocks

    rows = _registered(point.config)
    largest, *_ = plan_blocks(rows, point.protocol)
    return largest.count if largest.count <= sweep.protocol_limit else 0


def _registered(config: RunConfig) -> int:
    law = devices.expected(config)
    return config.pairs if law is None else int(config.pairs * law.coincidence)


def _memory_there() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _seconds_per_pair(point: Point) -> float:
    return forecast(point.config).seconds / point.config.pairs


def _key_seconds_per_row(point: Point) -> float:
    """Seconds of the protocol per registered pair, from a block of some 100,000."""
    from ...protocol.run import plan_blocks, run_block

    config = point.config
    protocol = _required(point.protocol)
    share = max(_registered(config) / config.pairs, 1e-9)
    count = min(int(_TRIED_ROWS / share), config.pairs, config.chunk_size)
    engine = make_engine(config.engine)
    pairs = run_chunk(engine, Chunk(0, 0, count), config.seed).pairs
    assert pairs is not None
    largest, *_ = plan_blocks(pairs.count, protocol)
    rows = min(pairs.count, largest.count)
    if not rows:
        return 0.0
    block = Block(0, 0, rows)
    some = replace(pairs.part(0, rows), alice_clicks=pairs.alice_clicks)
    premises = mode_of(protocol.mode).premises(config)
    seconds = 0.0
    for _ in range(2):  # the first time may compile
        start = time.perf_counter()
        run_block(
            some,
            protocol,
            block=block,
            blocks=1,
            premises=premises,
        )
        seconds = time.perf_counter() - start
    return seconds / rows


def _required(protocol: ProtocolConfig | None) -> ProtocolConfig:
    assert protocol is not None
    return protocol
