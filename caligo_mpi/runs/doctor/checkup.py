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


def checkup(folder: Path) -> list[Finding] | None:
    """All findings; None on every rank but the first.

    ``folder`` is where the output would go.  Under a launcher all ranks call this.
    """
    if launch.is_launched():
        return _together(folder)
    found = [host.software(), *_launcher(), host.memory(1)]
    found += [*host.batch_job(), *disk.look_at(folder)]
    found += [*_alone(folder), *host.engines()]
    return found


def on_ranks(count: int, arguments: list[str]) -> list[Finding]:
    """The findings of ranks that are launched for it; ``arguments`` are their command line behind the program."""
    try:
        command, env = launch.mpirun_command(count, export=environment.own() | {RANKS})
    except EnvironmentProblem as error:
        return [_from_sentence(str(error))]
    line = [*command, sys.executable, "-m", "caligo_mpi", *arguments, "--json"]
    env = environment.overridden({**environment.completed(env), RANKS: str(count)})
    try:
        done = subprocess.run(
            line, env=env, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        remedy = "look for a transport that hangs; the launcher of another MPI may be in PATH"
        told = f"{count} ranks did not answer in {_PATIENCE_SECONDS:.0f} s"
        return [failure("mpi", told, remedy)]
    try:
        return [Finding(**found) for found in json.loads(done.stdout)]
    except (ValueError, TypeError):
        lines = [one for one in done.stderr.splitlines() if one.strip("- ")]
        said = next(
            (one for one in lines if one.startswith("caligo-mpi:")), lines[0] if lines else ""
        )
        return [_from_sentence(said.removeprefix("caligo-mpi: ") or f"{command[0]} said nothing")]


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
    found = [host.software(), ok("mpi", f"{mpi.library()}, a world of {mpi.size()}")]
    found += [*ranks.placement(places), *ranks.distances(pings), host.memory(here)]
    found += [*host.batch_job(), *disk.look_at(folder)]
    found += [*ranks.efficiency(speeds), *host.engines()]
    return found
