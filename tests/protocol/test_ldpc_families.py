from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from helpers import replace_version, stopping_after
from scipy.stats import binom, norm

import caligo_mpi
from caligo_mpi.errors import ConfigError
from caligo_mpi.pairs import Tally
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.protocol import ldpc
from caligo_mpi.protocol.bbm92 import Share, agree
from caligo_mpi.protocol.disclosure import Disclosed
from caligo_mpi.protocol.key_length import binary_entropy
from caligo_mpi.protocol.ldpc import Expected, choice, decoder, plain
from caligo_mpi.protocol.ldpc.code import Code
from caligo_mpi.protocol.ldpc.construct import Within, build, four_cycles
from caligo_mpi.protocol.ldpc.family import Family, Floor, Limit, from_json, split, to_json
from caligo_mpi.protocol.pooled import together
from caligo_mpi.protocol.run import plan_blocks, run_block, run_protocol
from caligo_mpi.protocol.sift import rows
from caligo_mpi.protocol.transcript import Transcript
from caligo_mpi.protocol.types import Announced, Premises, QberEstimate
from caligo_mpi.runs import distill as distilling
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.job import Observer
from caligo_mpi.store.keys import keys_status, read_keys

NAMES = ldpc.available_families()
#: Few rows and short words, so that numpy decodes them in no time.
CODE = build(
    "", rows=24, degrees={2: 20, 3: 64, 12: 12}, lift=128, seed=1, within=Within(depth=2, reach=64)
)
TURNED = np.where(CODE.base < 0, CODE.base, (CODE.base.astype(int) * 2 + 5) % 130).astype(np.int16)
SMALL = Family("small", 128, CODE.base, (Limit(0, 0.02, 0.05, 1), Limit(6, 0.026, 0.05, 1)))


def source(seed: int = 1) -> np.random.PCG64:
    return np.random.PCG64(seed)


def noisy(shape, qber, *, seed):
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, shape, np.uint8)
    return alice, alice ^ (rng.random(shape) < qber).view(np.uint8)


def disclosed(alice, bob, qber):
    tested = QberEstimate(round(qber * 100_000), 100_000, 0, 1, 0.9)
    return Disclosed(tested, tested, Tally(), alice, bob)


@pytest.mark.parametrize("name", NAMES)
def test_no_family_has_a_cycle_of_four_at_any_lift(name):
    found = ldpc.load_family(name)
    assert found.base.max() < found.least_lift // 2
    for splits in (0, found.splits):
        assert four_cycles(found.code(found.least_lift, splits)) == 0
    degrees = np.count_nonzero(found.base >= 0, axis=0)
    assert degrees.min() >= 2
    assert degrees.max() * plain.LIMIT + plain.SURE <= 32767


def test_what_is_no_cycle_in_integers_is_none_at_longer_lifts():
    assert [four_cycles(SMALL.code(lift)) for lift in (128, 129, 151, 440)] == [0] * 4


@pytest.mark.parametrize("name", NAMES)
def test_words_were_tried_where_a_code_promises_what_it_does(name):
    found = ldpc.load_family(name)
    most = found.splits
    assert {limit.splits for limit in found.limits} >= {0, most // 2, most}
    assert all(limit.frames >= 30 for limit in found.limits)
    assert found.trials
    for trial in found.trials:
        length = trial.lift * found.columns
        assert trial.qber == choice.reaches(found, trial.splits, length, trial.promise)


@pytest.mark.parametrize("name", NAMES)
def test_words_failed_no_more_often_than_promised(name):
    for trial in ldpc.load_family(name).trials:
        assert trial.failures <= binom.isf(0.05, trial.frames, trial.promise)


def test_splits_are_nested():
    # What was told of a whole check is the sum of what is told of its halves.
    bits, _ = noisy((3, 96 * 130), 0, seed=2)
    whole = ldpc.syndrome(SMALL.code(130), bits).reshape(3, -1, 130)
    parts = ldpc.syndrome(SMALL.code(130, 6), bits).reshape(3, -1, 130)
    assert parts.shape[1] == whole.shape[1] + 6
    assert (parts[:, :6] ^ parts[:, 24:] == whole[:, :6]).all()
    assert (parts[:, 6:24] == whole[:, 6:]).all()
    halves = np.count_nonzero(split(SMALL.base, 6) >= 0, axis=1)
    assert abs(halves[:6] - halves[24:]).max() <= 1


def test_long_circulants_give_the_same_syndromes():
    code = SMALL.code(128, 3)
    bits, _ = noisy((4, code.n), 0, seed=3)
    expected = [np.bitwise_xor.reduce(bits[:, layer], axis=1) for layer in code.layers]
    assert (ldpc.syndrome(code, bits) == np.concatenate(expected, axis=1)).all()


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
@pytest.mark.parametrize("code", [SMALL.code(131, 2), Code("turned", 130, TURNED)])
def test_words_one_by_one_decode_as_frames_side_by_side(monkeypatch, code):
    # lifts that are no multiple of a vector register, shifts below half of them and up to the longest
    alice, bob = noisy((6, code.n), 0.022, seed=4)
    told = ldpc.syndrome(code, alice)
    told[5] ^= np.arange(code.m, dtype=np.uint8) % 2  # cannot converge
    known = code.shorten_order[:50]
    bob[:, known] = alice[:, known]
    assert decoder._words() is not None
    found = ldpc.decode(
        code, bob, told, qber=0.022, exempt=ldpc.Exempt(known=known), max_iterations=30
    )
    monkeypatch.setattr(decoder, "_kernel", lambda: plain)
    expected = ldpc.decode(
        code, bob, told, qber=0.022, exempt=ldpc.Exempt(known=known), max_iterations=30
    )
    for one, other in zip(found, expected, strict=True):
        assert (one == other).all()
    assert not found[1][5]
    assert 2 <= found[1].sum() <= 5


def test_a_family_measured_anew_is_known_as_it_was_first():
    first = ldpc.load_family("b122x1024", as_first=True)
    again = ldpc.load_family("b122x1024")
    assert [limit.splits for limit in first.limits] == [0, 27, 55]
    assert first.limits == again.first_limits != again.limits
    assert (first.base == again.base).all()
    for name in NAMES:
        assert ldpc.load_family(name, as_first=True).floor == 0


def test_families_survive_json():
    again = from_json(to_json(SMALL))
    assert (again.base == SMALL.base).all()
    assert (again.name, again.least_lift, again.limits) == ("small", 128, SMALL.limits)
    assert SMALL.limit(3).qber == pytest.approx(0.023)
    with pytest.raises(
        ConfigError, match="lift=100 is too short for small: it must be at least 128"
    ):
        SMALL.code(100)
    with pytest.raises(ConfigError, match="family='n17' does not exist; choose one of b0"):
        ldpc.load_family("n17")


def test_the_table_of_tails_is_that_of_the_normal_distribution():
    for share, begin in choice.TAILS:
        assert norm.sf(begin) == pytest.approx(share, rel=1e-3)
    assert choice.deviations(1e-6) == float("inf")


@pytest.mark.parametrize(
    ("qber", "most"), [(0.01, 1.25), (0.02, 1.21), (0.03, 1.21), (0.05, 1.21), (0.08, 1.21)]
)
def test_the_code_chosen_costs_little(qber, most):
    expected = Expected.of(round(qber * 100_000), 100_000)
    layout = choice.choose_cheapest(450_000, expected)
    assert layout.words == 1
    f = layout.leak_bits / 450_000 / binary_entropy(qber)
    assert 1.05 < f < most
    safe = choice.choose_safe(4_500_000, Expected(qber), 0.01)
    assert safe.words == 5
    first = choice.choose_safe(4_500_000, Expected(qber), 0.01, as_first=True)
    assert first.words == 10
    assert safe.leak_bits < first.leak_bits
    doubting = choice.choose_safe(4_500_000, expected, 0.01)
    assert safe.leak_bits < doubting.leak_bits
    found, first = choice.choose_range(450_000, expected)
    assert found.share(first) < layout.code.m / layout.code.n


def test_what_long_codes_cannot_correct_is_left_to_the_others():
    assert choice.choose_cheapest(450_000, Expected(0.2)) is None
    assert choice.choose_safe(100_000, Expected(0.02), 0.01) is None
    assert choice.choose_safe(1_000_000, Expected(0.02), 1e-5) is None
    assert ldpc.choose_long_code(7000, Expected(0.02)) is None
    code = ldpc.choose_first_long_code(7000, 0.02)
    assert code.layout.code.name.startswith("n4096")


def test_a_floor_counts_against_what_may_fail(monkeypatch):
    def chosen(*floors):
        floored = replace(
            SMALL, limits=(Limit(0, 0.02, 0.01, 1), Limit(6, 0.026, 0.01, 1)), floors=floors
        )
        monkeypatch.setattr(choice, "_families", lambda size, as_first: [floored])
        return choice.choose_safe(1_000_000, Expected(0.01955), 0.01)

    lift = 1_000_000 // SMALL.columns
    assert chosen().leak_bits <= chosen(Floor(0, lift, 0.01, 1000, 2, 0)).leak_bits
    # Nine in a thousand leave one in a thousand to all else, ten leave nothing.
    assert chosen().leak_bits < chosen(Floor(0, lift, 0.01, 1000, 9, 0)).leak_bits
    assert chosen(Floor(0, lift, 0.01, 1000, 11, 0)) is None
    assert Family("none", 128, CODE.base).floor == 0


def test_one_way_reconciles_long_keys():
    alice, bob = noisy((2, 200_000), 0.03, seed=5)
    results = ldpc.reconcile_long(alice, bob, expected=Expected(0.03, 0.0004))
    for result, own in zip(results, alice, strict=True):
        assert result.ok
        assert (result.bits == own).all()
        assert result.messages == 1
        assert result.leak_bits < 1.2 * 200_000 * binary_entropy(0.03)


def test_blind_counts_the_syndrome_of_the_code_as_it_is_in_the_end():
    alice, bob = noisy((1, 200_000), 0.03, seed=6)
    expected = Expected(0.03, 0.0004)
    (result,) = ldpc.reconcile_nested(alice, bob, expected=expected)
    assert result.ok
    assert (result.bits == alice[0]).all()
    found, first = choice.choose_range(200_000, expected)
    rounds = (result.messages - 1) // 2
    step = max(1, len(found.base) // 100)
    lift = choice.lift_for(found, 200_000)
    assert result.leak_bits == lift * (len(found.base) + first + rounds * step)
    one_way = choice.choose_cheapest(200_000, expected)
    assert result.leak_bits < one_way.leak_bits


def codeword(base):
    """A word that no check sees: constant on every circulant, from the null space of the base matrix modulo 2."""
    held = (base >= 0).astype(np.uint8)
    matrix, pivots = held.copy(), []
    for column in range(held.shape[1]):
        at = len(pivots)
        rows = at + np.flatnonzero(matrix[at:, column])
        if not len(rows):
            break
        matrix[[at, rows[0]]] = matrix[[rows[0], at]]
        others = np.flatnonzero(matrix[:, column])
        matrix[others[others != at]] ^= matrix[at]
        pivots.append(column)
    word = np.zeros(held.shape[1], np.uint8)
    word[column] = 1
    word[pivots] = matrix[: len(pivots), column]
    assert not (held @ word % 2).any()
    return word


@pytest.mark.parametrize("method", ["ldpc", "ldpc-blind"])
def test_a_wrong_word_that_meets_the_syndrome_is_caught_by_its_tag(method):
    size = 1 << 18
    alice, _ = noisy((2, size), 0, seed=7)
    expected = Expected.of(2000, 100_000)
    if method == "ldpc":
        code = choice.choose_cheapest(size, expected).code
    else:
        found, first = choice.choose_range(size, expected)
        code = found.code(choice.lift_for(found, size), first)
    assert code.n == size
    planted = alice.copy()
    planted[1] ^= np.repeat(codeword(code.base), code.lift)
    tested = disclosed(alice, planted, 0.02)
    config = caligo_mpi.parse_protocol({"mode": "bbm92", "seed": 1, "reconciliation": method})
    talk = Transcript(0.0)
    share = Share(1e-10, 1e-15, stream_version=5)
    agreed = agree(tested, config, share, source=source(), talk=talk)
    assert (agreed.bob[1] == planted[1]).all()  # Bob's decoder is content
    assert agreed.same.tolist() == [True, False]
    # the frame that is lost counts as told from end to end
    assert talk.leak_bits == agreed.leaks[0] + size + agreed.tag_bits // 2 + 2


@pytest.mark.parametrize(
    ("method", "bound"), [("ldpc", 1.20), ("ldpc-blind", 1.14)]
)  # of 450,000 bits
def test_a_block_of_a_million_pairs_is_reconciled_near_the_limit(pairs, method, bound):
    made = pairs(1_000_000, qber=0.03, seed=8)
    keys = run_protocol(made, {"mode": "bbm92", "seed": 1, "reconciliation": method})
    (block,) = keys.blocks
    assert (block.frames, block.failed_frames) == (1, 0)
    assert keys.alice.tobytes() == keys.bob.tobytes()
    assert block.leak_bits / (block.reconciled_bits * binary_entropy(0.03)) < bound


@pytest.mark.parametrize(
    ("changes", "rows", "version"),
    [
        ({"reconciliation": "ldpc"}, 1_000_000, 5),
        ({"reconciliation": "ldpc", "block_size": 1_000_000}, 2_000_000, 6),
        ({"reconciliation": "ldpc-blind", "block_size": 1_000_000}, 2_000_000, 5),
        ({"reconciliation": "ldpc-blind", "frame_bits": 200_000}, 1_000_000, 5),
        ({"reconciliation": "ldpc", "frame_bits": 57_000}, 1_000_000, 2),
        ({"reconciliation": "ldpc"}, 999_000, 2),
        ({}, 5_000_000, 2),
    ],
)
def test_only_new_kinds_of_keys_have_a_new_version(tmp_path, changes, rows, version):
    engine = {"name": "noise", "link": {"fidelity": 0.97}}
    generate(
        caligo_mpi.parse_config({"pairs": rows, "seed": 1, "engine": engine}), tmp_path / "r.h5"
    )
    config = {"mode": "bbm92", "seed": 1, **changes}
    task = prepare(tmp_path / "r.h5", caligo_mpi.parse_protocol(config))
    assert (task.info.stream_version, task.source.premises.stream_version) == (version, version)


@pytest.mark.parametrize(
    ("rows", "before", "now"),
    [(1_000_000, 2, 5), (1_000_000, 3, 5), (2_000_000, 3, 6), (2_000_000, 4, 6)],
)
def test_keys_go_on_with_the_codes_they_were_begun_with(tmp_path, rows, before, now):
    engine = {"name": "noise", "link": {"fidelity": 0.97}}
    generate(
        caligo_mpi.parse_config({"pairs": rows, "seed": 1, "engine": engine}),
        tmp_path / "r.h5",
    )
    task = prepare(tmp_path / "r.h5", caligo_mpi.parse_protocol(SEVERAL))
    older = replace_version(task, before)
    distill(older, tmp_path / "keys.h5", map=lambda setup, items: serial_map(setup, items[:0]))
    distill(task, tmp_path / "keys.h5")
    assert keys_status(tmp_path / "keys.h5").info.stream_version == before
    assert read_keys(tmp_path / "keys.h5").digest == distill(older, tmp_path / "o.h5").keys.digest
    assert distill(task, tmp_path / "n.h5").info.stream_version == now


@pytest.mark.parametrize(
    ("method", "version", "expected"),
    [
        ("ldpc", 3, "6413498e15239b26"),
        ("ldpc", 4, "aa0e3cb540c53119"),
        ("ldpc-blind", 3, "31d0357a9b7bbf7f"),
    ],
)
def test_keys_begun_by_what_codes_were_taken_for_are_what_they_were(
    tmp_path, method, version, expected
):
    engine = {"name": "noise", "link": {"fidelity": 0.975}}
    generate(
        caligo_mpi.parse_config({"pairs": 2_000_000, "seed": 1, "engine": engine}),
        tmp_path / "r.h5",
    )
    config = caligo_mpi.parse_protocol({**SEVERAL, "reconciliation": method})
    older = replace_version(prepare(tmp_path / "r.h5", config), version)
    assert distill(older, tmp_path / "keys.h5").keys.digest.startswith(expected)


# ── the tests of all blocks ──────────────────────────────────────────────────────────────────────

SEVERAL = {"mode": "bbm92", "seed": 1, "reconciliation": "ldpc", "block_size": 1_000_000}


def counted(errors: int) -> QberEstimate:
    return QberEstimate(errors, 100_000, 0, 1, 0.9)


def test_blocks_that_are_alike_know_the_rate_of_all_of_them():
    tests = [counted(errors) for errors in (1000, 1040, 980, 1010, 990)]
    found = together([*tests, QberEstimate(0, 0, 0, 1, 0.9)])
    assert found == Announced(5020, 500_000)
    expected = choice.expect(tests[1], found)
    assert expected == Expected.of(5020, 500_000)
    assert choice.expect(tests[1]) == Expected.of(1040, 100_000)


def test_blocks_that_differ_go_by_their_own_tests():
    rng = np.random.default_rng(9)
    rates = rng.normal(0.02, 0.004, 200)
    tests = [counted(int(errors)) for errors in rng.binomial(100_000, rates)]
    found = together(tests)
    assert found.drift**0.5 == pytest.approx(0.004, rel=0.15)
    expected = [choice.expect(test, found) for test in tests]
    away = [(one.qber - rate) / one.doubt for one, rate in zip(expected, rates, strict=True)]
    assert np.std(away) == pytest.approx(1, abs=0.15)
    assert np.mean(away) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("counts", [[], [(0, 50)], [(50, 50)], [(1013, 49_962)], [(0, 9), (0, 9)]])
def test_tests_that_show_nothing_of_a_drift_show_none(counts):
    found = together([QberEstimate(*count, 0, 1, 0.9) for count in counts])
    assert found.drift == 0
    assert (found.errors, found.tested) == (sum(e for e, _ in counts), sum(k for _, k in counts))


def test_all_blocks_go_by_the_tests_of_all_wherever_they_are_distilled(tmp_path):
    engine = {"name": "noise", "link": {"fidelity": 0.985}}
    run = caligo_mpi.parse_config({"pairs": 2_000_000, "seed": 1, "engine": engine})
    generate(run, tmp_path / "r.h5")
    pairs = caligo_mpi.generate_pairs(run).packed()
    config = caligo_mpi.parse_protocol(SEVERAL)
    keys = run_protocol(pairs, config)
    assert keys.alice.tobytes() == keys.bob.tobytes()
    # Nothing but what both announced: the test bits, which are in no key.
    announced = together([block.estimate for block in keys.blocks])
    assert [block.announced for block in keys.blocks] == [announced] * 2
    plan = plan_blocks(pairs.count, config)
    told = Premises(stream_version=6, announced=announced)
    for block in reversed(plan):
        part = rows(pairs, block.start, block.count)
        alone = run_block(part, config, block=block, blocks=2, premises=told)
        assert alone.alice.tobytes() == keys.blocks[block.index].alice.tobytes()
    task = prepare(tmp_path / "r.h5", config)
    for tests_and_blocks in (1, 3):
        path = tmp_path / f"stopped-{tests_and_blocks}.h5"
        assert distill(task, path, map=stopping_after(tests_and_blocks)).keys is None
        part = path.with_name(path.name + ".part")
        asked, touched = [], []

        def listening(setup, items, part=part, asked=asked, touched=touched):
            asked.append(list(items))
            for found in serial_map(setup, items):
                before = part.stat().st_mtime_ns
                yield found
                touched.append(part.stat().st_mtime_ns > before)

        distill(task, path, map=listening)
        assert all(touched[:-1])  # also where nothing is written; the last one's file is published
        found = read_keys(path)
        assert found.alice.tobytes() == keys.alice.tobytes()
        # What the tests showed stands in the partial file once there is a block.
        assert asked == ([[0, 1], [0, 1]] if tests_and_blocks == 1 else [[1]])


def test_a_long_first_pass_says_how_far_it_is(tmp_path, monkeypatch):
    engine = {"name": "noise", "link": {"fidelity": 0.985}}
    run = caligo_mpi.parse_config({"pairs": 3_000_000, "seed": 1, "engine": engine})
    generate(run, tmp_path / "r.h5")
    task = prepare(tmp_path / "r.h5", caligo_mpi.parse_protocol(SEVERAL))
    said = []

    class Listener(Observer):
        def say(self, message):
            said.append(message)

    distill(task, tmp_path / "quick.h5", observer=Listener())
    assert not said
    monkeypatch.setattr(distilling, "_SAY_SECONDS", 0.0)
    distill(task, tmp_path / "keys.h5", observer=Listener())
    assert len(said) == 3
    for done, message in enumerate(said, 1):
        assert message.startswith(f"first the tests of all blocks: {done} of 3, ")
        assert message.endswith(" left")


def test_more_tests_make_a_code_tell_less(pairs):
    made = pairs(1_000_000, qber=0.01, seed=10)
    config = caligo_mpi.parse_protocol(SEVERAL)
    (block,) = plan_blocks(made.count, config)
    leaks = []
    for announced in (None, Announced(5000, 500_000)):
        told = Premises(stream_version=6, announced=announced)
        found = run_block(made, config, block=block, blocks=1, premises=told)
        assert found.failed_frames == 0
        leaks.append(found.leak_bits)
    assert leaks[1] < 0.99 * leaks[0]
