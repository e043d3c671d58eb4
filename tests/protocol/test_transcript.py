from caligo_mpi.protocol.transcript import Message, Transcript


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
