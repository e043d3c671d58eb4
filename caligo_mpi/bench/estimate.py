"""What a case will take, before it is run: from earlier sessions where there are any, else roughly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

from .plan import Case

#: Pairs per second of one core and seconds to start, of the order of magnitude; nothing depends on them.
_ROUGH = {
    "noise": (2e8, 0.5),
    "netsquid": (1e3, 3.0),
    "sequence": (3e2, 3.0),
    "stim": (1e7, 0.6),
    "qiskit-aer": (1.5e5, 1.5),
    "cirq": (5e5, 3.0),
    "qsim": (8e4, 3.5),
    "pennylane": (4e6, 4.0),
    "plain": (2e7, 0.5),
    "loop": (1e6, 0.5),
    "threads": (1e6, 0.5),
    "processes": (1.5e6, 2.5),
}
_UNKNOWN = (1e6, 1.0)
#: Seconds of a call of numpy, or of a task of a pool.
_CALL_SECONDS = {
    "plain": 3e-5,
    "threads": 5e-5,
    "processes": 2e-4,
}
#: MiB of a process with its libraries.
_LIBRARIES = {
    "cirq": 250,
    "qsim": 280,
    "pennylane": 350,
    "qiskit-aer": 250,
    "processes": 250,
}
_PROCESS_MIB = 80


class Forecast(NamedTuple):
    """Seconds and bytes of one run; ``source`` says where they are from."""

    seconds: float
    bytes: int
    source: str


def forecast(case: Case, history: Iterable[Mapping[str, Any]]) -> Forecast:
    """An estimate of a case."""
    engine = case.values["run"]["engine"]
    name = engine["name"]
    speed, start = _ROUGH.get(name, _UNKNOWN)
    source = "rough"
    known = _speeds_before(case, history)
    if known:
        speed = median(known)
        source = "as before"
    elif name in _CALL_SECONDS and engine.get("batch"):
        call = _CALL_SECONDS[name] / engine["batch"]
        speed = 1 / (1 / speed + call)
    elif name == "noise":
        speed *= case.ranks
    launch = 1.0 if case.ranks > 1 else 0.0
    seconds = start + launch + case.pairs / speed
    if case.values["work"] == "distill" and not known:
        seconds += case.pairs / 1e6
    mib = _LIBRARIES.get(name, _PROCESS_MIB) * case.ranks
    columns = 8 * min(case.pairs, 1 << 24)
    return Forecast(seconds, (mib << 20) + columns, source)


def _speeds_before(case: Case, history: Iterable[Mapping[str, Any]]) -> list[float]:
    """Speeds of the case in the last session that has any."""
    last: list[float] = []
    for line in history:
        found = line["cases"].get(case.key)
        if found and found["speeds"]:
            last = found["speeds"]
    return last
