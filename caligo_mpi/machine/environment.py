"""Environment variables are input like any other: read here, once, and refused in a sentence where they say nonsense.

`READ` names every variable that this package reads; docs/environment.md explains them.  Nothing else in the package
looks into ``os.environ``, except to hand all of it on to a process.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from ..errors import ConfigError, EnvironmentProblem

#: For users: the launcher to take, and the seconds of silence that a launch is always allowed.
MPIRUN, WATCHDOG = "CALIGO_MPIRUN", "CALIGO_WATCHDOG_SECONDS"

#: For users: whether code is compiled with numba.
COMPILE = "CALIGO_COMPILE"

#: From the launcher to its ranks: how many they are, the launch's id, where rank 0 writes its exit code, what went
#: wrong in earlier launches (JSON), how wide the terminal is, that ranks may outlive others.
RANKS, LAUNCH, EXIT_FILE = "CALIGO_RANKS", "CALIGO_LAUNCH", "CALIGO_EXIT_FILE"
FAULTS, TERMINAL, SURVIVE = "CALIGO_FAULTS", "CALIGO_TERMINAL", "CALIGO_SURVIVE"

#: What the names of a run's settings begin with (`caligo_mpi.config.settings`).
SETTINGS_PREFIX = "CALIGO_MPI_"

#: Where users and batch systems say which hosts there are, and by that how many ranks fit.
HOSTS = (
    "PRTE_MCA_prte_default_hostfile",
    "SLURM_JOB_ID",
    "PBS_NODEFILE",
    "LSB_DJOB_HOSTFILE",
    "PE_HOSTFILE",
)
#: How many hosts a Slurm job has, and the network interface of Open MPI where a user has chosen one.
NODES, INTERFACE = "SLURM_JOB_NUM_NODES", "OMPI_MCA_btl_tcp_if_include"

#: From the launcher to ranks that may outlive others: what they are bound to (a setting; others learn it from rank 0).
BINDING = "CALIGO_MPI_BINDING"

#: How many processors Slurm has given to the job on this host.
CPUS = "SLURM_CPUS_ON_NODE"
#: By which users of Open MPI choose what it binds to.
POLICIES = ("PRTE_MCA_hwloc_default_binding_policy", "PRTE_MCA_rmaps_default_mapping_policy")

#: Where launchers say how many processes there are, and which one this is.
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
POSITIONS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
#: Where launchers say how many of the processes are on this host, and how many hosts there are.
LOCAL_SIZES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
STEP_NODES = "SLURM_STEP_NUM_NODES"

#: Set by Slurm, PBS, LSF and Grid Engine within a job; a file's provenance has them.
JOB = (
    "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NODELIST", "SLURM_RESTART_COUNT",
    "SLURM_CLUSTER_NAME", "PBS_JOBID", "PBS_ARRAY_INDEX", "LSB_JOBID", "LSB_JOBINDEX", "JOB_ID", "SGE_TASK_ID",
)  # fmt: skip

#: Of the shell: where a user's files are, and what can be made again; where short-lived files go,
#: loaded modules, the terminal's size, the way to this package.
_SHELL = ("HOME", "XDG_CACHE_HOME", "TMPDIR", "LOADEDMODULES", "COLUMNS", "LINES", "PYTHONPATH")

#: Every variable that is read.
READ = frozenset(
    [
        *(
            MPIRUN,
            WATCHDOG,
            COMPILE,
            RANKS,
            LAUNCH,
            EXIT_FILE,
            FAULTS,
            TERMINAL,
            SURVIVE,
            NODES,
            INTERFACE,
            CPUS,
            BINDING,
            STEP_NODES,
        ),
        *(
            *HOSTS,
            *POLICIES,
            *SIZES,
            *LOCAL_SIZES,
            *POSITIONS,
            *JOB,
            *_SHELL,
        ),
    ]
)

_MOST_COUNTED = 1 << 31
_MOST_SECONDS = 1e6


def is_set(name: str, env: Mapping[str, str] = os.environ) -> bool:
    """Whether the variable is there and not empty.

    >>> is_set("PMI_SIZE", {"PMI_SIZE": ""})
    False
    """
    assert name in READ, name
    return bool(env.get(name))


def text(name: str, env: Mapping[str, str] = os.environ) -> str:
    """The variable as it is, empty where it is not set."""
    assert name in READ, name
    return env.get(name, "")


def count(
    name: str,
    default: int,
    env: Mapping[str, str] = os.environ,
    *,
    least: int = 1,
) -> int:
    """The variable as a whole number of at least ``least``, or ``default``; raises `EnvironmentProblem`.

    >>> count("PMI_SIZE", 1, {"PMI_SIZE": "4"}), count("PMI_SIZE", 1, {})
    (4, 1)
    """
    given = text(name, env)
    if not given:
        return default
    is_number = given.isascii() and given.isdigit() and len(given) <= len(str(_MOST_COUNTED))
    if not is_number or not least <= int(given) <= _MOST_COUNTED:
        raise EnvironmentProblem(
            f"{name}={shown(given)} in the environment must be a whole number of at least {least}; "
            "unset it or set it right"
        )
    return int(given)


def seconds(name: str, default: float, env: Mapping[str, str] = os.environ) -> float:
    """The variable as a time above zero, or ``default``; raises `EnvironmentProblem`.

    >>> seconds("CALIGO_WATCHDOG_SECONDS", 30.0, {"CALIGO_WATCHDOG_SECONDS": "1e2"})
    100.0
    """
    given = text(name, env)
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 1 <= value <= _MOST_SECONDS:  # nan is neither
        raise EnvironmentProblem(
            f"{name}={shown(given)} in the environment must be a number of seconds from 1 to {_MOST_SECONDS:g}; "
            "unset it or set it right"
        )
    return value


def compiling(env: Mapping[str, str] = os.environ) -> str:
    """Whether to compile: ``auto`` (where it pays), ``on`` or ``off``; raises `EnvironmentProblem`.

    >>> compiling({}), compiling({"CALIGO_COMPILE": "off"})
    ('auto', 'off')
    """
    given = text(COMPILE, env) or "auto"
    if given not in ("auto", "on", "off"):
        raise EnvironmentProblem(
            f"{COMPILE}={shown(given)} in the environment must be auto, on or off; "
            "unset it or set it right"
        )
    return given


def sentences(name: str, env: Mapping[str, str] = os.environ) -> list[str]:
    """The variable as a JSON list of texts, empty where it is not set; raises `EnvironmentProblem`.

    >>> sentences("CALIGO_FAULTS", {"CALIGO_FAULTS": '["a rank was lost"]'})
    ['a rank was lost']
    """
    given = text(name, env)
    try:
        found = json.loads(given or "[]")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise EnvironmentProblem(
            f"{name}={shown(given)} in the environment must be a JSON list of texts; unset it"
        )
    return found


def home(env: Mapping[str, str] = os.environ) -> str:
    """The user's directory; the root where neither the environment nor the system knows one.

    >>> home({"HOME": "/home/ada"})
    '/home/ada'
    """
    if is_set("HOME", env):
        return text("HOME", env)
    try:
        return str(Path.home())
    except (RuntimeError, KeyError):  # a container may run under a number that no user has
        return "/"


def require_place() -> None:
    """`EnvironmentProblem` where the directory that this process was started in is no longer there."""
    try:
        Path.cwd()
    except OSError as error:
        raise EnvironmentProblem(
            f"the current directory is gone ({error.strerror}); change to another one"
        ) from None


def settings(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables whose names begin as those of settings do, but for empty ones.

    >>> settings({"CALIGO_MPI_BINDING": "core", "CALIGO_MPI_RANKS": "", "CALIGO_MPIRUN": "mpiexec"})
    {'CALIGO_MPI_BINDING': 'core'}
    """
    return {name: text for name, text in env.items() if name.startswith(SETTINGS_PREFIX) and text}


def own() -> set[str]:
    """Names in this environment that begin as ours do: ranks on other hosts are to have these, too."""
    return {name for name in os.environ if name.startswith("CALIGO_")}


def expanded(path: str, *, what: str) -> str:
    """A path with ``~`` and ``${VAR}`` (or ``$VAR``) as a shell expands them; ``what`` names its key in sentences.

    Raises `ConfigError` for a variable that is not set.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not os.environ.get(name):
            raise ConfigError(
                f"{what}={shown(path)}: {name} is not set in the environment; set it or write the path out"
            )
        return os.environ[name]

    # The home directory first: a variable's value is taken as it is.
    return re.sub(
        r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))",
        value,
        _from_home(path),
    )


def _from_home(path: str) -> str:
    if path == "~" or path.startswith("~/"):
        return home() + path[1:]
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        return path  # no such user: a name that begins so


def completed(defaults: Mapping[str, str]) -> dict[str, str]:
    """All of this environment, to be handed on to a process, with ``defaults`` for what is not set or empty."""
    return {
        **os.environ,
        **{name: value for name, value in defaults.items() if not os.environ.get(name)},
    }


def overridden(values: Mapping[str, str]) -> dict[str, str]:
    """All of this environment, to be handed on to a process, with these values in any case."""
    return {**os.environ, **values}


#: What a process needs to find its user, its programs and libraries, and MPI its transports.
_NEEDED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "TZ", "XDG_CACHE_HOME"),
    *("LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", MPIRUN, WATCHDOG, COMPILE),
)
_NEEDED_PREFIXES = (
    "LC_",
    "OMPI_MCA_",
    "PRTE_MCA_",
    "PMIX_MCA_",
    "MPICH_",
    "FI_",
    "UCX_",
    "HDF5_",
    "NUMBA_",
)
#: Libraries that would otherwise start a thread for each core, in each rank.
_THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"),
)


def one_thread_each(env: MutableMapping[str, str] = os.environ) -> None:
    """Under a launcher of several ranks: one thread for each library that would start one per core, unless asked.

    To be called before those libraries are imported.

    >>> variables = {"PMI_SIZE": "4", "OMP_NUM_THREADS": "2"}
    >>> one_thread_each(variables)
    >>> variables["OMP_NUM_THREADS"], variables["OPENBLAS_NUM_THREADS"]
    ('2', '1')
    """
    sizes = [env.get(name, "") for name in (RANKS, *SIZES)]
    if all(size in ("", "0", "1") for size in sizes):
        return
    for name in _THREADS:
        if not env.get(name):
            env[name] = "1"


def fresh(**values: str) -> dict[str, str]:
    """An environment with nothing in it by chance, for a process that is measured; some values more."""
    needed = {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED or name.startswith(_NEEDED_PREFIXES)
    }
    return {
        **needed,
        **dict.fromkeys(_THREADS, "1"),
        "PYTHONHASHSEED": "0",
        **values,
    }


def without(*prefixes: str, **values: str) -> dict[str, str]:
    """All of this environment but for names that begin like these, with some values more."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return {**rest, **values}


def shown(value: str, most: int = 60) -> str:
    """A value for a sentence: shortened, control characters and what is no text escaped.

    >>> shown("a" * 100, 10), shown("a\\nb")
    ('aaaaa…aaaaa', 'a\\\\nb')
    """
    if len(value) > most:
        half = most // 2
        value = f"{value[:half]}…{value[-half:]}"
    letters = [one if one.isprintable() else repr(one)[1:-1] for one in value]
    return "".join(letters)
