"""A block's result on its way between ranks, and in a partial keys file."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..pairs import Tally
from ..pairs.bits import U8
from ..protocol.transcript import Message
from ..protocol.types import Abort, Announced, Block, BlockResult, Frame, QberEstimate

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A block on its way to the file: its result, or the sentence why its pairs could not be read.

    ``parts`` and ``whole`` turn it into bytes and back, between ranks and in the partial file alike: the length of a
    JSON text, the text, and the packed keys.  A file may come from anywhere, so these are no pickles.
    """

    result: BlockResult | None
    error: str = ""

    def parts(self) -> list[U8]:
        """The bytes, in pieces."""
        if self.result is None:
            return [_head({"error": self.error})]
        alice = np.ascontiguousarray(self.result.alice)
        bob = np.ascontiguousarray(self.result.bob)
        # An empty stand-in keeps `asdict` from copying keys.
        without_keys = replace(self.result, alice=alice[:0], bob=bob[:0])
        values = asdict(without_keys)
        values["alice"] = alice.shape
        values["bob"] = bob.shape
        return [
            _head(values),
            alice.reshape(-1),
            bob.reshape(-1),
        ]

    @classmethod
    def whole(cls, buffer: U8) -> Finished:
        """What stands in ``buffer``."""
        (length,) = _LENGTH.unpack_from(buffer.data)
        start = _LENGTH.size + length
        text = buffer[_LENGTH.size : start].tobytes()
        values = json.loads(text)
        if "error" in values:
            return cls(None, values["error"])
        for party in ("alice", "bob"):
            shape = values[party]
            stop = start + int(np.prod(shape))
            values[party] = buffer[start:stop].reshape(shape)
            start = stop
        estimate = values["estimate"]
        frames = values.get("per_frame", ())
        disclosed = values.get("disclosed", {})
        abort = values["abort"]
        messages = values["messages"]
        announced = values.get("announced")
        values["block"] = Block(**values["block"])
        values["estimate"] = estimate and QberEstimate(**estimate)
        values["per_frame"] = tuple(Frame(**frame) for frame in frames)
        values["disclosed"] = Tally(**disclosed)
        values["abort"] = abort and Abort(**abort)
        values["messages"] = tuple(Message(**message) for message in messages)
        values["announced"] = announced and Announced(**announced)
        return cls(BlockResult(**values))


def _head(values: dict[str, Any]) -> U8:
    told = json.dumps(values, default=lambda number: number.item())
    text = told.encode()
    head = _LENGTH.pack(len(text)) + text
    return np.frombuffer(head, np.uint8)
