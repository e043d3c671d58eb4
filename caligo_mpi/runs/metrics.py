"""What the ranks of a launch do, on its way into the run's file."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from ..machine.topology import ranges
from ..parallel.account import Ledger, balance, efficiency
from ..store import METRICS_DTYPE, PairStore

#: Between two times that it is written; a kill loses the account of so much.
_SECONDS = 2.0

_TIMES = ("seconds", "busy", "idle", "communicating", "writing")
_COPIED = (
    "rank",
    *_TIMES,
    "messages",
    "bytes",
    "peak_memory",
)


def rows_of(ledger: Ledger) -> NDArray[np.void]:
    """The ledger as rows of ``/metrics``; none where no rank has worked on anything."""
    table = ledger.table()
    if not table["items"].any():
        return np.zeros(0, METRICS_DTYPE)
    rows = np.zeros(len(table), METRICS_DTYPE)
    for name in _COPIED:
        rows[name] = table[name]
    rows["ranks"] = 1
    rows["chunks"] = table["items"]
    rows["efficiency"] = efficiency(table)
    rows["balance"] = balance(table)
    for row, rank in enumerate(table["rank"].tolist()):
        if rank < len(ledger.places):
            place = ledger.places[rank]
            cores = ranges(place.cores)
            rows["host"][row] = place.host.encode()[:32]
            rows["cores"][row] = cores.encode()[:32]
    return rows


class Metrics:
    """Writes what a launch's ranks did so far into the file that they make: now and then, and at the end."""

    def __init__(self, pair_store: PairStore, ledger: Ledger) -> None:
        self._store = pair_store
        self._ledger = ledger
        self._written = time.monotonic()

    def note(self) -> None:
        """Write if it is time."""
        if time.monotonic() - self._written >= _SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is known by now."""
        rows = rows_of(self._ledger)
        if len(rows):
            self._store.record_metrics(rows)
        self._written = time.monotonic()
