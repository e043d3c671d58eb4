"""How memory and time grow with a run: ratios of a large one to a small one, each in a process of its own.

    python jobs/growth.py distill --small 1e7 --large 1e9     peak memory of making keys
    python jobs/growth.py chunks --small 1e5 --large 1e6      open, status, verify, resume of many chunks

The bar for memory is a ratio of 1.2, for the times of ten times as many chunks one of 11.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from caligo_mpi import parse_config, parse_protocol, status, store
from caligo_mpi.engines import make_engine
from caligo_mpi.parallel.job import Rules
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.distill import distill, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.runs.identity import run_info
from caligo_mpi.runs.verify import verify

ENGINE = {"name": "noise", "link": {"fidelity": 0.97}}
PROTOCOL = {"mode": "bbm92", "seed": 1}
TINY = 8  # emissions of each of many chunks


def peak_bytes(work: Callable[..., object], *arguments: object) -> int:
    """The most memory that a process which does this work holds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., object], arguments: tuple[object, ...]) -> int:
    work(*arguments)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def make_pairs(path: Path, pairs: int) -> None:
    generate(parse_config({"pairs": pairs, "seed": 1, "engine": ENGINE}), path)


def make_keys(source: Path, path: Path) -> None:
    distill(prepare(source, parse_protocol(PROTOCOL)), path)


def distilling(folder: Path, pairs: int) -> dict[str, float]:
    source = folder / f"{pairs}.h5"
    make_pairs(source, pairs)
    return {"peak_bytes": peak_bytes(make_keys, source, folder / f"{pairs}.keys.h5")}


def many_chunks(folder: Path, chunks: int) -> dict[str, float]:
    """Seconds of the processor, as all is done by this process; resuming has a tenth of the chunks to do."""
    config = parse_config({"pairs": TINY * chunks, "chunk_size": TINY, "seed": 1, "engine": ENGINE})
    path, seconds = folder / f"{chunks}.h5", {}
    stopped = iter(range(chunks))

    def most(setup, items):
        yield from serial_map(setup, items, Rules(stop=lambda: int(next(stopped) > 0.9 * chunks)))

    generate(config, path, map=most)
    info = run_info(config, make_engine(config.engine))
    for name, work in (
        ("open", lambda: store.PairStore.open(path, info, launch={}).close()),
        ("resume", lambda: generate(config, path)),
        ("status", lambda: status(path)),
        ("verify", lambda: verify(path)),
    ):
        start = time.process_time()
        work()
        seconds[name] = time.process_time() - start
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["distill", "chunks"])
    parser.add_argument("--small", type=float, required=True)
    parser.add_argument("--large", type=float, required=True)
    args = parser.parse_args()
    measure = distilling if args.what == "distill" else many_chunks
    with tempfile.TemporaryDirectory() as folder:
        small, large = (measure(Path(folder), int(size)) for size in (args.small, args.large))
    ratios = {name: round(large[name] / small[name], 3) for name in small}
    print(json.dumps({"small": small, "large": large, "ratio": ratios}, indent=2))


if __name__ == "__main__":
    main()
