"""A polite stop: signals set a level that the run looks at between pieces of work.

SIGTERM, SIGINT, SIGUSR1, SIGUSR2, and SIGHUP where nobody has it ignored (``nohup``), ask for the
end; a second one asks for it at once.  Either way the file stays resumable.  A handler only
counts, so it can be installed before anything slow is imported.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)

#: A launcher may pass one request on twice, to the process group and to each rank: within this
#: time they count as one.
_SAME_REQUEST_SECONDS = 0.3

_requests: list[float] = []


def listen() -> None:
    """Count stop requests from now on instead of dying of them."""
    for number in ASKING:
        signal.signal(number, _count)
    under_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    if not under_nohup:  # else the terminal may go, and the run goes on
        signal.signal(signal.SIGHUP, _count)


def _count(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if not _requests or now - _requests[-1] > _SAME_REQUEST_SECONDS:
        _requests.append(now)


def stop_level() -> int:
    """0: go on; 1: finish what is running, then end; 2: end now."""
    return min(len(_requests), 2)
