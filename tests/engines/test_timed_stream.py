"""The stream of links whose attempts take time: docs/stream.md read word by word, and golden digests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from stream_words import ONE, Words, fall, geometric_digits

from caligo_mpi.config import NoiseConfig
from caligo_mpi.engines.noise import TimedEngine
from caligo_mpi.pairs import Chunk, Pairs, bits

LINK = {"fidelity": 0.9, "prob_success": 0.3, "cycle_time_ns": 1000}
DEVICE = {"T1_ns": 9e3, "T2_ns": 7e3, "measure_time_ns": 700.5, "single_qubit_gate_time_ns": 400.25}
READ = {
    "alice": {"basis_bias": 0.3, "p_read1_given0": 0.02, "p_read0_given1": 0.1},
    "bob": {"basis_bias": 0.7, "p_read1_given0": 0.2, "p_read0_given1": 0.05},
}
SINGLE = {"type": "heralded-single-click", "length_km": 10, "dark_count_probability": 1e-3,
          "visibility": 0.8}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "perfect": {"link": {"type": "perfect"}},
    "rare": {"link": {**LINK, "prob_success": 1e-5}, "hold": 1},
    "held": {"link": LINK, "hold": 3, "device": {"T2_ns": 7e3}, "max_wait_ns": 4000},
    "everything": {"link": LINK, "hold": 5, "device": DEVICE, **READ},
    "twirled": {
        "link": LINK, "hold": 3, "formalism": "ket", "device": {**DEVICE, "gate_depolarizing": 0.1}, **READ,
    },
    "one click": {
        "link": SINGLE, "hold": 2, "device": {"T1_ns": 1e7, "T2_ns": 5e6}, "alice": {"storage_time_ns": 1e5},
        "bob": {"readout_flip": 0.1}, "max_wait_ns": 1e7,
    },
    "two clicks": {
        "link": {**SINGLE, "type": "heralded-double-click", "cycle_time_ns": 60_000},
        "bob": {"storage_time_ns": 1e5, "T2_ns": 1e6, "T1_ns": 1e6}, "formalism": "ket",
    },
}  # fmt: skip

# Pairs.checksum() of chunk 3 of seed 2024, rows and duration in ns.
GOLDEN: dict[tuple[str, int], tuple[str, int, float]] = {
    ("perfect", 1_000): ("e452a06a2b98f8be", 1000, 1000000.0),
    ("perfect", 200_001): ("ed8568ebbb09c87e", 200001, 200010000.0),
    ("rare", 1_000): ("4b81717e925cca10", 1000, 106779997000.0),
    ("rare", 200_001): ("23b4369781eb07ce", 200001, 19949532474000.0),
    ("held", 1_000): ("d59a5ac368abe657", 687, 3414000.0),
    ("held", 200_001): ("584cd9b8e67bd5c7", 140515, 666876000.0),
    ("everything", 1_000): ("07c9846a2513c192", 1000, 4395681.25),
    ("everything", 200_001): ("e6b6abeebfd8de97", 200001, 863895531.5),
    ("twirled", 1_000): ("cc81869a57e5daea", 1000, 4410084.75),
    ("twirled", 200_001): ("fb82b2b9701b773b", 200001, 865213475.75),
    ("one click", 1_000): ("1d7b3c9f70bab3b5", 981, 2925600000.0),
    ("one click", 200_001): ("85dbad1f8c3fcedf", 197161, 573569700000.0),
    ("two clicks", 1_000): ("7bbd89aa14351a82", 1000, 293380000.0),
    ("two clicks", 200_001): ("8b6003468fa9d4d4", 200001, 57968940000.0),
}  # fmt: skip


def engine(name: str, thresholds: dict[str, object] | None = None) -> TimedEngine:
    config = NoiseConfig.model_validate({"name": "noise", **CONFIGS[name]})
    return TimedEngine(config, thresholds)


def sample(name: str, count: int) -> Pairs:
    return engine(name).sample(count, Chunk(3, 0, count).seed_sequence(2024))


@pytest.mark.parametrize(("name", "count"), GOLDEN)
def test_stream_is_the_same_as_ever(name: str, count: int) -> None:
    pairs = sample(name, count)
    found = f"{pairs.checksum():016x}", pairs.count, pairs.duration_ns
    assert found == GOLDEN[name, count]


# --- docs/stream.md, read word by word ------------------------------------------------------


def distances(words: Words, probability: int, count: int) -> list[int]:
    if probability == ONE:
        return [1] * count
    found = [0] * count
    for law in geometric_digits(probability):
        digits = words.table(law, count)
        found = [1024 * high + low for high, low in zip(found, digits, strict=True)]
    return [1 + number for number in found]


class Block:
    """A block of requests, one list item per row."""

    def __init__(self, t: dict[str, int], r: Words, w: Words, ell: Words, requests: int) -> None:
        self.t, self.r, self.ell = t, r, ell
        self.n = requests * t["hold"]
        self.deliver()
        self.attempts = distances(w, t["success"], self.n)
        self.idle()
        self.read()

    def bits(self) -> list[int]:
        return [word >> i & 1 for word in self.r.take(self.n // 64) for i in range(64)]

    def deliver(self) -> None:
        t, m = self.t, self.n // 64
        self.A, self.B = self.r.plane(t["alice_x"], m), self.r.plane(t["bob_x"], m)
        self.a, u = self.bits(), self.bits()
        f = self.r.plane_by_basis(t["flip_z"], t["flip_x"], self.A)
        rows = range(self.n)
        self.b = [self.a[i] ^ (u[i] & (self.A[i] ^ self.B[i])) ^ f[i] for i in rows]
        if t["dark"]:
            dark = self.r.plane(abs(t["dark"]), m)
            v = int(t["dark"] < 0)
            for i in rows:
                if dark[i] and not self.A[i]:
                    self.a[i] = v
                if dark[i]:
                    self.b[i] = u[i] if self.B[i] else 1 - v
        self.S = self.bits() if t["two_outcomes"] else []

    def idle(self) -> None:
        t, k = self.t, self.t["hold"]
        starts = [i - i % k for i in range(self.n)]
        self.waits = [sum(self.attempts[i + 1 : s + k]) for i, s in enumerate(starts)]
        place = [i - s for i, s in enumerate(starts)]
        gates = {
            "alice": [sum(self.A[s:i]) for i, s in enumerate(starts)],
            "bob": [sum(self.B[s:i]) for i, s in enumerate(starts)],
        }
        every = [sum(side[i : i + k]) for side in (self.A, self.B) for i in range(0, self.n, k)]
        half = len(every) // 2
        self.gates = [max(pair) for pair in zip(every[:half], every[half:], strict=True)]
        lost = self.lost(
            ("x_cycle", self.waits), ("x_measure", place),
            ("x_gate_alice", gates["alice"]), ("x_gate_bob", gates["bob"]),
        )  # fmt: skip
        if lost is not None:
            w = self.bits()
            self.b = [b ^ (x & y & z) for b, x, y, z in zip(self.b, lost, w, self.B, strict=True)]
        for side, bit, basis in (("alice", "a", self.A), ("bob", "b", self.B)):
            lost = self.lost(
                (f"{side}_z_cycle", self.waits), (f"{side}_z_measure", place), (f"{side}_z_gate", gates[side])
            )  # fmt: skip
            if t[f"{side}_z_storage"]:
                plane = self.ell.plane(t[f"{side}_z_storage"], self.n // 64)
                lost = plane if lost is None else [x | y for x, y in zip(lost, plane, strict=True)]
            if lost is None:
                continue
            w = [] if t["ground"] else self.bits()
            bottom = int(side == "bob" and t["two_outcomes"])
            values = getattr(self, bit)
            for i in range(self.n):
                if lost[i] and not basis[i]:
                    values[i] = bottom if t["ground"] else values[i] ^ w[i]

    def lost(self, *units: tuple[str, list[int]]) -> list[int] | None:
        found = None
        for name, waited in units:
            if self.t["hold"] == 1 or not self.t[name]:
                continue
            if "gate" in name and not self.t["gate_ps"]:
                continue
            drawn = distances(self.ell, self.t[name], self.n)
            happened = [int(d <= n) for d, n in zip(drawn, waited, strict=True)]
            found = happened if found is None else [x | y for x, y in zip(found, happened, strict=True)]  # fmt: skip
        return found

    def read(self) -> None:
        for side, bit, basis in (("alice", "a", self.A), ("bob", "b", self.B)):
            values = getattr(self, bit)
            if self.t[f"{side}_flip"]:
                flips = self.r.plane(self.t[f"{side}_flip"], self.n // 64)
                values = [x ^ y for x, y in zip(values, flips, strict=True)]
            one_way = self.t[f"{side}_fall"]
            setattr(self, bit, fall(self.r, values, basis, one_way, one_way))


def documented(t: dict[str, int], seed: np.random.SeedSequence, blocks: list[int]) -> Any:
    """Columns, times, attempts, Bell states and waits of whole blocks."""
    sources = Words(seed), Words(seed, 2), Words(seed, 3)
    columns: list[list[int]] = [[], [], [], []]
    times, attempts, states, waits = [], [], [], []
    reached = requests = gates = 0
    for size in blocks:
        block = Block(t, *sources, size)
        for column, plane in zip(columns, (block.A, block.a, block.B, block.b), strict=True):
            column += plane
        for request in range(size):
            first = request * t["hold"]
            reached += sum(block.attempts[first : first + t["hold"]])
            requests += 1
            gates += block.gates[request] if t["gate_ps"] else 0
            time = float(reached) * float(t["cycle_ps"]) + float(requests) * float(t["read_ps"])
            times += [(time + float(gates) * float(t["gate_ps"])) / 1000.0] * t["hold"]
        attempts += block.attempts
        states += [1 + bit for bit in block.S]
        waits += block.waits
    return np.array(columns, np.uint8), times, attempts, states, waits


@pytest.mark.parametrize("name", CONFIGS)
def test_stream_is_the_documented_one(name: str) -> None:
    one = engine(name)
    t: dict[str, int] = json.loads(json.dumps(one.thresholds))
    seed = np.random.SeedSequence(11, spawn_key=(5,))
    columns, times, attempts, states, waits = documented(t, seed, [64, 512])
    count = 300 * t["hold"] - 1
    kept = np.array([wait <= t.get("max_cycles", wait) for wait in waits])[:count]
    pairs = one.sample(count, seed)
    found = np.array([bits.unpack(column, pairs.count) for column in pairs.columns])
    assert np.array_equal(found, columns[:, :count][:, kept])
    assert pairs.time is not None
    assert pairs.time.tolist() == np.array(times)[:count][kept].tolist()
    assert pairs.extra["attempts"].tolist() == np.array(attempts)[:count][kept].tolist()
    assert pairs.duration_ns == times[count - 1]
    if t["two_outcomes"]:
        assert pairs.extra["bell_state"].tolist() == np.array(states)[:count][kept].tolist()
    if "max_cycles" in t:
        assert pairs.index is not None
        assert pairs.index.tolist() == np.flatnonzero(kept).tolist()
    else:
        assert pairs.count == count


@pytest.mark.parametrize("hold", [1, 3, 1000])
def test_blocks_grow_as_documented(hold: int) -> None:
    from itertools import islice

    from caligo_mpi.engines.noise.requests import blocks

    most = max(64, 64 * (2**15 // (64 * hold)))
    assert list(islice(blocks(hold), 6)) == [min(64 * 8**i, most) for i in range(6)]


# --- identity -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_stored_thresholds_give_the_same_pairs(name: str) -> None:
    stored = json.loads(json.dumps(engine(name).thresholds))
    seed = np.random.SeedSequence(1)
    resumed = engine(name, stored).sample(5000, seed)
    assert resumed.checksum() == engine(name).sample(5000, seed).checksum()


def test_stored_thresholds_override_the_configuration() -> None:
    seed = np.random.SeedSequence(1)
    other = engine("rare", engine("held").thresholds)
    assert other.sample(5000, seed).checksum() == engine("held").sample(5000, seed).checksum()
    assert other.has_index


def test_thresholds_are_whole_picoseconds_and_units_of_2_to_the_minus_64() -> None:
    t = engine("everything").thresholds
    assert t["success"] == round(0.3 * 2**64)
    assert (t["cycle_ps"], t["gate_ps"], t["read_ps"]) == (1_000_000, 400_250, 5 * 700_500)
    assert t["alice_z_cycle"] == pytest.approx((1 - np.exp(-1 / 9)) * 2**64, rel=1e-12)
    assert t["x_cycle"] == pytest.approx((1 - np.exp(-2 / 7)) * 2**64, rel=1e-12)
