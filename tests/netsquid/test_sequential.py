"""The protocol inside the simulator: times, order, secrecy until the barrier, aborts; same pairs as the engine's."""

import hashlib

import numpy as np
import pytest

from caligo_mpi.config import NetsquidConfig, SequentialConfig
from caligo_mpi.engines.compare import outcome_counts, same_law
from caligo_mpi.engines.netsquid import NetsquidEngine, probe, sequential, simulator
from caligo_mpi.engines.netsquid.sequential import TimingBarrier, run_sequential
from caligo_mpi.errors import EngineError
from caligo_mpi.pairs import bits, tally

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

SEED = np.random.SeedSequence(13)


LINK = {"fidelity": 0.9, "cycle_time_ns": 1000}


def config(**fields):
    return NetsquidConfig.model_validate({"name": "netsquid", "link": LINK, "hold": 1, **fields})


def talk(pairs=100, seed=SEED, protocol=None, **fields):
    return run_sequential(
        config(**fields), SequentialConfig(**(protocol or {})), pairs=pairs, seed=seed
    )


def test_both_modes_give_the_same_pairs_at_the_same_times():
    fields = {
        "link": {"fidelity": 0.8, "prob_success": 0.5, "cycle_time_ns": 1000},
        "alice": {"basis_bias": 0.3, "readout_flip": 0.1},
        "device": {"gate_depolarizing": 0.1},
    }
    sequential, parallel = (
        talk(pairs=300, **fields).pairs,
        NetsquidEngine(config(**fields)).sample(300, SEED),
    )
    np.testing.assert_array_equal(sequential.columns, parallel.columns)
    np.testing.assert_array_equal(sequential.time, parallel.time)


def test_both_modes_follow_one_law_whatever_the_latency():
    fields = {"link": {"fidelity": 0.7, "cycle_time_ns": 1000}, "alice": {"basis_bias": 0.3}}
    protocol = {"classical_latency_ns": 40.0}
    sequential = talk(pairs=2000, protocol=protocol, seed=np.random.SeedSequence(1), **fields).pairs
    parallel = NetsquidEngine(config(**fields)).sample(2000, np.random.SeedSequence(2))
    assert same_law(outcome_counts(sequential), outcome_counts(parallel)) > 1e-6
    counts = tally(sequential.columns, 2000)
    for errors, sifted in ((counts.errors_z, counts.sifted_z), (counts.errors_x, counts.sifted_x)):
        assert abs(errors / sifted - 0.2) < 4.9 * np.sqrt(0.16 / sifted)


def test_messages_take_the_latency_and_come_in_order():
    result = talk(protocol={"classical_latency_ns": 250.0, "delta_t_ns": 1e5})
    last = result.pairs.time[-1]
    assert [
        (m.sender, m.what, m.sent_ns - last, m.received_ns - last) for m in result.transcript
    ] == [
        ("bob", "commitment", 0, 250),
        ("alice", "bases", 100_000, 100_250),
        ("bob", "bases", 100_250, 100_500),
        ("alice", "test rows", 100_500, 100_750),
        ("bob", "opening", 100_750, 101_000),
        ("alice", "verdict", 101_000, 101_250),
    ]
    assert result.pairs.duration_ns == last + 101_250


def test_each_pair_costs_a_cycle_and_two_latencies():
    """Alice's request and Bob's answer cross the classical link before the first attempt."""
    result = talk(pairs=5, protocol={"classical_latency_ns": 250.0})
    assert result.pairs.time.tolist() == [1500, 3000, 4500, 6000, 7500]


def test_message_lengths_are_those_of_their_bytes():
    result = talk(pairs=100)
    tested = len(result.tested)
    assert [m.bits for m in result.transcript] == [
        256,
        104,
        104,
        32 * tested,
        256 * 100 + 264 * tested,
        8,
    ]


def test_the_trace_is_in_time_and_tells_both_sides():
    result = talk(pairs=3)
    times = [event.time_ns for event in result.trace]
    assert times == sorted(times)
    told = [event.what for event in result.trace if event.party == "alice"]
    assert [what.rsplit(" in ")[0] for what in told[:3]] == [
        "measures pair 0",
        "measures pair 1",
        "measures pair 2",
    ]
    assert told[3:] == [
        "receives commitment", "sends bases", "receives bases", "sends test rows", "receives opening",
        "goes on", "sends verdict",
    ]  # fmt: skip


def test_nothing_of_alice_s_bases_is_said_before_the_barrier_opens():
    result = talk(protocol={"delta_t_ns": 12_345.0})
    [reveal] = [m for m in result.transcript if (m.sender, m.what) == ("alice", "bases")]
    assert reveal.sent_ns == result.pairs.time[-1] + 12_345
    assert [m.what for m in result.transcript if m.sent_ns < reveal.sent_ns] == ["commitment"]


class Clocked:
    """A program that does one thing in simulated time and shares no pair."""

    def __init__(self, name, peer, talk):
        self.meta, self._talk = simulator.meta(name, peer, hold=1), talk

    def run(self, context):
        yield from self._talk()
        return {}


def in_simulation(alice):
    def nothing():
        yield from ()

    with simulator.seeded(SEED, "dm"):
        programs = {
            "alice": Clocked("alice", "bob", alice),
            "bob": Clocked("bob", "alice", nothing),
        }
        simulator.run(simulator.network(config(), hold=1), programs)


def test_an_early_reveal_is_refused():
    def impatient():
        yield from simulator.wait(99.0)
        TimingBarrier(100.0).require_open("a reveal")

    with pytest.raises(
        EngineError, match="a reveal at 99 ns refused: the timing barrier opens at 100 ns"
    ):
        in_simulation(impatient)


def test_the_barrier_blocks_until_its_moment_and_no_longer():
    moments = []

    def patient():
        for opens in (100.0, 100.0, 250.0):
            barrier = TimingBarrier(opens)
            yield from barrier.wait()
            barrier.require_open("a reveal")
            moments.append(simulator.clock())

    in_simulation(patient)
    assert moments == [100.0, 100.0, 250.0]


def test_tested_rows_have_equal_bases_and_their_errors_are_counted():
    result = talk(
        pairs=600, link={"fidelity": 0.7, "cycle_time_ns": 1000}, protocol={"test_fraction": 0.4}
    )
    a_basis, a, b_basis, b = (bits.unpack(column, 600) for column in result.pairs.columns)
    rows = result.tested
    assert (a_basis == b_basis)[rows].all()
    assert len(rows) == np.ceil(0.4 * (a_basis == b_basis).sum()) == len(set(rows.tolist()))
    assert result.errors == (a != b)[rows].sum() > 0


def test_a_noisy_run_is_aborted_and_says_why():
    result = talk(
        pairs=400, link={"fidelity": 0.5, "cycle_time_ns": 1000}, protocol={"test_fraction": 0.5}
    )
    rate = result.errors / len(result.tested)
    assert (
        result.abort
        == f"QBER {rate:.4f} of {len(result.tested)} tested rows is above qber_limit=0.11"
    )
    assert result.transcript[-1].what == "verdict"
    assert result.trace[-1].what == "stops"


def test_a_clean_run_goes_on():
    result = talk(
        pairs=100, link={"fidelity": 1.0, "cycle_time_ns": 1000}, protocol={"qber_limit": 0.0}
    )
    assert (result.abort, result.errors, result.trace[-1].what) == (None, 0, "goes on")


def test_a_run_without_equal_bases_is_aborted():
    result = talk(pairs=20, alice={"basis_bias": 0.0}, bob={"basis_bias": 1.0})
    assert result.abort == "no row with equal bases to test: raise pairs"


def test_an_opening_of_other_bits_is_noticed():
    """Each part of the opening, changed on its way, is caught by the commitment."""
    count, rows = 4, np.array([1, 3])
    bases, outcomes = np.array([0, 1, 0, 1], np.uint8), np.array([0, 1, 1, 0], np.uint8)
    nonces = sequential._nonces(SEED, count)
    leaves = sequential._leaves(nonces, bases, outcomes)
    commitment = hashlib.sha256(leaves.tobytes()).digest()
    honest = (
        leaves.tobytes() + np.concatenate([nonces[rows], outcomes[rows, None]], axis=1).tobytes()
    )

    def judge(opening, theirs=bases):
        side = sequential._Side(
            name="alice",
            config=config(),
            protocol=SequentialConfig(),
            count=count,
            seed=SEED,
            log=None,
        )
        side.tested, side.bits = rows, outcomes
        return sequential._judge(side, theirs, commitment, opening)

    assert judge(honest) is None
    for byte in (0, 31, 32 * count, 32 * count + 31, 32 * count + 32, len(honest) - 1):
        forged = bytearray(honest)
        forged[byte] ^= 1
        assert judge(bytes(forged)) == "Bob's opening does not match his commitment"
    assert judge(honest, theirs=bases ^ 1) == "Bob's opening does not match his commitment"


def test_the_same_seed_gives_the_same_run():
    first, again = talk(pairs=50), talk(pairs=50)
    assert first.pairs.checksum() == again.pairs.checksum()
    assert (first.transcript, first.trace) == (again.transcript, again.trace)
