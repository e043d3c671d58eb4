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
from ..protocol.types import Abort, Block, BlockResult, Frame, QberEstimate

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
        keys = [np.ascontiguousarray(key) for key in (self.result.alice, self.result.bob)]
        # An empty stand-in keeps `asdict` from copying keys.
        values = asdict(replace(self.result, alice=keys[0][:0], bob=keys[1][:0]))
        values |= {"alice": keys[0].shape, "bob": keys[1].shape}
        return [_head(values), *(key.reshape(-1) for key in keys)]

    @classmethod
    def whole(cls, buffer: U8) -> Finished:
        """What stands in ``buffer``."""
        (length,) = _LENGTH.unpack_from(buffer.data)
        start = _LENGTH.size + length
        values = json.loads(buffer[_LENGTH.size : start].tobytes())
        if "error" in values:
            return cls(None, values["error"])
        for party in ("alice", "bob"):
            shape = values[party]
            size = int(np.prod(shape))
            values[party] = buffer[start : start + size].reshape(shape)
            start += size
        values["block"] = Block(**values["block"])
        values["estimate"] = values["estimate"] and QberEstimate(**values["estimate"])
        values["per_frame"] = tuple(Frame(**frame) for frame in values.get("per_frame", ()))
        values["disclosed"] = Tally(**values.get("disclosed", {}))
        values["abort"] = values["abort"] and Abort(**values["abort"])
        values["messages"] = tuple(Message(**message) for message in values["messages"])
        return cls(BlockResult(**values))


def _head(values: dict[str, Any]) -> U8:
    text = json.dumps(values, default=lambda number: number.item()).encode()
    return np.frombuffer(_LENGTH.pack(len(text)) + text, np.uint8)
