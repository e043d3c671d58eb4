"""Disks that fill up, go away or refuse: one sentence, exit code 2, nothing lost, no second launch, no hang."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers import environment, identity, wait_for_chunks

from caligo_mpi import load_config, read_sweep, status, store
from caligo_mpi.config.protocol import parse_protocol
from caligo_mpi.errors import StoreError
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.sweeps.reading import is_sweep
from caligo_mpi.store.keys import keys_status, read_keys, verify_keys
from faults.sweeps import untimed

SLOW = {"name": "trouble", "seconds": 0.1}
RANKS = [1, pytest.param(2, marks=pytest.mark.mpi)]
LOSSY = {"name": "trouble", "seconds": 0.1, "efficiency": 0.5}
#: Of the rows that `write_config` asks of this engine.
LOSSY_HASH = "c1047076e351335756133b38c4446e803f7d6f84163ed50fc78715fc0ff377ac"


@pytest.fixture
def disk(tmp_path):
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip(
            "a small file system cannot be mounted here (needs root and the right to mount)"
        )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def start(tmp_path):
    """Start ``caligo-mpi generate`` or another verb in the background."""
    processes = []

    def popen(*arguments, verb="generate", **options):
        command = [sys.executable, "-m", "caligo_mpi", verb, *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip
        processes.append(process)
        return process

    yield popen
    for process in processes:
        process.kill()
        process.communicate()


class Image:
    """A file system in a file, made by ``mkfs`` and mounted with ``options``."""

    def __init__(self, folder, kind, size, options="loop"):
        self.file, self.folder, self.kind, self.options = (
            folder / "image",
            folder / "disk",
            kind,
            options,
        )
        self.folder.mkdir()
        with self.file.open("wb") as file:
            file.truncate(size)
        tool = shutil.which(f"mkfs.{kind}")
        if tool is None:
            pytest.skip(
                f"mkfs.{kind} is not installed; .ci/install_packages.sh does it where apt is available"
            )
        subprocess.run([tool, "-q", str(self.file)], check=True)
        if os.geteuid() or self.mount().returncode:
            pytest.skip(
                f"a file system of type {kind} cannot be mounted here (needs root and the right to mount)"
            )

    def mount(self):
        line = ["mount", "-t", self.kind, "-o", self.options, str(self.file), str(self.folder)]
        return subprocess.run(line, capture_output=True, check=False)

    def device(self):
        words = ["findmnt", "--noheadings", "--output", "SOURCE", str(self.folder)]
        return Path(
            subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        ).name

    def unmount(self, *options):
        subprocess.run(["umount", *options, str(self.folder)], check=True)


@pytest.fixture
def ext4(tmp_path, mounts_alone):
    """A file system of 32 MiB that turns read-only when it finds an error."""
    image = Image(tmp_path, "ext4", 32 << 20, "loop,errors=remount-ro")
    yield image
    image.unmount("--lazy")


def find_error(image):
    """Let the file system find an error in itself."""
    Path("/sys/fs/ext4", image.device(), "trigger_fs_error").write_text("1")


def go_away(image):
    """Let the file system lose its disk: EXT4_IOC_SHUTDOWN without a last word to the journal."""
    fd = os.open(image.folder, os.O_RDONLY)
    fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))
    os.close(fd)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill the file system of ``folder`` up to ``leave`` bytes."""
    file = folder / "fill"
    free = shutil.disk_usage(folder).free - leave
    with file.open("wb") as stream:
        stream.write(bytes(free))
    return file


def refused(process, reason):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert out == ""
    assert reason in err
    assert "Traceback" not in err
    assert "restart" not in err
    return err


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(disk, write_config, start):
    refused(start(write_config(pairs=200_000_000), "-o", disk / "run.h5"), "GB free in")
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize(
    ("engine", "ranks"),
    [(SLOW, 1), pytest.param({**SLOW, "seconds": 0.5}, 2, marks=pytest.mark.mpi), (LOSSY, 1)],
    ids=["plain", "two ranks", "lossy"],
)
def test_a_disk_that_fills_up_in_the_middle_costs_nothing(
    disk, tmp_path, write_config, caligo, start, monkeypatch, engine, ranks
):
    config = write_config(engine=engine, pairs=400_000, chunk_size=20_000)
    command = [config, "-q", "-o", disk / "run.h5", *(["--ranks", "2"] if ranks > 1 else [])]
    process = start(*command)
    wait_for_chunks(disk / "run.h5", 4, process)
    filler = fill(disk)
    refused(process, "No space left on device")
    kept = status(disk / "run.h5").chunks_done
    assert 4 <= kept < 20
    refused(start(*command), "GB free in")
    filler.unlink()
    monkeypatch.setenv("CALIGO_TEST_SECONDS", "0")
    assert caligo("generate", *command).returncode == 0
    generate(load_config(config), tmp_path / "reference.h5")
    assert identity(disk / "run.h5") == identity(tmp_path / "reference.h5")


def test_a_disk_that_fills_up_in_a_sweep_costs_nothing(disk, tmp_path, caligo, start, monkeypatch):
    base = {
        "pairs": 4096,
        "seed": 1,
        "chunk_size": 1024,
        "engine": {"name": "trouble", "seconds": 0.1},
    }
    axes = [{"path": "seed", "linspace": [1, 12, 12]}]
    config = tmp_path / "sweep.yaml"
    config.write_text(yaml.safe_dump({"base": base, "axes": axes}))
    process = start(config, "-q", "-o", disk / "out", verb="sweep")
    wait_for(
        lambda: (
            is_sweep(disk / "out") and read_sweep(disk / "out")["state"].tolist().count("done") > 1
        )
    )
    filler = fill(disk)
    refused(process, "No space left on device")
    kept = read_sweep(disk / "out")["state"].tolist().count("done")
    assert 1 < kept < 12
    filler.unlink()
    monkeypatch.setenv("CALIGO_TEST_SECONDS", "0")
    result = caligo("sweep", config, "-q", "-o", disk / "out", "--json")
    assert json.loads(result.stdout)["launched"] <= (12 - kept) * 4096
    assert caligo("sweep", config, "-q", "-o", tmp_path / "reference").returncode == 0
    tables = [folder / "results.csv" for folder in (disk / "out", tmp_path / "reference")]
    assert untimed(tables[0]) == untimed(tables[1])


def wait_for(condition):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(StoreError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("the sweep did not come so far")


def test_a_disk_that_fills_up_while_the_rows_are_copied_leaves_all_chunks(
    disk, write_config, caligo, start
):
    config = write_config(engine=LOSSY, pairs=400_000, chunk_size=20_000)
    process = start(config, "-q", "-o", disk / "run.h5")
    wait_for_chunks(disk / "run.h5", 15, process)
    filler = fill(disk, leave=1_000_000)  # the rest of the rows fits, their copy of 1.7 MB does not
    refused(process, "No space left on device")
    assert status(disk / "run.h5").chunks_done == 20
    assert not (disk / "run.h5.tmp").exists()
    filler.unlink()
    result = caligo("generate", config, "--json", "-o", disk / "run.h5")
    assert result.returncode == 0
    assert '"launched": 0' in result.stdout


def test_a_disk_that_becomes_read_only_is_named_and_the_run_goes_on_later(
    disk, write_config, caligo, start
):
    config = write_config(engine=SLOW)
    process = start(config, "-q", "-o", disk / "run.h5")
    wait_for_chunks(disk / "run.h5", 4, process)
    process.terminate()
    assert process.wait(30) == 75
    process.communicate()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused(start(config, "-q", "-o", disk / "run.h5"), f"{disk} is not writable")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert caligo("generate", config, "-q", "-o", disk / "run.h5").returncode == 0


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize(
    ("fail", "reason"),
    [(find_error, "Read-only file system"), (go_away, "Input/output error")],
    ids=["error", "gone"],
)
def test_a_file_system_that_fails_in_the_middle_costs_nothing_once_it_is_repaired(
    ext4, tmp_path, write_config, caligo, start, monkeypatch, ranks, fail, reason
):
    config = write_config(engine=SLOW, output={"durability": "fsync"})
    command = [config, "-q", "-o", ext4.folder / "run.h5", *(["--ranks", "2"] if ranks > 1 else [])]
    process = start(*command)
    wait_for_chunks(ext4.folder / "run.h5", 8, process)
    fail(ext4)
    refused(process, reason)
    refused(start(*command), str(ext4.folder))
    ext4.unmount()
    subprocess.run(["fsck.ext4", "-p", str(ext4.file)], capture_output=True, check=False)
    ext4.mount()
    assert (
        2 <= status(ext4.folder / "run.h5").chunks_done < 20
    )  # the last commit seen may not have been on the disk
    monkeypatch.setenv("CALIGO_TEST_SECONDS", "0")
    done = caligo("generate", *command)
    assert done.returncode == 0
    assert "damaged" not in done.stderr
    generate(load_config(config), tmp_path / "reference.h5")
    assert identity(ext4.folder / "run.h5") == identity(tmp_path / "reference.h5")


@pytest.mark.mpi
def test_keys_on_a_file_system_that_goes_away_are_made_once_it_is_back(
    ext4, tmp_path, caligo, start
):
    config, protocol = tmp_path / "run.yaml", tmp_path / "protocol.yaml"
    config.write_text("{pairs: 2_000_000, seed: 7, engine: {name: noise, link: {fidelity: 0.98}}}")
    protocol.write_text("{mode: bbm92, seed: 5, block_size: 100_000}")
    generate(load_config(config), tmp_path / "run.h5")
    keys = ext4.folder / "keys.h5"
    command = ["run.h5", "--config", protocol, "-q", "-o", keys, "--ranks", "2"]
    process = start(*command, verb="distill")
    while process.poll() is None and (
        not keys.with_name("keys.h5.part").exists() or keys_status(keys).blocks_done < 3
    ):
        time.sleep(0.01)
    go_away(ext4)
    refused(process, "Input/output error")
    ext4.unmount()
    ext4.mount()
    assert (
        2 <= keys_status(keys).blocks_done < 20
    )  # the last one seen may not have been on the disk
    assert caligo("distill", *command).returncode == 0
    assert verify_keys(keys).ok
    assert caligo("distill", *command[:4], "-o", tmp_path / "reference.h5").returncode == 0
    assert read_keys(keys).digest == read_keys(tmp_path / "reference.h5").digest


@pytest.fixture
def quota(tmp_path):
    """A directory that may hold as much as it is told: a subvolume of Btrfs, whose limits bind root, too."""
    if shutil.which("btrfs") is None:
        pytest.skip(
            "btrfs is not installed; .ci/install_packages.sh does it where apt is available"
        )
    image = Image(tmp_path, "btrfs", 200 << 20)
    folder = image.folder / "limited"
    for words in (["quota", "enable", image.folder], ["subvolume", "create", folder]):
        subprocess.run(["btrfs", *map(str, words)], check=True, capture_output=True)

    def limit(size):
        subprocess.run(["btrfs", "qgroup", "limit", size, str(folder)], check=True)
        return folder

    yield limit
    image.unmount("--lazy")


@pytest.mark.parametrize(
    ("ranks", "changes", "size"),
    [
        (1, {"engine": SLOW, "pairs": 16_000_000, "chunk_size": 800_000}, "4M"),
        pytest.param(
            2,
            {"engine": SLOW, "pairs": 16_000_000, "chunk_size": 800_000},
            "4M",
            marks=pytest.mark.mpi,
        ),
        (1, {"engine": LOSSY, "pairs": 400_000, "chunk_size": 20_000}, "3M"),
    ],
    ids=["one rank", "two ranks", "copying"],
)
def test_a_quota_that_is_used_up_is_named(
    quota, tmp_path, write_config, caligo, start, monkeypatch, ranks, changes, size
):
    folder, config = quota(size), write_config(**changes)
    command = [config, "-q", "-o", folder / "run.h5", *(["--ranks", "2"] if ranks > 1 else [])]
    refused(start(*command), "Disk quota exceeded")
    assert 1 <= status(folder / "run.h5").chunks_done <= 20
    quota("none")
    monkeypatch.setenv("CALIGO_TEST_SECONDS", "0")
    done = caligo("generate", *command)
    assert done.returncode == 0, done.stderr
    generate(load_config(config), tmp_path / "reference.h5")
    assert identity(folder / "run.h5") == identity(tmp_path / "reference.h5")


@pytest.mark.parametrize("ranks", RANKS)
def test_a_directory_that_vanishes_ends_the_run(tmp_path, write_config, caligo, start, ranks):
    config, folder = write_config(engine=SLOW), tmp_path / "out"
    folder.mkdir()
    command = [config, "-q", "-o", folder / "run.h5", *(["--ranks", "2"] if ranks > 1 else [])]
    process = start(*command)
    wait_for_chunks(folder / "run.h5", 4, process)
    folder.rename(tmp_path / "elsewhere")
    refused(process, f"{folder}/run.h5")
    refused(start(*command), f"{folder} is not a directory")
    (tmp_path / "elsewhere").rename(folder)
    assert 4 <= status(folder / "run.h5").chunks_done < 20
    assert caligo("generate", *command).returncode == 0


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("begun", [0, 10, 20], ids=["fresh", "half", "all chunks in"])
@pytest.mark.parametrize("files", [5, 6])
def test_too_few_open_files_are_one_sentence_and_cost_nothing(
    tmp_path, write_config, caligo, start, begun, files
):
    config = write_config(engine={**LOSSY, "seconds": 0.0})

    def interrupted(setup, items):
        yield from serial_map(setup, items[:begun])
        raise Interrupted

    if begun:
        with pytest.raises(Interrupted):
            generate(load_config(config), tmp_path / "run.h5", map=interrupted)
    limit = (files, files)
    process = start(
        config, "-q", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    )
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if process.returncode == 0:
        assert "complete" in out
    else:
        assert process.returncode == 2
        assert "Too many open files" in err
        assert len([line for line in err.splitlines() if "resuming" not in line]) == 1
    again = caligo("generate", config, "-q")
    assert again.returncode == 0
    assert "aside" not in err + again.stderr
    assert store.pairs_hash(tmp_path / "run.h5") == LOSSY_HASH
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.h5", "run.yaml"]


#: In a process of its own: the limit would hit other threads here.
RUNNING_OUT = """
import os, resource, sys

from caligo_mpi import load_config
from caligo_mpi.errors import StoreError
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.config.protocol import parse_protocol

config, path, moment, free = *sys.argv[1:3], *map(int, sys.argv[3:])


def run_out():
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, lowest + free))


def draining(setup, items):
    for position, result in enumerate(serial_map(setup, items)):
        if position == moment:
            run_out()
        yield result
    if moment == len(items):
        run_out()


try:
    generate(load_config(config), path, map=draining)
except StoreError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("moment", [0, 5, 19, 20])
@pytest.mark.parametrize("free", [0, 1])
def test_open_files_may_run_out_at_any_time(tmp_path, write_config, moment, free):
    """``moment`` 20 is when all chunks are in and the file is about to be copied to its exact size."""
    config, path = write_config(engine={**LOSSY, "seconds": 0.0}), tmp_path / "run.h5"
    command = [sys.executable, "-c", RUNNING_OUT, str(config), str(path), str(moment), str(free)]
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    if free:
        assert (result.returncode, result.stderr) == (0, "")
    else:
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert "failed (Too many open files)" in result.stderr
    generate(load_config(config), path)
    assert store.pairs_hash(path) == LOSSY_HASH
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.h5", "run.yaml"]


READING = """
import os, resource, sys

from caligo_mpi import read_keys, status

lowest = os.dup(0)
os.close(lowest)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, lowest))
for read, path in zip((status, read_keys), sys.argv[1:]):
    try:
        read(path)
    except Exception as error:
        print(error)
"""


def test_files_are_not_called_damaged_for_want_of_open_files(tmp_path, write_config):
    pairs, keys = tmp_path / "run.h5", tmp_path / "keys.h5"
    generate(load_config(write_config()), pairs)
    distill(prepare(pairs, parse_protocol({"mode": "bbm92", "seed": 1})), keys)
    command = [sys.executable, "-c", READING, str(pairs), str(keys)]
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.splitlines() == [
        f"{path} cannot be read (Too many open files)" for path in (pairs, keys)
    ]


@pytest.mark.mpi
def test_ranks_need_open_files_and_get_them_where_the_system_allows(write_config, start):
    config = write_config()
    command = [config, "-q", "--ranks", 2]
    process = start(
        *command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    )
    assert "raise `ulimit -n`" in refused(process, "open files and 20 are allowed")
    process = start(
        *command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 200))
    )
    assert process.wait(60) == 0


def test_a_limit_of_the_file_size_is_named(tmp_path, write_config, start):
    limit = (100_000, 100_000)
    process = start(
        write_config(), "-q", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    refused(process, "File too large")
