"""What a keys file holds, and what it says about where its keys come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8

FORMAT = "caligo-keys"
FORMAT_VERSION = (1, 1)

#: Fields of ``/blocks`` that are under the digest: integers, the same on every machine.
_COUNTED = (
    "index", "start", "count", "sifted", "tested", "errors", "reconciled_bits", "frames", "failed_frames", "leak_bits",
    "tag_bits", "key_start", "key_bits",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysInfo:
    """What a keys file says about where its keys come from.

    ``source`` is the pairs file's name, ``source_digest`` its data digest, ``source_config`` the configuration of
    its run, with so many ``emissions`` and so much simulated time (0: none); ``config`` is the resolved protocol
    configuration, both JSON.  ``stream_version`` changes whenever the
    same pairs and configuration would give other keys than before.
    """

    mode: str
    seed: int
    stream_version: int
    config: str
    config_digest: str
    source: str
    source_digest: str
    source_config: str
    rows: int
    blocks: int
    security: Mapping[str, object]
    software: Mapping[str, object] = field(default_factory=dict)
    emissions: int = 0
    duration_ns: float = 0.0

    @property
    def identity(self) -> str:
        """Of all that decides the keys: SHA-256 over pairs, configuration and the protocol's version."""
        text = f"{FORMAT} {self.stream_version} {self.config_digest} {self.source_digest}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keys:
    """The contents of a keys file.

    ``alice`` and ``bob`` are packed keys of ``key_bits`` bits; in ``rot`` Alice's two strings are rows of (2, nbytes)
    and Bob's is that of his ``choice``.  ``blocks`` holds what both parties know, ``hidden`` what only the simulator
    does, ``transcript`` every message; one row per block, block, message.
    """

    info: KeysInfo
    key_bits: int
    alice: U8
    bob: U8
    choice: int | None
    blocks: NDArray[Any]
    hidden: NDArray[Any]
    transcript: NDArray[Any]
    frames: NDArray[Any] | None = None  # one row per frame, for the simulator; None in older files

    @property
    def per_emission(self) -> float | None:
        """Secret bits (``rot``: of each string) per emission of the run; None where the file does not know."""
        return self.key_bits / self.info.emissions if self.info.emissions else None

    @property
    def per_second(self) -> float | None:
        """The same per second of simulated time; None where no time was simulated."""
        return 1e9 * self.key_bits / self.info.duration_ns if self.info.duration_ns else None

    @property
    def digest(self) -> str:
        """SHA-256 over the identity, the counts of every block and both parties' keys: equal on every machine."""
        found = hashlib.sha256(self.info.identity.encode())
        for name in _COUNTED:
            found.update(self.blocks[name].astype("<u8").tobytes())
        found.update(repr((self.key_bits, self.choice)).encode())
        for party in (self.alice, self.bob):
            found.update(np.ascontiguousarray(party).data)
        return found.hexdigest()

    @property
    def agree(self) -> bool:
        """Whether Bob has what he should: Alice's key, or the string of his choice unless decoding failed."""
        if self.choice is None or not self.key_bits:
            return self.alice.tobytes() == self.bob.tobytes()
        return (
            not self.hidden["decoded"].all()
            or self.alice[self.choice].tobytes() == self.bob.tobytes()
        )


def table(columns: Mapping[str, tuple[type, Sequence[Any]]]) -> NDArray[Any]:
    """Columns (of int, float or str) as one structured array; text becomes bytes of the width it needs."""
    arrays = {name: _column(kind, values) for name, (kind, values) in columns.items()}
    rows = len(next(iter(arrays.values())))
    out = np.zeros(rows, np.dtype([(name, array.dtype) for name, array in arrays.items()]))
    for name, array in arrays.items():
        out[name] = array
    return out


def _column(kind: type, values: Sequence[Any]) -> NDArray[Any]:
    if kind is str:
        encoded = [value.encode() for value in values]
        return np.array(encoded, f"S{max([1, *map(len, encoded)])}")
    return np.array(values, "<u8" if kind is int else "<f8")
