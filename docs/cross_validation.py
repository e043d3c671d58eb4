"""The page *Cross-validation*: every published number of published.yaml beside what is computed and simulated here.

`python docs/cross_validation.py --record` simulates with every engine that is installed and keeps the results in
recorded.json: the page has them where the engine is missing as the site is built.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import caligo_mpi
from caligo_mpi.engines import available, version
from caligo_mpi.errors import CaligoError
from caligo_mpi.pairs.intervals import clopper_pearson
from caligo_mpi.protocol import cascade as cascades
from caligo_mpi.protocol import key_length as lengths

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
#: Pairs that are simulated by engines, where an experiment does not say otherwise.
PAIRS = {"noise": 4_000_000, "stim": 400_000, "plain": 400_000}
OTHERS = 40_000
SEED = 15


# ── formulas ─────────────────────────────────────────────────────────────────────────────────────


def shor_preskill() -> float:
    """The root of 1 − 2h(Q)."""
    return _root(lambda qber: -lengths.asymptotic_fraction(qber), 0.05, 0.2)


def local_qber() -> float:
    """The QBER of the Werner pair whose CHSH value is 2."""
    return _root(lambda qber: 2 - 2 * math.sqrt(2) * (1 - 2 * qber), 0.0, 0.5)


def tomamichel(*, minority: float, qber: float, tolerated: float) -> float:
    """Secret bits per 100 pairs of a million sifted ones; failure probabilities are shares of the length."""
    kept = (1 - minority) ** 2 + minority**2
    test_bits = round(1e6 * minority**2 / kept)
    key_bits = 1_000_000 - test_bits
    length = 400_000
    for _ in range(10):
        length = lengths.finite_key_length(
            key_bits=key_bits,
            test_bits=test_bits,
            qber=tolerated,
            leak_bits=1.1 * key_bits * lengths.binary_entropy(qber),
            epsilon_sec=0.5e-14 * length,
            epsilon_cor=0.5e-14 * length,
        )
    return 100 * length * kept / 1e6


def erven(*, qber: float) -> float:
    """Bits of a string of random oblivious transfer at the parameters of the experiment."""
    leak = 1.491 * 1_128_000 / 2 * lengths.binary_entropy(qber)
    counted = lengths.TransferFigures(
        rounds=80_000_000, single=1_049_000, dropped=0, tag_bits=0, leak_bits=leak
    )
    found = lengths.transfer_length(counted, storage_r=0.75, storage_rate=0.002, epsilon=2.5e-7)
    return float(found.bits)


def storage_limit() -> float:
    """The r at which a qubit of memory has a capacity of half a bit."""
    return _root(lambda r: lengths.storage_capacity(r) - 0.5, 0.0, 1.0)


def uncertainty_rate() -> float:
    """Min-entropy per round of 1e12 rounds."""
    return lengths.uncertainty_coefficient(10**12, 1e-7)


def interval(*, errors: int, trials: int, end: int) -> float:
    """An end of the exact 95 % interval."""
    return clopper_pearson(errors, trials)[end]


def cascade(*, qber: float) -> float:
    """Mean efficiency of 100 frames of 10,000 bits."""
    rng = np.random.default_rng([SEED, round(1e4 * qber)])
    alice = rng.integers(0, 2, (100, 10_000), np.uint8)
    bob = alice ^ (rng.random(alice.shape) < qber).view(np.uint8)
    frames = cascades.reconcile(alice, bob, qber=qber, seed=SEED)
    leak = sum(frame.leak_bits for frame in frames)
    return leak / (alice.size * lengths.binary_entropy(qber))


FORMULAS = {
    one.__name__: one
    for one in (
        shor_preskill, local_qber, tomamichel, erven, storage_limit, uncertainty_rate, interval, cascade,
    )
}  # fmt: skip


def _root(rising: Any, low: float, high: float) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return low


# ── experiments ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Measured:
    """What an engine's rows gave: a value, its standard deviation, of so many emissions."""

    engine: str
    release: str
    pairs: int
    value: float
    deviation: float

    def off(self, published: float, within: float) -> float:
        """Standard deviations from the published number, whose last digit is rounded."""
        distance = max(0.0, abs(self.value - published) - within)
        if not distance:
            return 0.0
        sign = 1 if self.value > published else -1
        return sign * distance / self.deviation if self.deviation else sign * math.inf


def simulate(experiment: Mapping[str, Any], engine: str) -> Measured | None:
    """What the engine gives; None where it cannot."""
    pairs = int(float(experiment.get("pairs", PAIRS.get(engine, OTHERS))))
    section = {"name": engine, **experiment["engine"]}
    try:
        config = caligo_mpi.parse_config({"pairs": pairs, "seed": SEED, "engine": section})
        rows = caligo_mpi.generate_pairs(config)
    except CaligoError:
        return None
    value, deviation = STATISTICS[experiment["statistic"]](rows, pairs)
    return Measured(engine, version(engine) or "", pairs, value, deviation)


def _errors(rows: Any, *bases: int) -> tuple[int, int]:
    same = (rows.alice_basis == rows.bob_basis) & np.isin(rows.alice_basis, bases)
    wrong = same & (rows.alice_outcome != rows.bob_outcome)
    return int(wrong.sum()), int(same.sum())


def _share(some: int, of: int) -> tuple[float, float]:
    p = some / of
    return p, math.sqrt(p * (1 - p) / of)


def _chsh(rows: Any, pairs: int) -> tuple[float, float]:
    value = variance = 0.0
    for basis in (0, 1):
        p, deviation = _share(*_errors(rows, basis))
        value += math.sqrt(2) * (1 - 2 * p)
        variance += 8 * deviation**2
    return value, math.sqrt(variance)


def _success(rows: Any, pairs: int) -> tuple[float, float]:
    attempts = int(rows.extra["attempts"].sum())
    return _share(len(rows.alice_basis), attempts)


STATISTICS = {
    "qber": lambda rows, pairs: _share(*_errors(rows, 0, 1)),
    "qber_z": lambda rows, pairs: _share(*_errors(rows, 0)),
    "sifted": lambda rows, pairs: _share(_errors(rows, 0, 1)[1], len(rows.alice_basis)),
    "coincidences": lambda rows, pairs: _share(len(rows.alice_basis), pairs),
    "chsh": _chsh,
    "success": _success,
}


def everyone(experiment: Mapping[str, Any]) -> list[Measured]:
    """Every engine that can: those that are here now, and the records of those that are not."""
    missing = available()
    kept = {one["engine"]: one for one in _recorded().get(experiment["what"], [])}
    found = []
    for engine in missing:
        if missing[engine] and engine in kept:
            found.append(Measured(**kept[engine]))
        elif not missing[engine] and (one := simulate(experiment, engine)):
            found.append(one)
    return found


def _recorded() -> dict[str, list[dict[str, Any]]]:
    return json.loads(RECORDED.read_text("utf-8")) if RECORDED.exists() else {}


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def load() -> dict[str, list[dict[str, Any]]]:
    """The table of published numbers."""
    return yaml.safe_load((HERE / "published.yaml").read_text("utf-8"))


def page() -> Iterator[str]:
    """The page in MyST."""
    table = load()
    yield _HEAD
    yield "## Formulas\n"
    yield "| quantity | published | here | deviation | source |\n|---|---|---|---|---|"
    for row in table["formulas"]:
        yield formula_line(row)
    yield "\n## Simulated\n"
    yield _SIMULATED
    for experiment in table["experiments"]:
        yield from _experiment(experiment)
    yield _absent()


_HEAD = """# Cross-validation

Published numbers, and what comes out here. The page is made when the site is built, of `docs/published.yaml`: formulas
are computed, and experiments are simulated by every engine that can. *(eq.)* marks a source that prints an equation,
evaluated for these numbers; all others are compared with the digits that are printed. A deviation in bold is more than
the rounding of those.
"""
_SIMULATED = """Each engine simulates the same configuration; *off* is the distance from the published number beyond the
rounding of its last digit, in standard deviations of the counts. Of so many comparisons one beyond 3 is to be expected
now and then, none beyond 5.
"""


def formula_line(row: Mapping[str, Any]) -> str:
    """A row of the table of formulas."""
    value = FORMULAS[row["compute"]](**row.get("with", {}))
    published = row["published"]
    relative = value / published - 1
    good = abs(value - published) <= row["within"]
    told = f"{100 * relative:+.2g} %" if good else f"**{100 * relative:+.2g} %**"
    note = f"; {row['note']}" if "note" in row else ""
    cells = (row["what"], _published(row), f"{value:.6g}", told + note, row["source"])
    return "| " + " | ".join(cells) + " |"


def _experiment(experiment: Mapping[str, Any]) -> Iterator[str]:
    published, within = experiment["published"], experiment["within"]
    what = experiment["what"]
    yield f"### {what[0].upper()}{what[1:]}\n"
    yield f"Published: {_published(experiment)}. {experiment['source']}.\n"
    yield "| engine | emissions | measured | off |\n|---|---|---|---|"
    for one in everyone(experiment):
        off = one.off(published, within)
        spread = f" ± {one.deviation:.1g}" if one.deviation else ""
        told = f"{off:+.1f} σ" if off else "0"
        name = f"`{one.engine}` {one.release}".strip()
        yield f"| {name} | {one.pairs:,} | {one.value:.6g}{spread} | {told} |"
    yield ""


def _published(row: Mapping[str, Any]) -> str:
    digits = f"{row['published']:,}" if row["published"] > 100 else f"{row['published']:g}"
    return digits + (" (eq.)" if row.get("printed") == "formula" else "")


def _absent() -> str:
    kept = {one["engine"] for rows in _recorded().values() for one in rows}
    missing = [engine for engine, why in available().items() if why]
    recorded = [engine for engine in missing if engine in kept]
    nowhere = [engine for engine in missing if engine not in kept]
    told = "## Engines that were not installed\n\n"
    if recorded:
        names = ", ".join(f"`{name}`" for name in recorded)
        told += f"{names}: recorded with the releases above (`python docs/cross_validation.py --record`).\n\n"
    if "netsquid" in nowhere:
        nowhere.remove("netsquid")
        told += (
            "`netsquid` needs a license; where it is installed, `caligo-mpi engines --accept netsquid` "
            "compares it with the closed forms ({doc}`/netsquid`).\n\n"
        )
    return told + (", ".join(f"`{name}`" for name in nowhere) + ": no record.\n" if nowhere else "")


def record() -> None:
    """Simulate with every engine that is here, and keep what comes out beside what was kept of others."""
    kept = _recorded()
    for experiment in load()["experiments"]:
        rows = {one["engine"]: one for one in kept.get(experiment["what"], [])}
        for engine, why in available().items():
            if not why and (one := simulate(experiment, engine)):
                rows[engine] = asdict(one)
        kept[experiment["what"]] = list(rows.values())
    RECORDED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit("usage: python docs/cross_validation.py --record")
    record()
