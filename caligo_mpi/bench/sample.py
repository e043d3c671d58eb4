"""The process of a run of work ``sample``: the engine alone, after a first chunk that does not count.

    python -m caligo_mpi.bench.sample run.yaml

Prints one JSON object; what is wrong with the configuration goes to the standard error, exit code 2.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict
from typing import Any

from ..config import RunConfig, load_config
from ..engines import Engine, make_engine
from ..errors import DONE, WRONG_USE, CaligoError
from ..pairs import Partition, Tally, tally


def sampled(config: RunConfig) -> dict[str, Any]:
    """Seconds inside the engine, counts, and its closed form."""
    engine = make_engine(config.engine)
    partition = Partition(config.pairs, config.chunk_size)
    first = partition[0]
    # Imports, tables and compilers are paid here; another seed, so that nothing is remembered.
    engine.sample(
        first.count,
        first.seed_sequence(config.seed + 1),
        tick=_nothing,
    )
    seconds = 0.0
    rows = 0
    counts = Tally()
    for chunk in partition:
        seed = chunk.seed_sequence(config.seed)
        start = time.perf_counter()
        pairs = engine.sample(chunk.count, seed, tick=_nothing)
        seconds += time.perf_counter() - start
        rows += pairs.count
        counts += tally(pairs.columns, pairs.count)
    return {
        "seconds": seconds,
        "rows": rows,
        "engine": engine.name,
        **asdict(counts),
        **_law(engine),
    }


def _nothing() -> None:
    pass


def _law(engine: Engine) -> dict[str, float | None]:
    law = engine.expected
    return {
        "expected_qber_z": _known(law.qber_z),
        "expected_qber_x": _known(law.qber_x),
    }


def _known(rate: float) -> float | None:
    """The rate as JSON has it; None where the law does not know it."""
    return None if math.isnan(rate) else rate


def main(arguments: list[str]) -> int:
    """Sample as the configuration says; returns the exit code."""
    try:
        print(json.dumps(sampled(load_config(arguments[0]))))
    except CaligoError as error:
        print(f"caligo-mpi: {error}", file=sys.stderr)
        return WRONG_USE
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
