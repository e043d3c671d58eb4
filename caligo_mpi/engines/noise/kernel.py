"""Which code draws the outcomes: numpy's, or the same compiled, where loading that pays.

Both give the same bits.  Numba takes half a second to load, and many seconds to compile where nothing is kept on disk.
So numpy begins, and once it has worked for as long as that takes, the compiled code is made ready in a thread
beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import EnvironmentProblem
from ...machine import environment
from ...pairs import Sink, Summed, Tally, Tick, bits, tally
from ...pairs.bits import U8
from . import outcomes, plan, tables
from .outcomes import Law

#: All that the compiled code depends on.
SOURCES = (
    str(Path(__file__).with_name("compiled.py")),
    str(Path(__file__).with_name("sums.py")),
    outcomes.__file__,
    plan.__file__,
    tables.__file__,
)

# Seconds of numpy's work in this process after which kept code is loaded, or code is compiled.
_LOADING, _COMPILING = 1.0, 20.0
#: Blocks that are summed up between two ticks: a millisecond, beside which a call of compiled code is nothing.
_TOGETHER = 8
#: Blocks that are handed to a sink at once: the thread that writes them and this one seldom wait for each other then,
#: and all that is on its way is still in a cache that cores share.
_WRITTEN_TOGETHER = 4
_MISSING = "numba is not installed: pip install 'caligo-mpi[fast]'"


def sample_counted(
    law: Law,
    count: int,
    seed: np.random.SeedSequence,
    tick: Tick,
) -> tuple[U8, Tally]:
    """Packed columns of ``count`` outcomes, uint8 of shape (4, nbytes(count)), and their counts.

    ``tick`` is called after each block.  Raises `EnvironmentProblem` where the environment asks for
    compiled code and there is none.
    """
    compiled = _LOADER.compiled()
    if compiled is not None:
        return sample_compiled(compiled, law, count, seed, tick)
    begin = time.thread_time()
    columns = outcomes.sample_records(
        law,
        count,
        tables.raw_words(seed),
        tick,
    )
    _LOADER.spend(time.thread_time() - begin)
    return columns, tally(columns, count)


def sum_up(
    law: Law,
    count: int,
    seed: np.random.SeedSequence,
    tick: Tick,
    sink: Sink | None = None,
) -> Summed | None:
    """The counts and the checksum of these columns, which a ``sink`` gets; None where it takes them as a whole."""
    compiled = _LOADER.compiled()
    if compiled is None:
        return None
    blocks = compiled.Blocks(law, seed, count)
    if not blocks.sums:
        return None
    if sink is None:
        found = _sum_up_alone(blocks, count, tick)
        return Summed(found, blocks.checksum())
    found = _sum_up_into(sink, blocks, count, tick)
    return Summed(found, blocks.checksum())


def _sum_up_into(sink: Sink, blocks: Any, count: int, tick: Tick) -> Tally:
    """Counts of columns that a sink gets, a few blocks at a time."""
    end = count >> 6
    found = Tally()
    for some in _groups(count, _WRITTEN_TOGETHER):
        first = some[0][0]
        last, words = some[-1]
        planes = sink.lend(last + words - first)
        for begin, words in some:
            at = begin - first
            found += blocks.draw(planes[:, at : at + words], begin)
        sink.take(planes[:, : end - first], first)
        tick()
    return found


def _groups(count: int, size: int) -> Iterator[list[tuple[int, int]]]:
    """The blocks of `outcomes.blocks`, so many at a time."""
    planned = list(outcomes.blocks(count))
    for start in range(0, len(planned), size):
        yield planned[start : start + size]


def _sum_up_alone(blocks: Any, count: int, tick: Tick) -> Tally:
    """Counts of columns that nobody gets."""
    found = Tally()
    for some in _groups(count, _TOGETHER):
        first = some[0][0]
        found += blocks.sum_up(first, [words for _, words in some])
        tick()
    return found


def sample_compiled(
    compiled: ModuleType,
    law: Law,
    count: int,
    seed: np.random.SeedSequence,
    tick: Tick,
) -> tuple[U8, Tally]:
    """The same by the module `compiled`."""
    size = bits.nbytes(count)
    planes = np.empty((4, (count + 63) >> 6), np.uint64)
    columns = planes.view(np.uint8)
    blocks = compiled.Blocks(law, seed)
    counts = Tally()
    for first, words in outcomes.blocks(count):
        rows = count - 64 * first
        part = planes[:, first : first + words]
        if rows >= 64 * words:
            counts += blocks.draw(part, first)
        else:  # a block is always drawn whole
            whole = np.empty((4, words), np.uint64)
            blocks.draw(whole, first)
            last = whole.view(np.uint8)[:, : bits.nbytes(rows)]
            bits.clear_padding(last, rows)
            counts += tally(last, rows)
            part[:] = whole[:, : part.shape[1]]
        tick()
    return np.ascontiguousarray(columns[:, :size]), counts


class Loader:
    """Has the compiled module, once that is worth its loading, or why there is none."""

    def __init__(self) -> None:
        self.problem = ""
        self._module: ModuleType | None = None
        self._thread: threading.Thread | None = None
        self._spent = 0.0
        self._due = _LOADING

    def compiled(self) -> ModuleType | None:
        """The module, if it is ready."""
        choice = environment.compiling()
        if self._module is None and choice == "on":
            self.load()
            if self._module is None:
                raise EnvironmentProblem(
                    f"{environment.COMPILE}=on in the environment, but {self.problem}"
                )
        return self._module

    def spend(self, seconds: float) -> None:
        """So much more work was done by numpy; where it is enough, loading begins."""
        self._spent += seconds
        if self._spent < self._due or self.problem:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        may_compile = self._due == _COMPILING
        self._due = _COMPILING
        if environment.compiling() == "auto":
            self._thread = threading.Thread(target=self.load, args=(may_compile,))
            self._thread.start()

    def load(self, may_compile: bool = True) -> None:
        """Load the module; not where it would have to be compiled and ``may_compile`` is false."""
        if importlib.util.find_spec("numba") is None:
            self.problem = _MISSING
            return
        try:
            from ...machine import jit

            if may_compile or jit.is_kept(*SOURCES):
                self._module = importlib.import_module(".compiled", __package__)
        except Exception as error:  # whatever a broken numba raises
            self.problem = f"numba cannot be used ({type(error).__name__}: {error})"


_LOADER = Loader()


def require_choice() -> None:
    """Raise `EnvironmentProblem` now where the environment asks for what is not there."""
    _LOADER.compiled()


def describe() -> str:
    """How the outcomes are drawn here, for people."""
    if environment.compiling() == "off":
        return f"with numpy ({environment.COMPILE}=off)"
    loader = Loader()
    loader.load(may_compile=False)
    if loader.problem:
        return f"with numpy ({loader.problem})"
    if loader.compiled() is None:
        return "with numpy, and compiled in long runs"
    return "compiled, with numpy in short runs"
