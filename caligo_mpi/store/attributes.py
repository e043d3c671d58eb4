"""What a pairs file's attributes say of its run: how it is written, and how it is read back."""

from __future__ import annotations

import datetime
import json
from typing import cast, get_args

import numpy as np

from .._version import __version__
from ..pairs import ColumnSpec
from ..pairs import table as columns
from . import hdf5
from .info import LABEL, Keep, RunInfo
from .metadata import Metadata

FORMAT = "caligo-pairs"
FORMAT_VERSION = (1, 4)


def attributes_of(info: RunInfo) -> dict[str, object]:
    """What a new file says; what is known only when it is complete has placeholders of the same size."""
    now = datetime.datetime.now(datetime.timezone.utc)
    software = dict(info.software)
    thresholds = dict(info.thresholds)
    return {
        "format": FORMAT,
        "format_version": np.array(_version(info), "<i4"),
        "creator": "caligo-mpi",
        "creator_version": __version__,
        "file_time": now.isoformat(timespec="seconds"),
        "software_dependencies": json.dumps(software),
        "config": info.config,
        "config_digest": info.config_digest,
        "seed": hdf5.seed_value(info.seed),
        "engine": info.engine,
        "stream_version": np.int64(info.stream_version),
        "thresholds": json.dumps(thresholds),
        "pairs": np.uint64(info.pairs),
        "chunk_size": np.uint64(info.chunk_size),
        "coincidence": np.float64(info.coincidence),
        **info.notes,
        **_kept(info),
        "rows": np.uint64(0),
        "file_checksum": np.uint64(0),
    }


def _version(info: RunInfo) -> tuple[int, int]:
    """The lowest format version that has what the file holds."""
    if info.metrics:
        return FORMAT_VERSION
    if info.until:
        return (1, 3)
    if info.declared or not info.has_columns:
        return (1, 2)
    return (1, 1)


def _kept(info: RunInfo) -> dict[str, object]:
    """Attributes that files of format 1.1 do not have: about columns declared and not kept, and about goals."""
    found: dict[str, object] = {}
    if info.declared:
        found["declared"] = columns.to_json(info.declared)
    if not info.has_columns:
        found["keep"] = info.keep
        found["columns"] = " ".join(info.columns)
    if info.until:
        found["until"] = info.until
    if info.is_law:
        found["label"] = LABEL
        found["outcome_counts"] = json.dumps(info.outcome_counts)
    return found


def info_of(metadata: Metadata) -> RunInfo:
    """The run that a file is of; `ValueError` where its attributes cannot be."""
    keep, names = _columns_of(metadata)
    return RunInfo(
        pairs=metadata.number("pairs"),
        chunk_size=metadata.number("chunk_size"),
        seed=metadata.number("seed"),
        engine=metadata.text("engine"),
        stream_version=metadata.number("stream_version"),
        config=metadata.text("config"),
        config_digest=metadata.text("config_digest"),
        thresholds=json.loads(metadata.text("thresholds")),
        has_index="index" in names,
        has_time="time" in names,
        declared=_declared(metadata),
        coincidence=float(str(metadata.attributes["coincidence"])),
        software=json.loads(metadata.text("software_dependencies")),
        keep=keep,
        outcome_counts=_counts_of(metadata) if keep == "counts" else (),
        until=metadata.text("until") if "until" in metadata.attributes else "",
        decisions=_length(metadata, "decisions"),
        metrics=_length(metadata, "metrics"),
    )


def _columns_of(metadata: Metadata) -> tuple[Keep, list[str]]:
    """What the file keeps, and the columns of its chunks."""
    keep = metadata.attributes.get("keep", "pairs")
    if keep not in get_args(Keep):
        raise ValueError(f"it keeps {keep!r}, which this release does not know")
    if keep == "pairs":
        return "pairs", [name.rpartition("/")[2] for name in metadata.places]
    names = metadata.text("columns")
    return cast("Keep", keep), names.split()


def _declared(metadata: Metadata) -> tuple[ColumnSpec, ...]:
    """The columns that the engine declared; files before format 1.2 have none."""
    if "declared" not in metadata.attributes:
        return ()
    text = metadata.text("declared")
    return columns.from_json(text)


def _counts_of(metadata: Metadata) -> tuple[int, ...]:
    text = metadata.text("outcome_counts")
    counts = json.loads(text)
    if not isinstance(counts, list) or len(counts) != 16:
        raise ValueError("its outcome_counts are not sixteen")
    return tuple(map(int, counts))


def _length(metadata: Metadata, name: str) -> int:
    """Rows of a table; 0 where the file has none of this name."""
    place = metadata.places.get(name)
    if place is None:
        return 0
    return place.shape[0]
