"""What the noise engine is compared with: Werner pairs, made in other ways.

Each function makes ``count`` pairs with bases (Alice, Bob) and outcomes, as the fastest plain form
found of its kind, and returns (alice_basis, alice_outcome, bob_basis, bob_outcome).
"""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
Columns = tuple[U8, U8, U8, U8]

_PAIRS = 512  # pairs per stim circuit; times as many shots, its tables stay in cache
_BLOCK = 1 << 18  # pairs per numpy pass: as fast as any size, and bounded memory


def plain_numpy(
    count: int, seed: int, *, fidelity: float = 0.95, basis_bias: float = 0.5
) -> Columns:
    """One byte per value, a float64 compared per random decision."""
    rng = np.random.default_rng(seed)
    out = np.empty((4, count), np.uint8)
    for start in range(0, count, _BLOCK):
        part = out[:, start : start + _BLOCK]
        part[:] = _plain_block(part.shape[1], rng, 2 * (1 - fidelity) / 3, basis_bias)
    return out[0], out[1], out[2], out[3]


def _plain_block(size: int, rng: np.random.Generator, error: float, bias: float) -> Columns:
    if bias == 0.5:
        a_basis, b_basis = (rng.integers(0, 2, size, dtype=np.uint8) for _ in "ab")
    else:
        a_basis, b_basis = ((rng.random(size) < bias).view(np.uint8) for _ in "ab")
    a_bit = rng.integers(0, 2, size, dtype=np.uint8)
    flipped = a_bit ^ (rng.random(size) < error)
    unrelated = rng.integers(0, 2, size, dtype=np.uint8)
    return a_basis, a_bit, b_basis, np.where(a_basis == b_basis, flipped, unrelated)


def plain_heralded(count: int, seed: int, *, success: float, hold: int) -> Columns:
    """Pairs of a link whose attempts take time, ``hold`` at once, with times: T2 is 1e5 attempts."""
    rng = np.random.default_rng(seed)
    out = np.empty((4, count), np.uint8)
    now = 0.0
    for start in range(0, count, _BLOCK):
        part = out[:, start : start + _BLOCK]
        size = part.shape[1]
        attempts = rng.geometric(success, size).reshape(-1, hold)
        reached = attempts.cumsum(axis=1)
        waited = (reached[:, -1:] - reached).reshape(-1)
        times = now + np.repeat(reached[:, -1].cumsum(), hold)
        now = times[-1]
        part[0], part[2] = (rng.integers(0, 2, size, dtype=np.uint8) for _ in "ab")
        part[1] = rng.integers(0, 2, size, dtype=np.uint8)
        kept = np.where(part[0] == 1, 0.93 * np.exp(-2e-5 * waited), 0.93)
        error = np.where(part[0] == part[2], (1 - kept) / 2, 0.5)
        part[3] = part[1] ^ (rng.random(size) < error)
    return out[0], out[1], out[2], out[3]


def heralded_loop(count: int, seed: int, *, success: float, hold: int) -> list[tuple[int, ...]]:
    """The same attempt by attempt, as a simulator of events has to, without the simulator."""
    rng = random.Random(seed)
    now = 0
    rows = []
    for _ in range(0, count, hold):
        births = []
        while len(births) < hold:
            now += 1
            if rng.random() < success:
                births.append(now)
        for birth in births:
            a_basis, b_basis, a_bit = (rng.getrandbits(1) for _ in range(3))
            kept = 0.93 * math.exp(-2e-5 * (now - birth)) if a_basis else 0.93
            error = (1 - kept) / 2 if a_basis == b_basis else 0.5
            rows.append((a_basis, a_bit, b_basis, a_bit ^ (rng.random() < error), now))
    return rows


def stim_fixed(count: int, seed: int, *, fidelity: float = 0.95) -> Columns:
    """Both measure Z; stim's frame simulator, outcomes packed.  ``count`` is a multiple of 512."""
    a_bit, b_bit = _stim_outcomes(count, seed, fidelity, "M", "M")
    zeros = np.zeros_like(a_bit)
    return zeros, a_bit, zeros, b_bit


def stim_random(count: int, seed: int, *, fidelity: float = 0.95) -> Columns:
    """Each side measures Z or X at random, packed.  ``count`` is a multiple of 512.

    A circuit's bases are fixed and its feedback is Pauli only, so all four are run and one is selected per pair.
    """
    rng = np.random.default_rng(seed)
    a_basis, b_basis = (np.frombuffer(rng.bytes(count // 8), np.uint8) for _ in "ab")
    a_bit, b_bit = np.zeros((2, count // 8), np.uint8)
    for a_name, a_mask in (("M", ~a_basis), ("MX", a_basis)):
        for b_name, b_mask in (("M", ~b_basis), ("MX", b_basis)):
            outcomes = _stim_outcomes(count, seed, fidelity, a_name, b_name)
            a_bit |= outcomes[0] & a_mask & b_mask
            b_bit |= outcomes[1] & a_mask & b_mask
    return a_basis, a_bit, b_basis, b_bit


def _stim_outcomes(count: int, seed: int, fidelity: float, alice: str, bob: str) -> tuple[U8, U8]:
    sampler = _stim_sampler(seed, fidelity, alice, bob)
    rows, step = count // _PAIRS, _PAIRS
    packed = np.concatenate(
        [sampler.sample_bit_packed(min(step, rows - at)) for at in range(0, rows, step)]
    )
    half = _PAIRS // 8
    return np.ascontiguousarray(packed[:, :half]).ravel(), np.ascontiguousarray(
        packed[:, half:]
    ).ravel()


@lru_cache(maxsize=16)
def _stim_sampler(seed: int, fidelity: float, alice: str, bob: str) -> Any:
    import stim

    alices, bobs = range(0, 2 * _PAIRS, 2), range(1, 2 * _PAIRS, 2)
    circuit = stim.Circuit()
    circuit.append("H", alices)
    circuit.append("CX", range(2 * _PAIRS))
    circuit.append("DEPOLARIZE1", bobs, 1 - fidelity)
    circuit.append(alice, alices)
    circuit.append(bob, bobs)
    return circuit.compile_sampler(seed=seed)


def main() -> None:
    """``python jobs/baselines.py FILE.h5 PAIRS``: plain numpy end to end, one byte per value."""
    import sys

    import h5py

    path, pairs, step = sys.argv[1], int(sys.argv[2]), 1 << 24
    with h5py.File(path, "w") as file:
        names = ("alice_basis", "alice_outcome", "bob_basis", "bob_outcome")
        datasets = [file.create_dataset(name, (pairs,), "u1") for name in names]
        for seed, start in enumerate(range(0, pairs, step)):
            columns = plain_numpy(min(step, pairs - start), seed, fidelity=0.97)
            for dataset, column in zip(datasets, columns, strict=True):
                dataset[start : start + len(column)] = column


if __name__ == "__main__":
    main()
