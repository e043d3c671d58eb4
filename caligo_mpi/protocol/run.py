"""A whole run: cut into blocks, each block by itself on any rank, keys end to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from ..config.modes import has_strings
from ..config.protocol import ProtocolConfig, parse_protocol
from ..errors import ConfigError
from ..pairs import PairArrays, Pairs, Tick, bits
from ..pairs.bits import U8
from ..pairs.checks import breach_of_packed
from .draw import FIRST_POOLED_TESTS, LONG_CODES, POOLED_TESTS, STREAM_VERSION
from .pooled import together
from .sift import rows
from .types import IDEAL, Block, BlockResult, KeyResult, Premises

_LONG_BLOCK = 1_000_000  # pairs


def run_protocol(
    pairs: Pairs | PairArrays,
    config: ProtocolConfig | Mapping[str, Any],
    *,
    premises: Premises = IDEAL,
) -> KeyResult:
    """Distill ``pairs``, packed or as plain arrays: `run_block` over `plan_blocks`, in any order, then `combine`.

    Where `wants_tests`, `announce_test` of all blocks comes first.
    Bases are 0 = Z and 1 = X, outcomes 0 and 1: anything else is refused with a `ConfigError` that
    names the column, the row and the value.  ``config`` may be a mapping as in a YAML file.
    ``premises`` are what is taken for granted about the devices.

    >>> from caligo_mpi import generate_pairs, parse_config
    >>> run = {"pairs": 100_000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 0.99}}}
    >>> keys = run_protocol(generate_pairs(parse_config(run)), {"mode": "bbm92", "seed": 1})
    >>> keys.key_bits > 10_000, bool((keys.alice == keys.bob).all())
    (True, True)
    """
    if isinstance(pairs, PairArrays):
        pairs = pairs.packed()
    elif sentence := breach_of_packed(pairs):
        raise ConfigError(f"these are no pairs: {sentence}")
    if isinstance(config, Mapping):
        config = parse_protocol(config)
    plan = plan_blocks(pairs.count, config)
    premises = of_version(premises, config, plan)
    if wants_tests(premises):
        premises = _tested(pairs, config, plan, premises)
    results = []
    for block, part in _parts(pairs, plan):
        result = run_block(
            part,
            config,
            block=block,
            blocks=len(plan),
            premises=premises,
        )
        results.append(result)
    return combine(results, config)


def _tested(
    pairs: Pairs,
    config: ProtocolConfig,
    plan: Sequence[Block],
    premises: Premises,
) -> Premises:
    """The premises with what the tests of all blocks show together."""
    tests = []
    for block, part in _parts(pairs, plan):
        test = announce_test(part, config, block=block, premises=premises)
        tests.append(test)
    return after_tests(premises, tests)


def _parts(pairs: Pairs, plan: Sequence[Block]) -> Iterator[tuple[Block, Pairs]]:
    for block in plan:
        yield block, rows(pairs, block.start, block.count)


def plan_blocks(count: int, config: ProtocolConfig) -> list[Block]:
    """Blocks of about equal size, each starting at a multiple of 8 rows; a transfer is one block.

    >>> from caligo_mpi.config.protocol import Bbm92Config
    >>> plan_blocks(2500, Bbm92Config(mode="bbm92", seed=1, block_size=1000))
    [Block(index=0, start=0, count=1256), Block(index=1, start=1256, count=1244)]
    """
    wanted = config.rows_per_block()
    blocks = 1 if wanted is None else max(1, count // wanted)
    size = 8 * max(1, -(-count // (8 * blocks)))
    plan: list[Block] = []
    for start in range(0, max(1, count), size):
        rest = count - start
        plan.append(Block(len(plan), start, min(size, rest)))
    return plan


def of_version(premises: Premises, config: ProtocolConfig, plan: Sequence[Block]) -> Premises:
    """The premises with the version of the streams that new keys get: that of long codes, if they are used.

    Blocks of a million pairs are filled by one word or more; smaller ones, and all other configurations, give the same
    keys as before there were long codes.  Several such blocks may go by the tests of all.
    """
    long = config.takes_long_codes() and plan[0].count >= _LONG_BLOCK
    current = premises.stream_version == STREAM_VERSION
    if not (long and current):
        return premises
    pools = config.pools_tests() and len(plan) > 1
    return replace(premises, stream_version=POOLED_TESTS if pools else LONG_CODES)


def wants_tests(premises: Premises) -> bool:
    """Whether all blocks' tests have to be known before the first key is made, and are not yet."""
    pools = premises.stream_version in (FIRST_POOLED_TESTS, POOLED_TESTS)
    return pools and premises.announced is None


def announce_test(
    pairs: Pairs,
    config: ProtocolConfig,
    *,
    block: Block,
    premises: Premises = IDEAL,
) -> BlockResult:
    """Only the test of a block, in its ``estimate``; what `after_tests` puts together, in the order of the blocks."""
    mode = import_module(f".{config.mode}", __package__)
    result: BlockResult = mode.announce_test(pairs, config, block=block, premises=premises)
    return result


def after_tests(premises: Premises, tests: Iterable[BlockResult]) -> Premises:
    """The premises of all blocks, with what their tests showed together."""
    found = [test.estimate for test in tests if test.estimate]
    return replace(premises, announced=together(found))


def run_block(
    pairs: Pairs,
    config: ProtocolConfig,
    *,
    block: Block,
    blocks: int,
    premises: Premises = IDEAL,
    tick: Tick = lambda: None,
) -> BlockResult:
    """One block from its own ``pairs`` alone; ``blocks`` is how many the plan has.

    The mode's own module makes it.  ``tick`` is called every few milliseconds while Cascade reconciles, else between
    steps.
    """
    if pairs.count != block.count:
        raise ValueError(f"{pairs.count} pairs were given for a block of {block.count}")
    mode = import_module(f".{config.mode}", __package__)
    result: BlockResult = mode.make_block(
        pairs,
        config,
        block=block,
        blocks=blocks,
        premises=premises,
        tick=tick,
    )
    return result


def combine(results: Iterable[BlockResult], config: ProtocolConfig) -> KeyResult:
    """All blocks' keys end to end, in the order of the blocks."""
    ordered = tuple(sorted(results, key=lambda result: result.block.index))
    if has_strings(config.mode):
        (only,) = ordered
        alice = only.alice
        bob = only.bob
        choice = only.choice
    else:
        alice = _joined([(result.alice, result.key_bits) for result in ordered])
        bob = _joined([(result.bob, result.key_bits) for result in ordered])
        choice = None
    return KeyResult(
        mode=config.mode,
        pairs=sum(result.block.count for result in ordered),
        blocks=ordered,
        key_bits=sum(result.key_bits for result in ordered),
        alice=alice,
        bob=bob,
        choice=choice,
    )


def _joined(parts: list[tuple[U8, int]]) -> U8:
    unpacked = [bits.unpack(packed, count) for packed, count in parts]
    return bits.pack(np.concatenate(unpacked))
