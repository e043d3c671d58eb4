"""Chunks, checksums, tallies, and a result's way through bytes."""

import numpy as np
import pytest

from caligo_mpi.pairs import (
    CHUNK_DTYPE,
    COLUMNS,
    ChunkResult,
    PairArrays,
    Pairs,
    Partition,
    Tally,
    bits,
    tally,
)


def random_pairs(count: int, *, index: bool = False, time: bool = False, seed: int = 3) -> Pairs:
    rng = np.random.default_rng(seed)
    columns = np.stack([bits.pack(rng.integers(0, 2, count)) for _ in range(4)])
    indices = (
        np.sort(rng.choice(10 * count, count, replace=False)).astype(np.uint64) if index else None
    )
    return Pairs(columns, count, indices, rng.random(count) if time else None, count, count)


def test_partition_is_lazy_and_complete():
    chunks = Partition(10**15, 8)
    assert len(chunks) == 125 * 10**12
    assert chunks[-1].start == 10**15 - 8
    assert [c.count for c in Partition(17, 8)] == [8, 8, 1]
    assert Partition(17, 8)[1:] == [Partition(17, 8)[1], Partition(17, 8)[2]]
    with pytest.raises(IndexError):
        Partition(17, 8)[3]


def test_a_chunk_has_the_seed_that_spawn_gives():
    spawned = np.random.SeedSequence(12345).spawn(4)
    for chunk in Partition(32, 8):
        assert (
            chunk.seed_sequence(12345).generate_state(8) == spawned[chunk.index].generate_state(8)
        ).all()


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1_000_003])
def test_tally_agrees_with_counting_by_hand(count):
    pairs = random_pairs(count)
    a_basis, a_bit, b_basis, b_bit = (bits.unpack(c, count) for c in pairs.columns)
    z, x, wrong = (a_basis | b_basis) == 0, (a_basis & b_basis) == 1, a_bit != b_bit
    assert tally(pairs.columns, count) == Tally(
        *(int(m.sum()) for m in (z, z & wrong, x, x & wrong))
    )


def test_checksum_is_xxh3_of_the_columns_in_order():
    pairs = Pairs(np.arange(4, dtype=np.uint8).reshape(4, 1), 8, np.arange(8, dtype=np.uint64))
    # xxhsum -H3 of the bytes 00 01 02 03 followed by eight little-endian 64-bit numbers 0 to 7
    import xxhash

    expected = xxhash.xxh3_64_intdigest(
        bytes([0, 1, 2, 3]) + b"".join(i.to_bytes(8, "little") for i in range(8))
    )
    assert pairs.checksum() == expected
    assert pairs.checksum() != Pairs(pairs.columns[::-1], 8, pairs.index).checksum()


@pytest.mark.parametrize("count", [0, 1, 13, 64])
@pytest.mark.parametrize(
    ("index", "time"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_a_result_comes_back_from_its_bytes(count, index, time):
    pairs = random_pairs(count, index=index, time=time)
    record = np.zeros(1, CHUNK_DTYPE)
    record["rows"], record["checksum"], record["alice_clicks"] = count, pairs.checksum(), count + 5
    back = ChunkResult.whole(np.concatenate(ChunkResult(record, pairs).parts()))
    assert back.record == record
    assert back.pairs.count == count
    assert back.pairs.alice_clicks == count + 5
    assert back.pairs.checksum() == pairs.checksum()
    assert (back.pairs.index is not None, back.pairs.time is not None) == (index, time)


def test_arrays_with_another_column_keep_those_that_are_declared():
    bits_of = {name: np.zeros(3, np.uint8) for name in COLUMNS}
    arrays = PairArrays.of({**bits_of, "attempts": np.array([4, 5, 6], np.uint32)})
    other = arrays._replace(bob_outcome=np.ones(3, np.uint8))
    assert other.bob_outcome.tolist() == [1, 1, 1]
    assert other.named()["attempts"].tolist() == [4, 5, 6]
    assert arrays._replace(extra={}).named().keys() == bits_of.keys()
    with pytest.raises((TypeError, ValueError), match="attempts"):  # the former since Python 3.13
        arrays._replace(attempts=np.zeros(3))
