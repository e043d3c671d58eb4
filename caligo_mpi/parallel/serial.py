"""The map of a single process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import TypeVar

from ..errors import EngineError
from ..pairs.chunks import Tick
from .account import Ledger
from .job import Items, Rules, Setup, Work

R = TypeVar("R")

_DEFAULT = Rules()


def serial_map(
    setup: Setup[R],
    items: Items,
    rules: Rules = _DEFAULT,
    ledger: Ledger | None = None,
) -> Generator[tuple[int, R], None, None]:
    """``(0, work(item))`` for each item; of the ``rules``, ``retries`` and ``stop`` count here.

    What this process does with its time is noted in ``ledger``.
    """

    def tick() -> None:
        if rules.stop() > 1:
            raise _StopNow

    account = (ledger or Ledger()).own
    work = setup()
    with contextlib.suppress(_StopNow):
        for item in items:
            if rules.stop():
                return
            start = time.perf_counter()
            before = account.elsewhere
            result = _tried(work, int(item), tick, rules.retries)
            account.worked(start, before)
            start = time.perf_counter()
            yield 0, result
            account.writing += time.perf_counter() - start


def _tried(
    work: Work[R],
    item: int,
    tick: Tick,
    retries: int,
) -> R:
    for _ in range(retries):
        with contextlib.suppress(EngineError):
            return work(item, tick)
    return work(item, tick)


class _StopNow(BaseException):
    """Leaves an engine in the middle of a chunk."""
