"""A run whose work is done never ends in failure for want of a way to say so; real terminals, pipes and disks."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest
from helpers import environment, wait_for_chunks

from caligo_mpi import status
from caligo_mpi.runs.verify import verify

GENERATE = ["generate", "run.yaml"]


@pytest.fixture
def shell(tmp_path, write_config):
    """Run the command with its streams redirected by a shell; returns what is left of them."""
    write_config()

    def run(redirections, *arguments, **variables):
        line = f'exec "$@" {redirections}'
        command = ["bash", "-c", line, "bash", sys.executable, "-m", "caligo_mpi", *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            timeout=120,
            check=False,
        )

    return run


def is_sound(path):
    return status(path).complete and verify(path).ok


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437", "utf-8"])
def test_letters_that_a_terminal_lacks_are_written_in_others(shell, encoding):
    result = shell("", *GENERATE, PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    letter = "σ" if encoding in ("utf-8", "cp437") else "sigma"
    assert result.stdout.decode(encoding).count(f" {letter})") == 2


def test_a_locale_without_letters_is_no_failure(shell, tmp_path):
    variables = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    result = shell("", *GENERATE, **variables)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()
    assert is_sound(tmp_path / "run.h5")
    refused = shell("", "status", "größe–µ.h5", **variables)
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_borne_and_get_nothing_of_the_data(shell, tmp_path, redirections):
    result = shell(redirections, *GENERATE)
    assert result.returncode == 0
    assert is_sound(tmp_path / "run.h5")
    assert shell(redirections, "status", "nowhere.h5").returncode == 2


def test_a_full_disk_behind_the_output_is_said_and_costs_only_what_was_printed(shell, tmp_path):
    result = shell(">/dev/full", *GENERATE)
    assert result.returncode == 0
    assert b"the work itself is done" in result.stderr
    assert is_sound(tmp_path / "run.h5")
    for arguments in (
        ["status", "run.h5"],
        ["validate", "run.yaml", "--json"],
        ["slurm", "run.yaml", "-o", "x.h5"],
    ):
        result = shell(">/dev/full", *arguments)
        assert result.returncode == 2, arguments
        assert (
            result.stderr.count(b"the standard output cannot be written (No space left on device)")
            == 1
        )
    assert shell("2>/dev/full", *GENERATE).returncode == 0
    assert shell("2>/dev/full", "status", "nowhere.h5").returncode == 2


def test_a_reader_that_has_gone_is_no_error_and_no_success_either(shell, tmp_path):
    shell("", *GENERATE)
    for arguments, code in (
        (["--help"], 0),
        (["status", "run.h5"], 0),
        (["status", "nowhere.h5"], 2),
    ):
        read, write = os.pipe()
        os.close(read)
        command = [sys.executable, "-m", "caligo_mpi", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=write, stderr=write
        )
        os.close(write)
        assert process.wait(60) == code, arguments


@pytest.mark.parametrize("ranks", [[], pytest.param(["--ranks", "2"], marks=pytest.mark.mpi)])
def test_a_run_goes_on_when_nobody_reads_what_it_says(tmp_path, write_config, mpirun, ranks):
    if ranks:
        mpirun(2)
    config = write_config(engine={"name": "trouble"}, pairs=8192 * 8)
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "caligo_mpi", "generate", config, *ranks],
        cwd=tmp_path, env=environment(CALIGO_TEST_SECONDS="0.05"), stdout=write, stderr=write,
    )  # fmt: skip
    os.close(write)
    assert process.wait(120) == 0
    assert is_sound(tmp_path / "run.h5")


def test_a_name_that_is_no_text_is_printed_as_it_is(shell, tmp_path):
    shell("", *GENERATE)
    (tmp_path / "run.h5").rename(tmp_path / os.fsdecode(b"\xff.h5"))
    result = shell("", "status", os.fsdecode(b"\xff.h5"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"\xff.h5: complete")
    assert json.loads(shell("", "status", os.fsdecode(b"\xff.h5"), "--json").stdout)["complete"]


# ── terminals ────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """A run in the foreground of a terminal of its own."""

    def __init__(self, folder, *arguments, is_ignored=False, **variables):
        self.master, slave = pty.openpty()

        def begin():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            # Whoever runs the tests may ignore it himself, as nohup does.
            signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)

        command = [sys.executable, "-m", "caligo_mpi", "generate", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), preexec_fn=begin, stdin=slave, stdout=slave,
            stderr=slave,
        )  # fmt: skip
        os.close(slave)

    def close(self):
        os.close(self.master)


@pytest.mark.parametrize("ranks", [[], pytest.param(["--ranks", "2"], marks=pytest.mark.mpi)])
def test_a_terminal_that_is_closed_stops_the_run_cleanly(tmp_path, write_config, mpirun, ranks):
    if ranks:
        mpirun(2)
    terminal = Terminal(
        tmp_path, write_config(engine={"name": "trouble"}), *ranks, CALIGO_TEST_SECONDS="0.3"
    )
    wait_for_chunks(tmp_path / "run.h5", 1, terminal.process)
    terminal.close()
    assert terminal.process.wait(60) == 75
    found = status(tmp_path / "run.h5")
    assert 0 < found.chunks_done < found.chunks_total
    assert len(found.faults) == 0


def test_a_run_under_nohup_outlives_its_terminal(tmp_path, write_config):
    config = write_config(engine={"name": "trouble"}, pairs=8192 * 10)
    terminal = Terminal(tmp_path, config, is_ignored=True, CALIGO_TEST_SECONDS="0.2")
    wait_for_chunks(tmp_path / "run.h5", 1, terminal.process)
    terminal.close()
    assert terminal.process.wait(60) == 0
    assert is_sound(tmp_path / "run.h5")


@pytest.mark.parametrize("columns", ["1000000000000", "-5", "wide", "1"])
def test_a_width_that_no_terminal_has_is_no_failure(tmp_path, write_config, columns):
    terminal = Terminal(tmp_path, write_config(), COLUMNS=columns, LINES=columns)
    shown = b""
    try:
        while part := os.read(terminal.master, 1 << 16):
            shown += part
    except OSError:
        pass  # the last writer has gone
    assert terminal.process.wait(60) == 0
    terminal.close()
    assert max(map(len, shown.splitlines())) < 10_000
