"""``--ranks N``: launch, watch, judge by the file, and launch again until the run is complete.

One launch is one ``mpirun``.  Whether it went well is never read from ``mpirun``'s exit code:
either rank 0 said how it ended, or the finished file is there, or something went wrong and the
next launch goes on from the partial file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .. import store
from ..errors import CRASHED, STOPPED, EnvironmentProblem, StoreError
from ..machine import environment, streams
from ..machine.wording import counted, so_far
from . import mpirun as launch
from . import processes, signals
from .watchdog import _SILENCE_SECONDS, LOOK_SECONDS, Watchdog

# Ranks count stop requests that come closer together as one.
_FORWARD_SECONDS = 0.5

# Launches in a row that commit nothing: whatever kills them will kill the next one, too.  Where
# everything is in and only the finished file is to be made, none can commit anything, so a few
# more may be bad luck.
_FUTILE, _FUTILE_AT_THE_END = 2, 5

# Faults that are handed to the next launch while none can be recorded; an environment must not
# grow for ever.
_MOST_FAULTS = 100

# Launches from the first on that start no rank, of a launcher that is known to be one.
_EMPTY = 2

_EXITED = "mpirun ended with exit code {}"

# How launchers exit that pass on the number of the signal that ended a rank, which is no answer
# of theirs.
_PASSED_ON = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a launch ended: the exit code that rank 0 meant, or None.

    In the latter case ``what`` says what happened, for people.  ``empty`` tells that the launcher
    ended, by itself or for its silence, and had not started a single rank.
    """

    code: int | None
    what: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Supervised:
    """What is run, and how its file is looked at.

    ``arguments`` is the ranks' command line behind ``python -m caligo_mpi``.  ``restarts`` are
    launches after the first one; with ``survive`` ranks go on when others die.  ``binding`` is what
    they are bound to.
    """

    arguments: Sequence[str]
    path: Path
    is_complete: Callable[[], bool]
    state: Callable[[], State]
    say: Callable[[str], None]
    restarts: int = 100
    survive: bool = False
    binding: str = "auto"


def run(ranks: int, job: Supervised) -> int | None:
    """Run the job on ``ranks`` ranks, again and again if need be.

    Returns the exit code that rank 0 meant.  None means that the file is complete, but that no rank
    lived to say so.
    """
    launcher, env = _prepared(ranks, survive=job.survive, say=job.say)
    command = [*launcher.command, sys.executable, "-m", "caligo_mpi", *job.arguments]
    faults: list[str] = []
    futile = empty = 0
    before = job.state()
    for number in range(job.restarts + 1):
        more = {environment.FAULTS: json.dumps(faults), environment.BINDING: job.binding}
        ended = _launch(command, env | more, job.path)
        if ended.code is not None:
            return ended.code
        if job.is_complete():
            return None
        if signals.stop_level():
            job.say(f"stopped ({ended.what}); run the same command again to go on")
            return STOPPED
        empty += ended.empty
        if empty == number + 1:
            _require_trust(launcher, empty, ended.what)
        after = job.state()
        faults = [] if after.faults > before.faults else faults
        faults = [*faults, ended.what][-_MOST_FAULTS:]
        job.say(f"{ended.what}; {so_far(after.chunks, after.total, 'chunk')}")
        futile = futile + 1 if after.chunks <= before.chunks else 0
        if futile >= after.patience:
            _say_futile(job, futile)
            return CRASHED
        if number < job.restarts:
            job.say(f"going on from the file, restart {number + 1} of at most {job.restarts}")
        before = after
    job.say(
        f"restarts={job.restarts} are used up; what was committed is kept, "
        "run the same command again to go on"
    )
    return CRASHED


def _say_futile(job: Supervised, futile: int) -> None:
    launches = counted(futile, "launch", "launches")
    job.say(
        f"{launches} in a row committed nothing, so this one is the last; "
        "what was committed is kept"
    )


def _require_trust(launcher: launch.Launcher, empty: int, what: str) -> None:
    """Raise `EnvironmentProblem` where another launch would start no rank either.

    All launches so far, ``empty`` of them, have not.
    """
    most = _EMPTY if launcher.known else 1
    if empty >= most:
        name = launcher.command[0]
        raise EnvironmentProblem(
            f"{what} before the launcher {name} had started a single rank; "
            "look above for what it says, "
            f"and name another one in {environment.MPIRUN} if it does not launch MPI"
        )


def _prepared(
    ranks: int,
    *,
    survive: bool,
    say: Callable[[str], None],
) -> tuple[launch.Launcher, dict[str, str]]:
    """The launcher and its environment.

    Raises `EnvironmentProblem` for all that would make any launch fail.
    """
    environment.require_place()
    launch.require_sensible(ranks)
    launch.allow_open_files(ranks)
    environment.seconds(environment.WATCHDOG, _SILENCE_SECONDS)
    launcher = launch.find(ranks, survive=survive, export=launch.exported())
    survives = environment.SURVIVE in launcher.env
    if survive and not survives:
        say(
            f"faults.mode=survive needs Open MPI 5, which {launcher.command[0]} is not; "
            "going on with faults.mode=restart"
        )
    # The user's own settings of MPI go first, unless fault tolerance depends on ours.
    env = environment.overridden(launcher.env) if survives else environment.completed(launcher.env)
    return launcher, {**env, environment.RANKS: str(ranks)}


def _scratch() -> Path:
    """A launch's own directory, with the exit file in it.

    Sessions of two mpiruns in one TMPDIR have been seen to collide.
    """
    with launch.temporary_errors():
        directory = Path(tempfile.mkdtemp(prefix="caligo-"))
        (directory / "exit").write_text(launch.UNSAID)
    return directory


def _launch(command: Sequence[str], env: Mapping[str, str], path: Path) -> _Ended:
    """One ``mpirun``, from its start until nothing of it is left."""
    identity = uuid.uuid4().hex
    scratch = _scratch()
    exit_file = scratch / "exit"
    watchdog = Watchdog(
        path,
        exit_file,
        is_stopped=lambda: processes.any_stopped(environment.LAUNCH, identity),
    )
    # A session of its own keeps a terminal's Ctrl-C from mpirun, which would kill the ranks at once.
    process = subprocess.Popen(
        command,
        env={**env, **_own_variables(identity, exit_file)},
        start_new_session=True,
        preexec_fn=processes.dying_with_parent(os.getpid()),
    )
    segments: set[Path] = set()

    def find_segments() -> None:
        pids = processes.marked(environment.LAUNCH, identity)
        segments.update(processes.mpi_segments(pids))

    try:
        silent = _watch(process, watchdog, begun=find_segments)
    finally:
        find_segments()
        processes.end_marked(environment.LAUNCH, identity)
        for segment in segments:
            segment.unlink(missing_ok=True)
        status = process.wait()
        said = exit_file.read_text().strip()
        has_begun = watchdog.begun or launch.arrived_file(exit_file).exists()
        shutil.rmtree(scratch, ignore_errors=True)
    return _judge(said, status, silent, has_begun=has_begun)


def _own_variables(identity: str, exit_file: Path) -> dict[str, str]:
    """What tells the processes of one launch from all others, and where they say how it ended."""
    own = {
        environment.LAUNCH: identity,
        environment.EXIT_FILE: str(exit_file),
        "TMPDIR": str(exit_file.parent),
    }
    if sys.stderr.isatty():
        own[environment.TERMINAL] = str(streams.width())
    return own


def _judge(said: str, status: int, silent: str, *, has_begun: bool) -> _Ended:
    if said:
        # Ranks that are aborted because another one died may take mpirun's SIGTERM for a stop request.
        was_aborted = int(said) == STOPPED and status and not signals.stop_level()
        if not was_aborted:
            return _Ended(int(said))
    cause = _cause(status)
    by_itself = cause == _EXITED.format(status) and status not in _PASSED_ON
    empty = not has_begun and (by_itself or bool(silent))
    return _Ended(None, silent or cause, empty=empty)


def _cause(status: int) -> str:
    """What an exit status of mpirun tells.

    >>> _cause(-9), _cause(137), _cause(9)
    ('mpirun was ended by SIGKILL', 'a rank was ended by SIGKILL', 'mpirun ended with exit code 9')
    """
    for number, who in ((-status, "mpirun"), (status - 128, "a rank")):
        if number in set(signal.Signals):
            return f"{who} was ended by {signal.Signals(number).name}"
    return _EXITED.format(status)


def _watch(
    process: subprocess.Popen[bytes],
    watchdog: Watchdog,
    *,
    begun: Callable[[], None],
) -> str:
    """Pass stop requests on until the launch has ended, or is silent for too long.

    Returns a sentence about the silence, or nothing.  ``begun`` is called once, when rank 0 has opened the file.
    """
    level = 0
    forwarded = 0.0
    waiting = True
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            return ""
        is_asked = signals.stop_level() > level
        if is_asked and time.monotonic() - forwarded > _FORWARD_SECONDS:
            level += 1
            forwarded = time.monotonic()
            # TERM and INT would make mpirun kill its ranks; USR1 is passed on to them and lets
            # them finish.
            process.send_signal(signal.SIGUSR1)
        complaint = watchdog.look(hurry=level > 1)
        if complaint:
            return complaint
        if waiting and watchdog.begun:
            waiting = False
            begun()


@dataclass(frozen=True, slots=True)
class State:
    """What a job's file holds: items that are done, of how many, and recorded faults."""

    chunks: int = 0
    total: int = 0
    faults: int = 0

    @property
    def patience(self) -> int:
        """How many launches in a row may commit nothing."""
        all_in = self.total > 0 and self.chunks == self.total
        return _FUTILE_AT_THE_END if all_in else _FUTILE


def pairs_state(path: Path) -> State:
    """That of a pairs file, partial or finished."""
    try:
        status = store.status(path)
    except (StoreError, OSError):
        return State()
    return State(status.chunks_done, status.chunks_total, len(status.faults))
