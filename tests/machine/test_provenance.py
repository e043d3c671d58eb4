from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

import caligo_mpi
from caligo_mpi.machine import environment
from caligo_mpi.machine import provenance as module
from caligo_mpi.machine.provenance import batch_job, provenance

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_versions_are_those_that_are_installed() -> None:
    import h5py
    import numpy as np

    found = provenance()
    assert found["caligo_mpi"] == caligo_mpi.__version__
    assert found["numpy"] == np.__version__
    assert found["h5py"] == h5py.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["host"] == os.uname().nodename


def test_time_is_now_in_utc() -> None:
    then = datetime.fromisoformat(str(provenance()["time"]))
    assert then.utcoffset() == timezone.utc.utcoffset(None)
    assert abs((datetime.now(timezone.utc) - then).total_seconds()) < 60


def test_values_are_flat_and_hold_no_path_and_no_user() -> None:
    found = provenance()
    assert all(isinstance(value, str | int) for value in found.values())
    assert json.loads(json.dumps(found)) == found
    home = os.path.expanduser("~")  # noqa: PTH111 - as text
    here = str(Path.cwd())
    texts = [value for value in found.values() if isinstance(value, str)]
    assert not [text for text in texts if home in text or here in text]


def test_nothing_is_imported_for_it() -> None:
    code = (
        "import sys; from caligo_mpi.machine.provenance import provenance; provenance();"
        "print([name for name in ('numpy', 'h5py', 'mpi4py', 'pydantic', 'subprocess') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_batch_job_is_named_by_its_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.JOB:
        monkeypatch.delenv(name, raising=False)
    assert batch_job() == {}
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "")
    monkeypatch.setenv("PBS_JOBID", "a\udcff")
    assert batch_job() == {"slurm_job_id": "4711", "slurm_array_task_id": "3", "pbs_jobid": "a?"}
    assert provenance()["slurm_job_id"] == "4711"
    assert provenance()["job"] == "4711"


def _checkout(root: Path, head: str, **files: str) -> Path:
    for name, text in {"HEAD": head, **files}.items():
        path = root / ".git" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_commit_of_a_detached_head(tmp_path: Path) -> None:
    assert module._commit(_checkout(tmp_path, COMMIT + "\n")) == COMMIT


def test_commit_of_a_branch(tmp_path: Path) -> None:
    checkout = _checkout(tmp_path, "ref: refs/heads/main\n", **{"refs/heads/main": COMMIT + "\n"})
    assert module._commit(checkout) == COMMIT


def test_commit_of_a_packed_branch(tmp_path: Path) -> None:
    packed = f"# pack-refs with: peeled\n{'f' * 40} refs/heads/main2\n{COMMIT} refs/heads/main\n"
    assert (
        module._commit(_checkout(tmp_path, "ref: refs/heads/main\n", **{"packed-refs": packed}))
        == COMMIT
    )


def test_commit_of_a_linked_worktree(tmp_path: Path) -> None:
    _checkout(
        tmp_path / "main",
        "ref: refs/heads/main\n",
        **{
            "refs/heads/side": COMMIT + "\n",
            "worktrees/side/HEAD": "ref: refs/heads/side\n",
            "worktrees/side/commondir": "../..\n",
        },
    )
    side = tmp_path / "side"
    side.mkdir()
    (side / ".git").write_text(f"gitdir: {tmp_path}/main/.git/worktrees/side\n")
    assert module._commit(side) == COMMIT


@pytest.mark.parametrize("head", ["ref: refs/heads/none\n", "ref: ../../etc\n"])
def test_commit_that_cannot_be_found_is_left_out(tmp_path: Path, head: str) -> None:
    assert module._commit(_checkout(tmp_path, head)) is None


def test_commit_needs_a_checkout(tmp_path: Path) -> None:
    assert module._commit(tmp_path) is None
    (tmp_path / ".git").write_bytes(b"\xff\xfe")
    assert module._commit(tmp_path) is None


def test_commit_is_that_of_git() -> None:
    root = Path(module.__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git cannot tell the commit here")
    assert provenance()["commit"] == told.strip()
