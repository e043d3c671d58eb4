"""``status --watch``: live, by reading alone."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from helpers import ROOT, environment

import caligo_mpi
from caligo_mpi.analysis.watch import Look, files_of, look, rate_between
from caligo_mpi.cli.watching import View, sentence
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.generate import generate

COMMAND = [sys.executable, "-m", "caligo_mpi"]
WATCHERS = 20


def run_config(pairs=400_000):
    engine = {"name": "noise", "link": {"fidelity": 0.97}}
    return caligo_mpi.parse_config(
        {"pairs": pairs, "seed": 5, "chunk_size": 1 << 15, "engine": engine}
    )


def stopped(path, chunks):
    """Leave a partial file behind, as a stopped run does."""
    generate(run_config(), path, map=lambda setup, items: serial_map(setup, items[:chunks]))


#: Forks watchers that look ten times a second; the exit code is the number of those that saw something wrong.
FLOCK = """
import os, sys, time
from caligo_mpi.analysis.watch import look

def watch():
    seen = 0
    while (found := look(sys.argv[1])).state != "complete":
        if found.state not in ("running", "waiting"):
            print(found, file=sys.stderr)
            return 1
        seen += found.state == "running"
        time.sleep(0.1)
    return int(seen == 0)

for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os._exit(watch())
print("ready", flush=True)
sys.exit(sum(os.wait()[1] != 0 for _ in range(int(sys.argv[2]))))
"""


def test_twenty_watchers_do_not_disturb_a_run_at_full_speed(caligo, tmp_path):
    path = tmp_path / "run.h5"
    flock = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FLOCK, str(path), str(WATCHERS)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert flock.stdout.readline() == "ready\n"
    config = ROOT / "configs/small.yaml"
    done = caligo("generate", config, "--set", "pairs=1.5e7", "-q", "-o", path)
    assert done.returncode == 0, done.stderr
    _, wrong = flock.communicate(timeout=60)
    assert (flock.returncode, wrong) == (0, "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.h5"]
    assert len(caligo_mpi.status(path).faults) == 0
    # The chunks of the first million pairs are those of a file that nobody watches.
    generate(caligo_mpi.load_config(config), tmp_path / "alone.h5")
    sums = []
    for name in ("run.h5", "alone.h5"):
        with caligo_mpi.open_pairs(tmp_path / name) as file:
            sums.append(file.chunk_records(0, 15)["checksum"].tolist())
    assert sums[0] == sums[1]


def test_a_watched_run_is_shown_in_lines_until_it_is_complete(tmp_path):
    stopped(tmp_path / "run.h5", 5)
    command = [*COMMAND, "status", "run.h5", "later.h5", "--watch", "--interval", "1"]
    watcher = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert watcher.stdout.readline().startswith("run.h5: stopped, 41.0 % of 400,000 pairs")
        assert watcher.stdout.readline().startswith("later.h5: waiting (")
        generate(run_config(), tmp_path / "run.h5")
        generate(run_config(32_768), tmp_path / "later.h5")
        rest, _ = watcher.communicate(timeout=60)
    finally:
        watcher.kill()
    assert watcher.returncode == 0
    lines = rest.splitlines()
    for name in ("run.h5", "later.h5"):
        assert sum(line.startswith(f"{name}: complete, 100.0 %") for line in lines) == 1


def test_ctrl_c_ends_a_watch_without_a_word(tmp_path):
    stopped(tmp_path / "run.h5", 5)
    watcher = subprocess.Popen(
        [*COMMAND, "status", "run.h5", "--watch"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    _, said = watcher.communicate(timeout=60)
    assert (watcher.returncode, said) == (0, "")


def test_rates_are_taken_between_looks():
    before = Look("x", 10.0, "running", done=100, total=1000)
    after = Look("x", 12.0, "running", done=300, total=1000, average=50.0, ranks=4, slow=(3,), faults=1)  # fmt: skip
    assert rate_between(before, after) == 100
    assert rate_between(None, after) is None
    told = sentence(after, 100.0)
    assert told.startswith("x: running, 30.0 % of 1,000 pairs, 100 pairs/s now, 50 pairs/s on ")
    assert "average, 14 s left" in told
    assert "4 ranks, slow: rank 3" in told
    assert told.endswith("1 fault")


def test_a_slow_rank_is_named(tmp_path):
    """Rank 2's chunks take twice as long as those of the others."""
    from caligo_mpi.analysis.watch import _of_last_launch

    def ranks(setup, items):
        for number, (_, result) in enumerate(serial_map(setup, items)):
            rank = number % 4
            result.record["seconds"] = 2.0 if rank == 2 else 1.0
            yield rank, result

    generate(run_config(), tmp_path / "run.h5", map=ranks)
    average, slow = _of_last_launch(caligo_mpi.status(tmp_path / "run.h5"))
    assert slow == (2,)
    assert average > 0


def test_a_directory_is_its_files(tmp_path):
    stopped(tmp_path / "a.h5", 3)
    generate(run_config(), tmp_path / "b.h5")
    (tmp_path / "notes.txt").write_text("no file of ours")
    assert files_of([tmp_path]) == [tmp_path / "a.h5", tmp_path / "b.h5"]
    assert files_of([tmp_path / "c.h5", tmp_path / "c.h5.part"]) == [tmp_path / "c.h5"]
    view = View(files_of([tmp_path]))
    view.refresh()
    assert [seen.state for seen, _ in view.rows()] == ["stopped", "complete"]
    assert not view.is_over


@pytest.mark.parametrize(
    ("arguments", "word"), [(["--json"], "exclude"), (["--interval", "0"], "whole number")]
)
def test_wrong_use_is_one_sentence(caligo, tmp_path, arguments, word):
    result = caligo("status", ".", "--watch", *arguments)
    assert result.returncode == 2
    assert word in result.stderr


def test_an_empty_directory_and_garbage_are_said(caligo, tmp_path):
    result = caligo("status", ".", "--watch")
    assert result.returncode == 2
    assert "no HDF5 file yet" in result.stderr
    (tmp_path / "bad.h5").write_bytes(b"garbage")
    assert look(tmp_path / "bad.h5").state == "unreadable"
    assert "bad.h5" in sentence(look(tmp_path / "bad.h5"), None)
