"""Files that keep records only: what reads columns gets them simulated again, or one sentence."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers import flip_bit, names
from made_chunks import KINDS, made_again, made_info, made_pairs, made_result, made_rows, write

from caligo_mpi.pairs import ChunkResult
from caligo_mpi.store import (
    PairStore,
    StoreError,
    completed,
    export,
    layout,
    open_pairs,
    pairs_hash,
    preflight,
    read_pairs,
    status,
    verify_file,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


@pytest.fixture
def full(tmp_path):
    """A place for the same run with its columns."""
    return tmp_path / "full.h5"


def records(kind="lossless", **changes):
    return made_info(kind, keep="records", **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("launches", [1, 3])
def test_it_has_the_digest_of_the_file_with_columns(path, full, kind, launches):
    for _ in range(launches):
        write(path, records(kind), kind, chunks=-(-11 // launches))
    write(full, made_info(kind), kind)
    with h5py.File(path, "r") as file:
        assert sorted(file) == ["chunks", "faults", "metrics", "overflow", "runs"]
        assert file.attrs["keep"] == b"records"
        assert file.attrs["columns"].decode().split()[:2] == ["alice_basis", "alice_outcome"]
    here, there = status(path), status(full)
    assert (here.data_digest, here.rows, here.tally) == (there.data_digest, there.rows, there.tally)
    assert here.full_bytes == there.full_bytes > path.stat().st_size - 1
    assert (here.info.has_index, here.info.has_time) == (there.info.has_index, there.info.has_time)
    assert pairs_hash(path, simulator=made_again(kind)) == pairs_hash(full)
    assert verify_file(path).ok
    assert names(path.parent) == ["full.h5", "run.h5"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_like_the_file_with_columns(path, full, kind):
    write(path, records(kind), kind)
    write(full, made_info(kind), kind)
    rows = made_rows(records(kind), kind)
    with open_pairs(path, simulator=made_again(kind)) as file, open_pairs(full) as other:
        for start, stop in [(0, 1), (7, 2003), (999, 1001), (0, file.rows), (5, 5), (-9, None)]:
            stop = file.rows if stop is None else stop
            assert np.array_equal(file.alice_basis[start:stop], rows[0][start:stop])
            packed = file.packed("bob_outcome", start, stop)
            assert np.array_equal(packed, other.packed("bob_outcome", start, stop))
            for name in ("index", "time"):
                mine, theirs = getattr(file, name), getattr(other, name)
                assert (mine is None) == (theirs is None)
                assert mine is None or np.array_equal(mine[start:stop], theirs[start:stop])
        assert file.bob_basis[-1] == rows[2][-1]
        assert file.tally() == file.tally(verify=False) == other.tally()
        for block, same in zip(file.blocks(777, start=3), other.blocks(777, start=3), strict=True):
            assert block.checksum() == same.checksum()
    found = read_pairs(path, 11, 3005, simulator=made_again(kind))
    for mine, theirs in zip(found, read_pairs(full, 11, 3005), strict=True):
        assert (mine is None and theirs is None) or np.array_equal(mine, theirs)
    export(path, path.with_name("a"), kind="bytes", simulator=made_again(kind))
    export(full, path.with_name("b"), kind="bytes")
    for one in sorted(path.with_name("b").iterdir()):
        assert (path.with_name("a") / one.name).read_bytes() == one.read_bytes()


def test_the_committed_beginning_of_a_partial_file_is_read(path):
    write(path, records("lossy"), "lossy", chunks=5, finish=False)
    with open_pairs(path.with_name("run.h5.part"), simulator=made_again("lossy")) as file:
        assert not file.complete
        assert file.tally() == file.tally(verify=False)
        assert file.rows == sum(made_pairs(c, "lossy").count for c in file.info.partition[:5])
        assert np.array_equal(
            file.alice_outcome[:], made_rows(records("lossy"), "lossy")[1][: file.rows]
        )


def test_without_a_simulator_it_says_how_to_read_it(path):
    write(path, records())
    with open_pairs(path) as file:
        assert file.tally(verify=False).sifted_z > 0
        with pytest.raises(StoreError, match=r"keeps records only .*caligo_mpi\.open_pairs"):
            file.alice_basis[0]
    with pytest.raises(StoreError, match="keeps records only"):
        read_pairs(path)


def test_a_chunk_that_comes_out_otherwise_is_refused(path):
    write(path, records())

    def other(info):
        return lambda index: made_pairs(info.partition[index if index != 4 else 5])

    with open_pairs(path, simulator=other) as file:
        assert len(file.alice_basis[:4000]) == 4000
        with pytest.raises(StoreError, match="chunk 4 was simulated again and does not have"):
            file.alice_basis[3999:4001]
    simulate = other(records())
    assert verify_file(path, resample=simulate, chunks=range(11)).differing == (4,)
    assert verify_file(path, resample=made_again()(records()), chunks=range(11)).ok


def test_a_damaged_record_is_named_and_redone(path):
    write(path, records("lossy"), "lossy", chunks=9, finish=False)
    part = path.with_name("run.h5.part")
    flip_bit(part, layout.read(part).offsets["chunks"] + 4 * 136 + 45)
    assert "1 damaged chunk is redone: 4" in write(path, records("lossy"), "lossy")
    assert status(path).faults["chunks"].tolist() == [1]
    assert verify_file(path).ok
    flip_bit(path, layout.read(path).offsets["chunks"] + 6 * 136 + 45)
    assert verify_file(path).records == (6,)
    with (
        open_pairs(path, simulator=made_again("lossy")) as file,
        pytest.raises(StoreError, match="chunk 6 is damaged"),
    ):
        file.tally()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("finished", [True, False])
def test_it_is_extended(path, full, kind, finished):
    write(path, records(kind, pairs=9_500), kind, chunks=None if finished else 8)
    messages = write(path, records(kind, pairs=12_345), kind)
    assert f"{9 if finished else 8} whole chunks kept" in messages[0]
    write(full, made_info(kind, pairs=12_345), kind)
    assert status(path).data_digest == status(full).data_digest


@pytest.mark.parametrize("there", ["pairs", "records"])
def test_a_partial_file_that_keeps_something_else_is_not_gone_on_with(path, there):
    here = {"pairs": "records", "records": "pairs"}[there]
    write(path, made_info(keep=there), chunks=3)
    part = path.with_name("run.h5.part")
    before = part.read_bytes()
    words = f"output.keep={there}, and output.keep={here} is asked for"
    with pytest.raises(StoreError, match=words):
        preflight(path, made_info(keep=here))
    with pytest.raises(StoreError, match=words):
        write(path, made_info(keep=here))
    assert part.read_bytes() == before
    assert "is set aside" in write(path, made_info(keep=here), force=True)[0]
    assert status(path).info.keep == here


def test_a_finished_file_that_keeps_something_else(path, full):
    write(path, records())
    write(full, made_info())
    # Whoever asks for records gets more than that, whoever asks for pairs less.
    assert completed(full, records()) is not None
    assert completed(path, made_info()) is None
    with pytest.raises(StoreError, match=r"holds the same run with output\.keep=records"):
        write(path, made_info())
    with pytest.raises(StoreError, match=r"holds the same run with output\.keep=pairs"):
        write(full, records(pairs=20_000))
    assert names(path.parent) == ["full.h5", "run.h5"]


def test_columns_come_where_they_are_kept_and_nowhere_else(path):
    info = records()
    with (
        PairStore.open(path, info, launch={}) as pair_store,
        pytest.raises(ValueError, match="keep=records"),
    ):
        pair_store.append(made_result(info.partition[0]), rank=0)
    path.with_name("run.h5.part").unlink()
    info = replace(info, keep="pairs")
    nowhere = ChunkResult(made_result(info.partition[0]).record, None)
    with (
        PairStore.open(path, info, launch={}) as pair_store,
        pytest.raises(ValueError, match="keep=pairs"),
    ):
        pair_store.append(nowhere, rank=0)


def test_a_result_without_columns_travels_as_its_record():
    record = made_result(records().partition[3]).record
    buffer = np.concatenate(ChunkResult(record, None).parts())
    assert len(buffer) == 144
    back = ChunkResult.whole(buffer)
    assert back.pairs is None
    assert back.record == record


def test_a_file_that_keeps_what_this_release_does_not_know_is_refused(path):
    write(path, records())
    with h5py.File(path, "r+") as file:
        file.attrs.modify("keep", np.bytes_(b"riddles"))
    with pytest.raises(StoreError, match="keeps 'riddles'"):
        open_pairs(path)
