"""What a keys file says about security: every ε, what it is for, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..config import RunConfig
from ..config.protocol import ProtocolConfig
from ..engines.link import Expected
from ..protocol.estimate import upper_tail
from ..protocol.types import Block, Premises
from . import devices
from .modes import Rates, mode_of


def statement(
    config: ProtocolConfig,
    run: RunConfig,
    premises: Premises,
    plan: Sequence[Block],
) -> dict[str, object]:
    """The ``security`` attribute of a keys file, JSON values only, for pairs that ``run`` made."""
    mode = mode_of(config.mode)
    law = devices.expected(run)
    said = mode.security(config, premises, len(plan))
    said["epsilon_rob"] = None
    if law is not None:
        said["epsilon_rob"] = honest_aborts(config, law, plan)
    said["assumed"] = mode.assumptions(run)
    return said


def honest_aborts(config: ProtocolConfig, law: Expected, plan: Sequence[Block]) -> float:
    """ε_rob: how often honest parties on the configured link abort, in any block; at most 1.

    Blocks test as many rows as is expected.  Blocks too small for any key are not in it.
    """
    always = mode_of(config.mode).abort_chance(config)
    sizes = {block.count for block in plan}
    chances = {rows: _over_the_limit(config, law, rows) for rows in sizes}
    together = sum(always + chances[block.count] for block in plan)
    return min(1.0, together)


def _over_the_limit(config: ProtocolConfig, law: Expected, rows: int) -> float:
    """For one block of so many rows: that an error rate it tests is over the limit, though the link's is ``law``."""
    rates = Rates(
        law.sifted_z,
        law.sifted_x,
        law.qber_z,
        law.qber_x,
    )
    chance = 0.0
    for share, rate in mode_of(config.mode).tests(config, rates):
        tested = round(share * rows)
        chance += _tail(tested, rate, config.qber_limit)
    return chance


def _tail(tested: int, rate: float, limit: float) -> float:
    too_many = math.floor(limit * tested) + 1
    if too_many > tested:
        return 0.0
    return upper_tail(too_many, tested, rate)
