"""``--ranks N``: launch, watch, judge by the file, and launch again until the run is complete.

One launch is one ``mpirun``.  Whether it went well is never read from ``mpirun``'s exit code: either rank 0 said how it
ended, or the finished file is there, or something went wrong and the next launch goes on from the partial file.
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
from . import mpirun as launch
from . import processes, signals
from .watchdog import LOOK_SECONDS, Watchdog

# Ranks count stop requests that come closer together as one.
_FORWARD_SECONDS = 0.5

# Launches in a row that commit nothing: whatever kills them will kill the next one, too.  Where everything is in and
# only the finished file is to be made, none can commit anything, so a few more may be bad luck.
_FUTILE, _FUTILE_AT_THE_END = 2, 5


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a launch ended: the exit code that rank 0 meant, or None, and then what happened, for people."""

    code: int | None
    what: str = ""


def run(
    ranks: int,
    arguments: Sequence[str],
    *,
    path: Path,
    is_complete: Callable[[], bool],
    state: Callable[[], State],
    restarts: int,
    survive: bool,
    say: Callable[[str], None],
) -> int | None:
    """Run ``python -m caligo_mpi ARGUMENTS`` on ``ranks`` ranks, again and again if need be.

    Returns the exit code that rank 0 meant.  None means that the file is complete, but that no rank lived to say so.
    """
    launch.allow_open_files(ranks)
    command, env = launch.mpirun_command(ranks, survive=survive, export=launch.exported())
    if survive and launch.SURVIVE not in env:
        say(
            f"faults.mode=survive needs Open MPI 5, which {command[0]} is not; going on with faults.mode=restart"
        )
    command += [sys.executable, "-m", "caligo_mpi", *arguments]
    # The user's own settings of MPI go first, unless fault tolerance depends on ours.
    env = {**os.environ, **env} if launch.SURVIVE in env else {**env, **os.environ}
    env[launch.RANKS] = str(ranks)
    faults: list[str] = []
    futile = 0
    before = state()
    for number in range(restarts + 1):
        ended = _launch(command, env | {launch.FAULTS: json.dumps(faults)}, path)
        if ended.code is not None:
            return ended.code
        if is_complete():
            return None
        if signals.stop_level():
            say(f"stopped ({ended.what}); run the same command again to go on")
            return STOPPED
        after = state()
        futile = futile + 1 if after.chunks <= before.chunks else 0
        faults = [ended.what] if after.faults > before.faults else [*faults, ended.what]
        say(f"{ended.what}; {after.chunks} of {after.total or '?'} chunks are in")
        if futile >= (
            _FUTILE_AT_THE_END if after.total and after.chunks == after.total else _FUTILE
        ):
            say(
                f"{futile} launches in a row committed nothing, so this one is the last; what was committed is kept"
            )
            return CRASHED
        if number < restarts:
            say(f"going on from the file, restart {number + 1} of at most {restarts}")
        before = after
    say(
        f"restarts={restarts} are used up; what was committed is kept, run the same command again to go on"
    )
    return CRASHED


def _launch(command: Sequence[str], env: Mapping[str, str], path: Path) -> _Ended:
    """One ``mpirun``, from its start until nothing of it is left."""
    identity = uuid.uuid4().hex
    try:
        # A directory of its own: sessions of two mpiruns in one TMPDIR have been seen to collide.
        scratch = Path(tempfile.mkdtemp(prefix="caligo-"))
        exit_file = scratch / "exit"
        exit_file.write_text("   ")
    except OSError as error:
        raise EnvironmentProblem(
            f"TMPDIR={tempfile.gettempdir()} cannot be written ({error.strerror}); free some space or set TMPDIR"
        ) from error
    own = {launch.LAUNCH: identity, launch.EXIT_FILE: str(exit_file), "TMPDIR": str(scratch)}
    if sys.stderr.isatty():
        own[launch.TERMINAL] = str(shutil.get_terminal_size().columns)
    watchdog = Watchdog(
        path, exit_file, is_stopped=lambda: processes.any_stopped(launch.LAUNCH, identity)
    )
    # A session of its own keeps a terminal's Ctrl-C away from mpirun, which would kill the ranks at once.
    process = subprocess.Popen(
        command,
        env={**env, **own},
        start_new_session=True,
        preexec_fn=processes.dying_with_parent(),
    )
    segments: set[Path] = set()

    def find_segments() -> None:
        segments.update(processes.mpi_segments(processes.marked(launch.LAUNCH, identity)))

    try:
        silent = _watch(process, watchdog, begun=find_segments)
    finally:
        find_segments()
        processes.end_marked(launch.LAUNCH, identity)
        for segment in segments:
            segment.unlink(missing_ok=True)
        status = process.wait()
        said = exit_file.read_text().strip()
        shutil.rmtree(scratch, ignore_errors=True)
    return _judge(said, status, silent)


def _judge(said: str, status: int, silent: str) -> _Ended:
    # Ranks that are aborted because another one died may take mpirun's SIGTERM for a stop request.
    if said and not (int(said) == STOPPED and status and not signals.stop_level()):
        return _Ended(int(said))
    return _Ended(None, silent or _cause(status))


def _cause(status: int) -> str:
    """What an exit status of mpirun tells.

    >>> _cause(-9), _cause(137), _cause(9)
    ('mpirun was ended by SIGKILL', 'a rank was ended by SIGKILL', 'mpirun ended with exit code 9')
    """
    for number, who in ((-status, "mpirun"), (status - 128, "a rank")):
        if number in set(signal.Signals):
            return f"{who} was ended by {signal.Signals(number).name}"
    return f"mpirun ended with exit code {status}"


def _watch(
    process: subprocess.Popen[bytes], watchdog: Watchdog, *, begun: Callable[[], None]
) -> str:
    """Pass stop requests on until the launch has ended, or is silent for too long: then a sentence about that.

    ``begun`` is called once, when rank 0 has opened the file.
    """
    level, forwarded = 0, 0.0
    waiting = True
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            return ""
        if signals.stop_level() > level and time.monotonic() - forwarded > _FORWARD_SECONDS:
            level, forwarded = level + 1, time.monotonic()
            # TERM and INT would make mpirun kill its ranks; USR1 is passed on to them and lets them finish.
            process.send_signal(signal.SIGUSR1)
        if complaint := watchdog.look(hurry=level > 1):
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


def pairs_state(path: Path) -> State:
    """That of a pairs file, partial or finished."""
    try:
        status = store.status(path)
    except (StoreError, OSError):
        return State()
    return State(status.chunks_done, status.chunks_total, len(status.faults))
