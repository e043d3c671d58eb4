"""What everything hands on: packed bits, pairs, chunks with their seeds, counts."""

from .chunks import (
    CHUNK_COUNTS,
    CHUNK_DTYPE,
    ROW_COUNTS,
    Chunk,
    ChunkList,
    ChunkResult,
    Partition,
    Sink,
    Tick,
)
from .columns import COLUMNS, PairArrays, Pairs, X, Z
from .counts import OutcomeCounts, Summed, Tally, tally
from .table import ColumnSpec

__all__ = [
    "CHUNK_COUNTS",
    "CHUNK_DTYPE",
    "COLUMNS",
    "ROW_COUNTS",
    "Chunk",
    "ChunkList",
    "ChunkResult",
    "ColumnSpec",
    "OutcomeCounts",
    "PairArrays",
    "Pairs",
    "Partition",
    "Sink",
    "Summed",
    "Tally",
    "Tick",
    "X",
    "Z",
    "tally",
]
