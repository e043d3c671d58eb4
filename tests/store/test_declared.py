"""Columns that an engine declares: stored, described, read, exported, and left out where a file has none."""

from __future__ import annotations

import csv
from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers import flip_bit
from made_chunks import DECLARED, made_info, made_pairs, made_result, write

from caligo_mpi.pairs import ColumnSpec, PairArrays
from caligo_mpi.store import (
    PairStore,
    StoreError,
    export,
    layout,
    open_pairs,
    read_pairs,
    verify_file,
)
from caligo_mpi.store.metadata import Damaged

NAMES = [column.name for column in DECLARED]
ALL = ["alice_basis", "alice_outcome", "bob_basis", "bob_outcome", "index", "time", *NAMES]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def expected(info):
    """All declared values of a run, as people read them."""
    parts = [made_pairs(chunk, "declared").extra for chunk in info.partition]
    return {
        column.name: np.concatenate([part[column.name] for part in parts]).astype(column.shown)
        for column in DECLARED
    }


def test_declared_columns_are_read_by_name(path):
    info = made_info("declared")
    write(path, info, "declared")
    want = expected(info)
    arrays = read_pairs(path)
    some = read_pairs(path, 1001, 2003, verify=False)
    assert list(arrays.extra) == NAMES
    assert len(arrays) == 6  # older code takes it apart
    with open_pairs(path) as file:
        assert list(file.columns) == ALL
        for column in DECLARED:
            found = file[column.name]
            assert (found.name, found.unit, found.description) == (
                column.name, column.unit, column.description,
            )  # fmt: skip
            assert dict(found.flags) == dict(column.flags)
            assert found.dtype == column.shown == found[:].dtype == arrays.extra[column.name].dtype
            assert np.array_equal(found[3:1000:7], want[column.name][3:1000:7])
            assert np.array_equal(arrays.extra[column.name], want[column.name])
            assert np.array_equal(some.extra[column.name], want[column.name][1001:2003])
        blocks = [PairArrays.unpacked(block).named() for block in file.blocks(999)]
        for name in ALL:
            assert np.array_equal(np.concatenate([b[name] for b in blocks]), file[name][:])
        with pytest.raises(KeyError, match=r"no column 'color'; it has alice_basis, "):
            file["color"]
        with pytest.raises(ValueError, match=r"charge holds no bits"):
            file.packed("charge")


def test_bare_h5py_finds_units_and_meanings(path):
    write(path, made_info("declared"), "declared")
    with h5py.File(path) as file:
        herald, energy, late = (file["extra"][name] for name in ("herald", "energy", "late"))
        assert herald.attrs["flag_values"].tolist() == [1, 2]
        assert herald.attrs["flag_meanings"] == b"psi+ psi-"
        assert herald.attrs["long_name"] == b"state that was heralded"
        assert (energy.attrs["units"], energy.dtype) == (b"eV", np.dtype("<f4"))
        rows = int(file.attrs["rows"])
        bits = np.unpackbits(late[:], count=rows, bitorder="little")
    assert np.array_equal(bits, expected(made_info("declared"))["late"])


@pytest.mark.parametrize("column", NAMES)
def test_damage_in_a_declared_column_is_found_and_redone(path, column):
    info = made_info("declared")
    write(path, info, "declared", chunks=9, finish=False)
    part = path.with_name("run.h5.part")
    found = layout.read(part)
    row = 2 * int(open_pairs(part).rows) // 3
    spec = next(spec for spec in DECLARED if spec.name == column)
    byte = row >> 3 if spec.is_bit else row * spec.kind.itemsize
    flip_bit(part, found.offsets[f"extra/{column}"] + byte, 1)
    assert len(verify_file(part).data) == 1
    messages = write(path, info, "declared")
    assert any("1 damaged chunk is redone" in message for message in messages)
    assert verify_file(path).ok
    values = expected(info)
    with open_pairs(path) as file:
        assert all(np.array_equal(file[name][:], values[name]) for name in NAMES)


@pytest.mark.parametrize("kind", ["npz", "csv", "parquet", "bytes"])
def test_every_export_has_the_declared_columns(path, tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    info = made_info("declared")
    write(path, info, "declared")
    out = export(path, tmp_path / "out", kind=kind)
    read = {"npz": from_npz, "csv": from_csv, "parquet": from_parquet, "bytes": from_bytes}[kind]
    found = read(out)
    with open_pairs(path) as file:
        assert sorted(found) == sorted(ALL)
        for name in ALL:
            assert np.array_equal(np.asarray(found[name], file[name].dtype), file[name][:])


def from_npz(out):
    return dict(np.load(out))


def from_csv(out):
    with out.open() as lines:
        head, *rows = csv.reader(lines)
    return {name: np.array(values, float) for name, values in zip(head, zip(*rows))}  # noqa: B905


def from_parquet(out):
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(out)
    return {name: table[name].to_numpy() for name in table.column_names}


def from_bytes(out):
    return {column.stem: np.fromfile(column, f"<{column.suffix[1:]}") for column in out.iterdir()}


def test_a_file_keeps_the_columns_it_was_begun_with(path):
    older = made_info("timed")
    write(path, older, "timed", chunks=4)
    with PairStore.open(path, made_info("declared"), launch={}) as store:
        assert store.info.declared == ()
        with pytest.raises(ValueError, match="does not fit"):
            store.append(made_result(older.partition[4], "declared"), rank=0)
    write(path, made_info("timed"), "timed")
    write(path, replace(made_info("declared"), pairs=20_003), "timed")
    assert open_pairs(path).info.declared == ()
    assert verify_file(path).ok


def test_a_chunk_without_its_declared_columns_is_refused(path):
    info = made_info("declared")
    result = made_result(info.partition[0], "timed")
    refused = pytest.raises(ValueError, match=r"chunk=0 has beside its bits .* does not fit")
    with PairStore.open(path, info, launch={}) as store, refused:
        store.append(result, rank=0)


def test_columns_are_under_the_header_checksum(path):
    """Somebody who exchanges the declaration, with HDF5's own checksums in order, is noticed."""
    write(path, made_info("declared"), "declared", chunks=4)
    part = path.with_name("run.h5.part")
    with h5py.File(part, "r+") as file:
        text = file.attrs["declared"].decode().replace("psi+", "phi+")
        file.attrs.modify("declared", np.bytes_(text.encode()))
    with pytest.raises(Damaged):
        layout.read(part)


@pytest.mark.parametrize(
    "text", ["[", "{}", "[1]", '[{"name": "x"}]', '[{"name":"index","dtype":"u8","flags":[]}]']
)
def test_a_declaration_that_cannot_be_is_damage(path, text):
    write(path, made_info("declared"), "declared")
    with h5py.File(path, "r+") as file:
        del file.attrs["declared"]
        file.attrs["declared"] = np.bytes_(text.encode())
    with pytest.raises(StoreError, match="not an HDF5 file with pairs, or damaged"):
        layout.read(path)


def test_as_many_columns_as_may_be_declared_fit(path):
    many = tuple(
        ColumnSpec(f"column_{i}", "u8", "x" * 1000, "d" * 1000, {v: f"m{v}" for v in range(256)})
        for i in range(8)
    )
    layout.create(path, made_info("lossy", declared=many), capacity=64)
    found = layout.read(path)
    assert found.info.declared == many
    assert found.metadata.ours
