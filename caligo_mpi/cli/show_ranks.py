"""What a person reads of ranks: what each one did with its time in the last launch, and the same for ``--json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..machine.wording import counted, duration, quantity

#: Ranks that are shown one by one.
_MOST = 16
_TIMES = ("busy", "communicating", "writing", "idle")

Rows = NDArray[np.void]


def rank_lines(metrics: Rows, runs: Rows) -> Iterator[str]:
    """A summary of the last launch that told, and a line for each of its ranks."""
    if not len(metrics):
        return
    rows = metrics[metrics["run"] == metrics["run"].max()]
    whole = together(rows)
    ranks = counted(int(rows["ranks"].sum()), "rank")
    yield (
        f"  last launch: {ranks}, efficiency {100 * whole['efficiency']:.0f} %, "
        f"load balance {100 * whole['balance']:.0f} %"
    )
    if binding := _binding(runs, int(rows["run"][0])):
        yield f"    binding {binding}"
    for row in rows[:_MOST]:
        yield f"    {_name(row)}: {_split(row)}; {_traffic(row)}{_place(row)}"
    if len(rows) > _MOST:
        yield f"    … {counted(len(rows) - _MOST, 'rank')} more; --json has them all"


def _binding(runs: Rows, launch: int) -> str:
    """How the ranks of a launch were bound, as it noted; empty where it noted nothing."""
    if launch >= len(runs):
        return ""
    try:
        noted = json.loads(runs["software"][launch])
    except ValueError:
        return ""  # cut to what fits
    return str(noted.get("binding", ""))


def together(rows: Rows) -> dict[str, float]:
    """Of all ranks of a launch: the share of their time in which they simulated, and the mean load over the most."""
    ranks = rows["ranks"].astype(float)
    seconds = float(rows["seconds"].sum())
    return {
        "efficiency": float(rows["busy"].sum()) / seconds if seconds else 0.0,
        "balance": float((rows["balance"] * ranks).sum() / ranks.sum()),
    }


def ranks_list(metrics: Rows) -> list[dict[str, Any]]:
    """Every row of ``/metrics`` for machines."""
    names = [
        name
        for name in metrics.dtype.names or ()
        if name not in ("reserved", "row_checksum", "host", "cores")
    ]
    found = []
    for row in metrics:
        values = {name: row[name].item() for name in names}
        places = {name: row[name].decode("utf-8", "replace") for name in ("host", "cores")}
        found.append({**values, **places})
    return found


def _name(row: np.void) -> str:
    first, ranks = int(row["rank"]), int(row["ranks"])
    return f"rank {first}" if ranks == 1 else f"ranks from {first}, {ranks} together"


def _split(row: np.void) -> str:
    """How the rank's time was spent, in percent."""
    seconds = max(float(row["seconds"]), 1e-9)
    parts = ", ".join(f"{100 * float(row[name]) / seconds:.0f} % {name}" for name in _TIMES)
    return f"{duration(float(row['seconds']))}: {parts}"


def _traffic(row: np.void) -> str:
    sent = f"{counted(int(row['messages']), 'message')} of {quantity(int(row['bytes']))}B"
    return f"{sent}, {quantity(int(row['peak_memory']))}B of memory at most"


def _place(row: np.void) -> str:
    host, cores = (row[name].decode("utf-8", "replace") for name in ("host", "cores"))
    return f"; {host}:{cores}" if host else ""
