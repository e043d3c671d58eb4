"""Where a job runs: in this process, on the ranks that this process is one of, or on ranks launched for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import CRASHED, DONE, STOPPED, WRONG_USE, CaligoError
from ..launch import mpirun as launch
from ..launch import signals, supervise
from ..machine import environment, streams
from ..machine.wording import counted
from ..parallel.account import Ledger
from ..parallel.binding import LEFT, Place, summary, warnings
from ..parallel.job import Fault, Map, Rules
from ..parallel.messages import Codec
from ..parallel.serial import serial_map
from .exposition import exposed, metrics_file
from .job import Job, Observer

if TYPE_CHECKING:
    from ..parallel import survive


@dataclass(frozen=True, slots=True)
class Task:
    """A job that is made only where it is needed: on rank 0, or in the process that launches.

    ``codec`` carries its results between ranks.
    """

    prepare: Callable[[], Job]
    codec: Codec[Any]
    observer: Observer


def execute(task: Task, ranks: int | None) -> int:
    """Prepare the job and run it where it belongs; returns the exit code.

    ``ranks`` are launched if given, or as many as the job wants; under a launcher already, this process is one
    of them.
    """
    signals.listen()
    if launch.is_launched():
        return _one_of_several(task)
    job = _prepared(task)
    if ranks := ranks or job.mpi.ranks:
        return _supervised(job, ranks, task.observer)
    with exposed(task.observer, metrics_file(job.mpi), job.path) as observer:
        return _alone(job, observer, ranks=1, force=job.forced)


def _prepared(task: Task) -> Job:
    """The job, once it is known that the environment makes sense."""
    environment.compiling()
    job = task.prepare()
    metrics_file(job.mpi)
    return job


def _alone(
    job: Job,
    observer: Observer,
    *,
    ranks: int,
    force: bool,
) -> int:
    map_ = functools.partial(
        serial_map,
        rules=_rules(job),
        ledger=observer.ledger,
    )
    complete = job.run(map_, {"ranks": ranks}, observer, force=force)
    return _exit_code(complete, observer)


def _exit_code(complete: bool, observer: Observer) -> int:
    return observer.code if complete else STOPPED


def _rules(job: Job) -> Rules:
    return replace(job.rules, stop=signals.stop_level)


# ── launching ────────────────────────────────────────────────────────────────────────────────────


def _supervised(job: Job, ranks: int, observer: Observer) -> int:
    """Launch ranks, and again if they die."""
    # With --force a complete file may be there that is to be made anew.
    before = _inode(job.path) if job.forced else None

    def is_complete() -> bool:
        return _inode(job.path) != before and job.is_complete()

    if not is_complete():
        job.preflight()
        launches = supervise.Supervised(
            arguments=job.arguments,
            path=job.path,
            is_complete=is_complete,
            state=job.state,
            say=observer.say,
            restarts=job.protection.restarts,
            survive=job.protection.survive,
            binding=job.mpi.binding,
        )
        code = supervise.run(ranks, launches)
        if code is not None:
            return code
    # Complete, and nobody has said so: this finds it done and prints the summary.
    return _alone(job, observer, ranks=ranks, force=False)


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


# ── on our ranks ─────────────────────────────────────────────────────────────────────────────────


def _one_of_several(task: Task) -> int:
    """Rank 0 runs the job, the others serve."""
    launch.die_with_launcher()
    launch.arrive()
    try:
        asked = launch.world_size()
        from ..parallel import mpi

        mpi.check_size(asked)
    except CaligoError as error:
        raise _only_on_first_rank(str(error)) from error
    except (ImportError, RuntimeError) as error:
        # mpi4py raises the latter where it finds no MPI library.
        reason = str(error).partition("\n")[0]
        message = f"several processes were started but MPI cannot be used: {reason}"
        raise _only_on_first_rank(message) from error
    with mpi.abort_on_error(note=lambda: launch.leave(CRASHED)):
        if launch.survives():
            _survive(task, _settled_among_survivors())
        if mpi.rank() > 0:
            mpi.serve(task.codec)
            return DONE
        _recall_faults(task.observer)
        ledger = task.observer.ledger = Ledger()
        over_ranks = functools.partial(_map_over_ranks, codec=task.codec, ledger=ledger)
        code = _coordinate(task, over_ranks)
        mpi.release_workers()
        return launch.leave(code)


def _only_on_first_rank(message: str) -> SystemExit:
    """MPI itself is what fails here, so the launcher's word is taken for who comes first."""
    if launch.is_first():
        streams.say(message)
    return SystemExit(launch.leave(WRONG_USE))


def _map_over_ranks(job: Job, *, codec: Codec[Any], ledger: Ledger) -> Map:
    from ..parallel import mpi

    return functools.partial(
        mpi.map_over_ranks,
        rules=_rules(job),
        codec=codec,
        ledger=ledger,
    )


def _settled_among_survivors() -> list[Place]:
    """Where ranks are that may outlive others: bound at the start, by what the launcher was told."""
    from ..parallel import mpi

    kind = environment.text(environment.BINDING) or "none"
    try:
        return mpi.settle_here(kind) or []
    except mpi.MPI.Exception:
        return []  # one has died already


def _survive(task: Task, places: list[Place]) -> NoReturn:
    """The same where ranks may outlive others: any of them may become rank 0."""
    from ..parallel import mpi, survive

    if mpi.rank() == 0:
        _recall_faults(task.observer)

    def lost(what: str, rank: int, chunks: int) -> None:
        task.observer.say(what)
        task.observer.faults.append(Fault(what, rank, chunks))

    def coordinate(root: survive.Root[Any]) -> int:
        task.observer.ledger = root.ledger
        over_survivors = functools.partial(_map_over_survivors, root)
        return _coordinate(task, over_survivors, places)

    survive.run(
        coordinate,
        codec=task.codec,
        leave=launch.leave,
        stop=signals.stop_level,
        lost=lost,
    )


def _map_over_survivors(root: survive.Root[Any], job: Job) -> Map:
    return functools.partial(root.map, rules=_rules(job))


def _recall_faults(observer: Observer) -> None:
    """What went wrong in earlier launches and is not in the file yet."""
    observer.faults.extend(map(Fault, launch.earlier_faults()))


def _coordinate(
    task: Task,
    map_for: Callable[[Job], Map],
    places: list[Place] | None = None,
) -> int:
    """What rank 0 does; a mistake is one sentence and exit code 2.

    Ranks are bound now, unless it is known already in which ``places`` they are.
    """
    from ..parallel import mpi

    try:
        job = _prepared(task)
        _warn_of_idle_ranks(job, mpi.size(), task.observer)
        if places is None:
            places = mpi.settle(job.mpi.binding)
        task.observer.ledger.places = places
        _say_of_places(job.mpi.binding, places, task.observer)
        binding = f"{job.mpi.binding}: {summary(places)}" if places else "unknown"
        about = {
            "ranks": mpi.size(),
            "mpi": mpi.library(),
            **launch.identity(),
            "binding": binding,
        }
        with exposed(task.observer, metrics_file(job.mpi), job.path) as observer:
            complete = job.run(map_for(job), about, observer, force=job.forced)
            for sentence in observer.ledger.far_memory():
                observer.say(sentence)
            return _exit_code(complete, observer)
    except CaligoError as error:
        streams.say(str(error))
        return WRONG_USE


def _say_of_places(kind: str, places: list[Place], observer: Observer) -> None:
    for sentence in warnings(places):
        observer.say(sentence)
    how = summary(places)
    if kind not in ("auto", "none") and LEFT in how:
        observer.say(f"binding={kind}: {how}")


def _warn_of_idle_ranks(job: Job, ranks: int, observer: Observer) -> None:
    items = counted(len(job), job.noun)
    idle = ranks - len(job)
    if idle > 0:
        observer.say(f"ranks={ranks} for {items}: {counted(idle, 'rank')} will be idle")
    elif job.hint and len(job) < 4 * ranks:
        observer.say(f"only {items} for {counted(ranks, 'rank')}: {job.hint}")
