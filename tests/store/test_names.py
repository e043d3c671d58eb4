"""Names of files: what cannot be one is one sentence, and what is not ours is never renamed, overwritten or removed."""

from __future__ import annotations

import os

import h5py
import pytest
from helpers import names
from made_chunks import made_info, write

from caligo_mpi.errors import StoreError
from caligo_mpi.store import (
    PairStore,
    completed,
    export,
    open_pairs,
    preflight,
    status,
    verify_file,
)
from caligo_mpi.store.files import set_aside
from caligo_mpi.store.keys import is_keys_file, keys_status, verify_keys
from caligo_mpi.store.names import final_path, input_name, is_ours, output_name, remove_leftover

READERS = [status, open_pairs, verify_file, is_keys_file, keys_status, verify_keys]
WRITERS = [
    lambda path: PairStore.open(path, made_info(), launch={}),
    lambda path: PairStore.open(path, made_info(), launch={}, force=True),
    lambda path: preflight(path, made_info()),
    lambda path: completed(path, made_info()),
]
WRONG = [
    "",
    ".",
    "..",
    "/",
    "folder",
    "folder/",
    "none/",
    "x" * 5000,
    "folder/" + "x" * 256,
    "a\0b",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("use", [*READERS, *WRITERS])
@pytest.mark.parametrize("name", WRONG, ids=lambda name: repr(name[:10]))
def test_what_cannot_be_a_files_name_is_one_sentence(here, name, use):
    with pytest.raises(
        StoreError, match=r"is a directory; name a file|is empty|too many|zero byte"
    ) as refused:
        use(name)
    assert "--force" not in str(refused.value)
    assert len(str(refused.value)) < 600
    assert names(here) == ["folder"]


def test_of_a_directory_a_file_that_is_in_it_is_named(here):
    (here / "folder" / "sweep.h5").touch()
    with pytest.raises(StoreError, match=r"name a file in it, such as folder/sweep\.h5$"):
        input_name("folder")
    with pytest.raises(StoreError, match=r"name a file in it, such as folder/run\.h5$"):
        output_name("folder")


def test_a_name_leaves_room_for_its_partial_file(here):
    longest = "x" * (255 - len(".part.damaged-99"))
    assert output_name(longest).name == longest
    with pytest.raises(StoreError, match="at most 255; shorten it"):
        output_name(longest + "x")
    assert input_name(longest + "x").name == longest + "x"
    write(here / longest, made_info())
    assert status(longest).complete


def test_a_file_named_like_an_ending_alone_is_no_failure(here):
    assert str(final_path(here / ".part")) == str(here / ".part")
    with pytest.raises(StoreError, match="does not exist"):
        status(".part")


@pytest.mark.parametrize("use", READERS)
def test_devices_and_pipes_keep_no_reader_waiting(here, use):
    os.mkfifo("pipe")
    (here / "link").symlink_to("pipe")
    for name in ("pipe", "link", "/dev/zero"):
        with pytest.raises(StoreError, match="is no regular file; name a file"):
            use(name)


def test_devices_and_pipes_are_no_outputs(here):
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/null"):
        with pytest.raises(StoreError, match="is no regular file; choose another output"):
            PairStore.open(name, made_info(), launch={}, force=True)


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_output_is_written_through_links(here):
    (here / "link.h5").symlink_to("folder/run.h5")
    (here / "second.h5").symlink_to("link.h5")
    write(here / "second.h5", made_info(), chunks=3)
    assert names("folder") == ["run.h5.part"]
    assert status("second.h5").chunks_done == 3
    write(here / "second.h5", made_info())
    assert names("folder") == ["run.h5"]
    assert status("second.h5").complete
    assert completed("second.h5", made_info()) is not None
    write(here / "second.h5", made_info(), force=True)
    assert names("folder") == ["run.h5", "run.h5.old-1"]
    assert (here / "second.h5").is_symlink()
    assert (here / "link.h5").is_symlink()


def test_a_link_that_leads_back_to_itself_is_one_sentence(here):
    (here / "a").symlink_to("b")
    (here / "b").symlink_to("a")
    for use in (*READERS, *WRITERS):
        with pytest.raises(StoreError, match="leads back to itself"):
            use("a")


def test_an_export_is_written_through_a_link(here):
    write(here / "run.h5", made_info())
    (here / "columns.npz").symlink_to("folder/columns.npz")
    with pytest.raises(StoreError, match="exports overwrite nothing"):
        export("run.h5", "columns.npz", kind="npz")
    with pytest.raises(StoreError, match="too many"):
        export("run.h5", "x" * 300, kind="npz")


# ── files of others ──────────────────────────────────────────────────────────────────────────────────────────


def foreign_hdf5(path):
    with h5py.File(path, "w") as file:
        file["measurements"] = [1.0, 2.0]
        file.attrs["format"] = "theirs"


FOREIGN = {
    "text": lambda path: path.write_text("my thesis"),
    "empty": lambda path: path.touch(),
    "hdf5": foreign_hdf5,
    "link": lambda path: path.symlink_to("folder/elsewhere"),
    "directory": lambda path: path.mkdir(),
}


def seen(path):
    return (
        path.readlink()
        if path.is_symlink()
        else names(path)
        if path.is_dir()
        else path.read_bytes()
    )


@pytest.mark.parametrize("kind", ["text", "empty", "hdf5", "directory"])
@pytest.mark.parametrize("force", [False, True])
def test_an_output_that_is_not_ours_stays_with_force_or_without(here, kind, force):
    FOREIGN[kind](here / "run.h5")
    before = seen(here / "run.h5")
    with pytest.raises(StoreError) as refused:
        PairStore.open("run.h5", made_info(), launch={}, force=force)
    assert "--force" not in str(refused.value)
    assert seen(here / "run.h5") == before
    assert names(here) == ["folder", "run.h5"]


WORKING = ("run.h5.lock", "run.h5.tmp", "run.h5.part.tmp")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("text", "link", "directory") for name in WORKING]
    + [("hdf5", WORKING[0])],
)
def test_what_stands_where_a_working_file_would_be_is_left_alone(here, kind, name):
    FOREIGN[kind](here / name)
    before = seen(here / name)
    with pytest.raises(StoreError, match=f"{name}.*(left alone|not written by this program)"):
        PairStore.open("run.h5", made_info(), launch={})
    assert seen(here / name) == before
    assert names(here) == ["folder", name]


def test_a_lock_that_is_a_pipe_keeps_nobody_waiting(here):
    write(here / "run.h5", made_info())
    os.mkfifo("run.h5.lock")
    assert status("run.h5").owner == ""
    with pytest.raises(StoreError, match="is no lock file of this program"):
        PairStore.open("run.h5", made_info(seed=8), launch={}, force=True)


@pytest.mark.parametrize("content", [b"", bytes(80), b'{"id": "x", "ho', b'{"i'])
def test_a_lock_that_a_failure_cut_short_is_taken_over(here, content):
    (here / "run.h5.lock").write_bytes(content)
    write(here / "run.h5", made_info())
    assert names(here) == ["folder", "run.h5"]


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF", b"\x89HDF\r\n\x1a\n" + bytes(100), bytes(1000)]
)
def test_a_file_in_the_making_that_a_kill_left_is_removed(here, content):
    (here / "run.h5.tmp").write_bytes(content)
    remove_leftover(here / "run.h5.tmp")
    assert names(here) == ["folder"]


def test_only_regular_files_are_set_aside(here):
    for make in (FOREIGN["directory"], FOREIGN["link"], os.mkfifo):
        make(here / "thing")
        with pytest.raises(StoreError, match="no regular file and is left alone"):
            set_aside(here / "thing", "old")
        assert os.path.lexists("thing")
        (here / "thing").rmdir() if (here / "thing").is_dir() else (here / "thing").unlink()


def test_ours_are_known_by_their_bytes(here):
    write(here / "run.h5", made_info())
    write(here / "other.h5", made_info(), chunks=2)
    assert is_ours(here / "run.h5")
    assert is_ours(here / "other.h5.part")
    (here / "link").symlink_to("run.h5")
    foreign_hdf5(here / "foreign.h5")
    assert not any(is_ours(here / name) for name in ("link", "foreign.h5", "folder", "none"))
