"""What a sweep's file holds: whose it is, and a row per point."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "caligo-sweep"
FORMAT_VERSION = (1, 0)

#: Columns of ``/points``, by kind: text, whole numbers, real numbers (NaN where there is none).
TEXTS = (
    "key", "state", "parameters", "config", "protocol", "config_digest", "data_digest", "abort", "abort_numbers",
    "error", "stopped",
)  # fmt: skip
COUNTS = (
    "number", "stream_version", "pairs", "chunks", "rows", "sifted_z", "errors_z", "sifted_x", "errors_x",
    "alice_clicks", "bob_clicks", "distilled", "blocks", "aborted_blocks", "key_sifted", "tested", "tested_errors",
    "reconciled_bits", "frames", "failed_frames", "leak_bits", "tag_bits", "key_bits", "frame_leak", "frame_bits",
    "frame_errors", "agree",
)  # fmt: skip
REALS = (
    "duration_ns", "seconds", "key_seconds", "expected_qber_z", "expected_qber_x", "expected_sifted_z",
    "expected_sifted_x", "expected_coincidence", "expected_alice_click", "expected_bob_click",
)  # fmt: skip
COLUMNS: dict[str, type] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(COUNTS, int),
    **dict.fromkeys(REALS, float),
}
#: What may differ between two computations of the same point: its number in the sweep, and times.
PASSING = ("number", "seconds", "key_seconds")
#: The number of a point that the sweep no longer names.
UNNAMED = 1 << 32

#: A row: JSON values by column.
Row = dict[str, Any]


def blank_row() -> Row:
    """A row with nothing in it."""
    blank: dict[type, Any] = {str: "", int: 0, float: float("nan")}
    return {name: blank[kind] for name, kind in COLUMNS.items()}


def same_results(one: Row, other: Row) -> bool:
    """Whether two rows of a point agree in all but the time they took."""
    without_times = dict.fromkeys(PASSING, 0)
    left = {**one, **without_times}
    right = {**other, **without_times}
    return repr(left) == repr(right)


@dataclass(frozen=True, slots=True)
class SweepInfo:
    """Whose points a file holds.

    ``identity`` is JSON of all that decides the results of equal points; ``axes`` are JSON lists
    of path, name, unit, dimension; ``settings`` are what formulas and intervals are made with.
    """

    identity: str
    axes: Sequence[Sequence[Any]]
    settings: Mapping[str, Any]
    software: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the identity."""
        return hashlib.sha256(self.identity.encode()).hexdigest()

    def goes_with(self, other: SweepInfo) -> bool:
        """Whether equal points have equal bits: sweeps of one base, which may stop at other goals."""
        here, there = (_without_goal(info.identity) for info in (self, other))
        return here == there


def _without_goal(identity: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(identity)
    base = values.get("base")
    if isinstance(base, dict) and base.get("until"):
        values["base"] = {**base, "until": True}
    return values


@dataclass(slots=True)
class Partial:
    """A point on its way: sums over its first ``chunks`` and ``blocks``, and what each chunk was.

    ``keys_version`` is that of the protocol's streams in its blocks, where they say one.
    """

    sums: Row = field(default_factory=dict)
    chunks: int = 0
    blocks: int = 0
    checksums: list[NDArray[np.uint64]] = field(default_factory=list)
    chunk_rows: list[NDArray[np.uint64]] = field(default_factory=list)
    keys_version: int | None = None

    def add(self, sums: Mapping[str, Any]) -> None:
        """Take the sums of the next chunks or blocks; text and expected rates stay as they came first."""
        for name, value in sums.items():
            is_sum = name in _SUMMED
            before = self.sums.get(name)
            if name == "agree":
                self.sums[name] = value if before is None else min(before, value)
            elif before is None:
                self.sums[name] = value
            elif is_sum:
                self.sums[name] = before + value


_TIMES = ("duration_ns", "seconds", "key_seconds")
_SUMMED = frozenset([*COUNTS, *_TIMES]) - {"stream_version", "agree"}


@dataclass(slots=True)
class SweepRows:
    """What is in a sweep's file: finished and failed rows by key, points on their way, and the table last written."""

    info: SweepInfo
    rows: dict[str, Row] = field(default_factory=dict)
    partial: dict[str, Partial] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    # Key and parameters, in the sweep's order.
    points: list[tuple[str, str]] = field(default_factory=list)
