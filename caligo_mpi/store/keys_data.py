"""What a keys file holds, and what it says about where its keys come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..config.modes import has_strings
from ..pairs.bits import U8, nbytes

FORMAT = "caligo-keys"
FORMAT_VERSION = (1, 1)

#: Fields of ``/blocks`` that are under the digest: integers, the same on every machine.
_COUNTED = (
    "index",
    "start",
    "count",
    "sifted",
    "tested",
    "errors",
    "reconciled_bits",
    "frames",
    "failed_frames",
    "leak_bits",
    "tag_bits",
    "key_start",
    "key_bits",
)


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
        digest = hashlib.sha256(text.encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeysTables:
    """The contents of a keys file but for the keys themselves, of ``key_bits`` bits.

    ``blocks`` holds what both parties know, ``hidden`` what only the simulator does, ``transcript``
    every message; one row per block, block, message.  ``choice`` is Bob's in ``rot``.
    """

    info: KeysInfo
    key_bits: int
    choice: int | None
    blocks: NDArray[Any]
    hidden: NDArray[Any]
    transcript: NDArray[Any]
    frames: NDArray[Any] | None = None  # one row per frame, for the simulator; None in older files

    @property
    def per_emission(self) -> float | None:
        """Secret bits (``rot``: of each string) per emission of the run; None where the file does not know."""
        emissions = self.info.emissions
        if not emissions:
            return None
        return self.key_bits / emissions

    @property
    def per_second(self) -> float | None:
        """The same per second of simulated time; None where no time was simulated."""
        duration_ns = self.info.duration_ns
        if not duration_ns:
            return None
        return 1e9 * self.key_bits / duration_ns

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape in bytes of Alice's packed keys, and of Bob's."""
        size = nbytes(self.key_bits)
        alice: tuple[int, ...] = (size,)
        if has_strings(self.info.mode) and size > 0:
            alice = (2, size)
        return {"alice": alice, "bob": (size,)}

    def begun_digest(self) -> Digest:
        """The keys digest so far: Alice's bytes and then Bob's are still to come."""
        found = hashlib.sha256(self.info.identity.encode())
        for name in _COUNTED:
            counts = self.blocks[name].astype("<u8")
            found.update(counts.tobytes())
        text = repr((self.key_bits, self.choice))
        found.update(text.encode())
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeysReport(KeysTables):
    """What is said of a finished keys file without holding its keys.

    ``digest`` is SHA-256 over the identity, the counts of every block and both parties' keys, equal
    on every machine; ``agree`` whether Bob has what he should.
    """

    digest: str
    agree: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keys(KeysTables):
    """The contents of a keys file.

    ``alice`` and ``bob`` are packed keys of ``key_bits`` bits; in ``rot`` Alice's two strings are
    rows of (2, nbytes) and Bob's is that of his ``choice``.
    """

    alice: U8
    bob: U8

    @property
    def digest(self) -> str:
        """SHA-256 over the identity, the counts of every block and both parties' keys."""
        found = self.begun_digest()
        for party in (self.alice, self.bob):
            found.update(np.ascontiguousarray(party).data)
        return found.hexdigest()

    @property
    def agree(self) -> bool:
        """Whether Bob has what he should: Alice's key, or the string of his choice unless decoding failed."""
        if self.choice is None or not self.key_bits:
            return self.alice.tobytes() == self.bob.tobytes()
        chosen = self.alice[self.choice]
        same = chosen.tobytes() == self.bob.tobytes()
        return same or not self.hidden["decoded"].all()


class Digest(Protocol):
    """A hash of `hashlib`."""

    def update(self, data: Any, /) -> None:
        """Take more bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in hexadecimal digits."""
        ...


#: Columns of a table by name: the kind of its values (int, float or str), and the values.
Columns = Mapping[str, tuple[type, Sequence[Any]]]


def table(columns: Columns) -> NDArray[Any]:
    """Columns as one structured array; text becomes bytes of the width it needs."""
    return stacked([as_arrays(columns)])


def as_arrays(columns: Columns) -> dict[str, NDArray[Any]]:
    """Each column as an array."""
    return {name: _column(kind, values) for name, (kind, values) in columns.items()}


def stacked(parts: Sequence[Mapping[str, NDArray[Any]]]) -> NDArray[Any]:
    """Parts of a table, one below the other, as one structured array."""
    arrays = {}
    for name in parts[0]:
        arrays[name] = np.concatenate([part[name] for part in parts])
    kind = np.dtype([(name, array.dtype) for name, array in arrays.items()])
    rows = len(next(iter(arrays.values())))
    out = np.zeros(rows, kind)
    for name, array in arrays.items():
        out[name] = array
    return out


def _column(kind: type, values: Sequence[Any]) -> NDArray[Any]:
    if kind is int:
        return np.array(values, "<u8")
    if kind is not str:
        return np.array(values, "<f8")
    encoded = [value.encode() for value in values]
    longest = max(map(len, encoded), default=1)
    width = max(1, longest)
    return np.array(encoded, f"S{width}")
