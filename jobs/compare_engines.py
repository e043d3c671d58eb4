"""The noise engine against its referees, NetSquid and SeQUeNCe, without formulas: all 16 outcome frequencies on equal
parameters; of NetSquid outcomes, times and attempts of sections in which the engine's name alone differs; of SeQUeNCe
outcomes, attempts, Bell states and times of memories, and outcomes and gaps of photons.

Run where they are; NetSquid without a license is the stand-in.  The noise engine is the same in both:
    tests/netsquid_env.sh python jobs/compare_engines.py
    tests/sequence_env.sh python jobs/compare_engines.py
"""

import argparse
import sys
from multiprocessing import Pool

import numpy as np

from caligo_mpi.config import NetsquidConfig, NoiseConfig, SequenceConfig
from caligo_mpi.engines import available, make_engine
from caligo_mpi.engines.compare import outcome_counts, request_times, same_law, same_numbers
from caligo_mpi.engines.sequence.closed_form import PS_PER_NS, busy, equal_attempts, rounds, timing
from caligo_mpi.pairs import tally

LINK = {"fidelity": 0.8}
CYCLE = {"cycle_time_ns": 1000.0}
SYMMETRIC = {"alice": {"readout_flip": 0.05}, "bob": {"readout_flip": 0.15}}
ASYMMETRIC = {
    "alice": {"p_read1_given0": 0.02, "p_read0_given1": 0.12},
    "bob": {"p_read1_given0": 0.2, "p_read0_given1": 0.05},
}
BIASED = {"alice": {"basis_bias": 0.3}, "bob": {"basis_bias": 0.8}}


def _both(side, **more):
    return {name: {**side.get(name, {}), **more} for name in ("alice", "bob")}


def _stored(times, *, hold, side=None, gate=0.0, fidelity=0.9):
    """Each held qubit idles for hold − 1 cycles and measurements, all as long: the noise engine's storage time."""
    device = {**times, "measure_time_ns": 1000.0, "gate_depolarizing": gate}
    memory = {**times, "storage_time_ns": (hold - 1) * 1000.0, "gate_depolarizing": gate}
    return (
        {"link": {"fidelity": fidelity, **CYCLE}, "device": device, "hold": hold, **(side or {})},
        {"link": {"fidelity": fidelity}, **_both(side or {}, **memory)},
    )


#: Parameters of the NetSquid engine and the same in the noise engine's words.
CASES = {
    "link, F = 0.8": ({"link": {**LINK, **CYCLE}}, {"link": LINK}),
    "link, p = 0.3, attempts fail": (
        {"link": {"prob_max_mixed": 0.3, "prob_success": 0.4, **CYCLE}, **BIASED},
        {"link": {"prob_max_mixed": 0.3}, **BIASED},
    ),
    "perfect link": ({"link": {"type": "perfect"}}, {"link": {"fidelity": 1.0}}),
    "gate noise": (
        {"link": {**LINK, **CYCLE}, "device": {"gate_depolarizing": 0.15}},
        {"link": LINK, **_both({}, gate_depolarizing=0.15)},
    ),
    "read-out": ({"link": {**LINK, **CYCLE}, **SYMMETRIC}, {"link": LINK, **SYMMETRIC}),
    "asymmetric read-out": ({"link": {**LINK, **CYCLE}, **ASYMMETRIC}, {"link": LINK, **ASYMMETRIC}),
    "T2, three held": _stored({"T2_ns": 8000.0}, hold=3),
    "T1 and T2, three held": _stored({"T1_ns": 6000.0, "T2_ns": 5000.0}, hold=3),
    "everything": _stored(
        {"T1_ns": 9000.0, "T2_ns": 7000.0}, hold=4, gate=0.1, fidelity=0.85,
        side={name: {**BIASED[name], **ASYMMETRIC[name]} for name in BIASED},
    ),
}  # fmt: skip


STATION = {"attenuation_db_per_km": 0.2, "detector_efficiency": 0.8, "visibility": 0.9}
DARK = {"dark_count_probability": 1e-3}
RARE = {"fidelity": 0.95, "prob_success": 0.05}
MEMORY = {"T2_ns": 5e6, "T1_ns": 2e7}

#: Sections that both engines take, ``name`` alone differs: on 1 m and 25 km, with memories that decay and without.
SECTIONS = {
    f"{what}, {length:g} km": {**section, "link": {**section["link"], "length_km": length}}
    for length in (0.001, 25.0)
    for what, section in {
        "two clicks": {"link": {"type": "heralded-double-click", **STATION}},
        "two clicks, dark counts": {"link": {"type": "heralded-double-click", **STATION, **DARK}},
        "one click, dark counts": {"link": {"type": "heralded-single-click", **STATION, **DARK}},
        "three held": {"link": RARE, "hold": 3},
        "three held, T1 and T2": {"link": RARE, "hold": 3, "device": MEMORY},
    }.items()
}


def _memories(length, *, dark_hz=0.0, seen=0.8, memory=None, window=1.0):
    """Barrett–Kok in both words; a detector's dark count is there an odd number of clicks in a window here."""
    optics = {"attenuation_db_per_km": 0.2, "detector_efficiency": seen}
    station = {"dark_count_rate_hz": dark_hz, "window_ns": window, "length_km": length}
    kind = {"type": "heralded-double-click", "length_km": max(length, 1e-3)}
    dark = {"dark_count_probability": -float(np.expm1(-2e-9 * dark_hz * window)) / 2}
    sides = _both({}, **(memory or {}))
    return (
        {"mode": "barrett_kok", "link": {**optics, **station}, **sides},
        {"link": {**optics, **kind, **dark}, **sides, "formalism": "ket"},
    )


def _photons(mu, statistics="poisson", **arm):
    """Down-conversion in both words."""
    arms = {
        side: {"gate_width_ns": 50.0, "dark_count_rate_hz": 0.0, **arm} for side in ("alice", "bob")
    }
    source = {"type": "pdc", "mu": mu, "statistics": statistics}
    return (
        {"mode": "spdc", "source": {"mu": mu}, "loss": arms},
        {"source": source, "loss": arms},
    )


DECAY = {"storage_time_ns": 1e6, "T1_ns": 2e7, "T2_ns": 5e6}
ARM = {"length_km": 5.0, "detector_efficiency": 0.7, "dark_count_rate_hz": 2e5}
#: Parameters of SeQUeNCe and the same for the noise engine, and whether they are the same law.
REFEREED = {
    "memories, 0 km": (*_memories(0.0), True),
    "memories, 0 km, T1 and T2": (*_memories(0.0, memory=DECAY), True),
    "memories, 25 km": (*_memories(25.0), True),
    "memories, 25 km, T1 and T2": (*_memories(25.0, memory=DECAY), True),
    "memories, few photons, dark counts": (*_memories(0.0, seen=0.35, dark_hz=2e4, window=200.0), True),
    "memories, dark counts alone": (*_memories(0.0, seen=0.0, dark_hz=5e6, window=50.0), True),
    "photons, mu = 0.1": (*_photons(0.1, **ARM), True),
    "photons, mu = 1": (*_photons(1.0, **ARM), True),
    "photons, mu = 3, against thermal numbers": (*_photons(3.0, "thermal", **ARM), False),
}  # fmt: skip


#: Memories without dark counts, whose pairs have the declared fidelity: also compared in time.
TIMED = tuple(case for case in REFEREED if " km" in case)


def refereed(sections, pairs):
    """Probabilities of so much difference: outcomes, and attempts and Bell states, or gaps between coincidences.

    Also SeQUeNCe's mean time over the noise engine's: its nodes agree by messages before each round.
    """
    names = ("sequence", "noise")
    models = (SequenceConfig, NoiseConfig)
    count = pairs if "link" in sections[0] else 20 * pairs
    found = []
    for name, model, section, times, seed in zip(
        names, models, sections, (1, 50), (5, 6), strict=True
    ):
        engine = make_engine(model.model_validate({"name": name, **section}))
        found.append(engine.sample(times * count, np.random.SeedSequence(seed)))
    theirs, ours = found
    p = {"outcomes": same_law(outcome_counts(theirs), outcome_counts(ours))}
    if theirs.index is not None:
        gaps = [np.diff(one.index.astype(np.int64)).astype(float) for one in found]
        return {**p, "gaps": same_numbers(*gaps)}, ""
    states = [np.bincount(one.extra["bell_state"], minlength=4) for one in found]
    p["attempts"] = same_numbers(theirs.extra["attempts"], ours.extra["attempts"])
    p["states"] = same_law(*states)
    ratio = (theirs.duration_ns / theirs.count) / (ours.duration_ns / ours.count)
    return p, f"; time per pair x {ratio:.2f}"


def rounds_of(attempts, law, seed):
    """How many rounds so many attempts of Barrett–Kok take: each has one or two, the last has two."""
    failed = attempts.astype(np.int64) - 1
    second = np.random.default_rng(seed).binomial(failed, law.second)
    return failed + second + 2


def in_time(section, ours, pairs):
    """SeQUeNCe and the noise engine in time.

    ``ours`` is the noise engine's station, whose attempts, in SeQUeNCe's rounds, make times of one law.
    Attempts that are all as long (`equal_attempts`) share mean and variance, rates and QBERs; the
    differences come in standard deviations of both samples.
    """
    link = {**section["link"], "fidelity": 0.9}
    config = SequenceConfig.model_validate({"name": "sequence", **section, "link": link})
    theirs = make_engine(config).sample(pairs, np.random.SeedSequence(7))
    times = request_times(theirs, 1)
    station = _noise(ours, 50 * pairs, 8)
    found = timing(config.link)
    count = rounds_of(station.extra["attempts"], rounds(config.link), 9)
    expected = (found.round * count + busy(config, found)) / PS_PER_NS
    equal = _noise(equal_section(config, ours), 50 * pairs, 10)
    far = {**apart(times, request_times(equal, 1)), **_qbers_apart(theirs, equal)}
    return {"times": same_numbers(times, expected)}, far


def equal_section(config, ours):
    """The noise engine's section of attempts that are all as long, with the sides of ``ours``."""
    cycle, success = equal_attempts(config)
    fidelity = config.link.fidelity
    link = {"fidelity": fidelity, "cycle_time_ns": cycle, "prob_success": success}
    return {**ours, "link": link, "hold": 1}


def apart(first, second):
    """How far means and variances of two samples are from each other, in standard deviations."""
    far = {}
    for name, values in {
        "mean": (first, second),
        "variance": ((first - first.mean()) ** 2, (second - second.mean()) ** 2),
    }.items():
        a, b = values
        spread = np.sqrt(a.var() / len(a) + b.var() / len(b))
        far[name] = float((a.mean() - b.mean()) / spread)
    return far


def _qbers_apart(first, second):
    """How far the QBERs in Z and in X are from each other, in standard deviations."""
    one, two = (tally(pairs.columns, pairs.count) for pairs in (first, second))
    far = {}
    for basis in ("z", "x"):
        errors = [getattr(seen, f"errors_{basis}") for seen in (one, two)]
        sifted = [getattr(seen, f"sifted_{basis}") for seen in (one, two)]
        pooled = sum(errors) / sum(sifted)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / sifted[0] + 1 / sifted[1]))
        difference = errors[0] / sifted[0] - errors[1] / sifted[1]
        far[f"QBER {basis.upper()}"] = float(difference / spread) if spread else 0.0
    return far


def _noise(section, pairs, seed):
    engine = make_engine(NoiseConfig.model_validate({"name": "noise", **section}))
    return engine.sample(pairs, np.random.SeedSequence(seed))


def pairs_of(name, section, pairs, seed):
    model = NetsquidConfig if name == "netsquid" else NoiseConfig
    engine = make_engine(model.model_validate({**section, "name": name}))
    return engine, engine.sample(pairs, np.random.SeedSequence(seed))


def same_section(section, pairs):
    """Probabilities of outcomes, times and attempts that differ so much, of both engines' pairs."""
    other, theirs = pairs_of("netsquid", section, pairs, 3)
    engine, ours = pairs_of("noise", section, 50 * pairs, 4)
    hold = engine.expected.hold
    found = {
        "outcomes": same_law(outcome_counts(theirs), outcome_counts(ours)),
        "times": same_numbers(request_times(theirs, hold), request_times(ours, hold)),
    }
    if "attempts" in theirs.extra:
        found["attempts"] = same_numbers(theirs.extra["attempts"], ours.extra["attempts"])
    return other.name, found


def counts(name, parameters, pairs, seed):
    model = NetsquidConfig if name == "netsquid" else NoiseConfig
    engine = make_engine(model.model_validate({"name": name, **parameters}))
    return engine.name, outcome_counts(engine.sample(pairs, np.random.SeedSequence(seed)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=20_000,
        help="of NetSquid, per case; a tenth of SeQUeNCe (default: %(default)s)",
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="cases at a time (default: %(default)s)"
    )
    options = parser.parse_args()
    good = True
    with Pool(options.processes) as pool:
        if available()["netsquid"] is None:
            good &= _netsquid(pool, options.pairs)
        if available()["sequence"] is None:
            good &= _sequence(pool, options.pairs // 10)
    missing = [name for name in ("netsquid", "sequence") if available()[name]]
    print(f"same: p > 1e-6; not here: {', '.join(missing) or 'none'}")
    return 0 if good and len(missing) < 2 else 1


def _netsquid(pool, pairs):
    """Both comparisons with NetSquid; whether all are the same."""
    waiting = {
        case: pool.apply_async(counts, ("netsquid", netsquid, pairs, 1))
        for case, (netsquid, _) in CASES.items()
    }
    in_time = {
        case: pool.apply_async(same_section, (section, pairs // 5))
        for case, section in SECTIONS.items()
    }
    good = True
    for case, (_, noise) in CASES.items():
        name, ours = waiting[case].get()
        p = {"outcomes": same_law(ours, counts("noise", noise, 50 * pairs, 2)[1])}
        good &= _told(p, f"{name} and noise, {case}")
    for case, result in in_time.items():
        name, found = result.get()
        good &= _told(found, f"{name} and noise, same section: {case}")
    print(f"{pairs} and {pairs // 5} pairs of NetSquid, 50 times as many of noise")
    return good


def _sequence(pool, pairs):
    """All comparisons with SeQUeNCe; whether those that should be are the same, and no other."""
    waiting = {
        case: (pool.apply_async(refereed, ((theirs, ours), pairs)), same)
        for case, (theirs, ours, same) in REFEREED.items()
    }
    timed = {case: pool.apply_async(in_time, (*REFEREED[case][:2], pairs)) for case in TIMED}
    good = True
    for case, (result, same) in waiting.items():
        p, times = result.get()
        good &= _told(p, f"sequence and noise, {case}{times}") == same
    for case, result in timed.items():
        p, far = result.get()
        good &= _told(p, f"sequence and noise in SeQUeNCe's rounds, {case}")
        good &= _near(far, f"sequence and noise, attempts as long, {case}")
    print(f"{pairs} pairs or {20 * pairs} pulses of SeQUeNCe, 50 times as many of noise")
    return good


def _near(far, what):
    near = max(map(abs, far.values())) < 5
    told = ", ".join(f"{name} {value:+.2f} σ" for name, value in far.items())
    print(f"{'same     ' if near else 'DIFFERENT'}  {told}  {what}", flush=True)
    return near


def _told(found, what):
    same = min(found.values()) > 1e-6
    told = ", ".join(f"{name} p = {p:.3g}" for name, p in found.items())
    print(f"{'same     ' if same else 'DIFFERENT'}  {told}  {what}", flush=True)
    return same


if __name__ == "__main__":
    sys.exit(main())
