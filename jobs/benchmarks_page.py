"""Write docs/benchmarks.md from results of `caligo-mpi bench`.

    caligo-mpi bench peers -o results                            # and other presets
    python jobs/benchmarks_page.py --take results/SESSION …      # keep what the page needs in docs/benchmarks/
    python jobs/benchmarks_page.py                               # the page and its plots (needs matplotlib)
    python jobs/benchmarks_page.py --text                        # the page alone

Speeds are given as ratios: absolute times of a shared machine mean nothing elsewhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from caligo_mpi.bench.plan import shown
from caligo_mpi.bench.statistics import Estimate, ratio

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"

Summary = dict[str, Any]
Entry = dict[str, Any]

#: Of summary.json and machine.json, what the page needs; the rest is as long.
_KEPT = ("summary.json", "machine.json")


def take(sessions: Sequence[Path]) -> None:
    """Copy what the page needs of finished sessions, by the names of their benches."""
    for session in sessions:
        summary = json.loads((session / "summary.json").read_text())
        folder = RESULTS / summary["name"]
        folder.mkdir(parents=True, exist_ok=True)
        for name in _KEPT:
            values = json.loads((session / name).read_text())
            (folder / name).write_text(json.dumps(rounded(values), indent=1) + "\n")


def rounded(values: Any) -> Any:
    """Numbers of no more digits than mean something."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def page(results: Path) -> str:
    """The whole page."""
    found = {
        path.parent.name: json.loads(path.read_text()) for path in results.glob("*/summary.json")
    }
    machines = {
        path.parent.name: json.loads(path.read_text()) for path in results.glob("*/machine.json")
    }
    parts = [_head(found, machines)]
    parts += [_section(name, found[name]) for name in _SECTIONS if name in found]
    return "\n\n".join(parts) + "\n"


def _head(found: dict[str, Summary], machines: dict[str, Any]) -> str:
    machine = next(iter(machines.values()))
    loads = [one["load"] for one in machines.values()]
    cores = machine["cores"]
    words = {1: "one core", 2: "two cores"}.get(cores, f"{cores} cores")
    software = machine["software"]
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    releases = f"caligo_mpi {software['caligo_mpi']}, numpy {software.get('numpy')}, Python {software['python']}"
    load = " to ".join(dict.fromkeys(f"{one:.1f}" for one in (min(loads), max(loads))))
    return f"""# Benchmarks

Written by `python jobs/benchmarks_page.py` from [docs/benchmarks/](benchmarks/), which `caligo-mpi bench` measured
([bench.md](bench.md) says how; every table is a preset that you can run). Do not edit by hand.

**The machine has {words}** ({machine["processor"]}, {memory}) and is shared with other work:
its load was {load} when these benches began. Cases ran in turns, so that a slow spell met all of them. Speeds are
ratios of medians, with bootstrap intervals of 95 %; small differences mean nothing. {releases}."""


def _section(name: str, summary: Summary) -> str:
    title, text, table = _SECTIONS[name]
    repeats = max(entry["runs"] for entry in summary["cases"])
    plot = f"\n\n![{title}](benchmarks/{name}.svg)" if name in _PLOTS else ""
    lines = "\n".join(table(summary))
    problems = [
        f"* {_name(entry)}: {entry['state']}: {entry['problem']}"
        for entry in summary["cases"]
        if entry["problem"]
    ]
    rest = "\n\n" + "\n".join(problems) if problems else ""
    sizes = {entry["parameters"]["pairs"] for entry in summary["cases"]}
    pairs = f" --pairs {shown(sizes.pop())}" if len(sizes) == 1 else ""
    said = f"`caligo-mpi bench {name}{pairs}`, {repeats} runs of each. {text}"
    return f"## {title}\n\n{said}{plot}\n\n{lines}{rest}"


def _rows(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _name(entry: Entry) -> str:
    return f"`{entry['engine']}`"


def _good(summary: Summary) -> list[Entry]:
    return [entry for entry in summary["cases"] if entry["speeds"]]


def _over(entry: Entry, reference: Entry) -> str:
    """The speed over the reference's, with its interval."""
    if entry is reference:
        return "1"
    found = _estimate(entry, reference)
    return f"{_times(found.value)} ({_times(found.low)} … {_times(found.high)})"


def _estimate(entry: Entry, reference: Entry) -> Estimate:
    """The ratio of the speeds, of the reference exactly 1."""
    if entry is reference:
        return Estimate(1.0, 1.0, 1.0)
    return ratio(entry["speeds"], reference["speeds"])


def _times(value: float) -> str:
    """A factor in two digits.

    >>> _times(1.0), _times(46.1), _times(4141.0)
    ('1', '46', '4,100')
    """
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def _sigma(entry: Entry) -> str:
    rates = entry["rates"] or {}
    values = [rates.get("sigma_qber_z"), rates.get("sigma_qber_x")]
    return ", ".join("-" if value is None else f"{value:+.1f}" for value in values)


def _memory(entry: Entry) -> str:
    return f"{int(entry['peak_bytes']) >> 20} MiB"


def peers(summary: Summary) -> Iterator[str]:
    """Engines by speed, each as a part of ours."""
    found = sorted(_good(summary), key=lambda entry: -entry["pairs_per_second"]["value"])
    reference = _good(summary)[0]
    head = (
        "engine",
        "release",
        "speed over ours",
        "ours over it",
        "QBER off by (Z, X) [σ]",
        "memory",
    )
    rows = (
        (
            _name(entry),
            entry["release"].removeprefix(entry["engine"]).strip() or "-",
            _over(entry, reference),
            f"{_times(1 / ratio(entry['speeds'], reference['speeds']).value)}",
            _sigma(entry),
            _memory(entry),
        )
        for entry in found
    )
    yield from _rows(head, rows)


def batching(summary: Summary) -> Iterator[str]:
    """A loop, pools and batches, over the loop."""
    reference = _good(summary)[0]
    head = ("engine", "pairs", "speed over the loop", "memory")
    rows = (
        (
            _name(entry),
            f"{entry['pairs']:,}",
            _over(entry, reference),
            _memory(entry),
        )
        for entry in _good(summary)
    )
    yield from _rows(head, rows)


def scaling(summary: Summary) -> Iterator[str]:
    """Speed over one rank's, then the fits."""
    entries = _good(summary)
    head = ("scaling", "ranks", "speed over one rank", "memory of all ranks")
    one = {
        entry["parameters"]["weak"]: entry for entry in entries if entry["parameters"]["ranks"] == 1
    }
    rows = (
        (
            "weak" if entry["parameters"]["weak"] else "strong",
            str(entry["ranks"]),
            _over(entry, one[entry["parameters"]["weak"]]),
            _memory(entry),
        )
        for entry in sorted(
            entries, key=lambda entry: (entry["parameters"]["weak"], entry["ranks"])
        )
    )
    yield from _rows(head, rows)
    yield ""
    for fit in summary["fits"]:
        part = fit["serial_fraction"]
        interval = f"{100 * part['low']:.1f} … {100 * part['high']:.1f} %"
        yield f"* {fit['law']}: serial fraction {100 * part['value']:.1f} % ({interval})"


def by(parameter: str, first: str) -> Callable[[Summary], Iterator[str]]:
    """A table with a row for each value of a parameter and a column for each engine, over the reference's first."""

    def table(summary: Summary) -> Iterator[str]:
        entries = _good(summary)
        engines = list(dict.fromkeys(entry["engine"] for entry in entries))
        values = list(dict.fromkeys(entry["parameters"][parameter] for entry in entries))
        reference = entries[0]
        cells = {(entry["engine"], entry["parameters"][parameter]): entry for entry in entries}
        rows = (
            (
                shown(value),
                *(
                    _over(cells[engine, value], reference) if (engine, value) in cells else "-"
                    for engine in engines
                ),
            )
            for value in values
        )
        yield from _rows((first, *(f"`{engine}`" for engine in engines)), rows)

    return table


def chunks(summary: Summary) -> Iterator[str]:
    """Policies by chunk size, over the first."""
    entries = _good(summary)
    policies = list(dict.fromkeys(entry["parameters"]["policy"] for entry in entries))
    sizes = list(dict.fromkeys(entry["parameters"]["chunk_size"] for entry in entries))
    cells = {(e["parameters"]["policy"], e["parameters"]["chunk_size"]): e for e in entries}
    rows = (
        (f"{size:,}", *(_over(cells[policy, size], entries[0]) for policy in policies))
        for size in sizes
    )
    yield from _rows(("chunk size", *policies), rows)


_SECTIONS: dict[str, tuple[str, str, Callable[[Summary], Iterator[str]]]] = {
    "peers": (
        "Every engine on one experiment",
        "A Werner link of F = 0.95 and read-outs that flip 1 %; the engine alone, after a first chunk. σ: how far the "
        "error rates of all its runs are off the closed form.",
        peers,
    ),
    "batching": (
        "Why batches",
        "`batch` is how many pairs a call of numpy, or a task of a pool, takes at once.",
        batching,
    ),
    "scaling": (
        "Ranks",
        "Strong: the same run on more ranks; weak: as many pairs for each rank. Files keep records alone.",
        scaling,
    ),
    "size-sweep": (
        "From start-up to throughput",
        "Whole processes, pairs per second over those of the first cell: where a row is ten times the one before it, "
        "start-up is all there is.",
        by("pairs", "pairs"),
    ),
    "noise-sweep": (
        "Error rates",
        "Speed by the QBER of the link, over that of the first cell.",
        by("noise", "QBER"),
    ),
    "chunks": ("Chunks and policies", "Two ranks; over the first cell.", chunks),
    "store": ("What is kept", "Over the first row.", by("output", "output")),
    "protocol": ("From pairs to keys", "Over the first row.", by("protocol", "protocol")),
}


# ── plots ────────────────────────────────────────────────────────────────────────────────────────


def plot(results: Path) -> None:
    """Draw what the page shows."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    # The same file for the same data.
    mpl.rcParams["svg.hashsalt"] = "caligo-mpi"
    mpl.rcParams["font.size"] = 9
    for name, draw in _PLOTS.items():
        path = results / name / "summary.json"
        if path.exists():
            summary = json.loads(path.read_text())
            height = 1.2 + 0.2 * len(_good(summary))
            figure, axes = plt.subplots(figsize=(6.4, height), layout="constrained")
            draw(axes, summary)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
            figure.savefig(results / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)


def _bars(axes: Any, names: list[str], found: list[Any]) -> None:
    """Ratios with their intervals, the largest on top."""
    values = [one.value for one in found]
    errors = [
        [one.value - one.low for one in found],
        [one.high - one.value for one in found],
    ]
    axes.barh(names, values, xerr=errors, color="#4878a8", ecolor="#202020", height=0.65)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_peers(axes: Any, summary: Summary) -> None:
    entries = sorted(_good(summary), key=lambda entry: -entry["pairs_per_second"]["value"])
    reference = _good(summary)[0]
    found = [_estimate(entry, reference) for entry in entries]
    _bars(axes, [entry["engine"] for entry in entries], found)
    axes.set_xlabel("pairs per second, over the noise engine's")


def _draw_batching(axes: Any, summary: Summary) -> None:
    entries = _good(summary)
    found = [_estimate(entry, entries[0]) for entry in entries]
    names = [f"{entry['engine']}, {entry['pairs']:,} pairs" for entry in entries]
    _bars(axes, names, found)
    axes.set_xlabel("pairs per second, over the loop's")


def _draw_sizes(axes: Any, summary: Summary) -> None:
    entries = _good(summary)
    reference = entries[0]["pairs_per_second"]["value"]
    for engine in dict.fromkeys(entry["engine"] for entry in entries):
        own = [entry for entry in entries if entry["engine"] == engine]
        pairs = [entry["pairs"] for entry in own]
        speeds = [entry["pairs_per_second"]["value"] / reference for entry in own]
        axes.loglog(pairs, speeds, "o-", label=engine, markersize=4)
    axes.set_xlabel("pairs")
    axes.set_ylabel("speed of a process, relative")
    axes.legend(frameon=False)
    axes.grid(color="#dddddd", linewidth=0.6)


_PLOTS: dict[str, Callable[[Any, Summary], None]] = {
    "peers": _draw_peers,
    "batching": _draw_batching,
    "size-sweep": _draw_sizes,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--take", nargs="+", type=Path, metavar="SESSION", help="keep these results"
    )
    parser.add_argument("--text", action="store_true", help="no plots")
    options = parser.parse_args()
    if options.take:
        take(options.take)
    PAGE.write_text(page(RESULTS), "utf-8")
    if not options.text:
        plot(RESULTS)


if __name__ == "__main__":
    main()
