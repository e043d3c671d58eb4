"""The schema, the examples and the documentation agree with the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import RUN_CONFIGS

from caligo_mpi.config import load_config, schema, starter_config
from caligo_mpi.config.strict_yaml import parse_yaml

ROOT = Path(__file__).parents[2]
RUN = {"pairs": 1000, "seed": 1, "engine": {"name": "noise", "link": {"fidelity": 0.9}}}


def _errors(document: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema())
    return [error.json_path for error in validator.iter_errors(document)]


def test_committed_schema_is_current() -> None:
    committed = (ROOT / "caligo_mpi" / "config" / "schema.json").read_text("utf-8")
    assert committed == json.dumps(schema(), indent=2) + "\n", (
        "run: caligo-mpi schema > caligo_mpi/config/schema.json"
    )


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_key_of_the_schema_is_described() -> None:
    sections = [schema(), *schema()["$defs"].values()]
    bare = [
        key
        for section in sections
        for key, field in section["properties"].items()
        if not field.get("description")
    ]
    assert bare == []


def test_keys_with_a_unit_in_their_name_state_it() -> None:
    units = {"_ns": "ns", "_km": "km", "_hz": "Hz", "_db_per_km": "dB/km"}
    fields = [
        pair for section in schema()["$defs"].values() for pair in section["properties"].items()
    ]
    for key, field in fields:
        expected = units.get(max((end for end in units if key.endswith(end)), key=len, default=""))
        assert field.get("unit") == expected, key


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=lambda path: path.name)
def test_example_fits_schema_and_loads(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../caligo_mpi/config/schema.json\n# ")
    assert _errors(parse_yaml(text, source=path.name)) == []
    assert load_config(path).output.path == f"{path.stem}.h5"


def test_starter_fits_schema() -> None:
    assert _errors(parse_yaml(starter_config(), source="starter")) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"pairs": "1e9"}, []),
        ({"pairs": "many"}, ["$.pairs"]),
        ({"pairs": 0}, ["$.pairs"]),
        ({"seed": -1}, ["$.seed"]),
        ({"chunk_size": 12}, ["$.chunk_size"]),
        ({"output": "x.h5"}, []),
        ({"output": {"path": "x.h5", "durability": "fsync"}}, []),
        ({"schedule": "guided"}, []),
        ({"schedule": "greedy"}, ["$.schedule"]),
        ({"sede": 1}, ["$"]),
        ({"engine": {"name": "other", "depth": [1, 2]}}, []),
        ({"engine": {"name": "noise", "link": {"fidelity": 1.2}}}, ["$.engine"]),
        ({"engine": {"name": "noise", "link": {"pauli": [0.1, 0.1]}}}, ["$.engine"]),
    ],
)
def test_schema_accepts_what_parsing_accepts(change: dict[str, Any], where: list[str]) -> None:
    assert _errors(RUN | change) == where


# -- docs/configuration.md holds one table per section, a row per key ----------------------------------------


def _values(field: dict[str, Any]) -> str:
    if "$ref" in field or "oneOf" in field:
        return "section"
    if "anyOf" in field:
        return " or ".join(
            value for option in field["anyOf"] if (value := _values(option)) != "null"
        )
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        return f"{field['minItems']} numbers, each {_values(field['prefixItems'][0])}"
    return (
        _numbers(field)
        if isinstance(field["type"], list)
        else {"string": "text"}.get(field["type"], field["type"])
    )


SIGNS = [
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
    ("multipleOf", "multiple of"),
]


def _numbers(field: dict[str, Any]) -> str:
    bounds = [f"{sign} {field[name]:_}" for name, sign in SIGNS if name in field]
    return ("whole, " if "integer" in field["type"] else "") + ", ".join(bounds)


def _row(key: str, field: dict[str, Any], required: list[str]) -> str:
    default = (
        "**required**" if key in required else f"`{field['default']}`" if "default" in field else ""
    )
    if key == "chunk_size":
        default = "by engine"
    meaning = field["description"].partition(" [")[0].replace("|", "\\|")
    cells = (
        f"`{key}`",
        field.get("symbol", ""),
        field.get("unit", ""),
        default,
        _values(field),
        meaning,
    )
    return "| " + " | ".join(cells) + " |"


def _table(section: dict[str, Any]) -> str:
    head = "| key | symbol | unit | default | values | meaning |\n|---|---|---|---|---|---|\n"
    rows = [
        _row(key, field, section.get("required", []))
        for key, field in section["properties"].items()
    ]
    return head + "\n".join(rows) + "\n"


@pytest.mark.parametrize("name", ["", *schema()["$defs"]])
def test_documentation_has_every_key(name: str) -> None:
    section = schema()["$defs"][name] if name else schema()
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert _table(section) in text, (
        f"docs/configuration.md lacks this table of {name or 'the run'}:\n{_table(section)}"
    )
