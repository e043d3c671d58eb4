"""The whole examination, alone or on all ranks of a launch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ...errors import EnvironmentProblem
from ...launch import mpirun as launch
from ...machine import environment
from ...machine.environment import RANKS
from ...machine.wording import quantity, rate
from ...parallel.binding import Place
from . import disk, host, ranks
from .findings import Finding, failure, ok

#: Ranks that say nothing for longer hang.
_PATIENCE_SECONDS = 120.0
#: What our own sentences begin with.
_OURS = "caligo-mpi: "


def checkup(folder: Path) -> list[Finding] | None:
    """All findings; None on every rank but the first.

    ``folder`` is where the output would go.  Under a launcher all ranks call this.
    """
    if launch.is_launched():
        return _together(folder)
    return [
        host.software(),
        *_launcher(),
        host.memory(1),
        *host.batch_job(),
        *disk.look_at(folder),
        *_alone(folder),
        *host.engines(),
    ]


def on_ranks(count: int, arguments: list[str]) -> list[Finding]:
    """The findings of ranks that are launched for it; ``arguments`` are their command line behind the program."""
    try:
        exported = environment.own() | {RANKS}
        command, env = launch.mpirun_command(count, export=exported)
    except EnvironmentProblem as error:
        return [_from_sentence(str(error))]
    line = [
        *command,
        sys.executable,
        "-m",
        "caligo_mpi",
        *arguments,
        "--json",
    ]
    settings = {**environment.completed(env), RANKS: str(count)}
    try:
        done = subprocess.run(
            line,
            env=environment.overridden(settings),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        remedy = "look for a transport that hangs; the launcher of another MPI may be in PATH"
        told = f"{count} ranks did not answer in {_PATIENCE_SECONDS:.0f} s"
        return [failure("mpi", told, remedy)]
    try:
        return [Finding(**found) for found in json.loads(done.stdout)]
    except (ValueError, TypeError):
        said = _first_sentence(done.stderr) or f"{command[0]} said nothing"
        return [_from_sentence(said)]


def _first_sentence(told: str) -> str:
    """The first line of our own, or of anybody; empty if there is none."""
    lines = [one for one in told.splitlines() if one.strip("- ")]
    ours = [one for one in lines if one.startswith(_OURS)]
    for line in ours or lines:
        return line.removeprefix(_OURS)
    return ""


def _from_sentence(sentence: str) -> Finding:
    """A failure of MPI in the words of an error, whose remedy is behind its last semicolon."""
    told, _, remedy = sentence.rpartition("; ")
    return failure("mpi", told or sentence, remedy if told else "")


def _launcher() -> Iterator[Finding]:
    """Whether ranks could be started from here."""
    try:
        command, _ = launch.mpirun_command(2)
    except EnvironmentProblem as error:
        yield _from_sentence(str(error))
    else:
        yield ok("mpi", f"{command[0]} would start ranks; --ranks 2 tries it")


def _alone(folder: Path) -> Iterator[Finding]:
    yield ok("simulating", f"{rate(ranks.simulating_speed(0.5))} in this process")
    if speed := disk.writing_speed(folder):
        yield ok("writing", f"{quantity(speed)}B/s by this process")


def _together(folder: Path) -> list[Finding] | None:
    from ...parallel import mpi

    mpi.check_size(launch.world_size())
    with mpi.abort_on_error():
        places = mpi.gather(Place.here())
        pings = []
        if mpi.rank() == 0:
            pings = [ranks.ping(peer) for peer in range(1, mpi.size())]
        else:
            ranks.answer()
        speeds = mpi.gather(ranks.measure(folder))
    if places is None or speeds is None:
        return None
    here = sum(place.host == places[0].host for place in places)
    world = f"{mpi.library()}, a world of {mpi.size()}"
    return [
        host.software(),
        ok("mpi", world),
        *ranks.placement(places),
        *ranks.distances(pings),
        host.memory(here),
        *host.batch_job(),
        *disk.look_at(folder),
        *ranks.efficiency(speeds),
        *host.engines(),
    ]
