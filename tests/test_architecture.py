"""ARCHITECTURE.md names what is there: a module that moves takes its name on the page along."""

from __future__ import annotations

import re

import pytest
from helpers import ROOT

PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
PACKAGE = ROOT / "caligo_mpi"
ROOMS = {entry.parent.name for entry in PACKAGE.glob("*/__init__.py")}


def test_every_module_on_the_page_exists():
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (PACKAGE / name).is_file()] == []


def test_every_room_is_on_the_page():
    """The tree of rooms is the package's, and so is what stands in the corridor."""
    tree = PAGE.partition("```\ncaligo_mpi/")[2].partition("```")[0]
    loose = {entry.name for entry in PACKAGE.glob("*.py")}
    assert set(re.findall(r"── (\w+)/", tree)) == ROOMS
    corridor = [line for line in tree.splitlines() if re.match(r"├── \w+\.py", line)]
    assert set(re.findall(r"\w+\.py", " ".join(corridor))) == loose


def test_every_room_has_its_floor():
    floors = PAGE.partition("## The floors")[2].partition("## A configuration")[0]
    assert set(re.findall(r"\w+", floors)) >= ROOMS


@pytest.mark.parametrize("name", ["BUILT_IN", "chunk_result", "commit"])
def test_names_in_the_walks_are_where_they_are_said_to_be(name):
    (module,) = re.findall(r"`([\w/]+\.py)` \(`" + name + r"`\)", PAGE)
    assert re.search(rf"\b{name}\b", (PACKAGE / module).read_text("utf-8"))
