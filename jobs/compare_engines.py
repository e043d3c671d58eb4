"""The noise engine against NetSquid, without formulas: all 16 outcome frequencies on equal parameters, and
outcomes, times and attempts of sections in which the engine's name alone differs.

Run where NetSquid is, or without a license on the stand-in:
    tests/netsquid_env.sh python jobs/compare_engines.py
"""

import argparse
import sys
from multiprocessing import Pool

import numpy as np

from caligo_mpi.config import NetsquidConfig, NoiseConfig
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.compare import outcome_counts, request_times, same_law, same_numbers

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
        "--pairs", type=int, default=20_000, help="of NetSquid, per case (default: %(default)s)"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="cases at a time (default: %(default)s)"
    )
    options = parser.parse_args()
    with Pool(options.processes) as pool:
        waiting = {
            case: pool.apply_async(counts, ("netsquid", netsquid, options.pairs, 1))
            for case, (netsquid, _) in CASES.items()
        }
        in_time = {
            case: pool.apply_async(same_section, (section, options.pairs // 5))
            for case, section in SECTIONS.items()
        }
        good = True
        for case, (_, noise) in CASES.items():
            name, ours = waiting[case].get()
            p = same_law(ours, counts("noise", noise, 50 * options.pairs, 2)[1])
            good &= p > 1e-6
            print(
                f"{'same' if p > 1e-6 else 'DIFFERENT'}  p = {p:.3g}  {name} and noise, {case}",
                flush=True,
            )
        for case, result in in_time.items():
            name, found = result.get()
            word = "same     " if min(found.values()) > 1e-6 else "DIFFERENT"
            good &= min(found.values()) > 1e-6
            told = ", ".join(f"{what} p = {p:.3g}" for what, p in found.items())
            print(f"{word}  {told}  {name} and noise, same section: {case}", flush=True)
    print(f"{options.pairs} against {50 * options.pairs} pairs each; same: p > 1e-6")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
