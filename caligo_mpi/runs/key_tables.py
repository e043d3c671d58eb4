"""Results of blocks as the tables of a keys file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocol.estimate import efficiency
from ..protocol.types import BlockResult, QberEstimate
from ..store.keys import Columns, KeysInfo, KeysTables, as_arrays, stacked

#: Columns of ``/blocks`` that are fields of a result, and of the tally of all disclosed bits.
_COUNTS = (
    "sifted",
    "reconciled_bits",
    "frames",
    "failed_frames",
    "leak_bits",
    "tag_bits",
    "key_bits",
)
_DISCLOSED = {
    "sifted_z": "tested_z",
    "errors_z": "errors_z",
    "sifted_x": "tested_x",
    "errors_x": "errors_x",
}
_UNTESTED = QberEstimate(0, 0, 0.0, 1.0, 0.0)

Arrays = dict[str, NDArray[Any]]


class KeyTables:
    """The tables of a keys file while blocks come in, in order; they keep no key."""

    def __init__(self) -> None:
        self.key_bits = self.pairs = self.blocks_done = 0
        self.choice: int | None = None
        self._blocks: list[Arrays] = []
        self._hidden: list[Arrays] = []
        self._transcript: list[Arrays] = []
        self._frames: list[Arrays] = []

    def add(self, result: BlockResult) -> None:
        """Take the next block."""
        self._blocks.append(as_arrays(_block_row(result, key_start=self.key_bits)))
        self._hidden.append(as_arrays(_hidden_row(result)))
        self._transcript.append(as_arrays(_messages(result)))
        self._frames.append(_frames(result))
        self.key_bits += result.key_bits
        self.pairs += result.block.count
        self.blocks_done += 1
        self.choice = result.choice

    def finish(self, info: KeysInfo) -> KeysTables:
        """The tables of all blocks."""
        return KeysTables(
            info=info,
            key_bits=self.key_bits,
            choice=self.choice,
            blocks=stacked(self._blocks),
            hidden=stacked(self._hidden),
            transcript=stacked(self._transcript),
            frames=stacked(self._frames),
        )


def _block_row(result: BlockResult, *, key_start: int) -> Columns:
    block = result.block
    abort = result.abort
    estimate = result.estimate or _UNTESTED
    numbers: dict[str, int] = {
        "index": block.index,
        "start": block.start,
        "count": block.count,
    }
    numbers |= {name: getattr(result, name) for name in _COUNTS}
    numbers |= {
        "key_start": key_start,
        "tested": estimate.tested,
        "errors": estimate.errors,
    }
    for field, name in _DISCLOSED.items():
        numbers[name] = getattr(result.disclosed, field)
    rates = {
        "qber": estimate.qber,
        "qber_low": estimate.low,
        "qber_high": estimate.high,
    }
    texts = {
        "abort_step": abort.step if abort else "",
        "abort_reason": abort.reason if abort else "",
        "abort_numbers": _json(abort.numbers) if abort else "",
    }
    return {
        **{name: (int, [value]) for name, value in numbers.items()},
        **{name: (float, [value]) for name, value in rates.items()},
        **{name: (str, [value]) for name, value in texts.items()},
    }


def _hidden_row(result: BlockResult) -> Columns:
    return {
        "index": (int, [result.block.index]),
        "corrected": (int, [result.corrected]),
        "decoded": (int, [int(result.decoded)]),
    }


def _messages(result: BlockResult) -> Columns:
    messages = result.messages
    return {
        "block": (int, [result.block.index] * len(messages)),
        "sender": (str, [message.sender for message in messages]),
        "what": (str, [message.what for message in messages]),
        "count": (int, [message.count for message in messages]),
        "bits": (int, [message.bits for message in messages]),
        "leak_bits": (int, [message.leak_bits for message in messages]),
        "time_ns": (float, [message.time_ns for message in messages]),
    }


def _frames(result: BlockResult) -> Arrays:
    frames = result.per_frame
    size = result.reconciled_bits // max(1, len(frames))
    columns = as_arrays(
        {
            "block": (int, [result.block.index] * len(frames)),
            "bits": (int, [size] * len(frames)),
            "leak_bits": (int, [frame.leak_bits for frame in frames]),
            "corrected": (int, [frame.corrected for frame in frames]),
            "agreed": (int, [int(frame.agreed) for frame in frames]),
        }
    )
    found = efficiency(
        columns["leak_bits"].astype(float),
        columns["bits"].astype(float),
        columns["corrected"].astype(float),
    )
    of_agreed = np.where(columns["agreed"] == 1, found, np.nan)
    columns["efficiency"] = of_agreed.astype("<f8")
    return columns


def _json(numbers: Mapping[str, float]) -> str:
    return json.dumps(dict(numbers), default=lambda number: number.item())
