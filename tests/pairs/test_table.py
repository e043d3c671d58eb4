"""What a column may be, and a result with declared columns on its way through bytes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from caligo_mpi import ConfigError, PairArrays
from caligo_mpi.pairs import CHUNK_DTYPE, ChunkResult, ColumnSpec, Pairs, bits, table
from caligo_mpi.pairs.checks import breach_of_declared

DECLARED = (
    ColumnSpec("late", "bit"),
    ColumnSpec("bell_state", "u1", flags={0: "psi+", 1: "psi-"}),
    ColumnSpec("charge", "i8", "e"),
)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("", "u1"), "column name ''"),
        (("Bell", "u1"), "column name 'Bell' must be up to 64 lower-case letters"),
        (("a/b", "u1"), "column name 'a/b'"),
        (("7th", "u1"), "begin with a letter"),
        (("x" * 65, "u1"), "64"),
        ((7, "u1"), "column name 7"),
        (("x", "u16"), "column x has dtype='u16'; choose one of: bit u1 u2"),
        (("x", np.uint8), "column x has dtype="),
        (("x", "u1", 5), "column x has unit=5; it must be text"),
        (("x", "u1", "", "d" * 1001), "column x has description="),
        (("x", "f4", "", "", {0: "a"}), "flags and dtype=f4; only bits and integers have flags"),
        (("x", "bit", "", "", {2: "a"}), "a flag for 2, which is no value of dtype=bit"),
        (("x", "i1", "", "", {-129: "a"}), "a flag for -129"),
        (("x", "u1", "", "", {0: "two words"}), "a meaning is one word without blanks"),
        (("x", "u1", "", "", {0: ""}), "a meaning is one word"),
        (("x", "u1", "", "", ["a"]), "they must map at most 256 values to words"),
    ],
)
def test_what_cannot_be_a_column_is_refused_in_a_sentence(fields, words):
    with pytest.raises(ConfigError) as error:
        ColumnSpec(*fields)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([ColumnSpec("time", "f8")], "engine e declares time, which is taken"),
        ([ColumnSpec("bob_basis", "bit")], "declares bob_basis, which is taken"),
        ([ColumnSpec("a", "u1"), ColumnSpec("a", "u2")], "declares a, which is taken"),
        (["a"], "declares 'a'; a column is a ColumnSpec"),
        ([ColumnSpec(f"c{i}", "u1") for i in range(9)], "9 columns; at most 8 fit"),
    ],
)
def test_what_cannot_stand_in_one_file_is_refused(columns, words):
    with pytest.raises(ConfigError) as error:
        table.checked(columns, who="engine e")
    assert words in str(error.value)


def test_a_declaration_comes_back_from_its_text():
    assert table.from_json(table.to_json(DECLARED)) == DECLARED
    assert pickle.loads(pickle.dumps(DECLARED)) == DECLARED
    assert len({*DECLARED}) == 3


def made(count, seed=5):
    rng = np.random.default_rng(seed)
    columns = np.stack([bits.pack(rng.integers(0, 2, count)) for _ in range(4)])
    extra = {
        "late": rng.integers(0, 2, count).astype(bool),
        "bell_state": rng.integers(0, 2, count).astype(np.uint8),
        "charge": rng.integers(-9, 9, count),
    }
    return Pairs(columns, count, time=rng.random(count), extra=extra)


@pytest.mark.parametrize("count", [0, 1, 13, 64])
def test_a_result_with_declared_columns_comes_back_from_its_bytes(count):
    pairs = made(count)
    record = np.zeros(1, CHUNK_DTYPE)
    record["rows"] = count
    back = ChunkResult.whole(np.concatenate(ChunkResult(record, pairs).parts())).pairs
    assert back.checksum() == pairs.checksum()
    assert [(name, v.dtype) for name, v in back.extra.items()] == [
        (column.name, column.kind) for column in DECLARED
    ]


def test_the_checksum_covers_declared_columns_after_the_others():
    import xxhash

    pairs = made(13)
    late, state, charge = pairs.extra.values()
    covered = pairs.columns.tobytes() + pairs.time.tobytes()
    covered += np.packbits(late, bitorder="little").tobytes() + state.tobytes() + charge.tobytes()
    assert pairs.checksum() == xxhash.xxh3_64_intdigest(covered)


@pytest.mark.parametrize("at", [0, 5, 8, 13])
def test_parts_put_together_are_the_whole(at):
    pairs = made(13)
    whole = pairs.part(0, at).followed_by(pairs.part(at, 13))
    assert whole.checksum() == pairs.checksum()


def test_unpacked_declared_bits_are_of_uint8():
    arrays = PairArrays.unpacked(made(13))
    assert [values.dtype.str for values in arrays.extra.values()] == ["|u1", "|u1", "<i8"]
    assert list(arrays.named())[4:] == ["time", "late", "bell_state", "charge"]
    again = pickle.loads(pickle.dumps(arrays))
    assert np.array_equal(again.extra["charge"], arrays.extra["charge"])
    assert PairArrays.unpacked(Pairs(made(8).columns, 8)).extra == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"late": np.zeros(13, np.uint8)}, "late is uint8 (13,); one-dimensional bool is due"),
        ({"charge": [1] * 13}, "charge is list (13,); one-dimensional int64 is due"),
        ({"charge": np.zeros(12, np.int64)}, "charge has 12 values for 13 rows"),
        ({"bell_state": np.full(13, 7, np.uint8)}, "bell_state[0]=7 is none of its flags"),
        ({"more": np.zeros(13)}, "extra columns late, bell_state, charge, more; due are late"),
    ],
)
def test_what_an_engine_returns_is_held_against_its_declaration(changes, words):
    pairs = made(13)
    assert breach_of_declared(pairs, DECLARED) == ""
    broken = Pairs(pairs.columns, 13, time=pairs.time, extra={**pairs.extra, **changes})
    assert words in breach_of_declared(broken, DECLARED)
