"""Columns of a chunk that a thread writes while the next of its blocks are simulated.

A few pieces of memory go round: each is filled while others are written, and is small enough to be in a cache still.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import write_at

Words = NDArray[np.uint64]

# Pieces of memory that go round.
_BLOCKS = 4


class _Due(NamedTuple):
    """A block to be written, and where in the file each of its rows goes."""

    block: Words
    places: list[int]


class _Back(NamedTuple):
    """A block that was written, or what went wrong."""

    block: Words
    problem: OSError | None


class BlockWriter:
    """Writes blocks into a file, in the order in which they come, in a thread; in the end it closes the file."""

    def __init__(self, fd: int) -> None:
        self._due: SimpleQueue[_Due | None] = SimpleQueue()
        self._back: SimpleQueue[_Back] = SimpleQueue()
        self._free = _new_blocks(_BLOCKS)
        self._away = 0
        self.problem: OSError | None = None
        # A daemon, since the interpreter waits for others before it runs finalizers.
        thread = threading.Thread(
            target=_write_blocks,
            args=(fd, self._due, self._back),
            daemon=True,
        )
        thread.start()
        weakref.finalize(self, _close, thread, self._due, fd)

    def lend(self, words: int) -> Words:
        """Memory of shape (4, words); waits until there is some."""
        if not self._free:
            self._take_back()
        memory = self._free.pop()
        if memory.shape[1] < words:
            memory = np.empty((4, words), np.uint64)
        return memory[:, :words]

    def write(self, block: Words, places: list[int]) -> None:
        """Have the rows of lent memory written at these places."""
        self._away += 1
        self._due.put(_Due(block, places))

    def drain(self) -> None:
        """Wait until all is written; ``problem`` is what went wrong since it was set to None."""
        while self._away:
            self._take_back()
        # What was lent and never came, since an error came between.
        self._free += _new_blocks(_BLOCKS - len(self._free))

    def _take_back(self) -> None:
        block, problem = self._back.get()
        self._away -= 1
        self._free.append(block if block.base is None else block.base)
        self.problem = self.problem or problem


class Stream:
    """A `caligo_mpi.pairs.Sink`: one chunk, whose packed columns begin at these ``places`` of the file.

    When it is left, nothing is written any more: the file may be finished next.
    """

    def __init__(self, writer: BlockWriter, places: list[int]) -> None:
        self._writer = writer
        self._places = places
        self.waited = 0.0  # seconds

    def __enter__(self) -> Stream:
        self._writer.problem = None
        return self

    def __exit__(self, *error: object) -> None:
        start = time.perf_counter()
        self._writer.drain()
        self.waited += time.perf_counter() - start

    @property
    def is_written(self) -> bool:
        """Whether all that was taken is in the file; to be asked once the stream was left."""
        return self._writer.problem is None

    def lend(self, words: int) -> Words:
        """Memory for the next block, of shape (4, words)."""
        start = time.perf_counter()
        memory = self._writer.lend(words)
        self.waited += time.perf_counter() - start
        return memory

    def take(self, block: Words, first: int) -> None:
        """Have the block written as words ``first`` on of each column."""
        places = [place + 8 * first for place in self._places]
        self._writer.write(block, places)


def _new_blocks(number: int) -> list[Words]:
    """Blocks that have no memory yet."""
    return [np.empty((4, 0), np.uint64) for _ in range(number)]


def _write_blocks(fd: int, due: SimpleQueue[_Due | None], back: SimpleQueue[_Back]) -> None:
    """What the thread does; it holds nothing that would keep its `BlockWriter` alive."""
    while (found := due.get()) is not None:
        problem = _written(fd, found)
        back.put(_Back(found.block, problem))


def _written(fd: int, due: _Due) -> OSError | None:
    """Write a block; what went wrong."""
    try:
        for row, place in zip(due.block, due.places, strict=True):
            write_at(fd, row, place)
    except OSError as error:
        return error
    return None


def _close(thread: threading.Thread, due: SimpleQueue[_Due | None], fd: int) -> None:
    """Not before the thread is done: another file could have got the number."""
    due.put(None)
    thread.join()
    os.close(fd)
