"""The transport over MPI, and what keeps one failed rank from hanging the rest.

The only module that imports mpi4py.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import mpi4py
import numpy as np

from ..errors import EnvironmentProblem
from ..pairs.bits import U8
from . import binding, worker
from .account import Ledger
from .binding import Place
from .coordinator import Coordinator
from .job import Items, Rules, Setup
from .messages import EMPTY, Codec, Tag
from .transport import Envelope
from .trouble import failure

mpi4py.rc.threads = False
from mpi4py import MPI as MPI  # noqa: E402

WORLD = MPI.COMM_WORLD

R = TypeVar("R")
T = TypeVar("T")

_DEFAULT = Rules()


class MpiTransport:
    """A `Transport` over a communicator of MPI; all messages are bytes."""

    def __init__(self, comm: MPI.Comm = WORLD) -> None:
        self.comm = comm
        self.rank = int(comm.rank)
        self.size = int(comm.size)
        self.status = MPI.Status()

    def send(self, target: int, tag: int, payload: U8) -> _Request:
        """Begin to send."""
        message = [payload, MPI.BYTE]
        return _Request(self.comm.Isend(message, target, tag))

    def arrived(self, tag: int | None = None) -> Envelope | None:
        """Probe, without waiting."""
        status = self.status
        wanted = MPI.ANY_TAG if tag is None else tag
        if not self.comm.Iprobe(MPI.ANY_SOURCE, wanted, status):
            return None
        return Envelope(
            source=status.Get_source(),
            tag=status.Get_tag(),
            nbytes=status.Get_count(MPI.BYTE),
        )

    def take(self, envelope: Envelope) -> U8:
        """Receive what was probed."""
        buffer = np.empty(envelope.nbytes, np.uint8)
        self.comm.Recv([buffer, MPI.BYTE], envelope.source, envelope.tag)
        return buffer

    def receive(self, source: int, tag: int, buffer: U8) -> _Request:
        """Begin to receive."""
        message = [buffer, MPI.BYTE]
        return _Request(self.comm.Irecv(message, source, tag))

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class _Request:
    """A `Pending` of MPI."""

    __slots__ = ("request",)

    def __init__(self, request: MPI.Request) -> None:
        self.request = request

    def done(self) -> bool:
        """Test it."""
        return bool(self.request.Test())


def map_over_ranks(
    setup: Setup[R],
    items: Items,
    rules: Rules = _DEFAULT,
    *,
    codec: Codec[R],
    ledger: Ledger | None = None,
) -> Generator[tuple[int, R], None, None]:
    """``(rank, work(item))`` for each item, in the order of ``items``, computed on all ranks.

    ``setup`` is pickled, sent to every rank once and gives the work function there.  Closing the
    iterator ends the map at once.  Raises `EngineError` for an item that failed too often.  To be
    called on rank 0 while the other ranks `serve`.  What ranks do with their time is noted in ``ledger``.
    """
    coordinator = Coordinator(MpiTransport(), codec, rules, ledger)
    return coordinator.map(setup, items)


def serve(codec: Codec[Any]) -> None:
    """Work for rank 0 until it says that there is nothing more to do."""
    worker.serve(MpiTransport(), codec, settle_here)


def settle(kind: str) -> list[Place]:
    """Have all ranks bound as ``kind`` says; called by rank 0 while the others `serve`.

    Returns where each one really is.
    """
    payload = np.frombuffer(kind.encode(), np.uint8)
    _tell_all(payload, Tag.SETTLE)
    return settle_here(kind) or []


def _tell_all(payload: U8, tag: Tag) -> None:
    """Send the same from rank 0 to all others."""
    for target in range(1, WORLD.size):
        WORLD.Send([payload, MPI.BYTE], target, tag)


def settle_here(kind: str) -> list[Place] | None:
    """What every rank does of it, all at the same time; the places of all on rank 0, None elsewhere."""
    own = frozenset(os.sched_getaffinity(0))
    host = WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        masks = host.allgather(own)
        place = binding.settle(kind, masks, host.rank)
    finally:
        host.Free()
    return gather(place)


def release_workers() -> None:
    """Let the other ranks leave `serve`; called by rank 0 when there is nothing more to map."""
    _tell_all(EMPTY, Tag.END)


def rank() -> int:
    """The rank of this process."""
    return int(WORLD.rank)


def size() -> int:
    """How many ranks there are."""
    return int(WORLD.size)


def check_size(asked: int) -> None:
    """Refuse to run as separate copies of one rank each.

    That is what a launcher of another MPI starts, and it exits with 0.
    """
    if WORLD.size != asked:
        raise EnvironmentProblem(
            f"ranks={asked} were asked for but MPI reports a world of {WORLD.size}: the launcher "
            f"does not belong to the MPI library that mpi4py loaded ({library()}); use the mpirun "
            "of that library"
        )


def gather(value: T) -> list[T] | None:
    """The values of all ranks, in their order, on rank 0; None elsewhere."""
    found: list[T] | None = WORLD.gather(value)
    return found


def meet() -> None:
    """Wait until all ranks are here, without keeping a core busy."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(1e-3)


def round_trip(peer: int, buffer: U8) -> float:
    """Seconds until ``buffer`` is back from a peer that `echo`es it, as that left it."""
    message = [buffer, MPI.BYTE]
    begin = time.perf_counter()
    WORLD.Send(message, peer, Tag.PING)
    WORLD.Recv(message, peer, Tag.PING)
    return time.perf_counter() - begin


def echo(buffer: U8, fill: Callable[[], object] = lambda: None) -> None:
    """Send back to rank 0 what it sends, once; ``fill`` may change it on the way."""
    message = [buffer, MPI.BYTE]
    WORLD.Recv(message, 0, Tag.PING)
    fill()
    WORLD.Send(message, 0, Tag.PING)


def library() -> str:
    """Name and version of the MPI library in use, on one line."""
    text = MPI.Get_library_version().strip("\0 \n")
    line, _, _ = text.partition("\n")
    name, _, _ = line.partition(",")
    return " ".join(name.split())


@contextlib.contextmanager
def abort_on_error(note: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Take the whole job down when one rank fails, with its traceback; else others would wait.

    ``note`` is called first, unless the failure is MPI's own: that may only tell of another
    rank's death.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, MPI.Exception):
            note()
        if WORLD.size == 1:
            raise
        _, where = failure(error, rank(), size())
        sys.stderr.write(where)
        sys.stderr.flush()
        WORLD.Abort(1)
