"""Blocks of columns that a thread writes: all of them, at their places, and none after the stream was left."""

from __future__ import annotations

import os

import numpy as np
import pytest

from caligo_mpi.store.stream import BlockWriter, Stream


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "columns"
    found.write_bytes(b"\1" * 4000)
    return found


def drawn(rng, stream, sizes, taken):
    """Lend, fill and hand on blocks of these sizes; what each column is then."""
    columns, first = [], 0
    for words, kept in zip(sizes, taken, strict=True):
        block = stream.lend(words)
        block[:] = rng.integers(0, 1 << 63, (4, words), np.uint64)
        columns.append(block[:, :kept].copy())
        stream.take(block[:, :kept], first)
        first += kept
    return np.concatenate(columns, axis=1)


def test_what_is_taken_stands_at_its_places(path):
    rng = np.random.default_rng(3)
    writer = BlockWriter(os.open(path, os.O_RDWR))
    sizes = [*rng.integers(1, 40, 60).tolist(), 64]
    for begin in (3, 50_001):
        places = [begin + 20_000 * column for column in range(4)]
        with Stream(writer, places) as stream:
            expected = drawn(rng, stream, sizes, [*sizes[:-1], 5])
        assert stream.is_written
        found = path.read_bytes()
        for place, column in zip(places, expected, strict=True):
            assert found[place : place + column.nbytes] == column.tobytes()


def test_an_error_of_the_disk_is_told_and_of_the_chunk_it_hit_alone(path):
    rng = np.random.default_rng(3)
    writer = BlockWriter(os.open(path, os.O_RDONLY))
    with Stream(writer, [0, 1000, 2000, 3000]) as stream:
        drawn(rng, stream, [8] * 30, [8] * 30)
    assert not stream.is_written
    with Stream(writer, [0, 1000, 2000, 3000]) as stream:
        pass
    assert stream.is_written
    assert path.read_bytes() == b"\1" * 4000


def leave_in_the_middle(stream, taken):
    with stream:
        taken.append(drawn(np.random.default_rng(3), stream, [4] * 9, [4] * 9))
        stream.lend(4)[:] = 0
        raise KeyboardInterrupt


def test_a_chunk_that_is_left_in_the_middle_writes_nothing_later(path):
    writer, taken = BlockWriter(os.open(path, os.O_RDWR)), []
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            leave_in_the_middle(Stream(writer, [0, 1000, 2000, 3000]), taken)
        expected = taken[-1]
        assert path.read_bytes()[: expected[0].nbytes] == expected[0].tobytes()
        path.write_bytes(b"\1" * 4000)
        assert path.read_bytes() == b"\1" * 4000


def test_the_file_is_closed_with_its_writer(path):
    fd = os.open(path, os.O_RDWR)
    writer = BlockWriter(fd)
    os.fstat(fd)
    del writer
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
