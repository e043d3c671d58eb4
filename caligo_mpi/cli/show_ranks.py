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
    last = metrics["run"].max()
    rows = metrics[metrics["run"] == last]
    whole = together(rows)
    number = int(rows["ranks"].sum())
    ranks = counted(number, "rank")
    efficiency = 100 * whole["efficiency"]
    balance = 100 * whole["balance"]
    yield f"  last launch: {ranks}, efficiency {efficiency:.0f} %, load balance {balance:.0f} %"
    binding = _binding(runs, int(last))
    if binding:
        yield f"    binding {binding}"
    for row in rows[:_MOST]:
        yield f"    {_name(row)}: {_split(row)}; {_traffic(row)}{_place(row)}"
    if len(rows) > _MOST:
        more = counted(len(rows) - _MOST, "rank")
        yield f"    … {more} more; --json has them all"


def _binding(runs: Rows, launch: int) -> str:
    """How the ranks of a launch were bound, as it noted; empty where it noted nothing."""
    if launch >= len(runs):
        return ""
    text = runs["software"][launch]
    try:
        noted = json.loads(text)
    except ValueError:
        return ""  # cut to what fits
    return str(noted.get("binding", ""))


def together(rows: Rows) -> dict[str, float]:
    """Of all ranks of a launch: the share of their time in which they simulated, and the mean load over the most."""
    busy = float(rows["busy"].sum())
    seconds = float(rows["seconds"].sum())
    ranks = rows["ranks"].astype(float)
    load = (rows["balance"] * ranks).sum()
    return {
        "efficiency": busy / seconds if seconds else 0.0,
        "balance": float(load / ranks.sum()),
    }


def ranks_list(metrics: Rows) -> list[dict[str, Any]]:
    """Every row of ``/metrics`` for machines."""
    numbers = []
    for name in metrics.dtype.names or ():
        if name not in ("reserved", "row_checksum", "host", "cores"):
            numbers.append(name)
    found = []
    for row in metrics:
        values: dict[str, Any] = {name: row[name].item() for name in numbers}
        for name in ("host", "cores"):
            values[name] = _text(row, name)
        found.append(values)
    return found


def _name(row: np.void) -> str:
    first = int(row["rank"])
    ranks = int(row["ranks"])
    if ranks == 1:
        return f"rank {first}"
    return f"ranks from {first}, {ranks} together"


def _split(row: np.void) -> str:
    """How the rank's time was spent, in percent."""
    seconds = float(row["seconds"])
    shares = []
    for name in _TIMES:
        percent = 100 * float(row[name]) / max(seconds, 1e-9)
        shares.append(f"{percent:.0f} % {name}")
    return f"{duration(seconds)}: {', '.join(shares)}"


def _traffic(row: np.void) -> str:
    messages = int(row["messages"])
    sent = int(row["bytes"])
    memory = int(row["peak_memory"])
    told = f"{counted(messages, 'message')} of {quantity(sent)}B"
    return f"{told}, {quantity(memory)}B of memory at most"


def _place(row: np.void) -> str:
    host = _text(row, "host")
    cores = _text(row, "cores")
    return f"; {host}:{cores}" if host else ""


def _text(row: np.void, name: str) -> str:
    text: str = row[name].decode("utf-8", "replace")
    return text
