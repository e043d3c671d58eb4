"""Chunks that their ranks write into the file themselves: the same file, whoever wrote what, and in which order."""

from __future__ import annotations

import os
import random
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_chunks import KINDS, in_child, made_info, made_result, made_rows, write

from caligo_mpi import store
from caligo_mpi.pairs import ChunkResult
from caligo_mpi.pairs.chunks import Where
from caligo_mpi.store import PairStore, StoreError, pairs_hash, read_pairs, status, verify_file

# Python 3.12 warns of any fork once numpy has made its threads; the children touch none of them.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def opened(path, info):
    return PairStore.open(path, info, launch={"id": "test"})


def written(pair_store, info, kind, *, rng, share=1.0):
    """The results of all chunks to do, written in any order before any of them is appended; some are carried."""
    places = pair_store.places(sync=False)
    writer = places.open()
    indices = list(pair_store.todo)
    results = {index: made_result(info.partition[index], kind) for index in indices}
    row, rows = places.row, {}
    for index in indices:
        rows[index] = row
        row += int(results[index].record["rows"][0])
    for index in rng.sample(indices, len(indices)):
        if rng.random() < share:
            results[index] = writer.write(results[index], rows[index])
            assert results[index].where is Where.WRITTEN
    return [ChunkResult.whole(np.concatenate(results[index].parts())) for index in indices]


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(("pairs", "size"), [(10_003, 1000), (411, 8), (997, 24)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_the_same_whoever_writes_the_columns(tmp_path, path, kind, pairs, size, share):
    info = made_info(kind, pairs=pairs, chunk_size=size)
    write(tmp_path / "gathered.h5", info, kind)
    with opened(path, info) as pair_store:
        for result in written(pair_store, info, kind, rng=random.Random(size), share=share):
            pair_store.append(result, rank=1)
        pair_store.finish()
    assert pairs_hash(path) == pairs_hash(tmp_path / "gathered.h5")
    assert status(path).data_digest == status(tmp_path / "gathered.h5").data_digest
    assert verify_file(path).ok
    found = read_pairs(path)
    columns = (found.alice_basis, found.alice_outcome, found.bob_basis, found.bob_outcome)
    assert np.array_equal(columns, made_rows(info, kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0, 1, 7])
def test_what_is_written_and_not_appended_is_as_if_it_were_not_there(path, kind, kept):
    info = made_info(kind)

    def killed():
        pair_store = opened(path, info)
        for result in written(pair_store, info, kind, rng=random.Random(kept))[:kept]:
            pair_store.append(result, rank=1)
        pair_store.commit()
        os._exit(77)

    assert in_child(killed) == 77
    assert status(path).chunks_done == kept
    write(path, info, kind)
    assert verify_file(path).ok
    write(path.with_name("other.h5"), info, kind)
    assert pairs_hash(path) == pairs_hash(path.with_name("other.h5"))


def test_a_damaged_chunk_is_carried_and_those_behind_it_are_written(path):
    info = made_info("lossy")
    write(path, info, "lossy", chunks=5)
    with opened(path, info) as pair_store:
        place = pair_store._layout.offsets["pairs/alice_basis"]
    part = path.with_name("run.h5.part")
    with part.open("r+b") as file:
        file.seek(place + 100)
        file.write(bytes([file.read(1)[0] ^ 255]))
    with opened(path, info) as pair_store:
        assert list(pair_store.todo)[:2] == [2, 5]
        places = pair_store.places(sync=True)
        assert places.begin == 5
        redone = made_result(info.partition[2], "lossy")
        with pytest.raises(ValueError, match="chunk=2 is redone"):
            pair_store.append(places.open().write(redone, 0), rank=1)


def test_only_a_chunk_that_stands_where_it_is_due_is_taken(path):
    info = made_info("lossy")
    with opened(path, info) as pair_store:
        writer = pair_store.places(sync=False).open()
        result = writer.write(made_result(info.partition[0], "lossy"), 8)
        with pytest.raises(ValueError, match="written from row 8 on, and row 0 is due"):
            pair_store.append(result, rank=1)
    with opened(path, info) as pair_store:
        result = (
            pair_store.places(sync=False).open().write(made_result(info.partition[0], "lossy"), 0)
        )
        wrong = ChunkResult(result.record, None, result.edges[:2])
        with pytest.raises(ValueError, match="edges of shape"):
            pair_store.append(wrong, rank=1)


def test_another_file_of_the_name_is_not_written_to(tmp_path, path):
    info = made_info()
    with opened(path, info) as pair_store:
        places = pair_store.places(sync=False)
        assert places.open() is not None
    path.with_name("run.h5.part").unlink()
    assert places.open() is None
    with PairStore.open(path, info, launch={"id": "another"}) as pair_store:
        assert places.open() is None
        assert replace(places, part=tmp_path / "nowhere").open() is None


def test_what_cannot_be_written_is_carried(path):
    info = made_info("lossy")
    with opened(path, info) as pair_store:
        result = made_result(info.partition[0], "lossy")
        places = pair_store.places(sync=False)
        assert places.open().write(result, places.capacity - 1) is result

        def full():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
            assert places.open().write(result, 0) is result

        assert in_child(full) == 0
        pair_store.append(result, rank=1)
    assert status(path).chunks_done == 1


def test_files_without_columns_have_no_places(path):
    info = made_info(keep="records")
    with opened(path, info) as pair_store:
        assert pair_store.places(sync=False) is None
        written = ChunkResult(
            made_result(info.partition[0]).record, None, np.zeros((0, 2), np.uint8)
        )
        with pytest.raises(ValueError, match="keep=records"):
            pair_store.append(written, rank=0)


def test_a_run_that_outgrows_its_room_is_refused_as_before(path):
    info = made_info("lossy", coincidence=0.001)
    with opened(path, info) as pair_store:
        writer = pair_store.places(sync=False).open()
        result = writer.write(made_result(info.partition[0], "lossy"), 0)
        assert result.where is Where.CARRIED
        with pytest.raises(StoreError, match="has room for"):
            pair_store.append(result, rank=1)


def test_the_file_system_is_named():
    assert store.file_system(Path("/proc")) == "proc"
