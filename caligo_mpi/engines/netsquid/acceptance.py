"""The acceptance run for a machine with a NetSquid license: facts, pass or fail, one per line.

What the tests of this project take on trust from a stand-in is measured here on the real thing.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata
from math import sqrt
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import NetsquidConfig, SequentialConfig
from ...config.netsquid import HeraldedLinkConfig
from ...pairs import Pairs, bits, tally
from . import simulator
from .engine import NetsquidEngine
from .environment import is_stand_in
from .heralded import heralded
from .sequential import run_sequential

Verdict = tuple[bool, str]

_SEED = 20_240_229
_SIGMAS = 4.9  # two-sided false alarm 1e-6 per rate


def accept(write: Callable[[str], object] = print, *, pairs: int = 6000) -> bool:
    """Check NetSquid on this machine against what the engine relies on, with ``pairs`` pairs per rate; some minutes.

    Writes a table to send to the project.  SKIP is for what the stand-in does not have; NetSquid has no SKIP.
    """
    simulator.require()
    write(_heading())
    words = [_line(title, check, write) for title, check in _checks(pairs)]
    good = "FAIL" not in words
    passed, skipped, failed = map(words.count, ("PASS", "SKIP", "FAIL"))
    write(
        f"{'ACCEPTED' if good else 'NOT ACCEPTED'}: {passed} checks passed, {skipped} skipped, {failed} failed"
    )
    return good


def _heading() -> str:
    names = (
        "netsquid",
        "pydynaa",
        "netsquid-magic",
        "netsquid-netbuilder",
        "squidasm",
        "netqasm",
        "numpy",
    )
    name = "netsquid (stand-in)" if is_stand_in() else "netsquid"
    versions = ", ".join(f"{n} {v}" for n in names if (v := _version(n)))
    return f"engine {name} on Python {platform.python_version()}, {platform.machine()}: {versions}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _line(title: str, check: Callable[[], Verdict], write: Callable[[str], object]) -> str:
    """The word for how the check went."""
    try:
        passed, detail = check()
        word = "PASS" if passed else "FAIL"
    except NotImplementedError as missing:  # only the stand-in may lack something
        word, detail = "SKIP" if is_stand_in() else "FAIL", str(missing)
    except Exception as error:  # a check that breaks is a finding, and the others still have to run
        word, detail = "FAIL", f"{type(error).__name__}: {error}"
    write(f"{word}  {title}: {detail}")
    return word


def _config(**fields: Any) -> NetsquidConfig:
    return NetsquidConfig.model_validate(
        {"name": "netsquid", "link": {"type": "perfect"}, **fields}
    )


def _sample(config: NetsquidConfig, count: int, chunk: int = 0) -> Pairs:
    return NetsquidEngine(config).sample(count, np.random.SeedSequence(_SEED, spawn_key=(chunk,)))


def _times(pairs: Pairs) -> NDArray[np.float64]:
    """Their times, which this engine always gives."""
    assert pairs.time is not None
    return pairs.time


def _rates(config: NetsquidConfig, pairs: int) -> Verdict:
    """Both QBERs against the closed forms."""
    law, seen = NetsquidEngine(config).expected, tally(_sample(config, pairs).columns, pairs)
    z, x = seen.errors_z / seen.sifted_z, seen.errors_x / seen.sifted_x
    far = _far(z, law.qber_z, seen.sifted_z), _far(x, law.qber_x, seen.sifted_x)
    detail = f"Z {z:.4f} ({law.qber_z:.4f}, {far[0]:+.1f} sigma), X {x:.4f} ({law.qber_x:.4f}, {far[1]:+.1f} sigma)"
    return max(map(abs, far)) <= _SIGMAS, f"{detail}, {pairs} pairs"


def _far(rate: float, law: float, count: int) -> float:
    """Distance in standard deviations; a rate that can only be 0 or 1 must be met exactly."""
    spread = sqrt(law * (1 - law) / count)
    return (rate - law) / spread if spread > 1e-9 else (0.0 if abs(rate - law) < 1e-9 else np.inf)


def _fields() -> Verdict:
    """Every field this engine sets exists in netbuilder's models (which ignore unknown ones)."""
    single, double = (
        {"type": f"heralded-{clicks}-click", "length_km": 1.0} for clicks in ("single", "double")
    )
    wanted: dict[str, set[str]] = {
        "GenericQDeviceConfig": set(simulator.device_fields(_config(), 1)),
        "PerfectQLinkConfig": set(simulator.link_fields(_config())),
        "DepolariseQLinkConfig": set(
            simulator.link_fields(_config(link={"fidelity": 0.9, "cycle_time_ns": 1000}))
        ),
        "HeraldedSingleClickQLinkConfig": set(simulator.link_fields(_config(link=single))),
        "HeraldedDoubleClickQLinkConfig": set(simulator.link_fields(_config(link=double))),
    }
    absent = [
        f"{name}.{field}"
        for name, fields in wanted.items()
        for field in fields - simulator.known_fields(name)
    ]
    return not absent, f"absent: {', '.join(sorted(absent))}" if absent else "all there"


def _same_seed() -> Verdict:
    """Chunk A, another chunk, A again."""
    config = _config(link={"fidelity": 0.8, "prob_success": 0.5, "cycle_time_ns": 1000})
    first, other, again = (_sample(config, 500, chunk) for chunk in (0, 1, 0))
    same = first.checksum() == again.checksum()
    return (
        same and first.checksum() != other.checksum(),
        f"checksums {first.checksum():x} {again.checksum():x}",
    )


def _prefix() -> Verdict:
    config = _config(link={"fidelity": 0.8, "prob_success": 0.5, "cycle_time_ns": 1000})
    long, short = _sample(config, 500), _sample(config, 123)
    columns = np.stack([bits.extract(column, 0, 123) for column in long.columns])
    good = np.array_equal(columns, short.columns) and np.array_equal(
        _times(long)[:123], _times(short)
    )
    return good, "the first 123 of 500 pairs are the chunk of 123"


def _convention() -> Verdict:
    """QBER = p/2 = 2(1−F)/3, told apart from (1−F)/2 where the two are far apart."""
    pairs = 2400
    seen = tally(
        _sample(_config(link={"fidelity": 0.5, "cycle_time_ns": 1000}), pairs).columns, pairs
    )
    sifted = seen.sifted_z + seen.sifted_x
    rate = (seen.errors_z + seen.errors_x) / sifted
    here, there = _far(rate, 1 / 3, sifted), _far(rate, 1 / 4, sifted)
    detail = (
        f"{rate:.4f}, {here:+.1f} sigma from p/2, {there:+.1f} sigma from (1-F)/2, {pairs} pairs"
    )
    return abs(here) <= _SIGMAS < abs(there), detail


def _request_time() -> Verdict:
    """A request for k pairs takes k cycles, k measurements and a gate per qubit measured in X, exactly."""
    hold, count = 4, 400
    config = _config(
        link={"fidelity": 0.9, "cycle_time_ns": 1000}, hold=hold,
        device={"measure_time_ns": 70, "single_qubit_gate_time_ns": 13},
    )  # fmt: skip
    pairs = _sample(config, count)
    slower = np.maximum(
        *(
            bits.unpack(c, count).reshape(-1, hold).sum(1)
            for c in (pairs.alice_basis, pairs.bob_basis)
        )
    )
    law = np.cumsum(hold * 1070 + 13 * slower)
    off = float(np.abs(_times(pairs)[::hold] - law).max())
    return off < 1e-3, f"k = {hold}, largest deviation {off:.6f} ns in {law[-1]:.0f} ns"


def _attempts() -> Verdict:
    """Whole cycles, 1/prob_success of them on average."""
    config = _config(link={"fidelity": 0.9, "cycle_time_ns": 500, "prob_success": 0.2}, hold=1)
    pairs = _sample(config, 2000)
    cycles = np.diff(_times(pairs), prepend=0.0) / 500
    far = (cycles.mean() - 5) / sqrt(20 / 2000)
    whole = np.abs(cycles - np.round(cycles)).max() < 1e-6 and cycles.min() > 0.5
    return bool(
        whole and abs(far) <= _SIGMAS
    ), f"mean {cycles.mean():.3f} cycles (5, {far:+.1f} sigma), whole: {whole}"


def _heralded() -> Verdict:
    """An ideal midpoint station delivers two of the four Bell states; Bob's bits must allow for which."""
    link = {"type": "heralded-double-click", "length_km": 1.0, "attenuation_db_per_km": 0.0}
    seen = tally(_sample(_config(link=link), 1000).columns, 1000)
    return (
        seen.errors_z + seen.errors_x == 0,
        f"{seen.errors_z + seen.errors_x} errors in 1000 pairs",
    )


def _station(clicks: str, pairs: int, **fields: float) -> Verdict:
    """Rate of success and both QBERs of a station whose photons differ and whose detectors click in the dark."""
    link = {"type": f"heralded-{clicks}-click", "length_km": 2.0, **_STATION, **fields}
    config = _config(link=link)
    assert isinstance(config.link, HeraldedLinkConfig)
    law, found = heralded(config.link), _sample(config, pairs)
    seen = tally(found.columns, pairs)
    z, x = seen.errors_z / seen.sifted_z, seen.errors_x / seen.sifted_x
    attempts = float(_times(found)[-1]) / _STATION_CYCLE_NS / pairs
    far = (
        (attempts - 1 / law.success) / (sqrt(1 - law.success) / law.success / sqrt(pairs)),
        _far(z, law.qber_z, seen.sifted_z),
        _far(x, law.qber_x, seen.sifted_x),
    )
    detail = f"{attempts:.3f} attempts ({1 / law.success:.3f}, {far[0]:+.1f} sigma), Z {z:.4f} ({law.qber_z:.4f}, "
    detail += (
        f"{far[1]:+.1f} sigma), X {x:.4f} ({law.qber_x:.4f}, {far[2]:+.1f} sigma), {pairs} pairs"
    )
    return max(map(abs, far)) <= _SIGMAS, detail


def _barrier() -> Verdict:
    """Messages take the latency; each pair costs two of them and a cycle; nothing is said before Δt is over."""
    config = _config(link={"fidelity": 0.9, "cycle_time_ns": 1000})
    protocol = SequentialConfig(delta_t_ns=5e5, classical_latency_ns=100, qber_limit=0.11)
    result = run_sequential(config, protocol, pairs=100, seed=np.random.SeedSequence(_SEED))
    off = float(np.abs(_times(result.pairs) - 1200 * np.arange(1, 101)).max())
    latency = {round(m.received_ns - m.sent_ns, 3) for m in result.transcript}
    [reveal] = [m for m in result.transcript if m.sender == simulator.ALICE and m.what == "bases"]
    early = reveal.sent_ns - _times(result.pairs)[-1] < 5e5
    good = off < 1e-3 and latency == {100.0} and not early
    spoken = "too early" if early else "after the barrier"
    return good, f"pair times off by {off:g} ns, latencies {sorted(latency)} ns, bases {spoken}"


def _speed(config: NetsquidConfig) -> Verdict:
    start = process_time()
    _sample(config, 1000)
    return True, f"{process_time() - start:.3f} ms of processor time per pair, both nodes"


#: Half of the photons arrive at the station, 2 km apart, an attempt takes 10 µs.
_STATION = {
    "attenuation_db_per_km": 0.0,
    "detector_efficiency": 0.5,
    "visibility": 0.7,
    "dark_count_probability": 0.02,
}
_STATION_CYCLE_NS = 10_000.0
_MEMORY = {
    "T1_ns": 20_000,
    "T2_ns": 10_000,
    "measure_time_ns": 1500,
    "single_qubit_gate_time_ns": 700,
}


def _checks(pairs: int) -> list[tuple[str, Callable[[], Verdict]]]:
    def rates(**fields: Any) -> Callable[[], Verdict]:
        return lambda: _rates(_config(**fields), pairs)

    undamped = {**_MEMORY, "T1_ns": 0}
    return [
        ("configuration fields", _fields),
        ("same seed twice, another between", _same_seed),
        ("a shorter chunk is a prefix", _prefix),
        ("perfect link", rates()),
        ("link, F = 0.8", rates(link={"fidelity": 0.8, "cycle_time_ns": 1000})),
        ("QBER is p/2, F = 0.5", _convention),
        ("gate noise: I/2 with probability g = 0.2", rates(device={"gate_depolarizing": 0.2})),
        ("T2, four pairs held, density matrices", rates(device=undamped, hold=4)),
        ("T2, four pairs held, kets", rates(device=undamped, hold=4, formalism="ket")),
        ("T1 and T2, four pairs held, density matrices", rates(device=_MEMORY, hold=4)),
        ("T1 and T2, four pairs held, kets", rates(device=_MEMORY, hold=4, formalism="ket")),
        ("T1 and T2, one pair held: no idle time", rates(device=_MEMORY, hold=1)),
        ("time of a request", _request_time),
        ("time until success", _attempts),
        ("heralded link", _heralded),
        (
            "double click, unequal photons",
            lambda: _station("double", pairs, dark_count_probability=0.0),
        ),
        ("double click, dark counts", lambda: _station("double", pairs)),
        (
            "single click, unequal photons",
            lambda: _station("single", pairs, dark_count_probability=0.0),
        ),
        (
            "single click, dark counts",
            lambda: _station("single", pairs, dark_count_probability=0.001),
        ),
        ("sequential mode: latency and timing barrier", _barrier),
        ("speed, default", lambda: _speed(_config(link={"fidelity": 0.9, "cycle_time_ns": 1000}))),
        (
            "speed, one pair held",
            lambda: _speed(_config(link={"fidelity": 0.9, "cycle_time_ns": 1000}, hold=1)),
        ),
    ]
