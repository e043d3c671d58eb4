"""Where a job runs: in this process, on the ranks that this process is one of, or on ranks launched for it."""

from __future__ import annotations

import functools
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..config.reading import MOST_BYTES
from ..errors import CRASHED, DONE, WRONG_USE, CaligoError, ConfigError
from ..launch import mpirun as launch
from ..launch import signals, supervise
from ..parallel.job import Fault
from ..parallel.serial import serial_map
from ..terminal import streams
from ..terminal.wording import counted

Faults = deque[Fault]


@dataclass(frozen=True, slots=True)
class Job:
    """A run that can be launched: what it is called in sentences, what it writes, and how it is done with a map.

    ``arguments`` are the command line for the ranks; ``run`` takes a map, what is known of the launch, the faults
    so far and whether other files are set aside, and returns the exit code; ``preflight`` raises now what ``run``
    would raise at its start; ``hint`` is for jobs with few items.
    """

    items: int
    noun: str
    path: Path
    arguments: list[str]
    run: Callable[[Any, dict[str, Any], Faults, bool], int]
    preflight: Callable[[], None]
    is_complete: Callable[[], bool]
    state: Callable[[], supervise.State]
    forced: bool = False
    hint: str = ""
    policy: str = "dynamic"
    rank0_computes: str = "auto"
    restarts: int = 100
    retries: int = 0
    survive: bool = False


@contextmanager
def lasting(config: str, *, ranks: int | None) -> Iterator[str]:
    """The name under which ranks can read this configuration, in every launch anew.

    What comes from a pipe or a terminal (``/dev/stdin``, ``<(…)``) can be read once only, and by this process alone:
    a copy in TMPDIR, for this user's eyes only, stands for it meanwhile.
    """
    if not ranks or not _is_fleeting(config):
        yield config
        return
    with launch.temporary_errors():
        folder = tempfile.mkdtemp(prefix="caligo-")
    copy = Path(folder, Path(config).name)
    try:
        _copy_for_us(Path(config), copy)
        yield str(copy)
    finally:
        copy.unlink(missing_ok=True)
        Path(folder).rmdir()


def _is_fleeting(config: str) -> bool:
    """Whether a file of this name is another one for each process, or is gone when it has been read."""
    try:
        mode = Path(config).stat().st_mode
    except (OSError, ValueError):
        return False  # the reader says what is wrong
    # Standard input may be a regular file: then the ranks would find another one there.
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or config.startswith(_PER_PROCESS)


_PER_PROCESS = ("/dev/", "/proc/")


def _copy_for_us(source: Path, copy: Path) -> None:
    """Copy the beginning of ``source``, to one byte beyond what a configuration may have."""
    try:
        with source.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    with launch.temporary_errors():
        copy.touch(0o600, exist_ok=False)
        copy.write_bytes(text)


def execute(prepare: Callable[[], Job], *, codec: Any, ranks: int | None) -> int:
    """Prepare the job and run it where it belongs; ``codec`` is that of its results.  Returns the exit code."""
    signals.listen()
    if launch.is_launched():
        return _one_of_several(prepare, codec)
    job = prepare()
    return _supervised(job, ranks) if ranks else _alone(job, ranks=1, forced=job.forced)


def _alone(job: Job, *, ranks: int, forced: bool) -> int:
    map_ = functools.partial(serial_map, retries=job.retries, stop=signals.stop_level)
    return job.run(map_, {"ranks": ranks}, deque(), forced)


def _supervised(job: Job, ranks: int) -> int:
    """Launch ranks, and again if they die."""
    before = (
        _inode(job.path) if job.forced else None
    )  # then a complete file may be there that is to be made anew

    def is_complete() -> bool:
        return _inode(job.path) != before and job.is_complete()

    if not is_complete():
        job.preflight()
        code = supervise.run(
            ranks,
            job.arguments,
            path=job.path,
            is_complete=is_complete,
            state=job.state,
            restarts=job.restarts,
            survive=job.survive,
            say=streams.say,
        )
        if code is not None:
            return code
    # Complete, and nobody has said so: this finds it done and prints the summary.
    return _alone(job, ranks=ranks, forced=False)


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _one_of_several(prepare: Callable[[], Job], codec: Any) -> int:
    """Rank 0 runs the job, the others serve."""
    launch.die_with_launcher()
    launch.arrive()
    try:
        from ..parallel import mpi

        mpi.check_size(launch.world_size())
    except CaligoError as error:
        raise _only_on_first_rank(str(error)) from error
    except (
        ImportError,
        RuntimeError,
    ) as error:  # mpi4py raises the latter where it finds no MPI library
        reason = str(error).partition("\n")[0]
        raise _only_on_first_rank(
            f"several processes were started but MPI cannot be used: {reason}"
        ) from error
    with mpi.abort_on_error(note=lambda: launch.leave(CRASHED)):
        if launch.survives():
            _survive(prepare, codec)
        if mpi.rank() > 0:
            mpi.serve(codec)
            return DONE
        code = _coordinate(prepare, lambda job: _map_over_ranks(job, codec), _earlier_faults())
        mpi.release_workers()
        return launch.leave(code)


def _only_on_first_rank(message: str) -> SystemExit:
    """MPI itself is what fails here, so the launcher's word is taken for who comes first."""
    if launch.is_first():
        streams.say(message)
    return SystemExit(launch.leave(WRONG_USE))


def _survive(prepare: Callable[[], Job], codec: Any) -> NoReturn:
    """The same where ranks may outlive others: any of them may become rank 0."""
    from ..parallel import mpi, survive

    faults = _earlier_faults() if mpi.rank() == 0 else deque()

    def lost(what: str, rank: int, chunks: int) -> None:
        streams.say(what)
        faults.append(Fault(what, rank, chunks))

    def coordinate(root: survive.Root[Any]) -> int:
        return _coordinate(
            prepare, lambda job: functools.partial(root.map, retries=job.retries), faults
        )

    survive.run(coordinate, codec=codec, leave=launch.leave, stop=signals.stop_level, lost=lost)


def _earlier_faults() -> Faults:
    return deque(map(Fault, launch.earlier_faults()))


def _coordinate(prepare: Callable[[], Job], map_for: Callable[[Job], Any], faults: Faults) -> int:
    """What rank 0 does; a mistake is one sentence and exit code 2."""
    from ..parallel import mpi

    try:
        job = prepare()
        if (idle := mpi.size() - job.items) > 0:
            streams.say(
                f"ranks={mpi.size()} for {counted(job.items, job.noun)}: {counted(idle, 'rank')} will be idle"
            )
        elif job.hint and job.items < 4 * mpi.size():
            streams.say(
                f"only {counted(job.items, job.noun)} for {counted(mpi.size(), 'rank')}: {job.hint}"
            )
        about = {"ranks": mpi.size(), "mpi": mpi.library(), **launch.identity()}
        return job.run(map_for(job), about, faults, job.forced)
    except CaligoError as error:
        streams.say(str(error))
        return WRONG_USE


def _map_over_ranks(job: Job, codec: Any) -> Any:
    from ..parallel import mpi

    return functools.partial(
        mpi.map_over_ranks,
        codec=codec,
        policy=job.policy,
        rank0_computes=job.rank0_computes,
        retries=job.retries,
        stop=signals.stop_level,
    )
