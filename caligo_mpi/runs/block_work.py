"""A block's rows from a pairs file, and what ranks do with them: its key, or first only its test."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import store
from ..config.protocol import ProtocolConfig
from ..errors import CaligoError, StoreError
from ..pairs import COLUMNS, Pairs, Tick, bits
from ..parallel.job import Map, Work
from ..protocol.run import after_tests, announce_test, plan_blocks, run_block, wants_tests
from ..protocol.types import Block, BlockResult, Premises
from .again import Simulator
from .blocks import Finished


@dataclass(frozen=True, slots=True)
class Source:
    """The pairs that keys are made of; ``alice_clicks`` and ``duration_ns`` are those of the whole file.

    ``again_seconds`` is what simulating its chunks takes one core, as often as they are needed, where the file keeps
    records only; else 0.
    """

    path: Path
    data_digest: str
    rows: int
    alice_clicks: int
    duration_ns: float
    premises: Premises
    again_seconds: float = 0.0


def block_work(source: Source, config: ProtocolConfig) -> Work[Finished]:
    """The function that distills one block; made once in each process."""
    plan = plan_blocks(source.rows, config)

    def make(pairs: Pairs, block: Block, tick: Tick) -> BlockResult:
        return run_block(
            pairs,
            config,
            block=block,
            blocks=len(plan),
            premises=source.premises,
            tick=tick,
        )

    return _work(source, plan, make)


def announce_work(source: Source, config: ProtocolConfig) -> Work[Finished]:
    """The function that makes the test of one block, and nothing else."""
    plan = plan_blocks(source.rows, config)

    def make(pairs: Pairs, block: Block, tick: Tick) -> BlockResult:
        return announce_test(pairs, config, block=block, premises=source.premises)

    return _work(source, plan, make)


def _work(
    source: Source,
    plan: Sequence[Block],
    make: Callable[[Pairs, Block, Tick], BlockResult],
) -> Work[Finished]:
    simulator = Simulator()  # of chunks that the file does not keep
    file: store.PairsFile | None = None

    def work(index: int, tick: Tick | None = None) -> Finished:
        nonlocal file
        block = plan[index]
        simulator.tick = tick
        try:
            file = file.reopened() if file else store.open_pairs(source.path, simulator=simulator)
            pairs = read_block(file, source, block)
        except CaligoError as error:
            # Raised here it would be a crash of this rank; rank 0 can say it in one sentence.
            return Finished(None, str(error))
        return Finished(make(pairs, block, tick or (lambda: None)))

    return work


def with_tests(
    source: Source,
    config: ProtocolConfig,
    plan: Sequence[Block],
    map_: Map,
    alive: Callable[[], None],
) -> Source | None:
    """The source with what all blocks' tests show, where its keys go by that; ``None`` after a request to stop.

    ``alive`` is called after each test.
    """
    if not wants_tests(source.premises):
        return source
    setup = functools.partial(announce_work, source, config)
    tests = []
    with contextlib.closing(map_(setup, range(len(plan)))) as finished:
        for _, one in finished:
            if one.result is None:
                raise StoreError(one.error)
            tests.append(one.result)
            alive()
    if len(tests) < len(plan):
        return None
    return replace(source, premises=after_tests(source.premises, tests))


def read_block(file: store.PairsFile, source: Source, block: Block) -> Pairs:
    """A block's rows, with every checksum verified; closes the file of the source."""
    with file:
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
