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

from ...config import HeraldedLinkConfig, NetsquidConfig, SequentialConfig
from ...pairs import Pairs, bits, tally
from ..heralded import Heralded, heralded
from ..link import Expected
from . import simulator
from .engine import NetsquidEngine
from .environment import is_stand_in
from .sequential import run_sequential

Verdict = tuple[bool, str]

_SEED = 20_240_229
_SIGMAS = 4.9  # two-sided false alarm 1e-6 per rate


def accept(write: Callable[[str], object] = print, *, pairs: int = 6000) -> bool:
    """Check that NetSquid on this machine does what the engine relies on; takes some minutes.

    Every error rate is measured on ``pairs`` pairs.  The lines go to ``write`` and form a table
    to send to the project.  Returns whether no check failed.  A check is skipped only where the
    stand-in lacks a feature; with NetSquid none is.
    """
    simulator.require()
    write(_heading())
    words = [_line(title, check, write) for title, check in _checks(pairs)]
    passed = words.count("PASS")
    skipped = words.count("SKIP")
    failed = words.count("FAIL")
    verdict = "NOT ACCEPTED" if failed else "ACCEPTED"
    write(f"{verdict}: {passed} checks passed, {skipped} skipped, {failed} failed")
    return failed == 0


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
    found = [(n, _version(n)) for n in names]
    versions = ", ".join(f"{n} {version}" for n, version in found if version)
    python = platform.python_version()
    return f"engine {name} on Python {python}, {platform.machine()}: {versions}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _line(title: str, check: Callable[[], Verdict], write: Callable[[str], object]) -> str:
    """Run one check, write its line, and return the word for how it went."""
    try:
        passed, detail = check()
        word = "PASS" if passed else "FAIL"
    except NotImplementedError as missing:  # only the stand-in may lack something
        detail = str(missing)
        word = "SKIP" if is_stand_in() else "FAIL"
    except Exception as error:  # a check that breaks is a finding, and the others still have to run
        detail = f"{type(error).__name__}: {error}"
        word = "FAIL"
    write(f"{word}  {title}: {detail}")
    return word


def _config(**fields: Any) -> NetsquidConfig:
    default = {"name": "netsquid", "link": {"type": "perfect"}}
    return NetsquidConfig.model_validate({**default, **fields})


def _sample(config: NetsquidConfig, count: int, chunk: int = 0) -> Pairs:
    seed = np.random.SeedSequence(_SEED, spawn_key=(chunk,))
    return NetsquidEngine(config).sample(count, seed)


def _times(pairs: Pairs) -> NDArray[np.float64]:
    """The times (ns) of the pairs, which this engine always gives."""
    assert pairs.time is not None
    return pairs.time


def _rates(config: NetsquidConfig, pairs: int) -> Verdict:
    """Both QBERs are as the closed forms say."""
    law = NetsquidEngine(config).expected
    sample = _sample(config, pairs)
    good, detail = _qbers(sample, law)
    return good, f"{detail}, {pairs} pairs"


def _qbers(sample: Pairs, law: Expected | Heralded) -> Verdict:
    """Both measured QBERs, compared with ``law``."""
    seen = tally(sample.columns, sample.count)
    z = seen.errors_z / seen.sifted_z
    x = seen.errors_x / seen.sifted_x
    far_z = _far(z, law.qber_z, seen.sifted_z)
    far_x = _far(x, law.qber_x, seen.sifted_x)
    z_words = f"Z {z:.4f} ({law.qber_z:.4f}, {far_z:+.1f} sigma)"
    x_words = f"X {x:.4f} ({law.qber_x:.4f}, {far_x:+.1f} sigma)"
    good = max(abs(far_z), abs(far_x)) <= _SIGMAS
    return good, f"{z_words}, {x_words}"


def _far(rate: float, law: float, count: int) -> float:
    """How many standard deviations ``rate``, of ``count`` trials, is off ``law``.

    A rate that can only be 0 or 1 must be met exactly: anything else is infinitely far.
    """
    distance = rate - law
    spread = sqrt(law * (1 - law) / count)
    if spread > 1e-9:
        return distance / spread
    return 0.0 if abs(distance) < 1e-9 else np.inf


def _fields() -> Verdict:
    """Every field this engine sets exists in netbuilder's models (which ignore unknown ones)."""
    device = simulator.device_fields(_config(), 1)
    wanted = {
        "GenericQDeviceConfig": set(device),
        "PerfectQLinkConfig": _link_fields(type="perfect"),
        "DepolariseQLinkConfig": _link_fields(**_NOISY),
        "HeraldedSingleClickQLinkConfig": _link_fields(type="heralded-single-click", length_km=1.0),
        "HeraldedDoubleClickQLinkConfig": _link_fields(type="heralded-double-click", length_km=1.0),
    }
    absent = []
    for name, fields in wanted.items():
        missing = fields - simulator.known_fields(name)
        absent += [f"{name}.{field}" for field in missing]
    detail = f"absent: {', '.join(sorted(absent))}" if absent else "all there"
    return not absent, detail


def _link_fields(**link: Any) -> set[str]:
    fields = simulator.link_fields(_config(link=link))
    return set(fields)


def _same_seed() -> Verdict:
    """A chunk comes out the same after another one was simulated, which differs from it."""
    config = _config(link=_PATIENT)
    first = _sample(config, 500, chunk=0).checksum()
    other = _sample(config, 500, chunk=1).checksum()
    again = _sample(config, 500, chunk=0).checksum()
    good = first == again and first != other
    return good, f"checksums {first:x} {again:x}"


def _prefix() -> Verdict:
    """A shorter chunk is the beginning of a longer one: bits and times."""
    config = _config(link=_PATIENT)
    long = _sample(config, 500)
    short = _sample(config, 123)
    columns = [bits.extract(column, 0, 123) for column in long.columns]
    same_bits = np.array_equal(np.stack(columns), short.columns)
    same_times = np.array_equal(_times(long)[:123], _times(short))
    good = same_bits and same_times
    return good, "the first 123 of 500 pairs are the chunk of 123"


def _convention() -> Verdict:
    """QBER = p/2 = 2(1−F)/3, told apart from (1−F)/2 where the two are far apart."""
    pairs = 2400
    config = _config(link={"fidelity": 0.5, "cycle_time_ns": 1000})
    seen = tally(_sample(config, pairs).columns, pairs)
    sifted = seen.sifted_z + seen.sifted_x
    rate = (seen.errors_z + seen.errors_x) / sifted
    here = _far(rate, 1 / 3, sifted)
    there = _far(rate, 1 / 4, sifted)
    distances = f"{here:+.1f} sigma from p/2, {there:+.1f} sigma from (1-F)/2"
    good = abs(here) <= _SIGMAS < abs(there)
    return good, f"{rate:.4f}, {distances}, {pairs} pairs"


def _request_time() -> Verdict:
    """A request for k pairs takes k cycles, k measurements and a gate per qubit measured in X.

    This must hold exactly.  The slower side decides when a request is done.
    """
    hold = 4
    count = 400
    device = {"measure_time_ns": 70, "single_qubit_gate_time_ns": 13}
    config = _config(link=_NOISY, hold=hold, device=device)
    pairs = _sample(config, count)
    gates_a = bits.unpack(pairs.alice_basis, count).reshape(-1, hold).sum(1)
    gates_b = bits.unpack(pairs.bob_basis, count).reshape(-1, hold).sum(1)
    law = np.cumsum(hold * 1070 + 13 * np.maximum(gates_a, gates_b))
    off = float(np.abs(_times(pairs)[::hold] - law).max())
    return off < 1e-3, f"k = {hold}, largest deviation {off:.6f} ns in {law[-1]:.0f} ns"


def _attempts() -> Verdict:
    """A pair takes whole cycles, 1/prob_success of them on average."""
    config = _config(link={"fidelity": 0.9, "cycle_time_ns": 500, "prob_success": 0.2}, hold=1)
    pairs = _sample(config, 2000)
    cycles = np.diff(_times(pairs), prepend=0.0) / 500
    mean = cycles.mean()
    far = (mean - 5) / sqrt(20 / 2000)
    off = np.abs(cycles - np.round(cycles)).max()
    whole = off < 1e-6 and cycles.min() > 0.5
    good = bool(whole and abs(far) <= _SIGMAS)
    return good, f"mean {mean:.3f} cycles (5, {far:+.1f} sigma), whole: {whole}"


def _heralded() -> Verdict:
    """An ideal midpoint station delivers two of the four Bell states; Bob's bits allow for which."""
    link = {"type": "heralded-double-click", "length_km": 1.0, "attenuation_db_per_km": 0.0}
    sample = _sample(_config(link=link), 1000)
    seen = tally(sample.columns, 1000)
    errors = seen.errors_z + seen.errors_x
    return errors == 0, f"{errors} errors in 1000 pairs"


def _station(clicks: str, pairs: int, **fields: float) -> Verdict:
    """Rate of success and both QBERs of a realistic station.

    Its photons differ and its detectors click in the dark.
    """
    link = {"type": f"heralded-{clicks}-click", "length_km": 2.0, **_STATION, **fields}
    config = _config(link=link)
    assert isinstance(config.link, HeraldedLinkConfig)
    law = heralded(config.link)
    found = _sample(config, pairs)
    qbers_good, qbers = _qbers(found, law)
    attempts = float(_times(found)[-1]) / _STATION_CYCLE_NS / pairs
    mean = 1 / law.success
    spread = sqrt(1 - law.success) / law.success / sqrt(pairs)
    far = (attempts - mean) / spread
    good = qbers_good and abs(far) <= _SIGMAS
    rate = f"{attempts:.3f} attempts ({mean:.3f}, {far:+.1f} sigma)"
    return good, f"{rate}, {qbers}, {pairs} pairs"


def _barrier() -> Verdict:
    """Messages take the latency, a pair two of them and a cycle; Δt passes before the bases."""
    config = _config(link=_NOISY)
    protocol = SequentialConfig(delta_t_ns=5e5, classical_latency_ns=100, qber_limit=0.11)
    result = run_sequential(config, protocol, pairs=100, seed=np.random.SeedSequence(_SEED))
    times = _times(result.pairs)
    law = 1200 * np.arange(1, 101)
    off = float(np.abs(times - law).max())
    latency = {round(m.received_ns - m.sent_ns, 3) for m in result.transcript}
    [reveal] = [m for m in result.transcript if m.sender == simulator.ALICE and m.what == "bases"]
    early = reveal.sent_ns - times[-1] < 5e5
    good = off < 1e-3 and latency == {100.0} and not early
    spoken = "too early" if early else "after the barrier"
    return good, f"pair times off by {off:g} ns, latencies {sorted(latency)} ns, bases {spoken}"


def _speed(config: NetsquidConfig) -> Verdict:
    start = process_time()
    _sample(config, 1000)
    spent = process_time() - start
    return True, f"{spent:.3f} ms of processor time per pair, both nodes"


#: A noisy link that succeeds in every cycle, and one that needs two cycles on average.
_NOISY = {"fidelity": 0.9, "cycle_time_ns": 1000}
_PATIENT = {"fidelity": 0.8, "prob_success": 0.5, "cycle_time_ns": 1000}
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
    """Titles and checks, in the order in which they run."""

    def rates(**fields: Any) -> Callable[[], Verdict]:
        return lambda: _rates(_config(**fields), pairs)

    def station(clicks: str, **fields: float) -> Callable[[], Verdict]:
        return lambda: _station(clicks, pairs, **fields)

    def speed(**fields: Any) -> Callable[[], Verdict]:
        return lambda: _speed(_config(link=_NOISY, **fields))

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
        ("double click, unequal photons", station("double", dark_count_probability=0.0)),
        ("double click, dark counts", station("double")),
        ("single click, unequal photons", station("single", dark_count_probability=0.0)),
        ("single click, dark counts", station("single", dark_count_probability=0.001)),
        ("sequential mode: latency and timing barrier", _barrier),
        ("speed, default", speed()),
        ("speed, one pair held", speed(hold=1)),
    ]
