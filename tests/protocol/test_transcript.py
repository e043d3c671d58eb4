import numpy as np

from caligo_mpi.protocol.transcript import Message, Transcript, last_pair_ns


def test_messages_carry_the_time_and_what_they_leak():
    talk = Transcript(clock_ns=100.0)
    talk.send("bob", "bases", bits=64)
    talk.wait(1e9)
    talk.send("alice", "syndrome", bits=10, leak_bits=10)
    talk.send("alice", "parities", bits=7, leak_bits=7, count=5)
    assert talk.messages == [
        Message("bob", "bases", 64, 0, 100.0, 1),
        Message("alice", "syndrome", 10, 10, 1_000_000_100.0, 1),
        Message("alice", "parities", 7, 7, 1_000_000_100.0, 5),
    ]
    assert (talk.bits, talk.leak_bits) == (81, 17)


def test_last_pair_is_no_earlier_than_any_row_or_chunk(pairs):
    assert last_pair_ns(pairs(3, qber=0, seed=1)) == 0
    assert last_pair_ns(pairs(3, qber=0, seed=1, duration_ns=50.0)) == 50
    times = np.array([10.0, 90.0, 5.0])  # the third row is the first of another chunk
    assert last_pair_ns(pairs(3, qber=0, seed=1, time=times)) == 90
    assert last_pair_ns(pairs(3, qber=0, seed=1, time=times, duration_ns=195.0)) == 195
    assert last_pair_ns(pairs(0, qber=0, seed=1, time=times[:0], duration_ns=7.0)) == 7
