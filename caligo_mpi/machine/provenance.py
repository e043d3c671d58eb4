"""Where and with what a run happens: versions, machine, commit, batch job."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from .._version import __version__
from . import environment

_PACKAGES = ("numpy", "h5py", "mpi4py", "pydantic", "xxhash", "numba")

# Of a batch system's variables, the names that tell the job from every other.
_JOB_IDS = ("slurm_job_id", "pbs_jobid", "lsb_jobid", "job_id")


def provenance() -> dict[str, str | int]:
    """What a run records about itself, flat; what cannot be found out is left out.

    Versions are those of the installed metadata: nothing is imported for them.  Neither paths
    nor user names are recorded, since files travel.  ``job`` is the batch job's id, whatever the batch system.

    >>> sorted(provenance().keys() & {"caligo_mpi", "cwd", "host", "time", "user"})
    ['caligo_mpi', 'host', 'time']
    """
    python = sys.version.split()[0]
    found: dict[str, str | int] = {"caligo_mpi": __version__, "python": python}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    # platform.platform() would start a process, and one that runs MPI had better not fork.
    machine = os.uname()
    found["platform"] = f"{machine.sysname} {machine.release} {machine.machine}"
    found["host"] = machine.nodename
    found["cpus"] = os.cpu_count() or 1
    now = datetime.now(timezone.utc)
    found["time"] = now.isoformat(timespec="seconds")
    checkout = Path(__file__).parents[2]
    if commit := _commit(checkout):
        found["commit"] = commit
    batch = batch_job()
    ids = [batch[name] for name in _JOB_IDS if name in batch]
    if ids and ids[0]:
        found["job"] = ids[0]
    return found | batch


def batch_job() -> dict[str, str]:
    """The batch system's names for this job: its variables in lower case; empty outside of jobs."""
    found = {}
    for name in environment.JOB:
        if environment.is_set(name):
            # Variables may hold bytes that are not text, which neither HDF5 nor JSON would take.
            raw = environment.text(name).encode("utf-8", "replace")
            found[name.lower()] = raw.decode()
    return found


def _commit(checkout: Path) -> str | None:
    """The commit that is checked out there; None if it is not the root of a git checkout."""
    # Read from git's own files, again without a process.
    try:
        git = checkout / ".git"
        if git.is_file():  # a linked worktree
            line = _line_in(git)
            git = checkout / line.removeprefix("gitdir:").strip()
        head = _line_in(git / "HEAD")
        if not head.startswith("ref:"):
            return head
        ref = head.removeprefix("ref:").strip()
        return _resolve(ref, git)
    except (OSError, ValueError):
        return None


def _resolve(ref: str, git: Path) -> str | None:
    common = git / "commondir"
    shared = git
    if common.is_file():
        shared = git / _line_in(common)
    loose = shared / ref
    if loose.is_file():
        return _line_in(loose)
    packed = (shared / "packed-refs").read_text()
    for line in packed.splitlines():
        if line.endswith(f" {ref}"):
            commit, *_ = line.split()
            return commit
    return None


def _line_in(path: Path) -> str:
    return path.read_text().strip()
