"""Chunks that need no engine: the same bits on every machine, from SHAKE-128."""

from __future__ import annotations

import functools
import hashlib
import os
import traceback

import numpy as np

from caligo_mpi.pairs import Chunk, ChunkResult, ColumnSpec, Pairs, bits
from caligo_mpi.runs.chunks import chunk_result
from caligo_mpi.store import PairStore, RunInfo

KINDS = ("lossless", "lossy", "timed", "declared")
#: What an engine might declare: bits and numbers in turns.
DECLARED = (
    ColumnSpec("herald", "u1", description="state that was heralded", flags={1: "psi+", 2: "psi-"}),
    ColumnSpec("parity", "bit", description="a bit", flags={0: "even", 1: "odd"}),
    ColumnSpec("energy", "f4", "eV"),
    ColumnSpec("charge", "i2", "e"),
    ColumnSpec("late", "bit"),
    ColumnSpec("attempts", "u4", description="attempts until success"),
)
TIMED = ("timed", "declared")
SHARE = 0.3  # of the emissions of a lossy run that become rows


def made_info(kind="lossless", *, pairs=10_003, chunk_size=1000, digest="d" * 64, **changes):
    """A run of small chunks; ``lossy`` has an index, ``timed`` times, too, ``declared`` all of `DECLARED`."""
    lossy = kind != "lossless"
    fields = {
        "pairs": pairs,
        "chunk_size": chunk_size,
        "seed": 7,
        "engine": f"made {kind}",
        "stream_version": 1,
        "config": '{"seed": 7}',
        "config_digest": digest,
        "thresholds": {"p": 77},
        "has_index": lossy,
        "has_time": kind in TIMED,
        "declared": DECLARED if kind == "declared" else (),
        "coincidence": SHARE if lossy else 1.0,
        "software": {"numpy": "1.26"},
    }
    return RunInfo(**{**fields, **changes})


def _noise(*parts, size):
    return np.frombuffer(hashlib.shake_128(repr(parts).encode()).digest(size), np.uint8)


@functools.lru_cache(1 << 12)
def made_pairs(chunk: Chunk, kind="lossless"):
    """The chunk's pairs; about 0.3 of the emissions where pairs are lost, none in every seventh chunk."""
    index = time = None
    rows = chunk.count
    if kind != "lossless":
        kept = _noise("kept", chunk.index, size=chunk.count) < (
            256 * SHARE if chunk.index % 7 != 3 else 0
        )
        index = np.flatnonzero(kept).astype(np.uint64) + np.uint64(chunk.start)
        rows = len(index)
    if kind in TIMED:
        time = np.arange(rows) * 0.5
    columns = np.stack([_noise("column", chunk.index, c, size=bits.nbytes(rows)) for c in range(4)])
    bits.clear_padding(columns, rows)
    extra = made_extra(chunk, rows) if kind == "declared" else {}
    return Pairs(columns, rows, index, time, chunk.count - 1, chunk.count - 2, 5.0, extra)


def made_extra(chunk: Chunk, rows: int) -> dict[str, np.ndarray]:
    """Values of the declared columns; a shorter chunk's are a prefix of a longer one's."""
    extra = {}
    for column in DECLARED:
        noise = _noise(column.name, chunk.index, size=rows)
        values = noise & 1 if column.is_bit else noise % 2 + 1 if column.flags else noise
        extra[column.name] = values.astype(column.kind) * (-3 if column.dtype == "i2" else 1)
        extra[column.name] = extra[column.name].astype(column.kind)
    return extra


def made_result(chunk, kind="lossless"):
    """The chunk as a worker delivers it."""
    return chunk_result(chunk, made_pairs(chunk, kind), seconds=0.001)


def made_again(kind="lossless"):
    """What simulates the chunks of a file that keeps records only."""
    return lambda info: lambda index: made_pairs(info.partition[index], kind)


def made_rows(info, kind="lossless"):
    """All rows of a run, one row of values per column: what a file of it must hold."""
    parts = [made_pairs(chunk, kind) for chunk in info.partition]
    return np.concatenate(
        [[bits.unpack(column, part.count) for column in part.columns] for part in parts], axis=1
    )


def write(path, info, kind="lossless", *, chunks=None, finish=True, **options):
    """Open, append what is to do (at most ``chunks``), finish if that is all; returns the messages."""
    with PairStore.open(path, info, launch={"id": "test"}, **options) as store:
        for index in store.todo[:chunks]:
            result = made_result(info.partition[index], kind)
            if not info.has_columns:
                result = ChunkResult(result.record, None)
            store.append(result, rank=index % 3)
        if finish and store.is_complete:
            store.finish()
        return store.messages


def in_child(function, *, wait=True):
    """Run a function in a forked process that ends by ``os._exit``; returns its exit code, or its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if wait else pid
