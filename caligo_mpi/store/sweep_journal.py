"""The partial file of a sweep: a journal of checksummed records, of which a kill costs the last at most."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from .keys_journal import record_at, whole_records
from .metadata import open_file
from .sweep_data import Partial, SweepInfo, SweepRows, blank_row

MAGIC = b"caligo-sweep partial file, version 1\n"


class TornSweep(StoreError):
    """A partial file that does not even say whose it is."""


def is_partial_sweep(path: Path) -> bool:
    """Whether ``path`` is such a journal; what cannot be read is not."""
    try:
        fd = open_file(path)
    except StoreError:
        return False
    try:
        return os.pread(fd, len(MAGIC), 0) == MAGIC
    finally:
        os.close(fd)


def of_info(info: SweepInfo) -> bytes:
    """The first record, and whenever a sweep goes on with another goal."""
    return json.dumps({"info": asdict(info)}).encode()


def of_row(row: Mapping[str, Any]) -> bytes:
    """A point that is finished or has failed."""
    return json.dumps({"row": dict(row)}).encode()


def of_table(digest: str) -> bytes:
    """A table of results that is about to be written beside the file."""
    return json.dumps({"table": digest}).encode()


def of_points(points: Sequence[tuple[str, str]]) -> bytes:
    """The points of the sweep, in order: key and parameters."""
    return json.dumps({"points": points}).encode()


def of_anew(key: str) -> bytes:
    """A point of which all that was known is taken back."""
    return json.dumps({"anew": key}).encode()


def of_chunks(
    key: str,
    sums: Mapping[str, Any],
    checksums: NDArray[np.uint64],
    rows: NDArray[np.uint64],
) -> bytes:
    """The next chunks of a point: sums over them, their checksums and their rows."""
    head = json.dumps(
        {
            "chunks": key,
            "sums": dict(sums),
            "count": len(checksums),
        }
    )
    both = np.concatenate([checksums, rows]).astype("<u8")
    return head.encode() + b"\n" + both.tobytes()


def of_blocks(
    key: str,
    sums: Mapping[str, Any],
    count: int,
    version: int,
) -> bytes:
    """The next blocks of a point: sums over them, how many, and the version of the protocol's streams."""
    values = {
        "blocks": key,
        "sums": dict(sums),
        "count": count,
        "version": version,
    }
    return json.dumps(values).encode()


def read_sweep_journal(path: Path) -> tuple[SweepRows, int]:
    """What is in a partial file, and where its whole records end."""
    fd = open_file(path)
    try:
        places, end = whole_records(fd, MAGIC)
        if not places:
            raise TornSweep(f"{path} is not a partial sweep file, or damaged at its beginning")
        first, *rest = places
        found = SweepRows(_info(path, record_at(fd, first)))
        for place in rest:
            _take(found, record_at(fd, place))
        return found, end
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} is not a partial sweep file of this format ({error})") from error
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    finally:
        os.close(fd)


def _info(path: Path, record: bytes) -> SweepInfo:
    try:
        return SweepInfo(**json.loads(record)["info"])
    except (ValueError, TypeError, KeyError) as error:
        raise TornSweep(f"{path} is not a partial sweep file of this format ({error})") from error


def _take(found: SweepRows, record: bytes) -> None:
    head, _, data = record.partition(b"\n")
    values = json.loads(head)
    if "row" in values:
        _take_row(found, values["row"])
    elif "info" in values:
        found.info = SweepInfo(**values["info"])
    elif "points" in values:
        found.points = [(key, parameters) for key, parameters in values["points"]]
    elif "anew" in values:
        key = values["anew"]
        found.rows.pop(key, None)
        found.partial.pop(key, None)
    elif "table" in values:
        found.tables.append(values["table"])
    elif "chunks" in values:
        count = values["count"]
        checksums, rows = np.frombuffer(data, "<u8").reshape(2, count)
        partial = found.partial.setdefault(values["chunks"], Partial())
        partial.checksums.append(checksums)
        partial.chunk_rows.append(rows)
        partial.chunks += count
        partial.add(values["sums"])
    else:
        partial = found.partial.setdefault(values["blocks"], Partial())
        partial.blocks += values["count"]
        partial.keys_version = values.get("version")  # not in files begun when there was one only
        partial.add(values["sums"])


def _take_row(found: SweepRows, values: Mapping[str, Any]) -> None:
    row = {**blank_row(), **values}  # columns may be newer than the file
    key = row["key"]
    found.rows[key] = row
    if row["state"] == "done":
        found.partial.pop(key, None)
