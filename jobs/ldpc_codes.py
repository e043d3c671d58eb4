"""Build the LDPC codes of the package and measure their frame-error curves.

    python jobs/ldpc_codes.py build                  # every code anew, without curves
    python jobs/ldpc_codes.py measure n4096-r50 …    # curves of these codes (default: all)
    python jobs/ldpc_codes.py trials                 # other words, at the error rate where one in a hundred may fail
    python jobs/ldpc_codes.py floors                 # words far below their curves, where none should fail
    python jobs/ldpc_codes.py table                  # what the curves say, for the documentation

Codes and curves are written to caligo_mpi/protocol/ldpc/codes/, one JSON file each.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from math import inf, log2

import numpy as np
from scipy.stats import beta

from caligo_mpi.protocol.ldpc import Code, Exempt, available_codes, decode, load_code, syndrome
from caligo_mpi.protocol.ldpc.adapt import predicted_failure
from caligo_mpi.protocol.ldpc.code import FOLDER, Curve, Point, to_json
from caligo_mpi.protocol.ldpc.construct import build, four_cycles

#: Rate in % → base rows, and base columns by degree, of 128 or 256 base columns: from a local search that
#: counted frame errors at n = 4096.  The long codes of rates up to 0.65 use them too.
SEARCHED: dict[int, tuple[int, dict[int, int]]] = {
    50: (64, {2: 40, 3: 69, 4: 2, 5: 2, 8: 1, 14: 2, 16: 3, 18: 1, 24: 5, 28: 3}),
    55: (58, {2: 41, 3: 67, 4: 2, 6: 1, 16: 13, 28: 4}),
    60: (51, {2: 40, 3: 68, 16: 14, 18: 5, 24: 1}),
    65: (45, {2: 31, 3: 74, 4: 2, 16: 21}),
    70: (38, {2: 26, 3: 75, 6: 2, 7: 4, 16: 21}),
    75: (64, {2: 24, 3: 180, 16: 52}),
    80: (51, {2: 16, 3: 184, 14: 56}),
    85: (38, {2: 22, 3: 158, 6: 4, 7: 6, 8: 6, 9: 18, 10: 34, 12: 8}),
    90: (26, {3: 150, 5: 30, 8: 76}),
}

#: Rate in % → base rows, and share of the edges by degree of the bits, of 256 base columns: table I of
#: Elkouss, Leverrier, Alléaume and Boutros, ISIT 2009.
PUBLISHED: dict[int, tuple[int, dict[int, float]]] = {
    70: (77, {
        2: 0.05343, 3: 0.29406, 6: 0.00896, 9: 0.15571, 12: 0.12189, 25: 0.19872, 46: 0.09572, 62: 0.02741,
        65: 0.04056, 73: 0.00354,
    }),
    75: (64, {
        2: 0.10805, 3: 0.09511, 4: 0.01449, 5: 0.13764, 6: 0.10667, 7: 0.05288, 28: 0.01107, 31: 0.47408,
    }),
    80: (51, {2: 0.09420, 3: 0.18088, 6: 0.11972, 7: 0.08550, 8: 0.09816, 17: 0.07194, 26: 0.34960}),
    85: (38, {
        2: 0.04528, 3: 0.20537, 4: 0.05878, 5: 0.094274, 6: 0.08454, 7: 0.01176, 9: 0.05137, 21: 0.50015,
    }),
    90: (26, {2: 0.07689, 3: 0.28096, 5: 0.08933, 9: 0.19620, 12: 0.30631, 21: 0.05031}),
}  # fmt: skip

#: First seed to try: the code of seed 1 fails in 15 of 60,000 words at Q = 3 %, and at 2.5 % still in 11.
FIRST_SEED = {"n4096-r65": 3}

#: Where the curves begin, end and step in f, by length and for high rates.
STEPS = {
    (4096, False): (1.1, 3, 0.05),
    (4096, True): (1.1, 3, 0.1),
    (65536, False): (1.04, 3, 0.03),
    (65536, True): (1.04, 3, 0.04),
}

#: Frames per decoder call, by length.
TOGETHER = {4096: 512, 65536: 128}


def columns_of(shares: dict[int, float], columns: int) -> dict[int, int]:
    """Base columns by degree from edge shares, rounded by largest remainder."""
    nodes = {degree: share / degree for degree, share in shares.items()}
    exact = {degree: columns * node / sum(nodes.values()) for degree, node in nodes.items()}
    counts = {degree: int(count) for degree, count in exact.items()}
    for degree in sorted(exact, key=lambda d: counts[d] - exact[d])[
        : columns - sum(counts.values())
    ]:
        counts[degree] += 1
    return {degree: count for degree, count in counts.items() if count}


def plans() -> dict[str, tuple[int, dict[int, int], int]]:
    """Name → base rows, base columns by degree, lift."""
    searched = {f"r{rate}": plan for rate, plan in SEARCHED.items()}
    published = {
        f"r{rate}": (rows, columns_of(shares, 256)) for rate, (rows, shares) in PUBLISHED.items()
    }
    return {
        f"n{n}-{rate}": (rows, degrees, n // sum(degrees.values()))
        for n, tables in ((4096, searched), (65536, searched | published))
        for rate, (rows, degrees) in tables.items()
    }


def build_one(name: str, rows: int, degrees: dict[int, int], lift: int) -> Code:
    """The first seed's code that has no cycle of four."""
    for seed in range(FIRST_SEED.get(name, 1), 100):
        code = build(name, rows=rows, degrees=degrees, lift=lift, seed=seed)
        if not four_cycles(code):
            return replace(
                code, about={"built_by": "python jobs/ldpc_codes.py build", "seed": seed}
            )
    raise SystemExit(f"{name}: no seed below 100 gives a code without 4-cycles")


def entropy(q: float) -> float:
    return -q * log2(q) - (1 - q) * log2(1 - q)


def error_rate(share: float) -> float:
    """Q with h(Q) = share, to four digits."""
    low, high = 0.0, 0.5
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if entropy(q) < share else (low, q)
    return round(low, 4)


def measure_point(
    code: Code,
    qber: float,
    *,
    punctured: int,
    shortened: int,
    frames: int,
    seed: int,
    enough: float = 100,
) -> Point:
    """Decode random words until ``enough`` have failed or ``frames`` are done."""
    rng = np.random.default_rng([seed, round(qber * 1e4), punctured, shortened])
    erased, known = code.puncture_order[:punctured], code.shorten_order[:shortened]
    done = failures = undetected = iterations = 0
    while done < frames and failures < enough:
        sent = rng.integers(0, 2, (min(TOGETHER[code.n], frames - done), code.n), np.uint8)
        sent[:, known] = 0
        received = sent ^ (rng.random(sent.shape, np.float32) < qber).view(np.uint8)
        received[:, known] = received[:, erased] = 0
        bits, ok, spent = decode(
            code,
            received,
            syndrome(code, sent),
            qber=qber,
            exempt=Exempt(erased, known),
        )
        wrong = (bits != sent).any(axis=1)
        done += len(sent)
        failures += int(wrong.sum())
        undetected += int((wrong & ok).sum())
        iterations += int(spent.sum())
    return Point(qber, done, failures, undetected, round(iterations / done, 2))


def measure_curve(code: Code, *, punctured: int, shortened: int, frames: int, seed: int) -> Curve:
    """From f = leak / h(Q) a little above 1 upward until no more than three of all frames fail."""
    leak = (code.m - punctured) / (code.n - punctured - shortened)
    points: list[Point] = []
    for f in np.arange(*STEPS[code.n, code.rate > 0.72]):
        begin = time.perf_counter()
        qber = error_rate(leak / f)
        point = measure_point(
            code, qber, punctured=punctured, shortened=shortened, frames=frames, seed=seed
        )
        spent = time.perf_counter() - begin
        print(
            f"{code.name} p={punctured} s={shortened} f={f:.2f} {point} {spent:.0f} s", flush=True
        )
        if point.failures < point.frames / 2:
            points.insert(0, point)
        if point.failures <= 3 and point.frames >= frames:
            break
    return Curve(punctured, shortened, tuple(points))


def save(code: Code) -> None:
    path = FOLDER / f"{code.name}.json"
    path.write_text(
        json.dumps(to_json(code), separators=(",", ":")).replace(',"', ',\n"') + "\n", "utf-8"
    )


def measure(name: str, args: argparse.Namespace) -> None:
    """All curves of one code: bare, shortened by sixteenths of n, punctured by halves of a tenth."""
    code = load_code(name)
    shortened = [(0, sixteenths * code.n // 16) for sixteenths in args.shortened]
    punctured = [
        (halves * min(code.n // 10, len(code.puncture_order)) // 2, 0) for halves in args.punctured
    ]
    curves: list[Curve] = []
    for p, s in shortened + punctured:
        frames = args.frames if p or s else args.floor
        curves.append(measure_curve(code, punctured=p, shortened=s, frames=frames, seed=args.seed))
        save(
            replace(
                code,
                curves=tuple(curves),
                about={**code.about, "measured_by": _command(name, args)},
            )
        )


def _command(name: str, args: argparse.Namespace) -> str:
    options = {
        key: getattr(args, key) for key in ("shortened", "punctured", "frames", "floor", "seed")
    }
    said = (f"--{key} {' '.join(map(str, np.atleast_1d(value)))}" for key, value in options.items())
    return f"python jobs/ldpc_codes.py measure {name} {' '.join(said)}"


def reached(curve: Curve, target: float) -> float:
    """The highest Q at which the curve promises no more failures than ``target``; 0 if none."""
    low, high = 0.0, 0.5
    for _ in range(40):
        q = (low + high) / 2
        low, high = (q, high) if predicted_failure(curve, q) <= target else (low, q)
    return low if low > 1e-9 else 0.0


def table_row(code: Code, curve: Curve) -> str:
    """Q and f at given frame errors, and the lowest point measured."""
    leak = (code.m - curve.punctured) / (code.n - curve.punctured - curve.shortened)
    cells = []
    for target in (1e-1, 1e-2, 1e-3, 1e-4):
        q = reached(curve, target)
        cells.append(f"{100 * q:.2f} % ({leak / entropy(q):.2f})" if q else "")
    low = curve.points[0]
    last = f"{low.failures} / {low.frames} at {100 * low.qber:.2f} %"
    undetected = sum(point.undetected for point in curve.points)
    return f"| {code.name} | {curve.punctured} | {curve.shortened} | {' | '.join(cells)} | {last} | {undetected} |"


def print_table(names: list[str]) -> None:
    print(
        "| code | punctured | shortened | 10 % | 1 % | 0.1 % | 0.01 % | lowest point | undetected |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for code in map(load_code, names):
        for curve in code.curves:
            print(table_row(code, curve))


def bare(code: Code) -> Curve:
    return next(curve for curve in code.curves if not curve.punctured and not curve.shortened)


def print_floors(names: list[str], args: argparse.Namespace) -> None:
    """Words of bare codes where f is a tenth above that at which three of 60,000 or of 4,000 failed."""
    print("| code | Q | f | failed | at most | undetected |\n|---|---|---|---|---|---|")
    for code in map(load_code, names):
        leak = code.m / code.n
        f = 1.1 * leak / entropy(bare(code).points[0].qber)
        qber = error_rate(leak / f)
        print(
            f"| {code.name} | {100 * qber:.2f} % | {f:.2f} | {other_words(code, qber, args)} |",
            flush=True,
        )


def other_words(code: Code, qber: float, args: argparse.Namespace) -> str:
    """Failures in words that no curve was measured with, the most that they allow (95 %), and undetected ones."""
    point = measure_point(
        code,
        qber,
        punctured=0,
        shortened=0,
        frames=args.frames,
        seed=args.seed + 1,
        enough=inf,
    )
    most = beta.ppf(0.95, point.failures + 1, point.frames - point.failures)
    return f"{point.failures} / {point.frames} | {most:.2g} | {point.undetected}"


def print_trials(names: list[str], args: argparse.Namespace) -> None:
    """Words of bare codes at the error rate at which their curves promise so many failures."""
    print("| code | Q | promised | failed | at most | undetected |\n|---|---|---|---|---|---|")
    for code in map(load_code, names):
        qber = reached(bare(code), args.promise)
        print(
            f"| {code.name} | {100 * qber:.3f} % | {args.promise:g} | {other_words(code, qber, args)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("build", "measure", "trials", "floors", "table"))
    parser.add_argument("names", nargs="*", help="codes; all of them by default")
    parser.add_argument(
        "--shortened", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="sixteenths of n"
    )
    parser.add_argument(
        "--punctured", type=int, nargs="*", default=[1, 2], help="halves of a tenth of n"
    )
    parser.add_argument("--frames", type=int, default=20_000, help="frames per point, at the most")
    parser.add_argument("--floor", type=int, default=200_000, help="the same for the bare code")
    parser.add_argument("--promise", type=float, default=0.01, help="failures in trials")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.verb == "table":
        print_table(args.names or list(available_codes()))
        return
    if args.verb in ("trials", "floors"):
        print_them = print_trials if args.verb == "trials" else print_floors
        print_them(args.names or list(available_codes()), args)
        return
    for name in args.names or plans():
        if args.verb == "measure":
            measure(name, args)
        else:
            FOLDER.mkdir(exist_ok=True)
            rows, degrees, lift = plans()[name]
            save(build_one(name, rows, degrees, lift))
            print(name, flush=True)


if __name__ == "__main__":
    main()
