"""Random oblivious transfer: which devices it may trust, its ε's, the memory it assumes and its formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ... import store
from ...config import RunConfig
from ...config.protocol import RotConfig
from ...pairs import Pairs
from ...protocol.key_length import binary_entropy
from ...protocol.rot import agree_terms
from ...protocol.types import IDEAL, Block, Premises
from .. import devices
from .mode import Formula, Mode, Rates, Tested

#: What `configs/rot.yaml` assumes of the adversary's memory.
_STORAGE: dict[str, Any] = {"storage_r": 0.75, "storage_rate": 0.002}
#: How often ``epsilon`` enters a transfer; docs/protocol.md says why.
_PARTS = {
    "losses": 3,
    "uncertainty": 2,
    "storage": 2,
    "amplification": 1,
    "tags": 1,
}
#: Emissions that stand for any number of them.
_MANY = 10**14


class ObliviousTransfer(Mode[RotConfig]):
    """Mode ``rot``."""

    block_bytes = 300

    def require_devices(self, run: RunConfig, *, source: str) -> None:
        """Raise `ConfigError` where an outcome, or a loss, could tell something about its basis."""
        devices.require_transfer(run, source=source)

    def premises(self, run: RunConfig) -> Premises:
        """What is known beforehand about losses."""
        if not devices.is_described(run.engine):
            return IDEAL
        return Premises(devices.detection(run))

    def assumptions(self, run: RunConfig) -> list[str]:
        """Sentences on detection, read-out, the adversary's memory and the commitment."""
        if not devices.is_described(run.engine):
            return devices.unknown_assumptions(run)
        return [
            devices.DETECTS,
            "read-out is symmetric",
            "the adversary's memory is no better than storage_r and storage_rate say, after wait_ns",
            "SHA-256 hides and binds",
            *devices.COMMON_ASSUMPTIONS,
        ]

    def security(self, config: RotConfig, premises: Premises, blocks: int) -> dict[str, object]:
        """ε by what it is spent on, and what is assumed of the adversary's memory."""
        parts = {name: times * config.epsilon for name, times in _PARTS.items()}
        return {
            "epsilon": config.epsilon,
            "epsilon_parts": parts,
            "epsilon_total": sum(_PARTS.values()) * config.epsilon,
            "failure_target": config.failure_target,
            "storage_r": config.storage_r,
            "storage_rate": config.storage_rate,
            "wait_ns": config.wait_ns,
            "detection": asdict(premises.detection),
        }

    def tests(self, config: RotConfig, rates: Rates) -> list[Tested]:
        """The rows that Bob opens, of both bases."""
        return [Tested(config.test_fraction * rates.sifted, rates.qber)]

    def abort_chance(self, config: RotConfig) -> float:
        """Each of the three checks of losses fails with ``epsilon``."""
        return 3 * config.epsilon

    def defaults(self, file: store.PairsFile) -> tuple[dict[str, Any], str]:
        """The memory of ``configs/rot.yaml``."""
        return dict(_STORAGE), ""

    def chosen(self, config: RotConfig, given: Mapping[str, Any], why: str) -> str:
        """The memory that is assumed."""
        memory = f"storage_r={config.storage_r:g}, storage_rate={config.storage_rate:g}"
        return f"rot, seed={config.seed}; the adversary's memory is assumed as {memory}"

    def formula(
        self,
        config: RotConfig,
        run: RunConfig,
        counts: Mapping[str, Any],
        rates: Rates,
        efficiency: float,
    ) -> Formula:
        """The length of each string, of two sets of half the rows that are left."""
        premises = self.premises(run)
        rows = counts["rows"]
        clicks = counts["alice_clicks"]
        finite = _string(
            rows,
            clicks,
            config,
            premises,
            rates.qber,
            efficiency,
        )
        many = int(_MANY * (rows / max(1, clicks)))
        if not many:
            return Formula(0.0, finite)
        limit = _string(
            many,
            _MANY,
            config,
            premises,
            rates.qber,
            efficiency,
        )
        return Formula(limit / (many * rates.sifted), finite)


def _string(
    valid: int,
    rounds: int,
    config: RotConfig,
    premises: Premises,
    qber: float,
    efficiency: float,
) -> int:
    """Bits of each string of ``valid`` out of ``rounds`` rounds."""
    if valid < 4:
        return 0
    counted = Pairs(
        np.zeros((4, 0), np.uint8),
        valid,
        alice_clicks=rounds,
    )
    terms = agree_terms(
        counted,
        config,
        block=Block(0, 0, valid),
        premises=premises,
    )
    size = (terms.valid - terms.test) // 2
    leak = int(efficiency * size * binary_entropy(qber))
    return terms.length(set_size=size, leak_bits=leak).bits


MODE = ObliviousTransfer()
