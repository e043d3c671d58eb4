"""The protocol that pairs get when no configuration of one is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import store
from ..config import RunConfig
from ..config.protocol import ProtocolConfig, RotConfig, parse_protocol
from ..protocol.key_length import hoeffding_margin
from . import devices

#: What `configs/rot.yaml` assumes of the adversary's memory.
_STORAGE: dict[str, Any] = {"storage_r": 0.75, "storage_rate": 0.002}
#: The chance that bases which were chosen evenly look uneven, twice.
_EPSILON = 1e-10


@dataclass(frozen=True, slots=True)
class Choice:
    """A protocol, and the sentence that says what was chosen and why."""

    config: ProtocolConfig
    sentence: str


def choose_protocol(
    source: str | os.PathLike[str], mode: str = "bbm92", overrides: Sequence[str] = ()
) -> Choice:
    """A protocol for the pairs file ``source``: its mode's defaults, its seed that of the pairs.

    ``bbm92`` gets the test that the file's bases allow: a random subset where they were chosen evenly, else all bits
    of the rarer basis.  ``overrides`` are as in `load_protocol`.  The same file gives the same choice everywhere.
    Raises `StoreError` for a file that cannot be read and `ConfigError` for a wrong override.
    """
    values: dict[str, Any] = {"mode": mode}
    with store.open_pairs(source) as file:
        values["seed"] = file.seed
        if mode == "rot":
            values |= _STORAGE
        else:
            values["test"], why = _test_of(file)
    config = parse_protocol(values, overrides)
    if isinstance(config, RotConfig):
        memory = f"storage_r={config.storage_r:g}, storage_rate={config.storage_rate:g}"
        why = f"the adversary's memory is assumed as {memory}"
    elif config.test != values.get("test"):
        why = "as it was set"
    return Choice(config, f"protocol: {_named(config)}, seed={config.seed}; {why}")


def default_output(source: str | os.PathLike[str]) -> Path:
    """Where keys go unless another file is named: ``NAME.keys.h5`` beside the pairs.

    >>> default_output("runs/small.h5").name
    'small.keys.h5'
    """
    path = Path(source)
    stem = path.stem if path.suffix in (".h5", ".hdf5") else path.name
    return path.with_name(f"{stem}.keys.h5")


def _named(config: ProtocolConfig) -> str:
    return config.mode if isinstance(config, RotConfig) else f"bbm92 with test={config.test}"


def _test_of(file: store.PairsFile) -> tuple[str, str]:
    """The test that the bases allow, and why."""
    in_z, in_x = int(file.total("sifted_z")), int(file.total("sifted_x"))
    if _are_even(file, in_z, in_x):
        return "random", "bases were chosen evenly, so a random subset of both bounds the errors"
    rarer = "X" if in_x <= in_z else "Z"
    counts = f"{in_z:,} Z and {in_x:,} X sifted"
    return rarer, f"bases were not chosen evenly: {counts}, so all {rarer} bits are the test"


def _are_even(file: store.PairsFile, in_z: int, in_x: int) -> bool:
    """Whether both bases are equally likely, by the configuration, and look it."""
    sifted = in_z + in_x
    run = RunConfig.from_json(file.info.config)
    if not sifted or not devices.premises(run, "bbm92").even:
        return not sifted
    return abs(in_x / sifted - 0.5) <= hoeffding_margin(sifted, _EPSILON)
