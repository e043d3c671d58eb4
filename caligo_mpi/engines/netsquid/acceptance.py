"""The acceptance run for a machine with a NetSquid license: facts, pass or fail, one per line.

What the tests of this project take on trust from a stand-in is measured here on the real thing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import HeraldedLinkConfig, NetsquidConfig, SequentialConfig
from ...pairs import Pairs, bits, tally
from ..acceptance import SIGMAS, Acceptance, Check, Finding, qbers, sigmas, versions_of
from ..compare import outcome_counts
from ..heralded import heralded
from . import simulator
from .engine import NetsquidEngine
from .environment import is_stand_in
from .sequential import run_sequential

_SEED = 20_240_229


def accept(
    write: Callable[[str], object] = print, *, pairs: int = 6000, report: Path | None = None
) -> bool:
    """Check that NetSquid on this machine does what the engine relies on; takes some minutes.

    Every error rate is measured on ``pairs`` pairs.  The lines go to ``write``; the file ``report``
    has them, all numbers and the releases, to be sent to the project.  Returns whether no check
    failed.  A check is skipped only where the stand-in lacks a feature; with NetSquid none is.
    """
    simulator.require()
    stand_in = is_stand_in()
    run = Acceptance(
        engine="netsquid (stand-in)" if stand_in else "netsquid",
        versions=versions_of(*_NEEDED),
        write=write,
        report=report,
        may_lack=stand_in,
    )
    return run.run(_checks(pairs), pairs=pairs)


_NEEDED = (
    "netsquid",
    "pydynaa",
    "netsquid-magic",
    "netsquid-netbuilder",
    "squidasm",
    "netqasm",
    "numpy",
)


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


def _rates(config: NetsquidConfig, pairs: int) -> Finding:
    """Both QBERs are as the closed forms say."""
    law = NetsquidEngine(config).expected
    sample = _sample(config, pairs)
    found = qbers(sample, law)
    return found._replace(detail=f"{found.detail}, {pairs} pairs")


def _fields() -> Finding:
    """Every field this engine sets exists in netbuilder's models (which ignore unknown ones)."""
    device = simulator.device_fields(_config(), 1)
    wanted = {
        "GenericQDeviceConfig": set(device),
        "PerfectQLinkConfig": _link_fields(type="perfect"),
        "DepolariseQLinkConfig": _link_fields(**_NOISY),
        "HeraldedSingleClickQLinkConfig": _link_fields(
            type="heralded-single-click",
            length_km=1.0,
        ),
        "HeraldedDoubleClickQLinkConfig": _link_fields(
            type="heralded-double-click",
            length_km=1.0,
        ),
    }
    absent = []
    for name, fields in wanted.items():
        missing = fields - simulator.known_fields(name)
        absent += [f"{name}.{field}" for field in missing]
    absent.sort()
    names = ", ".join(absent)
    detail = f"absent: {names}" if absent else "all there"
    return Finding(not absent, detail, {"absent": absent})


def _link_fields(**link: Any) -> set[str]:
    fields = simulator.link_fields(_config(link=link))
    return set(fields)


def _same_seed() -> Finding:
    """A chunk comes out the same after another one was simulated, which differs from it."""
    config = _config(link=_PATIENT)
    first = _sample(config, 500, chunk=0).checksum()
    other = _sample(config, 500, chunk=1).checksum()
    again = _sample(config, 500, chunk=0).checksum()
    good = first == again and first != other
    detail = f"checksums {first:x} {again:x}"
    return Finding(good, detail, {"checksum": f"{first:x}"})


def _prefix() -> Finding:
    """A shorter chunk is the beginning of a longer one: bits and times."""
    config = _config(link=_PATIENT)
    long = _sample(config, 500)
    short = _sample(config, 123)
    columns = [bits.extract(column, 0, 123) for column in long.columns]
    begun = np.stack(columns)
    times = _times(long)
    same_bits = np.array_equal(begun, short.columns)
    same_times = np.array_equal(times[:123], _times(short))
    good = same_bits and same_times
    return Finding(good, "the first 123 of 500 pairs are the chunk of 123")


def _convention() -> Finding:
    """QBER = p/2 = 2(1−F)/3, told apart from (1−F)/2 where the two are far apart."""
    pairs = 2400
    config = _config(link={"fidelity": 0.5, "cycle_time_ns": 1000})
    sample = _sample(config, pairs)
    seen = tally(sample.columns, pairs)
    sifted = seen.sifted_z + seen.sifted_x
    errors = seen.errors_z + seen.errors_x
    rate = errors / sifted
    here = sigmas(rate, 1 / 3, sifted)
    there = sigmas(rate, 1 / 4, sifted)
    distances = f"{here:+.1f} sigma from p/2, {there:+.1f} sigma from (1-F)/2"
    good = abs(here) <= SIGMAS < abs(there)
    numbers = {"qber": rate, "sifted": sifted}
    detail = f"{rate:.4f}, {distances}, {pairs} pairs"
    return Finding(good, detail, numbers)


def _request_time() -> Finding:
    """A request for k pairs takes k cycles, k measurements and a gate per qubit measured in X.

    This must hold exactly.  The slower side decides when a request is done.
    """
    hold = 4
    count = 400
    device = {"measure_time_ns": 70, "single_qubit_gate_time_ns": 13}
    config = _config(link=_NOISY, hold=hold, device=device)
    pairs = _sample(config, count)
    in_x_a = bits.unpack(pairs.alice_basis, count)
    in_x_b = bits.unpack(pairs.bob_basis, count)
    gates_a = in_x_a.reshape(-1, hold).sum(1)
    gates_b = in_x_b.reshape(-1, hold).sum(1)
    gates = np.maximum(gates_a, gates_b)
    law = np.cumsum(hold * 1070 + 13 * gates)
    times = _times(pairs)
    differences = times[::hold] - law
    off = float(np.abs(differences).max())
    detail = f"k = {hold}, largest deviation {off:.6f} ns in {law[-1]:.0f} ns"
    numbers = {
        "off_ns": off,
        "first_times_ns": times[: 3 * hold].tolist(),
    }
    return Finding(off < 1e-3, detail, numbers)


def _attempts() -> Finding:
    """A pair takes whole cycles, 1/prob_success of them on average."""
    link = {
        "fidelity": 0.9,
        "cycle_time_ns": 500,
        "prob_success": 0.2,
    }
    config = _config(link=link, hold=1)
    pairs = _sample(config, 2000)
    cycles = np.diff(_times(pairs), prepend=0.0) / 500
    mean = cycles.mean()
    far = (mean - 5) / sqrt(20 / 2000)
    fractions = cycles - np.round(cycles)
    off = np.abs(fractions).max()
    whole = off < 1e-6 and cycles.min() > 0.5
    good = bool(whole and abs(far) <= SIGMAS)
    numbers = {
        "mean": mean,
        "variance": cycles.var(),
        "off": off,
        "first": cycles[:20].tolist(),
    }
    detail = f"mean {mean:.3f} cycles (5, {far:+.1f} sigma), whole: {whole}"
    return Finding(good, detail, numbers)


def _heralded() -> Finding:
    """An ideal midpoint station delivers two of the four Bell states; Bob's bits allow for which."""
    link = {
        "type": "heralded-double-click",
        "length_km": 1.0,
        "attenuation_db_per_km": 0.0,
    }
    sample = _sample(_config(link=link), 1000)
    seen = tally(sample.columns, 1000)
    errors = seen.errors_z + seen.errors_x
    detail = f"{errors} errors in 1000 pairs"
    return Finding(errors == 0, detail, _heralds(sample))


def _station(clicks: str, pairs: int, **fields: float) -> Finding:
    """Rate of success and both QBERs of a realistic station.

    Its photons differ and its detectors click in the dark.
    """
    link = {
        "type": f"heralded-{clicks}-click",
        "length_km": 2.0,
        **_STATION,
        **fields,
    }
    config = _config(link=link)
    assert isinstance(config.link, HeraldedLinkConfig)
    law = heralded(config.link)
    found = _sample(config, pairs)
    measured = qbers(found, law)
    end = float(_times(found)[-1])
    attempts = end / _STATION_CYCLE_NS / pairs
    mean = 1 / law.success
    deviation = sqrt(1 - law.success) / law.success
    spread = deviation / sqrt(pairs)
    far = (attempts - mean) / spread
    good = measured.good and abs(far) <= SIGMAS
    rate = f"{attempts:.3f} attempts ({mean:.3f}, {far:+.1f} sigma)"
    numbers = {
        **measured.numbers,
        "attempts": attempts,
        "law_attempts": mean,
        **_heralds(found),
    }
    detail = f"{rate}, {measured.detail}, {pairs} pairs"
    return Finding(good, detail, numbers)


def _heralds(sample: Pairs) -> dict[str, Any]:
    """All 16 outcomes, and how often each Bell state was reported: what a wrong form is found from."""
    states = np.bincount(sample.extra["bell_state"], minlength=4)
    outcomes = outcome_counts(sample)
    return {"outcomes": outcomes.tolist(), "bell_states": states.tolist()}


def _barrier() -> Finding:
    """Messages take the latency, a pair two of them and a cycle; Δt passes before the bases."""
    config = _config(link=_NOISY)
    protocol = SequentialConfig(
        delta_t_ns=5e5,
        classical_latency_ns=100,
        qber_limit=0.11,
    )
    result = run_sequential(
        config,
        protocol,
        pairs=100,
        seed=np.random.SeedSequence(_SEED),
    )
    times = _times(result.pairs)
    law = 1200 * np.arange(1, 101)
    off = float(np.abs(times - law).max())
    messages = result.transcript
    latencies = sorted({round(m.received_ns - m.sent_ns, 3) for m in messages})
    by_alice = [m for m in messages if m.sender == simulator.ALICE]
    [reveal] = [m for m in by_alice if m.what == "bases"]
    early = reveal.sent_ns - times[-1] < 5e5
    good = off < 1e-3 and latencies == [100.0] and not early
    spoken = "too early" if early else "after the barrier"
    detail = f"pair times off by {off:g} ns, latencies {latencies} ns, bases {spoken}"
    return Finding(good, detail, {"off_ns": off, "latencies_ns": latencies})


def _speed(config: NetsquidConfig) -> Finding:
    start = process_time()
    _sample(config, 1000)
    spent = process_time() - start
    detail = f"{spent:.3f} ms of processor time per pair, both nodes"
    return Finding(True, detail, {"ms_per_pair": spent})


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


def _checks(pairs: int) -> list[Check]:
    """Titles and checks, in the order in which they run."""

    def rates(**fields: Any) -> Callable[[], Finding]:
        return lambda: _rates(_config(**fields), pairs)

    def station(clicks: str, **fields: float) -> Callable[[], Finding]:
        return lambda: _station(clicks, pairs, **fields)

    def speed(**fields: Any) -> Callable[[], Finding]:
        return lambda: _speed(_config(link=_NOISY, **fields))

    undamped = {**_MEMORY, "T1_ns": 0}
    noisy = {"fidelity": 0.8, "cycle_time_ns": 1000}
    noisy_gate = {"gate_depolarizing": 0.2}
    return [
        ("configuration fields", _fields),
        ("same seed twice, another between", _same_seed),
        ("a shorter chunk is a prefix", _prefix),
        ("perfect link", rates()),
        ("link, F = 0.8", rates(link=noisy)),
        ("QBER is p/2, F = 0.5", _convention),
        ("gate noise: I/2 with probability g = 0.2", rates(device=noisy_gate)),
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
