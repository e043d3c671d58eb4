"""The map of a single process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from ..engines import Tick
from ..errors import EngineError
from .job import Items, R


def serial_map(
    setup: Callable[[], Callable[[int, Tick | None], R]],
    items: Items,
    *,
    retries: int = 0,
    stop: Callable[[], int] = lambda: 0,
) -> Generator[tuple[int, R], None, None]:
    """The map of a single process.  ``stop()`` above 0 ends it between two items, above 1 within one.

    An item whose work raises is tried again ``retries`` times.
    """

    def tick() -> None:
        if stop() > 1:
            raise _StopNow

    work = setup()
    with contextlib.suppress(_StopNow):
        for item in items:
            if stop():
                return
            yield 0, _tried(work, int(item), tick, retries)


def _tried(work: Callable[[int, Tick | None], R], item: int, tick: Tick, retries: int) -> R:
    for _ in range(retries):
        with contextlib.suppress(EngineError):
            return work(item, tick)
    return work(item, tick)


class _StopNow(BaseException):
    """Leaves an engine in the middle of a chunk."""
