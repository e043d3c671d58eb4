"""The joint distribution of what Alice and Bob saw, as programs that bound key rates take it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..pairs import bits

if TYPE_CHECKING:
    from .reader import PairsFile

Counts = NDArray[np.int64]
_ROWS = 1 << 22


def joint_counts(file: PairsFile) -> Counts:
    """Rows by Alice's basis, Bob's basis, Alice's bit, Bob's bit: shape (2, 2, 2, 2); every checksum is verified.

    Counts that were drawn from their law are as they are.
    """
    if file.outcome_counts is not None:
        return file.outcome_counts.astype(np.int64)
    found = np.zeros(16, np.int64)
    for block in file.blocks(_ROWS, reuse=True):
        found += _of_block(block.columns, block.count)
    return found.reshape(2, 2, 2, 2)


def joint(file: PairsFile) -> dict[str, Any]:
    """Counts and probabilities of a file as JSON values; nested lists are [x][y][a][b].

    x and y are Alice's and Bob's bases (0 = Z, 1 = X), a and b their bits.  ``p`` is p(a, b | x, y) of rows, in which
    both detected something.  Of emissions in which one or none of them did, the file knows how many there were and
    neither basis nor bit: ``no_detection`` has their counts and probabilities per emission, and ``p_emission`` is
    p times the probability that both detect, for detection that does not depend on the basis.
    """
    counts = joint_counts(file)
    rows = file.rows
    emitted = int(file.total("count"))
    per_setting = counts.sum(axis=(2, 3), keepdims=True)
    p = counts / np.maximum(per_setting, 1)
    both_detect = rows / max(1, emitted)
    losses = _losses(file, emitted)
    return {
        "format": "caligo-joint 1",
        "indices": "x, y, a, b: bases of Alice and Bob (0 = Z, 1 = X), bits of Alice and Bob",
        "emissions": emitted,
        "rows": rows,
        "counts": counts.tolist(),
        "p": p.tolist(),
        "p_emission": (p * both_detect).tolist(),
        "no_detection": losses,
        "p_no_detection": {name: count / max(1, emitted) for name, count in losses.items()},
        "config": json.loads(file.info.config),
        "config_digest": file.digest,
        "data_digest": file.data_digest,
    }


def _losses(file: PairsFile, emitted: int) -> dict[str, int]:
    """How many emissions one of the two detected alone, and how many neither did."""
    alice = int(file.total("alice_clicks")) - file.rows
    bob = int(file.total("bob_clicks")) - file.rows
    neither = emitted - file.rows - alice - bob
    return {"alice_only": alice, "bob_only": bob, "neither": neither}


def write_mat(values: dict[str, Any], target: Path) -> bool:
    """The same numbers for MATLAB and Octave; False where scipy is not installed."""
    try:
        from scipy.io import savemat
    except ImportError:
        return False
    found: dict[str, Any] = {}
    for name in ("counts", "p", "p_emission"):
        found[name] = np.array(values[name])
    for name in ("emissions", "rows", "no_detection", "p_no_detection", "data_digest"):
        found[name] = values[name]
    with target.open("wb") as file:
        savemat(file, found)
    return True


def _of_block(columns: NDArray[np.uint8], count: int) -> Counts:
    """Counts by outcome of packed rows, number 8·x + 4·y + 2·a + b."""
    alice_basis, alice_bit, bob_basis, bob_bit = columns
    found = np.zeros(16, np.int64)
    for number in range(16):
        mask = _where(alice_basis, number >> 3)
        mask = mask & _where(bob_basis, number >> 2)
        mask &= _where(alice_bit, number >> 1)
        mask &= _where(bob_bit, number)
        bits.clear_padding(mask, count)
        found[number] = bits.count_ones(mask)
    return found


def _where(column: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    return column if value & 1 else ~column
