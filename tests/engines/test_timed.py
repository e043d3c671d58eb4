"""Links whose attempts take time, in the noise engine: every law against its closed form.

Fixed seeds; each comparison has a false alarm of at most 1e-6: 4.9 standard deviations of a normal
variable, 5.9 where all sixteen outcomes of twelve settings are compared, χ² and Kolmogorov–Smirnov tests at 1e-6.
Pairs that are held together are not independent, so counts are compared request by request.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from caligo_mpi.config import NoiseConfig
from caligo_mpi.engines import Engine, make_engine
from caligo_mpi.engines.noise import TimedEngine
from caligo_mpi.engines.noise.timed import describe_timed, timed_moments
from caligo_mpi.errors import ConfigError
from caligo_mpi.pairs import Pairs, bits, tally
from caligo_mpi.testing import EngineTests

ALARM, LIMIT, SIXTEEN = 1e-6, 4.9, 5.9
ROWS = 1 << 17

LINK = {"fidelity": 0.9, "prob_success": 0.02, "cycle_time_ns": 1000}
MEMORY = {"T1_ns": 3e5, "T2_ns": 1.5e5}
SLOW = {"measure_time_ns": 2e4, "single_qubit_gate_time_ns": 1e4, "gate_depolarizing": 0.05}
UNEVEN = {
    "alice": {"basis_bias": 0.3, "p_read1_given0": 0.02, "p_read0_given1": 0.1},
    "bob": {"basis_bias": 0.7, "p_read1_given0": 0.15, "p_read0_given1": 0.05},
}
STATION = {
    "length_km": 20, "attenuation_db_per_km": 0.25, "p_loss_init": 0.1, "detector_efficiency": 0.6,
    "dark_count_probability": 1e-3, "visibility": 0.85,
}  # fmt: skip
ONE_CLICK = {"type": "heralded-single-click", **STATION}
TWO_CLICKS = {"type": "heralded-double-click", **STATION}
CONFIGS: dict[str, dict[str, Any]] = {
    "every attempt succeeds": {"link": {"fidelity": 0.9, "cycle_time_ns": 1000}},
    "rare": {"link": {**LINK, "prob_success": 1e-4}},
    "pauli, false heralds": {
        "link": {
            "type": "heralded", "pauli": [0.02, 0.01, 0.05], "prob_success": 0.01, "length_km": 25,
            "dark_count_probability": 1e-3,
        },
        **UNEVEN,
    },
    "T2 over the waiting time": {"link": LINK, "device": {"T2_ns": 1e5}, "hold": 2},
    "T1 and T2, density matrices": {"link": LINK, "device": MEMORY, "hold": 3, **UNEVEN},
    "T1 and T2, twirled": {"link": LINK, "device": MEMORY, "hold": 3, "formalism": "ket", **UNEVEN},
    "everything": {"link": LINK, "device": {**MEMORY, **SLOW}, "hold": 6, **UNEVEN},
    "cut-off": {
        "link": LINK, "device": {**MEMORY, **SLOW}, "hold": 4, "max_wait_ns": 90_000, **UNEVEN,
    },
    "sides that differ": {
        "link": LINK, "hold": 3, "alice": {"T1_ns": 2e5, "T2_ns": 3e5, "storage_time_ns": 3e4},
        "bob": {"T2_ns": 8e4, "storage_time_ns": 1e4, "gate_depolarizing": 0.1},
    },
    "one click": {
        "link": ONE_CLICK, "hold": 2, "device": {"T1_ns": 1e8, "T2_ns": 5e7}, **UNEVEN, "max_wait_ns": 3e7,
    },
    "one click, twirled": {
        "link": {**ONE_CLICK, "bright_population": 0.2}, "hold": 2, "formalism": "ket",
        "device": {"T1_ns": 1e7, "T2_ns": 5e6}, **UNEVEN,
    },
    "two clicks": {"link": TWO_CLICKS, "hold": 2, "device": {"T1_ns": 1e7, "T2_ns": 5e6}, **UNEVEN},
}  # fmt: skip


def engine(name: str) -> TimedEngine:
    made = make_engine(NoiseConfig.model_validate({"name": "noise", **CONFIGS[name]}))
    assert isinstance(made, TimedEngine)
    return made


@pytest.fixture(scope="module")
def samples() -> dict[str, Pairs]:
    found = {}
    for number, name in enumerate(CONFIGS):
        one = engine(name)
        rows = ROWS - ROWS % one.expected.hold
        found[name] = one.sample(rows, np.random.SeedSequence(41, spawn_key=(number,)))
    return found


def unpacked(pairs: Pairs) -> list[np.ndarray]:
    return [bits.unpack(column, pairs.count) for column in pairs.columns]


def far(values: np.ndarray, mean: float) -> float:
    """Distance of a mean from its law in its own standard deviations; none may vary by rounding."""
    spread = values.std() / np.sqrt(len(values))
    off = abs(values.mean() - mean)
    return float(off / spread) if spread > 1e-9 * abs(mean) else float(off > 1e-9 * abs(mean)) * 1e9


@pytest.mark.parametrize("name", CONFIGS)
def test_all_sixteen_outcomes_have_their_closed_form(name: str, samples: dict[str, Pairs]) -> None:
    pairs, one = samples[name], engine(name)
    config = NoiseConfig.model_validate({"name": "noise", **CONFIGS[name]})
    moments = timed_moments(describe_timed(config))
    hold = one.expected.hold
    emission = np.arange(pairs.count) if pairs.index is None else pairs.index.astype(np.int64)
    request = emission // hold
    requests = (ROWS - ROWS % hold) // hold
    a_basis, a, b_basis, b = unpacked(pairs)
    x = config.alice.basis_bias, config.bob.basis_bias
    for outcome in product((0, 1), repeat=4):
        A, s, B, t = outcome
        chosen = (x[0] if A else 1 - x[0]) * (x[1] if B else 1 - x[1])
        law = chosen * moments[A, B].probability(s, t) * one.expected.coincidence
        here = (a_basis == A) & (a == s) & (b_basis == B) & (b == t)
        counts = np.bincount(request[here], minlength=requests)
        assert far(counts, hold * law) < SIXTEEN, outcome


@pytest.mark.parametrize("name", CONFIGS)
def test_the_share_of_kept_pairs_is_the_closed_form(name: str, samples: dict[str, Pairs]) -> None:
    pairs, expected = samples[name], engine(name).expected
    if pairs.index is None:
        assert (pairs.count, expected.coincidence) == (ROWS - ROWS % expected.hold, 1.0)
        return
    request = pairs.index.astype(np.int64) // expected.hold
    kept = np.bincount(request, minlength=ROWS // expected.hold)
    assert 0.5 < expected.coincidence < 0.999
    assert far(kept, expected.hold * expected.coincidence) < LIMIT


@pytest.mark.parametrize("name", CONFIGS)
def test_attempts_are_geometric(name: str, samples: dict[str, Pairs]) -> None:
    """χ² over bins of about equal chance; with a cut-off, the last pair of each request is kept."""
    pairs, one = samples[name], engine(name)
    attempts = pairs.extra["attempts"].astype(float)
    success = float(one.thresholds["success"]) / 2**64  # type: ignore[arg-type]
    hold = one.expected.hold
    if pairs.index is not None:
        attempts = attempts[pairs.index % np.uint64(hold) == hold - 1]
    if success == 1:
        assert (attempts == 1).all()
        return
    edges = np.unique(stats.geom.ppf(np.linspace(0.02, 0.98, 49), success))
    chance = np.diff(np.concatenate([[0.0], stats.geom.cdf(edges, success), [1.0]]))
    found = np.histogram(attempts, np.concatenate([[0], edges + 0.5, [np.inf]]))[0]
    assert stats.chisquare(found, len(attempts) * chance).pvalue > ALARM
    assert far(attempts, 1 / success) < LIMIT


@pytest.mark.parametrize("name", CONFIGS)
def test_mean_and_variance_of_times_are_the_closed_forms(
    name: str, samples: dict[str, Pairs]
) -> None:
    pairs, expected = samples[name], engine(name).expected
    assert pairs.time is not None
    ends = np.unique(pairs.time)  # of requests; the last pair of each is kept
    took = np.diff(ends, prepend=0.0)
    assert len(took) == (ROWS - ROWS % expected.hold) // expected.hold
    assert far(took, expected.request_ns) < LIMIT
    squares = (took - expected.request_ns) ** 2
    assert far(squares, expected.request_variance_ns2) < LIMIT or took.std() < 1e-6
    assert pairs.duration_ns == pairs.time[-1]


def test_times_without_gates_are_sums_of_geometric_cycles(samples: dict[str, Pairs]) -> None:
    """Kolmogorov–Smirnov against the negative binomial law, continuous within a cycle."""
    pairs = samples["T1 and T2, density matrices"]
    took = np.diff(np.unique(pairs.time), prepend=0.0) / 1000  # type: ignore[arg-type]
    smooth = took - np.random.default_rng(1).random(len(took))

    def law(x: np.ndarray) -> np.ndarray:
        whole = np.floor(x)
        below, above = (stats.nbinom.cdf(whole + i - 3, 3, 0.02) for i in (0, 1))
        return below + (x - whole) * (above - below)

    assert np.array_equal(took, took.round())
    assert stats.kstest(smooth, law).pvalue > ALARM


def test_every_pair_waits_for_its_own_time() -> None:
    """Errors in X rise with the cycles that a pair waited for: (1 − w·exp(−2t/T2))/2 in each bin."""
    config = {"link": {**LINK, "fidelity": 1.0}, "device": {"T2_ns": 1e5}, "hold": 2}
    one = make_engine(NoiseConfig.model_validate({"name": "noise", **config}))
    pairs = one.sample(1 << 19, np.random.SeedSequence(3))
    waited = pairs.extra["attempts"].astype(float)[1::2]  # of the first pair, for the second
    a_basis, a, b_basis, b = (column[0::2] for column in unpacked(pairs))
    in_x = (a_basis & b_basis).astype(bool)
    errors, law = (a ^ b)[in_x], (1 - np.exp(-2 * 1000 * waited[in_x] / 1e5)) / 2
    for low, high in ((1, 10), (10, 30), (30, 60), (60, 100), (100, 1000)):
        here = (waited[in_x] >= low) & (waited[in_x] < high)
        spread = np.sqrt((law[here] * (1 - law[here])).sum())
        assert abs(errors[here].sum() - law[here].sum()) < LIMIT * spread


def test_dark_counts_alone_are_a_coin_in_both_bases() -> None:
    link = {**TWO_CLICKS, "detector_efficiency": 0.0}
    one = make_engine(NoiseConfig.model_validate({"name": "noise", "link": link}))
    assert (one.expected.qber_z, one.expected.qber_x) == pytest.approx((0.5, 0.5), abs=1e-15)
    pairs = one.sample(1 << 18, np.random.SeedSequence(2))
    found = tally(pairs.columns, pairs.count)
    for errors, sifted in ((found.errors_z, found.sifted_z), (found.errors_x, found.sifted_x)):
        assert abs(errors - sifted / 2) < LIMIT * np.sqrt(sifted) / 2


def test_false_heralds_have_a_state_of_their_own() -> None:
    """With one click and no photon both memories are dark: the pair is |00⟩, not I/4."""
    link = {**ONE_CLICK, "detector_efficiency": 0.0, "bright_population": 0.1}
    one = make_engine(NoiseConfig.model_validate({"name": "noise", "link": link}))
    assert (one.expected.qber_z, one.expected.qber_x) == pytest.approx((0.82, 0.5))
    pairs = one.sample(1 << 16, np.random.SeedSequence(2))
    a_basis, a, _, _ = unpacked(pairs)
    # Alice's bit is 0 with probability 0.81 + 0.18/2 in Z.
    in_z = a[a_basis == 0]
    assert abs(in_z.mean() - 0.1) < LIMIT * np.sqrt(0.09 / len(in_z))


def test_a_cut_off_makes_fidelity_independent_of_distance() -> None:
    """Without one, far stations' pairs decohere; with one, they are fewer, but as good."""

    def rates(prob_success: float, **more: object) -> Any:
        link = {"type": "heralded", "fidelity": 1.0, "prob_success": prob_success, "length_km": 20}
        config = {"name": "noise", "link": link, "device": {"T2_ns": 1e7}, "hold": 2, **more}
        return make_engine(NoiseConfig.model_validate(config)).expected

    near, far_ = rates(0.1, max_wait_ns=1e6), rates(1e-5, max_wait_ns=1e6)
    # The second pair's 0, the first one's 1/2.
    assert rates(1e-5).qber_x == pytest.approx(0.25, abs=0.01)
    assert far_.qber_x < near.qber_x < 0.03
    assert far_.coincidence == pytest.approx(0.5, abs=1e-3)
    assert near.coincidence > 0.8


def test_bell_states_are_equally_likely_and_say_nothing_about_errors(
    samples: dict[str, Pairs],
) -> None:
    pairs = samples["two clicks"]
    states = pairs.extra["bell_state"]
    assert set(states.tolist()) == {1, 2}
    assert abs((states == 1).mean() - 0.5) < LIMIT * 0.5 / np.sqrt(pairs.count)
    a_basis, a, b_basis, b = unpacked(pairs)
    errors = (a ^ b)[a_basis == b_basis]
    minus = states[a_basis == b_basis] == 2
    table = [[(errors[m] == e).sum() for e in (0, 1)] for m in (minus, ~minus)]
    assert stats.chi2_contingency(table).pvalue > ALARM


@pytest.mark.parametrize(
    ("link", "cycle"),
    [
        ({"type": "perfect"}, 1000.0),
        ({"fidelity": 0.9, "length_km": 0.1}, 500.0),
        ({"fidelity": 0.9, "cycle_time_ns": 1 / 3}, 0.333),
        ({**TWO_CLICKS, "detector_efficiency": 1, "cycle_time_ns": 7}, 7.0),
        (TWO_CLICKS, 100_000.0),
    ],
)
def test_an_attempt_takes_the_cycle_or_light_s_way_in_whole_picoseconds(
    link: dict[str, Any], cycle: float
) -> None:
    config = NoiseConfig.model_validate({"name": "noise", "link": link, "hold": 1})
    pairs = make_engine(config).sample(100, np.random.SeedSequence(1))
    reached = pairs.extra["attempts"].cumsum() * (cycle * 1000) / 1000
    assert pairs.time == pytest.approx(reached, rel=1e-15)


def test_an_attempt_that_hardly_ever_succeeds_is_refused() -> None:
    link = {"type": "heralded-double-click", "length_km": 500}
    with pytest.raises(
        ConfigError, match=r"engine\.link: .*probability 5e-11; it must be at least 1e-08"
    ):
        make_engine(NoiseConfig.model_validate({"name": "noise", "link": link}))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"link": {"fidelity": 0.9, "cycle_time_ns": 1e300}}, r"engine\.link: an attempt takes 1e\+300 ns"),
        ({"device": {"measure_time_ns": 1e19}}, r"engine\.device\.measure_time_ns: it takes 1e\+19 ns"),
        ({"bob": {"storage_time_ns": 1e200}}, r"engine\.bob\.storage_time_ns: it takes 1e\+200 ns"),
    ],
)  # fmt: skip
def test_durations_beyond_any_experiment_are_refused(fields: dict[str, Any], sentence: str) -> None:
    config = NoiseConfig.model_validate({"name": "noise", "link": LINK, **fields})
    with pytest.raises(ConfigError, match=sentence + r"; it must be at most 1e\+18"):
        make_engine(config)


# --- the contract ---------------------------------------------------------------------------


class Contract(EngineTests):
    count = 6_000
    case = "everything"

    def engine(self) -> Engine:
        return engine(self.case)


class TestRare(Contract):
    case = "rare"


class TestEverySuccess(Contract):
    case = "every attempt succeeds"


class TestEverything(Contract):
    pass


class TestCutOff(Contract):
    case = "cut-off"


class TestOneClick(Contract):
    case = "one click"


class TestTwoClicks(Contract):
    case = "two clicks"


class TestAThousandHeld(Contract):
    def engine(self) -> Engine:
        config = {
            "name": "noise",
            "link": LINK,
            "device": {**MEMORY, "T2_ns": 1e7, "T1_ns": 1e7},
            "hold": 1000,
        }
        return make_engine(NoiseConfig.model_validate(config))
