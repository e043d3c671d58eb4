"""The protocol that pairs get when no configuration of one is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import store
from ..config.modes import DEFAULT_MODE
from ..config.protocol import ProtocolConfig, parse_protocol
from .modes import mode_of


@dataclass(frozen=True, slots=True)
class Choice:
    """A protocol, and the sentence that says what was chosen and why."""

    config: ProtocolConfig
    sentence: str


def choose_protocol(
    source: str | os.PathLike[str],
    name: str = DEFAULT_MODE,
    overrides: Sequence[str] = (),
) -> Choice:
    """A protocol for the pairs file ``source``: the defaults of the mode ``name``, its seed that of the pairs.

    Each mode says what suits the file's pairs: see `Mode.defaults`.
    ``overrides`` are as in `load_protocol`.  The same file gives the same choice everywhere.
    Raises `StoreError` for a file that cannot be read and `ConfigError` for a wrong override.
    """
    mode = mode_of(name)
    with store.open_pairs(source) as file:
        seed = file.seed
        given, why = mode.defaults(file)
    values = {
        "mode": name,
        "seed": seed,
        **given,
    }
    config = parse_protocol(values, overrides)
    sentence = mode.chosen(config, given, why)
    return Choice(config, f"protocol: {sentence}")


def default_output(source: str | os.PathLike[str]) -> Path:
    """Where keys go unless another file is named: ``NAME.keys.h5`` beside the pairs.

    >>> default_output("runs/small.h5").name
    'small.keys.h5'
    """
    path = Path(source)
    stem = path.stem if path.suffix in (".h5", ".hdf5") else path.name
    return path.with_name(f"{stem}.keys.h5")
