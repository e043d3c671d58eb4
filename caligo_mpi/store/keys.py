"""Keys files: what distilling a pairs file gave, each party's share in a group of its own.

The format is specified in docs/keys-file.md.  While blocks are being distilled, their results
are appended to ``NAME.h5.part``, a journal of opaque records with a checksum each; a torn record
at its end is what a kill may cost.  When the last block is in, the HDF5 file is written aside,
synced and published under its final name.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import struct
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from .. import __version__
from ..bits import U8
from ..errors import StoreError
from . import lock as locks
from .files import disk_errors, move_new, set_aside, sync_directory, sync_file
from .hdf5 import opened
from .names import final_path, input_name, not_overwritten, output_name, remove_leftover, require_ours
from .prepare import aside_path, part_path, require_directory

FORMAT = "caligo-keys"
FORMAT_VERSION = (1, 0)

_MAGIC = b"caligo-keys partial file, version 1\n"
_RECORD = struct.Struct("<QQ")  # length and XXH3-64 of the payload that follows

#: Fields of ``/blocks`` that are under the digest: integers, the same on every machine.
_COUNTED = (
    "index", "start", "count", "sifted", "tested", "errors", "reconciled_bits", "frames", "failed_frames", "leak_bits",
    "tag_bits", "key_start", "key_bits",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysInfo:
    """What a keys file says about where its keys come from.

    ``source`` is the pairs file's name, ``source_digest`` its data digest, ``source_config`` the configuration of
    its run, with so many ``emissions`` and so much simulated time (0: none); ``config`` is the resolved protocol
    configuration, both JSON.  ``stream_version`` changes whenever the
    same pairs and configuration would give other keys than before.
    """

    mode: str
    seed: int
    stream_version: int
    config: str
    config_digest: str
    source: str
    source_digest: str
    source_config: str
    rows: int
    blocks: int
    security: Mapping[str, object]
    software: Mapping[str, object] = field(default_factory=dict)
    emissions: int = 0
    duration_ns: float = 0.0

    @property
    def identity(self) -> str:
        """Of all that decides the keys: SHA-256 over pairs, configuration and the protocol's version."""
        text = f"{FORMAT} {self.stream_version} {self.config_digest} {self.source_digest}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keys:
    """The contents of a keys file.

    ``alice`` and ``bob`` are packed keys of ``key_bits`` bits; in ``rot`` Alice's two strings are rows of (2, nbytes)
    and Bob's is that of his ``choice``.  ``blocks`` holds what both parties know, ``hidden`` what only the simulator
    does, ``transcript`` every message; one row per block, block, message.
    """

    info: KeysInfo
    key_bits: int
    alice: U8
    bob: U8
    choice: int | None
    blocks: NDArray[Any]
    hidden: NDArray[Any]
    transcript: NDArray[Any]
    frames: NDArray[Any] | None = None  # one row per frame, for the simulator; None in older files

    @property
    def per_emission(self) -> float | None:
        """Secret bits (``rot``: of each string) per emission of the run; None where the file does not know."""
        return self.key_bits / self.info.emissions if self.info.emissions else None

    @property
    def per_second(self) -> float | None:
        """The same per second of simulated time; None where no time was simulated."""
        return 1e9 * self.key_bits / self.info.duration_ns if self.info.duration_ns else None

    @property
    def digest(self) -> str:
        """SHA-256 over the identity, the counts of every block and both parties' keys: equal on every machine."""
        found = hashlib.sha256(self.info.identity.encode())
        for name in _COUNTED:
            found.update(self.blocks[name].astype("<u8").tobytes())
        found.update(repr((self.key_bits, self.choice)).encode())
        for party in (self.alice, self.bob):
            found.update(np.ascontiguousarray(party).data)
        return found.hexdigest()

    @property
    def agree(self) -> bool:
        """Whether Bob has what he should: Alice's key, or the string of his choice unless decoding failed."""
        if self.choice is None or not self.key_bits:
            return self.alice.tobytes() == self.bob.tobytes()
        return not self.hidden["decoded"].all() or self.alice[self.choice].tobytes() == self.bob.tobytes()


def table(columns: Mapping[str, tuple[type, Sequence[Any]]]) -> NDArray[Any]:
    """Columns (of int, float or str) as one structured array; text becomes bytes of the width it needs."""
    arrays = {name: _column(kind, values) for name, (kind, values) in columns.items()}
    rows = len(next(iter(arrays.values())))
    out = np.zeros(rows, np.dtype([(name, array.dtype) for name, array in arrays.items()]))
    for name, array in arrays.items():
        out[name] = array
    return out


def _column(kind: type, values: Sequence[Any]) -> NDArray[Any]:
    if kind is str:
        encoded = [value.encode() for value in values]
        return np.array(encoded, f"S{max([1, *map(len, encoded)])}")
    return np.array(values, "<u8" if kind is int else "<f8")


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────


def write_file(path: Path, keys: Keys) -> None:
    """Make the HDF5 file; ``path`` must be free."""
    with disk_errors(path, "writing the keys"), h5py.File(path, "w-", locking=False) as file:
        file.attrs.update(_attributes(keys))
        for party, name, bits in (("alice", _dataset(keys), keys.alice), ("bob", "key", keys.bob)):
            group = file.create_group(party)
            group.attrs.update(_of_party(keys, party))
            group.create_dataset(name, data=bits).attrs.update(_PACKED)
        if keys.choice is not None:
            file["bob"].attrs["choice"] = np.uint64(keys.choice)
        for name, rows in (("blocks", keys.blocks), ("transcript", keys.transcript), ("simulator", keys.hidden)):
            file.create_dataset(name, data=rows)
        if keys.frames is not None:
            file.create_dataset("simulator_frames", data=keys.frames)
        file.attrs["checksum"] = np.uint64(_checksum(file))


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


def _checksum(file: h5py.File) -> int:
    """XXH3-64 over every attribute and dataset but the checksum itself."""
    found = xxhash.xxh3_64()
    for owner in (file, file["alice"], file["bob"]):
        for name in sorted(set(owner.attrs) - {"checksum"}):
            found.update(f"{name}={np.asarray(owner.attrs[name]).tolist()}\n".encode())
    for name in _datasets(file):
        found.update(name.encode())
        found.update(np.ascontiguousarray(file[name][()]).tobytes())
    return found.intdigest()


def _datasets(file: h5py.File) -> list[str]:
    alice = "alice/strings" if "strings" in file["alice"] else "alice/key"
    later = [name for name in ("simulator_frames",) if name in file]  # absent in older files
    return [alice, "bob/key", "blocks", "simulator", "transcript", *later]


def _opened(path: Path) -> AbstractContextManager[h5py.File]:
    return opened(path, holds="keys", format=FORMAT, version=FORMAT_VERSION)


def read_keys(path: str | os.PathLike[str]) -> Keys:
    """Read a finished keys file.  Raises `StoreError` where it is damaged: `verify_keys` says how."""
    path = input_name(path)
    with _opened(path) as file:
        keys, (digest_fits, checksum_fits) = _read(file)
    if not (digest_fits and checksum_fits):
        raise StoreError(f"{path} is damaged (its checksum does not fit); restore it from a copy or distill again")
    return keys


def _read(file: h5py.File) -> tuple[Keys, tuple[bool, bool]]:
    """The contents, and whether digest and checksum fit them."""
    attrs = file.attrs
    alice, bob, blocks, hidden, transcript, *later = (file[name][()] for name in _datasets(file))
    choice = file["bob"].attrs.get("choice")
    info = KeysInfo(
        mode=str(attrs["mode"]),
        seed=int(attrs["seed"]),
        stream_version=int(attrs["stream_version"]),
        config=str(attrs["config"]),
        config_digest=str(attrs["config_digest"]),
        source=str(attrs["source"]),
        source_digest=str(attrs["source_digest"]),
        source_config=str(attrs["source_config"]),
        rows=int(attrs["rows"]),
        blocks=len(blocks),
        security=json.loads(attrs["security"]),
        software=json.loads(attrs["software_dependencies"]),
        emissions=int(attrs.get("emissions", 0)),
        duration_ns=float(attrs.get("duration_ns", 0.0)),
    )
    keys = Keys(
        info=info,
        key_bits=int(attrs["key_bits"]),
        alice=alice,
        bob=bob,
        choice=None if choice is None else int(choice),
        blocks=blocks,
        hidden=hidden,
        transcript=transcript,
        frames=later[0] if later else None,
    )
    return keys, (keys.digest == attrs["keys_digest"], _checksum(file) == int(attrs["checksum"]))


# ── looking at files ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeysStatus:
    """How far the distilling of a file is; ``keys`` is None while blocks are missing."""

    path: Path
    info: KeysInfo
    blocks_done: int
    keys: Keys | None
    owner: str


@dataclass(frozen=True, slots=True)
class KeysVerification:
    """What `verify_keys` found; a partial file has neither digest nor keys yet, but ``torn`` bytes at its end."""

    path: Path
    complete: bool
    blocks: int
    checksum_fits: bool | None = None
    digest_fits: bool | None = None
    agree: bool | None = None
    torn: int = 0

    @property
    def ok(self) -> bool:
        """Whether all is as it was written, and both parties have what they should."""
        return not self.torn and False not in (self.checksum_fits, self.digest_fits, self.agree)


def is_keys_file(path: str | os.PathLike[str]) -> bool:
    """Whether ``path``, or else its partial file, is a keys file; what cannot be read is not."""
    found = _existing(input_name(path))
    try:
        with found.open("rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                return True
        with h5py.File(found, "r", locking=False) as data:
            return bool(data.attrs["format"] == FORMAT)
    except Exception:  # damaged metadata can be any exception; the reader of pairs files says what is wrong
        return False


def keys_status(path: str | os.PathLike[str]) -> KeysStatus:
    """How far a keys file is; ``path`` may be the final name while only the partial file exists."""
    found = _existing(input_name(path))
    owner = locks.owner(final_path(found))
    if _is_partial(found):
        info, payloads, _ = _read_journal(found)
        return KeysStatus(path=found, info=info, blocks_done=len(payloads), keys=None, owner=owner)
    keys = read_keys(found)
    return KeysStatus(path=found, info=keys.info, blocks_done=keys.info.blocks, keys=keys, owner=owner)


def verify_keys(path: str | os.PathLike[str]) -> KeysVerification:
    """Compute checksum and digest of a keys file again, and compare the two parties' keys."""
    found = _existing(input_name(path))
    if _is_partial(found):
        _, payloads, end = _read_journal(found)
        return KeysVerification(found, complete=False, blocks=len(payloads), torn=found.stat().st_size - end)
    with _opened(found) as file:
        keys, (digest_fits, checksum_fits) = _read(file)
    return KeysVerification(found, True, keys.info.blocks, checksum_fits, digest_fits, keys.agree)


def _existing(path: Path) -> Path:
    """The file itself, or its partial file where only that is there."""
    part = part_path(path)
    return part if part.exists() and not path.exists() else path


def _is_partial(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def completed_keys(path: str | os.PathLike[str], info: KeysInfo) -> Keys | None:
    """The contents of ``path`` if it is a finished file of the same pairs and configuration; else None.

    What a kill left behind while the file was published is removed.
    """
    path = output_name(path)
    if not path.exists():
        return None
    try:
        keys = read_keys(path)
    except StoreError:
        return None
    if keys.info.identity != info.identity:
        return None
    if part_path(path).exists() or aside_path(path).exists():
        with suppress(StoreError, OSError):
            lock = locks.acquire(path, {"id": "clearing up"}, patience=0.0)
            part_path(path).unlink(missing_ok=True)
            remove_leftover(aside_path(path))
            locks.release(lock)
    return keys


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────


def preflight_keys(path: str | os.PathLike[str], info: KeysInfo, *, force: bool) -> None:
    """Raise now, having touched nothing, what `KeysStore.open` would raise."""
    path = output_name(path)
    require_directory(path)
    if force:
        if os.path.lexists(path):
            require_ours(path)
        return
    if os.path.lexists(path):
        _refuse(path, info)
    part = part_path(path)
    if os.path.lexists(part):
        if not _is_partial(part):
            raise StoreError(f"{part} is in the way and no partial keys file; {not_overwritten(part)}")
        with suppress(_TornHeader):
            _require_same(part, _read_journal(part)[0], info)


def _refuse(path: Path, info: KeysInfo) -> None:
    """Say why the finished file at ``path`` is in the way, unless it is what was asked for."""
    try:
        found = read_keys(path)
    except StoreError as error:
        raise StoreError(f"{error}; {not_overwritten(path)}") from error
    _require_same(path, found.info, info)


def _require_same(path: Path, found: KeysInfo, asked: KeysInfo) -> None:
    if found.identity == asked.identity:
        return
    if found.source_digest != asked.source_digest:
        what = f"comes from other pairs ({found.source}, data digest {found.source_digest[:12]}"
        what += f"; {asked.source} has {asked.source_digest[:12]})"
    elif found.config_digest == asked.config_digest:
        what = f"was made with stream_version={found.stream_version} of the protocol, and this would have "
        what += f"{asked.stream_version}"
    else:
        what = f"belongs to another protocol configuration (config_digest={found.config_digest[:12]}, this one is "
        what += f"{asked.config_digest[:12]})"
    raise StoreError(f"{path} {what}; choose another output or set it aside with --force")


class KeysStore:
    """The partial file of a keys file while its blocks come in; exactly one process may hold it.

    ``found`` are the records that an earlier launch left, in order; ``messages`` says what else was found.
    """

    def __init__(self, path: Path, info: KeysInfo, lock: locks.Lock) -> None:
        self.path, self.info = path, info
        self.messages: list[str] = []
        self.found: list[bytes] = []
        self._lock, self._fd, self._closed = lock, -1, False

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], info: KeysInfo, *, launch: Mapping[str, object], force: bool = False
    ) -> KeysStore:
        """Begin the partial file of ``path``, or go on with the one that is there.

        ``force`` sets other files aside instead of refusing; nothing is deleted.
        """
        path = output_name(path)
        launch = {"id": uuid.uuid4().hex, **launch}
        preflight_keys(path, info, force=force)
        with disk_errors(path, "opening the output"):
            store = cls(path, info, locks.acquire(path, launch))
            try:
                store._prepare(force=force)
            except BaseException:
                store.close()
                raise
        return store

    def __enter__(self) -> KeysStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; a partial one stays and can be resumed."""
        if self._closed:
            return
        self._closed = True
        if self._fd >= 0:
            os.close(self._fd)
        locks.release(self._lock)

    def append(self, record: bytes) -> None:
        """Add the next block's record and press it to the disk."""
        with disk_errors(part_path(self.path), "writing"):
            locks.check(self._lock)
            _append(self._fd, record)

    def finish(self, keys: Keys) -> None:
        """Write the keys file and publish it; it replaces nothing."""
        aside, part = aside_path(self.path), part_path(self.path)
        with disk_errors(self.path, "publishing"):
            locks.check(self._lock)
            remove_leftover(aside)
            write_file(aside, keys)
            sync_file(aside)
            try:
                move_new(aside, self.path)
            except FileExistsError:
                raise StoreError(
                    f"{self.path} appeared meanwhile; move it away and run the same command again"
                ) from None
            part.unlink(missing_ok=True)
            sync_directory(self.path.parent)

    def _prepare(self, *, force: bool) -> None:
        part = part_path(self.path)
        if os.path.lexists(self.path) and force:
            self.messages.append(f"{self.path} is set aside as {set_aside(self.path, 'old').name}")
        if os.path.lexists(part):
            self._resume(part)
        if not part.exists():
            self._begin(part)
        self._fd = os.open(part, os.O_RDWR | os.O_APPEND)

    def _resume(self, part: Path) -> None:
        """Take over what is intact of the partial file, or set it aside: without ``force`` it is known to be ours."""
        try:
            info, found, end = _read_journal(part)
        except _TornHeader as error:
            self.messages.append(f"{error}; it is set aside as {set_aside(part, 'damaged').name}")
            return
        if info.identity != self.info.identity:
            self.messages.append(f"{part} is set aside as {set_aside(part, 'old').name}")
            return
        os.truncate(part, end)
        self.found = found
        self.messages.append(f"resuming {part}: {len(found)} of {self.info.blocks} blocks are in")

    def _begin(self, part: Path) -> None:
        aside = aside_path(part)
        remove_leftover(aside)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            os.write(fd, _MAGIC)
            _append(fd, json.dumps(asdict(self.info)).encode())
        finally:
            os.close(fd)
        move_new(aside, part)
        sync_directory(part.parent)


class _TornHeader(StoreError):
    """A partial file that does not even say whose it is."""


def _append(fd: int, record: bytes) -> None:
    view = memoryview(_RECORD.pack(len(record), xxhash.xxh3_64_intdigest(record)) + record)
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


def _read_journal(path: Path) -> tuple[KeysInfo, list[bytes], int]:
    """Header, whole records, and the byte behind the last of them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    records: list[bytes] = []
    end = len(_MAGIC)
    while len(data) >= end + _RECORD.size and data.startswith(_MAGIC):
        length, checksum = _RECORD.unpack_from(data, end)
        start = end + _RECORD.size
        record = data[start : start + length]
        if len(record) < length or xxhash.xxh3_64_intdigest(record) != checksum:
            break
        records.append(record)
        end = start + length
    if not records:
        raise _TornHeader(f"{path} is not a partial keys file, or damaged at its beginning")
    return KeysInfo(**json.loads(records[0])), records[1:], end
