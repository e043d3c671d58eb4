"""The physics page: its examples run, and it says where each number of a configuration enters."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator

import pytest
from helpers import ROOT
from pydantic import BaseModel

from caligo_mpi.config import NetsquidConfig, NoiseConfig
from caligo_mpi.config.netsquid import HeraldedLinkConfig, NetsquidLinkConfig
from caligo_mpi.config.noise import PdcSource

PAGE = ROOT / "docs" / "physics.md"


def numbers(model: type[BaseModel]) -> Iterator[str]:
    """Names of all fields of a section and those below it that are no sections themselves."""
    for name, field in model.model_fields.items():
        kinds = [kind for kind in models_in(field.annotation) if issubclass(kind, BaseModel)]
        yield from (inner for kind in kinds for inner in numbers(kind))
        if not kinds:
            yield name


def models_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models_in(inner)


NUMBERS = sorted(
    {
        *numbers(NoiseConfig),
        *numbers(NetsquidConfig),
        *numbers(PdcSource),
        *numbers(HeraldedLinkConfig),
    }
    | set(numbers(NetsquidLinkConfig)) - {"type", "name"}
)


def test_all_numbers_are_found():
    assert {"fidelity", "gate_width_ns", "mu", "visibility", "p_read1_given0", "hold"} <= set(
        NUMBERS
    )


@pytest.mark.parametrize("number", [name for name in NUMBERS if name not in ("name", "type")])
def test_the_page_says_where_a_number_enters(number):
    assert re.search(rf"`(?:[a-z]+\.)*{number}\b", PAGE.read_text())


def test_the_examples_of_the_page_run():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert failed == 0
    assert tried >= 10
