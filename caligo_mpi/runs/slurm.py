"""The text of ``caligo-mpi slurm``: a batch script for one run, to be read before it is submitted."""

from __future__ import annotations

import os
import platform
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

from .._version import __version__
from ..config import RunConfig
from ..errors import ConfigError
from ..machine import environment
from ..machine.environment import require_place, shown
from ..machine.wording import counted, duration, quantity
from ..parallel.limits import FLIGHT_BYTES, HELD_BYTES, IN_FLIGHT
from .forecast import Forecast

#: A run is asked to fit into this without being told a time or a number of ranks; seconds.
COMFORTABLE = 1800
#: The longest time limit that is asked for unless told otherwise; minutes.
LONGEST = 24 * 60
#: Slurm looks at time limits twice a minute and may warn a minute early.
EARLY = 60
#: What a job may take longer than expected: busy nodes, slower processors, cold file systems.
RESERVE = 1.5
#: Bytes per second that any file system takes.
WRITING = 200e6
#: From the start of the job to the first chunk; seconds.
START = 10.0

#: How many seconds a run takes on so many ranks.
Times = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of Slurm: ``seconds`` is the expected time of the run, ``limit`` in minutes, memory in MiB."""

    ranks: int
    nodes: int
    cores: int
    seconds: float
    warning: int
    limit: int
    memory: int

    @property
    def launches(self) -> int:
        """How often the job runs until the file is complete."""
        usable = 60 * self.limit - self.warning - EARLY
        return max(1, ceil(self.seconds * RESERVE / usable))


def plan(
    forecast: Forecast,
    *,
    cores: int,
    resident: int,
    ranks: int | None = None,
    limit: int | None = None,
    times: Times | None = None,
) -> Plan:
    """Choose ranks and time for a run from its forecast, the cores of a node and the bytes that one process takes.

    ``times`` says how long the run takes on so many ranks.

    Raises `ConfigError` where the time limit (minutes) leaves nothing between the start and Slurm's warning.
    """
    chunk = forecast.seconds / forecast.chunks
    # A chunk that has begun is finished in the first half of the warning; the second half is for copying.
    warning = max(120, 60 * ceil(chunk * 4 / 60))
    least = ceil((2 * warning + EARLY) / 60)
    if limit is not None and limit < least:
        raise ConfigError(
            f"time={limit} min is too short: the run is stopped {(warning + EARLY) // 60} min before the limit "
            f"and its chunks take {duration(chunk)}; ask for at least {least} min"
        )
    usable = COMFORTABLE if limit is None else 60 * limit - warning - EARLY
    times = times or partial(undisturbed, forecast)
    ranks = ranks or fewest_ranks(times, min(forecast.chunks, cores), usable / RESERVE)
    seconds = times(ranks)
    if limit is None:
        wanted = seconds * RESERVE + warning + EARLY
        limit = max(least, min(LONGEST, 5 * ceil(wanted / 300)))
    return Plan(
        ranks,
        ceil(ranks / cores),
        cores,
        seconds,
        warning,
        limit,
        _memory(forecast, resident),
    )


def _memory(forecast: Forecast, resident: int) -> int:
    """MiB that the batch system is asked for, for each process."""
    held = resident + held_chunks(forecast) * forecast.rank_bytes
    if forecast.carries:
        held += HELD_BYTES + FLIGHT_BYTES
    steps = ceil(held / (256 << 20))
    return max(512, 256 * steps)


def undisturbed(forecast: Forecast, ranks: int) -> float:
    """Seconds of a run whose ranks never wait for each other, its start and writing included."""
    return START + forecast.seconds / min(ranks, forecast.chunks) + forecast.file_bytes / WRITING


def fewest_ranks(times: Times, most: int, seconds: float) -> int:
    """The fewest ranks that finish within ``seconds``, else those that come within 2 % of the best.

    ``times`` must not grow with the number of ranks by more than noise.

    >>> [fewest_ranks(lambda ranks: 60 / ranks, 128, seconds) for seconds in (60, 20, 7)]
    [1, 3, 9]
    >>> fewest_ranks(lambda ranks: 100 + 60 / ranks, 128, 50)
    25
    """
    goal = max(seconds, 1.02 * times(most))
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if times(middle) <= goal:
            high = middle
        else:
            low = middle + 1
    return low


def held_chunks(forecast: Forecast) -> int:
    """Chunks that a rank may hold: those on their way, or the one it works on, with what it is made of."""
    return IN_FLIGHT if forecast.carries else 2


def minutes(text: str) -> int:
    """A time as Slurm writes it, in minutes, rounded up.

    >>> [minutes(text) for text in ("90", "10:30", "2:00:00", "1-12", "1-0:30", "0-0:0:1")]
    [90, 11, 120, 2160, 1470, 1]
    """
    match = re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?", text, re.ASCII)
    if not match:
        raise ConfigError(
            f"time={shown(text)} is no time; write minutes, hours:minutes:seconds or days-hours:minutes:seconds"
        )
    days, *clock = match.groups()
    numbers = [int(part) for part in clock if part is not None]
    if days is None and len(numbers) < 3:  # minutes, minutes:seconds
        numbers.insert(0, 0)
    hours, whole, seconds = [*numbers, 0, 0][:3]
    return (int(days or 0) * 24 + hours) * 60 + whole + ceil(seconds / 60)


def cores_per_node() -> tuple[int, str]:
    """Cores of the smallest node, and who says so: Slurm where it is there, else this machine."""
    if shutil.which("sinfo"):
        told = subprocess.run(
            ["sinfo", "-h", "-o", "%c"], capture_output=True, text=True, check=False
        ).stdout
        if cores := [int(number) for number in re.findall(r"\d+", told)]:
            return min(cores), "sinfo says"
    return os.cpu_count() or 1, "as this machine has"


def resident_bytes() -> int:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """The command that a script gives: its verb, configuration, output and overrides; ``about`` is what it does."""

    config: str
    output: Path
    overrides: Sequence[str] = ()
    verb: str = "generate"
    about: str = ""


def about_run(config: RunConfig, forecast: Forecast) -> str:
    """What a run is, in a line."""
    chunks = counted(forecast.chunks, "chunk")
    return (
        f"{config.pairs:,} pairs of engine {config.engine.name} in {chunks}, "
        f"a file of {quantity(forecast.file_bytes)}B"
    )


def script(
    forecast: Forecast,
    command: Command,
    *,
    ranks: int | None = None,
    limit: int | None = None,
    times: Times | None = None,
) -> str:
    """The batch script of one run; ``limit`` in minutes, ``times`` as in `plan`.  Raises `ConfigError`."""
    require_place()
    output = command.output
    for what, name in (("config", command.config), ("output", str(output))):
        _require_plain(what, name)
    _require_lasting(command.config)
    cores, source = cores_per_node()
    resident = resident_bytes()
    chosen = plan(
        forecast,
        cores=cores,
        resident=resident,
        ranks=ranks,
        limit=limit,
        times=times,
    )
    lines = _head(forecast, chosen, command)
    lines += _requests(
        forecast,
        chosen,
        name=output.stem,
        source=source,
        resident=resident,
    )
    lines += _site()
    lines += _run(command)
    return "\n".join(lines)


def _run(command: Command) -> list[str]:
    """The shell of every job, and the command that it runs."""
    shell = Path(__file__).with_name("job.sh").read_text(encoding="utf-8")
    _, *functions = shell.splitlines(keepends=True)
    lines = ["".join(functions)]
    if command.verb == "sweep":
        lines.append("CALIGO_SCRATCH=  # a directory stays where it is")
    config = str(Path(command.config).resolve())
    words = ["caligo-mpi", command.verb, config]
    for override in command.overrides:
        words += ["--set", override]
    output = shlex.quote(str(command.output.resolve()))
    lines.append(f'caligo_job {output} {shlex.join(words)} --ranks "$SLURM_NTASKS"')
    lines.append("")
    return lines


def _require_plain(what: str, name: str) -> None:
    """A name goes into a script's text and comments: no character may begin a line of its own."""
    if not name.isprintable():
        raise ConfigError(
            f"{what}={shown(name)}: a batch script cannot hold a name with such characters; rename it"
        )


def _require_lasting(config_path: str) -> None:
    if not Path(config_path).is_file():
        raise ConfigError(
            f"config={config_path} is no file that the job can read when it starts; name one that lasts"
        )


def _comment(text: str) -> str:
    """A comment of the script, which one line holds whatever the text."""
    return "# " + "".join(letter if letter.isprintable() else "?" for letter in text)


def _head(forecast: Forecast, chosen: Plan, command: Command) -> list[str]:
    return [
        "#!/bin/bash",
        _comment(f"Written by caligo-mpi {__version__} for {Path(command.config).name}."),
        "# Read it, change what does not fit, submit it with sbatch.",
        "#",
        _comment(f"The run: {command.about}."),
        _comment(
            f"A trial on {platform.node()} says {duration(forecast.seconds)} for one rank, so about "
            f"{duration(chosen.seconds)} for {chosen.ranks}, with start and writing."
        ),
        "",
    ]


def _requests(
    forecast: Forecast,
    chosen: Plan,
    *,
    name: str,
    source: str,
    resident: int,
) -> list[str]:
    safe = re.sub(r"[^\w.+-]", "_", name)
    again = ""
    if chosen.launches > 1:
        again = f"; the job will queue itself again, {chosen.launches} launches in all"
    hours, minutes = divmod(chosen.limit, 60)
    chunk = duration(forecast.seconds / forecast.chunks)
    return [
        f"#SBATCH --job-name=caligo-{safe}",
        f"# One rank per core.  Nodes have {counted(chosen.cores, 'core')} or more ({source}).",
        f"#SBATCH --ntasks={chosen.ranks}",
        f"#SBATCH --nodes={chosen.nodes}",
        "#SBATCH --cpus-per-task=1",
        f"# A process took {quantity(resident)}B in the trial and may hold {held_chunks(forecast)} chunks of "
        f"{quantity(forecast.rank_bytes)}B.",
        f"#SBATCH --mem-per-cpu={chosen.memory}M",
        f"# {RESERVE} times the expected time, and the warning{again}.",
        f"#SBATCH --time={hours}:{minutes:02}:00",
        f"# Before the limit the run is stopped cleanly: chunks of {chunk} are finished, "
        "then the job goes back into the queue.",
        f"#SBATCH --signal=B:USR1@{chosen.warning}",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --output=%x-%j.log",
        "",
        f"CALIGO_HURRY={chosen.warning // 2}",
        "# Slurm may warn of the time limit before anything else has been done.",
        "trap 'stopped=limit' USR1",
        "",
    ]


def _site() -> list[str]:
    """What this shell has that the job needs as well."""
    modules = [name for name in environment.text("LOADEDMODULES").split(":") if name]
    lines = []
    if modules:
        lines.append("# The modules of the shell that wrote this.")
        lines.append(shlex.join(["module", "load", *modules]))
    programs = shlex.quote(str(Path(sys.executable).parent))
    return [
        *lines,
        "# The Python that wrote this.",
        f'export PATH={programs}:"$PATH"',
        "# A fast disk of the first node, to work on and copy back from:",
        '# CALIGO_SCRATCH="$TMPDIR"',
        "export HDF5_USE_FILE_LOCKING=BEST_EFFORT OMP_NUM_THREADS=1",
        "",
    ]
