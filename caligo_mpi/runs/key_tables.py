"""Results of blocks as the contents of a keys file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocol.estimate import efficiency
from ..protocol.types import BlockResult, KeyResult, QberEstimate
from ..store.keys import Keys, KeysInfo, table

_FRAME_COLUMNS = ("bits", "leak_bits", "corrected", "agreed")
#: Columns of ``/blocks``: fields of the tally of all disclosed bits.
_DISCLOSED = {
    "sifted_z": "tested_z",
    "errors_z": "errors_z",
    "sifted_x": "tested_x",
    "errors_x": "errors_x",
}
_UNTESTED = QberEstimate(0, 0, 0.0, 1.0, 0.0)


def as_keys(result: KeyResult, info: KeysInfo) -> Keys:
    """The result as the contents of a keys file."""
    messages = [
        (block.block.index, message) for block in result.blocks for message in block.messages
    ]
    transcript: dict[str, tuple[type, Sequence[Any]]] = {
        "block": (int, [index for index, _ in messages]),
        "sender": (str, [message.sender for _, message in messages]),
        "what": (str, [message.what for _, message in messages]),
        "count": (int, [message.count for _, message in messages]),
        "bits": (int, [message.bits for _, message in messages]),
        "leak_bits": (int, [message.leak_bits for _, message in messages]),
        "time_ns": (float, [message.time_ns for _, message in messages]),
    }
    hidden: dict[str, tuple[type, Sequence[Any]]] = {
        "index": (int, [block.block.index for block in result.blocks]),
        "corrected": (int, [block.corrected for block in result.blocks]),
        "decoded": (int, [int(block.decoded) for block in result.blocks]),
    }
    return Keys(
        info=info,
        key_bits=result.key_bits,
        alice=result.alice,
        bob=result.bob,
        choice=result.choice,
        blocks=_block_table(result.blocks),
        hidden=table(hidden),
        transcript=table(transcript),
        frames=_frame_table(result.blocks),
    )


def _block_table(results: Sequence[BlockResult]) -> NDArray[Any]:
    columns: dict[str, tuple[type, Sequence[Any]]] = {}
    for name in ("index", "start", "count"):
        columns[name] = int, [getattr(result.block, name) for result in results]
    for name in (
        "sifted",
        "reconciled_bits",
        "frames",
        "failed_frames",
        "leak_bits",
        "tag_bits",
        "key_bits",
    ):
        columns[name] = int, [getattr(result, name) for result in results]
    columns["key_start"] = (
        int,
        [0, *itertools.accumulate(result.key_bits for result in results)][:-1],
    )
    estimates = [result.estimate or _UNTESTED for result in results]
    columns["tested"] = int, [estimate.tested for estimate in estimates]
    columns["errors"] = int, [estimate.errors for estimate in estimates]
    for field, name in _DISCLOSED.items():
        columns[name] = int, [getattr(result.disclosed, field) for result in results]
    columns["qber"] = float, [estimate.qber for estimate in estimates]
    columns["qber_low"] = float, [estimate.low for estimate in estimates]
    columns["qber_high"] = float, [estimate.high for estimate in estimates]
    columns["abort_step"] = str, [result.abort.step if result.abort else "" for result in results]
    columns["abort_reason"] = (
        str,
        [result.abort.reason if result.abort else "" for result in results],
    )
    columns["abort_numbers"] = (
        str,
        [_json(result.abort.numbers) if result.abort else "" for result in results],
    )
    return table(columns)


def _frame_table(results: Sequence[BlockResult]) -> NDArray[Any]:
    rows = [(result, frame) for result in results for frame in result.per_frame]
    columns: dict[str, tuple[type, Sequence[Any]]] = {
        "block": (int, [result.block.index for result, _ in rows]),
        "bits": (int, [result.reconciled_bits // len(result.per_frame) for result, _ in rows]),
        "leak_bits": (int, [frame.leak_bits for _, frame in rows]),
        "corrected": (int, [frame.corrected for _, frame in rows]),
        "agreed": (int, [int(frame.agreed) for _, frame in rows]),
    }
    size, leaks, corrected, agreed = (np.array(columns[name][1], float) for name in _FRAME_COLUMNS)
    columns["efficiency"] = (
        float,
        np.where(agreed == 1, efficiency(leaks, size, corrected), np.nan).tolist(),
    )
    return table(columns)


def _json(numbers: Mapping[str, float]) -> str:
    return json.dumps(dict(numbers), default=lambda number: number.item())
