"""The stream of the noise engine: docs/stream.md read word by word, and golden digests."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from stream_words import ONE, Words, fall, geometric_digits

from caligo_mpi.config import ArmConfig, LinkConfig, LossConfig, NoiseConfig, PdcSource, SideConfig
from caligo_mpi.engines.noise import NoiseEngine
from caligo_mpi.pairs import Chunk, Pairs, bits

WERNER = LinkConfig(fidelity=0.95)
READOUT = SideConfig(basis_bias=0.3, p_read1_given0=0.01, p_read0_given1=0.04)
STORED = SideConfig(basis_bias=0.125, readout_flip=0.02, storage_time_ns=2e3, T1_ns=9e4, T2_ns=3e4)
RISING = SideConfig(p_read1_given0=0.05, gate_depolarizing=0.1)


def arm(efficiency: float, dark: float = 0.0) -> ArmConfig:
    return ArmConfig(detector_efficiency=efficiency, dark_count_probability=dark)


CONFIGS = {
    "werner": NoiseConfig(name="noise", link=WERNER),
    "perfect": NoiseConfig(name="noise", link=LinkConfig(fidelity=1.0)),
    "pauli": NoiseConfig(name="noise", link=LinkConfig(pauli=(0.01, 0.02, 0.03)), alice=SideConfig(basis_bias=0.9)),
    "devices": NoiseConfig(name="noise", link=WERNER, alice=READOUT, bob=STORED),
    "ket": NoiseConfig(name="noise", link=WERNER, alice=STORED, bob=RISING, formalism="ket"),
    "lossy": NoiseConfig(name="noise", link=WERNER, loss=LossConfig(alice=arm(0.2), bob=arm(0.4, 1e-3))),
    "rare": NoiseConfig(name="noise", link=WERNER, bob=RISING, loss=LossConfig(alice=arm(0.02, 1e-4), bob=arm(0.03))),
    "pdc": NoiseConfig(
        name="noise",
        source=PdcSource(type="pdc", mu=0.1, misalignment=0.01),
        loss=LossConfig(alice=arm(0.3, 1e-5), bob=arm(0.2, 1e-5)),
    ),
}  # fmt: skip

# Pairs.checksum() of chunk 3 of seed 2024, rows and clicks.
GOLDEN = {
    ("werner", 1_000): ("6292857d6e650fc5", 1000, 1000, 1000),
    ("werner", 65_536): ("6d8212bbf13476a1", 65536, 65536, 65536),
    ("werner", 3_000_001): ("3249ed490d122fc5", 3000001, 3000001, 3000001),
    ("perfect", 1_000): ("8b727bfd409fc1da", 1000, 1000, 1000),
    ("perfect", 65_536): ("a6dbc717f6cfa68a", 65536, 65536, 65536),
    ("perfect", 3_000_001): ("85ca2f0f93a90eb0", 3000001, 3000001, 3000001),
    ("pauli", 1_000): ("1b23c9dbf3ebb290", 1000, 1000, 1000),
    ("pauli", 65_536): ("68fc525ffb05c2b1", 65536, 65536, 65536),
    ("pauli", 3_000_001): ("ad94292b513ed734", 3000001, 3000001, 3000001),
    ("devices", 1_000): ("b1f497a16279ead2", 1000, 1000, 1000),
    ("devices", 65_536): ("c8d3af6e7e59358b", 65536, 65536, 65536),
    ("devices", 3_000_001): ("c07f01217384c974", 3000001, 3000001, 3000001),
    ("ket", 1_000): ("70b9f7c8afe900fe", 1000, 1000, 1000),
    ("ket", 65_536): ("77223755ca86c704", 65536, 65536, 65536),
    ("ket", 3_000_001): ("1c8e94cd07f04de0", 3000001, 3000001, 3000001),
    ("lossy", 1_000): ("8b177809fb4f4cdb", 82, 214, 393),
    ("lossy", 65_536): ("aeec83487db3e9a4", 5205, 13136, 26138),
    ("lossy", 3_000_001): ("c50a79d172fa40cf", 240199, 600236, 1201981),
    ("rare", 1_000): ("311d9c11929eb9e8", 1, 28, 29),
    ("rare", 65_536): ("8d5dd4170cb5ffa1", 37, 1354, 1964),
    ("rare", 3_000_001): ("41a0e91628df85f7", 1797, 60428, 90450),
    ("pdc", 1_000): ("6eae4dd1b64238ce", 6, 36, 24),
    ("pdc", 65_536): ("48cab33623fdd68b", 416, 1957, 1303),
    ("pdc", 3_000_001): ("f41f636b45087985", 19339, 88174, 58930),
}


def sample(name: str, count: int) -> Pairs:
    return NoiseEngine(CONFIGS[name]).sample(count, Chunk(3, 0, count).seed_sequence(2024))


@pytest.mark.parametrize(("name", "count"), GOLDEN)
def test_stream_is_the_same_as_ever(name: str, count: int) -> None:
    pairs = sample(name, count)
    assert (
        f"{pairs.checksum():016x}",
        pairs.count,
        pairs.alice_clicks,
        pairs.bob_clicks,
    ) == GOLDEN[name, count]


# --- docs/stream.md, read word by word ------------------------------------------------------


def records(t: dict[str, int], words: Words, ends: list[int]) -> np.ndarray:
    columns: list[list[int]] = [[], [], [], []]
    for start, end in pairwise([0, *ends]):
        m = end - start
        a_basis, b_basis = words.plane(t["alice_x"], m), words.plane(t["bob_x"], m)
        a_bit, unrelated = words.plane(ONE >> 1, m), words.plane(ONE >> 1, m)
        flip = words.plane_by_basis(t["flip_z"], t["flip_x"], a_basis)
        b_bit = [
            bit ^ f ^ (u & (a ^ b))
            for bit, f, u, a, b in zip(a_bit, flip, unrelated, a_basis, b_basis, strict=True)
        ]
        a_bit = fall(words, a_bit, a_basis, t["alice_fall_z"], t["alice_fall_x"])
        b_bit = fall(words, b_bit, b_basis, t["bob_fall_z"], t["bob_fall_x"])
        for column, plane in zip(columns, (a_basis, a_bit, b_basis, b_bit), strict=True):
            column += plane
    return np.array(columns, np.uint8)


def positions(probability: int, words: Words, count: int, size: int = 1 << 10) -> list[int]:
    laws, found, reached = geometric_digits(probability), [], -1
    drawn = [words.table(law, size) for law in laws]
    for digits in zip(*drawn, strict=True):
        distance = 0
        for digit in digits:
            distance = distance * 1024 + digit
        reached += distance + 1
        found.append(reached)
    assert reached >= count
    return [position for position in found if position < count]


def binomial_law(probability: int, trials: int) -> tuple[int, list[int]]:
    """The first value and the weights of the table."""
    one, zero = probability, ONE - probability
    mode = (trials + 1) * one // ONE
    weights = {mode: 1 << 192}
    k = mode
    while k < trials and weights[k] >= 1 << 102:
        weights[k + 1] = weights[k] * (trials - k) * one // ((k + 1) * zero)
        k += 1
    k = mode
    while k > 0 and weights[k] >= 1 << 102:
        weights[k - 1] = weights[k] * k * zero // ((trials - k + 1) * one)
        k -= 1
    return min(weights), [weights[value] for value in sorted(weights)]


def events(probability: int, trials: int, words: Words) -> int:
    if probability in (0, ONE):
        return trials * (probability >> 64)
    happened = 0
    for group in (1 << 18, 1 << 12, 1 << 6):
        first, weights = binomial_law(probability, group)
        happened += sum(first + value for value in words.table(weights, trials // group))
        trials %= group
    return happened + sum(word < probability for word in words.take(trials))


def unpacked(pairs: Pairs) -> np.ndarray:
    return np.array([bits.unpack(column, pairs.count) for column in pairs.columns])


@pytest.mark.parametrize("name", ["werner", "pauli", "devices", "ket"])
def test_lossless_stream_is_the_documented_one(name: str) -> None:
    engine = NoiseEngine(CONFIGS[name])
    seed = np.random.SeedSequence(11, spawn_key=(5,))
    count = 64 * 520  # into the third block
    rows = records(engine.thresholds, Words(seed), [64, 512, 4096])  # type: ignore[arg-type]
    assert np.array_equal(unpacked(engine.sample(count, seed)), rows[:, :count])


@pytest.mark.parametrize(
    ("name", "digits", "count"), [("lossy", 1, 10_000), ("rare", 2, 1_000_000)]
)
def test_lossy_stream_is_the_documented_one(name: str, digits: int, count: int) -> None:
    engine = NoiseEngine(CONFIGS[name])
    t: dict[str, int] = engine.thresholds  # type: ignore[assignment]
    seed = np.random.SeedSequence(11, spawn_key=(5,))
    assert len(geometric_digits(t["coincidence"])) == digits
    expected = positions(t["coincidence"], Words(seed, 0), count)
    pairs = engine.sample(count, seed)
    assert pairs.index is not None
    assert pairs.index.tolist() == expected
    assert np.array_equal(unpacked(pairs), records(t, Words(seed), [64])[:, : pairs.count])
    clicks = Words(seed, 1)
    alice = events(t["alice_only"], count - pairs.count, clicks)
    bob = events(t["bob_only"], count - pairs.count - alice, clicks)
    assert pairs.alice_clicks == pairs.count + alice
    assert pairs.bob_clicks == pairs.count + bob


def test_blocks_end_where_documented() -> None:
    # each block starts with fresh planes, so the words drawn tell where it ends
    engine = NoiseEngine(CONFIGS["perfect"])  # four words per plane word, and no table
    seed = np.random.SeedSequence(1)
    raw = np.random.SFC64(seed).random_raw
    words = 3 << 13
    whole = []
    for start, end in pairwise([0, 1 << 6, 1 << 9, 1 << 12, 1 << 13, 2 << 13, 3 << 13]):
        a_basis, b_basis, a_bit, unrelated = raw(4 * (end - start)).reshape(4, -1)
        whole.append([a_basis, a_bit, b_basis, a_bit ^ ((a_basis ^ b_basis) & unrelated)])
    pairs = engine.sample(64 * words, seed)
    assert np.array_equal(pairs.columns.view(np.uint64), np.concatenate(whole, axis=1))


# --- identity -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_stored_thresholds_give_the_same_pairs(name: str) -> None:
    computed = NoiseEngine(CONFIGS[name])
    stored = json.loads(json.dumps(computed.thresholds))
    resumed = NoiseEngine(CONFIGS[name], stored)
    seed = np.random.SeedSequence(1)
    assert resumed.thresholds == computed.thresholds
    assert resumed.sample(5000, seed).checksum() == computed.sample(5000, seed).checksum()


def test_stored_thresholds_override_the_configuration() -> None:
    seed = np.random.SeedSequence(1)
    engine = NoiseEngine(CONFIGS["werner"], NoiseEngine(CONFIGS["perfect"]).thresholds)
    assert (
        engine.sample(5000, seed).checksum()
        == NoiseEngine(CONFIGS["perfect"]).sample(5000, seed).checksum()
    )


def test_thresholds_are_the_probabilities_in_units_of_2_to_the_minus_64() -> None:
    thresholds = NoiseEngine(CONFIGS["devices"]).thresholds
    assert thresholds["alice_x"] == 5534023222112865280  # 0.3, the float
    assert thresholds["bob_x"] == 1 << 61
    assert thresholds["alice_fall_z"] == thresholds["alice_fall_x"]
    assert thresholds["bob_fall_x"] == 0
    assert thresholds["coincidence"] == ONE
    assert (
        NoiseEngine(CONFIGS["ket"]).thresholds["bob_fall_z"] == -922337203685477632
    )  # 0.05, the float
