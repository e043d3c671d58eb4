"""No file, whatever its bytes, hangs, kills or bloats a process, or leads it to other files."""

from __future__ import annotations

import contextlib
import lzma
import os
import random
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest
from data.make_golden import PROTOCOLS, RUNS
from helpers import Recorder
from made_chunks import KINDS, made_info, write

from caligo_mpi import parse_config, parse_protocol
from caligo_mpi.errors import StoreError
from caligo_mpi.runs import distill, generate
from caligo_mpi.store import layout, open_pairs, read_pairs, status, verify_file
from caligo_mpi.store.keys import is_keys_file, keys_status, read_keys, verify_keys
from caligo_mpi.store.metadata import open_file, read_metadata
from caligo_mpi.store.walk import walk

OLD = Path(__file__).parents[1] / "data" / "format-1.0"
LOOKS = (open_pairs, status, verify_file, read_pairs, read_keys, verify_keys, keys_status)


def old(name):
    return bytearray(lzma.decompress((OLD / f"{name}.xz").read_bytes()))


def refused(path, match):
    for look in LOOKS:
        with pytest.raises(StoreError, match=match) as caught:
            look(path)
        assert "\n" not in str(caught.value)
    with contextlib.suppress(StoreError):  # for what can be no file at all
        assert not is_keys_file(path)


def rewritten(path, change):
    """A finished file, written anew by h5py and changed."""
    write(path.with_name("sound.h5"), made_info())
    with h5py.File(path.with_name("sound.h5")) as source, h5py.File(path, "w") as target:
        for name in source:
            source.copy(name, target)
        for name, value in source.attrs.items():
            target.attrs[name] = value
        change(target)


# Damage in files of format 1.0


def test_a_flipped_bit_in_old_text_that_hangs_hdf5_is_one_sentence(tmp_path):
    content = old("lossless.h5")
    content[content.index(b"GCOL") + 9] ^= 4
    (tmp_path / "run.h5").write_bytes(content)
    refused(tmp_path / "run.h5", r"HDF5 hangs when it reads its metadata")


@pytest.mark.parametrize("name", ["lossless.h5", "keys-rot.h5"])
def test_flipped_bits_in_old_headers_are_noticed_or_harmless(tmp_path, name):
    content, rng = old(name), random.Random(3)
    path = tmp_path / name
    path.write_bytes(content)
    identity = (
        (lambda: status(path).data_digest)
        if name == "lossless.h5"
        else (lambda: read_keys(path).digest)
    )
    before, refusals = identity(), 0
    for _ in range(12):
        damaged = bytearray(content)
        damaged[rng.randrange(4096)] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert identity() == before
        except StoreError:
            refusals += 1
    assert refusals > 2


# Files that declare more than they hold, or send their reader elsewhere


def test_a_table_of_5e9_rows_in_5_kb_is_refused(tmp_path):
    path = tmp_path / "keys.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["format_version"] = "caligo-keys", np.array([1, 0])
        for name in ("alice/key", "bob/key", "blocks", "simulator", "transcript"):
            file.create_dataset(name, (5_000_000_000,), "u1", chunks=(1 << 20,))
    assert path.stat().st_size < 20_000
    refused(path, "is compressed or in pieces; h5repack -l CONTI -f NONE makes a file that is read")


@pytest.mark.parametrize("name", ["pairs", "rows", "key_bits"])
def test_numbers_that_cannot_be_are_refused(tmp_path, name):
    path = tmp_path / "file.h5"
    write(path, made_info())
    if name == "key_bits":
        pairs = tmp_path / "pairs.h5"
        generate.generate(parse_config(RUNS["lossless"]), pairs)
        path.unlink()
        distill.distill(distill.prepare(pairs, parse_protocol(PROTOCOLS["bbm92"][1])), path)
    with h5py.File(path, "r+") as file:
        file.attrs.modify(name, np.uint64(10**15))
    for look in LOOKS:
        with pytest.raises(StoreError):
            look(path)


def with_soft_link(file):
    file.move("runs", "elsewhere")
    file["runs"] = h5py.SoftLink("/elsewhere")


def with_external_link(file):
    del file["runs"]
    file["runs"] = h5py.ExternalLink("sound.h5", "/runs")


def with_external_storage(file):
    kind, length = file["faults"].dtype, len(file["faults"])
    del file["faults"]
    file.create_dataset("faults", (length,), kind, external=[("secret", 0, h5py.h5f.UNLIMITED)])


def with_virtual_data(file):
    kind, length = file["faults"].dtype, len(file["faults"])
    del file["faults"]
    made = h5py.VirtualLayout((length,), kind)
    made[:] = h5py.VirtualSource("sound.h5", "faults", (length,))
    file.create_virtual_dataset("faults", made)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (with_soft_link, "/runs is a soft or external link"),
        (with_external_link, "/runs is a soft or external link"),
        (with_external_storage, "/faults is stored in other files"),
        (with_virtual_data, "/faults is stored in other files"),
    ],
)
def test_readers_follow_nothing_out_of_the_file(tmp_path, change, match):
    path = tmp_path / "run.h5"
    rewritten(path, change)
    for look in (open_pairs, status, verify_file, read_pairs):
        with pytest.raises(StoreError, match=match):
            look(path)


def test_groups_in_a_circle_end(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info())
    with h5py.File(path, "r+", libver=("v108", "v108")) as file:
        file["pairs/again"] = file["pairs"]
    with pytest.raises(StoreError, match="more objects"):
        status(path)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.h5")
    refused(tmp_path / "fifo.h5", "is no regular file")


# Files as we write them


@pytest.mark.parametrize("kind", KINDS)
def test_new_files_are_read_without_hdf5(tmp_path, kind):
    path = tmp_path / "run.h5"
    write(path, made_info(kind), kind, chunks=2)
    assert layout.read(tmp_path / "run.h5.part").metadata.ours
    write(path, made_info(kind), kind)
    assert layout.read(path).metadata.ours


@pytest.mark.parametrize("mode", PROTOCOLS)
def test_keys_files_are_for_their_owner_alone_and_read_without_hdf5(tmp_path, mode):
    source, protocol = PROTOCOLS[mode]
    generate.generate(parse_config(RUNS[source]), tmp_path / "pairs.h5")
    path, job = (
        tmp_path / "keys.h5",
        distill.prepare(tmp_path / "pairs.h5", parse_protocol(protocol)),
    )
    modes = []
    before = os.umask(0)
    try:
        part = tmp_path / "keys.h5.part"
        observer = Recorder(lambda progress: modes.append(stat.S_IMODE(part.stat().st_mode)))
        distill.distill(job, path, observer=observer)
    finally:
        os.umask(before)
    assert {*modes, stat.S_IMODE(path.stat().st_mode)} == {0o600}
    fd = open_file(path)
    assert read_metadata(fd, path).ours
    os.close(fd)


def test_what_we_read_is_what_hdf5_reads(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info("timed"), "timed")
    fd = open_file(path)
    nodes = walk(fd)
    os.close(fd)
    with h5py.File(path) as file:
        names = []
        file.visit(names.append)
        assert {*names, ""} == set(nodes)
        for name, node in nodes.items():
            found = {
                key: np.asarray(value)
                for key, value in (file[name] if name else file).attrs.items()
            }
            assert set(found) == set(node.attributes)
            for key, value in found.items():
                plain = value.item().decode() if value.dtype.kind == "S" else value.tolist()
                assert plain == node.attributes[key]
            if isinstance(file[name or "/"], h5py.Dataset):
                assert (file[name].dtype, file[name].shape) == (node.kind, node.shape)
                assert file[name].id.get_offset() == node.offset


def test_text_longer_than_an_attribute_is_kept_in_pieces(tmp_path):
    path, text = tmp_path / "run.h5", '{"seed": "' + "7ä" * 100_000 + '"}'
    write(path, made_info(config=text))
    found = layout.read(path)
    assert found.metadata.ours
    assert found.info.config == text
    assert verify_file(path).ok
