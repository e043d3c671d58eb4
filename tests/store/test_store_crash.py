"""A kill at any moment loses nothing that was committed and never ends in other bits."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import h5py
import pytest
from made_chunks import KINDS, in_child, made_info, made_result, write

from caligo_mpi import store
from caligo_mpi.store import PairStore, StoreError, open_pairs, pairs_hash, status, verify_file
from caligo_mpi.store import lock as locks

# Python 3.12 warns of any fork once numpy has made its threads; the children touch none of them.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

# The calls that change what is on the disk.
STEPS = {"pwrite", "fsync", "link", "unlink", "remove", "rename", "replace", "ftruncate", "open"}


@pytest.fixture
def tmp_path(tmp_path):
    """A directory in memory where there is one: hundreds of synced files need not reach a disk here."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def die_at(step, when):
    """End the process before (``c_call``) or after (``c_return``) the given one of its steps."""
    seen = 0

    def watch(frame, event, called):
        nonlocal seen
        if (
            event == when
            and getattr(called, "__name__", "") in STEPS
            and getattr(called, "__module__", "") == "posix"
        ):
            seen += 1
            if seen == step:
                os._exit(77)

    sys.setprofile(watch)


def count_steps(function):
    """How many steps a function takes."""
    read, write_end = os.pipe()

    def run():
        seen = [0]

        def watch(frame, event, called):
            name, module = getattr(called, "__name__", ""), getattr(called, "__module__", "")
            seen[0] += event == "c_call" and name in STEPS and module == "posix"

        sys.setprofile(watch)
        function()
        sys.setprofile(None)
        os.write(write_end, str(seen[0]).encode())

    assert in_child(run) == 0
    os.close(write_end)
    count = int(os.read(read, 20))
    os.close(read)
    return count


def reference(tmp_path, kind):
    other = tmp_path / "reference.h5"
    write(other, made_info(kind), kind)
    identity = status(other).data_digest, pairs_hash(other)
    other.unlink()
    return identity


def commit_every(path, kind, chunks):
    """Write a run with a commit after every few chunks."""
    info = made_info(kind)
    if store.completed(path, info):
        return
    with PairStore.open(path, info, launch={}, durability="fsync") as pair_store:
        for number, index in enumerate(pair_store.todo.tolist()):
            pair_store.append(made_result(info.partition[index], kind), rank=0)
            if number % chunks == 0:
                pair_store.commit()
        pair_store.finish()


@pytest.mark.parametrize("kind", ["lossless", "timed"])
def test_a_kill_at_every_step_from_creation_to_publication(tmp_path, path, kind):
    part = path.with_name("run.h5.part")
    expected = reference(tmp_path, kind)
    total = count_steps(lambda: commit_every(path, kind, 4))
    path.unlink()
    assert total > 25
    for step in range(1, total + 1):

        def run(step=step):
            die_at(step, "c_call")
            commit_every(path, kind, 4)

        assert in_child(run) == 77
        if part.exists():
            assert verify_file(part).data == ()
        commit_every(path, kind, 4)
        assert (status(path).data_digest, pairs_hash(path)) == expected
        assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
        path.unlink()


@pytest.mark.parametrize("kind", ["lossless", "lossy"])
def test_a_kill_at_every_step_of_an_extension(tmp_path, path, kind):
    expected = reference(tmp_path, kind)
    write(path, made_info(kind, pairs=6_500), kind)
    short = path.read_bytes()
    path.unlink()
    step = 0
    while True:
        step += 1
        path.write_bytes(short)

        def run(step=step):
            die_at(step, "c_call")
            commit_every(path, kind, 4)

        code = in_child(run)
        commit_every(path, kind, 4)
        assert (status(path).data_digest, pairs_hash(path)) == expected
        aside = path.with_name("run.h5.old-1")
        assert aside.read_bytes() == short
        assert sorted(p.name for p in tmp_path.iterdir()) == ["run.h5", "run.h5.old-1"]
        aside.unlink()
        if code == 0:
            break
    assert step > 25


@pytest.mark.parametrize(
    ("durability", "expected"),
    [("flush", ["pwrite"] * 6), ("fsync", [*["pwrite"] * 4, "fsync", "pwrite", "pwrite", "fsync"])],
)
def test_rows_reach_the_disk_before_the_record_that_says_so(path, durability, expected):
    calls = []

    def watch(frame, event, called):
        if event == "c_call" and getattr(called, "__name__", "") in ("pwrite", "fsync"):
            calls.append(called.__name__)

    with PairStore.open(path, made_info(), launch={}, durability=durability) as pair_store:
        pair_store.append(made_result(made_info().partition[0]), rank=0)
        sys.setprofile(watch)
        pair_store.commit()
        sys.setprofile(None)
    assert calls == expected


@pytest.mark.parametrize("kind", KINDS)
def test_kills_at_random_moments(tmp_path, path, kind):
    expected = reference(tmp_path, kind)
    rng = random.Random(11)
    kills = 0
    while kills < 8:
        child = in_child(lambda: commit_every(path, kind, 1), wait=False)
        time.sleep(rng.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        kills += os.waitpid(child, 0)[1] == signal.SIGKILL
        if path.exists():
            path.unlink()
    commit_every(path, kind, 1)
    assert (status(path).data_digest, pairs_hash(path)) == expected


def test_a_kill_loses_only_what_was_not_committed(path):
    info = made_info(pairs=100_000)

    def run():
        pair_store = PairStore.open(path, info, launch={})
        for index in range(40):
            pair_store.append(made_result(info.partition[index]), rank=0)
            if index == 29:
                pair_store.commit()
        os._exit(9)

    assert in_child(run) == 9
    assert 30 <= status(path).chunks_done <= 40


def test_chunks_that_took_long_are_committed_at_once(path):
    info = made_info()

    def run():
        pair_store = PairStore.open(path, info, launch={})
        for index in range(2):
            result = made_result(info.partition[index])
            result.record["seconds"] = 10.0
            pair_store.append(result, rank=0)
        os._exit(9)

    assert in_child(run) == 9
    assert status(path).chunks_done == 2


def test_records_torn_by_a_kill_are_not_mistaken_for_damage(path):
    part = path.with_name("run.h5.part")
    write(path, made_info(), chunks=7, finish=False)
    with h5py.File(part, "r", locking=False) as file:
        at = file["chunks"].id.get_offset() + 5 * 136 + 100
    with part.open("r+b") as file:  # the end of record 5 and all of record 6 did not reach the file
        file.seek(at)
        file.write(bytes(36 + 136))
    assert write(path, made_info()) == [f"resuming {part}: 5 of 11 chunks are in"]


# The lock


def test_a_second_writer_is_shown_the_owner(path):
    with PairStore.open(path, made_info(), launch={"id": "first", "job": "4711"}):
        assert (
            status(path).owner
            == f"launch first (host {os.uname().nodename}, pid {os.getpid()}, job 4711)"
        )
        code = in_child(lambda: write(path, made_info()))
        assert code == 1
        with pytest.raises(
            StoreError, match=rf"written by launch first \(host .*, pid {os.getpid()}, job 4711\)"
        ):
            PairStore.open(path, made_info(), launch={})
    assert status(path).owner == ""
    assert [p.name for p in path.parent.iterdir()] == ["run.h5.part"]


def test_a_lock_left_behind_is_taken_over_and_said(path):
    assert (
        in_child(lambda: (PairStore.open(path, made_info(), launch={"id": "dead"}), os._exit(9)))
        == 9
    )
    assert path.with_name("run.h5.lock").exists()
    assert status(path).owner == ""
    messages = write(path, made_info())
    assert messages[0].startswith("took over the lock left behind by launch dead (host ")
    assert [p.name for p in path.parent.iterdir()] == ["run.h5"]


def test_a_requeued_job_waits_for_the_lock_of_the_host_that_went_down(path):
    lock = path.with_name("run.h5.lock")
    lock.write_text('{"id": "first", "host": "elsewhere", "pid": 1, "job": "4711"}')

    def hold():
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(2.7)

    child = in_child(hold, wait=False)
    time.sleep(0.3)
    with PairStore.open(path, made_info(), launch={"job": "4711"}) as pair_store:
        assert pair_store.messages[0].startswith("took over the lock left behind by launch first")
    os.waitpid(child, 0)


def test_a_lock_file_removed_while_it_is_being_locked_is_made_anew(path):
    def remove_once(frame, event, called):
        if event == "c_call" and getattr(called, "__name__", "") == "flock":
            sys.setprofile(None)
            path.with_name("run.h5.lock").unlink()

    sys.setprofile(remove_once)
    lock = locks.acquire(path, {"id": "mine"})
    locks.check(lock)
    locks.release(lock)
    assert list(path.parent.iterdir()) == []


def test_only_one_of_many_holds_the_lock(path):
    inside = path.with_name("inside")

    def take_turns():
        for _ in range(60):
            lock = locks.acquire(path, {"id": "turn"}, patience=30.0)
            inside.touch(exist_ok=False)
            inside.unlink()
            locks.release(lock)

    children = [in_child(take_turns, wait=False) for _ in range(4)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]


def test_an_orphan_of_an_earlier_launch_stops_itself(path):
    lock = path.with_name("run.h5.lock")
    with PairStore.open(path, made_info(), launch={"id": "orphan"}) as orphan:
        orphan.append(made_result(made_info().partition[0]), rank=0)
        orphan.commit()
        lock.unlink()
        # Where flock does not reach, a later launch gets in.
        with PairStore.open(path, made_info(), launch={"id": "later"}) as later:
            orphan.append(made_result(made_info().partition[1]), rank=0)
            with pytest.raises(
                StoreError,
                match=r"no longer names this launch but launch later .*; this launch stops",
            ):
                orphan.commit()
            with pytest.raises(StoreError, match="closed or failed before"):
                orphan.append(made_result(made_info().partition[2]), rank=0)
            orphan.close()
            assert json.loads(lock.read_bytes())["id"] == "later"
            assert later.todo[0] == 1
    assert not lock.exists()
    assert status(path).chunks_done == 1


def test_an_orphan_does_not_publish(path):
    write(path, made_info(), finish=False)
    with PairStore.open(path, made_info(), launch={"id": "orphan"}) as orphan:
        path.with_name("run.h5.lock").write_text('{"id": "later"}')
        with pytest.raises(StoreError, match="no longer names this launch but launch later"):
            orphan.finish()
    assert not path.exists()


def test_readers_look_at_a_running_file_and_disturb_nothing(path):
    part = path.with_name("run.h5.part")
    info = made_info()
    with PairStore.open(path, info, launch={}) as pair_store:
        for index in range(11):
            pair_store.append(made_result(info.partition[index]), rank=0)
            pair_store.commit()
            with open_pairs(part) as file:
                assert (file.complete, file.rows) == (False, min(10_003, 1000 * (index + 1)))
                assert file.tally().sifted_z > 0
            assert status(path).chunks_done == index + 1
            # A reader of another kind, with HDF5's own locking as it comes.
            with h5py.File(part, "r") as plain:
                assert plain["chunks"]["done"].sum() == index + 1
        pair_store.finish()
    assert status(path).complete
