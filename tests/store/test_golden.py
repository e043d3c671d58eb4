"""Files of earlier format versions are read, resumed, verified and distilled to the digests they had."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path

import pytest
from data.make_golden import PROTOCOLS, RUNS
from helpers import of_version_1

from caligo_mpi import parse_config, parse_protocol, status
from caligo_mpi.runs import distill, generate, verify
from caligo_mpi.store import open_pairs, pairs_hash, verify_file
from caligo_mpi.store.keys import keys_status, read_keys, verify_keys

FOLDERS = sorted(
    path
    for path in (Path(__file__).parents[1] / "data").iterdir()
    if path.name.startswith("format-")
)


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def golden(request, tmp_path):
    """A directory with the files of one format version, and the digests they must have."""
    for packed in request.param.glob("*.xz"):
        with lzma.open(packed) as source, (tmp_path / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    digests = json.loads((request.param / "digests.json").read_text())
    return tmp_path, {**digests, "format": request.param.name}


@pytest.mark.parametrize("name", RUNS)
def test_an_old_pairs_file_is_what_it_was(golden, name):
    folder, digests = golden
    path = folder / f"{name}.h5"
    assert [status(path).data_digest, pairs_hash(path)] == digests[name]
    assert verify_file(path).ok
    assert verify.verify(path, resample=2).ok
    with open_pairs(path) as file:
        assert file.digest_fits()
        assert sum(block.count for block in file.blocks()) == file.rows


def test_an_old_pairs_file_is_complete_already(golden):
    folder, digests = golden
    done = generate.generate(parse_config(RUNS["lossy"]), folder / "lossy.h5")
    assert done.launched == 0
    assert done.status.data_digest == digests["lossy"][0]


def test_an_old_partial_file_is_resumed(golden):
    folder, digests = golden
    assert status(folder / "stopped.h5").chunks_done == 4
    assert verify_file(folder / "stopped.h5.part").ok
    done = generate.generate(parse_config(RUNS["lossless"]), folder / "stopped.h5")
    assert done.launched == RUNS["lossless"]["pairs"] - 4 * RUNS["lossless"]["chunk_size"]
    assert [done.status.data_digest, pairs_hash(folder / "stopped.h5")] == digests["lossless"]
    assert verify_file(folder / "stopped.h5").ok
    assert not (folder / "stopped.h5.part").exists()


def test_an_old_finished_file_is_extended(golden):
    folder, _ = golden
    longer = parse_config({**RUNS["lossy"], "pairs": 12_000})
    done = generate.generate(longer, folder / "lossy.h5")
    assert done.launched == 4_000
    fresh = generate.generate(longer, folder / "fresh.h5")
    assert done.status.data_digest == fresh.status.data_digest
    assert pairs_hash(folder / "lossy.h5") == pairs_hash(folder / "fresh.h5")


@pytest.mark.parametrize("mode", PROTOCOLS)
def test_old_pairs_give_the_same_keys_and_old_keys_are_read(golden, mode):
    folder, digests = golden
    source, protocol = PROTOCOLS[mode]
    job = distill.prepare(folder / f"{source}.h5", parse_protocol(protocol))
    begun = of_version_1(job) if digests["format"] == "format-1.0" else job  # its random streams
    again = distill.distill(begun, folder / "again.h5")
    assert [again.keys.digest] == digests[f"keys-{mode}"]
    old = folder / f"keys-{mode}.h5"
    assert read_keys(old).digest == again.keys.digest
    assert verify_keys(old).ok
    assert keys_status(old).keys.digest == again.keys.digest
    assert distill.distill(job, old).launched == 0
