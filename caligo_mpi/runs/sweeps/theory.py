"""Formulas beside what a point's protocol gave: asymptotic and finite keys of its closed-form rates."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...config import RunConfig
from ...config.protocol import Bbm92Config, ProtocolConfig, RotConfig, parse_protocol
from ...pairs import Pairs
from ...protocol.key_length import binary_entropy, finite_key_length
from ...protocol.rot import agree_terms
from ...protocol.run import plan_blocks
from ...protocol.types import Block
from .. import devices

#: Emissions that stand for any number of them.
_MANY = 10**14


@dataclass(frozen=True, slots=True)
class Formula:
    """Secret bits by formula: per sifted pair in the limit of many, and in all for the point's size."""

    asymptotic: float
    finite_bits: int


@dataclass(frozen=True, slots=True)
class _Rates:
    """Shares of sifted pairs among the registered ones, and error rates, by basis."""

    sifted_z: float
    sifted_x: float
    qber_z: float
    qber_x: float

    @property
    def sifted(self) -> float:
        return self.sifted_z + self.sifted_x

    @property
    def qber(self) -> float:
        """Of both bases together."""
        wrong = self.sifted_z * self.qber_z + self.sifted_x * self.qber_x
        return wrong / self.sifted if self.sifted else 0.5


def formula(row: dict[str, Any], efficiency: float) -> Formula:
    """What the formulas of docs/protocol.md give for a finished row with a protocol.

    Rates are the closed forms of the configuration, or the measured ones where it has none;
    ``efficiency`` f is that of reconciliation.
    """
    protocol = parse_protocol(json.loads(row["protocol"]))
    config = RunConfig.from_json(row["config"])
    rates = _rates(row)
    if isinstance(protocol, Bbm92Config):
        quality = devices.premises(config, "bbm92").quality
        return _of_key(row, protocol, rates, efficiency, quality)
    return _of_transfer(row, protocol, rates, efficiency, config)


def _rates(row: dict[str, Any]) -> _Rates:
    if math.isnan(row["expected_qber_z"]):
        rows = max(1, row["rows"])
        sifted_z, sifted_x = row["sifted_z"], row["sifted_x"]
        return _Rates(
            sifted_z / rows,
            sifted_x / rows,
            row["errors_z"] / max(1, sifted_z),
            row["errors_x"] / max(1, sifted_x),
        )
    return _Rates(
        row["expected_sifted_z"],
        row["expected_sifted_x"],
        row["expected_qber_z"],
        row["expected_qber_x"],
    )


def _of_key(
    row: dict[str, Any], protocol: Bbm92Config, rates: _Rates, efficiency: float, quality: float
) -> Formula:
    """Key distribution: what is left of the key basis, bounded by what the test shows."""
    share, bit, phase = rates.sifted, rates.qber, rates.qber
    if protocol.test == "X":
        share, bit, phase = rates.sifted_z, rates.qber_z, rates.qber_x
    elif protocol.test == "Z":
        share, bit, phase = rates.sifted_x, rates.qber_x, rates.qber_z
    told = efficiency * binary_entropy(bit)
    fraction = max(0.0, quality - binary_entropy(phase) - told)
    asymptotic = fraction * share / rates.sifted if rates.sifted else 0.0
    blocks = len(plan_blocks(row["rows"], protocol))
    of_block = row["rows"] / blocks
    disclosed = protocol.test_fraction * share * of_block
    tested = disclosed if protocol.test == "random" else (rates.sifted - share) * of_block
    key_bits = int(share * of_block - disclosed)
    length = finite_key_length(
        key_bits=key_bits,
        test_bits=int(tested),
        qber=phase,
        leak_bits=told * key_bits,
        epsilon_sec=protocol.epsilon_sec / blocks,
        epsilon_cor=protocol.epsilon_cor / blocks,
        quality=quality,
    )
    return Formula(asymptotic, blocks * length)


def _of_transfer(
    row: dict[str, Any],
    protocol: RotConfig,
    rates: _Rates,
    efficiency: float,
    config: RunConfig,
) -> Formula:
    """Oblivious transfer: each string, of two sets of half the rows that are left."""
    finite = _string(row["rows"], row["alice_clicks"], protocol, rates, efficiency, config)
    registered = row["rows"] / max(1, row["alice_clicks"])
    many = int(_MANY * registered)
    limit = _string(many, _MANY, protocol, rates, efficiency, config) if many else 0
    return Formula(limit / (many * rates.sifted) if many else 0.0, finite)


def _string(
    valid: int,
    rounds: int,
    protocol: RotConfig,
    rates: _Rates,
    efficiency: float,
    config: RunConfig,
) -> int:
    if valid < 4:
        return 0
    counted = Pairs(np.zeros((4, 0), np.uint8), valid, alice_clicks=rounds)
    premises = devices.premises(config, "rot")
    terms = agree_terms(counted, protocol, block=Block(0, 0, valid), premises=premises)
    size = (terms.valid - terms.test) // 2
    leak = int(efficiency * size * binary_entropy(rates.qber))
    return terms.length(set_size=size, leak_bits=leak).bits


def measured_efficiency(row: dict[str, Any]) -> float | None:
    """Efficiency f of all frames of a row: bits told by the entropy of the errors; None where none was corrected."""
    bits, errors = row["frame_bits"], row["frame_errors"]
    if not bits or not 0 < errors < bits:
        return None
    entropy = bits * binary_entropy(errors / bits)
    return float(row["frame_leak"] / entropy)


def has_protocol(row: dict[str, Any]) -> ProtocolConfig | None:
    """The protocol of a row, if it has one."""
    return parse_protocol(json.loads(row["protocol"])) if row["protocol"] else None
