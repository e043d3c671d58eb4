"""What may not grow with a run: opening it, its plan, and the memory that keys take on their way."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from helpers import stopping_after

from caligo_mpi import (
    ConfigError,
    parse_config,
    parse_protocol,
    read_keys,
    read_pairs,
    run_protocol,
)
from caligo_mpi.engines import make_engine
from caligo_mpi.pairs import ChunkList, bits, counts, tally
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.identity import run_info
from caligo_mpi.store import PairStore, status

MOST = 10**8
TINY = {"chunk_size": 8, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 0.97}}}


def test_a_run_of_very_many_chunks_is_opened_and_looked_at_in_no_memory(tmp_path):
    config = parse_config({**TINY, "pairs": 8 * MOST})
    info, path = run_info(config, make_engine(config.engine)), tmp_path / "run.h5"
    tracemalloc.start()
    try:
        for _ in range(2):  # made, then resumed
            with PairStore.open(path, info, launch={}) as store:
                assert len(store.todo) == MOST
                assert store.todo[-1] == MOST - 1
        assert status(path).chunks_total == MOST
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # a bit of each chunk would be 12 MB
    finally:
        tracemalloc.stop()


def test_more_chunks_are_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"chunk_size=8: would make more than 100_000_000 chunks"):
        parse_config({**TINY, "pairs": 8 * MOST + 1})


@pytest.mark.parametrize("done", [0, 1, 4])
def test_a_partial_run_has_the_rest_to_do(tmp_path, done):
    config = parse_config({**TINY, "pairs": 40})
    generate(config, tmp_path / "run.h5", map=stopping_after(done))
    info = run_info(config, make_engine(config.engine))
    with PairStore.open(tmp_path / "run.h5", info, launch={}) as store:
        assert list(store.todo) == list(range(done, 5))


def test_lists_of_chunks_are_what_they_stand_for():
    rng = np.random.default_rng(1)
    for _ in range(200):
        edges = np.sort(rng.choice(60, 6, replace=False)).tolist()
        ranges = [range(*edge) for edge in zip(edges[::2], edges[1::2], strict=True)]
        plain = [number for part in ranges for number in part]
        some = ChunkList(ranges)
        start, stop = sorted(rng.integers(0, 70, 2).tolist())
        assert list(some) == plain
        assert len(some) == len(plain)
        assert [some[position] for position in range(-len(plain), len(plain))] == plain + plain
        assert list(some[start:stop]) == plain[start:stop]
        with pytest.raises(IndexError):
            some[len(plain)]


@pytest.mark.parametrize("rows", [1, 7, 8, 63, 64, 65, 2047, 2048, 2049])
def test_few_rows_are_counted_like_many(monkeypatch, rows):
    rng = np.random.default_rng(rows)
    columns = np.stack([bits.pack(rng.integers(0, 2, rows)) for _ in range(4)])
    found = tally(columns, rows)
    monkeypatch.setattr(counts, "_SMALL", -1)
    assert tally(columns, rows) == found


def test_keys_in_pieces_are_the_keys_in_memory(tmp_path):
    pairs, keys = tmp_path / "pairs.h5", tmp_path / "keys.h5"
    engine = {"name": "noise", "link": {"fidelity": 0.985}}
    generate(parse_config({"pairs": 150_003, "seed": 3, "engine": engine}), pairs)
    protocol = parse_protocol({"mode": "bbm92", "seed": 2, "block_size": 50_000})
    report = distill(prepare(pairs, protocol), keys, map=stopping_after(2)).keys
    assert report is None
    report = distill(prepare(pairs, protocol), keys).keys
    whole, memory = read_keys(keys), run_protocol(read_pairs(pairs), protocol)
    assert report.key_bits == whole.key_bits == memory.key_bits > 10_000
    assert whole.alice.tobytes() == memory.alice.tobytes()
    assert whole.bob.tobytes() == memory.bob.tobytes()
    assert (report.digest, report.agree) == (whole.digest, True)


def test_pieces_of_any_length_are_joined():
    rng = np.random.default_rng(5)
    for _ in range(100):
        parts = [rng.integers(0, 2, size) for size in rng.integers(0, 40, 5)]
        packed = [(bits.pack(part), len(part)) for part in parts]
        pieces = [np.zeros(0, np.uint8), *bits.joined(packed)]
        assert np.array_equal(np.concatenate(pieces), bits.pack(np.concatenate(parts)))
