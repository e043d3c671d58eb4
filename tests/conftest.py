"""What tests share: real runs of the command, on one process or under a real mpirun."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys

import pytest
from helpers import environment

# Doctests of mpi.py cannot even be collected where mpi4py is not installed; it has none.
collect_ignore_glob = ["plugins/*"]

#: Folders whose tests mostly wait: for ranks, for Slurm, for a silence to be long enough.
WAITING = ("slurm", "faults", "launch", "bench", "parallel")


def pytest_configure(config):
    """Workers of pytest-xdist take files in the order below, not those with most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Tests that mostly wait come first, so that several workers wait beside those that compute."""
    items.sort(key=lambda item: item.path.parent.name not in WAITING)


@pytest.fixture
def caligo(tmp_path):
    """Run ``caligo-mpi ARGUMENTS`` as a process in a directory of its own."""

    def run(*arguments, timeout=120, **options):
        command = [sys.executable, "-m", "caligo_mpi", *map(str, arguments)]
        options = {
            "cwd": tmp_path,
            "env": environment(),
            "capture_output": True,
            "text": True,
            **options,
        }
        return subprocess.run(command, timeout=timeout, check=False, **options)

    return run


@pytest.fixture(scope="session")
def mpirun(tmp_path_factory):
    """The command line up to the program, for n ranks, and the environment it wants."""
    from caligo_mpi.errors import EnvironmentProblem
    from caligo_mpi.launch.mpirun import mpirun_command

    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed (numpy 1.26 environment without MPI)")

    def command(ranks):
        try:
            line, extra = mpirun_command(ranks)
        except EnvironmentProblem as error:
            pytest.skip(str(error))
        # Open MPI fails where a killed mpirun of the same process id has left its directory.
        return line, environment(**extra, TMPDIR=str(tmp_path_factory.mktemp("mpi")))

    return command


@pytest.fixture
def mounts_alone(tmp_path_factory):
    """One test of all workers at a time.

    A host of its own has a copy of all mounts: a file system that another test mounted then stays in use
    though it was unmounted.
    """
    ours = tmp_path_factory.getbasetemp()
    common = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    with (common / "mounts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def write_config(tmp_path):
    """Write a configuration of 20 chunks, changed as told; returns its path."""
    import yaml

    def write(name="run.yaml", **changes):
        config = {
            "pairs": 163_840,
            "seed": 7,
            "chunk_size": 8192,
            "engine": {"name": "noise", "link": {"fidelity": 0.95}},
            "output": "run.h5",
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**config, **changes}))
        return path

    return write
