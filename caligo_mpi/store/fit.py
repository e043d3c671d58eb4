"""Whether a result belongs where it is to be appended."""

from __future__ import annotations

from ..pairs import COLUMNS, ChunkResult, Pairs, bits
from ..pairs.chunks import Where
from .info import RunInfo
from .records import Records


def require_fit(info: RunInfo, due: int, record: Records, result: ChunkResult) -> None:
    """A result that does not belong here is a mistake of the program or of an engine."""
    pairs, edges = result.pairs, result.edges
    index, rows = int(record["index"]), int(record["rows"])
    if index != due:
        raise ValueError(
            f"chunk={index} came where chunk {due} is due; chunks are appended in the order of todo"
        )
    chunk = info.partition[index]
    if (int(record["start"]), int(record["count"])) != (chunk.start, chunk.count):
        raise ValueError(
            f"chunk={index} has start={record['start']} count={record['count']}; it must be {chunk}"
        )
    if rows > chunk.count or not (info.has_index or rows == chunk.count):
        raise ValueError(f"chunk={index} has rows={rows} and {chunk.count} emissions")
    has_columns = result.where is not Where.NOWHERE
    if has_columns != info.has_columns:
        raise ValueError(
            f"chunk={index} comes with columns={has_columns}; the file has keep={info.keep}"
        )
    packed = sum(column.is_bit for column in info.stored)
    if edges is not None and edges.shape != (packed, 2):
        raise ValueError(f"chunk={index} has edges of shape {edges.shape}, not {(packed, 2)}")
    if pairs is not None:
        _require_columns(info, index, rows, pairs)


def _require_columns(info: RunInfo, index: int, rows: int, pairs: Pairs) -> None:
    """The columns must be those that the file has, and as long as the record says."""
    if pairs.count != rows:
        raise ValueError(f"chunk={index} has {pairs.count} pairs and rows={rows}")
    if pairs.columns.shape != (len(COLUMNS), bits.nbytes(rows)):
        raise ValueError(
            f"chunk={index} has columns of shape {pairs.columns.shape} for {rows} pairs"
        )
    beside = {name: (v.dtype, len(v)) for name, v in pairs.beside.items()}
    wanted = {column.name: (column.kind, rows) for column in info.table[len(COLUMNS) :]}
    if beside != wanted:
        raise ValueError(
            f"chunk={index} has beside its bits {beside}, which does not fit the file's {wanted}"
        )
