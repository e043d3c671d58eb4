"""Commitment to many (basis, bit) pairs by one Merkle root, and opening of a chosen subset.

Leaf ``H(0x00 ‖ session ‖ index ‖ nonce ‖ basis ‖ bit)``, node ``H(0x01 ‖ left ‖ right)``, H = SHA-256; a
last node without a partner moves up unchanged.  The nonce, 256 private random bits per leaf, is what
hides: a leaf without one has four possible values and is found by trying them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import iter_unpack

import numpy as np
from numpy.typing import NDArray

from ..pairs.bits import U8
from .draw import random_bytes

HASH_BYTES = 32
NONCE_BYTES = 32
SESSION_BYTES = 16
_BATCH = 1 << 15  # rows hashed at a time
_LEAF = np.dtype(
    [
        ("domain", "u1"),
        ("session", f"V{SESSION_BYTES}"),
        ("index", "<u8"),
        ("nonce", "u1", NONCE_BYTES),
        ("basis", "u1"),
        ("bit", "u1"),
    ]
)

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is committed to: emission number (public), basis and bit of each row, one array element per row."""

    index: NDArray[np.uint64]
    basis: U8
    bit: U8

    def at(self, positions: Positions) -> Rows:
        """These rows only."""
        return Rows(self.index[positions], self.basis[positions], self.bit[positions])


@dataclass(frozen=True, slots=True, eq=False)
class Commitment:
    """The committing party's private state: nonces (rows, 32) and the tree, leaves first and root last."""

    session: bytes
    nonces: U8
    levels: tuple[U8, ...]

    @property
    def root(self) -> bytes:
        """What is sent."""
        return self.levels[-1].tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """Chosen rows with their nonces, and the sibling hashes, level by level, that lead up to the root."""

    positions: Positions
    rows: Rows
    nonces: U8
    siblings: tuple[U8, ...]

    @property
    def bits(self) -> int:
        """Length as a message: basis, bit and nonce per row, and the siblings."""
        return len(self.positions) * (2 + 8 * NONCE_BYTES) + 8 * sum(
            level.size for level in self.siblings
        )


def commit(rows: Rows, *, session: bytes, source: np.random.PCG64) -> Commitment:
    """Commit to ``rows``; ``source`` is the committing party's private random stream."""
    if not len(rows.index):
        raise ValueError("there are no rows to commit to")
    nonces = random_bytes(source, len(rows.index) * NONCE_BYTES).reshape(-1, NONCE_BYTES)
    levels = [leaves(rows, nonces, session=session)]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return Commitment(session, nonces, tuple(levels))


def open_rows(commitment: Commitment, rows: Rows, positions: Positions) -> Opening:
    """Open the rows at ``positions`` (sorted, distinct)."""
    siblings = []
    known = positions
    for level in commitment.levels[:-1]:
        children, have = _children(known, len(level))
        siblings.append(level[children[~have]])
        known = np.unique(known >> 1)
    return Opening(positions, rows.at(positions), commitment.nonces[positions], tuple(siblings))


def opens(root: bytes, opening: Opening, *, count: int, session: bytes) -> bool:
    """Whether ``opening`` shows rows of the commitment with this ``root`` to ``count`` rows."""
    known = opening.positions
    if not _well_formed(opening, count):
        return False
    hashes = leaves(opening.rows, opening.nonces, session=session)
    for siblings in opening.siblings:
        children, have = _children(known, count)
        if siblings.shape != (np.count_nonzero(~have), HASH_BYTES):
            return False
        level = np.empty((len(children), HASH_BYTES), np.uint8)
        level[have], level[~have] = hashes, siblings
        hashes, known, count = _parents(level), np.unique(known >> 1), (count + 1) >> 1
    return hashes.tobytes() == root


def leaves(rows: Rows, nonces: U8, *, session: bytes) -> U8:
    """Leaf hashes (rows, 32)."""
    if len(session) != SESSION_BYTES:
        raise ValueError(f"session of {len(session)} bytes; it has {SESSION_BYTES}")
    out = []
    for start in range(0, len(rows.index), _BATCH):
        part = slice(start, start + _BATCH)
        record = np.zeros(len(rows.index[part]), _LEAF)  # domain 0x00
        record["session"] = np.void(session)
        record["index"], record["nonce"] = rows.index[part], nonces[part]
        record["basis"], record["bit"] = rows.basis[part], rows.bit[part]
        out.append(_hash(record.tobytes(), _LEAF.itemsize))
    return np.concatenate(out)


def _parents(level: U8) -> U8:
    """The next level up."""
    half = len(level) >> 1
    out = np.empty((half + (len(level) & 1), HASH_BYTES), np.uint8)
    for start in range(0, half, _BATCH):
        stop = min(start + _BATCH, half)
        node = np.ones((stop - start, 1 + 2 * HASH_BYTES), np.uint8)
        node[:, 1:] = level[2 * start : 2 * stop].reshape(-1, 2 * HASH_BYTES)
        out[start:stop] = _hash(node.tobytes(), 1 + 2 * HASH_BYTES)
    if len(level) & 1:
        out[-1] = level[-1]
    return out


def _hash(data: bytes, width: int) -> U8:
    """Hash each ``width`` bytes."""
    sha256 = hashlib.sha256
    digests = b"".join([sha256(row).digest() for (row,) in iter_unpack(f"{width}s", data)])
    return np.frombuffer(digests, np.uint8).reshape(-1, HASH_BYTES)


def _children(known: Positions, count: int) -> tuple[Positions, NDArray[np.bool_]]:
    """Both children of every parent of a ``known`` node in a level of ``count``, and which of them are known."""
    parents = np.unique(known >> 1)
    children = np.stack([2 * parents, 2 * parents + 1], axis=1).ravel()
    children = children[children < count]
    return children, np.isin(children, known, assume_unique=True)


def _well_formed(opening: Opening, count: int) -> bool:
    positions, rows = opening.positions, opening.rows
    same_length = len(positions) == len(rows.index) == len(rows.basis) == len(rows.bit)
    shaped = (
        opening.nonces.shape == (len(positions), NONCE_BYTES)
        and len(opening.siblings) == (count - 1).bit_length()
    )
    if not (same_length and shaped and len(positions)):
        return False
    ordered = bool((np.diff(positions) > 0).all()) and positions[0] >= 0 and positions[-1] < count
    return ordered and bool((rows.basis <= 1).all() and (rows.bit <= 1).all())
