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
_ARM = {
    "length_km": 5,
    "detector_efficiency": 0.7,
    "dark_count_rate_hz": 2e5,
    "gate_width_ns": 50,
}
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
    values = {
        "name": "sequence",
        "mode": "spdc" if "source" in fields else "barrett_kok",
        **fields,
    }
    config = SequenceConfig.model_validate(values)
    return SequenceEngine(config)


def _sample(engine: SequenceEngine, count: int, chunk: int = 0) -> Pairs:
    seed = np.random.SeedSequence(_SEED, spawn_key=(chunk,))
    return engine.sample(count, seed)


def _memories(pairs: int, **fields: Any) -> Finding:
    """QBERs, and the mean of times, of a Barrett–Kok link."""
    engine = _engine(**fields)
    law = engine.expected
    sample = _sample(engine, pairs)
    measured = qbers(sample, law)
    mean = sample.duration_ns / pairs
    spread = sqrt(law.request_variance_ns2 / pairs)
    far = (mean - law.request_ns) / spread
    states = np.bincount(sample.extra["bell_state"], minlength=4)
    numbers = {
        **measured.numbers,
        "mean_ns": mean,
        "law_ns": law.request_ns,
        "bell_states": states.tolist(),
    }
    time = f"{mean:.1f} ns per pair ({law.request_ns:.1f}, {far:+.1f} sigma)"
    good = measured.good and abs(far) <= SIGMAS
    detail = f"{measured.detail}, {time}, {pairs} pairs"
    return Finding(good, detail, numbers)


def _photons(pulses: int, **fields: Any) -> Finding:
    """Coincidences and QBERs of a down-conversion source."""
    engine = _engine(**fields)
    law = engine.expected
    sample = _sample(engine, pulses)
    measured = qbers(sample, law)
    rate = sample.count / pulses
    far = sigmas(rate, law.coincidence, pulses)
    numbers = {
        **measured.numbers,
        "coincidence": rate,
        "law_coincidence": law.coincidence,
    }
    coincidences = f"{rate:.4f} coincidences a pulse ({law.coincidence:.4f}, {far:+.1f} sigma)"
    good = measured.good and abs(far) <= SIGMAS
    detail = f"{coincidences}, {measured.detail}, {pulses} pulses"
    return Finding(good, detail, numbers)


def _same_seed(**fields: Any) -> Finding:
    """A chunk comes out the same after another one was simulated, which differs from it."""
    engine = _engine(**fields)
    first = _sample(engine, 100, chunk=0).checksum()
    other = _sample(engine, 100, chunk=1).checksum()
    again = _sample(engine, 100, chunk=0).checksum()
    good = first == again and first != other
    detail = f"checksums {first:x} {again:x}"
    return Finding(good, detail, {"checksum": f"{first:x}"})


def _prefix(**fields: Any) -> Finding:
    """A shorter chunk is the beginning of a longer one: bits and times."""
    engine = _engine(**fields)
    long = _sample(engine, 100)
    short = _sample(engine, 37)
    columns = [bits.extract(column, 0, short.count) for column in long.columns]
    assert long.time is not None
    assert short.time is not None
    begun = np.stack(columns)
    same_bits = np.array_equal(begun, short.columns)
    same_times = np.array_equal(long.time[: short.count], short.time)
    good = same_bits and same_times
    return Finding(good, "the first 37 of 100 are the chunk of 37")


def _speed(count: int, what: str, **fields: Any) -> Finding:
    engine = _engine(**fields)
    start = process_time()
    _sample(engine, count)
    took = process_time() - start
    spent = took / count * 1e3
    detail = f"{spent:.3f} ms of processor time per {what}"
    return Finding(True, detail, {"ms": spent})


def _checks(pairs: int) -> list[Check]:
    """Titles and checks, in the order in which they run."""
    pulses = pairs * _PULSES_PER_PAIR
    arms = {"alice": _ARM, "bob": _ARM}
    source = {"source": {"mu": 0.5}, "loss": arms}
    stored = {"link": _LINK, "alice": _STORED, "bob": _STORED}
    noisy = {**_LINK, "fidelity": 0.9}
    return [
        ("same seed twice, memories", lambda: _same_seed(link=_LOSSY)),
        ("same seed twice, decaying memories", lambda: _same_seed(**stored)),
        ("same seed twice, photons", lambda: _same_seed(**source)),
        ("a shorter chunk is a prefix, memories", lambda: _prefix(link=_LOSSY)),
        ("a shorter chunk is a prefix, photons", lambda: _prefix(**source)),
        ("Barrett-Kok, F = 0.9", lambda: _memories(pairs, link=noisy)),
        ("Barrett-Kok, loss and dark counts", lambda: _memories(pairs, link=_LOSSY)),
        ("Barrett-Kok, dark counts alone", lambda: _memories(pairs, link=_DARK)),
        ("Barrett-Kok, T1 and T2", lambda: _memories(pairs, **stored)),
        ("down-conversion, loss and dark counts", lambda: _photons(pulses, **source)),
        ("speed, memories", lambda: _speed(300, "pair", link=_LINK)),
        ("speed, photons", lambda: _speed(5000, "pulse", **source)),
    ]
