from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency

from caligo_mpi.config.protocol import RotConfig
from caligo_mpi.pairs import Pairs, bits
from caligo_mpi.protocol.amplify import amplify
from caligo_mpi.protocol.commit import Rows, commit, open_rows
from caligo_mpi.protocol.draw import ALICE, BOB, stream
from caligo_mpi.protocol.key_length import TransferFigures, transfer_length
from caligo_mpi.protocol.rot import agree_terms, converse, transfer
from caligo_mpi.protocol.run import combine, run_protocol
from caligo_mpi.protocol.sift import as_arrays, sides
from caligo_mpi.protocol.transcript import Transcript
from caligo_mpi.protocol.transfer import Alice, Bob
from caligo_mpi.protocol.types import IDEAL, Abort, Block, Detection, Premises

LOSSLESS = Detection()
CONFIG = RotConfig(mode="rot", seed=1, storage_r=0.75, storage_rate=0.002, epsilon=1e-6)
# Small runs for statistics: weak assumptions, so that a few hundred rows leave a short string.
SMALL = CONFIG.model_copy(update={"epsilon": 0.01, "storage_rate": 1e-4})


def run(pairs, config, code_for, premises=IDEAL):
    """A whole run, as `run_protocol` does it, with a code of ours."""
    block = Block(0, 0, pairs.count)
    return combine(
        [transfer(pairs, config, block=block, premises=premises, code_for=code_for)], config
    )


def parties(pairs, config=CONFIG, detection=LOSSLESS):
    """Alice and Bob before their first message."""
    terms = agree_terms(pairs, config, block=Block(0, 0, pairs.count), premises=Premises(detection))
    for_alice, for_bob = sides(pairs)
    alice = Alice(for_alice, terms, source=stream(config.seed, 0, ALICE))
    return alice, Bob(for_bob, terms, source=stream(config.seed, 0, BOB), choice=config.choice)


def up_to_bases(alice, bob):
    """The honest messages up to Alice's bases."""
    test = alice.choose_test(bob.commit())
    assert alice.check_opening(bob.open(test)) is None
    return alice.reveal_bases(alice.terms.last_pair_ns + alice.terms.wait_ns)


@pytest.mark.parametrize("choice", [0, 1])
def test_bob_gets_the_string_he_chose(pairs, hamming, choice):
    got = run(
        pairs(40_000, qber=0.0005, seed=1), CONFIG.model_copy(update={"choice": choice}), hamming
    )
    assert not got.aborts
    assert got.choice == choice
    assert got.blocks[0].decoded
    assert got.blocks[0].corrected > 0
    assert got.key_bits > 1000
    assert got.alice.shape == (2, bits.nbytes(got.key_bits))
    assert got.bob.tobytes() == got.alice[choice].tobytes()
    other = bits.unpack(got.alice[1 - choice] ^ got.bob, got.key_bits)
    assert abs(other.mean() - 0.5) < 5 * 0.5 / got.key_bits**0.5


@pytest.mark.parametrize(
    ("version", "expected"),
    [(1, (0, 1067, "abbb80b30252d726")), (2, (1, 1076, "0df3e5c636f6f44c"))],
)
def test_strings_are_the_same_on_every_machine(pairs, hamming, version, expected):
    got = run(pairs(20_000, qber=0.0005, seed=1), CONFIG, hamming, Premises(stream_version=version))
    assert (got.choice, got.key_bits, sha256(got.alice.tobytes()).hexdigest()[:16]) == expected


@pytest.mark.parametrize(
    ("version", "expected"), [(1, (0, 989, "51eef81379099aaf")), (2, (1, 1015, "293313f5ee328578"))]
)
def test_strings_with_a_code_of_the_package_are_the_same_on_every_machine(pairs, version, expected):
    got = run_protocol(
        pairs(40_000, qber=0.005, seed=1), CONFIG, premises=Premises(stream_version=version)
    )
    assert (got.choice, got.key_bits, sha256(got.alice.tobytes()).hexdigest()[:16]) == expected


@pytest.mark.parametrize("choice", [0, 1])
def test_bob_gets_his_string_with_a_code_of_the_package(pairs, choice):
    config = CONFIG.model_copy(update={"choice": choice})
    got = run_protocol(pairs(100_000, qber=0.005, seed=1), config)
    assert not got.aborts
    assert got.blocks[0].decoded
    assert got.blocks[0].corrected == pytest.approx(0.005 * got.blocks[0].sifted, rel=0.3)
    assert got.bob.tobytes() == got.alice[choice].tobytes()
    assert got.bob.tobytes() != got.alice[1 - choice].tobytes()
    assert got.key_bits > 1000


def test_an_error_rate_no_code_corrects_aborts(pairs):
    (abort,) = run_protocol(
        pairs(20_000, qber=0.3, seed=1), CONFIG.model_copy(update={"qber_limit": 0.5})
    ).aborts
    assert abort.step == "reconcile"
    assert "is more than the codes here correct" in abort.reason
    assert abort.numbers["qber"] == pytest.approx(0.3, abs=0.1)
    assert abort.numbers["qber"] < abort.numbers["qber_at_most"] < 0.5


@pytest.mark.parametrize("seed", [4, 5])
def test_a_rate_bounded_by_one_tested_bit_is_said_to_be_for_want_of_pairs(pairs, seed):
    (abort,) = run_protocol(pairs(9, qber=0.0, seed=seed), CONFIG).aborts
    assert (abort.step, abort.reason[:14]) == ("reconcile", "too few pairs:")
    assert abort.numbers == {"qber": 0.0, "qber_at_most": 0.999, "tested": 1}


def test_length_is_that_of_the_formula_for_what_was_said(pairs, hamming):
    p = pairs(40_000, qber=0.0005, seed=2)
    alice, bob = parties(p)
    sets = bob.sort_rows(up_to_bases(alice, bob))
    strings = alice.make_strings(sets, hamming)
    syndrome = 6 * -(-len(sets[0]) // 63)
    assert len(strings.syndromes[0]) == len(strings.syndromes[1]) == syndrome
    assert strings.tag_keys[0] != strings.tag_keys[1]
    assert strings.toeplitz[0].tolist() != strings.toeplitz[1].tolist()
    assert alice.terms.test == 4000
    # ζ = √(ln 10⁶ / 80,000); three of them and the test rounds are taken off.
    single = int(40_000 * (1 - 3 * 0.01314135)) - 4000
    dropped = 36_000 - 2 * len(sets[0])
    assert alice.terms.single_left() == single
    assert dropped > 0
    figures = TransferFigures(
        rounds=40_000, single=single, dropped=dropped, leak_bits=syndrome, tag_bits=20
    )
    found = transfer_length(figures, storage_r=0.75, storage_rate=0.002, epsilon=1e-6)
    assert strings.length == found.bits


def test_transcript_tells_commitment_then_wait_then_bases(pairs, hamming):
    p = pairs(40_000, qber=0.0005, seed=1, duration_ns=5e6)
    messages = run(p, CONFIG, hamming).blocks[0].messages
    assert [(m.sender, m.what, m.time_ns) for m in messages] == [
        ("bob", "rounds detected", 5e6),
        ("bob", "commitment", 5e6),
        ("alice", "rows to open", 5e6),
        ("bob", "opening", 5e6),
        ("alice", "bases", 5e6 + 1e9),
        ("bob", "index sets", 5e6 + 1e9),
        ("alice", "syndromes of both sets", 5e6 + 1e9),
        ("alice", "tags of both sets", 5e6 + 1e9),
        ("alice", "Toeplitz seeds of both sets", 5e6 + 1e9),
    ]
    assert [m.what for m in messages if m.leak_bits] == [
        "syndromes of both sets",
        "tags of both sets",
    ]
    assert [m.bits for m in messages[:3]] == [40_000, 256, 40_000]


def test_bob_needs_nothing_of_alice_but_her_messages(pairs, hamming):
    p = pairs(40_000, qber=0.0005, seed=3)
    alice, bob = parties(p)
    test = alice.choose_test(bob.commit())
    assert alice.check_opening(bob.open(test)) is None
    bases = alice.reveal_bases(1e12)
    strings = alice.make_strings(bob.sort_rows(bases), hamming)
    bob.receive(strings, hamming)

    # The same Bob, next to an Alice of whom everything private is garbage, hearing the same messages.
    garbage = Pairs(p.columns.copy(), p.count)
    garbage.columns[:2] = np.random.default_rng(0).integers(0, 256, garbage.columns[:2].shape)
    _, again = parties(garbage)
    assert again.commit() == bob.commit()
    assert again.open(test).nonces.tobytes() == bob.open(test).nonces.tobytes()
    again.sort_rows(bases)
    again.receive(strings, hamming)
    assert again.choice == bob.choice
    assert again.output.tobytes() == bob.output.tobytes() == alice.strings[bob.choice].tobytes()


def test_alice_needs_nothing_of_bob_but_his_messages(pairs, hamming):
    p = pairs(40_000, qber=0.0005, seed=3)
    alice, bob = parties(p)
    root = bob.commit()
    opening = bob.open(alice.choose_test(root))
    alice.check_opening(opening)
    sets = bob.sort_rows(alice.reveal_bases(1e12))
    alice.make_strings(sets, hamming)

    garbage = Pairs(p.columns.copy(), p.count)
    garbage.columns[2:] = np.random.default_rng(0).integers(0, 256, garbage.columns[2:].shape)
    again, _ = parties(garbage)
    again.choose_test(root)
    assert again.check_opening(opening) is None
    again.make_strings(sets, hamming)
    assert again.strings.tobytes() == alice.strings.tobytes()


# -- what a dishonest or unlucky party meets ------------------------------------------------------------------


def test_alice_aborts_if_bob_opens_something_else_than_he_committed_to(pairs):
    alice, bob = parties(pairs(5000, qber=0, seed=4))
    opening = bob.open(alice.choose_test(bob.commit()))
    lied = opening.rows.bit.copy()
    lied[3] ^= 1
    abort = alice.check_opening(replace(opening, rows=replace(opening.rows, bit=lied)))
    assert (abort.step, abort.reason) == ("commit", "the opened rows do not fit Bob's commitment")


def test_alice_aborts_if_bob_opens_other_rows(pairs):
    alice, bob = parties(pairs(5000, qber=0, seed=4))
    test = alice.choose_test(bob.commit())
    other = bob.open(np.sort(np.random.default_rng(1).choice(5000, len(test), replace=False)))
    abort = alice.check_opening(other)
    assert (abort.step, abort.reason) == ("commit", "Bob opened other rows than he was asked to")


def test_alice_aborts_if_bob_committed_twice_to_one_emission(pairs):
    # He could otherwise open whichever of the two suits him.
    p = pairs(5000, qber=0, seed=4)
    alice, bob = parties(p)
    plain = as_arrays(p)
    (first, second), test = alice.choose_test(b"")[:2], alice._test.copy()
    assert second > first + 1
    index = np.arange(5000, dtype=np.uint64)
    index[first + 1] = first
    twice = Rows(index, plain.bob_basis, plain.bob_outcome)
    made = commit(twice, session=bob.terms.session, source=stream(1, 0, BOB))
    alice._root, test[0] = made.root, first + 1
    abort = alice.check_opening(open_rows(made, twice, test))
    assert abort.reason == "Bob opened other rows than he was asked to"


def test_bob_drops_rows_at_random(pairs):
    # The first of a few dozen dropped rows would lie at the end were the larger set just cut short.
    alice, bob = parties(pairs(40_000, qber=0, seed=4))
    sets = bob.sort_rows(up_to_bases(alice, bob))
    dropped = np.setdiff1d(np.arange(36_000), np.concatenate(sets))
    assert len(dropped) > 20
    assert dropped[0] < 18_000 < dropped[-1]


def test_bob_opens_no_more_rows_than_agreed(pairs):
    _, bob = parties(pairs(5000, qber=0, seed=4))
    good = np.arange(500)
    assert not isinstance(bob.open(good), Abort)
    for rows in (np.arange(501), good[::-1], good + 4501, 0 * good, good - 1, good + 1):
        abort = bob.open(rows)
        assert (abort.step, abort.reason) == (
            "commit",
            "Alice asked for other than the agreed number of rows",
        )


def test_alice_keeps_her_bases_until_the_wait_is_over(pairs):
    p = pairs(5000, qber=0, seed=4, time=np.linspace(0, 2000.0, 5000))
    alice, bob = parties(p)
    alice.check_opening(bob.open(alice.choose_test(bob.commit())))
    abort = alice.reveal_bases(1e9 + 1999)
    assert (abort.step, abort.reason) == (
        "transfer",
        "bases were asked for before the wait was over",
    )
    assert abort.numbers == {"now_ns": 1e9 + 1999, "earliest_ns": 1e9 + 2000}
    assert len(alice.reveal_bases(1e9 + 2000)) == 4500


def test_alice_keeps_her_bases_until_she_checked_the_opening(pairs):
    alice, bob = parties(pairs(5000, qber=0, seed=4))
    bob.open(alice.choose_test(bob.commit()))
    abort = alice.reveal_bases(1e12)
    assert (abort.step, abort.reason) == (
        "transfer",
        "bases were asked for before the commitment was opened",
    )


@pytest.mark.parametrize("part", ["syndromes", "toeplitz"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("choice", [0, 1])
def test_what_bob_makes_of_misshapen_strings_does_not_depend_on_his_choice(
    pairs, hamming, part, which, choice
):
    alice, bob = parties(
        pairs(40_000, qber=0.0005, seed=1), CONFIG.model_copy(update={"choice": choice})
    )
    strings = alice.make_strings(bob.sort_rows(up_to_bases(alice, bob)), hamming)
    for misshape in (lambda x: x[:-1], lambda x: x + 2):
        both = list(getattr(strings, part))
        both[which] = misshape(both[which])
        abort = bob.receive(replace(strings, **{part: tuple(both)}), hamming)
        assert abort.reason == "Alice's syndromes or seeds are not of the agreed length"
        assert bob.output is None
    assert bob.receive(strings, hamming) is None


def test_revealed_bases_are_those_outside_the_test_set(pairs):
    p = pairs(200, qber=0, seed=4)
    alice, bob = parties(p)
    test = alice.choose_test(bob.commit())
    alice.check_opening(bob.open(test))
    own = as_arrays(p).alice_basis
    assert alice.reveal_bases(1e10).tolist() == [
        own[row] for row in range(200) if row not in set(test.tolist())
    ]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda i, j: (i, j[:-1]), "Bob's two sets are empty or differ in size"),
        (lambda i, j: (i[:0], j[:0]), "Bob's two sets are empty or differ in size"),
        (
            lambda i, j: (i, np.sort(np.append(j[1:], i[0]))),
            "Bob's two sets are not sorted, disjoint sets of rows",
        ),
        (lambda i, j: (i[::-1], j), "Bob's two sets are not sorted, disjoint sets of rows"),
        (
            lambda i, j: (i, np.append(j[:-1], 4500)),
            "Bob's two sets are not sorted, disjoint sets of rows",
        ),
        (
            lambda i, j: (np.append(i[:-1], i[-2]), j),
            "Bob's two sets are not sorted, disjoint sets of rows",
        ),
        (lambda i, j: (i[200:], j[200:]), "Bob dropped more rows than chance explains"),
    ],
)
def test_alice_aborts_on_sets_no_honest_bob_sends(pairs, hamming, broken, reason):
    alice, bob = parties(pairs(5000, qber=0, seed=4))
    sets = bob.sort_rows(up_to_bases(alice, bob))
    abort = alice.make_strings(broken(*sets), hamming)
    assert (abort.step, abort.reason) == ("transfer", reason)
    assert alice.strings is None


def test_too_many_errors_abort(pairs, hamming):
    got = run(pairs(20_000, qber=0.08, seed=5), CONFIG, hamming)
    (abort,) = got.aborts
    assert (abort.step, abort.reason) == ("estimate", "the error rate is over the limit")
    assert abort.numbers["qber"] == pytest.approx(0.08, abs=0.03)
    assert (got.key_bits, got.alice.size, got.bob.size) == (0, 0, 0)


def test_a_memory_as_good_as_bobs_detectors_leaves_no_bits(pairs, hamming):
    strong = CONFIG.model_copy(update={"storage_r": 1.0, "storage_rate": 1.0})
    (abort,) = run(pairs(20_000, qber=0.0005, seed=5), strong, hamming).aborts
    assert (abort.step, abort.reason) == ("amplify", "no secret bits are left")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_pairs_abort(pairs, hamming, count):
    (abort,) = run(pairs(count, qber=0, seed=5), CONFIG, hamming).aborts
    assert (abort.step, abort.reason) == ("sift", "too few pairs")


def lossy(count, *, pairs, missing, announced=None, seed=6):
    """``count`` rounds of Alice's, of which Bob misses a share."""
    index = np.flatnonzero(np.random.default_rng(seed).random(count) >= missing).astype(np.uint64)
    if announced is not None:
        index = index[:announced]
    return pairs(len(index), qber=0.0005, seed=seed, index=index, alice_clicks=count)


def test_lossy_run_works_on_the_rounds_both_registered(pairs, hamming):
    p = lossy(60_000, pairs=pairs, missing=0.3)
    got = run(p, CONFIG, hamming, Premises(Detection(missing=0.3)))
    assert not got.aborts
    assert got.bob.tobytes() == got.alice[got.choice].tobytes()
    lossless = run(replace(p, alice_clicks=0, index=None), CONFIG, hamming)
    assert 0 < got.key_bits < lossless.key_bits


def test_commitment_names_the_emission_not_the_row(pairs):
    p = lossy(5000, pairs=pairs, missing=0.3)
    alice, bob = parties(p, detection=Detection(missing=0.3))
    _, renumbered = parties(
        replace(p, index=p.index + np.uint64(1)), detection=Detection(missing=0.3)
    )
    assert renumbered.commit() != bob.commit()
    abort = alice.check_opening(renumbered.open(alice.choose_test(renumbered.commit())))
    assert abort.reason == "Bob opened other rows than he was asked to"


@pytest.mark.parametrize(
    ("missing", "reason"), [(0.32, True), (0.31, False), (0.29, False), (0.28, True)]
)
def test_losses_the_link_does_not_explain_abort(pairs, hamming, missing, reason):
    # ζ = √(ln 10⁶ / 2·60,000) = 1.07 % of the rounds, either way.
    p = lossy(60_000, pairs=pairs, missing=0.0, announced=round(60_000 * (1 - missing)))
    got = run(p, CONFIG, hamming, Premises(Detection(missing=0.3)))
    aborted = [a.reason for a in got.aborts]
    assert aborted == (
        ["the number of rounds Bob missed is not what the link explains"] if reason else []
    )


def test_bob_never_tells_that_decoding_failed(pairs, hamming):
    fine = run(pairs(40_000, qber=0.0005, seed=1), CONFIG, hamming)
    p = pairs(40_000, qber=0.02, seed=1)  # far more than the code corrects
    failed = run(p, CONFIG, hamming)
    assert not failed.blocks[0].decoded
    assert not failed.aborts
    assert [m.what for m in failed.blocks[0].messages] == [m.what for m in fine.blocks[0].messages]
    assert [m.sender for m in failed.blocks[0].messages][-1] == "alice"
    assert len(failed.bob) == failed.alice.shape[1]
    wrong = bits.unpack(failed.bob ^ failed.alice[failed.choice], failed.key_bits)
    assert abs(wrong.mean() - 0.5) < 5 * 0.5 / failed.key_bits**0.5


@pytest.mark.parametrize("tampered", ["syndromes", "tags", "toeplitz"])
def test_changed_strings_never_pass_for_alices(pairs, hamming, tampered):
    alice, bob = parties(pairs(40_000, qber=0.0005, seed=1))
    strings = alice.make_strings(bob.sort_rows(up_to_bases(alice, bob)), hamming)
    both = getattr(strings, tampered)
    changed = tuple(
        one ^ (1 if tampered == "tags" else np.arange(len(one)) % 3 == 0) for one in both
    )
    bob.receive(replace(strings, **{tampered: changed}), hamming)
    assert len(bob.output) == strings.length
    assert bob.output.tolist() != alice.strings[bob.choice].tolist()
    assert bob.decoded == (tampered == "toeplitz")


# -- receiver's privacy: nothing Alice gets depends on c ------------------------------------------------------


def test_choice_is_hidden_by_an_exact_symmetry(pairs):
    # Bob with the other choice and his bases flipped outside the test set sends the very same sets and
    # opens the very same rows: his bases being uniform, c and 1 − c are equally likely for what Alice sees.
    p = pairs(3001, qber=0.01, seed=7)
    for choice in (0, 1):
        alice, bob = parties(p, CONFIG.model_copy(update={"choice": choice}))
        test = alice.choose_test(bob.commit())
        closed = np.ones(p.count, bool)
        closed[test] = False
        flipped = Pairs(p.columns.copy(), p.count)
        flipped.columns[2] ^= bits.pack(closed)
        _, mirrored = parties(flipped, CONFIG.model_copy(update={"choice": 1 - choice}))
        opened, also = bob.open(test), mirrored.open(test)
        alice.check_opening(opened)
        assert opened.rows.basis.tolist() == also.rows.basis.tolist()
        assert opened.nonces.tobytes() == also.nonces.tobytes()
        bases = alice.reveal_bases(1e12)
        for one, other in zip(bob.sort_rows(bases), mirrored.sort_rows(bases), strict=True):
            assert one.tolist() == other.tolist()


def test_nothing_alice_sees_tells_the_choice(pairs):
    # 1,000 runs, eight features of Alice's view each split at its median against c: the
    # smallest of 8 p-values under 1e-7 is a false alarm of 8e-7.
    rng = np.random.default_rng(8)
    features, choices = [], []
    for seed in range(1000):
        config = SMALL.model_copy(update={"seed": seed, "choice": None})
        p = pairs(160, qber=0.05, seed=1_000_000 + seed)
        alice, bob = parties(p, config)
        test = alice.choose_test(root := bob.commit())
        opening = bob.open(test)
        alice.check_opening(opening)
        bases = alice.reveal_bases(1e12)
        zero, one = bob.sort_rows(bases)
        outcome = np.delete(as_arrays(p).alice_outcome, test)
        features.append([
            zero.sum() - one.sum(), zero[0] - one[0], zero[-1] - one[-1], len(zero),
            bases[zero].mean() - bases[one].mean(), outcome[zero].mean() - outcome[one].mean(),
            (bases[zero] ^ outcome[zero]).mean() - opening.rows.basis.mean(), root[0] + rng.random(),
        ])  # fmt: skip
        choices.append(bob.choice)
    counts = np.bincount(choices)
    assert abs(counts[1] - 500) < 5 * 1000**0.5 / 2
    for feature in np.array(features).T:
        high = feature > np.median(feature)
        if 0 < high.sum() < len(high):
            table = np.histogram2d(high, choices, bins=2)[0]
            assert chi2_contingency(table).pvalue > 1e-7


# -- sender's privacy: S_(1−c) looks random to Bob ------------------------------------------------------------


def test_the_other_string_is_independent_of_all_bob_can_compute(pairs, hamming):
    # 600 runs; Bob's best classical guess: decode the other set and hash it as if it were his.
    # XOR of guess and truth, cut to 3 bits: chi² with 7 degrees of freedom at 1e-7; the
    # strings themselves likewise.
    guesses, strings_seen = [], []
    for seed in range(600):
        config = SMALL.model_copy(update={"seed": seed})
        alice, bob = parties(pairs(1800, qber=0.0, seed=2_000_000 + seed), config)
        sets = bob.sort_rows(up_to_bases(alice, bob))
        strings = alice.make_strings(sets, hamming)
        if isinstance(strings, Abort) or strings.length < 3:
            continue
        bob.receive(strings, hamming)
        other = 1 - bob.choice
        received = bob._rows.bit[bob._left][sets[other]]
        guess = amplify(hamming(len(received), 0).decode(received, strings.syndromes[other]).bits,
                        strings.toeplitz[other], strings.length)  # fmt: skip
        truth = alice.strings[other]
        guesses.append((guess ^ truth)[:3] @ [1, 2, 4])
        strings_seen.append(truth[:3] @ [1, 2, 4])
        assert (bob.output == alice.strings[bob.choice]).all()
    assert len(guesses) > 500
    for values in (guesses, strings_seen):
        expected = len(values) / 8
        assert ((np.bincount(values, minlength=8) - expected) ** 2 / expected).sum() < chi2.isf(
            1e-7, 7
        )


def test_bobs_choice_is_drawn_from_his_own_stream(pairs):
    def drawn(p):
        return [
            parties(p, CONFIG.model_copy(update={"seed": seed}))[1].choice for seed in range(200)
        ]

    choices = drawn(pairs(16, qber=0, seed=1))
    assert 60 < sum(choices) < 140
    assert choices == drawn(pairs(16, qber=0, seed=2))


def test_conversation_stops_at_the_first_abort(pairs, hamming):
    alice, bob = parties(pairs(20_000, qber=0.2, seed=9))
    talk = Transcript()
    abort = converse(alice, bob, talk, hamming)
    assert abort.step == "estimate"
    assert [m.what for m in talk.messages][-1] == "opening"
    assert bob.output is None


def test_opened_rows_are_counted_by_basis(pairs, hamming):
    p = pairs(40_000, qber=0.002, seed=9)
    alice, bob = parties(p)
    up_to_bases(alice, bob)
    rows = bob._test
    a_basis, a, b_basis, b = (bits.unpack(column, p.count)[rows] for column in p.columns)
    equal, wrong = a_basis == b_basis, a != b
    told = alice.disclosed
    for basis, seen in ((0, (told.sifted_z, told.errors_z)), (1, (told.sifted_x, told.errors_x))):
        own = equal & (a_basis == basis)
        assert seen == (own.sum(), (own & wrong).sum())
    assert told.sifted_z + told.sifted_x == alice.estimate.tested > 1000
