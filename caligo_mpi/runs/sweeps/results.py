"""Results of a sweep as a table: a row per point, written as CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from ...pairs.intervals import clopper_pearson, z_score
from ...store import LABEL
from ...store.files import disk_errors
from ...store.sweep_data import Partial, Row, SweepInfo, SweepRows
from ...store.sweep_journal import of_table
from ...store.sweep_store import SweepStore
from ..job import Observer

CSV = "results.csv"
PARQUET = "results.parquet"

#: Columns that hold times, or what follows from them; all others are the same in every computation.
TIME_COLUMNS = ("core_seconds", "key_core_seconds", "figure_of_merit", "seconds_to_1_percent")

_UNITS = {
    "duration_ns": "ns",
    "core_seconds": "s",
    "key_core_seconds": "s",
    "figure_of_merit": "1/s",
    "seconds_to_1_percent": "s",
}

Values = dict[str, Any]
#: A point of a table: its number, its key, its parameters as JSON.
Listed = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """Results: a mapping of column to value per point, None where there is none.

    ``axes`` are the names of parameters; ``units`` are those of columns that have one.
    """

    info: SweepInfo
    axes: tuple[str, ...]
    columns: tuple[str, ...]
    units: Mapping[str, str]
    rows: tuple[Values, ...]

    @classmethod
    def of(
        cls,
        info: SweepInfo,
        points: Sequence[Listed],
        rows: Mapping[str, Row],
        failed: Mapping[str, str] | None = None,
        partial: Mapping[str, Partial] | None = None,
    ) -> Table:
        """The table of these points; ``rows`` are finished, or failed ones of earlier launches."""
        names = tuple(name for _, name, *_ in info.axes)
        units = {name: unit for _, name, unit, _ in info.axes if unit} | _UNITS
        is_law = json.loads(info.identity)["law"] == "counts"
        told = []
        for number, key, parameters in points:
            settings = json.loads(parameters)
            values: Values = {"point": number}
            for path, name, *_ in info.axes:
                values[name] = settings[path]
            values |= _state(key, rows, failed or {}, partial or {})
            if values["state"] == "done":
                values |= results_of(rows[key], info.settings)
            if is_law:
                values["law"] = LABEL
            told.append(values)
        there = [rows[key] for _, key, _ in points if key in rows]
        return cls(
            info=info,
            axes=names,
            columns=_columns(names, there, is_law=is_law),
            units=units,
            rows=tuple(told),
        )

    def column(self, name: str) -> list[Any]:
        """A value per point."""
        return [row.get(name) for row in self.rows]

    def count(self, state: str) -> int:
        """How many points are in this state."""
        return sum(row["state"] == state for row in self.rows)


_BASES = (
    "sifted_{}",
    "errors_{}",
    "qber_{}",
    "qber_{}_low",
    "qber_{}_high",
    "expected_qber_{}",
    "z_score_{}",
)
_MEASURED = (
    "pairs", "coincidences", "expected_coincidences", "sifted",
    *(name.format(basis) for basis in "zx" for name in _BASES), "qber",
    "alice_clicks", "bob_clicks", "duration_ns",
)  # fmt: skip
_KEYS = (
    "key_bits", "key_per_sifted", "key_per_emission", "keys_agree", "leak_bits", "efficiency", "tested", "blocks",
    "aborted_blocks", "abort", "asymptotic_per_sifted", "asymptotic_per_emission", "finite_key_bits",
    "finite_per_sifted", "finite_per_emission",
)  # fmt: skip
_LAST = ("seed", "data_digest", "error", *TIME_COLUMNS)


def _columns(
    axes: Iterable[str],
    rows: Sequence[Row],
    *,
    is_law: bool,
) -> tuple[str, ...]:
    """The columns of a table in which these rows stand."""
    columns = ["point", *axes, "state"]
    if is_law:
        columns.append("law")
    if any(row["stopped"] for row in rows):
        columns.append("stopped")
    columns += _MEASURED
    if any(row["protocol"] for row in rows):
        columns += _KEYS
    columns += _LAST
    return tuple(columns)


def _state(
    key: str,
    rows: Mapping[str, Row],
    failed: Mapping[str, str],
    partial: Mapping[str, Partial],
) -> Values:
    if key in failed:
        return {"state": "failed", "error": failed[key]}
    row = rows.get(key)
    if row is not None and row["state"] == "done":
        return {"state": "done"}
    if row is not None:
        return {"state": "failed", "error": row["error"]}
    return {"state": "running" if key in partial else "waiting"}


def results_of(row: Row, settings: Mapping[str, Any]) -> Values:
    """All that follows from a finished row; ``settings`` are ``confidence`` and ``efficiency``."""
    sifted = row["sifted_z"] + row["sifted_x"]
    errors = row["errors_z"] + row["errors_x"]
    confidence = float(settings["confidence"])
    values: Values = {
        "pairs": row["pairs"],
        "coincidences": row["rows"],
        "expected_coincidences": row["pairs"] * row["expected_coincidence"],
        "stopped": row["stopped"] or None,
        "sifted": sifted,
        "qber": errors / sifted if sifted else None,
        "seed": json.loads(row["config"])["seed"],
    }
    for basis in ("z", "x"):
        values |= _basis(row, basis, confidence)
    for name in ("alice_clicks", "bob_clicks", "duration_ns", "data_digest"):
        values[name] = row[name]
    if row["protocol"]:
        values |= _key(row, sifted, float(settings["efficiency"]))
    values |= _cost(row["seconds"], sifted, errors)
    values["key_core_seconds"] = row["key_seconds"]
    return {name: _plain(value) for name, value in values.items()}


def _basis(row: Row, basis: str, confidence: float) -> Values:
    sifted = row[f"sifted_{basis}"]
    errors = row[f"errors_{basis}"]
    expected = row[f"expected_qber_{basis}"]
    low, high = clopper_pearson(errors, sifted, confidence)
    known = sifted and not math.isnan(expected)
    return {
        f"sifted_{basis}": sifted,
        f"errors_{basis}": errors,
        f"qber_{basis}": errors / sifted if sifted else None,
        f"qber_{basis}_low": low,
        f"qber_{basis}_high": high,
        f"expected_qber_{basis}": expected,
        f"z_score_{basis}": z_score(errors, sifted, expected) if known else None,
    }


def _key(row: Row, sifted: int, nominal: float) -> Values:
    """What the protocol made, beside the formulas; no key where it was not run."""
    from .theory import formula, measured_efficiency  # the protocol is loaded where it is needed

    measured = measured_efficiency(row)
    found = formula(row, measured or nominal)
    per_emission = sifted / row["pairs"]
    values: Values = {
        "asymptotic_per_sifted": found.asymptotic,
        "asymptotic_per_emission": found.asymptotic * per_emission,
        "finite_key_bits": found.finite_bits,
        "finite_per_sifted": found.finite_bits / sifted if sifted else None,
        "finite_per_emission": found.finite_bits / row["pairs"],
        "abort": row["abort"],
    }
    if not row["distilled"]:
        return values
    for name in ("key_bits", "leak_bits", "tested", "blocks", "aborted_blocks"):
        values[name] = row[name]
    values["key_per_sifted"] = row["key_bits"] / sifted if sifted else None
    values["key_per_emission"] = row["key_bits"] / row["pairs"]
    values["keys_agree"] = bool(row["agree"])
    values["efficiency"] = measured
    return values


def _cost(seconds: float, sifted: int, errors: int) -> Values:
    """Core-seconds, 1/(variance·seconds) of the relative QBER, and the seconds to a relative error of 1 %."""
    values: Values = {"core_seconds": seconds}
    if errors and errors < sifted and seconds:
        rate = errors / sifted
        variance = (1 - rate) / errors
        values["figure_of_merit"] = 1 / (variance * seconds)
        values["seconds_to_1_percent"] = seconds * variance / 1e-4
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def table_of(found: SweepRows) -> Table:
    """The table of a sweep's file as it stands."""
    listed = [(number, *point) for number, point in enumerate(found.points)]
    return Table.of(
        found.info,
        listed,
        found.rows,
        partial=found.partial,
    )


def write_results(
    directory: Path,
    table: Table,
    *,
    store: SweepStore | None,
    observer: Observer,
    earlier: Table | None = None,
) -> None:
    """Write the tables beside the sweep's file, which says that they are about to be written.

    Without ``store`` the sweep is finished: what differs from its file was changed by somebody else.
    ``earlier`` is the table of the file that the launch found.
    """
    text = csv_text(table).encode()
    path = directory / CSV
    before = path.read_bytes() if path.is_file() else None
    if before == text and (directory / PARQUET).exists():
        return
    known = {digest_of(text)}
    if store is not None:
        known |= {*store.found.tables}
        store.put(of_table(digest_of(text)))
        store.commit()
    is_ours = store is None or bool(store.found.rows or store.found.tables)
    is_strange = before is not None and digest_of(before) not in known
    if is_ours and is_strange and not _has_lines_of(before or b"", (table, earlier)):
        source = directory / "sweep.h5"
        observer.say(f"{path} was changed by hand: it is written again from {source}")
    if before != text:
        _replace(path, text)
    write_parquet(directory / PARQUET, table, observer)


def _has_lines_of(text: bytes, tables: Iterable[Table | None]) -> bool:
    """Whether each point's line in a file stands in one of these tables, whatever its number there."""
    known: set[str] = set()
    for table in tables:
        if table is not None:
            known |= _lines(csv_text(table))
    found = text.decode(errors="replace")
    return _lines(found) <= known


def _lines(text: str) -> set[str]:
    """The lines of a table without the number of the point, which comes first."""
    lines = set()
    for line in text.splitlines():
        _, _, rest = line.partition(",")
        lines.add(rest)
    return lines


def digest_of(text: bytes) -> str:
    """What tells a table that was written here from one that was changed."""
    return xxhash.xxh3_128_hexdigest(text)


def header(table: Table, name: str) -> str:
    """A column's name, with its unit."""
    if name not in table.units:
        return name
    return f"{name} [{table.units[name]}]"


def csv_text(table: Table) -> str:
    """The table as CSV: numbers with all of their digits, nothing where there is no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([header(table, name) for name in table.columns])
    for row in table.rows:
        writer.writerow([_cell(row.get(name)) for name in table.columns])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return value
    return json.dumps(value)


def write_parquet(path: Path, table: Table, observer: Observer) -> None:
    """The table as Parquet, where pyarrow is installed; else a sentence says what is missing."""
    try:
        import pyarrow
        from pyarrow import csv as pyarrow_csv
        from pyarrow import parquet
    except ImportError:
        observer.say(
            f"{path.name} is not written: pyarrow is missing; pip install 'caligo-mpi[parquet]'"
        )
        return
    # Arrow's reader of CSV, since its conversion of lists would load pandas: a second for nothing.
    kinds = {header(table, name): pyarrow.string() for name in _texts(table)}
    options = pyarrow_csv.ConvertOptions(column_types=kinds, strings_can_be_null=True)
    text = csv_text(table).encode()
    read = pyarrow_csv.read_csv(io.BytesIO(text), convert_options=options)
    buffer = io.BytesIO()
    parquet.write_table(read, buffer)
    _replace(path, buffer.getvalue())


def _texts(table: Table) -> list[str]:
    """Columns that hold text at any point, and those that would if they were not empty."""
    texts: tuple[str, ...] = ("state", "error", "abort", "data_digest", "law", "stopped")
    found = [name for name in texts if name in table.columns]
    for name in table.axes:
        values = table.column(name)
        if any(not isinstance(value, int | float) for value in values):
            found.append(name)
    return found


def _replace(path: Path, data: bytes) -> None:
    aside = path.with_name(path.name + ".tmp")
    with disk_errors(path, "writing the results"):
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
