"""What a keys file says about security: every ε, what it is for, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from ..config import RunConfig
from ..config.protocol import Bbm92Config, ProtocolConfig, RotConfig
from ..engines.link import Expected
from ..protocol.estimate import upper_tail
from ..protocol.types import Block, Premises
from . import devices

#: How often ``epsilon`` enters a transfer; docs/protocol.md says why.
_TRANSFER_PARTS = {"losses": 3, "uncertainty": 2, "storage": 2, "amplification": 1, "tags": 1}


def statement(
    config: ProtocolConfig, run: RunConfig, premises: Premises, plan: Sequence[Block]
) -> dict[str, object]:
    """The ``security`` attribute of a keys file, JSON values only, for pairs that ``run`` made."""
    law = devices.expected(run)
    said = (
        _of_key(config, premises, plan)
        if isinstance(config, Bbm92Config)
        else _of_transfer(config, premises)
    )
    said["epsilon_rob"] = None if law is None else honest_aborts(config, law, plan)
    said["assumed"] = devices.assumptions(run, config.mode)
    return said


def _of_key(config: Bbm92Config, premises: Premises, plan: Sequence[Block]) -> dict[str, object]:
    return {
        "epsilon_sec": config.epsilon_sec,
        "epsilon_cor": config.epsilon_cor,
        "epsilon_total": config.epsilon_sec + config.epsilon_cor,
        "epsilon_sec_per_block": config.epsilon_sec / len(plan),
        "epsilon_cor_per_block": config.epsilon_cor / len(plan),
        "preparation_quality": premises.quality,
    }


def _of_transfer(config: RotConfig, premises: Premises) -> dict[str, object]:
    parts = {name: times * config.epsilon for name, times in _TRANSFER_PARTS.items()}
    return {
        "epsilon": config.epsilon,
        "epsilon_parts": parts,
        "epsilon_total": sum(_TRANSFER_PARTS.values()) * config.epsilon,
        "failure_target": config.failure_target,
        "storage_r": config.storage_r,
        "storage_rate": config.storage_rate,
        "wait_ns": config.wait_ns,
        "detection": asdict(premises.detection),
    }


def honest_aborts(config: ProtocolConfig, law: Expected, plan: Sequence[Block]) -> float:
    """ε_rob: how often honest parties on the configured link abort, in any block; at most 1.

    Blocks test as many rows as is expected.  Blocks too small for any key are not in it.
    """
    always = 3 * config.epsilon if isinstance(config, RotConfig) else 0.0
    if isinstance(config, Bbm92Config) and config.test == "random":
        always = 2 * config.epsilon_sec
    chances = {
        count: _over_the_limit(config, law, count) for count in {block.count for block in plan}
    }
    return min(1.0, sum(always + chances[block.count] for block in plan))


def _over_the_limit(config: ProtocolConfig, law: Expected, rows: int) -> float:
    """For one block of so many rows: that an error rate it tests is over the limit, though the link's is ``law``."""
    sifted = law.sifted_z + law.sifted_x
    both = (law.sifted_z * law.qber_z + law.sifted_x * law.qber_x) / sifted if sifted else 0.5
    tests = [(config.test_fraction * sifted, both)]
    if isinstance(config, Bbm92Config) and config.test != "random":
        of_z, of_x = (law.sifted_z, law.qber_z), (law.sifted_x, law.qber_x)
        (key, key_rate), told = (of_z, of_x) if config.test == "X" else (of_x, of_z)
        tests = [(config.test_fraction * key, key_rate), told]
    return sum(_tail(round(share * rows), rate, config.qber_limit) for share, rate in tests)


def _tail(tested: int, rate: float, limit: float) -> float:
    too_many = math.floor(limit * tested) + 1
    return upper_tail(too_many, tested, rate) if too_many <= tested else 0.0
