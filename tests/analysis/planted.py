"""Files with a defect that a buggy engine could make: valid records and checksums, wrong rows.

``python tests/analysis/planted.py [PAIRS]`` plants all of them in files of 1e8 pairs, one after the other, and says
what `caligo_mpi.analyze` finds.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from caligo_mpi import analyze, parse_config
from caligo_mpi.engines import make_engine
from caligo_mpi.pairs import Chunk, PairArrays
from caligo_mpi.runs.chunks import chunk_result
from caligo_mpi.runs.identity import run_info
from caligo_mpi.store import PairStore

QBER = 0.04
BASIS = 0.5005
CORRELATED = 1e-3
FOLLOW = 0.01
DRIFT = 0.02


def config_of(pairs, chunk_size, *, qber=QBER, seed=3, **engine):
    link = {"fidelity": 1 - 1.5 * qber}
    return parse_config(
        {
            "pairs": pairs,
            "seed": seed,
            "chunk_size": chunk_size,
            "engine": {"name": "noise", "link": link, **engine},
        }
    )


def untouched(pairs, chunk, rng, size):
    return pairs


def shifted(strength):
    """Alice's bits come a row late, in every chunk."""

    def change(pairs, chunk, rng, size):
        return pairs._replace(alice_outcome=np.roll(pairs.alice_outcome, 1))

    return change


def stuck(number):
    """Bit 3 of every byte of Alice's bits is 0 in one chunk."""

    def change(pairs, chunk, rng, size):
        if chunk.index != number:
            return pairs
        bit = pairs.alice_outcome.copy()
        bit[3::8] = 0
        return pairs._replace(alice_outcome=bit)

    return change


def following(share):
    """A pair's error is that of the pair before with this probability, where both are sifted."""

    def change(pairs, chunk, rng, size):
        sifted = pairs.alice_basis == pairs.bob_basis
        error = pairs.alice_outcome ^ pairs.bob_outcome
        taken = rng.random(len(error) - 1, np.float32) < share
        taken &= sifted[1:] & sifted[:-1]
        bit = pairs.bob_outcome.copy()
        bit[1:] ^= (error[1:] ^ error[:-1]) & taken
        return pairs._replace(bob_outcome=bit)

    return change


def drifting(share):
    """More and more errors: from the beginning to the end of the run by this share of the error rate."""

    def change(pairs, chunk, rng, size):
        rows = np.arange(len(pairs.bob_outcome), dtype=np.float32) + np.float32(chunk.start)
        extra = share * QBER / (1 - 2 * QBER) * rows / size
        flips = rng.random(len(rows), np.float32) < extra
        return pairs._replace(bob_outcome=pairs.bob_outcome ^ flips)

    return change


def correlated(share):
    """Bob takes Alice's basis with this probability, and the bit that goes with it."""

    def change(pairs, chunk, rng, size):
        taken = rng.random(len(pairs.bob_basis), np.float32) < share
        taken &= pairs.bob_basis != pairs.alice_basis
        bit = pairs.alice_outcome ^ (rng.random(len(taken), np.float32) < QBER)
        return pairs._replace(
            bob_basis=np.where(taken, pairs.alice_basis, pairs.bob_basis),
            bob_outcome=np.where(taken, bit, pairs.bob_outcome),
        )

    return change


def write(path, config, *, engine=None, change=untouched, seeds=None):
    """A finished file of ``config``: by another engine, with changed rows, with other chunks' seeds."""
    info = run_info(config, make_engine(config.engine))
    engine = make_engine((engine or config).engine)
    seeds = seeds or {}
    with PairStore.open(path, info, launch={"id": "planted"}) as store:
        for index in store.todo:
            chunk = info.partition[index]
            drawn = Chunk(seeds.get(index, index), 0, chunk.count)
            pairs = engine.sample(chunk.count, drawn.seed_sequence(config.seed))
            if change is not untouched:
                rng = np.random.default_rng([config.seed, index])
                rows = change(PairArrays.unpacked(pairs), chunk, rng, config.pairs)
                columns = PairArrays(*(np.asarray(c, np.uint8) for c in rows[:4])).packed().columns
                pairs = replace(pairs, columns=columns)
            if pairs.index is not None:
                pairs = replace(pairs, index=pairs.index + np.uint64(chunk.start))
            store.append(chunk_result(chunk, pairs), rank=0)
        store.finish()


def plant(path, defect, pairs, chunk_size, *, strength=1.0):
    """Write a file with a defect of `DEFECTS`, so many times as strong."""
    config = config_of(pairs, chunk_size)
    last = len(range(0, pairs, chunk_size)) - 1
    match defect:
        case "none":
            write(path, config)
        case "a column shifted by one":
            write(path, config, change=shifted(1))
        case "basis at 0.5005":
            bias = {"basis_bias": 0.5 + strength * (BASIS - 0.5)}
            write(path, config, engine=config_of(pairs, chunk_size, alice=bias))
        case "one chunk copied over another":
            write(path, config, seeds={5: 2})
        case "one chunk's seed used twice":
            write(path, config, seeds={last: 1})
        case "errors follow the previous pair":
            write(path, config, change=following(strength * FOLLOW))
        case "QBER drifting":
            drift = strength * DRIFT
            engine = config_of(pairs, chunk_size, qber=QBER * (1 - drift / 2))
            write(path, config, engine=engine, change=drifting(drift))
        case "one bit of every byte stuck":
            write(path, config, change=stuck(3))
        case "bases correlated":
            write(path, config, change=correlated(strength * CORRELATED))


#: Each with checks that find it, and a part of the sentence that names it and its place.
DEFECTS = {
    "a column shifted by one": (("QBER", "outcomes"), "alice_outcome is shifted by +1 row"),
    "basis at 0.5005": (("basis balance",), "alice_basis: P(X) = 0.50"),
    "one chunk copied over another": (("equal chunks",), "chunk 5 is not what its seed gives"),
    "one chunk's seed used twice": (("equal chunks",), "drawn from the seed of chunk 1"),
    "errors follow the previous pair": (("lags",), "errors at lag 1"),
    "QBER drifting": (("drift",), "QBER in"),
    "one bit of every byte stuck": (("cells",), "bit 3 of every byte of alice_outcome is 0"),
    "bases correlated": (("independent bases",), "bases of Alice and Bob correlate by +"),
}


def words(found):
    """All that an analysis says of its findings."""
    checks = [f"{check.found}; {check.where}" for check in found.findings]
    return "\n".join([*found.causes, *checks])


def main(pairs):
    from caligo_mpi.cli.show_analysis import analysis_text

    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for defect, (checks, said) in {"none": ((), ""), **DEFECTS}.items():
            path = Path(folder) / "planted.h5"
            plant(path, defect, pairs, 1 << 22)
            found = analyze(path)
            names = {check.name for check in found.findings}
            good = set(checks) <= names and said in words(found) and (names or not checks)
            missed += not good
            print(f"── {defect}: {'found' if good else 'MISSED'}")
            print("\n".join(analysis_text(found).splitlines()[: 6 + 2 * len(names)]))
            path.unlink()
    return missed


if __name__ == "__main__":
    sys.exit(main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10**8))
