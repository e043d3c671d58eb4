"""Compiled code is kept once per machine, and where it cannot be kept, made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="numba is not installed")

# The module that takes least to compile.
WORK = """
import numpy as np
from caligo_mpi.engines.noise import sums
print(sums.digest(np.arange(64, dtype=np.uint64).reshape(4, 2, 8)))
"""


def start(cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", WORK], env=environment, stdout=subprocess.PIPE, text=True
    )


def told(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out


def indexes(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*.nbi")]


def test_several_processes_at_once_compile_once_and_agree(tmp_path):
    together = [start(tmp_path) for _ in range(3)]
    answers = [told(process) for process in together]
    assert len(set(answers)) == 1
    (kept,) = indexes(tmp_path)
    assert "_put_together" in kept
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    assert told(start(tmp_path)) == answers[0]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")} == written
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "caligo-mpi").iterdir())


def test_a_folder_others_may_write_to_is_not_used(tmp_path):
    answer = told(start(tmp_path))
    (folder,) = (tmp_path / "caligo-mpi").iterdir()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.chmod(0o777)
    assert told(start(tmp_path)) == answer
    assert not indexes(tmp_path)


def test_without_a_folder_every_process_compiles(tmp_path):
    (tmp_path / "caligo-mpi").write_text("a file where the folder should be")
    answer = told(start(tmp_path))
    assert int(answer) > 0
    assert not indexes(tmp_path)
