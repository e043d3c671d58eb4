"""What ranks do with a block of some point: its pairs, simulated again where they are not kept, and its key."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import RunConfig
from ...config.protocol import parse_protocol
from ...engines import make_engine
from ...errors import EngineError
from ...pairs import Pairs, Partition, Tick
from ...parallel.job import Work
from ...protocol.run import announce_test, plan_blocks, run_block
from ...protocol.types import Block, BlockResult, Premises
from ..chunks import run_chunk
from .pool import Pool
from .work import KEPT, Made, failure


@dataclass(frozen=True, slots=True)
class KeyTask:
    """A point whose pairs are to be distilled: how many rows each chunk has, and their checksums."""

    point: int
    config: str
    protocol: str
    premises: Premises
    checksums: NDArray[np.uint64]
    rows: NDArray[np.uint64]
    alice_clicks: int
    duration_ns: float

    @property
    def total(self) -> int:
        """Rows of all chunks."""
        return int(self.rows.sum())


def block_work(tasks: Sequence[KeyTask], pool: Pool) -> Work[Made]:
    """The function that distills a block of any point; made once in each process."""
    points = lru_cache(KEPT)(lambda task: _Point(tasks[task]))

    def work(item: int, tick: Tick | None = None) -> Made:
        task, number = pool.locate(item)
        start = time.perf_counter()
        try:
            point = points(task)
            result = point.distill(number, tick or _nothing)
            sums = _block_sums(result)
        except Exception as error:
            sentence = failure(tasks[task].point, f"block {number}", error)
            return Made({"error": sentence})
        sums["key_seconds"] = time.perf_counter() - start
        return Made(sums)

    return work


def announce_work(tasks: Sequence[KeyTask], pool: Pool) -> Work[Made]:
    """The function that makes only the test of a block of any point; its ``estimate`` if there is one."""
    points = lru_cache(KEPT)(lambda task: _Point(tasks[task]))

    def work(item: int, tick: Tick | None = None) -> Made:
        task, number = pool.locate(item)
        try:
            found = points(task).announce(number, tick or _nothing).estimate
        except Exception as error:
            sentence = failure(tasks[task].point, f"block {number}", error)
            return Made({"error": sentence})
        return Made({"estimate": found and asdict(found)})

    return work


def _nothing() -> None:
    pass


class _Point:
    """A point whose blocks are distilled here; the last chunk that was simulated is kept."""

    def __init__(self, task: KeyTask) -> None:
        self.task = task
        self.config = RunConfig.from_json(task.config)
        self.engine = make_engine(self.config.engine)
        self.protocol = parse_protocol(json.loads(task.protocol))
        self.partition = Partition(self.config.pairs, self.config.chunk_size)
        self.ends = np.cumsum(task.rows, dtype=np.int64)
        self.plan = plan_blocks(task.total, self.protocol)
        self.last: tuple[int, Pairs] | None = None

    def distill(self, number: int, tick: Tick) -> BlockResult:
        """A block, as `caligo_mpi.runs.distill` makes it of the run's file."""
        block = self.plan[number]
        pairs = self._pairs(block, tick)
        return run_block(
            pairs,
            self.protocol,
            block=block,
            blocks=len(self.plan),
            premises=self.task.premises,
            tick=tick,
        )

    def announce(self, number: int, tick: Tick) -> BlockResult:
        """Its test alone."""
        block = self.plan[number]
        pairs = self._pairs(block, tick)
        return announce_test(pairs, self.protocol, block=block, premises=self.task.premises)

    def _pairs(self, block: Block, tick: Tick) -> Pairs:
        """The block's rows, from its chunks simulated again."""
        stop = block.start + block.count
        edges = [block.start, max(block.start, stop - 1)]
        first, last = np.searchsorted(self.ends, edges, "right").tolist()
        rows: Pairs | None = None
        for index in range(first, min(last + 1, len(self.ends))):
            chunk = self._chunk(index, tick)
            begin = int(self.ends[index]) - chunk.count
            part = chunk.part(
                max(0, block.start - begin),
                min(chunk.count, stop - begin),
            )
            rows = part if rows is None else rows.followed_by(part)
        if rows is None:
            nothing = np.zeros((4, 0), np.uint8)
            rows = Pairs(nothing, 0)
        return replace(
            rows,
            alice_clicks=self.task.alice_clicks,
            duration_ns=self.task.duration_ns,
        )

    def _chunk(self, index: int, tick: Tick) -> Pairs:
        if self.last is None or self.last[0] != index:
            self.last = None
            result = run_chunk(
                self.engine,
                self.partition[index],
                self.config.seed,
                tick=tick,
            )
            checksum = int(result.record["checksum"][0])
            if checksum != int(self.task.checksums[index]):
                raise EngineError(
                    f"chunk {index} was simulated again and is another one: "
                    "the engine does not reproduce its pairs"
                )
            assert result.pairs is not None
            self.last = index, result.pairs
        return self.last[1]


def _block_sums(result: BlockResult) -> dict[str, Any]:
    """What a row says of a block, to be summed up."""
    estimate = result.estimate
    sums: dict[str, Any] = {
        "blocks": 1,
        "key_sifted": result.sifted,
        "tested": estimate.tested if estimate else 0,
        "tested_errors": estimate.errors if estimate else 0,
        "agree": int(_agree(result)),
        "aborted_blocks": int(result.abort is not None),
    }
    for name in (
        "reconciled_bits",
        "frames",
        "failed_frames",
        "leak_bits",
        "tag_bits",
        "key_bits",
    ):
        sums[name] = int(getattr(result, name))
    sums |= _frame_sums(result)
    abort = result.abort
    if abort is not None:
        numbers = {name: float(value) for name, value in abort.numbers.items()}
        sums["abort"] = f"{abort.step}: {abort.reason}"
        sums["abort_numbers"] = json.dumps(numbers)
    return sums


def _frame_sums(result: BlockResult) -> dict[str, int]:
    """Bits, leak and errors of the frames that have an efficiency, as the keys file defines it."""
    frames = result.per_frame
    size = result.reconciled_bits // max(1, len(frames))
    good = [frame for frame in frames if frame.agreed and 0 < frame.corrected < size]
    return {
        "frame_bits": size * len(good),
        "frame_leak": sum(int(frame.leak_bits) for frame in good),
        "frame_errors": sum(int(frame.corrected) for frame in good),
    }


def _agree(result: BlockResult) -> bool:
    """Whether Bob has what he should."""
    found = result.bob.tobytes()
    if result.choice is None or not result.key_bits:
        return result.alice.tobytes() == found
    chosen = result.alice[result.choice]
    return chosen.tobytes() == found or not result.decoded
