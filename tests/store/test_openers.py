"""Others at the same file: a second launch, h5py in the same process, tools that rewrite it, hands that rename it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time

import h5py
import numpy as np
import pytest
from data.make_golden import PROTOCOLS, RUNS
from helpers import Recorder, stopping_after
from made_chunks import KINDS, in_child, made_info, made_result, write

from caligo_mpi import parse_config, parse_protocol
from caligo_mpi.errors import StoreError
from caligo_mpi.runs import distill, generate, verify
from caligo_mpi.store import PairStore, open_pairs, pairs_hash, read_pairs, status, verify_file
from caligo_mpi.store.keys import keys_status, read_keys, verify_keys

LOSSLESS = parse_config(RUNS["lossless"])
BBM92 = parse_protocol(PROTOCOLS["bbm92"][1])


@pytest.fixture
def pairs(tmp_path):
    generate.generate(LOSSLESS, tmp_path / "pairs.h5")
    return tmp_path / "pairs.h5"


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def exit_code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def launch_that_waits(run, go):
    """Start a run in another process that does its last item only when ``go`` exists."""

    def report(progress):
        if progress.pairs == progress.total:
            wait_for(go.exists)

    return in_child(lambda: run(report), wait=False)


# A second launch in the last seconds of the first


def test_a_second_launch_of_a_run_that_ends_is_told_that_it_is_complete(tmp_path):
    path, go = tmp_path / "run.h5", tmp_path / "go"
    first = launch_that_waits(
        lambda report: generate.generate(LOSSLESS, path, observer=Recorder(report)), go
    )
    wait_for(lambda: (tmp_path / "run.h5.part").exists())
    threading.Timer(0.3, go.touch).start()
    observer = Recorder()
    second = generate.generate(LOSSLESS, path, observer=observer)
    assert second.launched == 0
    assert "is already complete" in observer.said[-1]
    assert exit_code(first) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["go", "run.h5"]


def test_a_second_distilling_that_waited_is_told_that_it_is_complete(tmp_path, pairs):
    path, go = tmp_path / "keys.h5", tmp_path / "go"
    job = distill.prepare(pairs, BBM92)
    first = launch_that_waits(
        lambda report: distill.distill(job, path, observer=Recorder(report)), go
    )
    wait_for(lambda: (tmp_path / "keys.h5.part").exists() and keys_status(path).blocks_done > 0)
    threading.Timer(0.3, go.touch).start()
    observer = Recorder()
    second = distill.distill(job, path, observer=observer)
    assert second.launched == 0
    assert "is already complete" in observer.said[-1]
    assert exit_code(first) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["go", "keys.h5", "pairs.h5"]


def test_a_file_that_appears_with_the_same_data_stays(tmp_path):
    path = tmp_path / "run.h5"
    write(tmp_path / "other.h5", made_info())
    with PairStore.open(path, made_info(), launch={}) as store:
        for index in store.todo:
            store.append(made_result(made_info().partition[index]), rank=0)
        (tmp_path / "other.h5").rename(path)
        inode = path.stat().st_ino
        store.finish()
        assert "finished and with the same digest: it stays" in store.messages[-1]
    assert path.stat().st_ino == inode
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


# h5py in the same process


def test_files_that_h5py_holds_open_are_read(tmp_path, pairs):
    job = distill.prepare(pairs, BBM92)
    keys = distill.distill(job, tmp_path / "keys.h5").keys
    with h5py.File(pairs), h5py.File(tmp_path / "keys.h5"):
        assert verify_file(pairs).ok
        assert status(pairs).complete
        assert len(read_pairs(pairs).alice_basis) == LOSSLESS.pairs
        assert read_keys(tmp_path / "keys.h5").digest == keys.digest
        assert distill.distill(job, tmp_path / "more.h5").keys.digest == keys.digest
        assert generate.generate(LOSSLESS, pairs).launched == 0


# Names change while somebody looks


def test_a_look_at_a_run_that_is_set_aside_again_and_again_raises_nothing_else(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info())
    stop = tmp_path / "stop"

    def again():
        while not stop.exists():
            write(path, made_info(), force=True)
            for aside in tmp_path.glob("*.old-*"):
                aside.unlink()

    child = in_child(again, wait=False)
    looks = 0
    try:
        for _ in range(300):
            for look in (status, lambda path: open_pairs(path).close()):
                # Between two names there is no file, which is one sentence.
                with contextlib.suppress(StoreError):
                    look(path)
                    looks += 1
    finally:
        stop.touch()
        assert exit_code(child) == 0
    assert looks > 100


def test_a_partial_file_under_a_final_name_is_said_how_to_finish(tmp_path, pairs):
    path, part = tmp_path / "run.h5", tmp_path / "run.h5.part"
    generate.generate(LOSSLESS, path, map=stopping_after(3))
    part.rename(path)
    for launch in (
        lambda: generate.generate(LOSSLESS, path),
        lambda: generate.preflight(LOSSLESS, path),
    ):
        with pytest.raises(
            StoreError, match=r"rename it to run\.h5\.part and run the same command again"
        ):
            launch()
    with pytest.raises(
        StoreError, match=r"rename it to run\.h5\.part, finish its run, then distill"
    ):
        distill.prepare(path, BBM92)
    path.rename(part)
    assert generate.generate(LOSSLESS, path).status.data_digest == status(pairs).data_digest


def test_a_partial_keys_file_under_a_final_name_is_said_how_to_finish(tmp_path, pairs):
    path, part, job = tmp_path / "keys.h5", tmp_path / "keys.h5.part", distill.prepare(pairs, BBM92)
    distill.distill(job, path, map=stopping_after(1))
    part.rename(path)
    for read in (
        read_keys,
        lambda path: distill.distill(job, path),
        lambda path: distill.preflight(job, path),
    ):
        with pytest.raises(StoreError, match=r"rename it to keys\.h5\.part and distill again"):
            read(path)
    path.rename(part)
    assert distill.distill(job, path).launched == 20_000


# Other tools


def by_h5py(source, target):
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value


def by_h5repack(source, target):
    if not shutil.which("h5repack"):
        pytest.skip("h5repack is not installed")
    subprocess.run(["h5repack", source, target], check=True)


@pytest.mark.parametrize("rewrite", [by_h5py, by_h5repack])
@pytest.mark.parametrize("kind", KINDS)
def test_a_rewritten_file_is_read_and_not_extended(tmp_path, rewrite, kind):
    path, other = tmp_path / "run.h5", tmp_path / "rewritten.h5"
    write(path, made_info(kind), kind)
    rewrite(path, other)
    found = verify_file(other)
    assert found.ok
    assert found.moved
    assert found.provenance_fits
    assert not verify_file(path).moved
    assert status(other).data_digest == status(path).data_digest
    assert pairs_hash(other) == pairs_hash(path)
    before = other.read_bytes()
    with pytest.raises(StoreError, match=r"cannot be extended from pairs=10003 to 20003"):
        write(other, made_info(kind, pairs=20_003), kind)
    with pytest.raises(StoreError, match=r"is complete already"):
        write(other, made_info(kind), kind)
    assert other.read_bytes() == before


@pytest.mark.parametrize("rewrite", [by_h5py, by_h5repack])
def test_a_rewritten_file_is_distilled_and_its_keys_are_read(tmp_path, pairs, rewrite):
    other, keys = tmp_path / "rewritten.h5", tmp_path / "keys.h5"
    rewrite(pairs, other)
    assert verify.verify(other, resample=1).ok
    assert generate.generate(LOSSLESS, other).launched == 0
    done = distill.distill(distill.prepare(other, BBM92), keys).keys
    assert (
        done.digest
        == distill.distill(distill.prepare(pairs, BBM92), tmp_path / "same.h5").keys.digest
    )
    rewrite(keys, tmp_path / "other-keys.h5")
    assert read_keys(tmp_path / "other-keys.h5").digest == done.digest
    assert verify_keys(tmp_path / "other-keys.h5").ok


def test_a_compressed_file_is_said_how_to_make_readable(tmp_path):
    if not shutil.which("h5repack"):
        pytest.skip("h5repack is not installed")
    path, packed, plain = (tmp_path / f"{name}.h5" for name in ("run", "packed", "plain"))
    write(path, made_info())
    subprocess.run(["h5repack", "-f", "GZIP=1", path, packed], check=True)
    for look in (status, open_pairs, verify_file):
        with pytest.raises(
            StoreError,
            match=r"packed\.h5 is not read: /\w+ is compressed .*h5repack -l CONTI -f NONE",
        ):
            look(packed)
    subprocess.run(["h5repack", "-l", "CONTI", "-f", "NONE", packed, plain], check=True)
    assert verify_file(plain).ok


def test_a_rewritten_file_whose_attributes_were_changed_is_damaged(tmp_path):
    path, other = tmp_path / "run.h5", tmp_path / "rewritten.h5"
    write(path, made_info())
    by_h5py(path, other)
    with h5py.File(other, "r+") as file:
        file.attrs.modify("seed", np.uint64(8))
    with pytest.raises(StoreError, match="its attributes do not have their checksum"):
        status(other)


def test_a_note_that_somebody_adds_keeps_a_file_readable_and_is_named(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info())
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "looked at in spring"
    found = verify_file(path)
    assert found.provenance_fits is False
    assert not found.moved
    assert found.digest_fits
    assert len(read_pairs(path).alice_basis) == 10_003


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["runs"].__setitem__(0, np.zeros(1, file["runs"].dtype)[0]),
        lambda file: file.attrs.modify("creator_version", np.bytes_(b"9.9.9")),
        lambda file: file["pairs/alice_basis"].attrs.modify("flag_meanings", np.bytes_(b"X Z")),
        lambda file: file["faults"].__setitem__(3, np.ones(1, file["faults"].dtype)[0]),
    ],
    ids=["runs", "version", "description", "faults"],
)
def test_verify_names_a_changed_provenance(tmp_path, change):
    path = tmp_path / "run.h5"
    write(path, made_info())
    assert verify_file(path).provenance_fits
    with h5py.File(path, "r+") as file:
        change(file)
    found = verify_file(path)
    assert found.provenance_fits is False
    assert not found.ok
