from copy import deepcopy
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from caligo_mpi.config.protocol import Bbm92Config
from caligo_mpi.pairs import Pairs, bits, tally
from caligo_mpi.protocol import cascade
from caligo_mpi.protocol.bbm92 import Share, agree, announce_bases, report
from caligo_mpi.protocol.disclosure import disclose, frame_shape
from caligo_mpi.protocol.draw import ALICE, stream
from caligo_mpi.protocol.key_length import binary_entropy, finite_key_length
from caligo_mpi.protocol.run import combine, plan_blocks, run_block, run_protocol
from caligo_mpi.protocol.sift import as_arrays, rows
from caligo_mpi.protocol.transcript import Transcript
from caligo_mpi.protocol.types import Abort, Block, Premises, Reconciled

CONFIG = Bbm92Config(mode="bbm92", seed=1, block_size=400_000, frame_bits=10_000)


def config(**changes):
    return CONFIG.model_copy(update=changes)


@pytest.mark.parametrize("reconciliation", ["cascade", "cascade-low-leak"])
def test_keys_are_equal_and_as_long_as_the_formula_says(pairs, reconciliation):
    got = run_protocol(
        pairs(2_000_000, qber=0.02, seed=1),
        config(block_size=1_000_000, reconciliation=reconciliation),
    )
    assert not got.aborts
    assert len(got.blocks) == 2
    assert got.alice.tobytes() == got.bob.tobytes()
    assert len(got.alice) == bits.nbytes(got.key_bits)
    for block in got.blocks:
        n = block.reconciled_bits
        assert block.estimate.low < 0.02 < block.estimate.high
        assert block.corrected / n == pytest.approx(0.02, abs=0.001)
        parities = sum(m.leak_bits for m in block.messages if m.what == f"{reconciliation} answers")
        efficiency = parities / (n * binary_entropy(block.corrected / n))
        assert 1.0 < efficiency < 1.2
        formula = finite_key_length(
            key_bits=n,
            test_bits=block.estimate.tested,
            qber=block.estimate.qber,
            leak_bits=efficiency * n * binary_entropy(block.corrected / n),
            epsilon_sec=0.5e-10,
            epsilon_cor=0.5e-15,
        )
        assert 0.97 * formula < block.key_bits <= formula
        assert block.key_bits == finite_key_length(
            key_bits=n,
            test_bits=block.estimate.tested,
            qber=block.estimate.qber,
            leak_bits=block.leak_bits,
            epsilon_sec=0.5e-10,
            epsilon_cor=0.5e-15,
        )


@pytest.mark.parametrize("reconciliation", ["ldpc", "ldpc-blind"])
def test_keys_are_equal_with_syndrome_codes(pairs, reconciliation):
    got = run_protocol(pairs(400_000, qber=0.02, seed=1), config(reconciliation=reconciliation))
    (block,) = got.blocks
    assert got.alice.tobytes() == got.bob.tobytes()
    assert got.key_bits > 10_000
    assert block.failed_frames <= 1
    assert block.decoded
    (answers,) = [m for m in block.messages if m.what == f"{reconciliation} answers"]
    assert answers.leak_bits > block.reconciled_bits * binary_entropy(
        block.corrected / block.reconciled_bits
    )
    if reconciliation == "ldpc":
        assert [m.sender for m in block.messages if m.what.startswith("ldpc")] == ["alice"]
        assert answers.count == block.frames


@pytest.mark.parametrize(
    ("method", "messages", "expected"),
    [
        ("cascade", (10, 14), [("bob", 300, 0, 12), ("alice", 300, 300, 12)]),
        ("ldpc", (1, 1), [("alice", 300, 300, 2)]),
        ("ldpc-blind", (1, 7), [("bob", 3, 0, 3), ("alice", 300, 300, 5)]),
    ],
)
def test_answers_leak_and_questions_do_not(method, messages, expected):
    talk = Transcript()
    none = np.zeros(0, np.uint8)
    report([Reconciled(none, 100, messages[0]), Reconciled(none, 200, messages[1])], method, talk)
    assert [(m.sender, m.bits, m.leak_bits, m.count) for m in talk.messages] == expected


def test_an_error_rate_no_code_corrects_aborts(pairs):
    loose = config(reconciliation="ldpc", qber_limit=0.5, epsilon_sec=0.5, epsilon_cor=0.5)
    p = phase_noise(400_000, qber_z=0.45, qber_x=0.0, seed=7)
    (abort,) = run_protocol(p, loose.model_copy(update={"test": "X"})).aborts
    assert abort.step == "reconcile"
    assert "is more than the codes here correct" in abort.reason


def test_leak_counts_every_disclosed_bit_once(pairs):
    (block,) = run_protocol(pairs(200_000, qber=0.03, seed=2), CONFIG).blocks
    leaks = {m.what: m.leak_bits for m in block.messages if m.leak_bits}
    tag_bits = 53  # 2^-53 ≤ 1e-15 / 9 frames
    assert block.frames == 9
    assert leaks.keys() == {"cascade-low-leak answers", "tags", "frames whose tags agree"}
    assert (leaks["tags"], leaks["frames whose tags agree"]) == (9 * tag_bits, 9)
    assert block.tag_bits == 9 * tag_bits
    assert block.leak_bits == sum(leaks.values())
    expected = finite_key_length(
        key_bits=block.reconciled_bits,
        test_bits=block.estimate.tested,
        qber=block.estimate.qber,
        leak_bits=block.leak_bits,
        epsilon_sec=1e-10,
        epsilon_cor=1e-15,
    )
    assert block.key_bits == expected > 0


def test_messages_come_in_the_order_of_the_protocol(pairs):
    (block,) = run_protocol(pairs(100_000, qber=0.02, seed=2, duration_ns=7.0), CONFIG).blocks
    assert [(m.sender, m.what) for m in block.messages] == [
        ("bob", "bases"),
        ("alice", "bases"),
        ("alice", "sample positions"),
        ("alice", "test bits"),
        ("bob", "test bits"),
        ("bob", "cascade-low-leak questions"),
        ("alice", "cascade-low-leak answers"),
        ("alice", "tags"),
        ("bob", "frames whose tags agree"),
        ("alice", "Toeplitz seed"),
    ]
    assert [m.bits for m in block.messages[:2]] == [100_000, 100_000]
    assert block.messages[-1].bits == block.reconciled_bits + block.key_bits - 1
    assert {m.time_ns for m in block.messages} == {7.0}


def test_blocks_may_run_anywhere_in_any_order(pairs):
    p = pairs(130_003, qber=0.01, seed=3)
    small = config(block_size=40_000)
    whole = run_protocol(p, small)
    plan = plan_blocks(p.count, small)
    assert [(b.start, b.count) for b in plan] == [(0, 43_336), (43_336, 43_336), (86_672, 43_331)]
    backwards = [
        run_block(rows(p, b.start, b.count), small, block=b, blocks=3) for b in reversed(plan)
    ]
    again = combine(backwards, small)
    assert again.alice.tobytes() == whole.alice.tobytes()
    assert [b.block.index for b in again.blocks] == [0, 1, 2]
    assert whole.key_bits == sum(b.key_bits for b in whole.blocks) > 0
    assert (whole.pairs, whole.choice) == (130_003, None)
    joined = np.concatenate([bits.unpack(b.bob, b.key_bits) for b in whole.blocks])
    assert bits.pack(joined).tobytes() == whole.bob.tobytes()


def test_same_seed_gives_the_same_key_and_another_another(pairs):
    p = pairs(100_000, qber=0.02, seed=4)
    first, again, other = (run_protocol(p, config(seed=seed)) for seed in (5, 5, 6))
    assert first.alice.tobytes() == again.alice.tobytes()
    assert first.blocks[0].messages == again.blocks[0].messages
    n = min(first.key_bits, other.key_bits)
    assert 0.45 < (bits.unpack(first.alice, n) ^ bits.unpack(other.alice, n)).mean() < 0.55


@pytest.mark.parametrize(
    ("version", "expected"), [(1, (11284, "56d8ed1e0e549a31")), (2, (11306, "9aa3f8e2f48d4cb7"))]
)
def test_keys_are_the_same_on_every_machine(pairs, version, expected):
    p = pairs(60_000, qber=0.01, seed=4)
    got = run_protocol(
        p, config(reconciliation="cascade"), premises=Premises(stream_version=version)
    )
    assert (got.key_bits, sha256(got.alice.tobytes()).hexdigest()[:16]) == expected


def test_keys_are_balanced(pairs):
    got = run_protocol(pairs(400_000, qber=0.01, seed=5), CONFIG)
    ones = bits.count_ones(got.alice)
    assert abs(ones - got.key_bits / 2) < 5 * got.key_bits**0.5 / 2


@pytest.mark.parametrize("count", [*range(20), 999, 7999, 8000, 8001, 24_007, 1_000_003])
def test_plan_covers_every_row_once(count):
    plan = plan_blocks(count, config(block_size=8000))
    assert [b.index for b in plan] == list(range(len(plan)))
    assert plan[0].start == 0
    assert [b.start for b in plan[1:]] == [b.start + b.count for b in plan[:-1]]
    assert plan[-1].start + plan[-1].count == count
    assert all(b.start % 8 == 0 for b in plan)
    assert len(plan) == max(1, count // 8000)


def test_pairs_of_another_block_are_refused(pairs):
    with pytest.raises(ValueError, match="100 pairs were given for a block of 200"):
        run_block(pairs(100, qber=0, seed=1), CONFIG, block=Block(0, 0, 200), blocks=1)


# -- tests in one basis ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("test", "bias"), [("X", 0.2), ("Z", 0.8)])
def test_key_from_one_basis_is_tested_in_the_other(pairs, test, bias):
    p = pairs(400_000, qber=0.01, seed=6, bias=bias)
    got = run_protocol(p, config(test=test, test_fraction=0.02))
    plain = as_arrays(p)
    sifted = plain.alice_basis[plain.alice_basis == plain.bob_basis]
    tested = int((sifted == (test == "X")).sum())
    (block,) = got.blocks
    assert block.estimate.tested == tested
    assert block.estimate.tested + block.reconciled_bits == pytest.approx(len(sifted), rel=0.03)
    assert got.alice.tobytes() == got.bob.tobytes()
    random_test = run_protocol(pairs(400_000, qber=0.01, seed=6), CONFIG)
    assert got.key_bits > random_test.key_bits > 0


def phase_noise(count, *, qber_z, qber_x, seed):
    rng = np.random.default_rng(seed)
    alice_basis, bob_basis = rng.random((2, count)) < 0.5
    alice = rng.integers(0, 2, count, np.uint8)
    error = np.where(alice_basis != bob_basis, 0.5, np.where(alice_basis, qber_x, qber_z))
    bob = alice ^ (rng.random(count) < error)
    return Pairs(np.stack([bits.pack(c) for c in (alice_basis, alice, bob_basis, bob)]), count)


def test_the_other_basis_bounds_what_is_known_and_the_own_what_is_corrected():
    p = phase_noise(400_000, qber_z=0.005, qber_x=0.05, seed=7)
    (in_z,) = run_protocol(p, config(test="X")).blocks
    (in_x,) = run_protocol(p, config(test="Z")).blocks
    assert in_z.estimate.qber == pytest.approx(0.05, abs=0.005)
    assert in_x.estimate.qber == pytest.approx(0.005, abs=0.002)
    assert in_z.corrected / in_z.reconciled_bits == pytest.approx(0.005, abs=0.001)
    assert in_x.corrected / in_x.reconciled_bits == pytest.approx(0.05, abs=0.003)
    assert 5 * in_z.leak_bits < 1.5 * in_x.leak_bits
    assert in_z.decoded
    assert in_x.decoded


def test_biased_bases_cannot_be_tested_at_random(pairs):
    (abort,) = run_protocol(pairs(50_000, qber=0.01, seed=8, bias=0.4), CONFIG).aborts
    assert abort.step == "sift"
    assert abort.reason.startswith("bases were not chosen evenly")


# -- aborts ---------------------------------------------------------------------------------------------------


def test_error_rate_over_the_limit_aborts(pairs):
    got = run_protocol(pairs(200_000, qber=0.06, seed=9), config(qber_limit=0.05))
    (abort,) = got.aborts
    assert (abort.step, abort.reason) == ("estimate", "the error rate is over the limit")
    assert abort.numbers["qber"] == pytest.approx(0.06, abs=0.01)
    assert abort.numbers["qber_limit"] == 0.05
    assert (got.key_bits, got.alice.size, got.bob.size) == (0, 0, 0)
    assert [m.what for m in got.blocks[0].messages][-1] == "test bits"


@pytest.mark.parametrize("test", ["X", "Z"])
def test_either_basis_over_the_limit_aborts(test):
    p = phase_noise(100_000, qber_z=0.005, qber_x=0.05, seed=7)
    (abort,) = run_protocol(p, config(test=test, qber_limit=0.03)).aborts
    assert abort.reason == "the error rate is over the limit"


def test_nothing_to_test_aborts(pairs):
    (abort,) = run_protocol(pairs(50_000, qber=0.01, seed=8, bias=0.0), config(test="X")).aborts
    assert (abort.step, abort.reason) == ("sift", "too few pairs")
    assert abort.numbers == {"sifted": 50_000, "in_key_basis": 50_000}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 9, 33])
def test_hardly_any_pairs_abort(pairs, count):
    got = run_protocol(pairs(count, qber=0.0, seed=10), CONFIG)
    assert got.key_bits == 0
    assert len(got.aborts) == 1


def test_too_few_pairs_for_the_epsilons_abort(pairs):
    (abort,) = run_protocol(pairs(2000, qber=0.01, seed=11), CONFIG).aborts
    assert abort.step == "estimate"
    assert abort.reason == "too few pairs for the error rate and the failure probabilities"


def test_a_leak_that_eats_the_key_aborts(pairs):
    (abort,) = run_protocol(pairs(50_000, qber=0.06, seed=12), CONFIG).aborts
    assert (abort.step, abort.reason) == ("amplify", "no secret bits are left")
    assert abort.numbers["leak_bits"] > 0


def test_sides_of_two_different_runs_give_no_key(pairs):
    one, other = pairs(100_000, qber=0, seed=13), pairs(100_000, qber=0, seed=14)
    mixed = Pairs(np.concatenate([one.columns[:2], other.columns[2:]]), 100_000)
    (abort,) = run_protocol(mixed, CONFIG).aborts
    assert abort.step == "estimate"
    assert abort.numbers["qber"] == pytest.approx(0.5, abs=0.05)


def test_one_bad_block_costs_only_itself(pairs):
    p = pairs(120_000, qber=0.01, seed=15)
    noise = np.random.default_rng(1).integers(0, 256, 5000, np.uint8)
    p.columns[3, 5000:10_000] ^= noise
    got = run_protocol(p, config(block_size=40_000))
    assert [bool(b.abort) for b in got.blocks] == [False, True, False]
    assert got.alice.tobytes() == got.bob.tobytes()
    assert got.key_bits == got.blocks[0].key_bits + got.blocks[2].key_bits > 0


# -- one party's data never reaches the other but by messages --------------------------------------------------


def test_outcomes_nobody_announces_change_nothing(pairs):
    # Alice's outcomes where bases differ are hers alone: with garbage in their place all stays the same.
    p = pairs(100_000, qber=0.02, seed=16)
    columns = p.columns.copy()
    differ = columns[0] ^ columns[2]
    columns[1] ^= differ & np.random.default_rng(2).integers(0, 256, columns[1].shape, np.uint8)
    assert (columns[1] != p.columns[1]).mean() > 0.5
    before, after = run_protocol(p, CONFIG), run_protocol(replace(p, columns=columns), CONFIG)
    assert before.bob.tobytes() == after.bob.tobytes()
    assert before.blocks[0].messages == after.blocks[0].messages


def test_bob_corrects_from_alices_answers_alone(pairs):
    # Bob's half of Cascade, given what Alice answered instead of Alice: the same key.
    tested, _, _ = at_reconciliation(pairs(100_000, qber=0.02, seed=17))
    answers = []

    class Recorder(cascade.Oracle):
        def parities(self, *question):
            answers.append(super().parities(*question))
            return answers[-1]

    class Player:
        said = iter(answers)

        def open_pass(self, order):
            pass

        def parities(self, *question):
            return next(self.said)

    heard, _ = cascade.correct(Recorder(tested.alice), tested.bob, qber=0.02, seed=5)
    replayed, _ = cascade.correct(Player(), tested.bob, qber=0.02, seed=5)
    assert (heard == tested.alice).all()
    assert (replayed == heard).all()


def at_reconciliation(p, **changes):
    talk, source = Transcript(), stream(1, 0, ALICE)
    tested = disclose(*announce_bases(p, talk), config(**changes), source=source, talk=talk)
    assert not isinstance(tested, Abort)
    return tested, source, talk


# -- frames ---------------------------------------------------------------------------------------------------


def test_a_frame_that_stays_wrong_is_discarded_and_counts_as_leaked(pairs):
    # Cascade told of 0.2 % errors leaves some of this frame with 16 %: its tag differs.
    tested, source, talk = at_reconciliation(
        pairs(200_000, qber=0.002, seed=18), reconciliation="cascade"
    )
    bob = tested.bob.copy()
    frame_bits = bob.shape[1]
    bob[4] ^= (np.random.default_rng(5).random(frame_bits) < 0.16).astype(np.uint8)
    seed = int(deepcopy(source).random_raw())
    tested = replace(tested, bob=bob)
    agreed = agree(
        tested, config(reconciliation="cascade"), Share(1e-10, 1e-15), source=source, talk=talk
    )
    assert np.flatnonzero(~agreed.same).tolist() == [4]
    assert (agreed.bob[agreed.same] == tested.alice[agreed.same]).all()
    told = [
        r.leak_bits for r in cascade.reconcile(tested.alice, bob, qber=tested.bit.qber, seed=seed)
    ]
    assert told[4] + 53 < frame_bits
    assert talk.leak_bits == sum(told) - told[4] + 8 * 53 + frame_bits + 9


def test_keys_are_equal_though_frames_were_discarded(pairs):
    # Short frames: the four passes of the original Cascade leave errors in some.
    got = run_protocol(
        pairs(400_000, qber=0.01, seed=20), config(reconciliation="cascade", frame_bits=500)
    )
    (block,) = got.blocks
    assert 3 < block.failed_frames < 60
    assert block.frames == 360
    assert block.decoded
    assert got.key_bits > 50_000
    assert got.alice.tobytes() == got.bob.tobytes()
    assert (
        block.messages[-1].bits
        == (360 - block.failed_frames) * block.reconciled_bits // 360 + got.key_bits - 1
    )


@pytest.mark.parametrize("count", [1, 11, 5000, 11_111, 99_999, 1_000_000])
def test_frames_are_of_equal_length_and_leave_the_test_its_share(count):
    frames, frame_bits = frame_shape(count, CONFIG)
    disclosed = count - frames * frame_bits
    assert 0.1 * count <= disclosed <= 0.1 * count + frames + 1
    if count >= 20_000:
        assert 6000 < frame_bits < 14_000


def test_test_bits_are_not_used_in_the_key(pairs):
    p = pairs(50_000, qber=0.02, seed=19)
    talk = Transcript()
    alice, bob = announce_bases(p, talk)
    tested = disclose(alice, bob, CONFIG, source=stream(1, 0, ALICE), talk=talk)
    assert tested.alice.size + tested.bit.tested == alice.count
    ones = bits.count_ones(alice.bits) - int(tested.alice.sum())
    errors = bits.count_ones(alice.bits ^ bob.bits) - int((tested.alice != tested.bob).sum())
    assert errors == tested.bit.errors
    assert 0 < ones < tested.bit.tested


# -- what was told, by basis ----------------------------------------------------------------------------------


@pytest.mark.parametrize("test", ["random", "Z", "X"])
def test_disclosed_bits_are_counted_by_basis(pairs, test):
    """X has three times the errors of Z; all of a test basis is told, of the other one the sample."""
    p = pairs(400_000, qber=0.01, seed=31)
    a_basis, a, b_basis, b = (bits.unpack(column, p.count) for column in p.columns)
    more = (np.random.default_rng(2).random(p.count) < 0.02) & (a_basis == 1)
    p = replace(p, columns=np.stack([bits.pack(c) for c in (a_basis, a, b_basis, b ^ more)]))
    (block,) = run_protocol(p, config(test=test)).blocks
    told, all_of_it = block.disclosed, tally(p.columns, p.count)
    of_z, of_x = (told.sifted_z, told.errors_z), (told.sifted_x, told.errors_x)
    assert sum(of_z) > 0 < sum(of_x)
    if test == "random":
        assert told.sifted_z + told.sifted_x == block.estimate.tested
        assert told.errors_z + told.errors_x == block.estimate.errors
    else:
        mine, whole = (
            (of_x, (all_of_it.sifted_x, all_of_it.errors_x))
            if test == "X"
            else (of_z, (all_of_it.sifted_z, all_of_it.errors_z))
        )
        assert mine == whole == (block.estimate.tested, block.estimate.errors)
        sampled = of_z if test == "X" else of_x
        assert (
            0
            < sampled[0]
            == (all_of_it.sifted_z if test == "X" else all_of_it.sifted_x) - block.reconciled_bits
        )
    for (tested, errors), rate in ((of_z, 0.01), (of_x, 0.01 * 0.98 + 0.02 * 0.99)):
        assert (
            abs(errors / tested - rate) < 4.9 * (rate * (1 - rate) / tested) ** 0.5
        )  # false alarm 1e-6
