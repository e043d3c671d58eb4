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

    def at(self, positions: Positions | slice) -> Rows:
        """These rows only."""
        index = self.index[positions]
        basis = self.basis[positions]
        bit = self.bit[positions]
        return Rows(index, basis, bit)


@dataclass(frozen=True, slots=True, eq=False)
class Commitment:
    """The committing party's private state: nonces (rows, 32) and the tree, leaves first and root last."""

    session: bytes
    nonces: U8
    levels: tuple[U8, ...]

    @property
    def root(self) -> bytes:
        """What is sent."""
        top = self.levels[-1]
        return top.tobytes()


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
        row_bits = 2 + 8 * NONCE_BYTES
        sibling_bytes = sum(level.size for level in self.siblings)
        return len(self.positions) * row_bits + 8 * sibling_bytes


def commit(rows: Rows, *, session: bytes, source: np.random.PCG64) -> Commitment:
    """Commit to ``rows``; ``source`` is the committing party's private random stream."""
    count = len(rows.index)
    if not count:
        raise ValueError("there are no rows to commit to")
    private = random_bytes(source, count * NONCE_BYTES)
    nonces = private.reshape(-1, NONCE_BYTES)
    level = leaves(rows, nonces, session=session)
    levels = [level]
    while len(level) > 1:
        level = _parents(level)
        levels.append(level)
    return Commitment(session, nonces, tuple(levels))


def open_rows(commitment: Commitment, rows: Rows, positions: Positions) -> Opening:
    """Open the rows at ``positions`` (sorted, distinct)."""
    siblings = []
    known = positions
    for level in commitment.levels[:-1]:
        children, have = _children(known, len(level))
        missing = children[~have]
        siblings.append(level[missing])
        known = np.unique(known >> 1)
    return Opening(
        positions,
        rows.at(positions),
        commitment.nonces[positions],
        tuple(siblings),
    )


def opens(
    root: bytes,
    opening: Opening,
    *,
    count: int,
    session: bytes,
) -> bool:
    """Whether ``opening`` shows rows of the commitment with this ``root`` to ``count`` rows."""
    if not _well_formed(opening, count):
        return False
    known = opening.positions
    hashes = leaves(opening.rows, opening.nonces, session=session)
    for siblings in opening.siblings:
        children, have = _children(known, count)
        missing = ~have
        if siblings.shape != (np.count_nonzero(missing), HASH_BYTES):
            return False
        level = np.empty((len(children), HASH_BYTES), np.uint8)
        level[have] = hashes
        level[missing] = siblings
        hashes = _parents(level)
        known = np.unique(known >> 1)
        count = (count + 1) >> 1
    return hashes.tobytes() == root


def leaves(rows: Rows, nonces: U8, *, session: bytes) -> U8:
    """Leaf hashes (rows, 32)."""
    if len(session) != SESSION_BYTES:
        raise ValueError(f"session of {len(session)} bytes; it has {SESSION_BYTES}")
    out = []
    for start in range(0, len(rows.index), _BATCH):
        part = slice(start, start + _BATCH)
        batch = rows.at(part)
        record = np.zeros(len(batch.index), _LEAF)  # domain 0x00
        record["session"] = np.void(session)
        record["index"] = batch.index
        record["nonce"] = nonces[part]
        record["basis"] = batch.basis
        record["bit"] = batch.bit
        hashes = _hash(record.tobytes(), _LEAF.itemsize)
        out.append(hashes)
    return np.concatenate(out)


def _parents(level: U8) -> U8:
    """The next level up."""
    half, alone = divmod(len(level), 2)
    out = np.empty((half + alone, HASH_BYTES), np.uint8)
    pairs = level[: 2 * half].reshape(half, 2 * HASH_BYTES)
    for start in range(0, half, _BATCH):
        children = pairs[start : start + _BATCH]
        count, size = children.shape
        node = np.ones((count, 1 + size), np.uint8)  # domain 0x01
        node[:, 1:] = children
        out[start : start + count] = _hash(node.tobytes(), 1 + size)
    if alone:
        out[-1] = level[-1]
    return out


def _hash(data: bytes, width: int) -> U8:
    """Hash each ``width`` bytes."""
    sha256 = hashlib.sha256
    rows = iter_unpack(f"{width}s", data)
    digests = [sha256(row).digest() for (row,) in rows]
    joined = np.frombuffer(b"".join(digests), np.uint8)
    return joined.reshape(-1, HASH_BYTES)


def _children(known: Positions, count: int) -> tuple[Positions, NDArray[np.bool_]]:
    """Both children of every parent of a ``known`` node, in a level of ``count`` nodes.

    The second result says of each child whether it is known.
    """
    parents = np.unique(known >> 1)
    left = 2 * parents
    both = np.stack([left, left + 1], axis=1)
    children = both.ravel()
    children = children[children < count]
    return children, np.isin(children, known, assume_unique=True)


def _well_formed(opening: Opening, count: int) -> bool:
    positions = opening.positions
    rows = opening.rows
    opened = len(positions)
    if not opened == len(rows.index) == len(rows.basis) == len(rows.bit):
        return False
    if not opened or opening.nonces.shape != (opened, NONCE_BYTES):
        return False
    if len(opening.siblings) != (count - 1).bit_length():
        return False
    ascending = bool((np.diff(positions) > 0).all())
    if not ascending or positions[0] < 0 or positions[-1] >= count:
        return False
    basis_is_bit = bool((rows.basis <= 1).all())
    outcome_is_bit = bool((rows.bit <= 1).all())
    return basis_is_bit and outcome_is_bit
