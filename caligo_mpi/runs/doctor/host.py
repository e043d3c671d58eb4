"""The host of a process, as that sees it: cores, memory, clock, batch job, engines."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ...engines import available
from ...machine import environment
from ...machine.provenance import provenance
from ...machine.wording import counted, quantity
from .findings import Finding, failure, ok, warning

#: A rank of the noise engine with its usual chunks takes about this much at its peak.
_RANK_BYTES = 150 << 20


def software() -> Finding:
    """Versions, as a file would record them."""
    found = provenance()
    names = ("caligo_mpi", "python", "numpy", "h5py", "mpi4py")
    told = ", ".join(f"{name} {found[name]}" for name in names if name in found)
    return ok("software", told)


def engines() -> Iterator[Finding]:
    """Those that can be used; one that is not installed is no fault."""
    found = available()
    usable = [name for name, missing in found.items() if not missing]
    told = f"{', '.join(usable)} can be used"
    others = len(found) - len(usable)
    if others:
        told += f"; {counted(others, 'other')} cannot (caligo-mpi engines says why)"
    yield ok("engines", told)


def memory(ranks_here: int) -> Finding:
    """What this process may use, against what the ranks on this host need."""
    limits = {
        "this host's memory": _host_memory(),
        "the control group's limit": _group_limit(),
        "ulimit -v": _address_limit(ranks_here),
    }
    given = {name: size for name, size in limits.items() if size is not None}
    name = min(given, key=lambda one: given[one])
    size = given[name]
    told = f"{quantity(size)}B ({name}) for {counted(ranks_here, 'rank')}"
    if size < ranks_here * _RANK_BYTES:
        needed = f"a rank of the noise engine takes {quantity(_RANK_BYTES)}B"
        remedy = f"{needed}: start fewer, or lower chunk_size"
        return warning("memory", told, remedy)
    return ok("memory", told)


def _host_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group_limit() -> int | None:
    """Of the control group of this process, in either version of the kernel's interface."""
    places = (
        Path("/sys/fs/cgroup/memory.max"),
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    )
    for place in places:
        try:
            text = place.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def _address_limit(ranks_here: int) -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit * ranks_here


def batch_job() -> Iterator[Finding]:
    """What Slurm says of the job that this process is part of; nothing outside of jobs."""
    job = environment.text("SLURM_JOB_ID")
    if not job:
        return
    if shutil.which("scontrol") is None:
        told = f"job {job}: scontrol is not in PATH"
        yield warning("slurm", told, "load Slurm's module")
        return
    line = [
        "scontrol",
        "--oneliner",
        "show",
        "job",
        job,
    ]
    said = subprocess.run(
        line,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if said.returncode:
        told = f"job {job}: {said.stderr.strip()[:100]}"
        yield failure("slurm", told, "look at the job with squeue")
        return
    found = dict(re.findall(r"(\w+)=(\S+)", said.stdout))
    told = f"job {job}, time limit {found.get('TimeLimit')}, ends {found.get('EndTime')}"
    if found.get("Requeue") != "1":
        remedy = "submit with --requeue, so that a stopped run goes on by itself"
        yield warning("slurm", told + ", not to be requeued", remedy)
        return
    yield ok("slurm", told + ", requeued when stopped")
