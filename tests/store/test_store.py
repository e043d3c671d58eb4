"""What is written is what is read, and what is there already is never lost."""

from __future__ import annotations

import os
import sys

import h5py
import numpy as np
import pytest
from helpers import flip_bit, identity, names
from made_chunks import KINDS, TIMED, made_info, made_pairs, made_result, made_rows, write

from caligo_mpi import store
from caligo_mpi.pairs import CHUNK_DTYPE, COLUMNS, Chunk, ChunkResult
from caligo_mpi.store import (
    PairStore,
    StoreError,
    layout,
    open_pairs,
    read_pairs,
    status,
    verify_file,
)
from caligo_mpi.store.records import seal

# data_digest and pairs_hash of the made runs of 10,003 emissions.
GOLDEN = {
    "lossless": (
        "c79fc17b9cf2ff34e656a1b9ed07a1205ca4b3d418c72e7209301e33a1b4ef79",
        "b2ede46d02fe5583eccbbace277b541e39f819e305a4c550c740fd14a7a388a8",
    ),
    "lossy": (
        "2020efb1fb5ca733a55dbc772f9f4b70b1c4d48d49850968fdcd2ba7ffdf33c0",
        "57d14d5ad290b1d0e7e8ab7720a647111ef8f5018066f9fbe7f53da199cd6f9d",
    ),
    "timed": (
        "d775170468b7e0bcb331d316fa0040bf45f5086ad3acfcfbb79ccbc3f90c4814",
        "375c79755581b17edcaae7f18ecccc95d8fd322bc18bab1c0ffc62b8bdfb80bc",
    ),
    "declared": (
        "35bbf971766eeae995c251c88a9b01a6580cb09a259be7f1f49da2f6b5dbc27a",
        "c734780529bc5682d3ef804f0565ffe1eb9fdb51ba354d0d3cc1f9f142624a3a",
    ),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


@pytest.fixture
def part(tmp_path):
    return tmp_path / "run.h5.part"


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_file_holds_every_row_in_order(path, kind):
    info = made_info(kind)
    assert write(path, info, kind) == []
    arrays = read_pairs(path)
    assert np.array_equal(np.stack(arrays[:4]), made_rows(info, kind))
    assert all(column.dtype == np.uint8 for column in arrays[:4])
    if kind == "lossless":
        assert arrays.index is None
        assert len(arrays.alice_basis) == 10_003
    else:
        assert np.all(np.diff(arrays.index.astype(np.int64)) > 0)
    assert (arrays.time is not None) == (kind in TIMED)
    assert names(path.parent) == ["run.h5"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_of_a_run_is_known(path, kind):
    write(path, made_info(kind), kind)
    assert identity(path) == GOLDEN[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("launches", [1, 4, 11])
@pytest.mark.parametrize("durability", ["flush", "fsync"])
def test_any_number_of_launches_gives_the_same_file(path, kind, launches, durability):
    for _ in range(launches + 1):
        write(path, made_info(kind), kind, chunks=-(-11 // launches), durability=durability)
        if path.exists():
            break
    assert identity(path) == GOLDEN[kind]
    with open_pairs(path) as file:
        assert len(file.runs) == launches
        assert file.chunks["run"].max() == launches - 1
        assert file.chunks["rank"].tolist() == [i % 3 for i in range(11)]


@pytest.mark.parametrize("kind", KINDS)
def test_small_and_large_chunks_share_bytes_without_harm(path, kind):
    # Beyond 2^20 rows a chunk is written directly, below it is gathered with others.
    info = made_info(kind, pairs=9_000_001, chunk_size=4_000_000)
    write(path, info, kind, chunks=1, finish=False)
    write(path, info, kind)
    assert np.array_equal(np.stack(read_pairs(path)[:4]), made_rows(info, kind))
    assert verify_file(path).ok


def test_a_hundred_thousand_tiny_chunks(path):
    info = made_info(pairs=800_000, chunk_size=8)
    result = made_result(Chunk(0, 0, 8))
    with PairStore.open(path, info, launch={}) as pair_store:
        assert sys.getsizeof(pair_store.todo.ranges) < 200  # ranges, whatever the number
        assert len(pair_store.todo) == 100_000
        for chunk in info.partition:
            result.record["index"], result.record["start"] = chunk.index, chunk.start
            pair_store.append(result, rank=0)
        pair_store.finish()
    assert status(path).chunks_done == 100_000
    with open_pairs(path) as file:
        assert file.tally() == file.tally(verify=False)
        assert set(file.packed("bob_basis")) == {int(result.pairs.bob_basis[0])}


def test_a_run_without_a_single_coincidence(path):
    info = made_info("lossy", pairs=100, chunk_size=1000, coincidence=1e-9)
    empty = made_result(Chunk(3, 3000, 100), "lossy")
    assert empty.pairs.count == 0
    empty.record["index"] = empty.record["start"] = 0
    with PairStore.open(path, info, launch={}) as pair_store:
        pair_store.append(empty, rank=0)
        pair_store.finish()
    assert [len(column) for column in read_pairs(path)[:5]] == [0] * 5
    assert verify_file(path).ok


def test_chunks_come_in_order_and_fit(path):
    info = made_info()
    with PairStore.open(path, info, launch={}) as pair_store:
        with pytest.raises(ValueError, match="chunk=1 came where chunk 0 is due"):
            pair_store.append(made_result(info.partition[1]), rank=0)
        with pytest.raises(ValueError, match="must be Chunk"):
            pair_store.append(made_result(Chunk(0, 0, 8)), rank=0)
        with pytest.raises(ValueError, match="has rows=318 and 1000 emissions"):
            pair_store.append(made_result(Chunk(0, 0, 1000), "lossy"), rank=0)


def test_more_rows_than_announced_stop_the_run(path):
    info = made_info("lossy", coincidence=0.01)
    with pytest.raises(
        StoreError, match=r"room for 264 rows and chunk 0 exceeds it: .* coincidence=0.01"
    ):
        write(path, info, "lossy")


def test_an_unfinished_run_is_not_published(path):
    with (
        PairStore.open(path, made_info(), launch={}) as pair_store,
        pytest.raises(StoreError, match="11 chunks missing"),
    ):
        pair_store.finish()
    assert names(path.parent) == ["run.h5.part"]


def test_completed_knows_its_own_run_only(path):
    assert store.completed(path, made_info()) is None
    write(path, made_info())
    found = store.completed(path, made_info())
    assert (found.complete, found.rows, found.pairs) == (True, 10_003, 10_003)
    assert store.completed(path, made_info(pairs=5000)).pairs == 10_003
    assert store.completed(path, made_info(pairs=10_004)) is None
    assert store.completed(path, made_info(digest="e" * 64)) is None
    path.write_text("not a pairs file")
    assert store.completed(path, made_info()) is None


# Larger and smaller


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pairs", [10_003, 12_000, 31_234])
@pytest.mark.parametrize("finished", [True, False])
def test_more_pairs_extend_what_is_there(path, part, kind, pairs, finished):
    short = made_info(kind, pairs=9_500)
    write(path, short, kind, chunks=None if finished else 8)
    before = path.read_bytes() if finished else None
    messages = write(path, made_info(kind, pairs=pairs, thresholds={"p": 78}), kind)
    kept = 9 if finished else 8
    assert f"is extended from pairs=9500 to {pairs}: {kept} whole chunks kept" in messages[0]
    with open_pairs(path) as file:
        assert file.chunks["run"].tolist()[:kept] == [0] * kept
        assert set(file.chunks["run"].tolist()[kept:]) == {1}
        assert len(file.runs) == 2
        assert file.info.thresholds == {"p": 77}
    other = path.with_name("other.h5")
    write(other, made_info(kind, pairs=pairs), kind)
    assert identity(path) == identity(other)
    if finished:
        aside = path.with_name("run.h5.old-1")
        assert messages[-1] == f"the shorter {path} (pairs=9500) is set aside as run.h5.old-1"
        assert aside.read_bytes() == before


def test_damage_is_not_carried_into_the_larger_file(path):
    write(path, made_info(pairs=99_500))
    flip(path, "pairs/bob_basis", 300)  # in chunk 2
    flip(path, "chunks", 5 * 136 + 20)  # the record of chunk 5
    messages = write(path, made_info(pairs=100_000))
    assert "97 whole chunks kept" in messages[0]
    assert any("2 damaged chunks are redone: 2, 5" in message for message in messages)
    assert verify_file(path).ok


def test_fewer_pairs_than_begun_are_refused(path, part):
    write(path, made_info(), chunks=3)
    before = part.read_bytes()
    with pytest.raises(StoreError, match="more than pairs=9000: pairs can be raised, not lowered"):
        write(path, made_info(pairs=9000))
    assert part.read_bytes() == before
    assert names(path.parent) == ["run.h5.part"]


# Other runs' files


@pytest.mark.parametrize("chunks", [3, None])
def test_another_runs_file_is_refused_or_set_aside(path, chunks):
    write(path, made_info(), chunks=chunks)
    (name,) = names(path.parent)
    before = (path.parent / name).read_bytes()
    other = made_info(digest="e" * 64)
    with pytest.raises(
        StoreError, match=f"{name} belongs to another run .*d{{12}}, this one is e{{12}}.*--force"
    ):
        write(path, other)
    assert names(path.parent) == [name]
    messages = write(path, other, force=True)
    assert messages == [f"{path.parent / name} is set aside as {name}.old-1"]
    assert (path.parent / f"{name}.old-1").read_bytes() == before
    assert status(path).digest == "e" * 64


def test_force_resumes_its_own_partial_file(path):
    write(path, made_info(), chunks=3)
    assert write(path, made_info(), force=True)[0].endswith("3 of 11 chunks are in")
    write(path, made_info(), force=True)
    assert names(path.parent) == ["run.h5", "run.h5.old-1"]
    assert identity(path) == identity(path.with_name("run.h5.old-1")) == GOLDEN["lossless"]


def test_force_starts_anew_although_a_kill_left_the_partial_name(path, part):
    write(path, made_info())
    os.link(path, part)  # published, but killed before the partial name went
    with PairStore.open(path, made_info(), launch={}, force=True) as pair_store:
        assert len(pair_store.todo) == 11
    assert status(path.with_name("run.h5.old-1")).complete
    assert names(path.parent) == ["run.h5.old-1", "run.h5.part"]


def test_a_complete_file_is_not_written_again(path):
    write(path, made_info())
    with pytest.raises(StoreError, match=r"complete already \(pairs=10003\)"):
        PairStore.open(path, made_info(), launch={})
    assert names(path.parent) == ["run.h5"]


@pytest.mark.parametrize("content", [b"", b"precious text", b"\x89HDF\r\n\x1a\n" + bytes(5000)])
def test_what_is_not_a_pairs_file_is_not_overwritten(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not overwritten: choose another output or move it away"):
        write(path, made_info())
    assert path.read_bytes() == content
    assert names(path.parent) == ["run.h5"]


def test_a_name_taken_while_the_run_went_on_is_not_overwritten(path, part):
    with PairStore.open(path, made_info(), launch={}) as pair_store:
        for chunk in made_info().partition:
            pair_store.append(made_result(chunk), rank=0)
        path.write_text("precious")
        with pytest.raises(StoreError, match=r"run\.h5 is not an HDF5 file"):
            pair_store.finish()
    assert path.read_text() == "precious"
    path.unlink()
    write(path, made_info())
    assert identity(path) == GOLDEN["lossless"]


# Damage


def offset(path, dataset):
    with h5py.File(path, "r", locking=False) as file:
        return file[dataset].id.get_offset()


def raw_columns(path):
    """The bytes of the four columns as they are in the file."""
    with h5py.File(path, "r") as file:
        return [file["pairs"][name][:].tobytes() for name in COLUMNS]


def flip(path, dataset, byte, bit=3):
    """Flip one bit in a dataset."""
    flip_bit(path, offset(path, dataset) + byte, bit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["alice_basis", "bob_outcome"])
@pytest.mark.parametrize("chunk", [0, 3, 4, 8])
def test_a_chunk_with_flipped_bits_is_redone_in_place(path, part, kind, column, chunk):
    info = made_info(kind)
    write(path, info, kind, chunks=9, finish=False)
    with open_pairs(part) as file:
        record = file.chunks[chunk]
    if not record["rows"]:
        chunk, record = 5, open_pairs(part).chunks[5]
    row = int(record["row"]) + int(record["rows"]) // 2
    flip(part, f"pairs/{column}", row >> 3, row & 7)
    messages = write(path, info, kind)
    assert f"1 damaged chunk is redone: {chunk}" in messages
    assert identity(path) == GOLDEN[kind]
    with open_pairs(path) as file:
        assert [fault["what"] for fault in file.faults] == [
            b"damaged chunks found on opening: %d" % chunk
        ]
        assert file.faults["chunks"].tolist() == [1]


@pytest.mark.parametrize("field", CHUNK_DTYPE.names)
def test_no_field_of_a_record_is_damaged_unnoticed(path, part, field):
    write(path, made_info("lossy"), "lossy", chunks=9, finish=False)
    before = status(path)
    flip(part, "chunks", 4 * 136 + CHUNK_DTYPE.fields[field][1], bit=0)
    assert status(path).chunks_done == 8
    write(path, made_info("lossy"), "lossy", chunks=1, finish=False)
    after = status(path)
    assert (after.chunks_done, after.tally, after.rows) == (9, before.tally, before.rows)


def test_a_valid_record_at_the_wrong_row_is_not_trusted(path, part):
    info = made_info("lossy", pairs=100_000)
    write(path, info, "lossy", chunks=99, finish=False)
    with open_pairs(part) as file:
        record = file.chunks[4:5]
    record["row"] += 8
    seal(record[0])
    at = offset(part, "chunks") + 4 * 136
    part.write_bytes(part.read_bytes()[:at] + record.tobytes() + part.read_bytes()[at + 136 :])
    assert write(path, info, "lossy")[1] == "2 damaged chunks are redone: 4, 5"
    assert verify_file(path).ok


def test_redone_chunks_count_their_attempts(path, part):
    for _ in range(2):
        write(path, made_info(), chunks=9, finish=False)
        flip(part, "pairs/bob_basis", 500)
    write(path, made_info())
    with open_pairs(path) as file:
        assert file.chunks["attempt"].tolist() == [0, 0, 0, 0, 2, *[0] * 6]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_record_is_found_again_from_its_neighbors(path, part, kind):
    info = made_info(kind)
    write(path, info, kind, chunks=9, finish=False)
    for record in (0, 4, 5, 8):
        flip(part, "chunks", record * 136 + 27)
    messages = write(path, info, kind, chunks=0, finish=False)
    assert messages == [
        f"resuming {part}: 5 of 11 chunks are in",
        "4 damaged chunks are redone: 0, 4, 5, 8",
    ]
    write(path, info, kind)
    assert identity(path) == GOLDEN[kind]


def test_damage_far_from_the_end_is_found_by_verify_and_by_readers(path, part):
    info = made_info(pairs=100_000)
    write(path, info, chunks=99, finish=False)
    flip(part, "pairs/alice_outcome", 20 * 125)
    assert verify_file(part).data == (20,)
    with (
        open_pairs(part) as file,
        pytest.raises(StoreError, match=r"chunk 20 is damaged \(rows 20000 to 21000 .*resume"),
    ):
        file.tally()
    write(path, info)
    with pytest.raises(StoreError, match=r"chunk 20 is damaged.*generate it anew"):
        read_pairs(path, 20_500, 20_501)
    assert len(read_pairs(path, 19_000, 20_000).bob_basis) == 1000
    assert len(read_pairs(path, 20_500, 20_501, verify=False).bob_basis) == 1


def test_damage_in_a_lossy_run_is_found_when_it_is_finished(path, part):
    info = made_info("lossy", pairs=100_000)
    write(path, info, "lossy", chunks=99, finish=False)
    with open_pairs(part) as file:
        flip(part, "pairs/alice_outcome", int(file.chunks["row"][20]) // 8 + 2)
    with pytest.raises(
        StoreError, match=r"chunks \[20\] were damaged on the disk .* run the same command again"
    ):
        write(path, info, "lossy")
    assert names(path.parent) == ["run.h5.part"]
    assert write(path, info, "lossy")[1] == "1 damaged chunk is redone: 20"
    assert verify_file(path).ok


@pytest.mark.parametrize(("pairs", "chunk_size"), [(10_003, 1000), (83, 8)])
@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_everywhere_still_ends_in_the_same_bits(path, part, kind, pairs, chunk_size):
    info = made_info(kind, pairs=pairs, chunk_size=chunk_size)
    write(path, info, kind)
    expected, raw = identity(path), raw_columns(path)
    rng = np.random.default_rng(5)
    for _ in range(12):
        path.unlink(missing_ok=True)
        write(path, info, kind, chunks=int(rng.integers(1, 11)), finish=False)
        with open_pairs(part) as file:
            rows, chunks = file.rows, len(file.chunks)
        for _ in range(int(rng.integers(1, 6))):
            bit = int(rng.integers(8))
            if rng.integers(2) and rows:
                flip(part, f"pairs/{rng.choice(COLUMNS)}", int(rng.integers(rows)) // 8, bit)
            else:
                flip(part, "chunks", int(rng.integers(136 * chunks)), bit)
        write(path, info, kind)
        assert identity(path) == expected
        assert raw_columns(path) == raw


def test_bits_behind_the_last_row_are_0(path, part):
    info = made_info("lossy")
    write(path, info, "lossy", finish=False)
    with open_pairs(part) as file:
        assert file.rows % 8 == 4
        flip(part, "pairs/alice_basis", file.rows // 8, bit=6)
    write(path, info, "lossy")
    assert raw_columns(path)[0][-1] < 16


def test_an_engine_that_does_not_reproduce_itself_is_found_out(path, part):
    info = made_info("lossy")
    write(path, info, "lossy", chunks=9, finish=False)
    flip(part, "pairs/bob_basis", 0)
    with PairStore.open(path, info, launch={}) as pair_store:
        fewer = made_result(Chunk(0, 0, 1000), "lossy")
        other = made_pairs(Chunk(1, 1000, 1000), "lossy")
        assert other.count != fewer.pairs.count
        fewer.record["rows"] = other.count
        with pytest.raises(StoreError, match="the engine does not reproduce its own pairs"):
            pair_store.append(ChunkResult(fewer.record, other), rank=0)
    write(path, info, "lossy")
    assert identity(path) == GOLDEN["lossy"]


def cut_in_half(part):
    os.truncate(part, part.stat().st_size // 2)


def zero_the_head(part):
    with part.open("r+b") as file:
        file.write(bytes(512))


def remove_a_dataset(part):
    with h5py.File(part, "r+", locking=False) as file:
        del file["pairs/bob_basis"]


def shrink_the_table(part):
    with h5py.File(part, "r+", locking=False) as file:
        del file["chunks"]
        file["chunks"] = np.zeros(3)


def lie_about_pairs(part):
    with h5py.File(part, "r+", locking=False) as file:
        file.attrs.modify("pairs", np.uint64(20_003))


def remove_an_attribute(part):
    with h5py.File(part, "r+", locking=False) as file:
        del file.attrs["config_digest"]


def replace_by_text(part):
    part.write_text("nothing like HDF5")


@pytest.mark.parametrize(
    "damage",
    [
        cut_in_half, zero_the_head, remove_a_dataset, shrink_the_table, lie_about_pairs, remove_an_attribute,
        replace_by_text,
    ],
)  # fmt: skip
def test_a_partial_file_with_damaged_metadata_is_set_aside(path, part, damage):
    write(path, made_info(), chunks=4)
    damage(part)
    before = part.read_bytes()
    messages = write(path, made_info(), chunks=2)
    assert len(messages) == 1
    assert "set aside as run.h5.part.damaged-1 and the run starts again" in messages[0]
    assert path.with_name("run.h5.part.damaged-1").read_bytes() == before
    replace_by_text(part)
    assert "set aside as run.h5.part.damaged-2" in write(path, made_info())[0]
    assert identity(path) == GOLDEN["lossless"]


def test_flipped_bits_in_metadata_are_noticed(path, part):
    write(path, made_info(), chunks=1, finish=False)
    content = bytearray(part.read_bytes())
    intact = layout.read(part)
    data = {"chunks": 11 * 136, "runs": 1024 * 736, "faults": 1024 * 344, "overflow": 16}
    data |= {"metrics": 2048 * store.METRICS_DTYPE.itemsize}
    data |= {f"pairs/{name}": 1251 for name in COLUMNS}
    metadata = set(range(len(content)))
    for name, size in data.items():
        metadata -= set(range(intact.offsets[name], intact.offsets[name] + size))
    assert 5000 < len(metadata) < 100_000
    noticed = 0
    for byte in sorted(metadata)[::61]:
        content[byte] ^= 0x10
        part.write_bytes(content)
        content[byte] ^= 0x10
        try:
            assert layout.read(part) == intact
        except StoreError:
            noticed += 1
    assert noticed > 30
