"""What everything hands on: packed bits, pairs, chunks with their seeds, counts."""

from .chunks import CHUNK_DTYPE, Chunk, ChunkResult, Partition
from .columns import COLUMNS, PairArrays, Pairs, X, Z
from .counts import Tally, tally

__all__ = [
    "CHUNK_DTYPE",
    "COLUMNS",
    "Chunk",
    "ChunkResult",
    "PairArrays",
    "Pairs",
    "Partition",
    "Tally",
    "X",
    "Z",
    "tally",
]
