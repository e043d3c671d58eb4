from collections.abc import Callable

import numpy as np
import pytest

from caligo_mpi.pairs import Pairs, bits
from caligo_mpi.protocol.types import Reconciled


def werner_pairs(
    count: int, *, qber: float, seed: int, bias: float = 0.5, **extra: object
) -> Pairs:
    """Pairs of a Werner state measured with probability ``bias`` in X on each side."""
    rng = np.random.default_rng(seed)
    alice_basis, bob_basis = rng.random((2, count), np.float32) < bias
    alice = rng.integers(0, 2, count, np.uint8)
    bob = alice ^ (rng.random(count) < np.where(alice_basis == bob_basis, qber, 0.5))
    return Pairs(
        np.stack([bits.pack(c) for c in (alice_basis, alice, bob_basis, bob)]), count, **extra
    )


@pytest.fixture
def pairs() -> Callable[..., Pairs]:
    return werner_pairs


class Hamming:
    """Words of 63 bits, one error each corrected: the smallest real one-way code."""

    def __init__(self, count: int, qber: float) -> None:
        self.count = count

    def _words(self, key):
        return np.append(key, np.zeros(-self.count % 63, np.uint8)).reshape(-1, 63)

    def _checks(self, key):
        place = np.arange(1, 64)[:, None] >> np.arange(6) & 1
        return self._words(key) @ place.astype(np.uint8) & 1

    def syndrome(self, key):
        return self._checks(key).astype(np.uint8).ravel()

    def decode(self, received, syndrome):
        words = self._words(received)
        place = (self._checks(received) ^ syndrome.reshape(-1, 6)) @ (1 << np.arange(6))
        wrong = np.flatnonzero(place)
        words[wrong, place[wrong] - 1] ^= 1
        return Reconciled(words.ravel()[: self.count], len(syndrome), 1)


@pytest.fixture
def hamming() -> type[Hamming]:
    return Hamming
