"""Every consumer of a seed draws from streams of its own, and files that were begun before that go on as they were."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from caligo_mpi.engines.draws import child
from caligo_mpi.engines.netsquid import engine as netsquid
from caligo_mpi.engines.peers.circuits import block_seed
from caligo_mpi.pairs import Chunk
from caligo_mpi.pairs.domains import NETSQUID, PEERS, PROTOCOL
from caligo_mpi.protocol import draw

SEEDS = [0, 1, 7, (1 << 64) - 1, (1 << 127) + 12345, (1 << 200) + 99]
CHUNKS = [
    0,
    1,
    2,
    3,
    6,
    7,
    1000,
    NETSQUID & 0xFFFFFFFF,
    PROTOCOL & 0xFFFFFFFF,
    PROTOCOL >> 32,
    PEERS & 0xFFFFFFFF,
    PEERS >> 32,
    (1 << 32) - 1,
]


def state(seed):
    """What every generator of numpy is made of: eight words, which differ by chance for all but 2^-256 of pairs."""
    return tuple(seed.generate_state(8).tolist())


def of_the_noise_engine(seed):
    """As tests/engines/test_noise_stream.py reads them from the bits, word by word."""
    for index in CHUNKS:
        chunk = Chunk(index, 0, 8).seed_sequence(seed)
        yield ("noise", index), chunk
        yield ("noise", index, 0), child(chunk, 0)
        yield ("noise", index, 1), child(chunk, 1)


def of_the_netsquid_engine(seed, version):
    numbers = range(netsquid.BOB_NONCES + 1)
    for index in CHUNKS:
        own = netsquid.domain(Chunk(index, 0, 8).seed_sequence(seed), version)
        yield from ((("netsquid", index, number), child(own, number)) for number in numbers)


def of_other_simulators(seed):
    for index, block in itertools.product(CHUNKS, (0, 1)):
        yield ("peers", index, block), block_seed(Chunk(index, 0, 8).seed_sequence(seed), block)


def of_the_protocol(seed, version):
    for block, party in itertools.product(CHUNKS, (draw.ALICE, draw.BOB, draw.SESSION)):
        yield ("protocol", block, party), draw.stream(seed, block, party, version).seed_seq


def streams(seed, version):
    """Of an equal-seed run: the engines and the protocol, all with ``seed``."""
    everything = (
        of_the_noise_engine(seed),
        of_the_netsquid_engine(seed, version),
        of_other_simulators(seed),
        of_the_protocol(seed, version),
    )
    return {name: state(found) for name, found in itertools.chain(*everything)}


def shared(found):
    users = {}
    for name, words in found.items():
        users.setdefault(words, []).append(name)
    return [names for names in users.values() if len(names) > 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_streams_of_equal_seeds_are_one(seed):
    assert len(streams(seed, 2)) == (3 + 7 + 2 + 3) * len(CHUNKS)
    assert shared(streams(seed, 2)) == []


def test_in_version_1_they_were():
    """So the test above can fail."""
    assert [("noise", 1, 0), ("netsquid", 1, 0), ("protocol", 1, 0)] in shared(streams(7, 1))
    assert [("netsquid", 2, 2), ("protocol", 2, 2)] in shared(streams(7, 1))


def test_nonces_do_not_tell_the_bases_of_the_engine():
    """With equal seeds, the top bit of Bob's words was the complement of Alice's basis, row by row."""
    from engines.test_netsquid_probe import config

    seed, rows = 7, 1000

    def agreement(version):
        own = netsquid.domain(Chunk(0, 0, rows).seed_sequence(seed), version)
        bases = netsquid.measured_bases(config(), own, "alice", rows)
        tops = draw.stream(seed, 0, draw.BOB, version).random_raw(rows) >> np.uint64(63)
        return (bases == tops).mean()

    assert agreement(1) == 0
    assert abs(agreement(2) - 0.5) < 4.9 * (0.25 / rows) ** 0.5  # false alarm 1e-6
