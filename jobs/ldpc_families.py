"""Build the families of long LDPC codes of the package and measure where they begin to fail.

    python jobs/ldpc_families.py build                   # every family anew, without measurements
    python jobs/ldpc_families.py check                   # are the files' matrices those that build makes?
    python jobs/ldpc_families.py limits b090x1024 …       # where words of these (default: all) begin to fail
    python jobs/ldpc_families.py trials --promise 0.01   # words at the error rate where one in a hundred may fail
    python jobs/ldpc_families.py floors --bits 900000    # words far below where they begin to fail
    python jobs/ldpc_families.py table                   # what was measured, for the documentation
    python jobs/ldpc_families.py speed                   # of decoding keys, processor time

Families are written to caligo_mpi/protocol/ldpc/families/, one JSON file each.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from math import inf, log, log2

import numpy as np
from scipy.stats import beta

from caligo_mpi.protocol.ldpc import Exempt, Expected, decode, syndrome
from caligo_mpi.protocol.ldpc.choice import choose_cheapest, distance, reaches
from caligo_mpi.protocol.ldpc.code import Code
from caligo_mpi.protocol.ldpc.construct import Within, build, four_cycles
from caligo_mpi.protocol.ldpc.family import (
    FOLDER,
    Family,
    Floor,
    Limit,
    Trial,
    load_family,
    to_json,
)

#: Syndrome bits per bit → share of the base columns by degree, from density evolution: `ldpc_density.py`.
DESIGNS: dict[float, dict[int, float]] = {
    0.04: {
        2: 0.038,
        3: 0.5318,
        6: 0.1228,
        7: 0.0732,
        8: 0.0766,
        10: 0.0056,
        12: 0.0047,
        14: 0.0111,
        17: 0.0107,
        20: 0.0028,
        26: 0.1134,
        32: 0.0052,
        40: 0.0042,
    },
    0.07: {
        2: 0.0665,
        3: 0.4852,
        6: 0.1121,
        7: 0.0844,
        8: 0.086,
        10: 0.0161,
        12: 0.0134,
        14: 0.0143,
        17: 0.018,
        26: 0.1007,
        32: 0.0019,
        40: 0.0015,
    },
    0.095: {
        2: 0.0925,
        3: 0.5072,
        6: 0.1133,
        7: 0.0674,
        8: 0.0708,
        10: 0.0053,
        12: 0.0044,
        14: 0.0065,
        17: 0.0188,
        20: 0.0027,
        26: 0.1021,
        32: 0.0051,
        40: 0.0041,
    },
    0.12: {
        2: 0.114,
        3: 0.4951,
        6: 0.1106,
        7: 0.0658,
        8: 0.0691,
        10: 0.0051,
        12: 0.0043,
        14: 0.0064,
        17: 0.0183,
        20: 0.0026,
        26: 0.0997,
        32: 0.005,
        40: 0.004,
    },
    0.15: {
        2: 0.1425,
        3: 0.4977,
        6: 0.1065,
        7: 0.0568,
        8: 0.0609,
        14: 0.0026,
        17: 0.0178,
        20: 0.005,
        26: 0.0987,
        32: 0.0064,
        40: 0.0051,
    },
    0.2: {
        2: 0.19,
        3: 0.4546,
        4: 0.0307,
        6: 0.0982,
        7: 0.0524,
        8: 0.0561,
        17: 0.0164,
        26: 0.091,
        32: 0.0059,
        40: 0.0047,
    },
    0.27: {
        2: 0.2413,
        3: 0.4088,
        4: 0.0296,
        5: 0.0181,
        6: 0.0933,
        7: 0.0498,
        8: 0.0533,
        10: 0.0015,
        17: 0.0049,
        26: 0.0891,
        32: 0.0056,
        40: 0.0045,
    },
    0.36: {
        2: 0.2804,
        3: 0.4289,
        4: 0.0064,
        5: 0.0241,
        6: 0.0906,
        7: 0.0268,
        8: 0.0395,
        10: 0.0043,
        12: 0.0036,
        26: 0.0808,
        32: 0.008,
        40: 0.0064,
    },
    0.48: {
        2: 0.3235,
        3: 0.418,
        4: 0.0199,
        5: 0.0217,
        6: 0.0814,
        7: 0.0241,
        8: 0.0259,
        26: 0.0726,
        32: 0.0072,
        40: 0.0058,
    },
}

#: Base rows and columns.
SHAPES = (
    (40, 1024),
    (50, 1024),
    (68, 1024),
    (90, 1024),
    (122, 1024),
    (79, 512),
    (105, 512),
    (140, 512),
    (187, 512),
)

#: Share of the rows that can be split: well into the next family.
SPLIT = 0.45
#: Bits of the words measured.
LENGTH = 1 << 18
#: Standard deviations at which only one word in 1e9 has too many errors: what fails there is another thing.
FAR = 6.0
#: Words decoded at a time.
TOGETHER = 10


def design(share: float) -> dict[int, float]:
    """Shares of the columns by degree, on a line in ln(share) between two designs."""
    known = sorted(DESIGNS)
    if share <= known[0] or share >= known[-1]:
        nodes = dict(DESIGNS[known[0] if share <= known[0] else known[-1]])
    else:
        above = next(i for i, at in enumerate(known) if at >= share)
        low, high = known[above - 1], known[above]
        part = log(share / low) / log(high / low)
        one, other = DESIGNS[low], DESIGNS[high]
        nodes = {
            degree: (1 - part) * one.get(degree, 0) + part * other.get(degree, 0)
            for degree in sorted(one | other)
        }
    nodes[2] = min(nodes[2], 0.95 * share)
    return nodes


def capped(nodes: dict[int, float], most: int) -> dict[int, float]:
    """The same with no column of a higher degree than ``most``: few rows have no room for it without short cycles."""
    out: dict[int, float] = {}
    for degree, share in nodes.items():
        out[min(degree, most)] = out.get(min(degree, most), 0) + share
    return out


def columns_of(nodes: dict[int, float], columns: int) -> dict[int, int]:
    """Base columns by degree, rounded by largest remainder."""
    whole = sum(nodes.values())
    exact = {degree: columns * share / whole for degree, share in nodes.items()}
    counts = {degree: int(count) for degree, count in exact.items()}
    left = columns - sum(counts.values())
    for degree in sorted(exact, key=lambda d: counts[d] - exact[d])[:left]:
        counts[degree] += 1
    return {degree: count for degree, count in counts.items() if count}


def build_one(rows: int, columns: int) -> Family:
    """The first seed's family without a cycle of four at any lift."""
    least = LENGTH // 2 // columns
    degrees = columns_of(capped(design(rows / columns), rows // 3), columns)
    for seed in range(1, 20):
        code = build(
            "",
            rows=rows,
            degrees=degrees,
            lift=least,
            seed=seed,
            within=Within(depth=2, reach=least // 2),
        )
        if not four_cycles(code):
            about = {"built_by": "python jobs/ldpc_families.py build", "seed": seed}
            return Family(f"b{rows:03}x{columns}", least, code.base, about=about)
    raise SystemExit(f"{rows} × {columns}: no seed below 20 gives a family without 4-cycles")


def names() -> dict[str, tuple[int, int]]:
    return {f"b{rows:03}x{columns}": (rows, columns) for rows, columns in SHAPES}


def entropy(q: float) -> float:
    return -q * log2(q) - (1 - q) * log2(1 - q)


def error_rate(share: float) -> float:
    """Q with h(Q) = share."""
    low, high = 0.0, 0.5
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if entropy(q) < share else (low, q)
    return low


class Bench:
    """Decodes random words of one code, as many bits of which are wrong as asked for."""

    def __init__(self, family: Family, splits: int, seed: int) -> None:
        self.code = family.code(LENGTH // family.columns, splits)
        self.rng = np.random.default_rng([seed, *family.base.shape, splits])

    def fails(self, errors: int) -> bool:
        n = self.code.n
        sent = self.rng.integers(0, 2, (1, n), np.uint8)
        received = sent.copy()
        received[0, self.rng.permutation(n)[:errors]] ^= 1
        told = syndrome(self.code, sent)
        bits, _, _ = decode(self.code, received, told, qber=errors / n)
        return bool((bits != sent).any())


def measure_limit(family: Family, splits: int, *, frames: int, seed: int) -> Limit:
    """Up and down until the number of errors is found at which half of the words fail, then around it."""
    bench = Bench(family, splits, seed)
    n = bench.code.n
    at, step = error_rate(family.share(splits) / 1.09) * n, 0.04
    seen: list[tuple[float, bool]] = []
    while len(seen) < 16:
        failed = bench.fails(round(at))
        seen.append((at, failed))
        at *= 1 - step if failed else 1 + step
        step = max(step * 0.7, 0.006)
    middle, width = fitted(seen)
    while len(seen) < frames:
        at = middle + bench.rng.uniform(-2, 2) * width
        seen.append((at, bench.fails(round(at))))
        if len(seen) % 16 == 0:
            middle, width = fitted(seen)
    middle, width = fitted(seen)
    return Limit(splits, round(middle / n, 7), round(width**2 / n, 6), len(seen))


def fitted(seen: list[tuple[float, bool]]) -> tuple[float, float]:
    """Mean and standard deviation of the number of errors that is one too many: most likely ones of a logistic."""
    at = np.array([x for x, _ in seen])
    failed = np.array([y for _, y in seen])
    around = at.mean()
    middles = np.linspace(0.94, 1.06, 241) * around
    widths = np.geomspace(0.001, 0.02, 40) * around
    slope = np.pi / np.sqrt(3) / widths
    x = (at[:, None, None] - middles[:, None]) * slope
    likely = -np.logaddexp(0, np.where(failed[:, None, None], -x, x)).sum(axis=0)
    i, j = np.unravel_index(np.argmax(likely), likely.shape)
    return float(middles[i]), float(widths[j])


def noisy_words(rng, n: int, qber: float, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random words (count, n), and the same with independent errors."""
    sent = np.empty((count, n), np.uint8)
    received = np.empty((count, n), np.uint8)
    for own, other in zip(sent, received, strict=True):
        own[:] = rng.integers(0, 2, n, np.uint8)
        wrong = rng.random(n, np.float32) < qber
        other[:] = own ^ wrong
    return sent, received


def measure_trial(family: Family, splits: int, args: argparse.Namespace) -> Trial:
    """Words with independent errors at the highest error rate at which the promise holds."""
    code = family.code(args.bits // family.columns, splits)
    qber = reaches(family, splits, code.n, args.promise)
    return try_words(family, code, qber, args)


def try_words(family: Family, code: Code, qber: float, args: argparse.Namespace) -> Trial:
    splits = len(code.base) - len(family.base)
    rng = np.random.default_rng([args.seed, *family.base.shape, splits, 1])
    stop = time.monotonic() + args.seconds
    frames = 0
    failures = undetected = iterations = 0
    while frames < args.frames and time.monotonic() < stop:
        count = min(TOGETHER, args.frames - frames)
        sent, received = noisy_words(rng, code.n, qber, count=count)
        found, ok, spent = decode(code, received, syndrome(code, sent), qber=qber)
        wrong = (found != sent).any(axis=1)
        failures += int(wrong.sum())
        undetected += int((wrong & ok).sum())
        iterations += int(spent.sum())
        frames += count
    mean = round(iterations / frames, 2)
    return Trial(splits, code.lift, qber, args.promise, frames, failures, undetected, mean)


def measure_floor(name: str, args: argparse.Namespace) -> None:
    """Words `FAR` standard deviations below where they begin to fail."""
    family = load_family(name)
    splits = chosen_splits(family, args)
    code = family.code(args.bits // family.columns, splits)
    low, high = 0.0, family.limit(splits).qber
    for _ in range(40):
        qber = (low + high) / 2
        is_far = distance(family, splits, Expected(qber), code.n) >= FAR
        low, high = (qber, high) if is_far else (low, qber)
    tried = try_words(family, code, low, args)
    floor = Floor(splits, code.lift, low, tried.frames, tried.failures, tried.undetected)
    print(name, floor, flush=True)
    others = tuple(known for known in load_family(name).floors if known.splits != splits)
    save(replace(family, floors=(*others, floor)))


def chosen_splits(family: Family, args: argparse.Namespace) -> int:
    return args.splits if args.splits is not None else family.splits // 4


def save(family: Family) -> None:
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(to_json(family), separators=(",", ":")).replace("],[", "],\n[")
    (FOLDER / f"{family.name}.json").write_text(text.replace(',"', ',\n"') + "\n", "utf-8")


def steps(family: Family, points: int) -> list[int]:
    """So many numbers of splits, from none to the most there are."""
    most = round(SPLIT * len(family.base))
    return [most * point // (points - 1) for point in range(points)]


def measure_limits(name: str, args: argparse.Namespace) -> None:
    family = load_family(name)
    found = []
    for splits in steps(family, args.points):
        begin = time.process_time()
        found.append(measure_limit(family, splits, frames=args.frames, seed=args.seed))
        f = family.share(splits) / entropy(found[-1].qber)
        spent = time.process_time() - begin
        print(f"{name} {found[-1]} f={f:.4f} {spent:.0f} s", flush=True)
    by = f"python jobs/ldpc_families.py limits {name} --frames {args.frames} --seed {args.seed}"
    if args.points != 3:
        by += f" --points {args.points}"
    about = {**family.about, "limits_by": by}
    save(replace(family, limits=tuple(found), trials=(), about=about))


def measure_trials(name: str, args: argparse.Namespace) -> None:
    family = load_family(name)
    splits = chosen_splits(family, args)
    begin = time.process_time()
    trial = measure_trial(family, splits, args)
    spent = time.process_time() - begin
    speed = trial.frames * trial.lift * family.columns / spent / 1e6
    print(f"{name} {trial} {speed:.1f} Mbit/s", flush=True)
    same = (trial.splits, trial.lift, trial.promise)
    others = tuple(t for t in load_family(name).trials if (t.splits, t.lift, t.promise) != same)
    save(replace(family, trials=(*others, trial)))


def print_table(chosen: list[str]) -> None:
    print("| family | splits | syndrome bits per bit | half of the words fail at | f there |")
    print("|---|---|---|---|---|")
    for family in map(load_family, chosen):
        for limit in family.limits:
            share = family.share(limit.splits)
            f = share / entropy(limit.qber)
            print(
                f"| {family.name} | {limit.splits} | {share:.4f} | {100 * limit.qber:.3f} % | {f:.3f} |"
            )
    print(
        "\n| family | splits | word | Q | promised | failed | at most | undetected | iterations |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for family in map(load_family, chosen):
        for t in family.trials:
            n = t.lift * family.columns
            most = beta.ppf(0.95, t.failures + 1, t.frames - t.failures)
            print(
                f"| {family.name} | {t.splits} | {n:,} | {100 * t.qber:.3f} % | {t.promise:g} | "
                f"{t.failures} / {t.frames} | {most:.4f} | {t.undetected} | {t.iterations:.0f} |"
            )
    print("\n| family | splits | word | Q | f | failed | at most | undetected |")
    print("|---|---|---|---|---|---|---|---|")
    for family in map(load_family, chosen):
        for floor in family.floors:
            n = floor.lift * family.columns
            f = family.share(floor.splits) / entropy(floor.qber)
            most = beta.ppf(0.95, floor.failures + 1, floor.frames - floor.failures)
            print(
                f"| {family.name} | {floor.splits} | {n:,} | {100 * floor.qber:.3f} % | {f:.3f} | "
                f"{floor.failures} / {floor.frames} | {most:.4f} | {floor.undetected} |"
            )


def print_speed(args: argparse.Namespace) -> None:
    """Mbit/s of the code that is chosen after 500,000 tested bits; the best of three times."""
    rng = np.random.default_rng(args.seed)
    for qber in (0.01, 0.02, 0.05, 0.08):
        layout = choose_cheapest(args.bits, Expected.of(round(qber * 500_000), 500_000))
        alice, bob = noisy_words(rng, args.bits, qber, count=4)
        told = syndrome(layout.code, layout.spread(alice))
        words = layout.spread(bob)
        exempt = Exempt(known=layout.shortened)
        best = inf
        for _ in range(3):
            begin = time.process_time()
            _, ok, spent = decode(layout.code, words, told, qber=qber, exempt=exempt)
            best = min(best, time.process_time() - begin)
        speed = alice.size / best / 1e6
        print(
            f"Q = {qber:g}: {layout.code.name}, {ok.sum()} of 4 decoded after {spent.mean():.0f} iterations, "
            f"{speed:.1f} Mbit/s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "verb", choices=("build", "check", "limits", "trials", "floors", "table", "speed")
    )
    parser.add_argument("names", nargs="*", help="families; all of them by default")
    parser.add_argument("--frames", type=int, default=140, help="words to decode")
    parser.add_argument(
        "--points", type=int, default=3, help="numbers of splits of which limits are measured"
    )
    parser.add_argument("--seconds", type=float, default=inf, help="of a trial: fewer words then")
    parser.add_argument("--promise", type=float, default=0.01)
    parser.add_argument("--splits", type=int, help="of the trial; a quarter of all by default")
    parser.add_argument("--bits", type=int, default=450_000, help="length of the trial's words")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chosen = args.names or list(names())
    if args.verb == "table":
        print_table(chosen)
        return
    if args.verb == "speed":
        print_speed(args)
        return
    for name in chosen:
        if args.verb == "limits":
            measure_limits(name, args)
        elif args.verb == "trials":
            measure_trials(name, args)
        elif args.verb == "floors":
            measure_floor(name, args)
        elif args.verb == "build":
            save(build_one(*names()[name]))
            print(name, flush=True)
        else:
            same = np.array_equal(build_one(*names()[name]).base, load_family(name).base)
            print(f"{name} {'as built' if same else 'DIFFERS from what build makes'}", flush=True)


if __name__ == "__main__":
    main()
