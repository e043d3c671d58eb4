"""The YAML that configurations are written in."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from caligo_mpi.config.strict_yaml import dump_yaml, parse_yaml
from caligo_mpi.errors import ConfigError


def _scalar(text: str) -> Any:
    return parse_yaml(f"- {text}", source="test")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1_000", -1000), ("+7", 7), ("010", 10), ("0o10", "0o10"), ("0x10", "0x10"), ("0b1", "0b1"),
        ("1e9", 1e9), ("1E-3", 1e-3), ("2.5e-3", 2.5e-3), (".5", 0.5), ("5.", 5.0), ("-.5e1", -5.0), ("1_0.5", 10.5),
        (".inf", math.inf), ("-.inf", -math.inf), ("1:30", "1:30"), ("1.2.3", "1.2.3"), ("2024-02-30", "2024-02-30"),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("null", None), ("~", None),
        ("", None), ("'1'", "1"), ("!!str 5", "5"), ("!!float 5", 5.0), ("e9", "e9"), ("=", "="), ("_1", "_1"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert _scalar(text) == value
    assert type(_scalar(text)) is type(value)


def test_nan_is_a_number_to_yaml() -> None:
    assert math.isnan(_scalar(".nan"))


def test_empty_text_is_none() -> None:
    assert parse_yaml("# nothing", source="test") is None


def test_merged_sections_keep_their_own_keys() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: [*b, *a], z: 4}"
    assert parse_yaml(text, source="test") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 3, "z": 4},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "test, line 3: duplicate key a, first in line 1; keep one of the two"),
        ("a: {b: 1, b: 2}", "test, line 1: duplicate key b, first in line 1; keep one of the two"),
        (
            "a: [{b: 1, b: 1}]",
            "test, line 1: duplicate key b, first in line 1; keep one of the two",
        ),
        ("'a': 1\na: 2", "test, line 2: duplicate key a, first in line 1; keep one of the two"),
        ("a: 1\n\n1.5: 2", "test, line 3: the key 1.5 is not text; a key is a name"),
        ("true: 2", "test, line 1: the key true is not text; a key is a name"),
        ("? [a]\n: 2", "test, line 1: the key in brackets is not text; a key is a name"),
        ("? !!str {a: 1}\n: 2", "test, line 1: the key in brackets is not text; a key is a name"),
        (
            "a: 1\n---\nb: 1",
            "test, line 2: not valid YAML: a second document starts here; keep one",
        ),
        ("a: &x [*x]", "test, line 1: this anchor contains itself; write the section out"),
        ("a: *x", "test, line 1: not valid YAML: found undefined alias 'x'"),
        ("a: 1\n b: 2", "test, line 2: not valid YAML: mapping values are not allowed here"),
        (
            "a: {",
            "test, line 1: not valid YAML: expected the node content, but found '<stream end>'",
        ),
        (
            "\ta: 1",
            "test, line 1: not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("a: \x07", "test: not a text file: character #x0007 is not allowed"),
        (
            "a: !!python/name:os.system",
            "test, line 1: the tag !!python/name:os.system is not supported here; remove it",
        ),
        (
            "a: !!timestamp 2024-99-99",
            "test, line 1: the tag !!timestamp is not supported here; remove it",
        ),
        ("a: !!int x", "test, line 1: 'x' is not !!int; remove the tag"),
        ("a: !!int {x: 1}", "test, line 1: the tag !!int is not supported here; remove it"),
        ("a: " + "1" * 5000, "test, line 1: a number of 5000 digits; at most 1000 are read"),
        (
            "<<: 1",
            "test, line 1: not valid YAML: expected a mapping or list of mappings for merging, but found scalar",
        ),
        ("[" * 5000, "test: not a configuration: nested too deeply"),
    ],
)
def test_surprises_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, source="test")
    assert str(error.value) == message


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    with pytest.raises(ConfigError) as error:
        parse_yaml("\n".join(lines), source="test")
    assert (
        str(error.value)
        == "test, line 5: not a configuration: too many values; write fewer aliases"
    )


@pytest.mark.parametrize(
    "value",
    ["1e9", "1:30", "yes", "010", "0x10", "true", "null", "~", "", "<<", "=", " a", "a: b", "Φ⁺", "2024-01-01", ".5",
     1, -1.5, 1e-6, 1e300, 10**30, True, None, [1, [2, {"a": None}]], {"b": 1, "a": {"c": []}}],
)  # fmt: skip
def test_what_is_written_is_read_back(value: object) -> None:
    text = dump_yaml({"key": value})
    assert parse_yaml(text, source="test") == {"key": value}
    assert yaml.safe_load(text) == {"key": value}
