"""The finished keys file: written once, read back whole.  The format is specified in docs/keys-file.md."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from .._version import __version__
from ..config.modes import has_strings
from ..errors import StoreError
from ..pairs.bits import U8, nbytes
from . import hdf5
from .files import disk_errors
from .keys_data import (
    FORMAT,
    FORMAT_VERSION,
    Digest,
    Keys,
    KeysInfo,
    KeysReport,
    KeysTables,
)
from .keys_journal import is_partial
from .metadata import Metadata, checksum, dataset_pieces, opened, read_dataset
from .names import input_name, part_path

#: Keys are secrets: nobody but their owner may read the files, whatever the umask says.
MODE = 0o600


#: Gives the bytes of a party's keys, "alice" or "bob", in pieces, from the beginning each time.
Stream = Callable[[str], Iterable[U8]]


def write_file(path: Path, keys: Keys) -> None:
    """Make the HDF5 file; ``path`` must be free."""
    own = {"alice": keys.alice, "bob": keys.bob}
    write_stream(path, keys, lambda party: [own[party]])


def write_stream(path: Path, tables: KeysTables, stream: Stream) -> KeysReport:
    """Make the HDF5 file of keys that come in pieces; ``path`` must be free."""
    with disk_errors(path, "writing the keys"):
        with hdf5.create(path, mode=MODE) as file:
            _write_into(file, tables, stream)
        # The checksum is made of what a reader finds.
        with opened_keys(path) as (fd, metadata):
            found = _checksum(metadata, fd)
        with hdf5.change(path) as file:
            file.attrs.modify("checksum", np.uint64(found))
    return read_report(path)


def _write_into(file: h5py.File, tables: KeysTables, stream: Stream) -> None:
    """Write everything but the checksum."""
    hdf5.describe(file, _attributes(tables))
    digest = tables.begun_digest()
    for party in ("alice", "bob"):
        group = file.create_group(party)
        hdf5.describe(group, _of_party(tables, party))
        _write_keys(
            group,
            tables,
            party,
            stream(party),
            digest,
        )
    if tables.choice is not None:
        file["bob"].attrs["choice"] = np.uint64(tables.choice)
    for name, rows in _tables(tables).items():
        file.create_dataset(name, data=rows)
    hdf5.describe(file, {"keys_digest": digest.hexdigest()})


def _write_keys(
    group: h5py.Group,
    tables: KeysTables,
    party: str,
    pieces: Iterable[U8],
    digest: Digest,
) -> None:
    shape = tables.shapes[party]
    name = "strings" if has_strings(tables.info.mode) and party == "alice" else "key"
    dataset = group.create_dataset(name, shape, np.uint8)
    hdf5.describe(dataset, _PACKED)
    at = 0
    for piece in pieces:
        if piece.ndim > 1:
            dataset[...] = piece
        elif len(piece):
            dataset[at : at + len(piece)] = piece
            at += len(piece)
        digest.update(np.ascontiguousarray(piece).data)


def _tables(tables: KeysTables) -> dict[str, NDArray[Any]]:
    found = {
        "blocks": tables.blocks,
        "transcript": tables.transcript,
        "simulator": tables.hidden,
    }
    if tables.frames is not None:
        found["simulator_frames"] = tables.frames
    return found


_PACKED = {
    "encoding": "bit-packed, little bit order: bit i is bit i % 8 of byte i // 8",
    "unpack": "numpy.unpackbits(dataset[:], axis=-1, count=group.attrs['key_bits'], bitorder='little')",
}


def _attributes(keys: KeysTables) -> dict[str, object]:
    info = keys.info
    rates = {"key_per_emission": keys.per_emission, "key_per_second": keys.per_second}
    return {
        "format": FORMAT,
        "format_version": np.array(FORMAT_VERSION, "<i4"),
        "creator": "caligo-mpi",
        "creator_version": __version__,
        "file_time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "software_dependencies": json.dumps(dict(info.software)),
        "mode": info.mode,
        "seed": hdf5.seed_value(info.seed),
        "stream_version": np.int64(info.stream_version),
        "config": info.config,
        "config_digest": info.config_digest,
        "security": json.dumps(dict(info.security)),
        "source": info.source,
        "source_digest": info.source_digest,
        "source_config": info.source_config,
        "rows": np.uint64(info.rows),
        "key_bits": np.uint64(keys.key_bits),
        "emissions": np.uint64(info.emissions),
        "duration_ns": np.float64(info.duration_ns),
        **{name: np.float64(rate) for name, rate in rates.items() if rate is not None},
        "checksum": np.uint64(0),
    }


def _of_party(keys: KeysTables, party: str) -> dict[str, object]:
    """What a group needs when it is shipped alone."""
    return {
        "party": party,
        "mode": keys.info.mode,
        "key_bits": np.uint64(keys.key_bits),
        "source_digest": keys.info.source_digest,
        "config_digest": keys.info.config_digest,
    }


def _checksum(metadata: Metadata, fd: int) -> int:
    """XXH3-64 over every attribute and dataset but the checksum itself."""
    names = _datasets(metadata)
    if metadata.minor:
        return checksum(
            metadata,
            fd,
            names,
            leave_out="checksum",
        )
    # Format 1.0 left out the attributes of datasets.
    found = xxhash.xxh3_64()
    for owner in (metadata.attributes, metadata.described["alice"], metadata.described["bob"]):
        for name in sorted(set(owner) - {"checksum"}):
            found.update(f"{name}={owner[name]}\n".encode())
    for name in names:
        found.update(name.encode())
        for piece in dataset_pieces(metadata, fd, name):
            found.update(piece.data)
    return found.intdigest()


def _datasets(metadata: Metadata) -> list[str]:
    alice = "alice/strings" if "alice/strings" in metadata.places else "alice/key"
    names = [
        alice,
        "bob/key",
        "blocks",
        "simulator",
        "transcript",
    ]
    if "simulator_frames" in metadata.places:  # absent in older files
        names.append("simulator_frames")
    return names


def opened_keys(path: Path) -> AbstractContextManager[tuple[int, Metadata]]:
    """A finished keys file, open for reading: its descriptor and its metadata."""
    return opened(
        path,
        holds="keys",
        format=FORMAT,
        version=FORMAT_VERSION,
    )


def read_keys(path: str | os.PathLike[str]) -> Keys:
    """Read a finished keys file.  Raises `StoreError` where it is damaged: `verify_keys` says how."""
    path = input_name(path)
    with _whole(path) as (fd, metadata):
        alice, bob = _datasets(metadata)[:2]
        keys = Keys(
            **_fields_of(_read(metadata, fd)),
            alice=read_dataset(metadata, fd, alice),
            bob=read_dataset(metadata, fd, bob),
        )
        digest_fits = keys.digest == metadata.attributes["keys_digest"]
        if not digest_fits or not _checksum_fits(metadata, fd):
            raise _damaged(path)
    return keys


def _fields_of(tables: KeysTables) -> dict[str, Any]:
    return {field.name: getattr(tables, field.name) for field in fields(KeysTables)}


def _checksum_fits(metadata: Metadata, fd: int) -> bool:
    return _checksum(metadata, fd) == metadata.number("checksum")


def read_report(path: str | os.PathLike[str]) -> KeysReport:
    """What is in a finished keys file, without its keys; `StoreError` where it is damaged."""
    path = input_name(path)
    report, digest_fits, checksum_fits = read_checked(path)
    if not (digest_fits and checksum_fits):
        raise _damaged(path)
    return report


def read_checked(path: Path) -> tuple[KeysReport, bool, bool]:
    """What is in the file, and whether digest and checksum fit it; keys are read in pieces."""
    with _whole(path) as (fd, metadata):
        tables = _read(metadata, fd)
        digest = tables.begun_digest()
        for name in _datasets(metadata)[:2]:
            for piece in dataset_pieces(metadata, fd, name):
                digest.update(piece.data)
        report = KeysReport(
            **_fields_of(tables),
            digest=digest.hexdigest(),
            agree=_agree(tables, metadata, fd),
        )
        digest_fits = report.digest == metadata.attributes["keys_digest"]
        return report, digest_fits, _checksum_fits(metadata, fd)


def _agree(tables: KeysTables, metadata: Metadata, fd: int) -> bool:
    """Whether Bob has what he should, as in `Keys`."""
    alice, bob = _datasets(metadata)[:2]
    if tables.choice is None:
        hers = dataset_pieces(metadata, fd, alice)
        his = dataset_pieces(metadata, fd, bob)
        return all(np.array_equal(a, b) for a, b in zip(hers, his, strict=True))
    if not tables.key_bits or not tables.hidden["decoded"].all():
        return True
    strings = read_dataset(metadata, fd, alice)
    own = read_dataset(metadata, fd, bob)
    return np.array_equal(strings[tables.choice], own)


@contextmanager
def _whole(path: Path) -> Iterator[tuple[int, Metadata]]:
    if is_partial(path):
        raise StoreError(
            f"{path} is a partial keys file under a finished one's name; "
            f"rename it to {part_path(path).name} and distill again to go on with it"
        )
    with opened_keys(path) as found:
        yield found


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path} is damaged (its checksum does not fit); restore it from a copy or distill again"
    )


def _read(metadata: Metadata, fd: int) -> KeysTables:
    alice, bob, *names = _datasets(metadata)
    blocks, hidden, transcript, *later = (read_dataset(metadata, fd, name) for name in names)
    choice = metadata.described["bob"].get("choice")
    info = KeysInfo(
        mode=metadata.text("mode"),
        seed=metadata.number("seed"),
        stream_version=metadata.number("stream_version"),
        config=metadata.text("config"),
        config_digest=metadata.text("config_digest"),
        source=metadata.text("source"),
        source_digest=metadata.text("source_digest"),
        source_config=metadata.text("source_config"),
        rows=metadata.number("rows"),
        blocks=len(blocks),
        security=json.loads(metadata.text("security")),
        software=json.loads(metadata.text("software_dependencies")),
        emissions=metadata.number("emissions") if "emissions" in metadata.attributes else 0,
        duration_ns=metadata.real("duration_ns") if "duration_ns" in metadata.attributes else 0.0,
    )
    tables = KeysTables(
        info=info,
        key_bits=metadata.number("key_bits"),
        choice=None if choice is None else int(str(choice)),
        blocks=blocks,
        hidden=hidden,
        transcript=transcript,
        frames=later[0] if later else None,
    )
    shapes = metadata.places[alice].shape, metadata.places[bob].shape
    sizes = {shape[-1] for shape in shapes}
    if tables.choice not in (None, 0, 1) or sizes != {nbytes(tables.key_bits)}:
        raise ValueError(
            f"it says key_bits={tables.key_bits} of keys with {shapes[0]} and {shapes[1]} bytes"
        )
    return tables
