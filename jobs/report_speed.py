"""What `caligo-mpi report` takes beyond `analyze`, and how large its pages are.

``python jobs/report_speed.py [PAIRS] [POINTS]``: makes a run of so many pairs (1e9) and a sweep of so many points
(200) in a temporary directory, and reports each, by the clock and in processor time.  A page says what the verdicts
of `analyze` are, so of the run's report the time of `analyze` alone is taken off.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

CONFIGS = Path(__file__).parent.parent / "configs"
COMMAND = [sys.executable, "-m", "caligo_mpi"]
AXES = """
axes:
  - path: engine.link.fidelity
    linspace: [0.88, 1.0, {points}]
    name: F
"""


class Seconds(NamedTuple):
    """What a command took."""

    clock: float
    processor: float


def taken(*arguments: str) -> Seconds:
    """Run a command; an exit code of 1 may be a finding."""
    before = _processor()
    begin = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode > 1:
        raise SystemExit(f"{arguments}: {done.stderr}")
    clock = time.perf_counter() - begin
    return Seconds(clock, _processor() - before)


def _processor() -> float:
    """Seconds that all ended children have taken of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(folder: Path, pairs: str) -> Path:
    """A pairs file."""
    target = folder / "run.h5"
    config = CONFIGS / "small.yaml"
    taken(
        "generate",
        str(config),
        "--set",
        f"pairs={pairs}",
        "--set",
        "chunk_size=1_048_576",
        "-o",
        str(target),
        "-q",
    )
    return target


def sweep(folder: Path, points: str) -> Path:
    """The directory of a sweep over the fidelity, as `sweep-fidelity.yaml` has it but for the number of points."""
    starter = (CONFIGS / "sweep-fidelity.yaml").read_text()
    base, _, rest = starter.partition("axes:")
    _, _, protocol = rest.partition("protocol:")
    axes = AXES.format(points=points)
    config = folder / "sweep.yaml"
    config.write_text(f"{base}{axes}\nprotocol:{protocol}")
    target = folder / "sweep"
    taken("sweep", str(config), "-o", str(target), "-q")
    return target


def report(source: Path, page: Path, analyzed: Seconds) -> None:
    """Make a page and print what it took and weighs."""
    found = taken("report", str(source), "-o", str(page))
    size = page.stat().st_size / 1e6
    clock = found.clock - analyzed.clock
    processor = found.processor - analyzed.processor
    seconds = f"{clock:.1f} s by the clock, {processor:.1f} s of the processor"
    print(f"report of the {source.stem}: {seconds} beyond analyze, {size:.2f} MB")


def main(pairs: str, points: str) -> None:
    """Make both and report them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = run(folder, pairs)
        analyzed = taken("analyze", str(made), "-q")
        clock, processor = analyzed
        print(f"analyze: {clock:.1f} s by the clock, {processor:.1f} s of the processor")
        report(made, folder / "run.html", analyzed)
        report(sweep(folder, points), folder / "sweep.html", Seconds(0.0, 0.0))


if __name__ == "__main__":
    given = sys.argv[1:]
    defaults = ["1e9", "200"]
    main(*given, *defaults[len(given) :])
