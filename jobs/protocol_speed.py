"""Measure the protocol's steps on one core, printed as a table; each figure is the best of several runs.

python jobs/protocol_speed.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from caligo_mpi import bits
from caligo_mpi.pairs import Pairs, tally
from caligo_mpi.protocol.amplify import amplify, seed_bits
from caligo_mpi.protocol.commit import Rows, commit, open_rows, opens
from caligo_mpi.protocol.draw import BOB, stream
from caligo_mpi.protocol.run import run_protocol
from caligo_mpi.protocol.sift import equal_bases, sides, sift
from caligo_mpi.protocol.verify import draw_tag_key, tag
from caligo_mpi.protocol_config import Bbm92Config


def best(work: Callable[[], object], *, repeat: int) -> float:
    """Seconds of the fastest of ``repeat`` runs."""
    taken = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def random_pairs(count: int, *, qber: float) -> Pairs:
    """Pairs with the same QBER in both bases."""
    rng = np.random.default_rng(1)
    columns = rng.integers(0, 256, (4, bits.nbytes(count)), np.uint8)
    wrong = bits.pack(rng.random(count, np.float32) < qber)
    same = equal_bases(columns[0], columns[2], count)
    columns[3] = (columns[1] ^ wrong) & same | columns[3] & ~same
    return Pairs(columns, count)


def main() -> None:
    """Print one line per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat

    pairs = random_pairs(1 << 25, qber=0.02)
    alice, bob = sides(pairs)
    counting = best(lambda: tally(pairs.columns, pairs.count), repeat=repeat)
    both = best(lambda: (sift(alice, bob.basis), sift(bob, alice.basis)), repeat=repeat)
    print(f"sift and count errors, packed  {pairs.count / counting / 1e9:8.2f} G pairs/s")
    print(f"sift, both parties' key bits   {pairs.count / both / 1e9:8.2f} G pairs/s")

    rng = np.random.default_rng(2)
    key = rng.integers(0, 2, 1_000_000, np.uint8)
    seed = rng.integers(0, 2, seed_bits(1_000_000, 700_000), np.uint8)
    print(f"Toeplitz hash, 1e6 to 7e5 bits {1 / best(lambda: amplify(key, seed, 700_000), repeat=repeat):8.2f} Mbit/s")
    by = draw_tag_key(stream(1, 0, BOB), 64)
    print(f"tag of 1e6 bits                {1 / best(lambda: tag(key, by), repeat=repeat):8.2f} Mbit/s")

    rows = Rows(np.arange(500_000, dtype=np.uint64), key[:500_000], key[500_000:])
    build = best(lambda: commit(rows, session=bytes(16), source=stream(1, 0, BOB)), repeat=repeat)
    made = commit(rows, session=bytes(16), source=stream(1, 0, BOB))
    opening = open_rows(made, rows, np.arange(0, 500_000, 10))
    check = best(lambda: opens(made.root, opening, count=500_000, session=bytes(16)), repeat=repeat)
    print(f"Merkle tree of 5e5 leaves      {0.5 / build:8.2f} M leaves/s")
    print(f"check a tenth of them opened   {0.05 / check:8.2f} M leaves/s")

    few = random_pairs(2_000_000, qber=0.02)
    whole = best(lambda: run_protocol(few, Bbm92Config(mode="bbm92", seed=1)), repeat=repeat)
    print(f"bbm92, pairs to key, Q = 2 %   {2 / whole:8.2f} M pairs/s")


if __name__ == "__main__":
    main()
