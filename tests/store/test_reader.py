"""Reading: slices, blocks, sums, exports, and files that cannot be read."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_chunks import KINDS, TIMED, made_info, made_pairs, made_rows, write

from caligo_mpi.errors import EnvironmentProblem
from caligo_mpi.pairs import COLUMNS, Tally, bits, tally
from caligo_mpi.store import (
    StoreError,
    export,
    open_pairs,
    pairs_hash,
    read_pairs,
    status,
    verify_file,
)

SPECIFICATION = Path(__file__).parents[2] / "docs" / "file-format.md"


@pytest.fixture(params=KINDS)
def made(tmp_path, request):
    """A finished file, its kind and its rows."""
    path, info = tmp_path / "run.h5", made_info(request.param)
    write(path, info, request.param)
    return path, request.param, made_rows(info, request.param)


def test_columns_are_sliced_like_arrays(made):
    path, kind, rows = made
    with open_pairs(path) as file:
        for name, expected in zip(COLUMNS, rows, strict=True):
            column = getattr(file, name)
            assert len(column) == len(expected)
            for start, stop, step in (
                (None, None, 1),
                (3, 1000, 2),
                (-7, None, 1),
                (50, 7, -3),
                (9, 9, 1),
                (10**6, None, 1),
            ):
                assert np.array_equal(column[start:stop:step], expected[start:stop:step])
            assert column[5] == expected[5]
            assert column[-1] == expected[-1]
            assert np.array_equal(np.asarray(column), expected)
            with pytest.raises(IndexError):
                column[len(expected)]
        if kind == "lossless":
            assert file.index is None
        else:
            index = file.index[:]
            assert index.dtype == np.uint64
            assert np.array_equal(file.index[100:900:7], index[100:900:7])
        assert (file.time is None) == (kind not in TIMED)


def test_expecting_rows_changes_nothing(made):
    path, _, rows = made
    with open_pairs(path) as file:
        for start, stop in ((0, 10**9), (5, 5), (77, 2000)):
            file.expect(start, stop)
        assert np.array_equal(file.alice_basis[:], rows[0])


def test_packed_columns_begin_at_bit_0(made):
    path, _, rows = made
    with open_pairs(path) as file:
        for start, stop in ((0, None), (8, 16), (3, 2000), (5, 5), (77, 78)):
            assert np.array_equal(
                file.packed("bob_basis", start, stop), bits.pack(rows[2][start:stop])
            )


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 4001, 10**6])
@pytest.mark.parametrize("verify", [True, False])
def test_blocks_have_the_size_asked_for(made, size, verify):
    path, kind, rows = made
    start, stop = (0, 150) if size < 10 else (13, 2700)
    with open_pairs(path) as file:
        blocks = list(file.blocks(size, start=start, stop=stop, verify=verify))
        index = None if kind == "lossless" else file.index[start:stop]
    assert {block.count for block in blocks[:-1]} <= {size}
    assert sum(block.count for block in blocks) == stop - start
    for position, block in enumerate(blocks):
        part = slice(start + position * size, min(stop, start + (position + 1) * size))
        for column, expected in zip(block.columns, rows, strict=True):
            assert np.array_equal(column, bits.pack(expected[part]))
    if index is not None:
        assert np.array_equal(np.concatenate([block.index for block in blocks]), index)


@pytest.mark.parametrize("verify", [True, False])
def test_blocks_that_share_a_buffer_have_the_same_rows(made, verify):
    path, _, _ = made
    with open_pairs(path) as file:
        shared = file.blocks(777, verify=verify, reuse=True)
        sums = [block.checksum() for block in shared]
        assert sums == [block.checksum() for block in file.blocks(777, verify=verify)]
        some = file.chunk_records(2, 5)
        assert some["index"].tolist() == [2, 3, 4]
        assert len(file.chunk_records(0, 10**9)) == file.chunk_count


def test_blocks_outlive_the_file_and_each_other(made):
    path, _, rows = made
    with open_pairs(path) as file:
        blocks = list(file.blocks())
    assert np.array_equal(
        np.concatenate([bits.unpack(b.alice_outcome, b.count) for b in blocks]), rows[1]
    )


def test_tally_equals_the_sum_of_the_records(made):
    path, kind, _ = made
    parts = [made_pairs(chunk, kind) for chunk in made_info(kind).partition]
    expected = sum((tally(part.columns, part.count) for part in parts), Tally())
    with open_pairs(path) as file:
        assert file.tally() == file.tally(verify=False) == status(path).tally == expected
    assert expected.sifted_z > 500


def test_a_file_says_what_it_is(tmp_path):
    path = tmp_path / "run.h5"
    seed = 2**70 + 1  # more than an HDF5 integer holds
    write(path, made_info(seed=seed, config='{"seed": 1, "engine": {"name": "noise"}}'))
    with open_pairs(path) as file:
        assert (file.pairs, file.rows, file.complete, file.seed) == (10_003, 10_003, True, seed)
        assert file.config == {"seed": 1, "engine": {"name": "noise"}}
        assert (file.engine, file.digest, file.info.thresholds) == (
            "made lossless",
            "d" * 64,
            {"p": 77},
        )
        assert file.chunks["start"].tolist() == list(range(0, 10_003, 1000))
        assert file.chunks["alice_clicks"].sum() == 10_003 - 11
        assert file.runs["id"].tolist() == [b"test"]
        assert len(file.faults) == 0


def test_status_of_a_stopped_run_goes_by_either_name(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info(), chunks=4)
    found = status(path)
    assert found.path == tmp_path / "run.h5.part"
    assert (found.complete, found.chunks_done, found.chunks_total) == (False, 4, 11)
    assert (found.pairs, found.pairs_done, found.rows, found.owner) == (10_003, 4000, 4000, "")
    assert found.last_commit >= found.runs["started"][0] > 1.7e9
    assert status(found.path).chunks_done == 4
    with pytest.raises(StoreError, match=r"run.h5 does not exist, but .*run.h5.part does"):
        open_pairs(path)


def test_only_the_committed_beginning_of_a_partial_file_is_read(tmp_path):
    path, part = tmp_path / "run.h5", tmp_path / "run.h5.part"
    write(path, made_info("timed"), "timed", chunks=6)
    rows = made_rows(made_info("timed"), "timed")
    arrays = read_pairs(part)
    assert len(arrays.time) == len(arrays.index) == len(arrays.bob_outcome) == 1528
    assert np.array_equal(arrays.bob_outcome, rows[3][:1528])


def test_a_partial_file_is_read_up_to_its_first_damaged_record(tmp_path):
    path, part = tmp_path / "run.h5", tmp_path / "run.h5.part"
    write(path, made_info(), chunks=9)
    with h5py.File(part, "r") as file:
        at = file["chunks"].id.get_offset() + 136 * 4 + 50
    content = bytearray(part.read_bytes())
    content[at] ^= 1
    part.write_bytes(content)
    with open_pairs(part) as file:
        assert (file.rows, len(file.chunks)) == (4000, 4)
        assert sum(block.count for block in file.blocks(999)) == 4000
    assert status(part).chunks_done == 8


def test_verify_simulates_chunks_again(made):
    path, kind, _ = made
    partition = made_info(kind).partition
    found = verify_file(
        path, resample=lambda index: made_pairs(partition[index], kind), chunks=[0, 5, 10]
    )
    assert (found.ok, found.resampled, found.differing, found.chunks) == (True, (0, 5, 10), (), 11)
    found = verify_file(
        path, resample=lambda index: made_pairs(partition[index - 1], kind), chunks=[5]
    )
    assert (found.ok, found.differing) == (False, (5,))


@pytest.mark.parametrize(
    ("dataset", "byte", "records", "data"),
    [
        ("chunks", 136 * 4 + 9, (4,), ()),
        ("pairs/bob_outcome", 0, (), (0,)),
        ("chunks", 136 * 10 + 130, (10,), ()),
    ],
)
def test_verify_names_every_damaged_chunk(tmp_path, dataset, byte, records, data):
    path = tmp_path / "run.h5"
    write(path, made_info())
    with h5py.File(path, "r") as file:
        at = file[dataset].id.get_offset() + byte
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)
    found = verify_file(path)
    assert (found.ok, found.records, found.data) == (False, records, data)


@pytest.mark.parametrize("chunk", [0, 5, 9])
def test_a_damaged_record_stops_readers(tmp_path, chunk):
    path = tmp_path / "run.h5"
    write(path, made_info("lossy"), "lossy")
    with h5py.File(path, "r") as file:
        at = file["chunks"].id.get_offset() + 136 * chunk + 50
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    for read in (read_pairs, lambda path: open_pairs(path).tally()):
        with pytest.raises(
            StoreError, match=rf"chunk {chunk} is damaged \(its record does not have its checksum\)"
        ):
            read(path)


def test_verify_notices_a_digest_that_does_not_fit(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info())
    with h5py.File(path, "r+") as file:
        file.attrs.modify("data_digest", np.bytes_(b"0" * 64))
    assert verify_file(path).digest_fits is False
    assert not verify_file(path).ok


def test_a_file_is_opened_anew_as_it_is_then(made, tmp_path):
    path, _, rows = made
    with open_pairs(path) as file:
        pass
    for _ in range(2):
        with file.reopened() as file:
            assert np.array_equal(file.bob_outcome[:], rows[3])
    other = tmp_path / "other.h5"
    write(other, made_info("lossless", seed=8), "lossless")
    path.unlink()
    with pytest.raises(StoreError, match="does not exist"):
        file.reopened()
    other.replace(path)
    with file.reopened() as file:
        assert file.seed == 8
    content = bytearray(path.read_bytes())
    content[content.index(b"chunk_size")] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        file.reopened()


# Files that cannot be read


def set_attribute(name, value):
    def damage(path):
        with h5py.File(path, "r+") as file:
            file.attrs.modify(name, value)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"not HDF5"), "is not an HDF5 file with pairs, or damaged"),
        (lambda path: path.write_bytes(b""), "is not an HDF5 file with pairs, or damaged"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1000]),
            "is (truncated|not an HDF5 file)",
        ),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), path.mkdir()), r"is a directory; name a file"),
        (
            set_attribute("rows", np.uint64(10_002)),
            "it says rows=10002 and chunk_size=1000 for pairs=10003",
        ),
        (set_attribute("rows", np.uint64(10**15)), "it says rows=1000000000000000"),
        (
            set_attribute("format", "caligo-keys"),
            "has format='caligo-keys'; this reader knows 'caligo-pairs': name a file of pairs",
        ),
        (
            lambda path: (path.unlink(), h5py.File(path, "w").close()),
            "is not an HDF5 file with pairs, or damaged .it has no attribute 'format'",
        ),
        (
            set_attribute("format_version", np.array([2, 0])),
            r"format_version=2.0; this reader knows 1.x",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path, damage, message):
    path = tmp_path / "run.h5"
    write(path, made_info())
    damage(path)
    for reader in (open_pairs, read_pairs, status, verify_file, pairs_hash):
        with pytest.raises(StoreError, match=message) as caught:
            reader(path)
        assert "\n" not in str(caught.value)


def test_a_later_minor_version_is_read(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info())
    set_attribute("format_version", np.array([1, 7]))(path)
    assert status(path).complete


def test_foreign_hdf5_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["pairs"] = np.arange(3)
    with pytest.raises(StoreError, match="is not an HDF5 file with pairs"):
        open_pairs(path)


# Plain columns


def test_exports_hold_the_same_values(made, tmp_path):
    path, *_ = made
    expected = read_pairs(path).named()
    with np.load(export(path, tmp_path / "out.npz", kind="npz")) as arrays:
        assert list(arrays) == list(expected)
        for name, column in expected.items():
            assert np.array_equal(arrays[name], column)
            assert arrays[name].dtype == column.dtype
    with export(path, tmp_path / "out.csv", kind="csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == list(expected)
    for name, column in zip(table[0], np.array(table[1:], float).T, strict=True):
        assert np.array_equal(column, expected[name])
    folder = export(path, tmp_path / "out", kind="bytes")
    ends = {np.dtype(end): end for end in ("u1", "u4", "u8", "i2", "f4", "f8")}
    assert {file.name for file in folder.iterdir()} == {
        f"{n}.{ends[c.dtype]}" for n, c in expected.items()
    }
    for name, column in expected.items():
        assert np.array_equal(
            np.fromfile(folder / f"{name}.{ends[column.dtype]}", column.dtype), column
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out.csv", "out.npz", "run.h5"]


def test_parquet_holds_the_same_values_and_the_configuration(made, tmp_path):
    parquet = pytest.importorskip(
        "pyarrow.parquet", reason="no pyarrow for this numpy", exc_type=ImportError
    )
    path, *_ = made
    table = parquet.read_table(export(path, tmp_path / "out.parquet", kind="parquet"))
    for name, column in read_pairs(path)._asdict().items():
        if column is not None:
            assert np.array_equal(table[name].to_numpy(), column)
    assert table.schema.metadata[b"data_digest"].decode() == status(path).data_digest


def test_parquet_without_pyarrow_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write(tmp_path / "run.h5", made_info())
    with pytest.raises(EnvironmentProblem, match=r"pip install 'caligo-mpi\[parquet\]'"):
        export(tmp_path / "run.h5", tmp_path / "out.parquet", kind="parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


@pytest.mark.parametrize("kind", ["npz", "csv", "bytes"])
def test_exports_overwrite_nothing_and_leave_nothing_behind(tmp_path, kind):
    path, target = tmp_path / "run.h5", tmp_path / "out"
    write(path, made_info())
    target.write_text("precious")
    with pytest.raises(StoreError, match="exists; exports overwrite nothing"):
        export(path, target, kind=kind)
    assert target.read_text() == "precious"
    target.unlink()
    with h5py.File(path) as file:
        at = file["pairs/bob_basis"].id.get_offset() + 1250
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="chunk 10 is damaged"):
        export(path, target, kind=kind)
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


# The specification


@pytest.mark.parametrize("number", range(5))
def test_the_snippets_of_the_specification_run(made, number, monkeypatch):
    path, _, rows = made
    snippets = re.findall(r"```python\n(.*?)```", SPECIFICATION.read_text(), re.DOTALL)
    assert len(snippets) == 5
    monkeypatch.chdir(path.parent)
    names = {}
    exec(snippets[number], names)
    assert np.array_equal(names["alice_basis"], rows[0])
    assert names["checked"] is True


def test_the_page_alone_tells_checksums_digest_and_damage(made, monkeypatch):
    """With h5py and xxhash: what the page says of order and packing, not what our code does."""
    path, _, rows = made
    snippet = re.findall(r"```python\n(.*?)```", SPECIFICATION.read_text(), re.DOTALL)[4]
    assert "caligo" not in snippet
    monkeypatch.chdir(path.parent)
    names = {}
    exec(snippet, names)
    before = pairs_hash(path)
    assert names["pairs_hash"] == before
    assert (names["damaged"], names["same"]) == ([], True)
    with h5py.File(path, "r+", locking=False) as file:
        file["pairs/bob_basis"][len(rows[0]) // 8 - 1] ^= 1
    exec(snippet, names)
    assert len(names["damaged"]) == 1
    assert not names["checked"]
    assert names["pairs_hash"] != before
