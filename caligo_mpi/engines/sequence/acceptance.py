"""The acceptance run of SeQUeNCe on a machine: facts that the engine relies on, one per line."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from ...config import SequenceConfig
from ...errors import EnvironmentProblem
from ...pairs import Pairs, bits
from ..acceptance import SIGMAS, Acceptance, Check, Finding, qbers, sigmas, versions_of
from .engine import SequenceEngine
from .environment import IMPORTED, probe

_SEED = 20_240_229
_LINK = {"length_km": 0.0}
_LOSSY = {
    "length_km": 0.4,
    "detector_efficiency": 0.8,
    "fidelity": 0.95,
    "dark_count_rate_hz": 3e5,
    "window_ns": 200,
}
_DARK = {
    "length_km": 0.0,
    "detector_efficiency": 0.0,
    "dark_count_rate_hz": 2.5e6,
    "window_ns": 200,
}
_STORED = {"storage_time_ns": 1000, "T1_ns": 5000, "T2_ns": 3000}
_ARM = {"length_km": 5, "detector_efficiency": 0.7, "dark_count_rate_hz": 2e5, "gate_width_ns": 50}
_PULSES_PER_PAIR = 4


def accept(
    write: Callable[[str], object] = print, *, pairs: int = 6000, report: Path | None = None
) -> bool:
    """Check that SeQUeNCe on this machine does what the engine relies on; takes some minutes.

    Every error rate is measured on ``pairs`` pairs.  The lines go to ``write``; the file ``report``
    has them, all numbers and the releases.  Returns whether no check failed.
    """
    if problem := probe():
        raise EnvironmentProblem(problem)
    versions = versions_of("sequence", *IMPORTED)
    run = Acceptance("sequence", versions, write, report)
    return run.run(_checks(pairs), pairs=pairs)


def _engine(**fields: Any) -> SequenceEngine:
    mode = {"mode": "spdc" if "source" in fields else "barrett_kok"}
    return SequenceEngine(SequenceConfig.model_validate({"name": "sequence", **mode, **fields}))


def _sample(engine: SequenceEngine, count: int, chunk: int = 0) -> Pairs:
    return engine.sample(count, np.random.SeedSequence(_SEED, spawn_key=(chunk,)))


def _memories(pairs: int, **fields: Any) -> Finding:
    """QBERs, and the mean of times, of a Barrett–Kok link."""
    engine = _engine(**fields)
    law = engine.expected
    sample = _sample(engine, pairs)
    measured = qbers(sample, law)
    mean = sample.duration_ns / pairs
    far = (mean - law.request_ns) / sqrt(law.request_variance_ns2 / pairs)
    states = np.bincount(sample.extra["bell_state"], minlength=4).tolist()
    numbers = {
        **measured.numbers,
        "mean_ns": mean,
        "law_ns": law.request_ns,
        "bell_states": states,
    }
    time = f"{mean:.1f} ns per pair ({law.request_ns:.1f}, {far:+.1f} sigma)"
    good = measured.good and abs(far) <= SIGMAS
    return Finding(good, f"{measured.detail}, {time}, {pairs} pairs", numbers)


def _photons(pulses: int, **fields: Any) -> Finding:
    """Coincidences and QBERs of a down-conversion source."""
    engine = _engine(**fields)
    law = engine.expected
    sample = _sample(engine, pulses)
    measured = qbers(sample, law)
    rate = sample.count / pulses
    far = sigmas(rate, law.coincidence, pulses)
    numbers = {**measured.numbers, "coincidence": rate, "law_coincidence": law.coincidence}
    coincidences = f"{rate:.4f} coincidences a pulse ({law.coincidence:.4f}, {far:+.1f} sigma)"
    good = measured.good and abs(far) <= SIGMAS
    return Finding(good, f"{coincidences}, {measured.detail}, {pulses} pulses", numbers)


def _same_seed(**fields: Any) -> Finding:
    """A chunk comes out the same after another one was simulated, which differs from it."""
    engine = _engine(**fields)
    first, other, again = (_sample(engine, 100, chunk).checksum() for chunk in (0, 1, 0))
    good = first == again and first != other
    return Finding(good, f"checksums {first:x} {again:x}", {"checksum": f"{first:x}"})


def _prefix(**fields: Any) -> Finding:
    """A shorter chunk is the beginning of a longer one: bits and times."""
    engine = _engine(**fields)
    long = _sample(engine, 100)
    short = _sample(engine, 37)
    columns = [bits.extract(column, 0, short.count) for column in long.columns]
    assert long.time is not None
    assert short.time is not None
    same_bits = np.array_equal(np.stack(columns), short.columns)
    same_times = np.array_equal(long.time[: short.count], short.time)
    return Finding(same_bits and same_times, "the first 37 of 100 are the chunk of 37")


def _speed(count: int, what: str, **fields: Any) -> Finding:
    engine = _engine(**fields)
    start = process_time()
    _sample(engine, count)
    spent = (process_time() - start) / count * 1e3
    return Finding(True, f"{spent:.3f} ms of processor time per {what}", {"ms": spent})


def _checks(pairs: int) -> list[Check]:
    """Titles and checks, in the order in which they run."""
    pulses = pairs * _PULSES_PER_PAIR
    source = {"source": {"mu": 0.5}, "loss": {"alice": _ARM, "bob": _ARM}}
    stored = {"link": _LINK, "alice": _STORED, "bob": _STORED}
    return [
        ("same seed twice, memories", lambda: _same_seed(link=_LOSSY)),
        ("same seed twice, decaying memories", lambda: _same_seed(**stored)),
        ("same seed twice, photons", lambda: _same_seed(**source)),
        ("a shorter chunk is a prefix, memories", lambda: _prefix(link=_LOSSY)),
        ("a shorter chunk is a prefix, photons", lambda: _prefix(**source)),
        ("Barrett-Kok, F = 0.9", lambda: _memories(pairs, link={**_LINK, "fidelity": 0.9})),
        ("Barrett-Kok, loss and dark counts", lambda: _memories(pairs, link=_LOSSY)),
        ("Barrett-Kok, dark counts alone", lambda: _memories(pairs, link=_DARK)),
        ("Barrett-Kok, T1 and T2", lambda: _memories(pairs, **stored)),
        ("down-conversion, loss and dark counts", lambda: _photons(pulses, **source)),
        ("speed, memories", lambda: _speed(300, "pair", link=_LINK)),
        ("speed, photons", lambda: _speed(5000, "pulse", **source)),
    ]
