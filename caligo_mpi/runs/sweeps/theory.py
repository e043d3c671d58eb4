"""Formulas beside what a point's protocol gave: asymptotic and finite keys of its closed-form rates."""

from __future__ import annotations

import json
import math
from typing import Any

from ...config import RunConfig
from ...config.protocol import ProtocolConfig, parse_protocol
from ...protocol.key_length import binary_entropy
from ..modes import Formula, Rates, mode_of


def formula(row: dict[str, Any], efficiency: float) -> Formula:
    """What the formulas of docs/protocol.md give for a finished row with a protocol.

    Rates are the closed forms of the configuration, or the measured ones where it has none;
    ``efficiency`` f is that of reconciliation.
    """
    protocol = parse_protocol(json.loads(row["protocol"]))
    config = RunConfig.from_json(row["config"])
    rates = _rates(row)
    mode = mode_of(protocol.mode)
    return mode.formula(
        protocol,
        config,
        row,
        rates,
        efficiency,
    )


def _rates(row: dict[str, Any]) -> Rates:
    if math.isnan(row["expected_qber_z"]):
        rows = max(1, row["rows"])
        sifted_z = row["sifted_z"]
        sifted_x = row["sifted_x"]
        return Rates(
            sifted_z / rows,
            sifted_x / rows,
            row["errors_z"] / max(1, sifted_z),
            row["errors_x"] / max(1, sifted_x),
        )
    return Rates(
        row["expected_sifted_z"],
        row["expected_sifted_x"],
        row["expected_qber_z"],
        row["expected_qber_x"],
    )


def measured_efficiency(row: dict[str, Any]) -> float | None:
    """Efficiency f of all frames of a row: bits told by the entropy of the errors; None where none was corrected."""
    bits = row["frame_bits"]
    errors = row["frame_errors"]
    if not bits or not 0 < errors < bits:
        return None
    entropy = bits * binary_entropy(errors / bits)
    return float(row["frame_leak"] / entropy)


def has_protocol(row: dict[str, Any]) -> ProtocolConfig | None:
    """The protocol of a row, if it has one."""
    if not row["protocol"]:
        return None
    return parse_protocol(json.loads(row["protocol"]))
