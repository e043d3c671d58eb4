"""The finished keys file: written once, read back whole.  The format is specified in docs/keys-file.md."""

from __future__ import annotations

import datetime
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import xxhash

from .._version import __version__
from ..errors import StoreError
from ..pairs.bits import nbytes
from . import hdf5
from .files import disk_errors
from .keys_data import FORMAT, FORMAT_VERSION, Keys, KeysInfo
from .keys_journal import is_partial
from .metadata import Metadata, checksum, opened, read_dataset
from .names import input_name, part_path

#: Keys are secrets: nobody but their owner may read the files, whatever the umask says.
MODE = 0o600


def write_file(path: Path, keys: Keys) -> None:
    """Make the HDF5 file; ``path`` must be free."""
    with disk_errors(path, "writing the keys"):
        with hdf5.create(path, mode=MODE) as file:
            hdf5.describe(file, _attributes(keys))
            for party, name, bits in (
                ("alice", _dataset(keys), keys.alice),
                ("bob", "key", keys.bob),
            ):
                group = file.create_group(party)
                hdf5.describe(group, _of_party(keys, party))
                hdf5.describe(group.create_dataset(name, data=bits), _PACKED)
            if keys.choice is not None:
                file["bob"].attrs["choice"] = np.uint64(keys.choice)
            for name, rows in (
                ("blocks", keys.blocks),
                ("transcript", keys.transcript),
                ("simulator", keys.hidden),
            ):
                file.create_dataset(name, data=rows)
            if keys.frames is not None:
                file.create_dataset("simulator_frames", data=keys.frames)
        # The checksum is made of what a reader finds.
        with opened_keys(path) as (fd, metadata):
            found = _checksum(metadata, fd)
        with hdf5.change(path) as file:
            file.attrs.modify("checksum", np.uint64(found))


_PACKED = {
    "encoding": "bit-packed, little bit order: bit i is bit i % 8 of byte i // 8",
    "unpack": "numpy.unpackbits(dataset[:], axis=-1, count=group.attrs['key_bits'], bitorder='little')",
}


def _dataset(keys: Keys) -> str:
    return "strings" if keys.info.mode == "rot" else "key"


def _attributes(keys: Keys) -> dict[str, object]:
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
        "seed": np.uint64(info.seed) if info.seed < 1 << 64 else str(info.seed),
        "stream_version": np.int64(info.stream_version),
        "config": info.config,
        "config_digest": info.config_digest,
        "security": json.dumps(dict(info.security)),
        "source": info.source,
        "source_digest": info.source_digest,
        "source_config": info.source_config,
        "rows": np.uint64(info.rows),
        "key_bits": np.uint64(keys.key_bits),
        "keys_digest": keys.digest,
        "emissions": np.uint64(info.emissions),
        "duration_ns": np.float64(info.duration_ns),
        **{name: np.float64(rate) for name, rate in rates.items() if rate is not None},
        "checksum": np.uint64(0),
    }


def _of_party(keys: Keys, party: str) -> dict[str, object]:
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
        return checksum(metadata, fd, names, leave_out="checksum")
    # Format 1.0 left out the attributes of datasets.
    found = xxhash.xxh3_64()
    for owner in (metadata.attributes, metadata.described["alice"], metadata.described["bob"]):
        for name in sorted(set(owner) - {"checksum"}):
            found.update(f"{name}={owner[name]}\n".encode())
    for name in names:
        found.update(name.encode())
        found.update(read_dataset(metadata, fd, name).tobytes())
    return found.intdigest()


def _datasets(metadata: Metadata) -> list[str]:
    alice = "alice/strings" if "alice/strings" in metadata.places else "alice/key"
    later = [
        name for name in ("simulator_frames",) if name in metadata.places
    ]  # absent in older files
    return [alice, "bob/key", "blocks", "simulator", "transcript", *later]


def opened_keys(path: Path) -> AbstractContextManager[tuple[int, Metadata]]:
    """A finished keys file, open for reading: its descriptor and its metadata."""
    return opened(path, holds="keys", format=FORMAT, version=FORMAT_VERSION)


def read_keys(path: str | os.PathLike[str]) -> Keys:
    """Read a finished keys file.  Raises `StoreError` where it is damaged: `verify_keys` says how."""
    path = input_name(path)
    keys, digest_fits, checksum_fits = read_checked(path)
    if not (digest_fits and checksum_fits):
        raise StoreError(
            f"{path} is damaged (its checksum does not fit); restore it from a copy or distill again"
        )
    return keys


def read_checked(path: Path) -> tuple[Keys, bool, bool]:
    """The contents, and whether digest and checksum fit them."""
    if is_partial(path):
        raise StoreError(
            f"{path} is a partial keys file under a finished one's name; "
            f"rename it to {part_path(path).name} and distill again to go on with it"
        )
    with opened_keys(path) as (fd, metadata):
        keys = _read(metadata, fd)
        digest_fits = keys.digest == metadata.attributes["keys_digest"]
        return keys, digest_fits, _checksum(metadata, fd) == metadata.number("checksum")


def _read(metadata: Metadata, fd: int) -> Keys:
    datasets = [read_dataset(metadata, fd, name) for name in _datasets(metadata)]
    alice, bob, blocks, hidden, transcript, *later = datasets
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
    keys = Keys(
        info=info,
        key_bits=metadata.number("key_bits"),
        alice=alice,
        bob=bob,
        choice=None if choice is None else int(str(choice)),
        blocks=blocks,
        hidden=hidden,
        transcript=transcript,
        frames=later[0] if later else None,
    )
    if {keys.alice.shape[-1], keys.bob.shape[-1]} != {nbytes(keys.key_bits)} or keys.choice not in (
        None,
        0,
        1,
    ):
        raise ValueError(
            f"it says key_bits={keys.key_bits} of keys with {keys.alice.shape} and {keys.bob.shape} bytes"
        )
    return keys
