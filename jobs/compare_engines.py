"""The noise engine against NetSquid, without formulas: all 16 outcome frequencies on equal parameters.

Run where NetSquid is, or without a license on the stand-in:
    tests/netsquid_env.sh python jobs/compare_engines.py
"""

import argparse
import sys
from multiprocessing import Pool

import numpy as np

from caligo_mpi.config import NetsquidConfig, NoiseConfig
from caligo_mpi.engines import make_engine
from caligo_mpi.engines.compare import outcome_counts, same_law

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
        good = True
        for case, (_, noise) in CASES.items():
            name, ours = waiting[case].get()
            p = same_law(ours, counts("noise", noise, 50 * options.pairs, 2)[1])
            good &= p > 1e-6
            print(
                f"{'same' if p > 1e-6 else 'DIFFERENT'}  p = {p:.3g}  {name} and noise, {case}",
                flush=True,
            )
    print(f"{options.pairs} against {50 * options.pairs} pairs each; same: p > 1e-6")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
