"""Samples of the noise engine against the closed forms of its configuration.

Every check has a fixed seed and a false-alarm probability of at most 1e-6 (`ALARM`; `LIMIT` standard
deviations of a normal variable; `plausible`).  Records are compared at 2^22 pairs, where a relative error
of 5 % of a QBER of 3.3 % is 9.6 standard deviations; one test shows that it is caught.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from caligo_mpi.config import ArmConfig, LinkConfig, LossConfig, NoiseConfig, PdcSource, SideConfig
from caligo_mpi.engines import link
from caligo_mpi.engines.noise import NoiseEngine
from caligo_mpi.engines.noise.clicks import sample_count, sample_positions
from caligo_mpi.engines.noise.model import describe
from caligo_mpi.engines.noise.tables import ONE, Raw, compile_table
from caligo_mpi.pairs import Chunk, Pairs, bits, tally
from caligo_mpi.testing import plausible

ALARM, LIMIT = 1e-6, 4.9
COUNT = 1 << 22
WERNER = LinkConfig(fidelity=0.95)
ASYMMETRIC = {"p_read1_given0": 0.01, "p_read0_given1": 0.05}
MEMORY = {"storage_time_ns": 1e3, "T1_ns": 2e4, "T2_ns": 1.5e4}


def noise(
    alice: SideConfig = SideConfig(),  # noqa: B008
    bob: SideConfig = SideConfig(),  # noqa: B008
    **others: object,
) -> NoiseConfig:
    return NoiseConfig.model_validate(
        {"name": "noise", "link": WERNER, "alice": alice, "bob": bob} | others
    )


def arm(efficiency: float, dark: float = 0.0) -> ArmConfig:
    return ArmConfig(detector_efficiency=efficiency, dark_count_probability=dark)


def side(**parameters: float) -> SideConfig:
    return SideConfig(**parameters)


CONFIGS = {
    "fidelity": noise(),
    "prob_max_mixed": noise(link=LinkConfig(prob_max_mixed=0.2)),
    "maximally mixed": noise(link=LinkConfig(fidelity=0.25)),
    "perfect": noise(link=LinkConfig(fidelity=1.0)),
    "pauli": noise(link=LinkConfig(pauli=(0.01, 0.02, 0.04))),
    "bit flips only": noise(link=LinkConfig(pauli=(0.05, 0.0, 0.0))),
    "anticorrelated": noise(link=LinkConfig(pauli=(0.0, 0.97, 0.0))),
    "Alice biased": noise(side(basis_bias=0.1)),
    "Bob biased": noise(bob=side(basis_bias=0.8)),
    "Alice always in Z, Bob always in X": noise(side(basis_bias=0.0), side(basis_bias=1.0)),
    "readout_flip": noise(side(readout_flip=0.03)),
    "asymmetric read-out of Alice": noise(side(**ASYMMETRIC)),
    "asymmetric read-out of Bob": noise(bob=side(p_read1_given0=0.07)),
    "T1 and T2 of Alice": noise(side(**MEMORY)),
    "T1 and T2 of Bob, ket": noise(bob=side(**MEMORY), formalism="ket"),
    "T2": noise(side(storage_time_ns=1e3, T2_ns=1e4)),
    "gate_depolarizing": noise(bob=side(gate_depolarizing=0.08)),
    "relaxed to the ground state": noise(side(storage_time_ns=1e9, T1_ns=1.0, T2_ns=1.0)),
    "all devices": noise(
        side(basis_bias=0.3, gate_depolarizing=0.02, **MEMORY, **ASYMMETRIC),
        side(basis_bias=0.6, gate_depolarizing=0.01, p_read1_given0=0.06, **MEMORY),
        link=LinkConfig(pauli=(0.01, 0.0, 0.03)),
    ),
}  # fmt: skip
LOSSY = {
    "loss of Alice": noise(loss=LossConfig(alice=arm(0.6))),
    "loss of Bob": noise(loss=LossConfig(bob=arm(0.5))),
    "dark counts": noise(loss=LossConfig(alice=arm(0.5, 0.05), bob=arm(0.9, 0.02))),
    "fiber": noise(
        loss=LossConfig(alice=ArmConfig(length_km=20.0), bob=ArmConfig(length_km=5.0, coupling=0.9))
    ),
    "down-conversion": NoiseConfig(
        name="noise",
        source=PdcSource(type="pdc", mu=0.6, misalignment=0.01),
        alice=side(**ASYMMETRIC),
        loss=LossConfig(alice=arm(0.8, 1e-3), bob=arm(0.7, 1e-3)),
    ),
    "Poissonian down-conversion": NoiseConfig(
        name="noise",
        source=PdcSource(type="pdc", mu=0.6, misalignment=0.01, statistics="poisson"),
        loss=LossConfig(alice=arm(0.8, 1e-3), bob=arm(0.7, 1e-3)),
    ),
    "everything": noise(
        side(basis_bias=0.3, gate_depolarizing=0.02, **MEMORY, **ASYMMETRIC),
        side(basis_bias=0.6, readout_flip=0.02, **MEMORY),
        loss=LossConfig(
            alice=ArmConfig(length_km=5.0, dark_count_rate_hz=1e6, gate_width_ns=20.0),
            bob=ArmConfig(detector_efficiency=0.8, dark_count_probability=0.03),
        ),
    ),
}


def sample(config: NoiseConfig, count: int = COUNT, chunk: int = 0) -> Pairs:
    return NoiseEngine(config).sample(count, Chunk(chunk, 0, count).seed_sequence(20_240_607))


def law(config: NoiseConfig) -> np.ndarray:
    """P(alice_basis, alice_outcome, bob_basis, bob_outcome), flat, from the moments."""
    model = describe(config)
    chances = [
        {0: 1 - party.basis_bias, 1: party.basis_bias} for party in (config.alice, config.bob)
    ]
    return np.array([
        chances[0][a_basis] * chances[1][b_basis] * link.moments(
            model.correlation[a_basis] if a_basis == b_basis else 0.0, model.alice[a_basis], model.bob[b_basis]
        ).probability(a, b)
        for a_basis, a, b_basis, b in itertools.product((0, 1), repeat=4)
    ])  # fmt: skip


def codes(pairs: Pairs) -> np.ndarray:
    """How often each of the 16 records occurs."""
    planes = pairs.columns[:, : pairs.count // 64 * 8].view(np.uint64)
    counts = [
        bits.count_ones(
            np.bitwise_and.reduce(
                [p if wanted else ~p for p, wanted in zip(planes, values, strict=True)]
            )
        )
        for values in itertools.product((0, 1), repeat=4)
    ]
    return np.array(counts)


def chi2_is_plausible(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    possible = probabilities > 1e-15
    assert not counts[~possible].any(), "something impossible happened"
    expected = counts.sum() * probabilities[possible]
    assert expected.min() > 20
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    return (
        bool(stats.chi2.sf(statistic, possible.sum() - 1) > ALARM) if possible.sum() > 1 else True
    )


# --- records --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config", [pytest.param(c, id=name) for name, c in (CONFIGS | LOSSY).items()]
)
def test_all_sixteen_records_are_as_frequent_as_the_closed_form_says(config: NoiseConfig) -> None:
    assert chi2_is_plausible(codes(sample(config)), law(config))


@pytest.mark.parametrize(
    "config", [pytest.param(c, id=name) for name, c in (CONFIGS | LOSSY).items()]
)
def test_qber_of_each_basis_is_the_closed_form(config: NoiseConfig) -> None:
    pairs, expected = sample(config, chunk=1), NoiseEngine(config).expected
    counts = tally(pairs.columns, pairs.count)
    for errors, sifted, qber in (
        (counts.errors_z, counts.sifted_z, expected.qber_z),
        (counts.errors_x, counts.sifted_x, expected.qber_x),
    ):
        assert plausible(errors, sifted, qber)


@pytest.mark.parametrize(
    ("config", "qber_z", "qber_x"),
    [
        ("fidelity", 1 / 30, 1 / 30),
        ("prob_max_mixed", 0.1, 0.1),
        ("pauli", 0.03, 0.06),
        ("readout_flip", 0.5 - 0.5 * 14 / 15 * 0.94, 0.5 - 0.5 * 14 / 15 * 0.94),
        ("gate_depolarizing", 1 / 30, 0.5 - 0.5 * 14 / 15 * 0.92),
        ("T2", 1 / 30, 0.5 - 0.5 * 14 / 15 * 0.9048374180359595),
        (
            "T1 and T2 of Bob, ket",
            0.5 - 0.5 * 14 / 15 * 0.951229424500714,
            0.5 - 0.5 * 14 / 15 * 0.9355069850316178,
        ),
        ("relaxed to the ground state", 0.5, 0.5),
    ],
)
def test_expected_qber_is_the_textbook_value(config: str, qber_z: float, qber_x: float) -> None:
    expected = NoiseEngine(CONFIGS[config]).expected
    assert (expected.qber_z, expected.qber_x) == pytest.approx((qber_z, qber_x), abs=1e-14)


def test_expected_rates_of_everything_together() -> None:
    # E' = a_A a_B g_A g_B E + b_A a_B g_B M_B with a = 1 - p0 - p1, b = p1 - p0, M_B = γ in Z, worked out apart
    expected = NoiseEngine(LOSSY["everything"]).expected
    assert expected.qber_z == pytest.approx(0.13114650213324958, abs=1e-14)
    assert expected.qber_x == pytest.approx(0.15222135442777113, abs=1e-14)
    assert (expected.sifted_z, expected.sifted_x) == pytest.approx((0.28, 0.18), abs=1e-15)
    assert expected.coincidence == pytest.approx(0.6435110516833064, abs=1e-14)
    assert expected.alice_click == pytest.approx(0.7984008085400823, abs=1e-14)
    assert expected.bob_click == pytest.approx(0.806, abs=1e-14)


def test_expected_clicks_of_a_fiber() -> None:
    expected = NoiseEngine(LOSSY["fiber"]).expected
    assert expected.alice_click == pytest.approx(0.3981071705534972, abs=1e-15)  # 10^-0.4
    assert expected.bob_click == pytest.approx(0.7148954112518534, abs=1e-15)  # 0.9 * 10^-0.1
    assert (expected.qber_z, expected.qber_x) == pytest.approx((1 / 30, 1 / 30), abs=1e-15)


@pytest.mark.parametrize("name", ["fidelity", "pauli", "all devices"])
def test_five_percent_more_errors_would_be_caught(name: str) -> None:
    config = CONFIGS[name]
    true = law(config).reshape(2, 2, 2, 2)
    false = true.copy()
    for basis, a in itertools.product((0, 1), repeat=2):
        moved = 0.05 * true[basis, a, basis, 1 - a]
        false[basis, a, basis, 1 - a] += moved
        false[basis, a, basis, a] -= moved
    counts = codes(sample(config))
    assert chi2_is_plausible(counts, true.ravel())
    assert not chi2_is_plausible(counts, false.ravel())


@pytest.mark.parametrize("name", ["perfect", "bit flips only"])
def test_what_cannot_happen_never_does(name: str) -> None:
    pairs = sample(CONFIGS[name])
    counts = tally(pairs.columns, pairs.count)
    assert counts.errors_x == 0
    assert (counts.errors_z == 0) == (name == "perfect")


# --- independence ---------------------------------------------------------------------------


def centered_product(first: np.ndarray, second: np.ndarray, count: int) -> float:
    """Correlation of two packed columns in standard deviations of its estimate."""
    p, q = bits.count_ones(first) / count, bits.count_ones(second) / count
    both = bits.count_ones(first & second) / count
    return (both - p * q) / math.sqrt(p * (1 - p) * q * (1 - q)) * math.sqrt(count)


def lagged(column: np.ndarray, count: int, lag: int) -> float:
    rest = count - lag
    return centered_product(bits.extract(column, 0, rest), bits.extract(column, lag, rest), rest)


@pytest.mark.parametrize("name", ["fidelity", "all devices", "everything"])
def test_rows_are_independent_within_and_across_chunks(name: str) -> None:
    engine = NoiseEngine((CONFIGS | LOSSY)[name])
    emissions, number = 1 << 16, 64
    chunks = [
        engine.sample(emissions, Chunk(i, 0, emissions).seed_sequence(99)) for i in range(number)
    ]
    rows = min(chunk.count for chunk in chunks) // 8 * 8
    a_basis, a_bit, b_basis, b_bit = np.concatenate(
        [chunk.columns[:, : rows // 8] for chunk in chunks], axis=1
    )
    lags = [
        *range(1, 18),
        63,
        64,
        65,
        127,
        128,
        256,
        4095,
        4096,
        28_672,
        rows - 1,
        rows,
        rows + 1,
        2 * rows,
    ]
    for column in (a_basis, a_bit, b_basis, b_bit, a_bit ^ b_bit):
        assert (
            max(abs(lagged(column, number * rows, lag)) for lag in lags) < 6.2
        )  # 1e-6 for all 150 together


@pytest.mark.parametrize("name", ["fidelity", "T2", "Alice biased"])
def test_columns_that_must_be_independent_are(name: str) -> None:
    pairs = sample(CONFIGS[name])
    a_basis, a_bit, b_basis, b_bit = pairs.columns
    for first, second in [
        (a_basis, b_basis),
        (a_basis, a_bit),
        (b_basis, b_bit),
        (a_basis, b_bit),
        (b_basis, a_bit),
    ]:
        assert abs(centered_product(first, second, pairs.count)) < LIMIT


# --- coincidences and clicks ----------------------------------------------------------------


def raw(seed: int) -> Raw:
    return np.random.SFC64(seed).random_raw


@pytest.mark.parametrize(
    ("probability", "count"),
    [
        (0.98, 1 << 18),
        (0.5, 1 << 19),
        (0.01, 1 << 25),
        (1e-3, 1 << 28),
        (1e-6, 1 << 38),
        (1e-12, 1 << 57),
    ],
)
def test_distances_are_geometric(probability: float, count: int) -> None:
    threshold = round(probability * ONE)
    positions = sample_positions(threshold, count, raw(5), lambda: None)
    assert plausible(len(positions), count, probability)
    distances = np.diff(positions, prepend=np.uint64(0)).astype(np.int64)
    distances[0] += 1
    # bins of about equal probability, as far as distances are integers
    edges = np.unique(stats.geom.ppf(np.linspace(0, 1, 41)[1:-1], probability)).astype(np.int64)
    cdf = np.concatenate([[0.0], -np.expm1(edges * math.log1p(-probability)), [1.0]])
    counts = np.bincount(np.searchsorted(edges, distances), minlength=len(edges) + 1)
    merged = np.diff(cdf) * len(distances) > 20
    assert merged[:-1].all()
    assert chi2_is_plausible(counts[merged], np.diff(cdf)[merged] / np.diff(cdf)[merged].sum())


@pytest.mark.parametrize(("probability", "digits"), [(0.02, 1), (1e-3, 2), (1e-6, 3)])
def test_distances_have_no_memory_and_independent_digits(probability: float, digits: int) -> None:
    positions = sample_positions(
        round(probability * ONE), int(2e5 / probability), raw(6), lambda: None
    )
    distances = np.diff(positions).astype(np.int64) - 1
    long = distances >= int(math.log(2) / probability)
    assert abs(centered_product(bits.pack(long[1:]), bits.pack(long[:-1]), len(long) - 1)) < LIMIT
    digit = [distances >> 10 * i & (1023 if i < digits - 1 else -1) for i in range(digits)]
    for low, high in itertools.pairwise(digit):
        ranks = [
            np.searchsorted(np.unique(np.quantile(d, [0.25, 0.5, 0.75])), d) for d in (low, high)
        ]
        table = np.histogram2d(*ranks, bins=4)[0]
        assert stats.chi2_contingency(table[:, table.any(axis=0)]).pvalue > ALARM


def test_events_that_never_happen_have_no_positions() -> None:
    assert sample_positions(0, 1 << 49, raw(1), lambda: None).size == 0
    assert sample_positions(1, 1 << 49, raw(1), lambda: None).size == 0


@pytest.mark.parametrize("trials", [1, 63, 1000, 5000, (1 << 18) + 12_345])
@pytest.mark.parametrize("probability", [1e-4, 0.09, 0.5, 0.97])
def test_counts_are_binomial(trials: int, probability: float) -> None:
    words = raw(trials)
    counts = np.array([sample_count(round(probability * ONE), trials, words) for _ in range(2000)])
    below = (
        stats.binom.cdf(counts, trials, probability)
        - stats.binom.pmf(counts, trials, probability) / 2
    )
    edges = np.unique(stats.binom.ppf(np.linspace(0, 1, 13)[1:-1], trials, probability))
    chances = np.diff([0.0, *stats.binom.cdf(edges, trials, probability), 1.0])
    seen = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
    enough = chances * len(counts) > 20
    chances, seen = chances[enough], seen[enough]
    assert chi2_is_plausible(seen, chances / chances.sum())
    assert abs(below.mean() - 0.5) < LIMIT * 0.29 / math.sqrt(len(counts))


def test_certain_and_impossible_counts() -> None:
    assert sample_count(ONE, 12_345, raw(1)) == 12_345
    assert sample_count(0, 12_345, raw(1)) == 0
    assert sample_count(1, 1 << 24, raw(1)) == 0
    assert sample_count(ONE - 1, 1 << 24, raw(1)) == 1 << 24


@pytest.mark.parametrize("name", LOSSY)
def test_clicks_of_both_sides_follow_their_joint_law(name: str) -> None:
    engine = NoiseEngine(LOSSY[name])
    count, chunks = 700, 2000
    pairs = [engine.sample(count, Chunk(i, 0, count).seed_sequence(4)) for i in range(chunks)]
    rows, alice, bob = np.array([(p.count, p.alice_clicks, p.bob_clicks) for p in pairs]).T
    expected = engine.expected
    for seen, chance in (
        (rows, expected.coincidence),
        (alice, expected.alice_click),
        (bob, expected.bob_click),
    ):
        assert plausible(int(seen.sum()), count * chunks, chance)
        if chance < 1:
            spread = seen.var(ddof=1) / (count * chance * (1 - chance))
            assert abs(spread - 1) < LIMIT * math.sqrt(2 / chunks) * 1.1
    if 0 < expected.alice_click < 1 and 0 < expected.bob_click < 1:
        product = expected.alice_click * expected.bob_click
        limits = math.sqrt(product * (1 - expected.alice_click) * (1 - expected.bob_click))
        correlation = (expected.coincidence - product) / limits
        assert np.corrcoef(alice, bob)[0, 1] == pytest.approx(
            correlation, abs=LIMIT / math.sqrt(chunks)
        )


def test_positions_and_records_are_unrelated() -> None:
    pairs = sample(LOSSY["loss of Bob"])
    assert pairs.index is not None
    odd = bits.pack(pairs.index & np.uint64(1))
    near = bits.pack(np.diff(pairs.index, append=np.uint64(COUNT)) == 1)
    for column in pairs.columns:
        assert abs(centered_product(column, odd, pairs.count)) < LIMIT
        assert abs(centered_product(column, near, pairs.count)) < LIMIT


# --- tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weights",
    [
        [1],
        [1, 1],
        [1, 2, 3, 0, 4],
        [1, 10**9],
        [3**k for k in range(40)],
        [1] * 257,
        [10**40, 1, 10**20],
    ],
    ids=str,
)
def test_tables_hold_their_law_exactly(weights: list[int]) -> None:
    table = compile_table(np.arange(len(weights), dtype=np.uint32), weights)
    total = sum(weights)
    whole = (
        np.bincount(table.values[: table.whole], minlength=len(weights))
        if table.whole
        else np.zeros(len(weights))
    )
    bounds = [0, *table.rest_bounds.tolist(), ONE]
    rest = dict.fromkeys(range(len(weights)), 0)
    if table.whole < 1 << 16:
        rest |= dict(
            zip(table.rest_values.tolist(), np.diff(np.array(bounds, object)), strict=True)
        )
    for value, weight in enumerate(weights):
        drawn = int(whole[value]) * ONE + ((1 << 16) - table.whole) * rest[value]  # in 2^-80
        assert abs(drawn * total - (weight << 80)) <= ((1 << 16) - table.whole) * total
