"""Arrays of users and of other packages' engines are looked at before they mean anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caligo_mpi import (
    ConfigError,
    PairArrays,
    Pairs,
    generate_pairs,
    parse_config,
    run_protocol,
    tally,
)
from caligo_mpi.errors import EngineError
from caligo_mpi.pairs import Chunk, bits
from caligo_mpi.protocol import cascade
from caligo_mpi.protocol.amplify import amplify
from caligo_mpi.protocol.ldpc import exchange
from caligo_mpi.runs.chunks import run_chunk

BBM92 = {"mode": "bbm92", "seed": 1}
ROWS = 4000


def made(pairs: int = ROWS) -> PairArrays:
    engine = {"name": "noise", "link": {"fidelity": 0.99}}
    return generate_pairs(parse_config({"pairs": pairs, "seed": 1, "engine": engine}))


def bad(array: np.ndarray, row: int, value: object) -> np.ndarray:
    array = array.copy()
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (
            "alice_outcome",
            lambda c: 1 - 2 * c.astype(np.int8),
            r"alice_outcome\[\d+\]=-1 must be 0 or 1",
        ),
        ("bob_outcome", lambda c: bad(c, 17, 2), r"bob_outcome\[17\]=2 must be 0 or 1"),
        ("bob_outcome", lambda c: c.astype(float), "bob_outcome is of dtype float64; bits are"),
        ("alice_basis", lambda c: np.where(c, "X", "Z"), "alice_basis is of dtype <U1; bits are"),
        ("alice_basis", lambda c: c.astype(object), "alice_basis is of dtype object; bits are"),
        (
            "bob_basis",
            lambda c: c[:-1],
            f"bob_basis has {ROWS - 1:,} rows and alice_basis has {ROWS:,}",
        ),
        ("bob_basis", lambda c: np.stack([c, c]), rf"bob_basis has the shape \(2, {ROWS}\)"),
        ("bob_basis", lambda c: 1, r"bob_basis has the shape \(\)"),
        ("bob_basis", lambda c: np.ma.masked_array(c, c == 1), "bob_basis is a masked array; give"),
        ("index", lambda c: np.arange(ROWS) // 2, r"index\[1\]=0 must be above the one before"),
        ("index", lambda c: np.arange(ROWS)[::-1], r"index\[1\]=3998 must be above"),
        ("index", lambda c: np.arange(ROWS) - 1, r"index\[0\]=-1 must be at least 0"),
        ("index", lambda c: np.arange(ROWS) * 0.5, "index is of dtype float64"),
        ("index", lambda c: np.arange(ROWS - 1), f"index has {ROWS - 1:,} rows"),
        ("time", lambda c: bad(np.zeros(ROWS), 5, np.nan), r"time\[5\]=nan must be finite"),
        ("time", lambda c: bad(np.zeros(ROWS), 5, np.inf), r"time\[5\]=inf must be finite"),
        ("time", lambda c: np.zeros(3), "time has 3 rows"),
        ("time", lambda c: np.full(ROWS, "now"), "time is of dtype <U3"),
    ],
)
def test_no_key_from_garbage(name, change, sentence):
    pairs = made()
    with pytest.raises(ConfigError, match=sentence):
        run_protocol(pairs._replace(**{name: change(getattr(pairs, name))}), BBM92)


@pytest.mark.parametrize("kind", [bool, np.int64, np.uint8, np.int8])
def test_every_kind_of_whole_number_gives_the_same_key(kind):
    pairs = made(100_000)
    same = PairArrays(*(column.astype(kind) for column in pairs[:4]))
    reference = run_protocol(pairs, BBM92)
    assert reference.key_bits > 0
    assert np.array_equal(run_protocol(same, BBM92).alice, reference.alice)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"columns": np.zeros((4, 5), np.uint8)}, r"packed uint8 of shape \(4, 500\) is due"),
        ({"columns": np.zeros((4, 500), np.int8)}, "columns of 4,000 rows are int8"),
        ({"count": -1}, "count=-1"),
        ({"count": 3999}, "alice_basis has bits beyond its 3,999 rows"),
        ({"index": np.zeros(ROWS, np.uint64)}, r"index\[1\]=0"),
        ({"time": np.full(ROWS, np.nan)}, r"time\[0\]=nan"),
    ],
)
def test_packed_pairs_are_looked_at_as_well(changes, sentence):
    packed = replace(made().packed(), columns=np.full((4, 500), 255, np.uint8))
    with pytest.raises(ConfigError, match=sentence):
        run_protocol(replace(packed, **changes), BBM92)


def test_packing_and_counting_refuse_what_is_no_bit():
    with pytest.raises(ConfigError, match="bit 2 is -1"):
        bits.pack(np.array([0, 1, -1]))
    with pytest.raises(ConfigError, match="dtype float64"):
        bits.pack(np.array([0.0, 1.0]))
    with pytest.raises(ConfigError, match="packed uint8"):
        tally(np.zeros((4, 100), np.uint8), 100)


class Broken:
    """An engine of another package, good but for what a test changes."""

    name, stream_version, has_index, has_time = "broken", 1, True, True

    def __init__(self, **changes: object) -> None:
        self.changes = changes

    def sample(self, count, seed, *, tick=None):
        columns = np.zeros((4, bits.nbytes(count)), np.uint8)
        index, time = np.arange(count, dtype=np.uint64), np.arange(count, dtype=np.float64)
        good = Pairs(columns, count, index, time, count, count, 1.0)
        return replace(good, **self.changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, None),
        ({"columns": np.full((4, 3), 255, np.uint8)}, "alice_basis has bits beyond its 20 rows"),
        ({"index": np.zeros(20, np.uint64)}, r"index\[1\]=0 must be above"),
        ({"index": np.arange(20) * 1.0}, "index is of dtype float64"),
        ({"index": np.arange(1, 21, dtype=np.uint64)}, "index 20 in a chunk of 20 emissions"),
        ({"time": np.full(20, np.nan)}, r"time\[0\]=nan"),
        ({"alice_clicks": 19}, "alice_clicks=19 of 20 emissions, with 20 rows"),
        ({"bob_clicks": 21}, "bob_clicks=21 of 20 emissions"),
        ({"duration_ns": float("inf")}, "duration_ns=inf"),
    ],
)
def test_columns_of_other_engines_are_looked_at(changes, sentence):
    engine, chunk = Broken(**changes), Chunk(0, 0, 20)
    if sentence is None:
        assert run_chunk(engine, chunk, 1).pairs.count == 20
    else:
        with pytest.raises(EngineError, match=sentence):
            run_chunk(engine, chunk, 1)


def test_pad_bits_are_not_counted_as_rows():
    columns = np.zeros((4, 2), np.uint8)
    columns[0, 1] = 0x80
    with pytest.raises(ConfigError, match="bits beyond their 12 rows"):
        tally(columns, 12)


@pytest.mark.parametrize(
    ("function", "more"),
    [
        (cascade.reconcile, {"qber": 0.02, "seed": 1}),
        (exchange.reconcile, {"qber": 0.02}),
        (exchange.reconcile_blind, {"qber": 0.02, "source": np.random.PCG64(1)}),
    ],
)
def test_frames_to_reconcile_are_bits(function, more):
    frames = np.zeros((1, 10_000), np.uint8)
    for wrong, sentence in [
        (frames.astype(int) - 1, "is of int64; bits are an array of uint8"),
        (bad(frames, 0, 3), "is 3; bits are 0 and 1"),
        (frames.tolist(), "is of list"),
    ]:
        with pytest.raises(ConfigError, match=f"alice {sentence}|bit 0 of alice {sentence}"):
            function(wrong, frames, **more)
        with pytest.raises(ConfigError, match=f"bob {sentence}|bit 0 of bob {sentence}"):
            function(frames, wrong, **more)


def test_a_key_to_hash_is_bits():
    key, seed = np.zeros(8, np.uint8), np.zeros(8 + 4 - 1, np.uint8)
    with pytest.raises(ConfigError, match="bit 5 of keys is 255; bits are 0 and 1"):
        amplify(bad(key, 5, 255), seed, 4)
    with pytest.raises(ConfigError, match="seed is of bool; bits are"):
        amplify(key, seed.astype(bool), 4)
