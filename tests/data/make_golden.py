"""Make the files beside this script: ``python tests/data/make_golden.py FOLDER``.

Files that a release wrote must be read, resumed, verified and distilled to the same digests by all later ones.
Each release with a new format version makes its own, once, and they are never made again: their point is that
they are old.  They are kept compressed, since most of a small file is tables that are still empty.
"""

from __future__ import annotations

import functools
import json
import lzma
import sys
from pathlib import Path

from caligo_mpi import parse_config, parse_protocol, status
from caligo_mpi.parallel import serial
from caligo_mpi.runs import distill, generate
from caligo_mpi.store import pairs_hash

NOISE = {"name": "noise", "link": {"fidelity": 0.98}}
ARM = {"detector_efficiency": 0.5}
RUNS = {
    "lossless": {"pairs": 40_000, "chunk_size": 4096, "seed": 11, "engine": NOISE},
    "lossy": {
        "pairs": 8_000,
        "chunk_size": 1000,
        "seed": 12,
        "engine": {**NOISE, "loss": {"alice": ARM, "bob": ARM}},
    },
    "transfer": {
        "pairs": 100_000,
        "chunk_size": 8192,
        "seed": 13,
        "engine": {"name": "noise", "link": {"fidelity": 1.0}},
    },
}
#: Chunks of the partial file.
DONE = 4
PROTOCOLS = {
    "bbm92": ("lossless", {"mode": "bbm92", "seed": 5, "block_size": 20_000}),
    "rot": (
        "transfer",
        {"mode": "rot", "seed": 5, "test_fraction": 0.1, "failure_target": 0.01, "epsilon": 2.5e-7}
        | {"storage_r": 0.75, "storage_rate": 0.002, "wait_ns": 1e9},
    ),
}


def main(folder: Path) -> None:
    known: dict[str, list[str]] = {}
    for name, run in RUNS.items():
        path = folder / f"{name}.h5"
        generate.generate(parse_config(run), path)
        known[name] = [status(path).data_digest, pairs_hash(path)]
    reports: list[object] = []
    some = functools.partial(serial.serial_map, stop=lambda: int(len(reports) >= DONE))
    generate.generate(
        parse_config(RUNS["lossless"]), folder / "stopped.h5", map=some, report=reports.append
    )
    for mode, (source, protocol) in PROTOCOLS.items():
        job = distill.prepare(folder / f"{source}.h5", parse_protocol(protocol))
        done = distill.distill(job, folder / f"keys-{mode}.h5")
        assert done.keys is not None
        assert done.keys.key_bits
        known[f"keys-{mode}"] = [done.keys.digest]
    (folder / "digests.json").write_text(json.dumps(known, indent=2) + "\n")
    for path in [*folder.glob("*.h5"), *folder.glob("*.part")]:
        packed = path.with_name(path.name + ".xz")
        packed.write_bytes(lzma.compress(path.read_bytes(), preset=9))
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
