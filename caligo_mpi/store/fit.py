"""Whether a result belongs where it is to be appended."""

from __future__ import annotations

from ..pairs import COLUMNS, ChunkResult, Pairs, bits
from ..pairs.bits import U8
from ..pairs.chunks import Where
from .info import RunInfo
from .records import Records


def require_fit(
    info: RunInfo,
    due: int,
    record: Records,
    result: ChunkResult,
) -> None:
    """A result that does not belong here is a mistake of the program or of an engine."""
    index = int(record["index"])
    if index != due:
        raise ValueError(
            f"chunk={index} came where chunk {due} is due; chunks are appended in the order of todo"
        )
    _require_record(info, index, record)
    has_columns = result.where is not Where.NOWHERE
    if has_columns != info.has_columns:
        raise ValueError(
            f"chunk={index} comes with columns={has_columns}; the file has keep={info.keep}"
        )
    if result.edges is not None:
        _require_edges(info, index, result.edges)
    if result.pairs is not None:
        rows = int(record["rows"])
        _require_columns(info, index, rows, result.pairs)


def _require_record(info: RunInfo, index: int, record: Records) -> None:
    """The record must have the chunk's emissions, and not more rows than these."""
    chunk = info.partition[index]
    start = int(record["start"])
    count = int(record["count"])
    if start != chunk.start or count != chunk.count:
        raise ValueError(f"chunk={index} has start={start} count={count}; it must be {chunk}")
    rows = int(record["rows"])
    lacks_rows = rows < count and not info.has_index
    if rows > count or lacks_rows:
        raise ValueError(f"chunk={index} has rows={rows} and {count} emissions")


def _require_edges(info: RunInfo, index: int, edges: U8) -> None:
    """There must be two bytes for each column of bits that the file has."""
    packed = sum(column.is_bit for column in info.stored)
    due = (packed, 2)
    if edges.shape != due:
        raise ValueError(f"chunk={index} has edges of shape {edges.shape}, not {due}")


def _require_columns(
    info: RunInfo,
    index: int,
    rows: int,
    pairs: Pairs,
) -> None:
    """The columns must be those that the file has, and as long as the record says."""
    if pairs.count != rows:
        raise ValueError(f"chunk={index} has {pairs.count} pairs and rows={rows}")
    shape = pairs.columns.shape
    if shape != (len(COLUMNS), bits.nbytes(rows)):
        raise ValueError(f"chunk={index} has columns of shape {shape} for {rows} pairs")
    beside = {}
    for name, values in pairs.beside.items():
        beside[name] = (values.dtype, len(values))
    wanted = {}
    for column in info.table[len(COLUMNS) :]:
        wanted[column.name] = (column.kind, rows)
    if beside != wanted:
        raise ValueError(
            f"chunk={index} has beside its bits {beside}, which does not fit the file's {wanted}"
        )
