"""What docs/stream.md builds its streams from, read word by word in plain Python."""

from __future__ import annotations

import numpy as np

ONE = 1 << 64


class Words:
    def __init__(self, seed: np.random.SeedSequence, *child: int) -> None:
        if child:
            seed = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *child))
        self.generator = np.random.SFC64(seed)

    def take(self, count: int) -> list[int]:
        return [int(word) for word in self.generator.random_raw(count)]

    def table(self, weights: list[int], count: int) -> list[int]:
        total = sum(weights)
        codes = [
            value for value, weight in enumerate(weights) for _ in range((weight << 16) // total)
        ]
        left = [
            (value, (weight << 16) % total)
            for value, weight in enumerate(weights)
            if (weight << 16) % total
        ]
        words = self.take(-(-count // 4))
        drawn: list[int | None] = []
        for i in range(count):
            code = words[i // 4] >> 16 * (i % 4) & 0xFFFF
            drawn.append(codes[code] if code < len(codes) else None)
        whole = sum(share for _, share in left)
        for i, value in enumerate(drawn):
            if value is None:
                (word,) = self.take(1)
                reached = 0
                for (
                    outcome,
                    share,
                ) in left:  # the first one whose cumulative share lies above the word
                    reached += share
                    if outcome == left[-1][0] or word < (reached << 64) // whole:
                        drawn[i] = outcome
                        break
        return drawn  # type: ignore[return-value]

    def plane(self, probability: int, words: int) -> list[int]:
        """64 bits per word, one list item each."""
        if probability in (0, ONE):
            return [probability >> 64] * (64 * words)
        if probability == ONE >> 1:
            return [word >> i & 1 for word in self.take(words) for i in range(64)]
        one, zero = probability, ONE - probability
        octets = self.table(
            [one**o * zero ** (8 - o) for o in (bin(v).count("1") for v in range(256))], 8 * words
        )
        return [octet >> i & 1 for octet in octets for i in range(8)]

    def plane_by_basis(self, z: int, x: int, basis: list[int]) -> list[int]:
        in_z = self.plane(z, len(basis) // 64)
        in_x = in_z if x == z else self.plane(x, len(basis) // 64)
        return [q if b else p for b, p, q in zip(basis, in_z, in_x, strict=True)]


def fall(words: Words, bit: list[int], basis: list[int], z: int, x: int) -> list[int]:
    if z > 0 or x > 0:
        fallen = words.plane_by_basis(max(z, 0), max(x, 0), basis)
        bit = [b & ~f for b, f in zip(bit, fallen, strict=True)]
    if z < 0 or x < 0:
        risen = words.plane_by_basis(max(-z, 0), max(-x, 0), basis)
        bit = [b | r for b, r in zip(bit, risen, strict=True)]
    return bit


def geometric_digits(probability: int) -> list[list[int]]:
    """Weights of the digits of the distance less one, the top digit first."""
    miss, laws = (1 << 192) - (probability << 128), []

    def power(n: int) -> int:
        value = miss
        for _ in range(n.bit_length() - 1):
            value = value * value >> 192
        return value

    def powers(n: int) -> list[int]:
        values = [1 << 192]
        while len(values) < n:
            values.append(values[-1] * miss >> 192)
        return values

    while power(1 << 13) > 1 << 112:
        laws.append(powers(1 << 10))
        miss = power(1 << 10)
    return [powers(1 << 13), *reversed(laws)]
