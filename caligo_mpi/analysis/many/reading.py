"""A row of the table: its parameters at once, its results when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import StoreError
from ...pairs import ROW_COUNTS
from ...pairs.intervals import clopper_pearson
from ...runs.again import open_pairs
from ...runs.sweeps.reading import FILE, is_sweep, read_sweep
from ...runs.sweeps.results import Values, results_of
from ...runs.sweeps.work import about_law
from ...store import LABEL, PairsFile
from ...store.keys import KeysReport, is_keys_file, keys_configs, keys_status
from ...store.names import part_path
from ...store.sweep_data import blank_row
from ...store.sweep_file import read_sweep_file
from ..glance import Glance, glance

#: Sections of a configuration that change no bit, and the size, which is a result.
_PASSING = ("pairs", "output", "schedule", "faults")
#: What formulas and intervals are made with, as in sweeps that say nothing else.
_SETTINGS = {"confidence": 0.95, "efficiency": 1.1}
_BASES = (
    "sifted_{}",
    "errors_{}",
    "qber_{}",
    "qber_{}_low",
    "qber_{}_high",
    "expected_qber_{}",
    "z_score_{}",
)
#: Results of pairs files and of keys files, in the order of columns; those of sweeps have the same names.
PAIRS = (
    "state",
    "pairs",
    "pairs_asked",
    "coincidences",
    "expected_coincidences",
    "sifted",
    *(name.format(basis) for basis in "zx" for name in _BASES),
    "qber",
    "alice_clicks",
    "bob_clicks",
    "duration_ns",
    "law",
    "stopped",
    "data_digest",
    "core_seconds",
    "figure_of_merit",
    "seconds_to_1_percent",
)
KEYS = (
    "state",
    "pairs",
    "coincidences",
    "sifted",
    "tested",
    "tested_errors",
    "tested_qber",
    "tested_qber_low",
    "tested_qber_high",
    "leak_bits",
    "key_bits",
    "key_per_sifted",
    "key_per_emission",
    "key_per_second",
    "keys_agree",
    "blocks",
    "aborted_blocks",
    "abort",
    "duration_ns",
    "source",
    "data_digest",
    "keys_digest",
)


@dataclass(slots=True, eq=False)
class Source:
    """One row: where it comes from, its parameters by dotted name, and its results once they were asked for."""

    path: Path
    kind: str
    parameters: Mapping[str, Any]
    known: Values | None = None

    def results(self) -> Values:
        """Results by name: of a pairs file from its chunk table, never from its rows."""
        if self.known is None:
            read = _of_keys if self.kind == "keys" else _of_pairs
            self.known = read(self.path)
        return self.known

    def names(self) -> Iterable[str]:
        """The names of its results, without reading them."""
        if self.known is not None:
            return self.known
        return KEYS if self.kind == "keys" else PAIRS


def sources(path: Path) -> Iterator[Source]:
    """The rows of a file: one of a pairs or keys file, of a sweep one for each point.

    Raises `StoreError` where it is none of ours or damaged.
    """
    if is_sweep(path):
        yield from _points(path)
        return
    existing = _existing(path)
    if is_keys_file(existing):
        run, protocol = keys_configs(existing)
        parameters = flat(run) | flat(protocol, "protocol.")
        yield Source(path, "keys", parameters)
        return
    with open_pairs(existing) as file:
        parameters = flat(file.info.config)
        yield Source(path, "pairs", parameters)


def flat(text: str, front: str = "") -> dict[str, Any]:
    """The parameters of a configuration (JSON) by dotted name; lists are JSON.

    >>> flat('{"seed": 1, "engine": {"link": {"pauli": [0.1, 0, 0]}}, "output": {"path": "x"}}')
    {'seed': 1, 'engine.link.pauli': '[0.1, 0, 0]'}
    """
    values = json.loads(text) if text else {}
    wanted = {name: value for name, value in values.items() if front or name not in _PASSING}
    return dict(_leaves(wanted, front))


def _leaves(values: Mapping[str, Any], front: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{front}{name}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.")
        elif isinstance(value, list):
            yield path, json.dumps(value)
        elif value is not None:
            yield path, value


# ── results ──────────────────────────────────────────────────────────────────────────────────────


def _of_pairs(path: Path) -> Values:
    with open_pairs(_existing(path)) as file:
        seen = glance(file)
    found = {
        **results_of(_row(seen), _SETTINGS),
        "law": LABEL if seen.info.is_law else None,
        "pairs_asked": seen.info.pairs,
        "state": "complete" if seen.complete else "partial",
    }
    return {name: found.get(name) for name in PAIRS}


def _row(seen: Glance) -> dict[str, Any]:
    """What the chunk table of a file says, as a row of a sweep."""
    row: dict[str, Any] = {**blank_row()}
    if seen.expected is not None:
        row |= about_law(seen.expected)
    for name in ROW_COUNTS:
        row[name] = seen.total(name)
    return {
        **row,
        "pairs": seen.total("count"),
        "duration_ns": seen.duration_ns,
        "seconds": float(seen.work["seconds"].sum()),
        "config": seen.info.config,
        "data_digest": seen.data_digest,
    }


def _of_keys(path: Path) -> Values:
    found = keys_status(path)
    info = found.info
    values: Values = {
        "state": "complete" if found.keys else "partial",
        "source": info.source,
        "data_digest": info.source_digest,
        "pairs": info.emissions or None,
        "coincidences": info.rows,
        "duration_ns": info.duration_ns,
        "blocks": info.blocks,
    }
    if found.keys is not None:
        values |= _of_key(found.keys)
    return {name: values.get(name) for name in KEYS}


def _of_key(keys: KeysReport) -> Values:
    names = ("sifted", "tested", "errors", "leak_bits", "key_bits")
    sums = {name: int(keys.blocks[name].sum()) for name in names}
    errors = sums.pop("errors")
    tested = sums["tested"]
    sifted = sums["sifted"]
    low, high = clopper_pearson(errors, tested)
    aborted = keys.blocks[keys.blocks["abort_step"] != b""]
    return {
        **sums,
        "tested_errors": errors,
        "tested_qber": errors / tested if tested else None,
        "tested_qber_low": low,
        "tested_qber_high": high,
        "key_per_sifted": keys.key_bits / sifted if sifted else None,
        "key_per_emission": keys.per_emission,
        "key_per_second": keys.per_second,
        "aborted_blocks": len(aborted),
        "abort": _told(aborted[0]) if len(aborted) else None,
        "keys_agree": keys.agree,
        "keys_digest": keys.digest,
    }


def _told(block: np.void) -> str:
    """Why a block was aborted."""
    step = block["abort_step"].decode()
    reason = block["abort_reason"].decode()
    return f"{step}: {reason}"


# ── sweeps ───────────────────────────────────────────────────────────────────────────────────────


def _points(directory: Path) -> Iterator[Source]:
    """A row per point; one that is not finished has the values of the axes alone."""
    sweep = read_sweep(directory)
    file = read_sweep_file(directory / FILE)
    for (key, named), row in zip(
        file.points,
        sweep.rows(),
        strict=True,
    ):
        parameters = flat(named)
        if done := file.rows.get(key):
            parameters |= flat(done["config"])
            parameters |= flat(done["protocol"], "protocol.")
        results = {name: value for name, value in row.items() if name not in sweep.axes}
        results.pop("seed", None)  # a parameter
        if results["state"] == "done":
            results["state"] = "complete"
        yield Source(directory, "point", parameters, results)


# ── pairs ────────────────────────────────────────────────────────────────────────────────────────


def opened(source: Source) -> PairsFile:
    """The pairs file of a row, open to read.  Raises `StoreError` where the row has none."""
    if source.kind == "pairs":
        return open_pairs(_existing(source.path))
    raise StoreError(
        f"{source.path} is no pairs file; take rows of kind 'pairs': runs[runs['kind'] == 'pairs']"
    )


def _existing(path: Path) -> Path:
    """The file, or its partial file where only that is there."""
    part = part_path(path)
    return part if part.exists() and not path.exists() else path
