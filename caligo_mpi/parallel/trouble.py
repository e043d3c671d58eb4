"""What a rank says of an exception."""

from __future__ import annotations

import socket
import traceback


def failure(error: BaseException, rank: int, size: int) -> tuple[str, str]:
    """The sentence, and where it came from: rank, host and traceback."""
    lines = traceback.format_exception(error)
    host = socket.gethostname()
    where = f"rank {rank} of {size} on {host} failed:\n"
    where += "".join(lines)
    return str(error), where
