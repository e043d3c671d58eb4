"""Full, read-only and missing disks: one sentence, and the run can go on."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess

import pytest
from made_chunks import in_child, made_info, made_result, write

from caligo_mpi.pairs import Chunk
from caligo_mpi.store import PairStore, StoreError, completed, layout, status, verify_file

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

MIB = 1 << 20


@pytest.fixture
def mount(tmp_path):
    """Mount something at tmp_path/disk until the test ends."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = []

    def run(*options):
        done = subprocess.run(
            ["mount", *options, str(disk)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"mounting needs root in its own mount name space: {done.stderr.strip()}")
        mounted.append(disk)
        return disk

    if shutil.which("mount") is None:
        pytest.skip("no mount command")
    yield run
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def large(kind="lossless"):
    """A run in 16 chunks: 2 MiB of bits, 10 MiB more of indices where pairs can be lost."""
    return made_info(
        kind, pairs=4 * MIB, chunk_size=MIB // 4, coincidence=0.3 if kind == "lossy" else 1.0
    )


def test_a_run_that_cannot_fit_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "run.h5"
    with pytest.raises(
        StoreError, match=r"run.h5 \(pairs=1000000000000000\) needs 5e\+05 GB, .* GB free in "
    ):
        PairStore.open(path, made_info(pairs=10**15, chunk_size=1 << 34), launch={})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(
        StoreError, match="nowhere is not a directory; create it or choose another output"
    ):
        PairStore.open(tmp_path / "nowhere" / "run.h5", made_info(), launch={})


def _append_all(pair_store, kind):
    for index in pair_store.todo.tolist():
        pair_store.append(made_result(Chunk(index, index * MIB // 4, MIB // 4), kind), rank=0)
        pair_store.commit()
    pair_store.finish()


@pytest.mark.parametrize("kind", ["lossless", "lossy"])
@pytest.mark.parametrize("left", [0, 5000, MIB])
def test_a_disk_that_fills_up_stops_the_run_and_more_space_lets_it_go_on(mount, kind, left):
    disk = mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    path, ballast = disk / "run.h5", disk / "ballast"
    write(path, large(kind), kind, chunks=2, finish=False)
    with PairStore.open(path, large(kind), launch={}) as pair_store:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(bytes(free - left))
        with pytest.raises(
            StoreError,
            match=r"writing failed \(No space left on device\); what was committed is kept",
        ):
            _append_all(pair_store, kind)
    committed = status(path).chunks_done
    assert 2 <= committed < 16 or kind == "lossy"
    with pytest.raises(StoreError, match=r"needs .* GB free in"):
        PairStore.open(path, large(kind), launch={})
    ballast.unlink()
    write(path, large(kind), kind)
    assert verify_file(path).ok
    assert sorted(p.name for p in disk.iterdir()) == ["run.h5"]


def test_a_disk_that_fills_up_while_the_file_is_made_leaves_nothing(mount):
    disk = mount("-t", "tmpfs", "-o", "size=1m,nr_inodes=3", "tmpfs")
    for number in range(2):
        (disk / f"file{number}").touch()
    with pytest.raises(StoreError, match="No space left on device"):
        PairStore.open(disk / "run.h5", made_info(), launch={})
    assert sorted(p.name for p in disk.iterdir()) == ["file0", "file1"]


def test_a_read_only_disk_is_named(mount, tmp_path):
    disk = mount("-t", "tmpfs", "-o", "size=8m", "tmpfs")
    write(disk / "done.h5", made_info())
    write(disk / "begun.h5", made_info(), chunks=3)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for name in ("new.h5", "begun.h5"):
        with pytest.raises(StoreError, match="is not writable; choose another output directory"):
            PairStore.open(disk / name, made_info(), launch={})
    assert completed(disk / "done.h5", made_info()).complete
    assert status(disk / "begun.h5").chunks_done == 3


@pytest.mark.parametrize(
    "limit", [("FSIZE", 900_000), *(("NOFILE", number) for number in range(3, 7))]
)
@pytest.mark.parametrize("begun", [True, False])
def test_limits_of_the_process_are_one_sentence_too(tmp_path, capfd, limit, begun):
    path = tmp_path / "run.h5"
    if begun:
        write(path, made_info(), chunks=3)

    def run():
        os.closerange(3, 256)
        resource.setrlimit(getattr(resource, f"RLIMIT_{limit[0]}"), (limit[1], limit[1]))
        try:
            write(path, made_info())
        except StoreError as error:
            os.write(1, str(error).encode())
            os._exit(3)

    code, said = in_child(run), capfd.readouterr()
    assert code == (0 if limit == ("NOFILE", 6) else 3), said.err
    if code:
        assert re.search(r"(File too large|Too many open files)", said.out)
    messages = write(path, made_info()) if code else []
    assert "set aside" not in "".join(messages)
    assert verify_file(path).ok
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_a_write_that_is_cut_short_is_noticed(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info(), chunks=0)
    last = layout.read(tmp_path / "run.h5.part").offsets["pairs/bob_outcome"]

    def run():
        with PairStore.open(path, made_info(), launch={}) as pair_store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (last + 700, last + 700))
            for chunk in made_info().partition:
                pair_store.append(made_result(chunk), rank=0)
            try:
                pair_store.commit()
            except StoreError:
                os._exit(3)

    assert in_child(run) == 3
    assert status(path).chunks_done == 0


def test_a_file_cut_short_under_a_reader_is_one_sentence(tmp_path):
    path = tmp_path / "run.h5"
    write(path, made_info())
    os.truncate(path, path.stat().st_size - 100)
    with pytest.raises(StoreError, match=r"run.h5 is"):
        status(path)
